//! A run's process: started, listened to, asked to stop, ended.
//!
//! It is this program again, called as `runner exec --supervised RUN_DIR`. Its standard output carries events as JSON lines. Its
//! standard input carries nothing: the process stops when it closes, which it also does when this process dies, whatever it dies
//! of. What it prints besides, panics and messages of the system, goes to `output.log` in the run's directory.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::event::Event;
use crate::files::plain;
use crate::sinks::Sink;
use crate::store::RunDir;

/// A run's process. Dropping it asks it to stop and waits for it.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    listener: Option<JoinHandle<()>>,
    heard: Arc<Mutex<Instant>>,
}

/// Ids of the processes that run now, for [`kill_all`].
static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Ends all processes at once. What they had not saved is lost.
pub fn kill_all() {
    let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    #[cfg(unix)]
    for pid in running.iter().filter_map(|&pid| i32::try_from(pid).ok()) {
        let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
    }
    // Elsewhere they end by themselves, when their standard input closes.
    #[cfg(not(unix))]
    drop(running);
}

/// Longest line that is taken for an event: what is longer is not kept in memory.
const LONGEST_EVENT_BYTES: u64 = 64 << 20;

impl Child {
    /// Starts the run in `dir`, with `threads` instead of all cores if its configuration leaves that open. `listeners` hear its
    /// events. That `runs_at_once` are trained at a time, at most, is recorded.
    pub fn start(
        dir: &RunDir,
        threads: Option<usize>,
        runs_at_once: usize,
        listeners: Vec<Box<dyn Sink>>,
    ) -> io::Result<Self> {
        let output = plain::append(&dir.output())
            .map_err(|error| io::Error::other(format!("{}: {error}", dir.output().display())))?;
        let mut command = this_program()?;
        command.args(["exec", "--supervised"]);
        if let Some(threads) = threads {
            command.arg("--threads").arg(threads.to_string());
        }
        command.arg("--runs-at-once").arg(runs_at_once.to_string());
        command.arg("--").arg(dir.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
        // A Ctrl-C in the terminal is for the parent alone, which passes it on in its own way.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut process = {
            // Held over the start, so that no process is missed by `kill_all`.
            let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
            let process = command.spawn()?;
            running.insert(process.id());
            process
        };
        let heard = Arc::new(Mutex::new(Instant::now()));
        let stdout = process.stdout.take();
        let mut child = Self { stdin: process.stdin.take(), process, listener: None, heard };
        if let Some(stdout) = stdout {
            let heard = Arc::clone(&child.heard);
            let thread = std::thread::Builder::new().name("listener".to_owned());
            // Dropped on an error, the child is asked to stop.
            child.listener = Some(thread.spawn(move || listen(stdout, listeners, &heard))?);
        }
        Ok(child)
    }

    /// Asks the run to save and stop. Asking again changes nothing.
    pub fn ask_to_stop(&mut self) {
        self.stdin = None;
    }

    /// Ends the process at once.
    pub fn kill(&mut self) {
        // It may be gone already.
        let _ = self.process.kill();
    }

    /// How the process ended, if it has. All of its events have been heard then.
    pub fn try_wait(&mut self) -> io::Result<Option<ExitStatus>> {
        // Held over the look: once it is waited for, its id may become another process's.
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        let status = self.process.try_wait()?;
        if status.is_some() {
            running.remove(&self.process.id());
        }
        drop(running);
        if status.is_some()
            && let Some(listener) = self.listener.take()
        {
            // A listener's panic has been printed; the run's own end counts.
            let _ = listener.join();
        }
        Ok(status)
    }

    /// Since when nothing was heard of it.
    pub fn silent_for(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.ask_to_stop();
        // Not `wait`, which would hold the ids while `kill_all` may be wanted.
        while matches!(self.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// This very program, also when another has taken its place on disk since it was started.
pub fn this_program() -> io::Result<Command> {
    let path = std::env::current_exe()?;
    #[cfg(target_os = "linux")]
    {
        let mut command = Command::new("/proc/self/exe");
        std::os::unix::process::CommandExt::arg0(&mut command, path);
        Ok(command)
    }
    #[cfg(not(target_os = "linux"))]
    Ok(Command::new(path))
}

fn listen(stdout: impl Read, mut listeners: Vec<Box<dyn Sink>>, heard: &Mutex<Instant>) {
    let mut reader = BufReader::new(stdout);
    let mut line = Vec::new();
    loop {
        line.clear();
        match reader.by_ref().take(LONGEST_EVENT_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => *heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now(),
        }
        let Ok(event) = serde_json::from_slice::<Event>(&line) else { continue };
        for listener in &mut listeners {
            // What cannot be shown is no reason not to listen.
            let _ = listener.on_event(&event);
        }
    }
}

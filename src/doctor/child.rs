//! A child process whose death is news and no harm.

use std::io::Read;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What a child said, and how it ended if not well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub stdout: String,
    /// In words, with the last that it said to standard error; `None` after a good end.
    pub death: Option<String>,
}

/// Lines of a dead child's last words.
const LAST_LINES: usize = 6;
/// Letters of them.
const LAST_LETTERS: usize = 600;
/// Longest wait for a child that was killed. One that waits for a broken driver may never end.
const FUNERAL: Duration = Duration::from_secs(2);

/// Runs a program until it ends or the time is up, and kills it then.
pub fn run(mut command: Command, timeout: Duration) -> Outcome {
    let started = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            return Outcome { stdout: String::new(), death: Some(format!("could not be started: {error}")) };
        }
    };
    let (stdout, stderr) = (Listener::new(child.stdout.take()), Listener::new(child.stderr.take()));
    let ending = match wait(&mut child, timeout) {
        Some(status) if status.success() => None,
        Some(status) => Some(in_words(status)),
        None => {
            // Nothing is lost if it has ended meanwhile.
            let _ = child.kill();
            wait(&mut child, FUNERAL);
            Some(format!("gave no answer in {} s", timeout.as_secs_f64()))
        }
    };
    let (stdout, stderr) = (stdout.heard(), stderr.heard());
    let death = ending.map(|ending| match last_words(&stderr) {
        words if words.is_empty() => ending,
        words => format!("{ending}: {words}"),
    });
    Outcome { stdout, death }
}

fn wait(child: &mut Child, timeout: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if started.elapsed() >= timeout {
            return None;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Keeps what comes out of a pipe, so that the child never waits for a reader and nothing is lost when it dies.
struct Listener {
    heard: Arc<Mutex<Vec<u8>>>,
    thread: thread::JoinHandle<()>,
}

impl Listener {
    fn new(pipe: Option<impl Read + Send + 'static>) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let thread = thread::spawn(move || {
            let Some(mut pipe) = pipe else { return };
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut buffer) {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(&buffer[..read]);
            }
        });
        Self { heard, thread }
    }

    fn heard(self) -> String {
        // The pipe stays open as long as the child, or a child of its own, lives on.
        let started = Instant::now();
        while !self.thread.is_finished() && started.elapsed() < FUNERAL {
            thread::sleep(Duration::from_millis(5));
        }
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&heard).into_owned()
    }
}

fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    {
        use std::os::unix::process::ExitStatusExt;
        if let Some(number) = status.signal() {
            let name = nix::sys::signal::Signal::try_from(number).map_or("", |signal| signal.as_str());
            return format!("was ended by signal {number} {name}").trim_end().to_owned();
        }
    }
    match status.code() {
        Some(code) => format!("ended with code {code}"),
        None => "ended without a code".to_owned(),
    }
}

fn last_words(stderr: &str) -> String {
    let lines = stderr.lines().map(str::trim);
    let lines: Vec<&str> =
        lines.filter(|line| !line.is_empty() && !line.contains("RUST_BACKTRACE")).collect();
    let words = lines[lines.len().saturating_sub(LAST_LINES)..].join(" ");
    match words.char_indices().nth(LAST_LETTERS) {
        Some((end, _)) => format!("{}...", &words[..end]),
        None => words,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str, timeout_secs: f64) -> Outcome {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        run(command, Duration::from_secs_f64(timeout_secs))
    }

    #[test]
    fn a_good_end_is_no_news() {
        let outcome = shell("echo hello; echo aside >&2", 20.0);
        assert_eq!(outcome, Outcome { stdout: "hello\n".to_owned(), death: None });
    }

    #[test]
    fn an_abort_is_told_with_the_last_words_and_what_was_said_before() {
        let outcome = shell("echo first; echo 'driver fell over' >&2; kill -ABRT $$", 20.0);
        assert_eq!(outcome.stdout, "first\n");
        assert_eq!(outcome.death.as_deref(), Some("was ended by signal 6 SIGABRT: driver fell over"));
    }

    #[test]
    fn an_error_code_is_told() {
        assert_eq!(shell("exit 7", 20.0).death.as_deref(), Some("ended with code 7"));
    }

    #[test]
    fn a_child_that_never_ends_is_ended() {
        let outcome = shell("echo here; exec sleep 600", 0.3);
        assert_eq!(outcome.stdout, "here\n");
        assert_eq!(outcome.death.as_deref(), Some("gave no answer in 0.3 s"));
    }

    #[test]
    fn a_program_that_is_not_there_is_told() {
        let outcome = run(Command::new("/nowhere/at/all"), Duration::from_secs(20));
        assert!(outcome.death.is_some_and(|death| death.starts_with("could not be started: ")));
    }

    #[test]
    fn long_last_words_are_cut() {
        let words = last_words(&"é".repeat(1000));
        assert_eq!(words.chars().count(), LAST_LETTERS + 3);
        assert_eq!(last_words("1\n2\n3\n4\n5\n6\n7\nnote: RUST_BACKTRACE=1\n\n"), "2 3 4 5 6 7");
    }
}

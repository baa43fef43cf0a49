//! `runner exec RUN_DIR`: trains one run from its directory, or goes on with it. What a sweep starts for each of its runs, and
//! what a cluster's job would start.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::reporter::{self, Ended, Reported};
use super::{panic_message, signals};
use crate::config;
use crate::error::{Error, Exit};
use crate::facts::{Status, StopReason};
use crate::launcher::lease::{self, LeaseError};
use crate::launcher::requirements::{self, Machine};
use crate::report::{self, ending::Ending};
use crate::sinks::Sink;
use crate::sinks::events::EventsSink;
use crate::sinks::progress::{Place, Screen};
use crate::store::manifest::Manifest;
use crate::store::{Announcer, BEAT, RunDir, StoreError, read};
use crate::terminal;
use crate::train::{self, Assignment, StopFlag};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of a run, as `runner` makes it: with `config.toml` and `manifest.toml`.
    #[arg(value_name = "RUN_DIR", value_parser = super::args::path())]
    dir: PathBuf,
    /// Threads to train with, if the run's configuration does not set them.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How many runs are trained here at a time, for the record: times compare only between runs with the same share of a machine.
    #[arg(long, value_name = "N", hide = true)]
    runs_at_once: Option<usize>,
    /// Show nothing while training; the outcome is still printed at the end.
    #[arg(short, long)]
    quiet: bool,
    /// Print events as JSON lines on standard output, and stop when standard input closes: for the process that started this one.
    #[arg(long, hide = true)]
    supervised: bool,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let dir = RunDir::open(&args.dir);
    // Before the lock, so that whoever sees it can stop this process and gets its exit code.
    let screen = Screen::open(args.quiet || args.supervised);
    let stop = signals::catch(&screen)?;
    // Not to leave a lock where there is no run.
    dir.read_manifest()?;
    let lock = match dir.lock() {
        Err(error @ StoreError::Locked { .. }) if args.supervised => {
            terminal::err(error);
            return Ok(Exit::Waits);
        }
        other => other?,
    };
    announce(lock.announcer(), &stop);
    let manifest = dir.read_manifest()?;
    if manifest.is_over() {
        let record = read(dir.path())?;
        terminal::out(format_args!("{}: {}", record.id(), report::ending::sentence(&record)));
        return Ok(exit_of(&manifest, &stop));
    }
    let mut listeners: Vec<Box<dyn Sink>> = Vec::new();
    if args.supervised {
        stop_when_input_closes(&stop)?;
        listeners.push(Box::<EventsSink>::default());
    } else {
        listeners.extend(screen.sink(Place { index: 1, count: 1 }));
    }
    if !args.supervised && manifest.attempts.is_empty() {
        manifest.idle.iter().for_each(|key| screen.note(&format!("warning: {key}")));
    }
    let plan = config::read_frozen(&dir.config(), manifest.config_sha256.as_deref());
    if let Ok(plan) = &plan
        && let Some(reason) = requirements::unmet_to_go_on(plan, &dir, &Machine::here())
    {
        let what = format!("this machine does not meet hardware.requires: {reason}; nothing was started");
        return Err(Error::Usage(what));
    }
    let lease = match plan.map(|plan| lease::take(&plan)) {
        Ok(Ok(lease)) => lease,
        Ok(Err(error @ LeaseError::Taken { .. })) if args.supervised => {
            terminal::err(error);
            return Ok(Exit::Waits);
        }
        Ok(Err(error)) => return Err(error.into()),
        // The run records what is wrong with its configuration.
        Err(_) => None,
    };
    let assignment = Assignment {
        threads: args.threads,
        gpu: lease.as_ref().map(|lease| lease.ordinal),
        runs_at_once: args.runs_at_once,
    };
    let manifest = train_guarded(&dir, assignment, listeners, &stop)?;
    if args.supervised {
        return Ok(exit_of(&manifest, &stop));
    }
    let name = format!("{}/{}", manifest.run.experiment, manifest.run.name);
    let Reported { sentence, report } = reporter::report(Ended::new(dir.path(), &manifest));
    terminal::out(format_args!("{name}: {sentence}"));
    match report {
        Ok(path) => {
            terminal::out(format_args!("  {}", path.display()));
            Ok(exit_of(&manifest, &stop))
        }
        Err(error) => {
            terminal::err(format_args!("error: {name}: {error}"));
            Ok(match exit_of(&manifest, &stop) {
                Exit::Success | Exit::TargetMissed => Exit::Internal,
                exit => exit,
            })
        }
    }
}

/// Has the lock tell others that its holder is there, and when it is about to let go: they wait then.
fn announce(announcer: Announcer, stop: &StopFlag) {
    let stop = stop.clone();
    let wait = move || {
        let mut beaten = Instant::now();
        while !stop.is_requested() {
            std::thread::sleep(Duration::from_millis(10));
            if beaten.elapsed() >= BEAT {
                beaten = Instant::now();
                announcer.beat();
            }
        }
        let announcer = announcer.stopping();
        loop {
            std::thread::sleep(BEAT);
            announcer.beat();
        }
    };
    // Without the thread others are told that the run is held, which it is.
    let _ = std::thread::Builder::new().name("announce".to_owned()).spawn(wait);
}

fn exit_of(manifest: &Manifest, stop: &StopFlag) -> Exit {
    match Ending::of(manifest) {
        ending if ending.is_planned() && !manifest.lost.is_empty() => Exit::Internal,
        Ending::TargetReached | Ending::Finished | Ending::Skipped => Exit::Success,
        Ending::TargetMissed => Exit::TargetMissed,
        Ending::Interrupted | Ending::Queued | Ending::Running => signals::exit_of_stopped(stop),
        Ending::Diverged | Ending::Failed => Exit::RunFailed,
    }
}

/// A panic is an outcome of the run, and is recorded like one.
fn train_guarded(
    dir: &RunDir,
    assignment: Assignment,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Manifest, StoreError> {
    // Nothing that the run touched is used after a panic but its files.
    match catch_unwind(AssertUnwindSafe(|| train::train_run(dir, assignment, listeners, stop))) {
        Ok(result) => result,
        Err(panic) => {
            let mut manifest = dir.read_manifest()?;
            let message = format!(
                "internal error: {}; please report this with the run's config.toml, log.jsonl and output.log",
                panic_message(panic.as_ref())
            );
            manifest.last_output = crate::launcher::death::last_lines(&dir.output());
            manifest.end(Status::Failed, StopReason::Panic, message);
            dir.write_manifest(&manifest)?;
            Ok(manifest)
        }
    }
}

/// Standard input closes when the process at its other end asks for it, and when that process is gone.
fn stop_when_input_closes(stop: &StopFlag) -> Result<(), Error> {
    let stop = stop.clone();
    let listen = move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 64];
        while !matches!(input.read(&mut ignored), Ok(0) | Err(_)) {}
        stop.request();
    };
    std::thread::Builder::new().name("parent".to_owned()).spawn(listen).map_err(Error::Signal)?;
    Ok(())
}

//! `runner exec RUN_DIR`: trains one run from its directory, or goes on with it. What a sweep starts for each of its runs, and
//! what a cluster's job would start.

use std::any::Any;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use super::signals;
use crate::config;
use crate::error::{Error, Exit};
use crate::facts::{Status, StopReason};
use crate::launcher::lease::{self, LeaseError};
use crate::report::{self, ending::Ending};
use crate::sinks::Sink;
use crate::sinks::events::EventsSink;
use crate::sinks::progress::{Place, Screen};
use crate::store::manifest::Manifest;
use crate::store::{RunDir, StoreError, read};
use crate::terminal;
use crate::train::{self, Assignment, StopFlag};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory of a run, as `runner` makes it: with `config.toml` and `manifest.toml`.
    #[arg(value_name = "RUN_DIR")]
    dir: PathBuf,
    /// Threads to train with, where the run's configuration leaves that open.
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Show nothing while training; the outcome is still printed at the end.
    #[arg(short, long)]
    quiet: bool,
    /// Tell events as JSON lines on standard output, and stop when standard input closes: for the process that started this one.
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
    let _lock = match dir.lock() {
        Err(error @ StoreError::Locked { .. }) if args.supervised => {
            terminal::err(error);
            return Ok(Exit::Busy);
        }
        other => other?,
    };
    let manifest = dir.read_manifest()?;
    if is_over(&manifest) {
        let record = read(dir.path())?;
        terminal::out(format_args!("{}: {}", record.id(), report::ending::sentence(&record)));
        return Ok(exit_of(&manifest));
    }
    let mut listeners: Vec<Box<dyn Sink>> = Vec::new();
    if args.supervised {
        stop_when_input_closes(&stop);
        listeners.push(Box::<EventsSink>::default());
    } else {
        listeners.extend(screen.sink(Place { index: 1, count: 1 }));
    }
    let lease = match config::read_frozen(&dir.config()).map(|plan| lease::take(&plan)) {
        Ok(Ok(lease)) => lease,
        Ok(Err(error @ LeaseError::Taken { .. })) if args.supervised => {
            terminal::err(error);
            return Ok(Exit::Busy);
        }
        Ok(Err(error)) => return Err(error.into()),
        // The run records what is wrong with its configuration.
        Err(_) => None,
    };
    let assignment = Assignment { threads: args.threads, gpu: lease.as_ref().map(|lease| lease.ordinal) };
    let manifest = train_guarded(&dir, assignment, listeners, &stop)?;
    if !args.supervised {
        let record = read(dir.path())?;
        let path = report::run::write(&record)?;
        terminal::out(format_args!(
            "{}: {}\n  {}",
            record.id(),
            report::ending::sentence(&record),
            path.display()
        ));
    }
    Ok(exit_of(&manifest))
}

/// A run that is not gone on with: it came to its end, or was never meant to start here.
fn is_over(manifest: &Manifest) -> bool {
    matches!(manifest.status, Status::Finished | Status::Diverged | Status::Skipped)
}

fn exit_of(manifest: &Manifest) -> Exit {
    match Ending::of(manifest) {
        Ending::TargetReached | Ending::Finished | Ending::Skipped => Exit::Success,
        Ending::TargetMissed => Exit::TargetMissed,
        Ending::Interrupted | Ending::Queued | Ending::Running => Exit::Interrupted,
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

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Standard input closes when the process at its other end asks for it, and when that process is gone.
fn stop_when_input_closes(stop: &StopFlag) {
    let stop = stop.clone();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        let mut ignored = [0; 64];
        while !matches!(input.read(&mut ignored), Ok(0) | Err(_)) {}
        stop.request();
    });
}

//! `runner FILE...`: trains every run, reports each, compares them, and says how it went.

use std::path::PathBuf;
use std::time::Instant;

use super::preflight::load_plans;
use crate::cli::{Folders, Selection};
use crate::config::experiment::RunPlan;
use crate::error::{Error, Exit};
use crate::launcher::local::Launcher;
use crate::report::{self, compare::LeftOut};
use crate::sinks::progress::{Place, Screen};
use crate::store::manifest::{Manifest, Status, StopReason};
use crate::store::{RunDir, RunRecord, read};
use crate::train::StopFlag;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    folders: Folders,
    /// Show nothing while training; outcomes and paths are still printed at the end.
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new();
    let plans = load_plans(&args.selection, &launcher)?;
    let screen = Screen::open(args.quiet);
    let stop = catch_signals(&screen)?;
    let started = Instant::now();
    let mut done = Vec::new();
    let mut not_started = Vec::new();
    for (index, plan) in plans.iter().enumerate() {
        if stop.is_requested() {
            not_started.push(left_out(plan, "not started: the sweep was interrupted"));
            continue;
        }
        let place = Place { index: index + 1, count: plans.len() };
        let listeners = screen.sink(place).into_iter().collect();
        match launcher.run(plan, &args.folders.runs_dir, listeners, &stop) {
            Ok((dir, manifest)) => done.push(Done::report(&dir, manifest)),
            // Without a first directory nothing can be recorded; later on, what is done must still be compared.
            Err(error) if done.is_empty() => return Err(error.into()),
            Err(error) => {
                eprintln!("error: {error}");
                not_started.push(left_out(plan, &error.to_string()));
            }
        }
    }
    for run in &done {
        println!("{}", run.lines());
    }
    for run in &not_started {
        println!("{}: {}", run.run, run.reason);
    }
    let exit = exit(&done, stop.is_requested());
    if plans.len() > 1 {
        let word = if done.len() == 1 { "run" } else { "runs" };
        println!("{} {word} in {}", done.len(), units::duration(started.elapsed().as_secs_f64()));
        match compare(done, not_started, &args.folders) {
            Ok(path) => println!("comparison: {}", path.display()),
            Err(error) => {
                eprintln!("error: {error}");
                return Ok(Exit::Internal);
            }
        }
    }
    Ok(exit)
}

/// A run that came to its end.
struct Done {
    manifest: Manifest,
    /// The record and its report; the error has been printed.
    reported: Result<(RunRecord, PathBuf), String>,
}

impl Done {
    fn report(dir: &RunDir, manifest: Manifest) -> Self {
        let reported = read(dir.path())
            .map_err(Error::from)
            .and_then(|record| {
                let path = report::run::write(&record)?;
                Ok((record, path))
            })
            .map_err(|error| {
                eprintln!("error: {error}");
                error.to_string()
            });
        Self { manifest, reported }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.manifest.run.experiment, self.manifest.run.name)
    }

    /// Outcome and where to read more.
    fn lines(&self) -> String {
        match &self.reported {
            Ok((record, path)) => {
                format!("{}: {}\n  {}", self.name(), report::ending::sentence(record), path.display())
            }
            Err(error) => format!("{}: not reported: {error}", self.name()),
        }
    }
}

fn left_out(plan: &RunPlan, reason: &str) -> LeftOut {
    LeftOut { run: format!("{}/{}", plan.experiment.name, plan.name), reason: reason.to_owned() }
}

fn compare(done: Vec<Done>, mut left_out: Vec<LeftOut>, folders: &Folders) -> Result<PathBuf, Error> {
    let mut records = Vec::new();
    for run in done {
        match run.reported {
            Ok((record, _)) => records.push(record),
            Err(ref reason) => left_out.push(LeftOut { run: run.name(), reason: reason.clone() }),
        }
    }
    let name = super::comparison_name(&records);
    let path = report::compare::write(&name, &records, &left_out, &folders.reports_dir)?;
    report::index::update(&folders.reports_dir)?;
    Ok(path)
}

/// The first Ctrl-C or termination signal asks the run to save and stop, the second ends the process at once.
fn catch_signals(screen: &Screen) -> Result<StopFlag, Error> {
    let stop = StopFlag::default();
    let (flag, screen) = (stop.clone(), screen.clone());
    ctrlc::set_handler(move || {
        if flag.is_requested() {
            std::process::exit(i32::from(Exit::Interrupted.code()));
        }
        flag.request();
        screen
            .say("      stopping after this step; press Ctrl-C again to stop now and lose what is not saved");
    })?;
    Ok(stop)
}

/// Skipped runs do not count: the others decide.
fn exit(done: &[Done], interrupted: bool) -> Exit {
    let any = |wanted: fn(&Manifest) -> bool| done.iter().any(|run| wanted(&run.manifest));
    if interrupted {
        Exit::Interrupted
    } else if any(|manifest| matches!(manifest.status, Status::Failed | Status::Diverged)) {
        Exit::RunFailed
    } else if done.iter().any(|run| run.reported.is_err()) {
        Exit::Internal
    } else if any(|manifest| {
        manifest.status == Status::Finished
            && manifest.target.is_some()
            && manifest.stop_reason != Some(StopReason::TargetReached)
    }) {
        Exit::TargetMissed
    } else {
        Exit::Success
    }
}

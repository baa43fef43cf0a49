//! `runner FILE...`: trains every run, reports each, compares them, and says how it went.

use std::path::PathBuf;
use std::time::Instant;

use super::preflight::{fetch_corpora, load_plans, short_of_memory};
use super::signals;
use crate::cli::{Folders, Selection};
use crate::config::experiment::RunPlan;
use crate::error::{Error, Exit};
use crate::launcher::local::Launcher;
use crate::report::{self, compare::Agreement, compare::LeftOut, ending::Ending};
use crate::sinks::progress::{Place, Screen};
use crate::store::manifest::{Manifest, Status};
use crate::store::{RunDir, RunRecord, StoreError, read};
use crate::terminal;
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

impl Args {
    /// `runner --runs-dir d ls` reads like a command and would be taken for a file.
    pub fn refuse_misplaced_command<'a>(&self, commands: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        for command in commands {
            if self.selection.files.iter().any(|file| file.as_os_str() == command && !file.exists()) {
                return Err(Error::Usage(format!(
                    "options go after the command: `runner {command} ...`, not `runner ... {command}`"
                )));
            }
        }
        Ok(())
    }
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new();
    let screen = Screen::open(args.quiet);
    let planned = load_plans(&args.selection, &launcher)?;
    fetch_corpora(&planned, &launcher, &screen)?;
    if let Some(warning) = short_of_memory(&planned, &launcher) {
        screen.note(&format!("warning: {warning}"));
    }
    let plans: Vec<RunPlan> = planned.into_iter().map(|run| run.plan).collect();
    if plans.len() > 1 {
        let path = args.folders.reports_dir.clone();
        std::fs::create_dir_all(&path).map_err(|source| Error::ReportsDir { path, source })?;
    }
    let stop = signals::catch(&screen)?;
    let started = Instant::now();
    let mut sweep = Sweep::default();
    for (index, plan) in plans.iter().enumerate() {
        if stop.is_requested() {
            sweep.leave_out(plan, "not started: the sweep was interrupted");
            continue;
        }
        let place = Place { index: index + 1, count: plans.len() };
        let listeners = screen.sink(place).into_iter().collect();
        match launcher.run(plan, &args.folders.runs_dir, listeners, &stop) {
            Ok((dir, manifest)) => sweep.add(Done::report(&dir, manifest), place, &screen),
            // The folder of all runs is unusable: nothing was started.
            Err(error @ StoreError::CreateRun { .. }) if sweep.done.is_empty() => return Err(error.into()),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                sweep.broken = true;
                sweep.leave_out(plan, &error.to_string());
            }
        }
    }
    let agreements = sweep.agreements();
    let exit = sweep.exit(stop.is_requested(), &agreements);
    let summary = sweep.summary(started.elapsed().as_secs_f64(), &agreements);
    // Written before anything is printed, so that it is there whatever becomes of the terminal.
    let comparison = (plans.len() > 1).then(|| sweep.compare(&plans, &args.folders));
    terminal::out(summary);
    match comparison {
        None => Ok(exit),
        Some(Ok(path)) => {
            terminal::out(format_args!("comparison: {}", path.display()));
            Ok(exit)
        }
        Some(Err(error)) => {
            error.print();
            Ok(if exit == Exit::Success { Exit::Internal } else { exit })
        }
    }
}

/// What has become of the runs so far.
#[derive(Default)]
struct Sweep {
    done: Vec<Done>,
    left_out: Vec<LeftOut>,
    /// A run could not be recorded.
    broken: bool,
}

impl Sweep {
    fn add(&mut self, run: Done, place: Place, screen: &Screen) {
        // Such a run has shown nothing yet: the sink hears only of runs that train.
        if run.manifest.status == Status::Skipped
            || run.manifest.status == Status::Failed && run.manifest.results.is_none()
        {
            screen.note(&format!("[{}/{}] {}", place.index, place.count, run.sentence()));
        }
        self.done.push(run);
    }

    fn leave_out(&mut self, plan: &RunPlan, reason: &str) {
        let run = format!("{}/{}", plan.experiment.name, plan.name);
        self.left_out.push(LeftOut { run, reason: reason.to_owned() });
    }

    /// One line per run with its outcome, and one with the path of its report.
    fn summary(&self, elapsed_secs: f64, agreements: &[Agreement]) -> String {
        let mut lines = Vec::new();
        for run in &self.done {
            lines.push(run.sentence());
            if let Ok((_, path)) = &run.reported {
                lines.push(format!("  {}", path.display()));
            }
        }
        lines.extend(self.left_out.iter().map(|run| format!("{}: {}", run.run, run.reason)));
        if self.done.len() + self.left_out.len() > 1 {
            let word = if self.done.len() == 1 { "run" } else { "runs" };
            lines.push(format!("{} {word} in {}", self.done.len(), units::duration(elapsed_secs)));
        }
        lines.extend(agreements.iter().map(Agreement::sentence));
        lines.join("\n")
    }

    /// The verdicts on experiments whose runs should have the same losses. What was skipped everywhere has none.
    fn agreements(&self) -> Vec<Agreement> {
        let trained = |run: &&Done| run.manifest.status != Status::Skipped;
        let records = self.done.iter().filter(trained).filter_map(|run| run.reported.as_ref().ok());
        report::compare::agreements(&records.map(|(record, _)| record.clone()).collect::<Vec<_>>())
    }

    fn compare(self, plans: &[RunPlan], folders: &Folders) -> Result<PathBuf, Error> {
        let Self { done, mut left_out, .. } = self;
        let mut records = Vec::new();
        for run in done {
            match run.reported {
                Ok((record, _)) => records.push(record),
                Err(ref reason) => left_out.push(LeftOut { run: run.name(), reason: reason.clone() }),
            }
        }
        let experiments: Vec<&str> = plans.iter().map(|plan| plan.experiment.name.as_str()).collect();
        let name = report::compare::name_for(&experiments);
        let path = report::compare::write(&name, &records, &left_out, &folders.reports_dir)?;
        report::index::update(&folders.reports_dir)?;
        Ok(path)
    }

    /// Skipped runs do not count: the others decide.
    fn exit(&self, interrupted: bool, agreements: &[Agreement]) -> Exit {
        let any = |wanted: &[Ending]| self.done.iter().any(|run| wanted.contains(&Ending::of(&run.manifest)));
        if interrupted {
            Exit::Interrupted
        } else if self.broken
            || any(&[Ending::Failed, Ending::Diverged])
            || agreements.iter().any(|agreement| !agreement.holds())
        {
            Exit::RunFailed
        } else if self.done.iter().any(|run| run.reported.is_err()) {
            Exit::Internal
        } else if any(&[Ending::TargetMissed]) {
            Exit::TargetMissed
        } else {
            Exit::Success
        }
    }
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
                error.print();
                error.to_string()
            });
        Self { manifest, reported }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.manifest.run.experiment, self.manifest.run.name)
    }

    /// Name and outcome.
    fn sentence(&self) -> String {
        match &self.reported {
            Ok((record, _)) => format!("{}: {}", self.name(), report::ending::sentence(record)),
            Err(error) => format!("{}: not reported: {error}", self.name()),
        }
    }
}

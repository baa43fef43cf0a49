//! `runner resume` and `runner retry`: goes on with runs from their directories.

use std::path::PathBuf;

use jiff::Timestamp;

use super::args::Folders;
use super::resolve;
use super::signals;
use super::sweep::{self, Item, WorkArgs};
use super::together;
use crate::config::{self, experiment::RunPlan};
use crate::error::{Error, Exit};
use crate::facts::{Status, StopReason};
use crate::launcher::Launcher;
use crate::launcher::again::{is_unfinished, may_be_retried};
use crate::launcher::patience::Patience;
use crate::launcher::retry;
use crate::report::ending::Ending;
use crate::sinks::progress::Screen;
use crate::store::manifest::Manifest;
use crate::store::{RunDir, StoreError};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Runs or experiments, by name or path; all unfinished runs when none is given.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    work: WorkArgs,
}

#[derive(Debug, clap::Args)]
pub struct RetryArgs {
    /// Runs or experiments, by name or path; all failed runs when none is given.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Only runs that failed with this class. Repeatable. Default: all but `diverged` and `config`, which would fail the same way
    /// again.
    #[arg(long = "class", value_name = "CLASS", value_parser = class)]
    classes: Vec<StopReason>,
    #[command(flatten)]
    folders: Folders,
    #[command(flatten)]
    work: WorkArgs,
}

fn class(text: &str) -> Result<StopReason, String> {
    StopReason::FAILURES.into_iter().find(|class| class.key() == text).ok_or_else(|| {
        let known: Vec<&str> = StopReason::FAILURES.iter().map(|class| class.key()).collect();
        format!("the classes are {}", known.join(", "))
    })
}

/// Goes on with runs that were interrupted, whose process was killed with its parent, or that were never started.
pub fn resume(args: ResumeArgs) -> Result<Exit, Error> {
    let what = |manifest: &Manifest, plan: Option<&RunPlan>| {
        if is_unfinished(manifest, plan) {
            return Ok(());
        }
        Err(match Ending::of(manifest) {
            Ending::Failed | Ending::Diverged => "failed; `runner retry` resumes it".to_owned(),
            Ending::Running => "is being trained right now".to_owned(),
            ending => format!("is done: {}", ending.word()),
        })
    };
    go_on(&args.runs, &args.folders, &args.work, "unfinished", what)
}

/// Tries failed runs again.
pub fn retry(args: RetryArgs) -> Result<Exit, Error> {
    let classes = &args.classes;
    let what = |manifest: &Manifest, _: Option<&RunPlan>| {
        let class = manifest
            .stop_reason
            .filter(|_| matches!(manifest.status, Status::Failed | Status::Diverged | Status::Interrupted));
        match class {
            None => Err(format!("did not fail: {}", Ending::of(manifest).word())),
            Some(class) if classes.contains(&class) => Ok(()),
            Some(_) if classes.is_empty() && may_be_retried(manifest) => Ok(()),
            Some(class) if classes.is_empty() && manifest.status != Status::Interrupted => {
                Err(format!("would probably fail again; --class {} retries it anyway", class.key()))
            }
            Some(_) if classes.is_empty() => Err("was interrupted; `runner resume` resumes it".to_owned()),
            Some(class) => Err(format!("ended as {}, which --class does not include", class.key())),
        }
    };
    go_on(&args.runs, &args.folders, &args.work, "failed", what)
}

fn go_on(
    arguments: &[String],
    folders: &Folders,
    work: &WorkArgs,
    wanted: &str,
    what: impl Fn(&Manifest, Option<&RunPlan>) -> Result<(), String>,
) -> Result<Exit, Error> {
    work.check()?;
    let screen = Screen::open(work.quiet);
    // From here on a signal is heard: who holds a run may be waited for.
    let stop = signals::catch(&screen)?;
    let launcher = Launcher::new();
    let mut patience = Patience::default();
    let mut items: Vec<Item> = Vec::new();
    let mut experiments: Vec<PathBuf> = Vec::new();
    let mut reasons = Vec::new();
    let mut failed = Vec::new();
    let paths = resolve(folders, arguments)?;
    let alone = !arguments.is_empty() && paths.len() == 1;
    for path in paths {
        let dir = RunDir::open(&path);
        let holder = patience.await_holder(&dir, &stop, &|line| screen.note(line));
        let manifest = match dir.read_manifest_now() {
            Ok(manifest) => manifest,
            Err(error) if alone => return Err(error.into()),
            Err(error) => {
                items.push(sweep::broken(sweep::name_of(&dir), error));
                continue;
            }
        };
        if let Some(holder) = holder {
            items.push(sweep::left_out(&dir, format!("is being trained by {holder}")));
            continue;
        }
        let plan = config::read_frozen(&dir.config(), manifest.config_sha256.as_deref()).ok();
        if let Err(reason) = what(&manifest, plan.as_ref()) {
            let reason = format!("{} {reason}", sweep::name_of(&dir));
            match Ending::of(&manifest) {
                Ending::Failed | Ending::Diverged => failed.push(reason),
                _ => reasons.push(reason),
            }
            continue;
        }
        let owed = plan.as_ref().is_some_and(|plan| retry::is_owed(&manifest, plan));
        // A configuration that cannot be read is the run's own failure.
        if let Some(reason) = plan.and_then(|plan| launcher.unmet_to_go_on(&plan, &dir)) {
            items.push(sweep::left_out(&dir, format!("not resumed here: {reason}")));
            continue;
        }
        items.push(match requeue(&dir, manifest, owed) {
            Ok(()) => {
                experiments.push(together::folder_of(&path));
                Item::Train(dir)
            }
            // Another command was faster.
            Err(StoreError::Locked { writer, .. }) => {
                sweep::left_out(&dir, format!("is being trained by {writer}"))
            }
            Err(error) => sweep::broken(sweep::name_of(&dir), error),
        });
    }
    if items.is_empty() {
        terminal::out(format_args!("no {wanted} run in {}", folders.runs_dir.display()));
        if arguments.len() == 1 {
            reasons.iter().for_each(|reason| terminal::out(format_args!("  {reason}")));
        }
        return Ok(with_failed(Exit::Success, &failed));
    }
    // Of experiments of which nothing can be trained now there is nothing new to say.
    let folder_of = |name: &str| experiments.iter().find(|folder| folder.ends_with(name)).cloned();
    let together = together::of_items(&items, folder_of);
    if items.len() + together.others.len() > 1 {
        folders.make_reports_dir()?;
    }
    sweep::train(items, &[], together, work, folders, &screen, stop).map(|exit| with_failed(exit, &failed))
}

/// How many of them are listed.
const LISTED: usize = 10;

/// Names the runs that failed earlier and that this command does nothing about: where they are, not all is done.
fn with_failed(exit: Exit, failed: &[String]) -> Exit {
    failed.iter().take(LISTED).for_each(|reason| terminal::out(format_args!("  {reason}")));
    if failed.len() > LISTED {
        terminal::out(format_args!("  ... and {} more", failed.len() - LISTED));
    }
    if exit == Exit::Success && !failed.is_empty() { Exit::RunFailed } else { exit }
}

/// Has the run wait for its process, so that it is gone on with whatever its end was. `owed`: for an attempt that its policy asks
/// for, and not anew.
fn requeue(dir: &RunDir, mut manifest: Manifest, owed: bool) -> Result<(), StoreError> {
    let _lock = dir.lock()?;
    manifest.retry_at = owed.then(|| manifest.retry_at.unwrap_or_else(Timestamp::now));
    manifest.status = Status::Queued;
    dir.write_manifest(&manifest)
}

//! `runner resume` and `runner retry`: goes on with runs from their directories.

use std::path::PathBuf;

use super::resolve;
use super::sweep::{self, Item, WorkArgs};
use crate::cli::Folders;
use crate::config;
use crate::error::{Error, Exit};
use crate::facts::{Status, StopReason};
use crate::launcher::Launcher;
use crate::launcher::again::{is_unfinished, may_be_retried};
use crate::report::compare::LeftOut;
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
    /// Only runs whose failure is of this class. Repeatable. Without it: all but `diverged` and `config`, which would do the same
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
    let what = |manifest: &Manifest| {
        if is_unfinished(manifest) {
            return Ok(());
        }
        Err(match Ending::of(manifest) {
            Ending::Failed | Ending::Diverged => "failed; `runner retry` tries it again".to_owned(),
            Ending::Running => "is being trained at this moment".to_owned(),
            ending => format!("needs nothing more: {}", ending.word()),
        })
    };
    go_on(&args.runs, &args.folders, &args.work, "unfinished", what)
}

/// Tries failed runs again.
pub fn retry(args: RetryArgs) -> Result<Exit, Error> {
    let classes = &args.classes;
    let what = |manifest: &Manifest| {
        let class = manifest
            .stop_reason
            .filter(|_| matches!(manifest.status, Status::Failed | Status::Diverged | Status::Interrupted));
        match class {
            None => Err(format!("did not fail: {}", Ending::of(manifest).word())),
            Some(class) if classes.contains(&class) => Ok(()),
            Some(_) if classes.is_empty() && may_be_retried(manifest) => Ok(()),
            Some(class) if classes.is_empty() && manifest.status != Status::Interrupted => {
                Err(format!("would do the same again; --class {} tries it nevertheless", class.key()))
            }
            Some(_) if classes.is_empty() => {
                Err("was interrupted; `runner resume` goes on with it".to_owned())
            }
            Some(class) => Err(format!("ended as {}, which was not asked for", class.key())),
        }
    };
    go_on(&args.runs, &args.folders, &args.work, "failed", what)
}

fn go_on(
    arguments: &[String],
    folders: &Folders,
    work: &WorkArgs,
    wanted: &str,
    what: impl Fn(&Manifest) -> Result<(), String>,
) -> Result<Exit, Error> {
    let screen = Screen::open(work.quiet);
    let launcher = Launcher::new();
    let named = !arguments.is_empty();
    let (mut items, mut others): (Vec<Item>, Vec<PathBuf>) = Default::default();
    let mut experiments = Vec::new();
    for path in resolve(folders, arguments)? {
        let dir = RunDir::open(&path);
        let manifest = match dir.read_manifest_now() {
            Ok(manifest) => manifest,
            Err(error) if named => return Err(error.into()),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                continue;
            }
        };
        match what(&manifest).and_then(|()| unmet(&launcher, &dir)) {
            Ok(()) => {
                requeue(&dir, manifest.clone())?;
                experiments.push(path.parent().map(PathBuf::from));
                items.push(Item::Train(dir));
            }
            Err(reason) if named && arguments.len() == 1 => {
                items.push(Item::LeftOut(LeftOut { run: sweep::name_of(&dir), reason }));
                others.push(path);
            }
            Err(_) => others.push(path),
        }
    }
    if !items.iter().any(|item| matches!(item, Item::Train(_))) {
        terminal::out(format_args!("no {wanted} run in {}", folders.runs_dir.display()));
        for item in &items {
            if let Item::LeftOut(run) = item {
                terminal::out(format_args!("  {} {}", run.run, run.reason));
            }
        }
        return Ok(Exit::Success);
    }
    items.retain(|item| matches!(item, Item::Train(_)));
    others.retain(|path| experiments.contains(&path.parent().map(PathBuf::from)));
    if items.len() + others.len() > 1 {
        let path = folders.reports_dir.clone();
        std::fs::create_dir_all(&path).map_err(|source| Error::ReportsDir { path, source })?;
    }
    sweep::train(items, &[], others, work, folders, &screen)
}

/// In words, what this machine lacks for the run. A configuration that cannot be read is the run's own failure.
fn unmet(launcher: &Launcher, dir: &RunDir) -> Result<(), String> {
    let plan = config::read_frozen(&dir.config()).ok();
    plan.and_then(|plan| launcher.unmet_to_go_on(&plan, dir)).map_or(Ok(()), Err)
}

/// Has the run wait for its process, so that it is gone on with whatever its end was.
fn requeue(dir: &RunDir, mut manifest: Manifest) -> Result<(), StoreError> {
    let _lock = dir.lock()?;
    manifest.status = Status::Queued;
    dir.write_manifest(&manifest)
}

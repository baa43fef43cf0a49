//! `runner prune [RUN...]`: deletes checkpoints but the ones that are worth keeping.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::Folders;
use super::listing::{Filter, gather};
use super::sure::Sure;
use crate::error::{Error, Exit};
use crate::launcher::again::may_be_retried;
use crate::store::manifest::Manifest;
use crate::store::{RunDir, StoreError, scan};
use crate::terminal;
use crate::train::checkpoint;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs or experiments, by name or path; all runs when none is given.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// The checkpoint that stays: the best one, the last one, or both (`--keep best,last`). A run that is not at its end keeps its last
    /// one whatever is said here, because resuming begins there. Tagged checkpoints always stay.
    #[arg(long, value_name = "WHICH", value_delimiter = ',', default_value = "best")]
    keep: Vec<Keep>,
    #[command(flatten)]
    sure: Sure,
    #[command(flatten)]
    folders: Folders,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Keep {
    Best,
    Last,
}

/// What becomes of one run's checkpoints.
struct Pruning {
    name: String,
    dir: RunDir,
    kept: BTreeSet<u64>,
    dropped: BTreeSet<u64>,
    bytes: u64,
    /// Why more is kept than was asked for.
    why: Option<&'static str>,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let needed = beginnings(&args.folders.runs_dir);
    let mut exit = Exit::Success;
    let mut prunings = Vec::new();
    for listed in gather(&args.folders, &args.runs, &args.filter, &[])? {
        let dir = RunDir::open(&listed.path);
        match &listed.run {
            // What is not known to be needless stays.
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                exit = Exit::Internal;
            }
            Ok(_) if dir.writer().is_some() => {
                terminal::err(format_args!("{} is being trained: left as it is", listed.name));
            }
            Ok(run) => match plan(&listed.name, dir, &run.manifest, &args.keep, &needed) {
                Ok(pruning) => prunings.extend(pruning.filter(|pruning| !pruning.dropped.is_empty())),
                Err(error) => {
                    terminal::err(format_args!("error: {error}"));
                    exit = Exit::Internal;
                }
            },
        }
    }
    if prunings.is_empty() {
        terminal::out("no checkpoint to delete");
        return Ok(exit);
    }
    for Pruning { name, kept, dropped, bytes, why, .. } in &prunings {
        let steps = |steps: &mut dyn Iterator<Item = &u64>| {
            steps.map(|step| units::count(*step)).collect::<Vec<_>>().join(", ")
        };
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        terminal::out(format_args!(
            "{name}: frees {}, the checkpoints of steps {}; keeps {}{why}",
            units::bytes(*bytes as f64),
            steps(&mut dropped.iter()),
            steps(&mut kept.iter())
        ));
    }
    let count = prunings.iter().map(|pruning| pruning.dropped.len() as u64).sum();
    let bytes: u64 = prunings.iter().map(|pruning| pruning.bytes).sum();
    let (count, bytes) = (units::counted(count, "checkpoint"), units::bytes(bytes as f64));
    terminal::out(format_args!("{count} of {}, {bytes}", units::counted(prunings.len() as u64, "run")));
    if !args.sure.may(&format!("Delete {count} for good?"))? {
        return Ok(exit);
    }
    // Whoever was asked may have taken hours to answer.
    let needed = beginnings(&args.folders.runs_dir);
    let mut freed = 0;
    for pruning in &prunings {
        match prune(pruning, &args.keep, &needed) {
            Ok(bytes) => freed += bytes,
            Err(error) => {
                terminal::err(format_args!("error: {}: {error}", pruning.name));
                exit = Exit::Internal;
            }
        }
    }
    terminal::out(format_args!("freed {}", units::bytes(freed as f64)));
    Ok(exit)
}

/// Deletes what was told of, and of that only what is still not needed: the run may have been trained on since then. Says how much
/// that freed.
fn prune(told: &Pruning, keep: &[Keep], needed: &BTreeSet<PathBuf>) -> Result<u64, StoreError> {
    let Pruning { name, dir, .. } = told;
    let _lock = dir.lock()?;
    let Some(now) = plan(name, dir.clone(), &dir.read_manifest_now()?, keep, needed)? else { return Ok(0) };
    let steps = dir.checkpoints().steps()?.into_iter();
    let (dropped, kept): (BTreeSet<u64>, BTreeSet<u64>) =
        steps.partition(|step| told.dropped.contains(step) && now.dropped.contains(step));
    let bytes = bytes_of(dir, &dropped);
    checkpoint::drop_all_but(dir, &kept)?;
    Ok(bytes)
}

fn plan(
    name: &str,
    dir: RunDir,
    manifest: &Manifest,
    keep: &[Keep],
    needed: &BTreeSet<PathBuf>,
) -> Result<Option<Pruning>, StoreError> {
    let checkpoints = dir.checkpoints();
    let steps = checkpoints.steps()?;
    let Some(&last) = steps.last() else { return Ok(None) };
    let best = checkpoint::pointed(&checkpoints.best()).filter(|best| steps.contains(best));
    let mut kept = BTreeSet::new();
    let mut why = None;
    for one in keep {
        match (one, best) {
            (Keep::Best, Some(best)) => kept.insert(best),
            (Keep::Best, None) => {
                why = Some("none is called best");
                kept.insert(last)
            }
            (Keep::Last, _) => kept.insert(last),
        };
    }
    if resumes(manifest) && kept.insert(last) {
        why = Some("the last is where it resumes");
    }
    for &step in &steps {
        let path = checkpoints.checkpoint(step);
        if path.canonicalize().is_ok_and(|path| needed.contains(&path)) && kept.insert(step) {
            why = Some("another run begins from it");
        }
    }
    let dropped: BTreeSet<u64> = steps.into_iter().filter(|step| !kept.contains(step)).collect();
    let bytes = bytes_of(&dir, &dropped);
    Ok(Some(Pruning { name: name.to_owned(), dir, kept, dropped, bytes, why }))
}

/// Whether the run may be gone on with: its last checkpoint is where it begins again.
fn resumes(manifest: &Manifest) -> bool {
    !manifest.is_over() || may_be_retried(manifest)
}

/// Checkpoints that runs which are not at their end began from, or are to begin from.
pub fn beginnings(runs_dir: &Path) -> BTreeSet<PathBuf> {
    let manifests = scan::scan(runs_dir).into_iter().filter_map(|(_, manifest)| manifest.ok());
    manifests
        .filter(resumes)
        .filter_map(|manifest| PathBuf::from(manifest.init_from?.weights).parent()?.canonicalize().ok())
        .collect()
}

/// What deleting these checkpoints frees.
fn bytes_of(dir: &RunDir, steps: &BTreeSet<u64>) -> u64 {
    let checkpoints = dir.checkpoints();
    steps.iter().map(|&step| freed_bytes(&checkpoints.checkpoint(step))).sum()
}

/// Bytes of the files in a checkpoint's folder that no tag has too: those stay on the disk.
fn freed_bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.metadata().ok())
        .filter(|meta| meta.is_file())
        .map(|meta| of_its_own(&meta))
        .sum()
}

#[cfg(unix)]
fn of_its_own(meta: &std::fs::Metadata) -> u64 {
    use std::os::unix::fs::MetadataExt;
    if meta.nlink() > 1 { 0 } else { meta.len() }
}

#[cfg(not(unix))]
fn of_its_own(meta: &std::fs::Metadata) -> u64 {
    meta.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    #[test]
    fn checkpoints_that_came_after_the_question_stay() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = fixture::manifest("exp", "seed=1");
        let dir = RunDir::create(folder.path(), "exp", "seed=1", &mut manifest, "", |_| Ok(())).unwrap();
        let make = |step| std::fs::create_dir_all(dir.checkpoints().checkpoint(step)).unwrap();
        [10, 20, 30].into_iter().for_each(make);
        let told = plan("exp/seed=1", dir.clone(), &manifest, &[Keep::Last], &BTreeSet::new()).unwrap();
        let told = told.unwrap();
        assert_eq!(told.dropped, [10, 20].into());
        [40, 50].into_iter().for_each(make);
        std::fs::write(dir.checkpoints().best(), "step-000020\n").unwrap();
        prune(&told, &[Keep::Best], &BTreeSet::new()).unwrap();
        assert_eq!(dir.checkpoints().steps().unwrap(), [20, 30, 40, 50]);
    }
}

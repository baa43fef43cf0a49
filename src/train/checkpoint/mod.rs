//! Checkpoints: complete or absent, never in between, and known to be what was written.
//!
//! Each is a folder `checkpoints/step-000500` that was written under another name, synced to disk and renamed. Its
//! `checksums.toml` has the size and SHA-256 of every other file in it. `last` and `best` beside the folders are one-line files
//! with the name of the folder they stand for.

mod restore;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::target::Ema;
use crate::config::experiment::CheckpointPlan;
use crate::data::batches::BatchState;
use crate::engine::{Engine, EngineError};
use crate::event::Memorisation;
use crate::files::{atomic, disk, plain};
use crate::metric::MetricsRow;
use crate::store::manifest::TimeInfo;
use crate::store::{CheckpointsDir, RecordSizes, RunDir, StoreError, checksums};
use crate::units;

pub use restore::{GoOn, Restored, newest_step, weights_sums};

/// Position of the loop: with the engine's own state beside it, all that a run needs to go on as if it had never stopped. What
/// is sampled depends on the configuration alone, so there is no generator of samples to keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    /// Completed optimizer steps.
    pub step: u64,
    pub tokens: u64,
    pub elapsed_secs: f64,
    /// Where the data goes on: its order is a function of the seed and this.
    pub batches: BatchState,
    pub ema: Ema,
    /// Value of the metric that decides which checkpoint is best, measured at this very step.
    pub score: Option<f64>,
    /// Made by a stop where the run left alone would have made none: it is never the best, and goes with the next one.
    #[serde(default)]
    pub by_stop: bool,
    /// Score and step of the best checkpoint so far, this one included.
    pub best: Option<(f64, u64)>,
    /// Steps whose update was left out.
    pub skipped_steps: u64,
    /// The step that was sampled last.
    pub sampled_at: Option<u64>,
    /// How much of those samples was copied.
    #[serde(default)]
    pub memorisation: Option<Memorisation>,
    /// The row of this step where a stop cut its evaluation short: it is not in the record, and is evaluated when the run
    /// goes on.
    pub pending: Option<MetricsRow>,
    /// Where the time of all attempts went.
    pub time: Option<TimeInfo>,
    pub peak_memory_bytes: Option<f64>,
    /// The record's files at this moment.
    pub record: RecordSizes,
}

impl LoopState {
    /// The last step whose row is in the record.
    pub fn recorded_until(&self) -> u64 {
        if self.pending.is_some() { self.step.saturating_sub(1) } else { self.step }
    }
}

/// A checkpoint could not be written or read. The others are untouched.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "cannot write checkpoint {}: {source}{}",
        path.display(),
        plain::advice(source, "; earlier checkpoints are untouched; free space or choose another --runs-dir")
    )]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "checkpoint {} needs {}, and the disk has {} free; earlier checkpoints are untouched; free space or choose another \
         --runs-dir",
        path.display(), units::bytes(*needed as f64), units::bytes(*free as f64)
    )]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
    #[error(
        "cannot read {}, a file of a checkpoint: {source}; no checkpoint was changed; make it readable (its permissions, the limit \
         of open files, the disk) and try again",
        path.display()
    )]
    Unreadable { path: PathBuf, source: std::io::Error },
    #[error(
        "checkpoint {} was written by a newer runner (format version {found}, and this one reads up to {}); no checkpoint was \
         changed; update runner",
        path.display(), checksums::FORMAT_VERSION
    )]
    Newer { path: PathBuf, found: u32 },
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CheckpointError {
    /// Whether it is the disk that is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Write { source, .. } => disk::is_full(source),
            Self::NoSpace { .. } => true,
            Self::Unreadable { .. } | Self::Newer { .. } => false,
            Self::Engine(error) => error.is_disk_full(),
            Self::Store(error) => error.is_disk_full(),
        }
    }
}

/// What a checkpoint is called while it is written.
const PARTIAL: &str = ".partial-";
/// File of the [`LoopState`].
const LOOP_FILE: &str = "loop.json";
/// Space that is left free beside a checkpoint, for the record and the last words of this run and others.
pub const SPARE_BYTES: u64 = 1 << 20;

/// Writes and prunes the checkpoints of one run.
///
/// What is kept, and which is best, is the same whether the run was stopped on its way or not.
pub struct Checkpoints {
    dir: CheckpointsDir,
    plan: CheckpointPlan,
    /// Score and step.
    best: Option<(f64, u64)>,
    /// Steps of the checkpoints that are kept, in rising order.
    saved: Vec<u64>,
    /// The newest one is there because of a stop.
    by_stop: bool,
    /// The newest one is to be written once more.
    again: bool,
    /// Bytes of the checkpoint that was written last here.
    last_bytes: Option<u64>,
}

impl Checkpoints {
    /// The folder is made with the first checkpoint. What a killed process left half-written in it is deleted.
    pub fn new(dir: CheckpointsDir, plan: CheckpointPlan) -> Self {
        remove_partial(dir.path());
        Self { dir, plan, best: None, saved: Vec::new(), by_stop: false, again: false, last_bytes: None }
    }

    /// The newest checkpoint is of `step` and needs nothing more.
    pub fn is_saved(&self, step: u64) -> bool {
        self.saved.last() == Some(&step) && !self.again
    }

    /// Lets the newest checkpoint be written once more, because the run knows more of its step now.
    pub fn save_again(&mut self) {
        self.again = true;
    }

    /// Saves the engine and the loop; lower scores are better. Returns whether this is the best one so far.
    pub fn save(&mut self, engine: &dyn Engine, mut state: LoopState) -> Result<bool, CheckpointError> {
        let dir = self.dir.path();
        let path = self.dir.checkpoint(state.step);
        plain::check_folder(dir).and_then(|()| fs::create_dir_all(dir)).map_err(write_error(dir))?;
        self.check_space(&path, engine)?;
        // What is no number compares with nothing: as the best it would stay so for ever.
        state.score = state.score.filter(|score| score.is_finite() && !state.by_stop);
        let before = self.best_before(state.step)?;
        let best = match (before, state.score) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((best, _)), Some(score)) => score < best,
        };
        state.best = state.score.filter(|_| best).map(|score| (score, state.step)).or(before);

        let partial = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(dir).map_err(write_error(dir))?;
        engine.save(partial.path())?;
        let json = serde_json::to_vec_pretty(&state)
            .map_err(|error| CheckpointError::Write { path: path.clone(), source: error.into() })?;
        plain::write_new(&partial.path().join(LOOP_FILE), &json).map_err(write_error(&path))?;
        let bytes = checksums::write(partial.path()).map_err(write_error(&path))?;
        self.publish(partial, &path).map_err(write_error(&path))?;

        self.last_bytes = Some(bytes);
        self.best = state.best;
        self.point_to_best()?;
        point(&self.dir.last(), &path).map_err(write_error(&self.dir.last()))?;
        self.saved.retain(|&step| step != state.step);
        self.saved.push(state.step);
        (self.by_stop, self.again) = (state.by_stop, false);
        self.prune()?;
        Ok(best)
    }

    /// The best of the checkpoints other than that of `step`. Versions before this one let a stop's be the best: nothing follows the
    /// last checkpoint of a run that ended, so one between two intervals was a stop's.
    fn best_before(&self, step: u64) -> Result<Option<(f64, u64)>, CheckpointError> {
        let other = |&(_, best): &(f64, u64)| best != step && self.is_regular(best);
        if let Some(best) = self.best.filter(other) {
            return Ok(Some(best));
        }
        let others: Vec<u64> = self.saved.iter().copied().filter(|&saved| saved != step).collect();
        self.best_of(&others)
    }

    /// The best of these checkpoints by what they say themselves. One that is damaged says nothing.
    fn best_of(&self, steps: &[u64]) -> Result<Option<(f64, u64)>, CheckpointError> {
        let mut best: Option<(f64, u64)> = None;
        for &step in steps.iter().filter(|&&step| self.is_regular(step)) {
            let path = self.dir.checkpoint(step).join(LOOP_FILE);
            let json = match plain::read(&path) {
                Ok(json) => json,
                Err(error) if checksums::is_damage(&error) => continue,
                Err(source) => return Err(CheckpointError::Unreadable { path, source }),
            };
            let state: Option<LoopState> = serde_json::from_slice(&json).ok();
            let score = state.filter(|state| !state.by_stop).and_then(|state| state.score);
            if let Some(score) = score.filter(|score| best.is_none_or(|(lowest, _)| *score < lowest)) {
                best = Some((score, step));
            }
        }
        Ok(best)
    }

    /// Whether the run saves at this step whatever happens.
    fn is_regular(&self, step: u64) -> bool {
        self.plan.interval > 0 && step.is_multiple_of(self.plan.interval)
    }

    /// Without a best one, no name is better than one of a checkpoint that is not there.
    fn point_to_best(&self) -> Result<(), CheckpointError> {
        let pointer = self.dir.best();
        let Some((_, step)) = self.best else {
            return match fs::remove_file(&pointer) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(write_error(&pointer)(error))
                }
                _ => Ok(()),
            };
        };
        point(&pointer, &self.dir.checkpoint(step)).map_err(write_error(&pointer))
    }

    /// Better to say so before than to fill the disk up and take what others need.
    fn check_space(&self, path: &Path, engine: &dyn Engine) -> Result<(), CheckpointError> {
        let needed = self.last_bytes.unwrap_or_else(|| engine.saved_bytes()) + SPARE_BYTES;
        match disk::free_bytes(self.dir.path()) {
            Some(free) if free < needed => {
                Err(CheckpointError::NoSpace { path: path.to_owned(), needed, free })
            }
            _ => Ok(()),
        }
    }

    /// Syncs every file and the folder, then gives it its name.
    fn publish(&self, partial: tempfile::TempDir, path: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(partial.path())? {
            plain::open_own(&entry?.path())?.sync_all()?;
        }
        atomic::sync_dir(partial.path())?;
        // One of this step may be there: a damaged one, or one that is written again.
        let replaced = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(self.dir.path())?;
        if path.exists() {
            fs::rename(path, replaced.path().join("replaced"))?;
        }
        fs::rename(partial.path(), path)?;
        // The folder has moved: there is nothing left to delete under the temporary name.
        let _ = partial.keep();
        atomic::sync_dir(self.dir.path())
    }

    /// Deletes all but the newest `keep_last` and the best. A stop's goes as soon as it is not the newest, and until then it takes no
    /// other's place.
    fn prune(&mut self) -> Result<(), CheckpointError> {
        let best = self.best.map(|(_, step)| step);
        let newest = self.saved.last().copied();
        let counts = |step: &u64| Some(*step) == newest || self.is_regular(*step);
        let counted: Vec<u64> = self.saved.iter().copied().filter(counts).collect();
        let room = self.plan.keep_last + usize::from(self.by_stop);
        let recent = &counted[counted.len().saturating_sub(room)..];
        let (kept, dropped): (Vec<u64>, Vec<u64>) =
            self.saved.iter().partition(|step| recent.contains(step) || Some(**step) == best);
        for step in dropped {
            let path = self.dir.checkpoint(step);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(write_error(&path))?,
            }
        }
        self.saved = kept;
        Ok(())
    }
}

/// Writes the name of the checkpoint at `path` into the file `pointer`.
fn point(pointer: &Path, path: &Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().display();
    atomic::write(pointer, format!("{name}\n").as_bytes())
}

/// The step of the checkpoint that the file `pointer`, a run's `best` or `last`, names.
pub fn pointed(pointer: &Path) -> Option<u64> {
    plain::read_to_string(pointer).ok()?.trim_end().strip_prefix("step-")?.parse().ok()
}

/// Deletes the run's checkpoints but these, and lets `best` and `last` name none that is gone. Only who holds the run's lock may do
/// that.
///
/// # Errors
/// When one cannot be deleted; the others that were to go may be gone.
pub fn drop_all_but(dir: &RunDir, kept: &BTreeSet<u64>) -> Result<(), StoreError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::Write { path, source }
    };
    let checkpoints = dir.checkpoints();
    let (left, dropped): (Vec<u64>, Vec<u64>) =
        checkpoints.steps()?.into_iter().partition(|step| kept.contains(step));
    // First, so that whoever is killed now leaves no name of what is gone.
    let last = checkpoints.last();
    if pointed(&last).is_some_and(|step| !left.contains(&step)) {
        let changed = match left.last() {
            Some(newest) => point(&last, &checkpoints.checkpoint(*newest)),
            None => fs::remove_file(&last),
        };
        changed.map_err(failed(&last))?;
    }
    if pointed(&checkpoints.best()).is_some_and(|best| dropped.contains(&best)) {
        fs::remove_file(checkpoints.best()).map_err(failed(&checkpoints.best()))?;
    }
    for step in dropped {
        let path = checkpoints.checkpoint(step);
        // Under another name first: half a checkpoint would be taken for a damaged one.
        let aside = checkpoints.path().join(format!("{PARTIAL}pruned-{step}"));
        fs::rename(&path, &aside).and_then(|()| fs::remove_dir_all(&aside)).map_err(failed(&path))?;
    }
    Ok(())
}

/// Leftovers cost space and nothing else: one that cannot be deleted is no reason not to train.
fn remove_partial(dir: &Path) {
    for path in partial(dir) {
        let _ = fs::remove_dir_all(path);
    }
}

fn partial(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let is_partial = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PARTIAL);
    entries.filter(is_partial).map(|entry| entry.path())
}

/// Whether a checkpoint of the run is half-written at this moment.
pub fn is_being_written(dir: &RunDir) -> bool {
    partial(dir.checkpoints().path()).next().is_some()
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Write { path, source }
}

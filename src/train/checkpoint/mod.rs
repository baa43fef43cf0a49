//! Checkpoints: complete or absent, never in between, and known to be what was written.
//!
//! Each is a folder `checkpoints/step-000500` that was written under another name, synced to disk and renamed. Its
//! `checksums.toml` has the size and SHA-256 of every other file in it. `last` and `best` beside the folders are one-line files
//! with the name of the folder they stand for.

mod restore;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::target::Ema;
use crate::data::batches::BatchState;
use crate::engine::{Engine, EngineError};
use crate::event::Memorisation;
use crate::files::{atomic, disk};
use crate::metric::MetricsRow;
use crate::store::manifest::TimeInfo;
use crate::store::{CheckpointsDir, RecordSizes, StoreError, checksums};
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
    /// Value of the metric that decides which checkpoint is best.
    pub score: Option<f64>,
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

/// A checkpoint could not be written. The ones before it are untouched.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "cannot write checkpoint {}: {source}; earlier checkpoints are untouched; free space or choose another --runs-dir",
        path.display()
    )]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "checkpoint {} needs {}, and the disk has {} free; earlier checkpoints are untouched; free space or choose another \
         --runs-dir",
        path.display(), units::bytes(*needed as f64), units::bytes(*free as f64)
    )]
    NoSpace { path: PathBuf, needed: u64, free: u64 },
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
const SPARE_BYTES: u64 = 1 << 20;

/// Writes and prunes the checkpoints of one run.
pub struct Checkpoints {
    dir: CheckpointsDir,
    keep_last: usize,
    /// Score and step.
    best: Option<(f64, u64)>,
    /// Steps of the checkpoints that are kept, in rising order.
    saved: Vec<u64>,
    /// Bytes of the checkpoint that was written last here.
    last_bytes: Option<u64>,
}

impl Checkpoints {
    /// The folder is made with the first checkpoint. What a killed process left half-written in it is deleted.
    pub fn new(dir: CheckpointsDir, keep_last: usize) -> Self {
        remove_partial(dir.path());
        Self { dir, keep_last, best: None, saved: Vec::new(), last_bytes: None }
    }

    /// The newest checkpoint is of `step` and needs nothing more.
    pub fn is_saved(&self, step: u64) -> bool {
        self.saved.last() == Some(&step)
    }

    /// Lets the checkpoint of `step` be written once more, because the run knows more of it now.
    pub fn save_again(&mut self, step: u64) {
        self.saved.retain(|&saved| saved != step);
    }

    /// Saves the engine and the loop; lower scores are better. Returns whether this is the best one so far.
    pub fn save(&mut self, engine: &dyn Engine, mut state: LoopState) -> Result<bool, CheckpointError> {
        let dir = self.dir.path();
        let path = self.dir.checkpoint(state.step);
        fs::create_dir_all(dir).map_err(write_error(dir))?;
        self.check_space(&path, engine)?;
        let best = match (&self.best, state.score) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((best, step)), Some(score)) => score < *best || *step == state.step,
        };
        state.best = state.score.filter(|_| best).map(|score| (score, state.step)).or(self.best);

        let partial = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(dir).map_err(write_error(dir))?;
        engine.save(partial.path())?;
        let json = serde_json::to_vec_pretty(&state)
            .map_err(|error| CheckpointError::Write { path: path.clone(), source: error.into() })?;
        fs::write(partial.path().join(LOOP_FILE), &json).map_err(write_error(&path))?;
        let bytes = checksums::write(partial.path()).map_err(write_error(&path))?;
        self.publish(partial, &path).map_err(write_error(&path))?;

        self.last_bytes = Some(bytes);
        self.best = state.best;
        if best {
            point(&self.dir.best(), &path)?;
        }
        point(&self.dir.last(), &path)?;
        self.saved.push(state.step);
        self.prune()?;
        Ok(best)
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
            fs::File::open(entry?.path())?.sync_all()?;
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

    /// Deletes all but the newest `keep_last` and the best.
    fn prune(&mut self) -> Result<(), CheckpointError> {
        let best = self.best.map(|(_, step)| step);
        let surplus = self.saved.len().saturating_sub(self.keep_last);
        let (old, new) = self.saved.split_at(surplus);
        let (kept, dropped): (Vec<u64>, Vec<u64>) = old.iter().partition(|&&step| Some(step) == best);
        for step in dropped {
            let path = self.dir.checkpoint(step);
            match fs::remove_dir_all(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other.map_err(write_error(&path))?,
            }
        }
        self.saved = kept.into_iter().chain(new.iter().copied()).collect();
        Ok(())
    }
}

/// Writes the name of the checkpoint at `path` into the file `pointer`.
fn point(pointer: &Path, path: &Path) -> Result<(), CheckpointError> {
    let name = path.file_name().unwrap_or_default().display();
    atomic::write(pointer, format!("{name}\n").as_bytes()).map_err(write_error(pointer))
}

/// Leftovers cost space and nothing else: one that cannot be deleted is no reason not to train.
fn remove_partial(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Write { path, source }
}

//! Checkpoints: complete or absent, never in between.
//!
//! Each is a folder `checkpoints/step-000500` that was written under another name, synced to disk and renamed. `last` and
//! `best` beside them are one-line files with the name of the folder they stand for.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::target::Ema;
use crate::data::batches::BatchState;
use crate::engine::{Engine, EngineError};
use crate::store::{CheckpointsDir, atomic};

/// Position of the loop: with the engine's own state beside it, all that a run needs to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopState {
    pub step: u64,
    pub tokens: u64,
    pub elapsed_secs: f64,
    pub batches: BatchState,
    pub ema: Ema,
    /// Value of the metric that decides which checkpoint is best.
    pub score: Option<f64>,
}

/// A checkpoint could not be written. The ones before it are untouched.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error(
        "cannot write checkpoint {}: {source}; earlier checkpoints are untouched; free space or choose another --runs-dir",
        path.display()
    )]
    Write { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// What a checkpoint is called while it is written.
const PARTIAL: &str = ".partial-";

/// Writes and prunes the checkpoints of one run.
pub struct Checkpoints {
    dir: CheckpointsDir,
    keep_last: usize,
    /// Score and step.
    best: Option<(f64, u64)>,
    /// Steps of the checkpoints that are kept.
    saved: Vec<u64>,
}

impl Checkpoints {
    /// The folder is made with the first checkpoint. What a killed process left half-written in it is deleted.
    pub fn new(dir: CheckpointsDir, keep_last: usize) -> Self {
        remove_partial(dir.path());
        Self { dir, keep_last, best: None, saved: Vec::new() }
    }

    /// The step of the newest checkpoint is `step`.
    pub fn is_saved(&self, step: u64) -> bool {
        self.saved.last() == Some(&step)
    }

    /// Saves the engine and the loop; lower scores are better. Returns whether this is the best one so far.
    pub fn save(&mut self, engine: &dyn Engine, state: &LoopState) -> Result<bool, CheckpointError> {
        let dir = self.dir.path();
        let path = self.dir.checkpoint(state.step);
        fs::create_dir_all(dir).map_err(write_error(dir))?;
        let partial = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(dir).map_err(write_error(dir))?;
        engine.save(partial.path())?;
        let json = serde_json::to_vec_pretty(state)
            .map_err(|error| CheckpointError::Write { path: path.clone(), source: error.into() })?;
        atomic::write(&partial.path().join("loop.json"), &json).map_err(write_error(&path))?;
        self.publish(partial, &path).map_err(write_error(&path))?;

        let best = match (&self.best, state.score) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((best, _)), Some(score)) => score < *best,
        };
        if let (true, Some(score)) = (best, state.score) {
            self.best = Some((score, state.step));
            point(&self.dir.best(), &path)?;
        }
        point(&self.dir.last(), &path)?;
        self.saved.push(state.step);
        self.prune()?;
        Ok(best)
    }

    /// Syncs every file and the folder, then gives it its name.
    fn publish(&self, partial: tempfile::TempDir, path: &Path) -> std::io::Result<()> {
        for entry in fs::read_dir(partial.path())? {
            fs::File::open(entry?.path())?.sync_all()?;
        }
        atomic::sync_dir(partial.path())?;
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
            fs::remove_dir_all(&path).map_err(write_error(&path))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunDir;

    #[test]
    fn what_a_killed_process_left_half_written_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path()).checkpoints();
        let partial = dir.path().join(".partial-a1b2c3");
        for path in [&partial, &dir.checkpoint(500)] {
            fs::create_dir_all(path).unwrap();
            fs::write(path.join("model.safetensors"), "x").unwrap();
        }
        Checkpoints::new(dir.clone(), 2);
        assert!(!partial.exists());
        assert!(dir.checkpoint(500).join("model.safetensors").exists());
    }
}

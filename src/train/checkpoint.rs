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
use crate::store::atomic;

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

/// Writes, names and prunes the checkpoints of one run.
pub struct Checkpoints {
    dir: PathBuf,
    keep_last: usize,
    best: Option<(f64, String)>,
    saved: Vec<String>,
}

impl Checkpoints {
    /// `dir` is the run's `checkpoints` folder; it is made with the first checkpoint.
    pub fn new(dir: PathBuf, keep_last: usize) -> Self {
        Self { dir, keep_last, best: None, saved: Vec::new() }
    }

    /// The step of the newest checkpoint is `step`.
    pub fn is_saved(&self, step: u64) -> bool {
        self.saved.last() == Some(&folder_name(step))
    }

    /// Saves the engine and the loop; lower scores are better. Returns whether this is the best one so far.
    pub fn save(&mut self, engine: &dyn Engine, state: &LoopState) -> Result<bool, CheckpointError> {
        let name = folder_name(state.step);
        fs::create_dir_all(&self.dir).map_err(write_error(&self.dir))?;
        let partial = tempfile::Builder::new()
            .prefix(".partial-")
            .tempdir_in(&self.dir)
            .map_err(write_error(&self.dir))?;
        engine.save(partial.path())?;
        let json = serde_json::to_vec_pretty(state)
            .map_err(|error| CheckpointError::Write { path: self.dir.join(&name), source: error.into() })?;
        atomic::write(&partial.path().join("loop.json"), &json)
            .map_err(write_error(&self.dir.join(&name)))?;
        self.publish(partial, &name).map_err(write_error(&self.dir.join(&name)))?;

        let best = match (&self.best, state.score) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some((best, _)), Some(score)) => score < *best,
        };
        if let (true, Some(score)) = (best, state.score) {
            self.best = Some((score, name.clone()));
            self.point("best", &name)?;
        }
        self.point("last", &name)?;
        self.saved.push(name);
        self.prune()?;
        Ok(best)
    }

    /// Syncs every file and the folder, then gives it its name.
    fn publish(&self, partial: tempfile::TempDir, name: &str) -> std::io::Result<()> {
        for entry in fs::read_dir(partial.path())? {
            fs::File::open(entry?.path())?.sync_all()?;
        }
        atomic::sync_dir(partial.path())?;
        fs::rename(partial.path(), self.dir.join(name))?;
        // The folder has moved: there is nothing left to delete under the temporary name.
        let _ = partial.keep();
        atomic::sync_dir(&self.dir)
    }

    fn point(&self, pointer: &str, name: &str) -> Result<(), CheckpointError> {
        let path = self.dir.join(pointer);
        atomic::write(&path, format!("{name}\n").as_bytes()).map_err(write_error(&path))
    }

    /// Deletes all but the newest `keep_last` and the best.
    fn prune(&mut self) -> Result<(), CheckpointError> {
        let best = self.best.as_ref().map(|(_, name)| name.clone());
        let surplus = self.saved.len().saturating_sub(self.keep_last);
        let (old, new) = self.saved.split_at(surplus);
        let (kept, dropped): (Vec<_>, Vec<_>) =
            old.iter().cloned().partition(|name| Some(name) == best.as_ref());
        for name in dropped {
            let path = self.dir.join(&name);
            fs::remove_dir_all(&path).map_err(write_error(&path))?;
        }
        self.saved = kept.into_iter().chain(new.iter().cloned()).collect();
        Ok(())
    }
}

fn folder_name(step: u64) -> String {
    format!("step-{step:06}")
}

fn write_error(path: &Path) -> impl FnOnce(std::io::Error) -> CheckpointError {
    let path = path.to_owned();
    move |source| CheckpointError::Write { path, source }
}

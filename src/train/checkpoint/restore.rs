//! Going on from a checkpoint: the newest that is sound.

use std::fs;
use std::path::Path;

use super::{CheckpointError, Checkpoints, LOOP_FILE, LoopState, point, write_error};
use crate::engine::{Engine, EngineError};
use crate::metric::MetricsRow;
use crate::store::{RunDir, checksums, read_rows};

/// What was found in a run's folder of checkpoints.
#[derive(Debug)]
pub struct Restored {
    /// Where the run goes on, with the rows of the steps until there; `None`: at its beginning.
    pub go_on: Option<GoOn>,
    /// What could not be used, in words, newest first. It lies beside the others, its name ending in `.damaged`.
    pub damaged: Vec<String>,
}

/// Where a run goes on, with the rows of the steps until there.
#[derive(Debug)]
pub struct GoOn {
    pub state: LoopState,
    pub rows: Vec<MetricsRow>,
}

/// The step of the newest checkpoint, sound or not.
pub fn newest_step(dir: &RunDir) -> Option<u64> {
    dir.checkpoints().steps().pop()
}

/// Name and SHA-256 of the files of the newest checkpoint that hold the engine: weights, optimizer, generators. The position of
/// the loop, with its times, is left out.
pub fn weights_sums(dir: &RunDir) -> Vec<(String, String)> {
    let Some(step) = newest_step(dir) else { return Vec::new() };
    let mut sums = checksums::recorded(&dir.checkpoints().checkpoint(step));
    sums.retain(|(name, _)| name != LOOP_FILE);
    sums
}

impl Checkpoints {
    /// Loads the newest checkpoint whose files are what was written and whose record is still there. Those that are not are
    /// put aside, and the one before is tried.
    ///
    /// # Errors
    /// When the folder cannot be written to.
    pub fn restore(&mut self, dir: &RunDir, engine: &mut dyn Engine) -> Result<Restored, CheckpointError> {
        let mut steps = self.dir.steps();
        let mut damaged = Vec::new();
        let go_on = loop {
            let Some(step) = steps.pop() else { break None };
            let path = self.dir.checkpoint(step);
            match load(dir, &path, step, engine) {
                Ok(go_on) => {
                    steps.push(step);
                    break Some(go_on);
                }
                Err(Fault::Elsewhere(error)) => return Err(error),
                Err(Fault::Damaged(reason)) => {
                    let name = path.file_name().unwrap_or_default().display().to_string();
                    put_aside(&path).map_err(write_error(&path))?;
                    damaged.push(format!(
                        "checkpoint {name} cannot be used: {reason}; it is kept as {name}.damaged"
                    ));
                }
            }
        };
        if let Some(GoOn { state, .. }) = &go_on {
            self.best = state.best.filter(|(_, step)| steps.contains(step));
            point(&self.dir.last(), &self.dir.checkpoint(state.step))?;
            if let Some((_, step)) = self.best {
                point(&self.dir.best(), &self.dir.checkpoint(step))?;
            }
        }
        self.saved = steps;
        Ok(Restored { go_on, damaged })
    }
}

/// Why a checkpoint was not loaded.
enum Fault {
    /// Its files, or those that it belongs to, are not as they were.
    Damaged(String),
    /// Nothing is wrong with it: the device or its memory failed.
    Elsewhere(CheckpointError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Fault::Damaged(reason)
    }
}

fn load(dir: &RunDir, path: &Path, step: u64, engine: &mut dyn Engine) -> Result<GoOn, Fault> {
    checksums::verify(path)?;
    let json = fs::read(path.join(LOOP_FILE)).map_err(|error| format!("{LOOP_FILE}: {error}"))?;
    let state: LoopState = serde_json::from_slice(&json).map_err(|error| format!("{LOOP_FILE}: {error}"))?;
    if state.step != step {
        return Err(format!("{LOOP_FILE} says that it is of step {}", state.step).into());
    }
    if let Some(lost) = state.record.lost(dir) {
        return Err(format!("the run's record is shorter than it was: {lost}").into());
    }
    let rows = read_rows(&dir.metrics(), Some(state.record.metrics))
        .map_err(|error| format!("metrics.csv: {error}"))?;
    let last = rows.last().map_or(0, |row| row.step);
    let expected = if state.pending.is_some() { step.saturating_sub(1) } else { step };
    if last != expected {
        return Err(format!(
            "metrics.csv ends with step {last} there, where {expected} should be the last one"
        )
        .into());
    }
    engine.load(path).map_err(|error| match error {
        EngineError::Weights { .. } | EngineError::Io { .. } => Fault::Damaged(error.to_string()),
        other => Fault::Elsewhere(other.into()),
    })?;
    Ok(GoOn { state, rows })
}

fn put_aside(path: &Path) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    if Path::new(&aside).exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(path, aside)
}

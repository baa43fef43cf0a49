//! Going on from a checkpoint: the newest that is sound.

use std::cmp::Reverse;
use std::fs;
use std::path::Path;

use super::{CheckpointError, Checkpoints, LOOP_FILE, LoopState, point, write_error};
use crate::engine::{Engine, EngineError};
use crate::files::plain;
use crate::metric::MetricsRow;
use crate::store::checksums::{self, Unsound, unsound};
use crate::store::{RunDir, StoreError, read_rows, write_rows};
use crate::units;

/// What was found in a run's folder of checkpoints.
#[derive(Debug)]
pub struct Restored {
    /// Where the run goes on, with the rows of the steps until there; `None`: at its beginning.
    pub go_on: Option<GoOn>,
    /// What could not be used, in words, newest first, and what the record lost. Checkpoints that were damaged lie beside the
    /// others, their names ending in `.damaged`.
    pub notices: Vec<String>,
    /// That rows of `metrics.csv` are gone for good, in words.
    pub rows_lost: Option<String>,
}

/// Where a run goes on, with the rows of the steps until there.
#[derive(Debug)]
pub struct GoOn {
    pub state: LoopState,
    pub rows: Vec<MetricsRow>,
}

/// The step of the newest checkpoint, sound or not.
///
/// # Errors
/// When it cannot be read which there are.
pub fn newest_step(dir: &RunDir) -> Result<Option<u64>, StoreError> {
    Ok(dir.checkpoints().steps()?.pop())
}

/// Name and SHA-256 of the files of the newest checkpoint that hold the engine: weights, optimizer, generators. The position of
/// the loop, with its times, is left out.
pub fn weights_sums(dir: &RunDir) -> Vec<(String, String)> {
    let Ok(Some(step)) = newest_step(dir) else { return Vec::new() };
    let mut sums = checksums::recorded(&dir.checkpoints().checkpoint(step));
    sums.retain(|(name, _)| name != LOOP_FILE);
    sums
}

impl Checkpoints {
    /// Loads the newest checkpoint whose files are what was written and whose rows are still there, and cuts the run's record back
    /// to it. Those that are not are put aside. Where rows are lost for all of them, the newest is taken without: weights are worth
    /// more than the record of how they came about.
    ///
    /// # Errors
    /// When a file cannot be read, which is not to be damaged: then nothing was changed. When the folder cannot be written to.
    pub fn restore(&mut self, dir: &RunDir, engine: &mut dyn Engine) -> Result<Restored, CheckpointError> {
        let steps = self.dir.steps()?;
        let (mut found, mut rows_lost) = (None, None);
        let mut unusable: Vec<(u64, String)> = Vec::new();
        let mut rowless: Vec<(LoopState, String)> = Vec::new();
        for &step in steps.iter().rev() {
            match load(dir, &self.dir.checkpoint(step), step, engine) {
                Ok(go_on) => {
                    found = Some(go_on);
                    break;
                }
                Err(Fault::Elsewhere(error)) => return Err(error),
                Err(Fault::Damaged(reason)) => unusable.push((step, reason)),
                Err(Fault::RowsLost(state, reason)) => {
                    let reason = format!("the run's files have changed since the checkpoint: {reason}");
                    rowless.push((*state, reason));
                }
            }
        }
        if found.is_some() {
            unusable.extend(rowless.into_iter().map(|(state, reason)| (state.step, reason)));
        } else {
            (found, rows_lost) = self.without_rows(dir, rowless, &mut unusable, engine)?.unzip();
        }
        unusable.sort_unstable_by_key(|(step, _)| Reverse(*step));
        let is_usable = |step: &u64| unusable.iter().all(|(other, _)| other != step);
        let left: Vec<u64> = steps.into_iter().filter(is_usable).collect();
        let (mut best, mut prose_lost) = (None, Vec::new());
        if let Some(GoOn { state, .. }) = &found {
            prose_lost = state.record.prose_lost(dir)?;
            best = match state.best.filter(|(_, step)| left.contains(step)) {
                Some(best) => Some(best),
                None => self.best_of(&left)?,
            };
        }
        // All that had to be read was read: from here on things are moved.
        let mut notices = Vec::new();
        for (step, reason) in unusable {
            let path = self.dir.checkpoint(step);
            let name = path.file_name().unwrap_or_default().display().to_string();
            put_aside(&path).map_err(write_error(&path))?;
            notices.push(format!(
                "checkpoint {name} cannot be used: {reason}; it was renamed to {name}.damaged"
            ));
        }
        notices.extend(rows_lost.clone());
        (self.saved, self.best) = (left, best);
        if let Some(GoOn { state, rows }) = &mut found {
            notices.extend(prose_lost.into_iter().map(|lost| {
                format!(
                    "{lost}: its content for the steps up to {} is lost in part or completely; the run continues",
                    state.step
                )
            }));
            self.by_stop = state.by_stop;
            point(&self.dir.last(), &self.dir.checkpoint(state.step))
                .map_err(write_error(&self.dir.last()))?;
            self.point_to_best()?;
            // The process may have ended between a checkpoint and the deletion of those that it made superfluous.
            self.prune()?;
            if rows_lost.is_some() {
                keep_rows(dir, rows)?;
                state.record.cut_back_prose(dir)?;
                rows.extend(row_of(state, rows.last().map_or(0, |row| row.step)));
            } else {
                state.record.cut_back(dir)?;
            }
        }
        Ok(Restored { go_on: found, notices, rows_lost })
    }

    /// The first of these checkpoints, all of which lack rows, that can be loaded, with the rows that are left, and that in words.
    /// Those behind it lack the same rows and are as good; those before it are `unusable`.
    fn without_rows(
        &self,
        dir: &RunDir,
        rowless: Vec<(LoopState, String)>,
        unusable: &mut Vec<(u64, String)>,
        engine: &mut dyn Engine,
    ) -> Result<Option<(GoOn, String)>, CheckpointError> {
        for (state, reason) in rowless {
            match load_engine(&self.dir.checkpoint(state.step), engine) {
                Ok(()) => {
                    let rows = rows_that_are_left(dir, &state)?;
                    let lost = format!(
                        "resuming from step {} although {reason}; {} of the steps before it are kept, and the file as it was found is \
                         saved as metrics.csv.damaged",
                        state.step,
                        units::counted(rows.len() as u64, "row")
                    );
                    return Ok(Some((GoOn { state, rows }, lost)));
                }
                Err(Fault::Elsewhere(error)) => return Err(error),
                Err(Fault::Damaged(reason) | Fault::RowsLost(_, reason)) => {
                    unusable.push((state.step, reason));
                }
            }
        }
        Ok(None)
    }
}

/// Why a checkpoint was not loaded.
enum Fault {
    /// Its files are not as they were.
    Damaged(String),
    /// It is sound, and the rows of the steps until there are not as they were.
    RowsLost(Box<LoopState>, String),
    /// Nothing is known to be wrong with it: a file could not be read, or the device or its memory failed.
    Elsewhere(CheckpointError),
}

impl From<String> for Fault {
    fn from(reason: String) -> Self {
        Fault::Damaged(reason)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Fault::Elsewhere(error.into())
    }
}

fn fault(path: &Path) -> impl FnOnce(Unsound) -> Fault {
    move |found| match found {
        Unsound::Damaged(reason) => Fault::Damaged(reason),
        Unsound::Unreadable { path, source } => {
            Fault::Elsewhere(CheckpointError::Unreadable { path, source })
        }
        Unsound::Newer(found) => Fault::Elsewhere(CheckpointError::Newer { path: path.to_owned(), found }),
    }
}

fn load(dir: &RunDir, path: &Path, step: u64, engine: &mut dyn Engine) -> Result<GoOn, Fault> {
    checksums::verify(path).map_err(fault(path))?;
    let loop_file = path.join(LOOP_FILE);
    let json = plain::read(&loop_file).map_err(|error| fault(path)(unsound(&loop_file)(error)))?;
    let state: LoopState = serde_json::from_slice(&json).map_err(|error| format!("{LOOP_FILE}: {error}"))?;
    if state.step != step {
        return Err(format!("{LOOP_FILE} says that it is of step {}", state.step).into());
    }
    if let Some(lost) = state.record.rows_lost(dir)? {
        return Err(Fault::RowsLost(Box::new(state), lost));
    }
    let metrics = dir.metrics();
    let rows = read_rows(&metrics, Some(state.record.metrics))
        .map_err(|source| StoreError::Read { path: metrics, source })?;
    let (last, expected) = (rows.last().map_or(0, |row| row.step), state.recorded_until());
    if last != expected {
        let lost =
            format!("metrics.csv ends with step {last} there, where {expected} should be the last one");
        return Err(Fault::RowsLost(Box::new(state), lost));
    }
    load_engine(path, engine)?;
    Ok(GoOn { state, rows })
}

fn load_engine(path: &Path, engine: &mut dyn Engine) -> Result<(), Fault> {
    engine.load(path).map_err(|error| match error {
        EngineError::Io { path: file, source } => fault(path)(unsound(&file)(source)),
        EngineError::Weights { .. } => Fault::Damaged(error.to_string()),
        other => Fault::Elsewhere(other.into()),
    })
}

/// The rows of the steps until a checkpoint, as far as they can be used.
fn rows_that_are_left(dir: &RunDir, state: &LoopState) -> Result<Vec<MetricsRow>, CheckpointError> {
    let path = dir.metrics();
    let mut rows = read_rows(&path, None).map_err(|source| StoreError::Read { path, source })?;
    rows.retain(|row| row.step <= state.recorded_until());
    Ok(rows)
}

/// Has `metrics.csv` hold these rows alone. The first file that was found damaged stays beside it.
fn keep_rows(dir: &RunDir, rows: &[MetricsRow]) -> Result<(), CheckpointError> {
    let path = dir.metrics();
    let aside = dir.path().join("metrics.csv.damaged");
    if path.exists() && !aside.exists() {
        let rows = plain::read(&path).map_err(|source| StoreError::Read { path: path.clone(), source })?;
        plain::write_new(&aside, rows).map_err(write_error(&aside))?;
    }
    write_rows(&path, rows).map_err(write_error(&path))
}

/// What is known of the last step in the record when its row is not; `None` when it is there.
fn row_of(state: &LoopState, last: u64) -> Option<MetricsRow> {
    let step = state.recorded_until();
    (last < step).then(|| MetricsRow {
        step,
        tokens: Some(state.tokens as f64 / state.step as f64 * step as f64),
        elapsed_secs: Some(state.elapsed_secs),
        ..MetricsRow::default()
    })
}

fn put_aside(path: &Path) -> std::io::Result<()> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".damaged");
    if Path::new(&aside).exists() {
        fs::remove_dir_all(&aside)?;
    }
    fs::rename(path, aside)
}

//! When and what a run saves.

use std::time::Instant;

use super::TrainError;
use super::checkpoint::{CheckpointError, LoopState};
use super::ending::{Ending, lost, spoilt};
use super::grace;
use super::run_loop::Session;
use crate::engine::EngineError;
use crate::event::Event;
use crate::facts::Status;
use crate::metric::MetricsRow;
use crate::store::RecordSizes;

/// Why a checkpoint is saved.
pub(super) enum Saved {
    /// It is due, or the run came to its end: the run left alone saves there, too.
    Regular,
    /// The run was asked to stop.
    ByStop,
    /// The same, after this row, whose evaluation was cut short: it is not in the record yet.
    Pending(Box<MetricsRow>),
}

impl Session<'_> {
    pub(super) fn save_checkpoint_at_end(&mut self, status: Status) -> Result<Option<Ending>, TrainError> {
        let step = self.tally.last().step;
        if self.plan.checkpoint.interval == 0 || step == 0 || self.checkpoints.is_saved(step) {
            return Ok(None);
        }
        self.save_checkpoint(if status == Status::Interrupted { Saved::ByStop } else { Saved::Regular })
    }

    /// Saves where the run stands. Weights that are no model any more are its end: the checkpoint before stays the last one.
    pub(super) fn save_checkpoint(&mut self, saved: Saved) -> Result<Option<Ending>, TrainError> {
        self.dir.check_same(self.identity)?;
        let started = Instant::now();
        let by_stop = !matches!(saved, Saved::Regular);
        let pending = if let Saved::Pending(row) = saved { Some(*row) } else { None };
        let last = pending.as_ref().unwrap_or(self.tally.last()).clone();
        // Where no evaluation says so, weights that are finite and compute nothing would be found out a step too late.
        if last.val_loss.is_none()
            && let Some(lost) = lost(self.probe()?, "the training text")
        {
            return Ok(Some(lost));
        }
        let last = &last;
        let state = LoopState {
            step: last.step,
            tokens: last.tokens.unwrap_or(0.0) as u64,
            elapsed_secs: self.clock.elapsed_secs(),
            batches: self.batches.state(),
            ema: self.ema.clone(),
            score: self.score(last),
            by_stop,
            best: None,
            skipped_steps: self.skipped_steps,
            sampled_at: self.sampled_at,
            memorisation: self.tally.memorisation.clone(),
            time: self.time(),
            peak_memory_bytes: self.peak_memory_bytes(),
            record: RecordSizes::sync(&self.dir)?,
            pending,
        };
        let step = state.step;
        let best = match self.checkpoints.save(self.engine.as_ref(), state) {
            Err(CheckpointError::Engine(EngineError::NotFinite { tensor })) => {
                return Ok(Some(spoilt(step, &tensor)));
            }
            other => other?,
        };
        let time = started.elapsed();
        self.spent.checkpoints += time;
        self.emit(Event::CheckpointSaved { step, best, secs: time.as_secs_f64() })?;
        self.tell_of_grace(step, time.as_secs_f64())?;
        Ok(None)
    }

    /// Once, and not where time is only pretended.
    fn tell_of_grace(&mut self, step: u64, save_secs: f64) -> Result<(), TrainError> {
        if self.told_of_grace || self.time().is_none() {
            return Ok(());
        }
        self.told_of_grace = true;
        match grace::too_long_for(self.tally.last().step_secs.unwrap_or(0.0), save_secs) {
            Some(message) => self.emit(Event::Warning { step, message }),
            None => Ok(()),
        }
    }

    /// What decides which checkpoint is best: the validation loss of its own step, or without validation the smoothed train loss.
    /// An earlier loss is none of these weights.
    fn score(&self, row: &MetricsRow) -> Option<f64> {
        let target = &self.plan.target;
        let by_validation =
            self.evaluates() || target.threshold.is_some() && target.metric.is_of_validation();
        if by_validation { row.val_loss } else { row.train_loss_ema }
    }
}

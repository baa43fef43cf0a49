//! The loop, in reading order.

use std::time::{Duration, Instant};

use super::TrainError;
use super::checkpoint::{Checkpoints, GoOn, LoopState};
use super::clock::{Clock, Spent};
use super::ending::{Ending, diverged, interrupted, lost, planned};
use super::saving::Saved;
use super::stop::StopFlag;
use super::tally::Tally;
use super::target::{self, Ema};
use crate::config::experiment::RunPlan;
use crate::data::Dataset;
use crate::data::batches::Batches;
use crate::data::tokenizer::TokenLengths;
use crate::engine::{Engine, StepOutput};
use crate::event::Event;
use crate::facts::{Score, Status};
use crate::metric::MetricsRow;
use crate::monitor::Monitor;
use crate::optim::{learning_rate, rate_of_rest};
use crate::sinks::Sink;
use crate::store::manifest::{Results, TimeInfo};
use crate::store::{Identity, RunDir};

/// How often it is looked whether the run's directory is still there.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// A run under way.
pub struct Session<'a> {
    pub(super) plan: &'a RunPlan,
    /// The run's name on disk.
    name: String,
    pub(super) dataset: &'a Dataset,
    pub(super) engine: Box<dyn Engine>,
    sinks: Vec<Box<dyn Sink>>,
    monitor: Monitor,
    pub(super) stop: &'a StopFlag,
    pub(super) batches: Batches,
    /// How much text each token stands for.
    pub(super) lengths: TokenLengths,
    pub(super) checkpoints: Checkpoints,
    pub(super) clock: Clock,
    pub(super) ema: Ema,
    pub(super) tally: Tally,
    pub(super) spent: Spent,
    pub(super) sampled_at: Option<u64>,
    /// Steps whose update was left out.
    pub(super) skipped_steps: u64,
    pub(super) attempt: u64,
    /// What was known at the checkpoint that this attempt goes on from.
    resumed: Option<LoopState>,
    pub(super) dir: RunDir,
    /// What `dir` was at the beginning, and when it was last looked at.
    pub(super) identity: Identity,
    looked_at: Instant,
    /// It was looked at whether stopping takes longer than others wait.
    pub(super) told_of_grace: bool,
}

/// What a session stands on.
pub struct Opened<'a> {
    pub plan: &'a RunPlan,
    pub dir: &'a RunDir,
    pub dataset: &'a Dataset,
    pub engine: Box<dyn Engine>,
    pub checkpoints: Checkpoints,
    pub attempt: u64,
}

impl<'a> Session<'a> {
    /// A run at its beginning, or where `go_on` says.
    pub fn new(
        opened: Opened<'a>,
        go_on: Option<GoOn>,
        sinks: Vec<Box<dyn Sink>>,
        monitor: Monitor,
        stop: &'a StopFlag,
    ) -> Result<Self, TrainError> {
        let Opened { plan, dir, dataset, engine, checkpoints, attempt } = opened;
        let train = &plan.train;
        let mut batches = Batches::new(
            dataset.train.clone(),
            train.batch_size,
            plan.sequence_length(),
            plan.data.order,
            plan.experiment.seed,
        )?;
        let (resumed, rows) = go_on.map(|GoOn { state, rows }| (state, rows)).unzip();
        let resumed: Option<LoopState> = resumed;
        if let Some(state) = &resumed {
            batches.restore(state.batches.clone())?;
        }
        let state = resumed.as_ref();
        let mut tally = Tally::of_rows(&rows.unwrap_or_default());
        tally.memorisation = state.and_then(|state| state.memorisation.clone());
        Ok(Self {
            plan,
            name: dir.name(),
            dataset,
            engine,
            sinks,
            monitor,
            stop,
            batches,
            lengths: TokenLengths::of(&dataset.tokenizer),
            checkpoints,
            clock: Clock::resume(state.map_or(0.0, |state| state.elapsed_secs)),
            ema: state.map_or_else(|| Ema::new(train.ema_decay), |state| state.ema.clone()),
            tally,
            spent: Spent::default(),
            sampled_at: state.and_then(|state| state.sampled_at),
            skipped_steps: state.map_or(0, |state| state.skipped_steps),
            attempt,
            resumed,
            dir: dir.clone(),
            identity: dir.identity()?,
            looked_at: Instant::now(),
            told_of_grace: false,
        })
    }

    /// Trains to the end, whichever it is. What happened until an error stays available in [`Session::results`]. `notices`
    /// are what a person should know before it begins: which checkpoints could not be used, and what else is not as it was; `idle` the
    /// keys that do nothing, which whoever goes on with a run has heard of.
    pub fn run(&mut self, notices: Vec<String>, idle: Vec<String>) -> Result<Ending, TrainError> {
        self.emit_started()?;
        let step = self.tally.last().step;
        notices.into_iter().try_for_each(|message| self.emit(Event::Warning { step, message }))?;
        match &self.resumed {
            Some(state) => self.emit(Event::Resumed { attempt: self.attempt, step: state.step })?,
            None => {
                idle.into_iter().try_for_each(|message| self.emit(Event::NoEffect { message }))?;
                self.warn_of_data()?;
            }
        }
        let mut ending = self.train()?;
        if ending.status != Status::Diverged
            && let Some(spoilt) = self.save_checkpoint_at_end(ending.status)?
        {
            ending = spoilt;
        }
        if ending.status == Status::Finished {
            self.sample_at_end()?;
            self.evaluate_corpus()?;
            if let Some(lost) = lost(self.tally.whole.corpus_loss, "the training text") {
                ending = lost;
            } else if self.was_cut_short() {
                ending = interrupted(self.tally.last().step);
            }
        }
        self.emit(self.finished(&ending))?;
        Ok(ending)
    }

    /// Tells the sinks that an error ended the run. One of them may be the cause: the others still hear it.
    pub fn announce_failure(&mut self, error: &TrainError) {
        let ending = Ending { status: error.status(), reason: error.class(), message: error.to_string() };
        let event = self.finished(&ending);
        for sink in &mut self.sinks {
            let _ = sink.on_event(&event);
        }
    }

    /// Whether a stop came before all was measured that belongs to the end, and the run can be gone on with to make up for it.
    fn was_cut_short(&self) -> bool {
        let evaluated = !self.plan.train.final_eval || self.tally.whole.corpus_loss.is_some();
        let sampled = self.plan.sample.interval == 0 || self.sampled_at == Some(self.tally.last().step);
        self.stop.is_requested() && self.plan.checkpoint.interval > 0 && !(evaluated && sampled)
    }

    /// Final numbers of what was done so far.
    pub fn results(&self) -> Results {
        self.tally.results(self.peak_memory_bytes().map(|bytes| bytes as u64))
    }

    /// Of all attempts.
    pub(super) fn peak_memory_bytes(&self) -> Option<f64> {
        let before = self.resumed.as_ref().and_then(|state| state.peak_memory_bytes);
        let now = self.monitor.peak_memory_bytes();
        before.zip(now).map(|(before, now)| before.max(now)).or(before).or(now)
    }

    /// Where the time of all attempts went so far.
    pub fn time(&self) -> Option<TimeInfo> {
        let now = self.clock.account(self.tally.attempt_secs(), self.engine.step_parts(), &self.spent)?;
        Some(match self.resumed.as_ref().and_then(|state| state.time.as_ref()) {
            Some(before) => before.clone().and(&now),
            None => now,
        })
    }

    /// The step that reached the target, and the value that did.
    pub fn target_reached(&self) -> Option<(u64, f64)> {
        let last = self.tally.last();
        target::reached(&self.plan.target, last).map(|value| (last.step, value))
    }

    fn train(&mut self) -> Result<Ending, TrainError> {
        match self.resumed.clone() {
            Some(state) => {
                if let Some(ending) = self.catch_up(state)? {
                    return Ok(ending);
                }
            }
            None => self.evaluate_before_training()?,
        }
        for step in self.tally.last().step + 1..=self.plan.train.max_steps {
            if self.stop.is_requested() {
                return Ok(interrupted(step - 1));
            }
            if self.looked_at.elapsed() >= LOOK_AFTER {
                self.looked_at = Instant::now();
                self.dir.check_same(self.identity)?;
            }
            let row = self.step(step)?;
            if let Some(ending) = diverged(&row) {
                self.record(row)?;
                return Ok(ending);
            }
            if let Some(ending) = self.conclude(row)? {
                return Ok(ending);
            }
            if is_due(self.plan.checkpoint.interval, step)
                && let Some(spoilt) = self.save_checkpoint(Saved::Regular)?
            {
                return Ok(spoilt);
            }
        }
        Ok(interrupted(self.plan.train.max_steps))
    }

    /// What was left to do at the step of the checkpoint that the run goes on from.
    fn catch_up(&mut self, state: LoopState) -> Result<Option<Ending>, TrainError> {
        if let Some(row) = state.pending {
            self.checkpoints.save_again();
            let ending = self.conclude(MetricsRow { attempt: Some(self.attempt as f64), ..row })?;
            if ending.is_none() && is_due(self.plan.checkpoint.interval, state.step) {
                return self.save_checkpoint(Saved::Regular);
            }
            return Ok(ending);
        }
        if let Some(ending) = self.planned_ending(&self.tally.last().clone()) {
            // The time was up between a stop and its checkpoint, which turns out to be the last one.
            if state.by_stop {
                self.checkpoints.save_again();
            }
            return Ok(Some(ending));
        }
        if is_due(self.plan.sample.interval, state.step) && self.sampled_at != Some(state.step) {
            self.sample(state.step)?;
        }
        Ok(None)
    }

    /// All that follows a step whose numbers are known: evaluation, record, sample. Says so when the run ends with it.
    fn conclude(&mut self, mut row: MetricsRow) -> Result<Option<Ending>, TrainError> {
        let step = row.step;
        let mut ending = self.planned_ending(&row);
        if self.evaluates() && (self.evaluation_is_due(step) || ending.is_some()) {
            if !self.evaluate(&mut row)? {
                return self.leave_pending(row).map(Some);
            }
            // A target on the validation loss outweighs the last step and the time limit; a loss that is none outweighs both.
            ending = lost(row.val_loss, "the validation text").or_else(|| self.planned_ending(&row));
        }
        self.record(row)?;
        if ending.is_none() && is_due(self.plan.sample.interval, step) {
            self.sample(step)?;
        }
        Ok(ending)
    }

    /// A stop cut the evaluation short: it is made up for when the run goes on. Until then the row stands without it.
    fn leave_pending(&mut self, row: MetricsRow) -> Result<Ending, TrainError> {
        let step = row.step;
        let spoilt = match self.plan.checkpoint.interval {
            0 => None,
            _ => self.save_checkpoint(Saved::Pending(Box::new(row.clone())))?,
        };
        self.record(row)?;
        Ok(spoilt.unwrap_or_else(|| interrupted(step)))
    }

    fn planned_ending(&self, row: &MetricsRow) -> Option<Ending> {
        planned(self.plan, row, self.clock.elapsed_secs())
    }

    /// One optimizer step, and what can be said of it at once.
    fn step(&mut self, step: u64) -> Result<MetricsRow, TrainError> {
        let train = &self.plan.train;
        let rate =
            learning_rate(&self.plan.schedule, self.plan.optimizer.learning_rate, train.max_steps, step);
        let batches: Vec<_> = (0..train.gradient_accumulation_steps)
            .map(|_| self.batches.next_batch())
            .collect::<Result<_, _>>()?;
        let started = Instant::now();
        let StepOutput { loss, right, grad_norm, scaling, virtual_secs } =
            self.engine.train_step(&batches, rate)?;
        let step_secs = virtual_secs.unwrap_or_else(|| started.elapsed().as_secs_f64());
        if let Some(secs) = virtual_secs {
            self.clock.advance(secs);
        }
        let skipped = scaling.is_some_and(|scaling| scaling.skipped);
        self.skipped_steps += u64::from(skipped);
        let step_tokens = self.plan.tokens_per_step() as f64;
        let tokens = step as f64 * step_tokens;
        let score = Score {
            tokens: self.plan.tokens_per_step(),
            bytes: batches.iter().map(|batch| self.lengths.sum(&batch.targets)).sum(),
            nats: loss * step_tokens,
            right,
        };
        let resources = self.monitor.latest();
        Ok(MetricsRow {
            step,
            tokens: Some(tokens),
            attempt: Some(self.attempt as f64),
            epoch: Some(tokens / self.dataset.train.len() as f64),
            train_loss: Some(loss),
            train_loss_ema: Some(self.ema.update(loss)),
            train_bits_per_byte: score.bits_per_byte(),
            train_accuracy: score.accuracy(),
            learning_rate: Some(rate),
            adamw_learning_rate: rate_of_rest(&self.plan.optimizer, rate),
            // What overflowed half precision is no norm, and no end of the run either.
            grad_norm: (!skipped).then_some(grad_norm),
            loss_scale: scaling.map(|scaling| scaling.loss_scale),
            skipped_steps: scaling.map(|_| self.skipped_steps as f64),
            step_secs: Some(step_secs),
            tokens_per_sec: (step_secs > 0.0).then(|| step_tokens / step_secs),
            elapsed_secs: Some(self.clock.elapsed_secs()),
            cpu_percent: resources.cpu_percent,
            memory_bytes: resources.memory_bytes,
            gpu_percent: resources.gpu_percent,
            gpu_memory_bytes: resources.gpu_memory_bytes,
            gpu_power_watts: resources.gpu_power_watts,
            gpu_temperature_celsius: resources.gpu_temperature_celsius,
            ..MetricsRow::default()
        })
    }

    /// What loading the corpus had to say, and prompts that the tokenizer cannot hold.
    fn warn_of_data(&mut self) -> Result<(), TrainError> {
        let mut messages = self.dataset.notices.clone();
        for prompt in &self.plan.sample.prompts {
            let unknown = self.dataset.tokenizer.unknown_chars(prompt);
            if self.plan.sample.interval > 0 && !unknown.is_empty() {
                messages.push(format!(
                    "the prompt {prompt:?} has characters that are not in the corpus and are left out: {unknown:?}"
                ));
            }
        }
        messages.into_iter().try_for_each(|message| self.emit(Event::Warning { step: 0, message }))
    }

    pub(super) fn record(&mut self, row: MetricsRow) -> Result<(), TrainError> {
        self.tally.add(&row);
        self.emit(Event::Step(Box::new(row)))
    }

    fn emit_started(&mut self) -> Result<(), TrainError> {
        let event = Event::Started {
            experiment: self.plan.experiment.name.clone(),
            run: self.name.clone(),
            parameters: self.engine.model().parameters,
            max_steps: self.plan.train.max_steps,
            tokens_per_step: self.plan.tokens_per_step(),
            train_tokens: self.dataset.train.len() as u64,
            documents: self.dataset.documents,
            end_of_text_tokens: self.dataset.ends,
            device: self.engine.device().name,
        };
        self.emit(event)
    }

    fn finished(&self, ending: &Ending) -> Event {
        Event::Finished {
            status: ending.status,
            stop_reason: ending.reason,
            step: self.tally.last().step,
            elapsed_secs: self.clock.elapsed_secs(),
            message: ending.message.clone(),
        }
    }

    pub(super) fn emit(&mut self, event: Event) -> Result<(), TrainError> {
        for sink in &mut self.sinks {
            sink.on_event(&event)?;
        }
        Ok(())
    }
}

/// An interval of 0 means never.
pub(super) fn is_due(interval: u64, step: u64) -> bool {
    interval > 0 && step.is_multiple_of(interval)
}

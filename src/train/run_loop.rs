//! The loop, in reading order.

use std::time::Instant;

use super::TrainError;
use super::checkpoint::{Checkpoints, LoopState};
use super::clock::{Clock, Spent};
use super::evaluate::mean_loss;
use super::stop::StopFlag;
use super::tally::Tally;
use super::target::{self, Ema};
use crate::config::experiment::{RunPlan, TargetMetric};
use crate::data::batches::Batches;
use crate::data::{self, Dataset};
use crate::engine::{Engine, StepOutput};
use crate::event::{Event, SampleText};
use crate::generate;
use crate::metric::MetricsRow;
use crate::monitor::Monitor;
use crate::optim::schedule::learning_rate;
use crate::sinks::Sink;
use crate::store::RunDir;
use crate::store::manifest::{Results, Status, StopReason, TimeInfo};
use crate::units;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub status: Status,
    pub reason: StopReason,
    pub message: String,
}

/// A run under way.
pub struct Session<'a> {
    plan: &'a RunPlan,
    /// The run's name on disk.
    name: String,
    dataset: &'a Dataset,
    engine: Box<dyn Engine>,
    sinks: Vec<Box<dyn Sink>>,
    monitor: Monitor,
    stop: &'a StopFlag,
    batches: Batches,
    checkpoints: Checkpoints,
    clock: Clock,
    ema: Ema,
    tally: Tally,
    spent: Spent,
    sampled_at: Option<u64>,
    /// Steps whose update was left out.
    skipped_steps: u64,
}

impl<'a> Session<'a> {
    pub fn new(
        plan: &'a RunPlan,
        dir: &RunDir,
        engine: Box<dyn Engine>,
        dataset: &'a Dataset,
        sinks: Vec<Box<dyn Sink>>,
        monitor: Monitor,
        stop: &'a StopFlag,
    ) -> Result<Self, TrainError> {
        let train = &plan.train;
        let batches = Batches::new(
            dataset.train.clone(),
            train.batch_size,
            train.sequence_length,
            plan.data.order,
            plan.experiment.seed,
        )?;
        Ok(Self {
            plan,
            name: dir.name(),
            dataset,
            engine,
            sinks,
            monitor,
            stop,
            batches,
            checkpoints: Checkpoints::new(dir.checkpoints(), plan.checkpoint.keep_last),
            clock: Clock::start(),
            ema: Ema::new(train.ema_decay),
            tally: Tally::default(),
            spent: Spent::default(),
            sampled_at: None,
            skipped_steps: 0,
        })
    }

    /// Trains to the end, whichever it is. What happened until an error stays available in [`Session::results`].
    pub fn run(&mut self) -> Result<Ending, TrainError> {
        self.emit_started()?;
        self.warn_of_data()?;
        let ending = self.train()?;
        if ending.status != Status::Diverged {
            self.save_checkpoint_at_end()?;
        }
        if ending.status == Status::Finished {
            self.sample_at_end()?;
            self.evaluate_corpus()?;
        }
        self.emit(self.finished(&ending))?;
        Ok(ending)
    }

    /// Tells the sinks that an error ended the run. One of them may be the cause: the others still hear it.
    pub fn announce_failure(&mut self, reason: StopReason, message: &str) {
        let ending = Ending { status: Status::Failed, reason, message: message.to_owned() };
        let event = self.finished(&ending);
        for sink in &mut self.sinks {
            let _ = sink.on_event(&event);
        }
    }

    /// Final numbers of what was done so far.
    pub fn results(&self) -> Results {
        self.tally.results(self.monitor.peak_memory_bytes().map(|bytes| bytes as u64))
    }

    /// Where the time went so far.
    pub fn time(&self) -> Option<TimeInfo> {
        self.clock.account(self.tally.steps_secs(), self.engine.step_parts(), &self.spent)
    }

    /// The step that reached the target, and the value that did.
    pub fn target_reached(&self) -> Option<(u64, f64)> {
        let last = self.tally.last();
        target::reached(self.plan.target.as_ref(), last).map(|value| (last.step, value))
    }

    fn train(&mut self) -> Result<Ending, TrainError> {
        self.evaluate_before_training()?;
        for step in 1..=self.plan.train.max_steps {
            if self.stop.is_requested() {
                return Ok(interrupted(step - 1));
            }
            let mut row = self.step(step)?;
            if let Some(ending) = diverged(&row) {
                self.record(row)?;
                return Ok(ending);
            }
            let mut ending = self.planned_ending(&row);
            if self.evaluates() && (self.evaluation_is_due(step) || ending.is_some()) {
                self.evaluate(&mut row)?;
                // A target on the validation loss outweighs the last step and the time limit.
                ending = self.planned_ending(&row);
            }
            self.record(row)?;
            if ending.is_some() {
                return Ok(ending.unwrap_or_else(|| interrupted(step)));
            }
            if is_due(self.plan.sample.interval, step) {
                self.sample(step)?;
            }
            if is_due(self.plan.checkpoint.interval, step) {
                self.save_checkpoint()?;
            }
        }
        Ok(interrupted(self.plan.train.max_steps))
    }

    /// One optimizer step, and what can be said of it at once.
    fn step(&mut self, step: u64) -> Result<MetricsRow, TrainError> {
        let train = &self.plan.train;
        let rate =
            learning_rate(&self.plan.schedule, self.plan.optimizer.learning_rate, train.max_steps, step);
        let batches: Vec<_> =
            (0..train.gradient_accumulation_steps).map(|_| self.batches.next_batch()).collect();
        let started = Instant::now();
        let StepOutput { loss, grad_norm, scaling, virtual_secs } = self.engine.train_step(&batches, rate)?;
        let step_secs = virtual_secs.unwrap_or_else(|| started.elapsed().as_secs_f64());
        if let Some(secs) = virtual_secs {
            self.clock.advance(secs);
        }
        let skipped = scaling.is_some_and(|scaling| scaling.skipped);
        self.skipped_steps += u64::from(skipped);
        let step_tokens = train.tokens_per_step() as f64;
        let tokens = step as f64 * step_tokens;
        let resources = self.monitor.latest();
        Ok(MetricsRow {
            step,
            tokens: Some(tokens),
            epoch: Some(tokens / self.dataset.train.len() as f64),
            train_loss: Some(loss),
            train_loss_ema: Some(self.ema.update(loss)),
            learning_rate: Some(rate),
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

    /// Target, last step, time limit: in this order, so that a target reached at the last step counts as reached.
    fn planned_ending(&self, row: &MetricsRow) -> Option<Ending> {
        let finished = |reason, message| Some(Ending { status: Status::Finished, reason, message });
        if let (Some(plan), Some(value)) =
            (&self.plan.target, target::reached(self.plan.target.as_ref(), row))
        {
            let message = format!(
                "{} {} is below the target {} after {} steps",
                plan.metric.key(),
                value,
                plan.threshold,
                units::count(row.step)
            );
            return finished(StopReason::TargetReached, message);
        }
        if row.step >= self.plan.train.max_steps {
            let message = format!("all {} steps are done", units::count(row.step));
            return finished(StopReason::MaxSteps, message);
        }
        let limit = self.plan.train.max_time_secs?;
        (self.clock.elapsed_secs() >= limit).then(|| {
            let message = format!(
                "the time limit of {} was reached after {} steps",
                units::duration(limit),
                units::count(row.step)
            );
            Ending { status: Status::Finished, reason: StopReason::MaxTime, message }
        })
    }

    fn evaluates(&self) -> bool {
        self.plan.train.eval_interval > 0 && !self.dataset.val.is_empty()
    }

    /// At its interval, and with every checkpoint, so that the best one is chosen by its own loss.
    fn evaluation_is_due(&self, step: u64) -> bool {
        is_due(self.plan.train.eval_interval, step) || is_due(self.plan.checkpoint.interval, step)
    }

    /// Row 0: where the model stands before it has learnt anything.
    fn evaluate_before_training(&mut self) -> Result<(), TrainError> {
        if !self.evaluates() {
            return Ok(());
        }
        let mut row = MetricsRow { tokens: Some(0.0), epoch: Some(0.0), ..MetricsRow::default() };
        self.evaluate(&mut row)?;
        row.elapsed_secs = Some(self.clock.elapsed_secs());
        self.record(row)
    }

    fn evaluate(&mut self, row: &mut MetricsRow) -> Result<(), TrainError> {
        let train = &self.plan.train;
        let started = Instant::now();
        let windows = data::evaluation_batches(
            &self.dataset.val,
            train.batch_size,
            train.sequence_length,
            train.eval_batches,
        );
        row.val_loss = mean_loss(self.engine.as_mut(), windows, self.stop)?;
        row.val_perplexity = row.val_loss.map(f64::exp);
        self.spent.evaluations += started.elapsed();
        Ok(())
    }

    /// Tells a lucky last batch from a memorised corpus.
    fn evaluate_corpus(&mut self) -> Result<(), TrainError> {
        if !self.plan.train.final_eval {
            return Ok(());
        }
        let train = &self.plan.train;
        let started = Instant::now();
        let windows =
            data::whole_corpus_batches(&self.dataset.train, train.batch_size, train.sequence_length);
        let corpus_loss = mean_loss(self.engine.as_mut(), windows, self.stop)?;
        let time = started.elapsed();
        self.spent.evaluations += time;
        let Some(corpus_loss) = corpus_loss else { return Ok(()) };
        self.tally.corpus_loss = Some(corpus_loss);
        let step = self.tally.last().step;
        self.emit(Event::CorpusEvaluated { step, corpus_loss, secs: time.as_secs_f64() })
    }

    fn sample(&mut self, step: u64) -> Result<(), TrainError> {
        let plan = &self.plan.sample;
        let started = Instant::now();
        let mut samples = Vec::with_capacity(plan.prompts.len());
        for (index, prompt) in plan.prompts.iter().enumerate() {
            if self.stop.is_requested() {
                return Ok(());
            }
            let seed = plan.seed.wrapping_add(index as u64);
            let text =
                generate::continue_prompt(self.engine.as_mut(), &self.dataset.tokenizer, prompt, plan, seed)?;
            samples.push(SampleText { prompt: prompt.clone(), text });
        }
        self.sampled_at = Some(step);
        self.spent.samples += started.elapsed();
        self.emit(Event::Sampled { step, samples })
    }

    fn sample_at_end(&mut self) -> Result<(), TrainError> {
        let step = self.tally.last().step;
        if self.plan.sample.interval == 0 || self.sampled_at == Some(step) {
            return Ok(());
        }
        self.sample(step)
    }

    fn save_checkpoint_at_end(&mut self) -> Result<(), TrainError> {
        let step = self.tally.last().step;
        if self.plan.checkpoint.interval == 0 || step == 0 || self.checkpoints.is_saved(step) {
            return Ok(());
        }
        self.save_checkpoint()
    }

    fn save_checkpoint(&mut self) -> Result<(), TrainError> {
        let started = Instant::now();
        let last = self.tally.last();
        let state = LoopState {
            step: last.step,
            tokens: last.tokens.unwrap_or(0.0) as u64,
            elapsed_secs: self.clock.elapsed_secs(),
            batches: self.batches.state(),
            ema: self.ema.clone(),
            score: self.score(),
        };
        let best = self.checkpoints.save(self.engine.as_ref(), &state)?;
        let time = started.elapsed();
        self.spent.checkpoints += time;
        self.emit(Event::CheckpointSaved { step: state.step, best, secs: time.as_secs_f64() })
    }

    /// What decides which checkpoint is best: the newest validation loss, or without validation the smoothed train loss.
    fn score(&self) -> Option<f64> {
        let by_validation = self.evaluates()
            || self.plan.target.as_ref().is_some_and(|target| target.metric == TargetMetric::ValLoss);
        if by_validation { self.tally.newest_val_loss() } else { self.tally.last().train_loss_ema }
    }

    /// What loading the corpus had to say, and prompts that the tokenizer cannot hold.
    fn warn_of_data(&mut self) -> Result<(), TrainError> {
        let mut messages = self.dataset.notices.clone();
        for prompt in &self.plan.sample.prompts {
            let unknown = self.dataset.tokenizer.unknown_chars(prompt);
            if self.plan.sample.interval > 0 && !unknown.is_empty() {
                messages.push(format!(
                    "the prompt {prompt:?} has characters that the corpus lacks, which are left out: {unknown:?}"
                ));
            }
        }
        messages.into_iter().try_for_each(|message| self.emit(Event::Warning { step: 0, message }))
    }

    fn record(&mut self, row: MetricsRow) -> Result<(), TrainError> {
        self.tally.add(&row);
        self.emit(Event::Step(Box::new(row)))
    }

    fn emit_started(&mut self) -> Result<(), TrainError> {
        let event = Event::Started {
            experiment: self.plan.experiment.name.clone(),
            run: self.name.clone(),
            parameters: self.engine.model().parameters,
            max_steps: self.plan.train.max_steps,
            tokens_per_step: self.plan.train.tokens_per_step(),
            train_tokens: self.dataset.train.len() as u64,
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

    fn emit(&mut self, event: Event) -> Result<(), TrainError> {
        for sink in &mut self.sinks {
            sink.on_event(&event)?;
        }
        Ok(())
    }
}

/// An interval of 0 means never.
fn is_due(interval: u64, step: u64) -> bool {
    interval > 0 && step.is_multiple_of(interval)
}

fn interrupted(step: u64) -> Ending {
    let message = format!("stopped by request after {} steps", units::count(step));
    Ending { status: Status::Interrupted, reason: StopReason::Interrupted, message }
}

/// Guessing costs ln(vocabulary), about 11 nats; no run comes back from this loss.
const LOST_NATS: f64 = 1e6;

/// The end of a run whose step cannot be gone on from. A gradient that is not finite has spoilt the weights even where the
/// loss before it was still a number; a step without a norm left them as they were.
fn diverged(row: &MetricsRow) -> Option<Ending> {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let message = match (finite(row.train_loss), row.grad_norm) {
        (None, _) => "the train loss was no longer a finite number".to_owned(),
        (Some(loss), _) if loss > LOST_NATS => {
            format!("the train loss had grown to {} nats", units::loss(loss))
        }
        (_, Some(norm)) if !norm.is_finite() => "the gradient was no longer finite".to_owned(),
        _ => return None,
    };
    Some(Ending { status: Status::Diverged, reason: StopReason::Diverged, message })
}

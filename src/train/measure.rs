//! What a session measures beside its steps: losses on other data, and samples.

use std::time::Instant;

use super::TrainError;
use super::evaluate::score;
use super::run_loop::{Session, is_due};
use crate::data;
use crate::event::{Event, Memorisation, SampleText};
use crate::generate::{self, memorisation::Meter};
use crate::metric::{Figures, MetricsRow};

/// Tokens of the training text that are decoded at a time.
const DECODED_TOKENS: usize = 1 << 16;

impl Session<'_> {
    pub(super) fn evaluates(&self) -> bool {
        self.plan.train.eval_interval > 0 && !self.dataset.val.is_empty()
    }

    /// At its interval, and with every checkpoint, so that the best one is chosen by its own loss.
    pub(super) fn evaluation_is_due(&self, step: u64) -> bool {
        is_due(self.plan.train.eval_interval, step) || is_due(self.plan.checkpoint.interval, step)
    }

    /// Row 0: where the model stands before it has learnt anything.
    pub(super) fn evaluate_before_training(&mut self) -> Result<(), TrainError> {
        if !self.evaluates() {
            return Ok(());
        }
        let mut row = MetricsRow { tokens: Some(0.0), epoch: Some(0.0), ..MetricsRow::default() };
        self.evaluate(&mut row)?;
        row.attempt = Some(self.attempt as f64);
        row.elapsed_secs = Some(self.clock.elapsed_secs());
        self.record(row)
    }

    /// Fills in what the validation split says; `false` when a stop cut the evaluation short.
    pub(super) fn evaluate(&mut self, row: &mut MetricsRow) -> Result<bool, TrainError> {
        let train = &self.plan.train;
        let started = Instant::now();
        let windows = data::evaluation_batches(
            &self.dataset.val,
            train.batch_size,
            self.plan.sequence_length(),
            train.eval_batches,
        );
        let score = score(self.engine.as_mut(), windows, &self.lengths, self.stop)?;
        row.val_loss = score.map(|score| score.loss());
        row.val_perplexity = row.val_loss.map(f64::exp);
        row.val_bits_per_byte = score.and_then(|score| score.bits_per_byte());
        row.val_accuracy = score.and_then(|score| score.accuracy());
        self.spent.evaluations += started.elapsed();
        Ok(row.val_loss.is_some() || !self.stop.is_requested())
    }

    /// Tells a lucky last batch from a memorised corpus.
    pub(super) fn evaluate_corpus(&mut self) -> Result<(), TrainError> {
        if !self.plan.train.final_eval {
            return Ok(());
        }
        let train = &self.plan.train;
        let started = Instant::now();
        let windows = self.dataset.final_batches(train.batch_size, self.plan.sequence_length());
        let score = score(self.engine.as_mut(), windows, &self.lengths, self.stop)?;
        let time = started.elapsed();
        self.spent.evaluations += time;
        let Some(score) = score else { return Ok(()) };
        let corpus_loss = score.loss();
        let (corpus_bits_per_byte, corpus_accuracy) = (score.bits_per_byte(), score.accuracy());
        self.tally.whole = Figures {
            corpus_loss: Some(corpus_loss),
            corpus_bits_per_byte,
            corpus_accuracy,
            ..Figures::default()
        };
        let (step, secs) = (self.tally.last().step, time.as_secs_f64());
        self.emit(Event::CorpusEvaluated { step, corpus_loss, corpus_bits_per_byte, corpus_accuracy, secs })
    }

    /// The loss of the weights as they are, on a single window: what a checkpoint is worth at least.
    pub(super) fn probe(&mut self) -> Result<Option<f64>, TrainError> {
        let window = data::whole_corpus_batches(&self.dataset.train, 1, self.plan.sequence_length()).next();
        match window {
            Some(window) => Ok(Some(self.engine.loss(&window?)?)),
            None => Ok(None),
        }
    }

    pub(super) fn sample(&mut self, step: u64) -> Result<(), TrainError> {
        let plan = &self.plan.sample;
        let started = Instant::now();
        let mut samples = Vec::with_capacity(plan.prompts.len());
        let tokenizer = self.dataset.tokenizer.as_trained(self.plan.data.special_tokens);
        for (index, prompt) in plan.prompts.iter().enumerate() {
            if self.stop.is_requested() {
                return Ok(());
            }
            let seed = plan.seed.wrapping_add(index as u64);
            let text = generate::continue_prompt(self.engine.as_mut(), &tokenizer, prompt, plan, seed)?;
            samples.push(SampleText { prompt: prompt.clone(), text });
        }
        let Some(memorisation) = self.memorisation(&samples)? else { return Ok(()) };
        self.sampled_at = Some(step);
        self.tally.memorisation = Some(memorisation.clone());
        self.spent.samples += started.elapsed();
        self.emit(Event::Sampled { step, samples, memorisation: Some(memorisation) })
    }

    /// How much of the samples is copied from the training split; `None` when a stop was asked for meanwhile.
    fn memorisation(&self, samples: &[SampleText]) -> Result<Option<Memorisation>, TrainError> {
        let mut meter = Meter::new(samples);
        let tokenizer = &self.dataset.tokenizer;
        let end = tokenizer.end_token();
        for stretch in self.dataset.stretches() {
            let mut decoder = tokenizer.decoder();
            for ids in stretch.chunks(DECODED_TOKENS) {
                if self.stop.is_requested() {
                    return Ok(None);
                }
                // No word reaches over the end of a document.
                for (place, ids) in ids?.split(|id| Some(*id) == end).enumerate() {
                    if place > 0 {
                        meter.read(&(decoder.finish() + "\n"));
                    }
                    meter.read(&decoder.piece(ids));
                }
            }
            meter.read(&(decoder.finish() + "\n"));
        }
        Ok(Some(meter.finish()))
    }

    pub(super) fn sample_at_end(&mut self) -> Result<(), TrainError> {
        let step = self.tally.last().step;
        if self.plan.sample.interval == 0 || self.sampled_at == Some(step) {
            return Ok(());
        }
        self.sample(step)
    }
}

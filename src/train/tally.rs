//! Running totals of a run, from which its final numbers are made.

use crate::event::Memorisation;
use crate::metric::MetricsRow;
use crate::stats;
use crate::store::manifest::Results;

/// Sees every row once.
#[derive(Debug, Default)]
pub struct Tally {
    last: MetricsRow,
    initial_train_loss: Option<f64>,
    best_train_loss: Option<f64>,
    final_val_loss: Option<f64>,
    best_val_loss: Option<f64>,
    /// Set once at the end.
    pub corpus_loss: Option<f64>,
    /// Of the samples that were taken last.
    pub memorisation: Option<Memorisation>,
    step_secs: Vec<f64>,
    /// Of the steps of this attempt.
    attempt_secs: f64,
}

impl Tally {
    /// What the rows of earlier attempts come to.
    pub fn of_rows(rows: &[MetricsRow]) -> Self {
        let mut tally = Self::default();
        rows.iter().for_each(|row| tally.add(row));
        Self { attempt_secs: 0.0, ..tally }
    }

    pub fn add(&mut self, row: &MetricsRow) {
        self.initial_train_loss = self.initial_train_loss.or(row.train_loss);
        self.best_train_loss = lower(self.best_train_loss, row.train_loss);
        self.best_val_loss = lower(self.best_val_loss, row.val_loss);
        self.final_val_loss = row.val_loss.or(self.final_val_loss);
        self.step_secs.extend(row.step_secs);
        self.attempt_secs += row.step_secs.unwrap_or(0.0);
        self.last = row.clone();
    }

    /// The newest row; before the first, an empty one for step 0.
    pub fn last(&self) -> &MetricsRow {
        &self.last
    }

    /// Seconds of the steps of this attempt.
    pub fn attempt_secs(&self) -> f64 {
        self.attempt_secs
    }

    pub fn results(&self, peak_memory_bytes: Option<u64>) -> Results {
        let last = &self.last;
        let tokens = last.tokens.unwrap_or(0.0);
        let training_secs: f64 = self.step_secs.iter().sum();
        // The first step warms caches up; leave it out where there are others.
        let settled = if self.step_secs.len() > 1 { &self.step_secs[1..] } else { &self.step_secs[..] };
        Results {
            steps: last.step,
            tokens: tokens as u64,
            epochs: last.epoch.unwrap_or(0.0),
            elapsed_secs: last.elapsed_secs.unwrap_or(0.0),
            initial_train_loss: self.initial_train_loss,
            final_train_loss: last.train_loss,
            final_train_loss_ema: last.train_loss_ema,
            best_train_loss: self.best_train_loss,
            final_val_loss: self.final_val_loss,
            best_val_loss: self.best_val_loss,
            corpus_loss: self.corpus_loss,
            copied_share: self.memorisation.as_ref().and_then(Memorisation::share),
            longest_copy_characters: self
                .memorisation
                .as_ref()
                .and_then(|memorisation| Some(memorisation.longest.as_ref()?.characters)),
            step_secs: stats::median(settled),
            tokens_per_sec: (training_secs > 0.0).then(|| tokens / training_secs),
            peak_memory_bytes,
        }
    }
}

/// The smaller of two measured, finite values.
fn lower(best: Option<f64>, value: Option<f64>) -> Option<f64> {
    match (best, value.filter(|value| value.is_finite())) {
        (Some(best), Some(value)) => Some(best.min(value)),
        (best, value) => best.or(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(step: u64, train_loss: f64, step_secs: f64) -> MetricsRow {
        MetricsRow {
            step,
            train_loss: Some(train_loss),
            tokens: Some(step as f64 * 100.0),
            step_secs: Some(step_secs),
            ..MetricsRow::default()
        }
    }

    #[test]
    fn results_of_a_run_without_steps_are_absent_not_zero() {
        let results = Tally::default().results(None);
        assert_eq!(results.initial_train_loss, None);
        assert_eq!(results.step_secs, None);
        assert_eq!(results.tokens_per_sec, None);
    }

    #[test]
    fn a_diverged_loss_is_final_but_never_best() {
        let mut tally = Tally::default();
        tally.add(&row(1, 4.0, 1.0));
        tally.add(&row(2, 3.0, 1.0));
        tally.add(&row(3, f64::NAN, 1.0));
        let results = tally.results(None);
        assert_eq!(results.initial_train_loss, Some(4.0));
        assert_eq!(results.best_train_loss, Some(3.0));
        assert!(results.final_train_loss.is_some_and(f64::is_nan));
    }

    #[test]
    fn the_slow_first_step_is_left_out_of_the_median() {
        let mut tally = Tally::default();
        for (step, secs) in [(1, 9.0), (2, 1.0), (3, 2.0), (4, 1.5)] {
            tally.add(&row(step, 1.0, secs));
        }
        assert_eq!(tally.results(None).step_secs, Some(1.5));
    }
}

//! What a run comes down to: made from its rows in one place, for the manifest of a run that trains and for the report of one whose
//! manifest has no results.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize};

use crate::metric::{FIGURES, Figure, Figures, MetricsRow, Statistic};
use crate::stats;

/// Final numbers. What was not measured is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    pub steps: u64,
    pub tokens: u64,
    pub epochs: f64,
    pub elapsed_secs: f64,
    /// They are read as the results' own.
    #[serde(flatten)]
    pub figures: Figures,
    /// Share of the runs of eight words in the last samples that stand in the training text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copied_share: Option<f64>,
    /// Length of the longest passage of the last samples that stands in the training text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_copy_characters: Option<u64>,
    /// Median over the steps after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_secs: Option<f64>,
    /// All tokens divided by the seconds of all steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_sec: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

impl Deref for Results {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.figures
    }
}

impl DerefMut for Results {
    fn deref_mut(&mut self) -> &mut Figures {
        &mut self.figures
    }
}

/// Running totals of a run. Sees every row once, in order.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    last: MetricsRow,
    figures: Figures,
    /// The step of each figure, in the order of [`FIGURES`].
    steps: Vec<Option<u64>>,
    /// Of the steps that were timed.
    step_secs: Vec<f64>,
    most_memory: Option<f64>,
    most_gpu_memory: Option<f64>,
}

impl Totals {
    pub fn of(rows: &[MetricsRow]) -> Self {
        let mut totals = Self::default();
        rows.iter().for_each(|row| totals.add(row));
        totals
    }

    /// Only what is finite counts: a loss that is no number is no figure, and says of itself that the run diverged.
    pub fn add(&mut self, row: &MetricsRow) {
        self.steps.resize(FIGURES.len(), None);
        for (figure, step) in FIGURES.iter().zip(&mut self.steps) {
            let Some(value) = (figure.column.get)(row).filter(|value| value.is_finite()) else { continue };
            let before = (figure.get)(&self.figures);
            let counts = match figure.statistic {
                Statistic::First => before.is_none(),
                Statistic::Last => true,
                Statistic::Best => before.is_none_or(|best| figure.column.is_better(value, best)),
                Statistic::Whole => false,
            };
            if counts {
                (figure.set)(&mut self.figures, Some(value));
                *step = Some(row.step);
            }
        }
        self.step_secs.extend(row.step_secs);
        self.most_memory = highest(self.most_memory, row.memory_bytes);
        self.most_gpu_memory = highest(self.most_gpu_memory, row.gpu_memory_bytes);
        self.last = row.clone();
    }

    /// The newest row; before the first, an empty one for step 0.
    pub fn last(&self) -> &MetricsRow {
        &self.last
    }

    /// The step at which a figure was measured.
    pub fn step_of(&self, figure: &Figure) -> Option<u64> {
        let place = FIGURES.iter().position(|other| other.key == figure.key)?;
        self.steps.get(place).copied().flatten()
    }

    /// The most that was seen in use on the GPU.
    pub fn most_gpu_memory(&self) -> Option<f64> {
        self.most_gpu_memory
    }

    /// What the rows come to.
    pub fn results(&self) -> Results {
        let last = &self.last;
        let tokens = last.tokens.unwrap_or(0.0);
        // Rows may be gone: what counts is how many steps were timed.
        let timed = self.step_secs.len() as f64 * tokens / last.step.max(1) as f64;
        let secs: f64 = self.step_secs.iter().sum();
        // The first step warms caches up; leave it out where there are others.
        let settled = if self.step_secs.len() > 1 { &self.step_secs[1..] } else { &self.step_secs[..] };
        Results {
            steps: last.step,
            tokens: tokens.round() as u64,
            epochs: last.epoch.unwrap_or(0.0),
            elapsed_secs: last.elapsed_secs.unwrap_or(0.0),
            figures: self.figures.clone(),
            copied_share: None,
            longest_copy_characters: None,
            step_secs: stats::median(settled),
            tokens_per_sec: (secs > 0.0).then(|| timed / secs),
            peak_memory_bytes: self.most_memory.map(|bytes| bytes as u64),
        }
    }
}

fn highest(most: Option<f64>, value: Option<f64>) -> Option<f64> {
    match (most, value.filter(|value| value.is_finite())) {
        (Some(most), Some(value)) => Some(most.max(value)),
        (most, value) => most.or(value),
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

    fn results(rows: &[MetricsRow]) -> Results {
        Totals::of(rows).results()
    }

    #[test]
    fn results_of_a_run_without_steps_are_absent_not_zero() {
        assert_eq!(results(&[]), Results::default());
    }

    #[test]
    fn a_loss_that_is_no_number_is_neither_first_nor_last_nor_best() {
        let rows = [row(1, f64::NAN, 1.0), row(2, 4.0, 1.0), row(3, 3.0, 1.0), row(4, f64::INFINITY, 1.0)];
        let found = results(&rows);
        assert_eq!(found.initial_train_loss, Some(4.0));
        assert_eq!((found.best_train_loss, found.final_train_loss), (Some(3.0), Some(3.0)));
        let best = FIGURES.iter().find(|figure| figure.key == "best_train_loss").unwrap();
        assert_eq!(Totals::of(&rows).step_of(best), Some(3));
        assert_eq!(found.steps, 4);
    }

    #[test]
    fn the_slow_first_step_is_left_out_of_the_median() {
        let rows = [(1, 9.0), (2, 1.0), (3, 2.0), (4, 1.5)].map(|(step, secs)| row(step, 1.0, secs));
        assert_eq!(results(&rows).step_secs, Some(1.5));
    }

    #[test]
    fn throughput_counts_the_steps_that_were_timed() {
        let rows = [1, 2, 3, 4].map(|step| row(step, 1.0, 2.0));
        assert_eq!(results(&rows).tokens_per_sec, Some(50.0));
        assert_eq!(results(&rows[2..]).tokens_per_sec, Some(50.0), "the first rows are gone");
    }

    #[test]
    fn results_are_written_flat_and_read_back_whatever_else_stands_there() {
        let written = Results { steps: 3, ..results(&[row(1, 4.0, 1.0)]) };
        let text = toml::to_string(&written).unwrap();
        assert!(text.contains("\nfinal_train_loss = 4.0\n") && !text.contains('['), "{text}");
        assert_eq!(toml::from_str::<Results>(&text).unwrap(), written);
        let old = "steps = 2\nfinal_train_loss = nan\nbest_train_loss = 3\nof_the_future = 1\n";
        let read: Results = toml::from_str(old).unwrap();
        assert_eq!((read.steps, read.best_train_loss), (2, Some(3.0)));
        assert!(read.final_train_loss.is_some_and(f64::is_nan));
    }
}

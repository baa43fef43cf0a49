//! Running totals of a run under way, from which its final numbers are made.

use crate::event::Memorisation;
use crate::metric::{Figures, MetricsRow};
use crate::store::{Results, Totals};

/// Sees every row once.
#[derive(Debug, Default)]
pub struct Tally {
    totals: Totals,
    /// Set once at the end: what is measured over the whole training text.
    pub whole: Figures,
    /// Of the samples that were taken last.
    pub memorisation: Option<Memorisation>,
    /// Of the steps of this attempt.
    attempt_secs: f64,
}

impl Tally {
    /// What the rows of earlier attempts come to.
    pub fn of_rows(rows: &[MetricsRow]) -> Self {
        Self { totals: Totals::of(rows), ..Self::default() }
    }

    pub fn add(&mut self, row: &MetricsRow) {
        self.attempt_secs += row.step_secs.unwrap_or(0.0);
        self.totals.add(row);
    }

    /// The newest row; before the first, an empty one for step 0.
    pub fn last(&self) -> &MetricsRow {
        self.totals.last()
    }

    /// Seconds of the steps of this attempt.
    pub fn attempt_secs(&self) -> f64 {
        self.attempt_secs
    }

    pub fn results(&self, peak_memory_bytes: Option<u64>) -> Results {
        let of_rows = self.totals.results();
        let longest = self.memorisation.as_ref().and_then(|memorisation| memorisation.longest.as_ref());
        Results {
            figures: self.whole.clone().or(&of_rows.figures),
            copied_share: self.memorisation.as_ref().and_then(Memorisation::share),
            longest_copy_characters: longest.map(|longest| longest.characters),
            peak_memory_bytes,
            ..of_rows
        }
    }
}

//! The numbers that a run comes down to, from its manifest where it holds them and from its rows otherwise: a run
//! that is still going, or whose process died, has no results in its manifest.

use std::ops::Deref;

use crate::metric::figures::with_figures;
use crate::metric::{Better, Figure, Figures, Unit, columns};
use crate::store::{RunRecord, Totals};

/// One run in numbers. What is not known is `None`.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    pub steps: Option<u64>,
    pub tokens: Option<u64>,
    pub epochs: Option<f64>,
    pub elapsed_secs: Option<f64>,
    /// They are read as the summary's own. All are finite.
    pub figures: Figures,
    /// Of the rows that there are.
    totals: Totals,
    pub step_secs: Option<f64>,
    pub tokens_per_sec: Option<f64>,
    /// FLOPs of the matrix products that the model asks for, per second of training: what is computed a second time to save
    /// memory does not count. Divided by the hardware's peak this is MFU (Chowdhery et al., "PaLM", 2022, appendix B).
    pub model_flops_per_sec: Option<f64>,
    pub peak_memory_bytes: Option<f64>,
    pub peak_gpu_memory_bytes: Option<f64>,
    /// When the target was reached.
    pub target: Option<TargetReached>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TargetReached {
    pub step: u64,
    pub value: Option<f64>,
    pub secs: Option<f64>,
    pub tokens: Option<u64>,
}

impl Deref for Summary {
    type Target = Figures;

    fn deref(&self) -> &Figures {
        &self.figures
    }
}

impl Summary {
    pub fn of(record: &RunRecord) -> Summary {
        let totals = Totals::of(&record.rows);
        let (of_rows, last) = (totals.results(), record.rows.last());
        let results = record.manifest.results.as_ref();
        let tokens_per_step = record.manifest.run.tokens_per_step;
        let tokens_per_sec = results.and_then(|r| r.tokens_per_sec).or(of_rows.tokens_per_sec);
        let flops_per_token = record
            .manifest
            .cost
            .as_ref()
            .filter(|_| tokens_per_step > 0)
            .map(|cost| cost.model_flops_per_step / tokens_per_step as f64);
        Summary {
            steps: results.map(|results| results.steps).or(last.map(|_| of_rows.steps)),
            tokens: results
                .map(|results| results.tokens)
                .or(last.and_then(|row| row.tokens).map(|_| of_rows.tokens)),
            epochs: results.map(|results| results.epochs).or(last.and_then(|row| row.epoch)),
            elapsed_secs: results
                .map(|results| results.elapsed_secs)
                .or(last.and_then(|row| row.elapsed_secs)),
            figures: results.map(|results| results.figures.clone()).unwrap_or_default().or(&of_rows.figures),
            step_secs: results.and_then(|r| r.step_secs).or(of_rows.step_secs),
            tokens_per_sec,
            model_flops_per_sec: tokens_per_sec.zip(flops_per_token).map(|(tokens, flops)| tokens * flops),
            peak_memory_bytes: results
                .and_then(|r| r.peak_memory_bytes)
                .or(of_rows.peak_memory_bytes)
                .map(|bytes| bytes as f64),
            peak_gpu_memory_bytes: totals.most_gpu_memory(),
            target: target(record),
            totals,
        }
    }

    /// The step at which a figure was measured, where its row is there.
    pub fn step_of(&self, figure: &Figure) -> Option<u64> {
        self.totals.step_of(figure)
    }
}

fn target(record: &RunRecord) -> Option<TargetReached> {
    let target = record.manifest.target.as_ref()?;
    let step = target.reached_at_step?;
    let at = record.rows.partition_point(|row| row.step < step);
    let row = record.rows.get(at).filter(|row| row.step == step);
    let ended_there = record.manifest.results.as_ref().filter(|results| results.steps == step);
    Some(TargetReached {
        step,
        value: target.reached_value,
        secs: row.and_then(|row| row.elapsed_secs).or(ended_there.map(|results| results.elapsed_secs)),
        tokens: row.and_then(|row| row.tokens).map(|tokens| tokens.round() as u64),
    })
}

/// A number by which runs are compared.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub label: &'static str,
    pub unit: Unit,
    pub better: Better,
    pub get: fn(&Summary) -> Option<f64>,
}

macro_rules! outcomes {
    ($( $help:literal, $field:ident: $statistic:ident $column:ident, $label:literal $(, outcome $outcome:literal)?; )*) => {
        /// The outcome columns of a comparison, in order: the figures that are outcomes, among what else a run takes and does.
        pub static OUTCOMES: &[Outcome] = &[
            outcome("Steps", Unit::Count, Better::Neither, |s| s.steps.map(|steps| steps as f64)),
            $($(
                outcome($outcome, columns::$column.unit, columns::$column.better, |s| s.$field),
            )?)*
            outcome("Time", Unit::Secs, Better::Lower, |s| s.elapsed_secs),
            outcome("Throughput", Unit::TokensPerSec, Better::Higher, |s| s.tokens_per_sec),
            outcome("Peak memory", Unit::Bytes, Better::Lower, |s| s.peak_memory_bytes),
        ];
    };
}

with_figures!(outcomes);

/// What reaching the target cost. Runs that missed it have none of these.
pub static TO_TARGET: &[Outcome] = &[
    outcome("Steps to target", Unit::Count, Better::Lower, |s| Some(s.target?.step as f64)),
    outcome("Tokens to target", Unit::Count, Better::Lower, |s| Some(s.target?.tokens? as f64)),
    outcome("Time to target", Unit::Secs, Better::Lower, |s| s.target?.secs),
];

const fn outcome(
    label: &'static str,
    unit: Unit,
    better: Better,
    get: fn(&Summary) -> Option<f64>,
) -> Outcome {
    Outcome { label, unit, better, get }
}

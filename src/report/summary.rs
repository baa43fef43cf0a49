//! The numbers that a run comes down to, from its manifest where it holds them and from its rows otherwise: a run
//! that is still going, or whose process died, has no results in its manifest.

use crate::metric::{Better, MetricsRow, Unit};
use crate::stats;
use crate::store::RunRecord;

/// One run in numbers. What is not known is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    pub steps: Option<u64>,
    pub tokens: Option<u64>,
    pub epochs: Option<f64>,
    pub elapsed_secs: Option<f64>,
    pub initial_train_loss: Option<f64>,
    /// The last one that is finite.
    pub final_train_loss: Option<f64>,
    pub final_train_loss_ema: Option<f64>,
    pub best_train_loss: Option<f64>,
    pub best_train_step: Option<u64>,
    pub final_val_loss: Option<f64>,
    pub best_val_loss: Option<f64>,
    pub best_val_step: Option<u64>,
    pub corpus_loss: Option<f64>,
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

impl Summary {
    pub fn of(record: &RunRecord) -> Summary {
        let rows = &record.rows;
        let results = record.manifest.results.as_ref();
        let series = |get: fn(&MetricsRow) -> Option<f64>| Measured::of(rows, get);
        let train = series(|row| row.train_loss);
        let ema = series(|row| row.train_loss_ema);
        let val = series(|row| row.val_loss);
        let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
        let last = rows.last();
        let tokens_per_step = record.manifest.run.tokens_per_step;
        let counted = |value: f64| value.round() as u64;
        let steps = results.map(|results| results.steps).or(last.map(|row| row.step));

        // Of the rows after the first step: the first also pays for whatever is set up on first use.
        let step_secs = || {
            let secs: Vec<f64> =
                rows.iter().filter(|row| row.step > 1).filter_map(|row| row.step_secs).collect();
            stats::median(&secs)
        };
        let tokens_per_sec = || {
            let steps: Vec<f64> = rows.iter().filter_map(|row| row.step_secs).collect();
            let secs: f64 = steps.iter().sum();
            (secs > 0.0).then(|| steps.len() as f64 * tokens_per_step as f64 / secs)
        };
        let tokens_per_sec = results.and_then(|r| r.tokens_per_sec).or_else(tokens_per_sec);
        let flops_per_token = record
            .manifest
            .cost
            .as_ref()
            .filter(|_| tokens_per_step > 0)
            .map(|cost| cost.model_flops_per_step / tokens_per_step as f64);
        Summary {
            steps,
            tokens: results.map(|results| results.tokens).or(last.and_then(|row| row.tokens).map(counted)),
            epochs: results.map(|results| results.epochs).or(last.and_then(|row| row.epoch)),
            elapsed_secs: results
                .map(|results| results.elapsed_secs)
                .or(last.and_then(|row| row.elapsed_secs)),
            initial_train_loss: finite(results.and_then(|r| r.initial_train_loss)).or(train.first),
            final_train_loss: finite(results.and_then(|r| r.final_train_loss)).or(train.last),
            final_train_loss_ema: finite(results.and_then(|r| r.final_train_loss_ema)).or(ema.last),
            best_train_loss: finite(results.and_then(|r| r.best_train_loss)).or(train.least),
            best_train_step: train.least_step,
            final_val_loss: finite(results.and_then(|r| r.final_val_loss)).or(val.last),
            best_val_loss: finite(results.and_then(|r| r.best_val_loss)).or(val.least),
            best_val_step: val.least_step,
            corpus_loss: finite(results.and_then(|r| r.corpus_loss)),
            step_secs: results.and_then(|r| r.step_secs).or_else(step_secs),
            tokens_per_sec,
            model_flops_per_sec: tokens_per_sec.zip(flops_per_token).map(|(tokens, flops)| tokens * flops),
            peak_memory_bytes: results
                .and_then(|r| r.peak_memory_bytes)
                .map(|bytes| bytes as f64)
                .or(series(|row| row.memory_bytes).most),
            peak_gpu_memory_bytes: series(|row| row.gpu_memory_bytes).most,
            target: target(record),
        }
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

/// What one column of the rows says, of its finite values.
#[derive(Default)]
struct Measured {
    first: Option<f64>,
    last: Option<f64>,
    least: Option<f64>,
    least_step: Option<u64>,
    most: Option<f64>,
}

impl Measured {
    fn of(rows: &[MetricsRow], get: fn(&MetricsRow) -> Option<f64>) -> Measured {
        let mut measured = Measured::default();
        for row in rows {
            let Some(value) = get(row).filter(|value| value.is_finite()) else { continue };
            measured.first = measured.first.or(Some(value));
            measured.last = Some(value);
            if measured.least.is_none_or(|least| value < least) {
                measured.least = Some(value);
                measured.least_step = Some(row.step);
            }
            measured.most = Some(measured.most.map_or(value, |most| most.max(value)));
        }
        measured
    }
}

/// A number by which runs are compared.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    pub label: &'static str,
    pub unit: Unit,
    pub better: Better,
    pub get: fn(&Summary) -> Option<f64>,
}

/// The outcome columns of a comparison, in order.
pub static OUTCOMES: &[Outcome] = &[
    outcome("Steps", Unit::Count, Better::Neither, |s| s.steps.map(|steps| steps as f64)),
    outcome("Train loss (last)", Unit::Nats, Better::Lower, |s| s.final_train_loss),
    outcome("Train loss (smoothed)", Unit::Nats, Better::Lower, |s| s.final_train_loss_ema),
    outcome("Train loss (best)", Unit::Nats, Better::Lower, |s| s.best_train_loss),
    outcome("Val loss (last)", Unit::Nats, Better::Lower, |s| s.final_val_loss),
    outcome("Val loss (best)", Unit::Nats, Better::Lower, |s| s.best_val_loss),
    outcome("Corpus loss", Unit::Nats, Better::Lower, |s| s.corpus_loss),
    outcome("Time", Unit::Secs, Better::Lower, |s| s.elapsed_secs),
    outcome("Throughput", Unit::TokensPerSec, Better::Higher, |s| s.tokens_per_sec),
    outcome("Peak memory", Unit::Bytes, Better::Lower, |s| s.peak_memory_bytes),
];

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

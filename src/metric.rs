//! The one table of metrics. The CSV header, the progress line, plots and report tables are all read from it.

use serde::{Deserialize, Serialize};

/// Which direction is an improvement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    Lower,
    Higher,
    Neither,
}

/// How a metric is measured and should be printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Epochs,
    Nats,
    Ratio,
    Secs,
    TokensPerSec,
    Percent,
    Bytes,
    Watts,
    Celsius,
}

/// One metric: its column name and what the rest of the program needs to know about it.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Column name in `metrics.csv`.
    pub key: &'static str,
    /// Name in plots and tables.
    pub label: &'static str,
    pub unit: Unit,
    pub better: Better,
    pub help: &'static str,
    pub get: fn(&MetricsRow) -> Option<f64>,
    pub set: fn(&mut MetricsRow, Option<f64>),
}

macro_rules! metrics {
    ($( $field:ident : $label:literal, $unit:ident, $better:ident, $help:literal; )*) => {
        /// One row of `metrics.csv`: the state after `step` optimizer steps. What was not measured is `None`.
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct MetricsRow {
            /// Completed optimizer steps, this one included. Row 0, if any, is the evaluation before training.
            pub step: u64,
            $(
                #[doc = $help]
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<f64>,
            )*
        }

        /// All metrics in column order; `step` comes first.
        pub static METRICS: &[Metric] = &[
            Metric {
                key: "step", label: "Step", unit: Unit::Count, better: Better::Neither,
                help: "Completed optimizer steps.",
                get: |row| Some(row.step as f64),
                set: |row, value| row.step = value.unwrap_or(0.0) as u64,
            },
            $(
                Metric {
                    key: stringify!($field), label: $label, unit: Unit::$unit, better: Better::$better, help: $help,
                    get: |row| row.$field,
                    set: |row, value| row.$field = value,
                },
            )*
        ];
    };
}

metrics! {
    tokens: "Tokens", Count, Neither, "Tokens trained on so far.";
    attempt: "Attempt", Count, Neither, "Which of the run's attempts trained the step, from 1.";
    epoch: "Epoch", Epochs, Neither, "Tokens trained on divided by the tokens of the training split.";
    train_loss: "Train loss", Nats, Lower, "Mean cross entropy of the step's batch before its update, in nats per token.";
    train_loss_ema: "Smoothed train loss", Nats, Lower, "Bias-corrected exponential moving average of the train loss.";
    val_loss: "Validation loss", Nats, Lower, "Mean cross entropy over the evaluation batches, in nats per token, dropout off.";
    val_perplexity: "Validation perplexity", Ratio, Lower, "Exponential of the validation loss.";
    learning_rate: "Learning rate", Ratio, Neither, "Learning rate of the step.";
    grad_norm: "Gradient norm", Ratio, Neither, "Global L2 norm of the gradient before clipping.";
    loss_scale: "Loss scale", Ratio, Neither, "What the loss was multiplied by in half precision.";
    skipped_steps: "Skipped steps", Count, Lower, "Steps so far whose update was left out because the scaled gradient overflowed half precision.";
    step_secs: "Time per step", Secs, Lower, "Seconds of the step alone: forward, backward, update.";
    tokens_per_sec: "Throughput", TokensPerSec, Higher, "Tokens of the step divided by its seconds.";
    elapsed_secs: "Elapsed", Secs, Lower, "Seconds since training began, evaluations, samples and checkpoints included.";
    cpu_percent: "CPU", Percent, Neither, "CPU time of the process as a share of one core (200 = two cores busy).";
    memory_bytes: "Memory", Bytes, Lower, "Resident memory of the process.";
    gpu_percent: "GPU", Percent, Neither, "Utilisation of the GPU.";
    gpu_memory_bytes: "GPU memory", Bytes, Lower, "Memory in use on the GPU.";
    gpu_power_watts: "GPU power", Watts, Neither, "Power drawn by the GPU.";
    gpu_temperature_celsius: "GPU temperature", Celsius, Neither, "Temperature of the GPU.";
}

impl Metric {
    /// Whether the value follows from the configuration alone, so that a run that was interrupted or repeated has the same to the
    /// last bit. What was measured of the machine and its time does not.
    pub fn is_reproducible(&self) -> bool {
        match self.unit {
            Unit::Count => self.key != "attempt",
            Unit::Epochs | Unit::Nats | Unit::Ratio => true,
            Unit::Secs | Unit::TokensPerSec | Unit::Percent | Unit::Bytes | Unit::Watts | Unit::Celsius => {
                false
            }
        }
    }
}

/// The metric with this column name.
pub fn metric(key: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.key == key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_reads_back_what_was_set() {
        for metric in METRICS {
            let mut row = MetricsRow::default();
            (metric.set)(&mut row, Some(7.0));
            assert_eq!((metric.get)(&row), Some(7.0), "{}", metric.key);
        }
    }
}

//! The one table of metrics. The CSV header, the progress line, plots and report tables are all read from it; [`figures`] has what a run
//! comes down to.

use serde::{Deserialize, Serialize};

pub mod figures;

pub use figures::{FIGURES, Figure, Figures, Statistic};

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
    BitsPerByte,
    /// Of 1.
    Share,
    Ratio,
    /// A learning rate.
    Rate,
    Secs,
    TokensPerSec,
    Percent,
    Bytes,
    Watts,
    Celsius,
}

/// The plots of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plot {
    Loss,
    Accuracy,
    LearningRate,
    GradNorm,
    Throughput,
    Resources,
}

/// How a curve is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Raw values behind their smoothed curve.
    Faint,
    /// Raw values on their own.
    Thin,
    Solid,
    /// Measured now and then.
    Marked,
}

/// What the program does with a metric beside writing it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trait {
    /// It stands in the line that shows a step while a run trains, between these words.
    Progress(&'static str, &'static str),
    /// It is said when an evaluation measured it, after this word.
    Said(&'static str),
    /// It is a curve of a plot, with this name in the legend and this colour of the palette.
    Curve(Plot, &'static str, usize, Look),
    /// It is measured on text that is kept for validation, so it is not missed where there is none.
    Validation,
    /// A run that was interrupted or repeated has it otherwise: it is measured of the machine and its time. All others follow
    /// from the configuration alone, to the last bit.
    Unrepeatable,
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
    pub traits: &'static [Trait],
    pub get: fn(&MetricsRow) -> Option<f64>,
    pub set: fn(&mut MetricsRow, Option<f64>),
}

macro_rules! metrics {
    ($( $field:ident : $label:literal, $unit:ident, $better:ident, $help:literal, [$($trait:expr),*]; )*) => {
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

        /// Each metric under the name of its column.
        #[expect(non_upper_case_globals, reason = "they are called as their columns are")]
        pub mod columns {
            use super::Trait::{Curve, Progress, Said, Unrepeatable, Validation};
            use super::{Better, Look, Metric, Plot, Unit};

            pub const step: Metric = Metric {
                key: "step", label: "Step", unit: Unit::Count, better: Better::Neither,
                help: "Completed optimizer steps.", traits: &[],
                get: |row| Some(row.step as f64),
                set: |row, value| row.step = value.unwrap_or(0.0) as u64,
            };
            $(
                pub const $field: Metric = Metric {
                    key: stringify!($field), label: $label, unit: Unit::$unit, better: Better::$better, help: $help,
                    traits: &[$($trait),*],
                    get: |row| row.$field,
                    set: |row, value| row.$field = value,
                };
            )*
        }

        /// All metrics in column order; `step` comes first.
        pub static METRICS: &[Metric] = &[columns::step, $( columns::$field, )*];
    };
}

metrics! {
    tokens: "Tokens", Count, Neither, "Tokens trained on so far.", [];
    attempt: "Attempt", Count, Neither, "Which of the run's attempts trained the step, from 1.", [Unrepeatable];
    epoch: "Epoch", Epochs, Neither, "Tokens trained on divided by the tokens of the training split.", [];
    train_loss: "Train loss", Nats, Lower, "Mean cross entropy of the step's batch before its update, in nats per token.",
        [Progress("loss ", ""), Curve(Plot::Loss, "Train loss", 0, Look::Faint)];
    train_loss_ema: "Smoothed train loss", Nats, Lower, "Bias-corrected exponential moving average of the train loss.",
        [Progress("smoothed ", ""), Curve(Plot::Loss, "Smoothed", 0, Look::Solid)];
    train_bits_per_byte: "Train bits per byte", BitsPerByte, Lower,
        "The train loss in bits per byte of the text that the step's tokens stand for, whatever the tokenizer.", [];
    train_accuracy: "Train accuracy", Share, Higher,
        "Share of the step's tokens that the model held for the likeliest, before its update. Not measured on GPUs.",
        [Curve(Plot::Accuracy, "Training batches", 0, Look::Faint)];
    val_loss: "Validation loss", Nats, Lower, "Mean cross entropy over the evaluation batches, in nats per token, dropout off.",
        [Validation, Said("val loss"), Curve(Plot::Loss, "Validation", 1, Look::Marked)];
    val_perplexity: "Validation perplexity", Ratio, Lower, "Exponential of the validation loss.", [Validation, Said("perplexity")];
    val_bits_per_byte: "Validation bits per byte", BitsPerByte, Lower,
        "The validation loss in bits per byte of the text that the tokens stand for, whatever the tokenizer.",
        [Validation, Said("bits per byte")];
    val_accuracy: "Validation accuracy", Share, Higher,
        "Share of the tokens of the evaluation batches that the model held for the likeliest.",
        [Validation, Said("accuracy"), Curve(Plot::Accuracy, "Validation", 1, Look::Marked)];
    learning_rate: "Learning rate", Rate, Neither, "Learning rate of the step; with Muon that of the blocks' matrices.",
        [Progress("lr ", ""), Curve(Plot::LearningRate, "Matrices (Muon)", 0, Look::Thin)];
    adamw_learning_rate: "Learning rate of AdamW's part", Rate, Neither,
        "With Muon the learning rate of embeddings, layer norms and biases, which AdamW moves.",
        [Curve(Plot::LearningRate, "Embeddings, layer norms, biases (AdamW)", 1, Look::Thin)];
    grad_norm: "Gradient norm", Ratio, Neither, "Global L2 norm of the gradient before clipping.",
        [Curve(Plot::GradNorm, "Gradient norm", 0, Look::Thin)];
    loss_scale: "Loss scale", Ratio, Neither, "What the loss was multiplied by in half precision.", [];
    skipped_steps: "Skipped steps", Count, Lower,
        "Steps so far whose update was left out because the scaled gradient overflowed half precision.", [];
    step_secs: "Time per step", Secs, Lower, "Seconds of the step alone: forward, backward, update.", [Unrepeatable];
    tokens_per_sec: "Throughput", TokensPerSec, Higher, "Tokens of the step divided by its seconds.",
        [Unrepeatable, Progress("", " tok/s"), Curve(Plot::Throughput, "Throughput", 0, Look::Thin)];
    elapsed_secs: "Elapsed", Secs, Lower, "Seconds since training began, evaluations, samples and checkpoints included.",
        [Unrepeatable];
    cpu_percent: "CPU", Percent, Neither, "CPU time of the process as a share of one core (200 = two cores busy).",
        [Unrepeatable, Curve(Plot::Resources, "CPU, 100 is one core", 0, Look::Thin)];
    memory_bytes: "Memory", Bytes, Lower, "Resident memory of the process.",
        [Unrepeatable, Curve(Plot::Resources, "Memory", 0, Look::Thin)];
    gpu_percent: "GPU", Percent, Neither, "Utilisation of the GPU.",
        [Unrepeatable, Curve(Plot::Resources, "GPU", 0, Look::Thin)];
    gpu_memory_bytes: "GPU memory", Bytes, Lower, "Memory in use on the GPU.",
        [Unrepeatable, Curve(Plot::Resources, "GPU memory", 0, Look::Thin)];
    gpu_power_watts: "GPU power", Watts, Neither, "Power drawn by the GPU.",
        [Unrepeatable, Curve(Plot::Resources, "GPU power", 0, Look::Thin)];
    gpu_temperature_celsius: "GPU temperature", Celsius, Neither, "Temperature of the GPU.",
        [Unrepeatable, Curve(Plot::Resources, "GPU temperature", 0, Look::Thin)];
}

impl Metric {
    /// Whether the value follows from the configuration alone, so that a run that was interrupted or repeated has the same to the
    /// last bit. What was measured of the machine and its time does not.
    pub fn is_reproducible(&self) -> bool {
        !self.traits.contains(&Trait::Unrepeatable)
    }

    /// Whether text must be kept for validation for it to be measured.
    pub fn is_of_validation(&self) -> bool {
        self.traits.contains(&Trait::Validation)
    }

    /// Whether `value` is an improvement over `than`.
    pub fn is_better(&self, value: f64, than: f64) -> bool {
        match self.better {
            Better::Lower => value < than,
            Better::Higher => value > than,
            Better::Neither => false,
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

    #[test]
    fn what_is_measured_of_the_machine_and_its_time_is_not_reproducible() {
        for metric in METRICS {
            let of_machine = match metric.unit {
                Unit::Count => metric.key == "attempt",
                Unit::Epochs | Unit::Nats | Unit::Ratio | Unit::Rate | Unit::BitsPerByte | Unit::Share => {
                    false
                }
                _ => true,
            };
            assert_eq!(metric.is_reproducible(), !of_machine, "{}", metric.key);
        }
    }
}

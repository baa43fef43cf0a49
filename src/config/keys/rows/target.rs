//! `[target]`: when a run may stop early.

use crate::config::keys::kind::ZERO_OR_MORE;
use crate::config::keys::row::section;
use crate::facts::words::words;

section! {
    /// When the run may stop early because it reached what it was for.
    target: TargetPlan {
        /// train_loss (the loss of a single step), train_loss_ema (smoothed), val_loss or val_bits_per_byte (the validation loss in bits per byte
        /// of text, which does not depend on the tokenizer).
        metric: TargetMetric = "train_loss";
        /// The run stops as soon as the metric is strictly below this. 0: no target.
        threshold: Option<f64> = 0.0, ZERO_OR_MORE;
    }
}

words! {
    /// What a target is a threshold for, by its column in `metrics.csv`.
    TargetMetric {
        TrainLoss = "train_loss",
        TrainLossEma = "train_loss_ema",
        ValLoss = "val_loss",
        ValBitsPerByte = "val_bits_per_byte",
    }
}

impl TargetMetric {
    /// Whether text must be kept for validation for it.
    pub fn is_of_validation(self) -> bool {
        matches!(self, Self::ValLoss | Self::ValBitsPerByte)
    }
}

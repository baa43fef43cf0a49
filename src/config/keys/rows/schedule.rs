//! `[schedule]`: the learning rate from step to step.

use crate::config::keys::kind::{MAX_STEPS, ZERO_OR_MORE, int};
use crate::config::keys::row::section;
use crate::facts::words::words;

section! {
    /// How the learning rate changes from step to step. Warm-up is part of every kind.
    schedule: SchedulePlan {
        /// constant; linear or cosine (from the peak down to min_lr at step decay_steps, and min_lr afterwards); or
        /// warmup-stable-decay (the peak until the last decay_steps, then linearly down to min_lr).
        kind: ScheduleKind = "constant";
        /// Steps over which the learning rate rises linearly to its peak. 0: no warm-up.
        warmup_steps: u64 = 0, int(0, MAX_STEPS);
        /// Step at which linear and cosine arrive at min_lr, warm-up included; for warmup-stable-decay, how many of the last
        /// steps decay. 0: `train.max_steps`; for warmup-stable-decay the last tenth of the steps.
        decay_steps: Option<u64> = 0, int(0, MAX_STEPS);
        /// Where the learning rate ends. A constant schedule does not read it. Muon's adamw_learning_rate ends at the same share of its peak.
        min_lr: f64 = 0.0, ZERO_OR_MORE;
    }
}

words! {
    /// How the learning rate changes from step to step.
    ScheduleKind {
        Constant = "constant",
        Linear = "linear",
        Cosine = "cosine",
        WarmupStableDecay = "warmup-stable-decay",
    }
}

impl SchedulePlan {
    /// Where linear and cosine end, and how many of the last steps warmup-stable-decay decays over; never 0.
    pub fn decays_over(&self, max_steps: u64) -> u64 {
        match (self.decay_steps, self.kind) {
            (None, ScheduleKind::WarmupStableDecay) => (max_steps / 10).max(1),
            (None, _) => max_steps,
            (Some(steps), _) => steps,
        }
    }
}

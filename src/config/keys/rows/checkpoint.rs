//! `[checkpoint]`: copies of the model on disk.

use crate::config::keys::kind::{MAX_STEPS, int};
use crate::config::keys::row::section;

section! {
    /// Copies of the model on disk while it trains. Besides the latest ones, the best one is kept: that with the lowest validation loss, or
    /// without validation the lowest smoothed train loss (`train_loss_ema`).
    checkpoint: CheckpointPlan {
        /// Steps between checkpoints. One is also written at the end, and when the run is stopped. Each is validated (see `train.eval_interval`).
        /// 0: no checkpoints at all, not even at the end.
        interval: u64 = 500, int(0, MAX_STEPS);
        /// How many of the latest to keep. Never fewer than 2: a crash while saving must not cost the only one.
        keep_last: usize = 2, int(2, 1_000_000);
    }
}

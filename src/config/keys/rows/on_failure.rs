//! `[on_failure]`: what is done about failures.

use std::ops::Bound::Included;

use crate::config::keys::kind::{int, num};
use crate::config::keys::row::section;
use crate::config::keys::types::{TimeLimit, Written};
use crate::facts::StopReason;

section! {
    /// What happens when a run fails. Other runs of the sweep go on either way, and `runner retry` tries failed ones again later.
    /// Each further attempt goes on from the last checkpoint.
    on_failure: OnFailurePlan {
        /// Further attempts after its process was killed from outside. 0: none.
        retry_killed: u64 = 1, int(0, 1_000);
        /// Further attempts after the device failed. 0: none.
        retry_device: u64 = 1, int(0, 1_000);
        /// Further attempts after nothing was heard of it for `timeout`. 0: none.
        retry_timeout: u64 = 1, int(0, 1_000);
        /// Further attempts after memory ran out, with the same settings (but see `halve_batch`). 0: none.
        retry_out_of_memory: u64 = 0, int(0, 1_000);
        /// Further attempts after the disk was full. 0: none.
        retry_disk_full: u64 = 0, int(0, 1_000);
        /// Further attempts after a fault of the program. 0: none.
        retry_panic: u64 = 0, int(0, 1_000);
        /// Further attempts after any other error. 0: none.
        retry_error: u64 = 0, int(0, 1_000);
        /// Seconds before the first further attempt; twice as long before each that follows, ten minutes at most. 0: at once.
        backoff_secs: f64 = 10.0, num(Included(0.0), Included(86_400.0));
        /// A run of which nothing is heard for so long (no step, evaluation, sample or checkpoint) is ended. Leave time for the
        /// longest of these: "2h". 0: never.
        timeout: Written<TimeLimit> = "0";
        /// When memory runs out: try again with half of train.batch_size and twice train.gradient_accumulation_steps, so that a step
        /// keeps its tokens, as often as the batch can be halved. The report says so.
        halve_batch: bool = false;
    }
}

impl OnFailurePlan {
    /// How often a run that failed so is tried again.
    pub fn retries(&self, class: StopReason) -> u64 {
        match class {
            StopReason::Killed => self.retry_killed,
            StopReason::Device => self.retry_device,
            StopReason::Timeout => self.retry_timeout,
            StopReason::OutOfMemory => self.retry_out_of_memory,
            StopReason::DiskFull => self.retry_disk_full,
            StopReason::Panic => self.retry_panic,
            StopReason::Error => self.retry_error,
            _ => 0,
        }
    }
}

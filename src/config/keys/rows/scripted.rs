//! `[scripted]`: the engine that only pretends to compute.

use std::ops::Bound::{Excluded, Included};

use crate::config::keys::kind::{ABOVE_ZERO, MAX_STEPS, ZERO_OR_MORE, int, num};
use crate::config::keys::row::section;
use crate::facts::words::words;

section! {
    /// The curve of `hardware.device = "scripted"`:
    /// loss(step) = floor_loss + (initial_loss - floor_loss) * exp(-step / decay_steps) + noise.
    scripted: ScriptedPlan {
        /// Loss before the first step.
        initial_loss: f64 = 4.0, ZERO_OR_MORE;
        /// Loss that the curve approaches.
        floor_loss: f64 = 0.05, ZERO_OR_MORE;
        /// Steps in which the distance to the floor shrinks to 37 %.
        decay_steps: f64 = 100.0, ABOVE_ZERO;
        /// Standard deviation of what is added to each step's loss, drawn from the run's seed.
        noise: f64 = 0.01, ZERO_OR_MORE;
        /// Seconds that a step pretends to take.
        step_secs: f64 = 0.1, num(Excluded(0.0), Included(86_400.0));
        /// Step from which the loss is NaN, to see how a diverging run is reported. 0: never.
        diverge_at: u64 = 0, int(0, MAX_STEPS);
        /// Step at which the engine fails, to see how a failing run is reported. 0: never.
        fail_at: u64 = 0, int(0, MAX_STEPS);
        /// How it fails then: error, panic, abort, kill (SIGKILL), out_of_memory or hang (it never comes back).
        fail_as: ScriptedFailure = "error";
        /// Memory runs out with a larger train.batch_size than this. 0: any.
        fits_batch_size: usize = 0, int(0, 1_000_000);
        /// Real seconds that a step takes, beside those that it pretends to take. 0: as fast as it can.
        sleep_secs: f64 = 0.0, num(Included(0.0), Included(60.0));
    }
}

words! {
    /// How the scripted engine fails.
    ScriptedFailure {
        Error = "error",
        Panic = "panic",
        Abort = "abort",
        Kill = "kill",
        OutOfMemory = "out_of_memory",
        Hang = "hang",
    }
}

//! `[reference]`: a published result to compare with.

use crate::config::keys::kind::{MAX_STEPS, ZERO_OR_MORE, int};
use crate::config::keys::row::section;

section! {
    /// A published result to compare with: reports draw its curve beside the run's own and show both side by side.
    /// Without any key of this section there is none.
    reference: ReferenceSection {
        /// What to call it in reports.
        name: String = "";
        /// Where it was published.
        source: String = "";
        /// What it was computed on.
        hardware: String = "";
        /// Its last train loss in nats per token. 0: not stated.
        final_loss: f64 = 0.0, ZERO_OR_MORE;
        /// Steps it took. 0: not stated.
        steps: u64 = 0, int(0, MAX_STEPS);
        /// Seconds it took. 0: not stated.
        secs: f64 = 0.0, ZERO_OR_MORE;
        /// Points of its train loss as [step, loss], in order of the steps.
        curve: Vec<(u64, f64)> = [];
    }
}

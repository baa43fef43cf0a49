//! `[reference]`: a published result to compare with.

use crate::config::keys::kind::{MAX_STEPS, ZERO_OR_MORE, int};
use crate::config::keys::row::section;
use crate::facts::Reference;

section! {
    /// A published result to compare with: reports draw its curve beside the run's own and show both side by side.
    /// Without any key of this section there is none.
    reference: ReferencePlan {
        /// What to call it in reports.
        name: String = "";
        /// Where it was published.
        source: String = "";
        /// What it was computed on.
        hardware: String = "";
        /// Its last train loss in nats per token. 0: not stated.
        final_loss: Option<f64> = 0.0, ZERO_OR_MORE;
        /// Steps it took. 0: not stated.
        steps: Option<u64> = 0, int(0, MAX_STEPS);
        /// Seconds it took. 0: not stated.
        secs: Option<f64> = 0.0, ZERO_OR_MORE;
        /// Points of its train loss as [step, loss], in order of the steps.
        curve: Vec<(u64, f64)> = [];
    }
}

impl ReferencePlan {
    /// The result; `None` without any key of the section.
    pub fn result(&self) -> Option<Reference> {
        let ReferencePlan { name, source, hardware, final_loss, steps, secs, curve } = self.clone();
        let reference = Reference { name, source, hardware, final_loss, steps, secs, curve };
        (reference != Reference::default()).then_some(reference)
    }
}

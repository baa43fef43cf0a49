//! Adam with decoupled weight decay.
//!
//! # Source
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019; numbers as PyTorch's `AdamW`.

use dfdx::prelude::*;

use super::{AdamWRule, Change, Update, decay};

/// Updates one parameter in place, and leaves zeros in its gradient.
pub fn try_update<S: Shape, E: Dtype, D: Update<E>>(change: Change<'_, S, E, D>) -> Result<(), D::Err> {
    let Change { plan, step, learning_rate, clip, parameter, tensor, gradient, state, aside } = change;
    let rule = AdamWRule {
        step,
        learning_rate,
        betas: [plan.beta1, plan.beta2],
        eps: plan.eps,
        decay: decay(plan, parameter),
        clip,
    };
    let [first, second] = state.moments(["exp_avg", "exp_avg_sq"]);
    let moments = [first.try_get(tensor)?, second.try_get(tensor)?];
    D::try_adamw(&rule, tensor, gradient, moments, aside)
}

//! Stochastic gradient descent with momentum as PyTorch defines it: v = momentum * v + g, p -= lr * v. Weight decay is added to
//! the gradient (L2), as PyTorch's `SGD` does.

use dfdx::prelude::*;

use super::{Change, SgdRule, Update, decay};

/// Updates one parameter in place, and leaves zeros in its gradient.
pub fn try_update<S: Shape, E: Dtype, D: Update<E>>(change: Change<'_, S, E, D>) -> Result<(), D::Err> {
    let Change { plan, learning_rate, clip, parameter, tensor, gradient, state, aside, .. } = change;
    let rule = SgdRule { learning_rate, momentum: plan.momentum, decay: decay(plan, parameter), clip };
    let [velocity] = state.moments(["momentum_buffer"]);
    D::try_sgd(&rule, tensor, gradient, velocity.try_get(tensor)?, aside)
}

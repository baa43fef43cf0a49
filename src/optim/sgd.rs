//! Stochastic gradient descent with momentum as PyTorch defines it: v = momentum * v + g, p -= lr * v.

use dfdx::prelude::*;

use super::{Aside, Decay, Moments, SgdRule, Update};
use crate::config::experiment::OptimizerPlan;
use crate::model::Gpt;
use crate::model::params::Parameter;
use crate::ops::Buffer;
use crate::ops::cpu::bf16::Rounded;

/// SGD and its velocities. Weight decay is added to the gradient (L2), as PyTorch's `SGD` does.
#[derive(Debug)]
pub struct Sgd<E: Dtype, D: Storage<E>> {
    momentum: f64,
    decay: Decay,
    pub(super) velocity: Moments<E, D>,
    scratch: Vec<E>,
}

impl<E: Dtype, D: Update<E>> Sgd<E, D> {
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        Ok(Self {
            momentum: plan.momentum,
            decay: Decay::new(plan),
            velocity: Moments::try_zeros(gpt)?,
            scratch: Vec::new(),
        })
    }

    /// Updates one parameter in place from its gradient times `clip`, and leaves zeros in the gradient.
    pub fn try_update<S: Shape>(
        &mut self,
        parameter: &Parameter,
        tensor: &mut Tensor<S, E, D>,
        gradient: &mut Buffer<E, D>,
        rounded: Option<&Rounded>,
        clip: f64,
        learning_rate: f64,
    ) -> Result<(), D::Err> {
        let rule = SgdRule { learning_rate, momentum: self.momentum, decay: self.decay.of(parameter), clip };
        let aside = Aside { scratch: &mut self.scratch, rounded };
        D::try_sgd(&rule, tensor, gradient, self.velocity.try_get(tensor)?, aside)
    }
}

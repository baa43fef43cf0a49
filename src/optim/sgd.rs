//! Stochastic gradient descent with momentum as PyTorch defines it: v = momentum * v + g, p -= lr * v.

use dfdx::prelude::*;
use dfdx::tensor_ops::{Momentum, SgdConfig, WeightDecay};

use super::{Decay, Moments};
use crate::config::experiment::OptimizerPlan;
use crate::model::Gpt;
use crate::model::params::Parameter;
use crate::ops::{Buffer, Ops};

/// SGD and its velocities. Weight decay is added to the gradient (L2), as PyTorch's `SGD` does.
#[derive(Debug)]
pub struct Sgd<E: Dtype, D: Storage<E>> {
    momentum: f64,
    decay: Decay,
    pub(super) velocity: Moments<E, D>,
}

impl<E: Dtype, D: Ops<E>> Sgd<E, D> {
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        Ok(Self { momentum: plan.momentum, decay: Decay::new(plan), velocity: Moments::try_zeros(gpt)? })
    }

    /// Updates one parameter in place.
    pub fn try_update<S: Shape>(
        &mut self,
        parameter: &Parameter,
        tensor: &mut Tensor<S, E, D>,
        gradient: &Buffer<E, D>,
        learning_rate: f64,
    ) -> Result<(), D::Err> {
        let config = SgdConfig {
            lr: learning_rate,
            momentum: Some(Momentum::Classic(self.momentum)),
            weight_decay: self.decay.of(parameter).map(WeightDecay::L2),
        };
        config.try_update(tensor, self.velocity.try_get(tensor)?, gradient)
    }
}

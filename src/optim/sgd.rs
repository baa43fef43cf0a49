//! Stochastic gradient descent with momentum as PyTorch defines it: v = momentum * v + g, p -= lr * v.

use dfdx::prelude::*;
use dfdx::tensor_ops::{Momentum, SgdConfig, WeightDecay};

use super::Moments;
use crate::config::experiment::OptimizerPlan;
use crate::model::Gpt;
use crate::model::params::Parameter;
use crate::ops::{Buffer, Ops};

/// SGD and its velocities. Weight decay is added to the gradient (L2), as PyTorch's `SGD` does.
#[derive(Debug)]
pub struct Sgd<E: Dtype, D: Storage<E>> {
    momentum: f64,
    weight_decay: f64,
    decay_all: bool,
    pub(super) velocity: Moments<E, D>,
}

impl<E: Dtype, D: Ops<E>> Sgd<E, D> {
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        Ok(Self {
            momentum: plan.momentum,
            weight_decay: plan.weight_decay,
            decay_all: plan.decay_all,
            velocity: Moments::try_zeros(gpt)?,
        })
    }

    /// Updates one parameter in place.
    pub fn try_update<S: Shape>(
        &mut self,
        parameter: &Parameter,
        tensor: &mut Tensor<S, E, D>,
        gradient: &Buffer<E, D>,
        learning_rate: f64,
    ) -> Result<(), D::Err> {
        let decays = self.decay_all || parameter.is_matrix();
        let config = SgdConfig {
            lr: learning_rate,
            momentum: Some(Momentum::Classic(self.momentum)),
            weight_decay: (decays && self.weight_decay > 0.0).then_some(WeightDecay::L2(self.weight_decay)),
        };
        config.try_update(tensor, self.velocity.try_get(tensor)?, gradient)
    }
}

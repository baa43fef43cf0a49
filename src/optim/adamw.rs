//! Adam with decoupled weight decay.
//!
//! # Source
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019; numbers as PyTorch's `AdamW`.

use dfdx::prelude::*;
use dfdx::tensor_ops::{AdamConfig, WeightDecay};

use super::{Decay, Moments};
use crate::config::experiment::OptimizerPlan;
use crate::model::Gpt;
use crate::model::params::Parameter;
use crate::ops::{Buffer, Ops};

/// AdamW and its moments.
#[derive(Debug)]
pub struct AdamW<E: Dtype, D: Storage<E>> {
    betas: [f64; 2],
    eps: f64,
    decay: Decay,
    pub(super) steps: u64,
    pub(super) first: Moments<E, D>,
    pub(super) second: Moments<E, D>,
}

impl<E: Dtype, D: Ops<E>> AdamW<E, D> {
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        Ok(Self {
            betas: [plan.beta1, plan.beta2],
            eps: plan.eps,
            decay: Decay::new(plan),
            steps: 0,
            first: Moments::try_zeros(gpt)?,
            second: Moments::try_zeros(gpt)?,
        })
    }

    /// Counts the step that the following updates belong to, for the bias correction.
    pub fn begin_step(&mut self) {
        self.steps += 1;
    }

    /// Updates one parameter in place: p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + lr * decay * p.
    pub fn try_update<S: Shape>(
        &mut self,
        parameter: &Parameter,
        tensor: &mut Tensor<S, E, D>,
        gradient: &Buffer<E, D>,
        learning_rate: f64,
    ) -> Result<(), D::Err> {
        let config = AdamConfig {
            lr: learning_rate,
            betas: self.betas,
            eps: self.eps,
            weight_decay: self.decay.of(parameter).map(WeightDecay::Decoupled),
        };
        // beta^t is 0 in any floating-point format long before t leaves the range of i32.
        let t = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (first, second) = (self.first.try_get(tensor)?, self.second.try_get(tensor)?);
        config.try_update(t, tensor, first, second, gradient)
    }
}

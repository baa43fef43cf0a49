//! Adam with decoupled weight decay.
//!
//! # Source
//! Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019; numbers as PyTorch's `AdamW`.

use dfdx::prelude::*;

use super::{AdamWRule, Aside, Decay, Moments, Update};
use crate::config::experiment::OptimizerPlan;
use crate::model::Gpt;
use crate::model::params::Parameter;
use crate::ops::Buffer;
use crate::ops::cpu::bf16::Rounded;

/// AdamW and its moments.
#[derive(Debug)]
pub struct AdamW<E: Dtype, D: Storage<E>> {
    betas: [f64; 2],
    eps: f64,
    decay: Decay,
    pub(super) steps: u64,
    pub(super) first: Moments<E, D>,
    pub(super) second: Moments<E, D>,
    scratch: Vec<E>,
}

impl<E: Dtype, D: Update<E>> AdamW<E, D> {
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        Ok(Self {
            betas: [plan.beta1, plan.beta2],
            eps: plan.eps,
            decay: Decay::new(plan),
            steps: 0,
            first: Moments::try_zeros(gpt)?,
            second: Moments::try_zeros(gpt)?,
            scratch: Vec::new(),
        })
    }

    /// Counts the step that the following updates belong to, for the bias correction.
    pub fn begin_step(&mut self) {
        // A checkpoint can say anything, and beyond the first thousands the bias correction is 1 anyway.
        self.steps = self.steps.saturating_add(1);
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
        let rule = AdamWRule {
            step: self.steps,
            learning_rate,
            betas: self.betas,
            eps: self.eps,
            decay: self.decay.of(parameter),
            clip,
        };
        let moments = [self.first.try_get(tensor)?, self.second.try_get(tensor)?];
        let aside = Aside { scratch: &mut self.scratch, rounded };
        D::try_adamw(&rule, tensor, gradient, moments, aside)
    }
}

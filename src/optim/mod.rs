//! Optimizers over the model's parameters. Gradients and moments are dfdx storage that is updated in place, and a step leaves
//! the gradients zeroed for the next one.

use dfdx::prelude::*;

use crate::config::experiment::{OptimizerKind, OptimizerPlan};
use crate::model::Gpt;
use crate::model::params::{Parameter, VisitMut};
use crate::ops::cpu::bf16::Rounded;

mod adamw;
mod clip;
mod composed;
mod cpu;
mod decay;
mod moments;
pub mod schedule;
mod sgd;
mod update;

#[cfg(test)]
mod tests;

pub use adamw::AdamW;
pub use clip::{clip_factor, try_norm};
pub use decay::Decay;
pub use moments::Moments;
pub use schedule::learning_rate;
pub use sgd::Sgd;
pub use update::{AdamWRule, Aside, SgdRule, Update};

/// The optimizer that a plan asks for, with its state.
#[derive(Debug)]
pub enum Optimizer<E: Dtype, D: Storage<E>> {
    AdamW(AdamW<E, D>),
    Sgd(Sgd<E, D>),
}

impl<E: Dtype, D: Update<E>> Optimizer<E, D> {
    /// A new optimizer for this model; its moments are zero.
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        Ok(match plan.kind {
            OptimizerKind::Adamw => Self::AdamW(AdamW::try_build(plan, gpt)?),
            OptimizerKind::Sgd => Self::Sgd(Sgd::try_build(plan, gpt)?),
        })
    }

    /// Updates every parameter from its gradient times `clip`, and leaves zeros in the gradients.
    pub fn try_step(
        &mut self,
        gpt: &mut Gpt<E, D>,
        gradients: &mut Gradients<E, D>,
        clip: f64,
        learning_rate: f64,
    ) -> Result<(), D::Err> {
        if let Self::AdamW(adamw) = self {
            adamw.begin_step();
        }
        let rounded = gpt.rounded().into_iter();
        gpt.visit_mut(&mut Step { optimizer: self, gradients, rounded, clip, learning_rate })
    }
}

impl<E: Dtype, D: Storage<E>> Optimizer<E, D> {
    /// Steps taken, as far as the optimizer's rule depends on it.
    pub fn steps(&self) -> u64 {
        match self {
            Self::AdamW(adamw) => adamw.steps,
            Self::Sgd(_) => 0,
        }
    }

    /// Restores what [`Optimizer::steps`] gave.
    pub fn set_steps(&mut self, steps: u64) {
        if let Self::AdamW(adamw) = self {
            adamw.steps = steps;
        }
    }

    /// What is kept per parameter, by PyTorch's names.
    pub fn moments(&self) -> Vec<(&'static str, &Moments<E, D>)> {
        match self {
            Self::AdamW(adamw) => vec![("exp_avg", &adamw.first), ("exp_avg_sq", &adamw.second)],
            Self::Sgd(sgd) => vec![("momentum_buffer", &sgd.velocity)],
        }
    }

    /// As [`Optimizer::moments`], to restore them.
    pub fn moments_mut(&mut self) -> Vec<(&'static str, &mut Moments<E, D>)> {
        match self {
            Self::AdamW(adamw) => vec![("exp_avg", &mut adamw.first), ("exp_avg_sq", &mut adamw.second)],
            Self::Sgd(sgd) => vec![("momentum_buffer", &mut sgd.velocity)],
        }
    }
}

struct Step<'a, E: Dtype, D: Storage<E>> {
    optimizer: &'a mut Optimizer<E, D>,
    gradients: &'a mut Gradients<E, D>,
    /// In the order of the layout.
    rounded: std::vec::IntoIter<Option<Rounded>>,
    clip: f64,
    learning_rate: f64,
}

impl<E: Dtype, D: Update<E>> VisitMut<E, D> for Step<'_, E, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, parameter: &Parameter, tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err> {
        let gradient = self.gradients.get_or_alloc_mut(&*tensor)?;
        let (clip, learning_rate) = (self.clip, self.learning_rate);
        let rounded = self.rounded.next().flatten();
        let rounded = rounded.as_ref();
        match self.optimizer {
            Optimizer::AdamW(adamw) => {
                adamw.try_update(parameter, tensor, gradient, rounded, clip, learning_rate)
            }
            Optimizer::Sgd(sgd) => sgd.try_update(parameter, tensor, gradient, rounded, clip, learning_rate),
        }
    }
}

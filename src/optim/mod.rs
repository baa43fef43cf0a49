//! Optimizers over the model's parameters. Gradients and moments are dfdx storage that is updated in place, and a step leaves
//! the gradients zeroed for the next one.

use dfdx::prelude::*;

use crate::config::experiment::OptimizerPlan;
use crate::facts::optimizer::OptimizerKind;
use crate::model::Gpt;
use crate::model::params::{Parameter, VisitMut};
use crate::ops::Buffer;
use crate::ops::cpu::bf16::Rounded;

mod adamw;
mod clip;
mod composed;
mod cpu;
mod decay;
mod moments;
mod muon;
pub mod schedule;
mod sgd;
mod state;
mod update;

#[cfg(all(test, feature = "cuda"))]
mod cuda_tests;
#[cfg(test)]
mod tests;

pub use clip::{clip_factor, try_norm};
pub use decay::decay;
pub use moments::Moments;
pub use schedule::learning_rate;
pub use state::State;
pub use update::{AdamWRule, Aside, MuonRule, SgdRule, Update};

/// The learning rate of embeddings, layer norms and biases in a step where matrices have `learning_rate`; `None` with an optimizer that
/// moves all parameters at one rate.
pub fn rate_of_rest(plan: &OptimizerPlan, learning_rate: f64) -> Option<f64> {
    match plan.kind {
        OptimizerKind::Muon => Some(muon::rate_of_rest(plan, learning_rate)),
        OptimizerKind::Adamw | OptimizerKind::Sgd => None,
    }
}

/// The optimizer that a plan asks for, with its state.
#[derive(Debug)]
pub struct Optimizer<E: Dtype, D: Storage<E>> {
    plan: OptimizerPlan,
    steps: u64,
    state: State<E, D>,
    scratch: Vec<E>,
}

/// One parameter, and all that its update depends on.
#[derive(Debug)]
struct Change<'a, S: Shape, E: Dtype, D: Storage<E>> {
    plan: &'a OptimizerPlan,
    /// Steps so far with this one, so 1 in the first.
    step: u64,
    learning_rate: f64,
    /// What the gradient is multiplied by first.
    clip: f64,
    parameter: &'a Parameter,
    tensor: &'a mut Tensor<S, E, D>,
    gradient: &'a mut Buffer<E, D>,
    state: &'a mut State<E, D>,
    aside: Aside<'a, E>,
}

impl<E: Dtype, D: Update<E>> Optimizer<E, D> {
    /// A new optimizer for this model; what it keeps is zero.
    pub fn try_build(plan: &OptimizerPlan, gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        let state = State::try_zeros(plan.kind, gpt)?;
        Ok(Self { plan: plan.clone(), steps: 0, state, scratch: Vec::new() })
    }

    /// Updates every parameter from its gradient times `clip`, and leaves zeros in the gradients.
    pub fn try_step(
        &mut self,
        gpt: &mut Gpt<E, D>,
        gradients: &mut Gradients<E, D>,
        clip: f64,
        learning_rate: f64,
    ) -> Result<(), D::Err> {
        // A checkpoint can say anything, and beyond the first thousands a bias correction is 1 anyway.
        self.steps = self.steps.saturating_add(1);
        let rounded = gpt.rounded().into_iter();
        D::begin_updates();
        gpt.visit_mut(&mut Step { optimizer: self, gradients, rounded, clip, learning_rate })?;
        D::try_finish_updates()
    }
}

impl<E: Dtype, D: Storage<E>> Optimizer<E, D> {
    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Restores what [`Optimizer::steps`] gave.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }

    /// What is kept from step to step.
    pub fn state(&self) -> &State<E, D> {
        &self.state
    }

    /// As [`Optimizer::state`], to restore it.
    pub fn state_mut(&mut self) -> &mut State<E, D> {
        &mut self.state
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
        let rounded = self.rounded.next().flatten();
        let Optimizer { plan, steps, state, scratch } = &mut *self.optimizer;
        let change = Change {
            plan,
            step: *steps,
            learning_rate: self.learning_rate,
            clip: self.clip,
            parameter,
            tensor,
            gradient,
            state,
            aside: Aside { scratch, rounded: rounded.as_ref() },
        };
        match plan.kind {
            OptimizerKind::Adamw => adamw::try_update(change),
            OptimizerKind::Sgd => sgd::try_update(change),
            OptimizerKind::Muon => muon::try_update(change),
        }
    }
}

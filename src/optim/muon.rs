//! Muon: a matrix moves by its momentum, made orthogonal; every other parameter as AdamW moves it.
//!
//! Matrices are stored (in, out) here and (out, in) in PyTorch, so its "rows" are columns here.
//!
//! # Source
//! Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; numbers as PyTorch's `torch.optim.Muon`.

use dfdx::prelude::*;

use super::{Change, MuonRule, Update, adamw, decay};
use crate::config::experiment::OptimizerPlan;
use crate::facts::optimizer::Role;

/// Updates one parameter in place, and leaves zeros in its gradient.
pub fn try_update<S: Shape, E: Dtype, D: Update<E>>(change: Change<'_, S, E, D>) -> Result<(), D::Err> {
    let muon = &change.plan.muon;
    let (Role::Matrix, &[rows, columns]) = (change.parameter.role(), change.parameter.shape.as_slice())
    else {
        // The schedule shapes both rates alike.
        let learning_rate = change.learning_rate * (muon.adamw_learning_rate / change.plan.learning_rate);
        return adamw::try_update(Change { learning_rate, ..change });
    };
    let Change { plan, step, learning_rate, clip, parameter, tensor, gradient, state, aside, .. } = change;
    let pieces = if muon.split_qkv { parameter.matrices() } else { 1 };
    let rule = MuonRule {
        rows,
        columns: columns / pieces,
        pieces,
        learning_rate,
        scale: muon.adjust_lr.factor(rows, columns / pieces),
        momentum: momentum_at(plan, step),
        nesterov: muon.nesterov,
        coefficients: &muon.coefficients,
        decay: decay(plan, parameter),
        clip,
    };
    let [momentum] = state.moments(["momentum_buffer"]);
    D::try_muon(&rule, tensor, gradient, momentum.try_get(tensor)?, aside)
}

/// The momentum of a step, the first of which is 1.
fn momentum_at(plan: &OptimizerPlan, step: u64) -> f64 {
    let (muon, taken) = (&plan.muon, step.saturating_sub(1));
    if taken >= muon.momentum_warmup_steps {
        return plan.momentum;
    }
    let share = taken as f64 / muon.momentum_warmup_steps as f64;
    muon.momentum_start + share * (plan.momentum - muon.momentum_start)
}

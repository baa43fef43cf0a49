//! Muon: a matrix moves by its momentum, made orthogonal; every other parameter as AdamW moves it.
//!
//! Matrices are stored (in, out) here and (out, in) in PyTorch, so its "rows" are columns here.
//!
//! Queries, keys and values are each made orthogonal for themselves (`split_qkv`), which PyTorch cannot know of, and momentum may warm up
//! (`momentum_warmup_steps`). The rates are 0.02 and, for AdamW's part, 3e-3 unless they are set; 0.02 to 0.05 with 3e-3 to 1e-2 is where to
//! begin, or, with `adjust_lr_fn = "match_rms_adamw"`, AdamW's own rate for both, which it has there unless one is set. Both follow the same
//! schedule, to the same share of their peaks. AdamW's part is the embedding too, which is also the head: when a whole row moves by
//! `adamw_learning_rate`, logits move by the width times as much, so wide models want less (`benches/README.md` has an example).
//!
//! | | `torch.optim.Muon` 2.15 | here, on the CPU |
//! |---|---|---|
//! | Newton-Schulz iterations | in bf16 | in f32; with `dtype = "bf16"` on AMX or AVX512-BF16 in bf16 with sums in f32 |
//! | matrices | (out, in); of transformers' GPT-2, whose `Conv1D` is (in, out), the wrong ones are scaled (`findings/muon-gpt2-conv1d.sh`) | (in, out), transposed back for `adjust_lr_fn` |
//! | queries, keys, values | one matrix, unless the model has three | each for itself, or one with `split_qkv = false` |
//! | a matrix at least twice as long as wide | X is multiplied in each iteration | in f32 iterations on X X^T, five at a time, then X once (with the usual coefficients the result differs by some 5e-4, with steeper ones by up to 1e-2, as bf16 does) |
//! | embeddings, which are also the head | taken as any matrix, unless left out | AdamW |
//! | biases, layer norms | refused: another optimizer is needed | AdamW |
//!
//! # Source
//! Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024; numbers as PyTorch's `torch.optim.Muon`.

use dfdx::prelude::*;

use super::{Change, MuonRule, Update, adamw, decay};
use crate::config::experiment::OptimizerPlan;
use crate::facts::optimizer::Role;

/// Updates one parameter in place, and leaves zeros in its gradient.
pub fn try_update<S: Shape, E: Dtype, D: Update<E>>(change: Change<'_, S, E, D>) -> Result<(), D::Err> {
    let (Role::Matrix, &[rows, columns]) = (change.parameter.role(), change.parameter.shape.as_slice())
    else {
        let learning_rate = rate_of_rest(change.plan, change.learning_rate);
        return adamw::try_update(Change { learning_rate, ..change });
    };
    let Change { plan, step, learning_rate, clip, parameter, tensor, gradient, state, aside, .. } = change;
    let pieces = if plan.split_qkv { parameter.matrices() } else { 1 };
    let rule = MuonRule {
        rows,
        columns: columns / pieces,
        pieces,
        learning_rate,
        scale: plan.adjust_lr_fn.factor(rows, columns / pieces),
        momentum: momentum_at(plan, step),
        nesterov: plan.nesterov,
        coefficients: &plan.coefficients(),
        decay: decay(plan, parameter),
        clip,
    };
    let [momentum] = state.moments(["momentum_buffer"]);
    D::try_muon(&rule, tensor, gradient, momentum.try_get(tensor)?, aside)
}

/// AdamW's learning rate where that of the matrices is `learning_rate`: the schedule shapes both alike.
pub fn rate_of_rest(plan: &OptimizerPlan, learning_rate: f64) -> f64 {
    learning_rate * (plan.rate_of_adamw() / plan.learning_rate)
}

/// The momentum of a step, the first of which is 1.
fn momentum_at(plan: &OptimizerPlan, step: u64) -> f64 {
    let taken = step.saturating_sub(1);
    if taken >= plan.momentum_warmup_steps {
        return plan.momentum;
    }
    let share = taken as f64 / plan.momentum_warmup_steps as f64;
    plan.momentum_start + share * (plan.momentum - plan.momentum_start)
}

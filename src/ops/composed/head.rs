//! The head, tied to the token embedding, and its cross entropy.

use dfdx::prelude::*;

use super::{try_copyable, try_indices};
use crate::ops::recompute::{Segment, try_recomputed};
use crate::ops::{Matrix, Row, Scalar, number};

/// See [`Ops::try_head`](crate::ops::Ops::try_head).
pub fn try_head<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    wte_vc: &Matrix<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    x_mc.try_matmul(wte_vc.clone().try_permute::<_, Axes2<1, 0>>()?)
}

/// See [`Ops::try_head_loss`](crate::ops::Ops::try_head_loss).
///
/// With more logits than may exist at a time, that is with more than `max_logits`, it works on some positions after the others
/// and computes their logits again in the backward pass. One position at a time is the least.
pub fn try_head_loss<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    wte_vc: &Matrix<E, D>,
    targets: &[u32],
    max_logits: usize,
) -> Result<Scalar<E, D, T>, D::Err> {
    let at_a_time = positions_at_a_time(targets.len(), wte_vc.shape().0, max_logits);
    if at_a_time >= targets.len() {
        return try_cross_entropy(try_head(x_mc, wte_vc)?, targets);
    }
    let (x_mc, tape) = x_mc.split_tape();
    let mut tape = Some(tape);
    let mut total: Option<Scalar<E, D, T>> = None;
    for (i, targets_of_part) in targets.chunks(at_a_time).enumerate() {
        let first = i * at_a_time;
        // The tape of everything before goes with the first part, which comes first in dfdx's merge.
        let part = x_mc.clone().put_tape(tape.take().unwrap_or_default());
        let part = part.try_slice((first..first + targets_of_part.len(), ..))?;
        let head = Part { wte_vc: wte_vc.clone(), targets: targets_of_part.to_vec() };
        let share = targets_of_part.len() as f64 / targets.len() as f64;
        let loss = try_recomputed(part, head)?.try_mul(number::<E>(share))?;
        total = Some(match total {
            None => loss,
            Some(total) => total.try_add(loss)?,
        });
    }
    Ok(total.expect("the targets are more than one part"))
}

/// How many positions have at most so many logits together.
pub fn positions_at_a_time(positions: usize, vocabulary: usize, max_logits: usize) -> usize {
    (max_logits / vocabulary.max(1)).clamp(1, positions.max(1))
}

/// Mean cross entropy in nats per token: (m, v), m ids.
///
/// The mean of `logsumexp(logits) - logits[target]`: the same number as a log-softmax read at the target, with two passes
/// fewer over the logits, and no one-hot targets as large as them.
pub fn try_cross_entropy<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    logits_mv: Matrix<E, D, T>,
    targets: &[u32],
) -> Result<Scalar<E, D, T>, D::Err> {
    let logits_mv = try_copyable(logits_mv, 1)?;
    let targets_m = try_indices(logits_mv.device(), targets.iter().map(|&id| id as usize))?;
    let total_m = logits_mv.retaped::<T>().try_logsumexp::<(usize,), Axis<1>>()?;
    let picked_m: Row<E, D, T> = logits_mv.try_select(targets_m)?;
    // The branch that carries the tape of everything before comes first in dfdx's merge.
    picked_m.try_sub(total_m)?.try_mean::<Rank0, Axis<0>>()?.try_negate()
}

/// The head's loss on some positions.
struct Part<E: Dtype, D: Storage<E>> {
    wte_vc: Matrix<E, D>,
    targets: Vec<u32>,
}

impl<E: Dtype, D: Device<E>> Segment<E, D> for Part<E, D> {
    type Output = Rank0;

    fn try_forward<T: Tape<E, D>>(&self, x_mc: Matrix<E, D, T>) -> Result<Scalar<E, D, T>, D::Err> {
        try_cross_entropy(try_head(x_mc, &self.wte_vc)?, &self.targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_position_and_never_more_than_there_are() {
        for (max_logits, expected) in [(usize::MAX, 30), (700, 7), (699, 6), (99, 1), (0, 1)] {
            assert_eq!(positions_at_a_time(30, 100, max_logits), expected, "{max_logits}");
        }
    }
}

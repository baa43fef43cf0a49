//! Causal self-attention.

use dfdx::prelude::*;

use super::{try_copyable, try_dropout, try_shift};
use crate::ops::recompute::{Segment, try_recomputed};
use crate::ops::{AttentionShape, CausalMask, Dropout, Matrix, number};

/// What one pass of attention needs to know besides its queries, keys and values.
#[derive(Clone, Debug)]
pub struct Attention<E: Dtype, D: Storage<E>> {
    pub shape: AttentionShape,
    pub mask: CausalMask<E, D>,
    pub dropout: Option<Dropout>,
    /// Scores, a number for each pair of positions of each head, that may exist at the same time.
    pub max_scores: usize,
}

impl<E: Dtype, D: Device<E>> Attention<E, D> {
    /// Multi-head causal self-attention on queries, keys and values that lie side by side: (m, 3c) -> (m, c).
    ///
    /// With more scores than may exist at a time it works on some sequences after the others, and computes their scores
    /// again in the backward pass. One sequence at a time is the least.
    pub fn try_forward<T: Tape<E, D>>(&self, qkv: Matrix<E, D, T>) -> Result<Matrix<E, D, T>, D::Err> {
        let AttentionShape { batch, tokens, heads } = self.shape;
        let at_a_time = sequences_at_a_time(batch, heads * tokens * tokens, self.max_scores);
        if at_a_time == batch {
            return self.whole().try_forward(qkv);
        }
        let (rows, width) = (at_a_time * tokens, qkv.shape().1 / 3);
        let (qkv, tape) = qkv.split_tape();
        let mut tape = Some(tape);
        let mut parts = Vec::with_capacity(batch / at_a_time);
        for first in (0..batch).step_by(at_a_time) {
            // The tape of everything before goes with the first part, which comes first in dfdx's merge.
            let part = qkv.clone().put_tape(tape.take().unwrap_or_default());
            let part = part.try_slice((first * tokens..first * tokens + rows, ..))?;
            let shape = AttentionShape { batch: at_a_time, tokens, heads };
            parts.push(try_recomputed(part, Part { first, shape, ..self.whole() })?);
        }
        parts.try_stack()?.try_reshape_like(&(batch * tokens, width))
    }

    fn whole(&self) -> Part<E, D> {
        Part { shape: self.shape, first: 0, mask: self.mask.clone(), dropout: self.dropout }
    }
}

/// The largest number of sequences with at most so many scores together that divides the batch: parts of one size share
/// their mask and their memory.
pub fn sequences_at_a_time(batch: usize, scores_of_each: usize, max_scores: usize) -> usize {
    let most = (max_scores / scores_of_each.max(1)).clamp(1, batch);
    (1..=most).rev().find(|&n| batch.is_multiple_of(n)).unwrap_or(1)
}

/// Attention over some sequences of a batch.
#[derive(Clone, Debug)]
struct Part<E: Dtype, D: Storage<E>> {
    /// Of these sequences.
    shape: AttentionShape,
    /// Sequences of the batch before these.
    first: usize,
    mask: CausalMask<E, D>,
    dropout: Option<Dropout>,
}

impl<E: Dtype, D: Device<E>> Segment<E, D> for Part<E, D> {
    const HAS_WEIGHTS: bool = false;

    /// The softmax's division happens after the product with the values, on (b, h, t, d) instead of (b, h, t, t) numbers,
    /// and its maximum and the mask are constants to the gradient and stay off the tape.
    fn try_forward<T: Tape<E, D>>(&self, qkv: Matrix<E, D, T>) -> Result<Matrix<E, D, T>, D::Err> {
        let AttentionShape { batch, tokens, heads } = self.shape;
        let width = qkv.shape().1 / 3;
        let head_width = width / heads;
        let mask_tt = self.mask.try_get(qkv.device(), tokens)?;

        // One view of all heads of queries, keys and values; each slice copies its third into contiguous memory.
        let split =
            qkv.try_reshape_like(&(batch, tokens, 3 * heads, head_width))?
                .try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?;
        let third = |i: usize| (.., i * heads..(i + 1) * heads, .., ..);
        let k_bhtd = split.retaped::<T>().try_slice(third(1))?;
        let v_bhtd = split.retaped::<T>().try_slice(third(2))?;
        let q_bhtd = split.try_slice(third(0))?.try_mul(number::<E>((head_width as f64).powf(-0.5)))?;

        let k_bhdt = k_bhtd.try_permute::<_, Axes4<0, 1, 3, 2>>()?;
        let scores_bhtt = q_bhtd.try_matmul(k_bhdt)?;
        let scores_bhtt = try_shift(scores_bhtt, |scores_bhtt| {
            let shape = *scores_bhtt.shape();
            let scores_bhtt = scores_bhtt.try_add(mask_tt.try_broadcast_like::<_, Axes2<0, 1>>(&shape)?)?;
            let max_bht = scores_bhtt.clone().try_max::<_, Axis<3>>()?;
            scores_bhtt.try_sub(max_bht.try_broadcast_like::<_, Axis<3>>(&shape)?)
        })?;
        let weights_bhtt = scores_bhtt.try_exp()?;
        let total_bht = weights_bhtt.retaped::<T>().try_sum::<(usize, usize, usize), Axis<3>>()?;
        let weights_before = self.first * heads * tokens * tokens;
        let y_bhtd = try_dropout(weights_bhtt, self.dropout, weights_before)?.try_matmul(v_bhtd)?;

        // Dividing the permuted views writes the result in the order (b, t, h, d), so that the reshape is free.
        let y_bthd = try_copyable(y_bhtd, 1)?.try_permute::<_, Axes4<0, 2, 1, 3>>()?;
        let total_bthd = total_bht
            .try_permute::<_, Axes3<0, 2, 1>>()?
            .try_broadcast_like::<_, Axis<3>>(&(batch, tokens, heads, head_width))?;
        y_bthd.try_div(total_bthd)?.try_reshape_like(&(batch * tokens, width))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_as_large_as_they_may_be_and_all_of_one_size() {
        for (max_scores, expected) in [(usize::MAX, 12), (1200, 12), (1199, 6), (500, 4), (100, 1), (0, 1)] {
            assert_eq!(sequences_at_a_time(12, 100, max_scores), expected, "{max_scores}");
        }
    }
}

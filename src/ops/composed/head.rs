//! The head, tied to the token embedding, and its cross entropy.

use std::ops::Range;

use dfdx::prelude::*;

use super::{try_copyable, try_indices};
use crate::ops::recompute::{keep_gradient, seed_gradient, try_backward};
use crate::ops::{Buffer, Hits, Matrix, Row, Scalar, Transfer, number, try_tape};

/// See [`Ops::try_head`](crate::ops::Ops::try_head).
pub fn try_head<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    wte_vc: &Matrix<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    x_mc.try_matmul(wte_vc.clone().try_permute::<_, Axes2<1, 0>>()?)
}

/// See [`Ops::try_head_loss`](crate::ops::Ops::try_head_loss).
pub fn try_head_loss<E: Dtype, D: Device<E> + Transfer<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    wte_vc: &Matrix<E, D>,
    targets: &[u32],
    hits: &Hits,
) -> Result<Scalar<E, D, T>, D::Err> {
    let logits_mv = try_head(x_mc, wte_vc)?;
    if !T::OWNS_TAPE {
        try_count(&logits_mv.retaped::<NoneTape>(), targets, hits)?;
    }
    try_cross_entropy(logits_mv, targets)
}

/// [`try_cross_entropy`] where no gradient is wanted, with right predictions counted.
pub fn try_counted<E: Dtype, D: Device<E> + Transfer<E>>(
    logits_mv: Matrix<E, D>,
    targets: &[u32],
    hits: &Hits,
) -> Result<Scalar<E, D>, D::Err> {
    try_count(&logits_mv, targets, hits)?;
    try_cross_entropy(logits_mv, targets)
}

/// Counts the targets that no logit is above: the largest logit of each position comes to the host, and that of its target.
fn try_count<E: Dtype, D: Device<E> + Transfer<E>>(
    logits_mv: &Matrix<E, D>,
    targets: &[u32],
    hits: &Hits,
) -> Result<(), D::Err> {
    let targets_m = try_indices(logits_mv.device(), targets.iter().map(|&id| id as usize))?;
    let picked_m: Row<E, D> = logits_mv.clone().try_select(targets_m)?;
    let largest_m = logits_mv.clone().try_max::<(usize,), Axis<1>>()?;
    let (picked, largest) = (D::try_values(&picked_m)?, D::try_values(&largest_m)?);
    hits.add(
        picked.iter().zip(&largest).filter(|(picked, largest)| picked >= largest).count(),
        targets.len(),
    );
    Ok(())
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

/// A mean loss of logits, and a multiple of its gradient by them.
pub type LossAndGradient<E, F, D> = (Scalar<F, D>, Buffer<E, D>);

/// The mean cross entropy of logits, and `share` times its gradient.
pub fn try_gradient<E: Dtype, D: Device<E>>(
    logits_mv: Matrix<E, D>,
    targets: &[u32],
    share: f64,
) -> Result<LossAndGradient<E, E, D>, D::Err> {
    let mut tape = OwnedTape::default();
    let kept = keep_gradient(&mut tape, &logits_mv);
    let loss = try_cross_entropy(logits_mv.put_tape(tape), targets)?;
    let value = loss.retaped::<NoneTape>();
    try_copyable(loss, 1)?.try_mul(number::<E>(share))?.try_backward()?;
    let dlogits_mv = kept.take();
    Ok((value, dlogits_mv.expect("the backward pass leads to where it began")))
}

/// A mean loss over some of the positions, which the device may still be computing, and their share of all.
pub type SharedLoss<E, D> = (f64, Scalar<E, D>);

/// The head on a batch's last activation, for so many positions at a time that no more than `max_logits` logits exist at once,
/// one position being the least.
#[derive(Clone, Copy, Debug)]
pub struct HeadInParts<'a, E: Dtype, D: Storage<E>> {
    pub x_mc: &'a Matrix<E, D>,
    pub wte_vc: &'a Matrix<E, D>,
    pub targets: &'a [u32],
    pub max_logits: usize,
}

/// What [`HeadInParts::try_losses_and_gradients`] makes: the losses, the gradient of the head's input, and the gradients it
/// was given with that of the token embedding added.
pub type LossesAndGradients<E, F, D> = (Vec<SharedLoss<F, D>>, Buffer<E, D>, Gradients<E, D>);

impl<E: Dtype, D: Storage<E>> HeadInParts<'_, E, D> {
    /// Whether all positions fit at once.
    pub fn is_whole(&self) -> bool {
        self.positions_at_a_time() >= self.targets.len()
    }

    fn positions_at_a_time(&self) -> usize {
        let vocabulary = self.wte_vc.shape().0;
        (self.max_logits / vocabulary.max(1)).clamp(1, self.targets.len().max(1))
    }

    /// The ranges of positions, each with its share.
    pub fn parts(&self) -> impl Iterator<Item = (f64, Range<usize>)> {
        let (positions, at_a_time) = (self.targets.len(), self.positions_at_a_time());
        (0..positions).step_by(at_a_time).map(move |first| {
            let part = first..positions.min(first + at_a_time);
            (part.len() as f64 / positions as f64, part)
        })
    }
}

impl<E: Dtype, D: Device<E>> HeadInParts<'_, E, D> {
    /// The losses, by `loss` from logits and targets.
    pub fn try_losses<F: Dtype>(
        &self,
        loss: impl Fn(Matrix<E, D>, &[u32]) -> Result<Scalar<F, D>, D::Err>,
    ) -> Result<Vec<SharedLoss<F, D>>, D::Err>
    where
        D: Storage<F>,
    {
        let of_part = |(share, part): (f64, Range<usize>)| {
            let x_mc = self.x_mc.clone().try_slice((part.clone(), ..))?;
            Ok((share, loss(try_head(x_mc, self.wte_vc)?, &self.targets[part])?))
        };
        self.parts().map(of_part).collect()
    }

    /// The losses and their gradients. `loss` makes a mean loss of logits and targets, and the gradient of the logits for the
    /// mean over all positions, of which it is told the share that these are.
    ///
    /// Each part goes forwards and backwards before the next one, so that no logits need be kept or computed twice.
    pub fn try_losses_and_gradients<F: Dtype>(
        &self,
        mut gradients: Gradients<E, D>,
        loss: impl Fn(Matrix<E, D>, &[u32], f64) -> Result<LossAndGradient<E, F, D>, D::Err>,
    ) -> Result<LossesAndGradients<E, F, D>, D::Err>
    where
        D: Storage<F>,
    {
        let device = self.x_mc.device();
        let mut losses = Vec::new();
        let mut dx_mc = Storage::<E>::try_alloc_len(device, self.x_mc.shape().num_elements())?;
        for (share, part) in self.parts() {
            *gradients.get_or_alloc_mut(self.x_mc)? = dx_mc;
            let mut tape = try_tape(gradients, device)?;
            let kept = keep_gradient(&mut tape, self.x_mc);
            let x_mc = self.x_mc.clone().put_tape(tape).try_slice((part.clone(), ..))?;
            let (logits_mv, mut tape) = try_head(x_mc, self.wte_vc)?.split_tape();
            let seed = seed_gradient(&mut tape, &logits_mv);
            let (loss, dlogits_mv) = loss(logits_mv, &self.targets[part], share)?;
            seed.replace(Some(dlogits_mv));
            losses.push((share, loss));
            gradients = try_backward(tape, device)?;
            dx_mc = kept.take().expect("the backward pass leads to where it began");
        }
        Ok((losses, dx_mc, gradients))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_always_a_position_and_never_more_than_there_are() {
        let device = Cpu::default();
        let (x_mc, wte_vc): (Matrix<f32, Cpu>, Matrix<f32, Cpu>) =
            (device.zeros_like(&(30, 2)), device.zeros_like(&(100, 2)));
        for (max_logits, expected) in [(usize::MAX, 30), (700, 7), (699, 6), (99, 1), (0, 1)] {
            let head = HeadInParts { x_mc: &x_mc, wte_vc: &wte_vc, targets: &[0; 30], max_logits };
            assert_eq!(head.positions_at_a_time(), expected, "{max_logits}");
            assert_eq!(head.is_whole(), expected == 30);
            let parts: Vec<_> = head.parts().collect();
            assert_eq!(
                parts.iter().flat_map(|(_, part)| part.clone()).collect::<Vec<_>>(),
                (0..30).collect::<Vec<_>>()
            );
            assert!((parts.iter().map(|(share, _)| share).sum::<f64>() - 1.0).abs() < 1e-12);
        }
    }
}

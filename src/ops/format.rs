//! Formats of numbers that whole tensors of a model's passes can have beside f32, in which weights, gradients and moments always
//! are. bf16 on the processor is none of these: there tensors stay in f32, and operations round what their products take.

use dfdx::dtypes::{AMP, f16};
use dfdx::prelude::*;

use super::composed::{self, HeadInParts, LossesAndGradients, SharedLoss};
use super::{Buffer, Hits, Matrix, Ops};

/// Half precision as it is trained with: stored in 16 bits, summed in 32 where dfdx's kernels sum.
pub type F16 = AMP<f16>;

/// A format of fewer bits than f32.
pub trait Format: Dtype {
    /// As in `hardware.dtype`.
    const NAME: &'static str;
}

impl Format for F16 {
    const NAME: &'static str = "f16";
}

/// A device that can train in mixed precision: passes in the format `H`, and gradients, moments and weights in f32.
///
/// What is to be done with each parameter is asked for one after the other, and done when that is finished: a device may do it for all at
/// once. Until then everything stays where it is.
pub trait Mixed<H: Format>: Ops<f32> + Ops<H> {
    /// Whether a copy of the weights in the format can be made anew where it lies.
    const NARROWS_IN_PLACE: bool = false;

    /// `to += factor * from`, and zeros in `from`, when [`Self::try_finish_additions`] is called.
    fn try_add(
        to: &mut Buffer<f32, Self>,
        from: &mut Buffer<H, Self>,
        factor: f32,
    ) -> Result<(), <Self as HasErr>::Err>;

    fn try_finish_additions() -> Result<(), <Self as HasErr>::Err> {
        Ok(())
    }

    /// Names a weight that is to be narrowed when [`Self::try_finish_narrowing`] is called.
    fn try_narrow_from<S: Shape>(_: &Tensor<S, f32, Self>) -> Result<(), <Self as HasErr>::Err> {
        Ok(())
    }

    /// Names where a weight goes, in the same order.
    fn try_narrow_to<S: Shape>(_: &mut Tensor<S, H, Self>) -> Result<(), <Self as HasErr>::Err> {
        Ok(())
    }

    fn try_finish_narrowing() -> Result<(), <Self as HasErr>::Err> {
        Ok(())
    }

    /// `to = factor * from`, rounded to the nearest, and infinite beyond the range of the format.
    fn try_round(
        to: &mut Buffer<H, Self>,
        from: &Buffer<f32, Self>,
        factor: f32,
    ) -> Result<(), <Self as HasErr>::Err>;

    /// [`Ops::try_head_losses`] with logits in the format and losses in f32.
    fn try_head_losses_in_single(
        head: &HeadInParts<'_, H, Self>,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<f32, Self>>, <Self as HasErr>::Err> {
        head.try_losses(|logits_mv, targets| {
            composed::try_counted(logits_mv.try_to_dtype::<f32>()?, targets, hits)
        })
    }

    /// [`Ops::try_head_gradients`] with logits in the format and losses in f32.
    fn try_head_gradients_in_single(
        head: &HeadInParts<'_, H, Self>,
        gradients: Gradients<H, Self>,
        factor: f64,
    ) -> Result<LossesAndGradients<H, f32, Self>, <Self as HasErr>::Err> {
        head.try_losses_and_gradients(gradients, |logits_mv: Matrix<H, Self>, targets, part| {
            let len = logits_mv.shape().num_elements();
            let mut in_narrow = Storage::<H>::try_alloc_len(logits_mv.device(), len)?;
            let (loss, in_single) = composed::try_gradient(logits_mv.try_to_dtype::<f32>()?, targets, 1.0)?;
            Self::try_round(&mut in_narrow, &in_single, (factor * part) as f32)?;
            Ok((loss, in_narrow))
        })
    }
}

impl Mixed<F16> for Cpu {
    fn try_add(
        to: &mut Buffer<f32, Self>,
        from: &mut Buffer<F16, Self>,
        factor: f32,
    ) -> Result<(), CpuError> {
        for (to, from) in to.iter_mut().zip(from.iter_mut()) {
            *to += factor * from.0.to_f32();
            from.0 = f16::ZERO;
        }
        Ok(())
    }

    fn try_round(to: &mut Buffer<F16, Self>, from: &Buffer<f32, Self>, factor: f32) -> Result<(), CpuError> {
        for (to, from) in to.iter_mut().zip(from.iter()) {
            to.0 = f16::from_f32(factor * from);
        }
        Ok(())
    }
}

//! Formats of numbers that whole tensors of a model's passes can have beside f32, in which weights, gradients and moments always
//! are. bf16 on the processor is none of these: there tensors stay in f32, and operations round what their products take.

use dfdx::dtypes::{AMP, f16};
use dfdx::prelude::*;

use super::{Buffer, Ops};

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
pub trait Mixed<H: Format>: Ops<f32> + Ops<H> {
    /// `to += factor * from`.
    fn try_add(
        to: &mut Buffer<f32, Self>,
        from: &Buffer<H, Self>,
        factor: f32,
    ) -> Result<(), <Self as HasErr>::Err>;

    /// `to = factor * from`, rounded to the nearest, and infinite beyond the range of the format.
    fn try_round(
        to: &mut Buffer<H, Self>,
        from: &Buffer<f32, Self>,
        factor: f32,
    ) -> Result<(), <Self as HasErr>::Err>;
}

impl Mixed<F16> for Cpu {
    fn try_add(to: &mut Buffer<f32, Self>, from: &Buffer<F16, Self>, factor: f32) -> Result<(), CpuError> {
        for (to, from) in to.iter_mut().zip(from.iter()) {
            *to += factor * from.0.to_f32();
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

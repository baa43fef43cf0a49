//! What an optimizer needs from a device.

use dfdx::prelude::*;

use super::composed;
use crate::ops::cpu::bf16::Rounded;
use crate::ops::cpu::orthogonal::Coefficients;
#[cfg(feature = "cuda")]
use crate::ops::cuda::many;
use crate::ops::{Buffer, Ops, OutOfMemory};

/// The numbers of one AdamW update.
#[derive(Clone, Copy, Debug)]
pub struct AdamWRule {
    /// Steps so far with this one, so 1 in the first.
    pub step: u64,
    pub learning_rate: f64,
    pub betas: [f64; 2],
    pub eps: f64,
    /// Share of the learning rate by which the parameter shrinks; 0: not at all.
    pub decay: f64,
    /// What the gradient is multiplied by first.
    pub clip: f64,
}

/// The numbers of one update by gradient descent.
#[derive(Clone, Copy, Debug)]
pub struct SgdRule {
    pub learning_rate: f64,
    pub momentum: f64,
    /// Share of the parameter that is added to its gradient; 0: nothing.
    pub decay: f64,
    /// What the gradient is multiplied by first, before decay is added.
    pub clip: f64,
}

/// The numbers of one update by Muon.
#[derive(Clone, Copy, Debug)]
pub struct MuonRule<'a> {
    /// Rows of the parameter, which are inputs.
    pub rows: usize,
    /// Columns of each piece.
    pub columns: usize,
    /// Matrices that lie side by side in the parameter, each of which becomes orthogonal for itself.
    pub pieces: usize,
    pub learning_rate: f64,
    /// What the learning rate is multiplied by, but not for the decay.
    pub scale: f64,
    pub momentum: f64,
    pub nesterov: bool,
    /// Of each Newton-Schulz iteration.
    pub coefficients: &'a [Coefficients],
    /// Share of the learning rate by which the parameter shrinks; 0: not at all.
    pub decay: f64,
    /// What the gradient is multiplied by first.
    pub clip: f64,
}

/// What an update may need beside a parameter, its gradient and the optimizer's state.
#[derive(Debug)]
pub struct Aside<'a, E> {
    /// Host memory that a device may use as it likes and grow; callers hand over the same one again, so that it is allocated
    /// once.
    pub scratch: &'a mut Vec<E>,
    /// The parameter's copy in bf16, to be written in the same pass where a device can.
    pub rounded: Option<&'a Rounded>,
}

/// A device on which parameters can be updated.
///
/// The default bodies, those of `composed`, go through dfdx's kernels, so they run on any device. A device that can do better
/// overrides them with the same results.
///
/// Every update leaves zeros in the gradient, to which the next step adds.
pub trait Update<E: Dtype>: Ops<E> + Cache + OutOfMemory {
    /// A sum of squares that is being added up, on the host or on the device.
    type Squares;

    /// A sum of no squares.
    fn try_no_squares(&self) -> Result<Self::Squares, Self::Err>;

    /// Adds the squares of a parameter's gradient, which stays where and as it is until the sum was asked for.
    fn try_add_squares<S: Shape>(
        squares: &mut Self::Squares,
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
    ) -> Result<(), Self::Err>;

    /// The sum, once the device has it.
    fn try_sum(squares: Self::Squares) -> Result<f64, Self::Err>;

    /// Multiplies a parameter's gradient by `factor`.
    fn try_scale<S: Shape>(
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        factor: f64,
    ) -> Result<(), Self::Err> {
        composed::try_scale(tensor, gradient, factor)
    }

    /// Begins a step's updates.
    fn begin_updates() {}

    /// Does what the updates since then left to be done for all parameters at once. Until then parameters, gradients and moments stay where
    /// they are, and nobody reads them.
    fn try_finish_updates() -> Result<(), Self::Err> {
        Ok(())
    }

    /// m = beta1 * m + (1 - beta1) * g and v = beta2 * v + (1 - beta2) * g^2, the `moments`, then
    /// p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + lr * decay * p.
    fn try_adamw<S: Shape>(
        rule: &AdamWRule,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        moments: [&mut Buffer<E, Self>; 2],
        _aside: Aside<'_, E>,
    ) -> Result<(), Self::Err> {
        composed::try_adamw(rule, tensor, gradient, moments)
    }

    /// v = momentum * v + g + decay * p, the `velocity`, then p -= lr * v.
    fn try_sgd<S: Shape>(
        rule: &SgdRule,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        velocity: &mut Buffer<E, Self>,
        _aside: Aside<'_, E>,
    ) -> Result<(), Self::Err> {
        composed::try_sgd(rule, tensor, gradient, velocity)
    }

    /// v = momentum * v + (1 - momentum) * g, the `velocity`, u = momentum * v + (1 - momentum) * g with Nesterov's momentum and
    /// else v, then p -= lr * scale * orthogonal(u) + lr * decay * p.
    fn try_muon<S: Shape>(
        rule: &MuonRule<'_>,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        velocity: &mut Buffer<E, Self>,
        _aside: Aside<'_, E>,
    ) -> Result<(), Self::Err> {
        composed::try_muon(rule, tensor, gradient, velocity)
    }
}

/// All parameters in a few launches; matrices that Muon moves by way of dfdx.
#[cfg(feature = "cuda")]
impl Update<f32> for Cuda {
    type Squares = many::SumOfSquares;

    fn try_no_squares(&self) -> Result<Self::Squares, CudaError> {
        Ok(many::SumOfSquares::default())
    }

    fn try_add_squares<S: Shape>(
        squares: &mut Self::Squares,
        gradients: &mut Gradients<f32, Self>,
        tensor: &Tensor<S, f32, Self>,
    ) -> Result<(), CudaError> {
        // SAFETY: whoever wants the sum keeps the gradients.
        unsafe { squares.try_add(gradients.get_or_alloc_mut(tensor)?) }
    }

    fn try_sum(squares: Self::Squares) -> Result<f64, CudaError> {
        squares.try_read()
    }

    fn try_scale<S: Shape>(
        _tensor: &mut Tensor<S, f32, Self>,
        gradient: &mut Buffer<f32, Self>,
        factor: f64,
    ) -> Result<(), CudaError> {
        if factor == 1.0 { Ok(()) } else { crate::ops::cuda::try_scale(gradient, factor as f32) }
    }

    fn begin_updates() {
        many::begin_updates();
    }

    fn try_finish_updates() -> Result<(), CudaError> {
        many::try_finish_updates()
    }

    fn try_adamw<S: Shape>(
        rule: &AdamWRule,
        tensor: &mut Tensor<S, f32, Self>,
        gradient: &mut Buffer<f32, Self>,
        moments: [&mut Buffer<f32, Self>; 2],
        _aside: Aside<'_, f32>,
    ) -> Result<(), CudaError> {
        // beta^step is 0 in any floating-point format long before the step leaves the range of i32.
        let step = i32::try_from(rule.step).unwrap_or(i32::MAX);
        let numbers = many::AdamWNumbers {
            clip: rule.clip as f32,
            learning_rate: rule.learning_rate as f32,
            betas: rule.betas.map(|beta| beta as f32),
            epsilon: rule.eps as f32,
            corrections: rule.betas.map(|beta| (1.0 / (1.0 - beta.powi(step))) as f32),
        };
        // SAFETY: whoever asks for updates keeps all of it until they are finished.
        unsafe { many::try_adamw_later(tensor, numbers, rule.decay, gradient, moments) }
    }

    fn try_sgd<S: Shape>(
        rule: &SgdRule,
        tensor: &mut Tensor<S, f32, Self>,
        gradient: &mut Buffer<f32, Self>,
        velocity: &mut Buffer<f32, Self>,
        _aside: Aside<'_, f32>,
    ) -> Result<(), CudaError> {
        let numbers = many::SgdNumbers {
            clip: rule.clip as f32,
            learning_rate: rule.learning_rate as f32,
            momentum: rule.momentum as f32,
        };
        // SAFETY: as for AdamW.
        unsafe { many::try_sgd_later(tensor, numbers, rule.decay, gradient, velocity) }
    }
}

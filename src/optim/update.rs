//! What an optimizer needs from a device.

use dfdx::prelude::*;

use super::composed;
use crate::ops::{Buffer, Ops};

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

/// A device on which parameters can be updated.
///
/// The default bodies, those of `composed`, go through dfdx's kernels, so they run on any device. A device that can do better
/// overrides them with the same results.
///
/// Every update leaves zeros in the gradient, to which the next step adds. `scratch` is host memory that a device may use
/// as it likes and grow; callers hand over the same one again, so that it is allocated once.
pub trait Update<E: Dtype>: Ops<E> {
    /// Sum of the squares of a parameter's gradient.
    fn try_squared_norm<S: Shape>(
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
    ) -> Result<f64, Self::Err> {
        composed::try_squared_norm(gradients, tensor)
    }

    /// m = beta1 * m + (1 - beta1) * g and v = beta2 * v + (1 - beta2) * g^2, the `moments`, then
    /// p -= lr * (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps) + lr * decay * p.
    fn try_adamw<S: Shape>(
        rule: &AdamWRule,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        moments: [&mut Buffer<E, Self>; 2],
        _scratch: &mut Vec<E>,
    ) -> Result<(), Self::Err> {
        composed::try_adamw(rule, tensor, gradient, moments)
    }

    /// v = momentum * v + g + decay * p, the `velocity`, then p -= lr * v.
    fn try_sgd<S: Shape>(
        rule: &SgdRule,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        velocity: &mut Buffer<E, Self>,
        _scratch: &mut Vec<E>,
    ) -> Result<(), Self::Err> {
        composed::try_sgd(rule, tensor, gradient, velocity)
    }
}

#[cfg(feature = "cuda")]
impl Update<f32> for Cuda {}

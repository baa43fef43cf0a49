//! An optimizer's work through dfdx's kernels, on any device.

use dfdx::prelude::*;
use dfdx::tensor_ops::{AdamConfig, Momentum, SgdConfig, WeightDecay};

use super::Update;
use super::update::{AdamWRule, SgdRule};
use crate::ops::{Buffer, Ops};

pub fn try_adamw<S: Shape, E: Dtype, D: Update<E>>(
    rule: &AdamWRule,
    tensor: &mut Tensor<S, E, D>,
    gradient: &mut Buffer<E, D>,
    [first, second]: [&mut Buffer<E, D>; 2],
) -> Result<(), D::Err> {
    let config = AdamConfig {
        lr: rule.learning_rate,
        betas: rule.betas,
        eps: rule.eps,
        weight_decay: (rule.decay > 0.0).then_some(WeightDecay::Decoupled(rule.decay)),
    };
    // beta^t is 0 in any floating-point format long before t leaves the range of i32.
    let t = i32::try_from(rule.step).unwrap_or(i32::MAX);
    D::try_scale(tensor, gradient, rule.clip)?;
    config.try_update(t, tensor, first, second, gradient)?;
    tensor.device().try_fill_with_zeros(gradient)
}

pub fn try_sgd<S: Shape, E: Dtype, D: Update<E>>(
    rule: &SgdRule,
    tensor: &mut Tensor<S, E, D>,
    gradient: &mut Buffer<E, D>,
    velocity: &mut Buffer<E, D>,
) -> Result<(), D::Err> {
    let config = SgdConfig {
        lr: rule.learning_rate,
        momentum: Some(Momentum::Classic(rule.momentum)),
        weight_decay: (rule.decay > 0.0).then_some(WeightDecay::L2(rule.decay)),
    };
    D::try_scale(tensor, gradient, rule.clip)?;
    config.try_update(tensor, velocity, gradient)?;
    tensor.device().try_fill_with_zeros(gradient)
}

/// Multiplies a parameter's gradient by `factor`.
///
/// SGD with momentum computes v = g + momentum * v. With g = 0 and a learning rate of 0 this scales v and leaves the
/// parameter as it is.
pub fn try_scale<S: Shape, E: Dtype, D: Ops<E>>(
    tensor: &mut Tensor<S, E, D>,
    gradient: &mut Buffer<E, D>,
    factor: f64,
) -> Result<(), D::Err> {
    if factor == 1.0 {
        return Ok(());
    }
    let zeros = Storage::<E>::try_alloc_len(tensor.device(), tensor.shape().num_elements())?;
    let config = SgdConfig { lr: 0.0, momentum: Some(Momentum::Classic(factor)), weight_decay: None };
    config.try_update(tensor, gradient, &zeros)
}

//! An optimizer's work through dfdx's kernels, on any device.

use dfdx::prelude::*;
use dfdx::tensor_ops::{AdamConfig, Momentum, SgdConfig, WeightDecay};

use super::Update;
use super::update::{AdamWRule, MuonRule, SgdRule};
use crate::ops::composed::try_copyable;
use crate::ops::cpu::orthogonal::{Coefficients, EPS};
use crate::ops::{Buffer, Matrix, Ops, OutOfMemory, number};

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

/// The update by Muon.
///
/// dfdx's SGD is what reads a gradient's storage: from a parameter of zeros and with a rate of -1 it leaves the velocity there, or
/// the gradient plus so much of it.
///
/// An update cannot be tried again as a whole, because it changes the velocity; what takes memory in it can.
pub fn try_muon<S: Shape, E: Dtype, D: Update<E>>(
    rule: &MuonRule<'_>,
    tensor: &mut Tensor<S, E, D>,
    gradient: &mut Buffer<E, D>,
    velocity: &mut Buffer<E, D>,
) -> Result<(), D::Err> {
    let device = tensor.device().clone();
    let mut update: Matrix<E, D> =
        twice(&device, || device.try_zeros_like(&(rule.rows, rule.pieces * rule.columns)))?;
    D::try_scale(tensor, gradient, rule.clip * (1.0 - rule.momentum))?;
    let momentum = if rule.nesterov { Momentum::Nesterov } else { Momentum::Classic };
    let config = SgdConfig { lr: -1.0, momentum: Some(momentum(rule.momentum)), weight_decay: None };
    config.try_update(&mut update, velocity, gradient)?;

    let update = twice(&device, || try_pieces(rule, &update)?.try_reshape_like(tensor.shape()))?;
    tensor.try_axpy(1.0 - rule.learning_rate * rule.decay, &update, -rule.learning_rate * rule.scale)?;
    device.try_fill_with_zeros(gradient)
}

/// Does something that takes memory, and once more without the memory that the device keeps for other sizes and that the passes worked in.
fn twice<R, D: Cache + OutOfMemory>(device: &D, act: impl Fn() -> Result<R, D::Err>) -> Result<R, D::Err> {
    act().or_else(|_| {
        device.try_empty_cache()?;
        device.give_back_memory();
        act()
    })
}

/// Each piece of the update made orthogonal, side by side again.
fn try_pieces<E: Dtype, D: Update<E>>(
    rule: &MuonRule<'_>,
    update: &Matrix<E, D>,
) -> Result<Matrix<E, D>, D::Err> {
    let piece = |i: usize| {
        let columns = i * rule.columns..(i + 1) * rule.columns;
        try_orthogonalise(update.clone().try_slice((0..rule.rows, columns))?, rule.coefficients)
    };
    (1..rule.pieces).try_fold(piece(0)?, |before, i| (before, piece(i)?).try_concat_along(Axis::<1>))
}

/// The orthogonal matrix near this one, as [`orthogonal`](crate::ops::cpu::orthogonal) defines it.
fn try_orthogonalise<E: Dtype, D: Update<E>>(
    x_io: Matrix<E, D>,
    coefficients: &[Coefficients],
) -> Result<Matrix<E, D>, D::Err> {
    let shape = *x_io.shape();
    let x_io = try_copyable(x_io, 1)?;
    let norm = x_io.clone().try_square()?.try_sum::<Rank0, _>()?.try_sqrt()?;
    let norm = norm.try_clamp(EPS, f64::from(f32::MAX))?;
    let mut x_io = x_io.try_div(norm.try_broadcast_like(&shape)?)?;
    for coefficients in coefficients {
        let [a, b, c] = coefficients.map(number::<E>);
        let x_oi = x_io.clone().try_permute::<_, Axes2<1, 0>>()?;
        let is_wide = shape.0 <= shape.1;
        let gram = if is_wide { x_io.clone().try_matmul(x_oi)? } else { x_oi.try_matmul(x_io.clone())? };
        let square = gram.clone().try_matmul(gram.clone())?;
        let step = gram.try_mul(b)?.try_add(square.try_mul(c)?)?;
        let product = if is_wide { step.try_matmul(x_io.clone())? } else { x_io.clone().try_matmul(step)? };
        x_io = x_io.try_mul(a)?.try_add(product)?;
    }
    Ok(x_io)
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

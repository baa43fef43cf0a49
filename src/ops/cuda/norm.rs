//! Layer norms, alone and with what is added before them.

use std::rc::Rc;

use cudarc::driver::DevicePtr;
use dfdx::prelude::*;

use super::columns::ColumnSums;
use super::context::{Context, Memory};
use super::kernels::{self, Grid};
use super::masks::{self, Bits};
use super::number::Number;
use super::structures;
use super::{gradient, optional_address};
use crate::ops::{LAYER_NORM_EPS, LayerNorm, Matrix};

/// A norm's parameters by their addresses; 0: there is no bias.
#[derive(Clone, Copy, Debug)]
pub struct Affine {
    pub weight: u64,
    pub bias: u64,
}

impl Affine {
    pub fn try_of<E: Number>(norm: &LayerNorm<E, Cuda>) -> Result<Self, CudaError> {
        let (_, weight) = Context::try_of(&norm.weight_c)?;
        Ok(Self { weight, bias: optional_address(norm.bias_c.as_ref())? })
    }
}

/// What a norm's backward pass needs.
#[derive(Debug)]
pub struct Normed {
    /// The rows with mean 0 and variance 1.
    pub rows: Memory,
    /// What each was multiplied by.
    pub factors: Memory,
}

impl Normed {
    pub fn try_new<E: Number>(context: &Rc<Context>, rows: usize, columns: usize) -> Result<Self, CudaError> {
        Ok(Self { rows: context.try_take::<E>(rows * columns)?, factors: context.try_take::<f32>(rows)? })
    }
}

/// What is added to the residual stream before a norm: `sum = x + dropout(z + bias)`.
#[derive(Clone, Copy, Debug)]
pub struct Added<'a> {
    pub z: u64,
    pub bias: u64,
    pub bits: Option<&'a Bits>,
    pub sum: u64,
}

/// A norm, and where its result goes.
#[derive(Clone, Copy, Debug)]
pub struct To<'a> {
    pub affine: Affine,
    pub y: u64,
    pub normed: Option<&'a Normed>,
}

/// Adds, norms, or both.
///
/// # Safety
/// All addresses are of memory of these sizes on the context's device.
pub unsafe fn try_add_norm<E: Number>(
    context: &Context,
    [rows, columns]: [usize; 2],
    x: u64,
    added: Option<Added<'_>>,
    to: Option<To<'_>>,
) -> Result<(), CudaError> {
    let normed = to.and_then(|to| to.normed);
    let (bits, kept) = masks::parts(added.and_then(|added| added.bits));
    let parameters = structures::AddNorm {
        rows,
        columns,
        x,
        z: added.map_or(0, |added| added.z),
        bias: added.map_or(0, |added| added.bias),
        bits,
        sum: added.map_or(0, |added| added.sum),
        weight: to.map_or(0, |to| to.affine.weight),
        norm_bias: to.map_or(0, |to| to.affine.bias),
        y: to.map_or(0, |to| to.y),
        normed: normed.map_or(0, |normed| normed.rows.address()),
        factors: normed.map_or(0, |normed| normed.factors.address()),
        kept,
        epsilon: LAYER_NORM_EPS as f32,
    };
    // SAFETY: the caller's promise.
    unsafe { context.launch(kernels::ADD_NORM.of::<E>(), Grid::rows(rows, columns), parameters) }
}

/// `dx = residual + ` the gradient of the norm's argument, where that of its result is `dy`.
///
/// # Safety
/// As for [`try_add_norm`]. `residual` may be 0, or where `dx` is.
pub unsafe fn try_backward<E: Number>(
    context: &Context,
    [rows, columns]: [usize; 2],
    dy: u64,
    normed: &Normed,
    weight: u64,
    residual: u64,
    dx: u64,
) -> Result<(), CudaError> {
    let (factors, normed) = (normed.factors.address(), normed.rows.address());
    let parameters = structures::NormBackward { rows, columns, dy, normed, weight, factors, residual, dx };
    // SAFETY: the caller's promise.
    unsafe { context.launch(kernels::NORM_BACKWARD.of::<E>(), Grid::rows(rows, columns), parameters) }
}

/// See [`crate::ops::Ops::try_layer_norm`].
pub fn try_layer_norm<E: Number, T: Tape<E, Cuda>>(
    x_mc: Matrix<E, Cuda, T>,
    norm: &LayerNorm<E, Cuda>,
) -> Result<Matrix<E, Cuda, T>, CudaError> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let (rows, columns) = *x_mc.shape();
    let shape = [rows, columns];
    let (context, x) = Context::try_of(&x_mc)?;
    let affine = Affine::try_of(norm)?;
    let y_mc: Matrix<E, Cuda> = ZerosTensor::<E>::try_zeros_like(x_mc.device(), &x_mc)?;
    let (_, y) = Context::try_of(&y_mc)?;
    let normed = T::OWNS_TAPE.then(|| Normed::try_new::<E>(&context, rows, columns)).transpose()?;
    // SAFETY: input and result are tensors of this shape, the parameters are as long as their rows.
    unsafe { try_add_norm::<E>(&context, shape, x, None, Some(To { affine, y, normed: normed.as_ref() })) }?;
    if let Some(normed) = normed {
        let (x_ghost, y_ghost, norm) = (x_mc.ghost(), y_mc.ghost(), norm.clone());
        tape.add_backward_op(move |gradients| {
            let dy = *gradients.get_or_alloc_mut(&y_ghost)?.device_ptr();
            let dx = *gradients.get_or_alloc_mut(&x_ghost)?.device_ptr();
            let weight = Affine::try_of(&norm)?.weight;
            let mut sums = ColumnSums::try_new(&context, rows, &[columns, columns])?;
            // SAFETY: gradients are as long as what they are of.
            unsafe {
                try_backward::<E>(&context, shape, dy, &normed, weight, 0, dx)?;
                sums.try_norm::<E>(&context, [0, 1], dy, &normed)?;
                let of_bias = norm.bias_c.as_ref().map(|bias_c| gradient(gradients, bias_c)).transpose()?;
                sums.try_add::<E>(&context, &[gradient(gradients, &norm.weight_c)?, of_bias.unwrap_or(0)])
            }
        });
    }
    Ok(y_mc.put_tape(tape))
}

//! The operations of [`Ops`](super::Ops) made of dfdx tensor operations: they run on every dfdx device, and are what faster
//! implementations are tested against.
//!
//! dfdx's CPU operations on views that are not contiguous (broadcasts, permutations) cost several times as much as those
//! on contiguous memory, and most run on one thread. So the bodies below do as much as they can by matrix products and
//! touch the largest tensors (attention scores, logits) as few times as they can.

use dfdx::prelude::*;

mod attention;
mod head;

pub use attention::{Attention, sequences_at_a_time};
pub use head::{
    HeadInParts, LossAndGradient, LossesAndGradients, SharedLoss, try_counted, try_cross_entropy,
    try_gradient, try_head, try_head_loss,
};

use super::recompute::try_take;
use super::{Block, BlockPass, Dropout, LAYER_NORM_EPS, LayerNorm, Linear, Matrix, Row};

fn try_indices<E: Dtype, D: Device<E>>(
    device: &D,
    ids: impl Iterator<Item = usize>,
) -> Result<Tensor<(usize,), usize, D>, D::Err> {
    let ids: Vec<usize> = ids.collect();
    let len = ids.len();
    TensorFromVec::<usize>::try_tensor_from_vec(device, ids, (len,))
}

/// See [`Ops::try_embedding`](super::Ops::try_embedding).
pub fn try_embedding<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    tape: T,
    wte_vc: &Matrix<E, D>,
    wpe_pc: &Matrix<E, D>,
    token_ids: &[u32],
    tokens: usize,
) -> Result<Matrix<E, D, T>, D::Err> {
    let device = wte_vc.device();
    let token_idx = try_indices(device, token_ids.iter().map(|&id| id as usize))?;
    let position_idx = try_indices(device, (0..token_ids.len()).map(|i| i % tokens))?;
    let x_mc: Matrix<E, D, T> = wte_vc.clone().put_tape(tape).try_gather(token_idx)?;
    let p_mc: Matrix<E, D, T> = wpe_pc.clone().put_tape(T::default()).try_gather(position_idx)?;
    // dfdx keeps what was gathered, so the sum goes into a copy.
    try_copyable(x_mc, 1)?.try_add(p_mc)
}

/// See [`Ops::try_block`](super::Ops::try_block).
pub fn try_block<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    block: &Block<E, D>,
    pass: &BlockPass<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    let BlockPass { shape, mask, dropout, max_scores, .. } = pass;
    let attention =
        Attention { shape: *shape, mask: mask.clone(), dropout: dropout.attention, max_scores: *max_scores };
    let (x_mc, mut tape) = x_mc.split_tape();
    // dfdx keeps the gradient of everything until all are computed. What this block leaves is not needed by those before it.
    let (x_ghost, device) = (x_mc.ghost(), x_mc.device().clone());
    tape.add_backward_op(move |gradients| {
        let dx_mc = try_take(gradients.get_or_alloc_mut(&x_ghost)?, &device)?;
        gradients.drop_non_leafs();
        *gradients.get_or_alloc_mut(&x_ghost)? = dx_mc;
        Ok(())
    });
    let qkv = try_linear(try_layer_norm(x_mc.clone().put_tape(tape), &block.ln_1)?, &block.attn_c_attn)?;
    let y_mc = attention.try_forward(qkv)?;
    let y_mc = try_dropout(try_linear(y_mc, &block.attn_c_proj)?, dropout.attention_out, 0)?;
    let x_mc = try_residual(y_mc, &x_mc)?;

    let (x_mc, tape) = x_mc.split_tape();
    let hidden = try_linear(try_layer_norm(x_mc.clone().put_tape(tape), &block.ln_2)?, &block.mlp_c_fc)?;
    let y_mc = try_linear(try_gelu(hidden)?, &block.mlp_c_proj)?;
    try_residual(try_dropout(y_mc, dropout.mlp_out, 0)?, &x_mc)
}

/// `x w + bias`: (m, i), (i, o), (o) -> (m, o).
pub fn try_linear<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mi: Matrix<E, D, T>,
    linear: &Linear<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    let y_mo = x_mi.try_matmul(linear.weight_io.clone())?;
    try_add_row(y_mo, linear.bias_o.as_ref())
}

/// See [`Ops::try_layer_norm`](super::Ops::try_layer_norm).
pub fn try_layer_norm<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    norm: &LayerNorm<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    let shape = *x_mc.shape();
    // Without a tape dfdx works in place, on a copy where others hold the same data: on one of the activation, and on one
    // of it centred.
    let x_mc = try_copyable(x_mc, 2)?.try_normalize::<Axis<1>>(LAYER_NORM_EPS)?;
    let y_mc = x_mc.try_mul(norm.weight_c.clone().try_broadcast_like::<_, Axis<0>>(&shape)?)?;
    try_add_row(y_mc, norm.bias_c.as_ref())
}

fn try_add_row<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    row_c: Option<&Row<E, D>>,
) -> Result<Matrix<E, D, T>, D::Err> {
    let Some(row_c) = row_c else { return Ok(x_mc) };
    let shape = *x_mc.shape();
    x_mc.try_add(row_c.clone().try_broadcast_like::<_, Axis<0>>(&shape)?)
}

/// GELU in its tanh approximation, the one GPT-2 was trained with.
pub fn try_gelu<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
) -> Result<Matrix<E, D, T>, D::Err> {
    x_mc.try_fast_gelu()
}

/// `x + residual`, where the tape of `x` also recorded what leads to `residual`.
pub fn try_residual<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    residual_mc: &Matrix<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    x_mc.try_add(residual_mc.clone())
}

/// See [`Ops::try_dropout`](super::Ops::try_dropout); `x` is a part of the tensor that has so many elements `before` it.
pub fn try_dropout<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    dropout: Option<Dropout>,
    before: usize,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let Some(dropout) = dropout else { return Ok(x) };
    let shape = *x.shape();
    let mut mask = vec![E::default(); shape.num_elements()];
    dropout.fill(before, &mut mask);
    let mask = TensorFromVec::<E>::try_tensor_from_vec(x.device(), mask, shape)?;
    x.try_mul(mask)
}

/// `f(x)` for an `f` with derivative one, such as adding a constant: `f` is computed off the tape and the gradient of its
/// result becomes that of `x` without a pass over it. `x` must not be used anywhere else.
fn try_shift<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    f: impl FnOnce(Tensor<S, E, D>) -> Result<Tensor<S, E, D>, D::Err>,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let device = x.device().clone();
    let (x, mut tape) = x.split_tape();
    let x_ghost = x.ghost();
    let y = f(x)?;
    let y_ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        let spent = Storage::<E>::try_alloc_len(&device, 1)?;
        let gradient = std::mem::replace(gradients.get_or_alloc_mut(&y_ghost)?, spent);
        *gradients.get_or_alloc_mut(&x_ghost)? = gradient;
        Ok(())
    });
    Ok(y.put_tape(tape))
}

/// `x`, once there is memory for so many copies of it.
///
/// Where dfdx copies a tensor's data because somebody else holds it too, it panics on a GPU that has no memory for that. The
/// memory asked for here goes into the device's cache, where the copy finds it.
pub fn try_copyable<S: Shape, E: Dtype, D: Device<E>, T>(
    x: Tensor<S, E, D, T>,
    copies: usize,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let device = x.device();
    let len = x.shape().num_elements();
    let room: Result<Vec<_>, _> = (0..copies).map(|_| Storage::<E>::try_alloc_len(device, len)).collect();
    drop(room?);
    Ok(x)
}

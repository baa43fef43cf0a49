//! The operations of [`Ops`](super::Ops) made of dfdx tensor operations: they run on every dfdx device, and are what faster
//! implementations are tested against.
//!
//! dfdx's CPU operations on views that are not contiguous (broadcasts, permutations) cost several times as much as those
//! on contiguous memory, and most run on one thread. So the bodies below do as much as they can by matrix products and
//! touch the largest tensors (attention scores, logits) as few times as they can.

use dfdx::prelude::*;

use super::{
    AttentionShape, Block, BlockDropout, CausalMask, Dropout, LAYER_NORM_EPS, LayerNorm, Linear, Matrix, Row,
    Scalar, number,
};

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
    let (batch, width) = (token_ids.len() / tokens, wte_vc.shape().1);
    let token_idx = try_indices(device, token_ids.iter().map(|&id| id as usize))?;
    // Positions are gathered and not sliced: dfdx's slice overwrites the gradient of its input on the CPU, which would
    // lose that of the batches before it when gradients are accumulated.
    let position_idx = try_indices(device, 0..tokens)?;
    let shape_btc = (batch, tokens, width);
    let x_mc: Matrix<E, D, T> = wte_vc.clone().put_tape(tape).try_gather(token_idx)?;
    let p_tc: Matrix<E, D, T> = wpe_pc.clone().put_tape(T::default()).try_gather(position_idx)?;
    let p_btc = p_tc.try_broadcast_like::<_, Axis<0>>(&shape_btc)?;
    x_mc.try_reshape_like(&shape_btc)?.try_add(p_btc)?.try_reshape_like(&(batch * tokens, width))
}

/// See [`Ops::try_block`](super::Ops::try_block).
pub fn try_block<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    block: &Block<E, D>,
    shape: AttentionShape,
    mask: &CausalMask<E, D>,
    dropout: BlockDropout,
) -> Result<Matrix<E, D, T>, D::Err> {
    let (x_mc, tape) = x_mc.split_tape();
    let qkv = try_linear(try_layer_norm(x_mc.clone().put_tape(tape), &block.ln_1)?, &block.attn_c_attn)?;
    let y_mc = try_causal_attention(qkv, shape, mask, dropout.attention)?;
    let y_mc = try_dropout(try_linear(y_mc, &block.attn_c_proj)?, dropout.attention_out)?;
    let x_mc = try_residual(y_mc, &x_mc)?;

    let (x_mc, tape) = x_mc.split_tape();
    let hidden = try_linear(try_layer_norm(x_mc.clone().put_tape(tape), &block.ln_2)?, &block.mlp_c_fc)?;
    let y_mc = try_linear(try_gelu(hidden)?, &block.mlp_c_proj)?;
    try_residual(try_dropout(y_mc, dropout.mlp_out)?, &x_mc)
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
    let x_mc = x_mc.try_normalize::<Axis<1>>(LAYER_NORM_EPS)?;
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

/// Multi-head causal self-attention on queries, keys and values that lie side by side: (m, 3c) -> (m, c).
///
/// The softmax's division happens after the product with the values, on (b, h, t, d) instead of (b, h, t, t) numbers, and
/// its maximum and the mask are constants to the gradient and stay off the tape.
pub fn try_causal_attention<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    qkv: Matrix<E, D, T>,
    shape: AttentionShape,
    mask: &CausalMask<E, D>,
    dropout: Option<Dropout>,
) -> Result<Matrix<E, D, T>, D::Err> {
    let AttentionShape { batch, tokens, heads } = shape;
    let width = qkv.shape().1 / 3;
    let head_width = width / heads;
    let device = qkv.device().clone();
    let mask = mask.try_get(&device, (batch, heads, tokens, tokens))?;

    // One view of all heads of queries, keys and values; each slice copies its third into contiguous memory.
    let split = qkv
        .try_reshape_like(&(batch, tokens, 3 * heads, head_width))?
        .try_permute::<(usize, usize, usize, usize), Axes4<0, 2, 1, 3>>()?;
    let third = |i: usize| (.., i * heads..(i + 1) * heads, .., ..);
    let k_bhtd = split.retaped::<T>().try_slice(third(1))?;
    let v_bhtd = split.retaped::<T>().try_slice(third(2))?;
    let q_bhtd = split.try_slice(third(0))?.try_mul(number::<E>((head_width as f64).powf(-0.5)))?;

    let k_bhdt = k_bhtd.try_permute::<_, Axes4<0, 1, 3, 2>>()?;
    let scores_bhtt = q_bhtd.try_matmul(k_bhdt)?;
    let scores_bhtt = try_shift(scores_bhtt, |mut scores_bhtt| {
        scores_bhtt.try_axpy(1.0, &mask, 1.0)?;
        let max_bht = scores_bhtt.clone().try_max::<_, Axis<3>>()?;
        let shape = *scores_bhtt.shape();
        scores_bhtt.try_sub(max_bht.try_broadcast_like::<_, Axis<3>>(&shape)?)
    })?;
    let weights_bhtt = scores_bhtt.try_exp()?;
    let total_bht = weights_bhtt.retaped::<T>().try_sum::<(usize, usize, usize), Axis<3>>()?;
    let y_bhtd = try_dropout(weights_bhtt, dropout)?.try_matmul(v_bhtd)?;

    // Dividing the permuted views writes the result in the order (b, t, h, d), so that the reshape is free.
    let y_bthd = y_bhtd.try_permute::<_, Axes4<0, 2, 1, 3>>()?;
    let total_bthd = total_bht
        .try_permute::<_, Axes3<0, 2, 1>>()?
        .try_broadcast_like::<_, Axis<3>>(&(batch, tokens, heads, head_width))?;
    y_bthd.try_div(total_bthd)?.try_reshape_like(&(batch * tokens, width))
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

/// `x + residual`, where the tape of `x` also recorded what leads to `residual`.
pub fn try_residual<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    residual_mc: &Matrix<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    x_mc.try_add(residual_mc.clone())
}

/// See [`Ops::try_dropout`](super::Ops::try_dropout).
pub fn try_dropout<S: Shape, E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x: Tensor<S, E, D, T>,
    dropout: Option<Dropout>,
) -> Result<Tensor<S, E, D, T>, D::Err> {
    let Some(dropout) = dropout else { return Ok(x) };
    let shape = *x.shape();
    let mask = dropout.mask::<E>(shape.num_elements());
    let mask = TensorFromVec::<E>::try_tensor_from_vec(x.device(), mask, shape)?;
    x.try_mul(mask)
}

/// See [`Ops::try_head`](super::Ops::try_head).
pub fn try_head<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    wte_vc: &Matrix<E, D>,
) -> Result<Matrix<E, D, T>, D::Err> {
    x_mc.try_matmul(wte_vc.clone().try_permute::<_, Axes2<1, 0>>()?)
}

/// See [`Ops::try_head_loss`](super::Ops::try_head_loss).
///
/// The mean of `logsumexp(logits) - logits[target]`: the same number as a log-softmax read at the target, with two passes
/// fewer over the logits, and no one-hot targets as large as them.
pub fn try_head_loss<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    wte_vc: &Matrix<E, D>,
    targets: &[u32],
) -> Result<Scalar<E, D, T>, D::Err> {
    let logits_mv = try_head(x_mc, wte_vc)?;
    let targets_m = try_indices(logits_mv.device(), targets.iter().map(|&id| id as usize))?;
    let total_m = logits_mv.retaped::<T>().try_logsumexp::<(usize,), Axis<1>>()?;
    let picked_m: Row<E, D, T> = logits_mv.try_select(targets_m)?;
    // The branch that carries the tape of everything before comes first in dfdx's merge.
    picked_m.try_sub(total_m)?.try_mean::<Rank0, Axis<0>>()?.try_negate()
}

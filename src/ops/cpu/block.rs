//! A transformer block on slices: forward, keeping what the backward pass cannot compute cheaply, and backward.
//!
//! Kept per position are 9 widths (queries, keys and values 3, attention's result 1, the residual stream after attention 1,
//! the hidden layer before GELU 4) beside the input's 1. Norms and GELU are computed again.

use dfdx::prelude::CpuError;

use super::layer_norm::Affine;
use super::matmul::{Write, matmul};
use super::memory::Buffer;
use super::view::View;
use super::{activation, attention, layer_norm, rows};
use crate::ops::{AttentionShape, BlockDropout, Dropout};

/// A weight (in, out) and its bias.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
    pub outputs: usize,
}

/// The block's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    pub ln_1: Affine<'a>,
    pub attn_c_attn: Linear<'a>,
    pub attn_c_proj: Linear<'a>,
    pub ln_2: Affine<'a>,
    pub mlp_c_fc: Linear<'a>,
    pub mlp_c_proj: Linear<'a>,
}

/// Takes the gradient of each parameter as it becomes known.
pub trait Receiver {
    /// The weight and bias of a norm.
    fn norm(&mut self, norm: Norm, gradients: [Vec<f32>; 2]) -> Result<(), CpuError>;

    /// Where the gradient of a layer's weight lies; it is to be added to.
    fn weight(&mut self, layer: Layer) -> Result<&mut [f32], CpuError>;

    /// Where the gradient of a layer's bias lies, if it has one.
    fn bias(&mut self, layer: Layer) -> Result<Option<&mut [f32]>, CpuError>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    First,
    Second,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    AttnCAttn,
    AttnCProj,
    MlpCFc,
    MlpCProj,
}

/// What the forward pass keeps.
#[derive(Debug)]
pub struct Kept {
    stats_1: Buffer,
    qkv: Buffer,
    log_sums: Buffer,
    y: Buffer,
    x_mid: Buffer,
    stats_2: Buffer,
    hidden: Buffer,
}

impl Linear<'_> {
    fn inputs(&self) -> usize {
        self.weight.len() / self.outputs
    }

    /// `y = x w + bias`.
    fn forward(&self, x: &[f32], y: &mut [f32]) {
        let write = match self.bias {
            Some(bias) => {
                rows::fill(y, bias);
                Write::Add
            }
            None => Write::Over,
        };
        matmul(y, View::new(x, self.inputs()), View::new(self.weight, self.outputs), write);
    }

    /// `y = residual + dropout(x w + bias)`.
    fn forward_onto(&self, residual: &[f32], x: &[f32], dropout: Option<Dropout>, y: &mut [f32]) {
        if let Some(dropout) = dropout {
            self.forward(x, y);
            rows::drop_elements(y, dropout);
            rows::add_scaled(y, residual, 1.0);
        } else {
            rows::copy_plus_row(y, residual, self.bias);
            matmul(y, View::new(x, self.inputs()), View::new(self.weight, self.outputs), Write::Add);
        }
    }

    /// `dx = dy w^T`, and the parameters' gradients.
    fn backward(
        &self,
        layer: Layer,
        x: &[f32],
        dy: &[f32],
        dx: &mut [f32],
        receiver: &mut impl Receiver,
    ) -> Result<(), CpuError> {
        let (x, weight) = (View::new(x, self.inputs()), View::new(self.weight, self.outputs));
        if let Some(bias) = receiver.bias(layer)? {
            rows::add_column_sums(bias, dy);
        }
        let dy = View::new(dy, self.outputs);
        matmul(receiver.weight(layer)?, x.transposed(), dy, Write::Add);
        matmul(dx, dy, weight.transposed(), Write::Over);
        Ok(())
    }
}

/// The block's result for `x` (m, c), and what its backward pass needs.
pub fn forward(
    x: &[f32],
    weights: &Weights<'_>,
    shape: AttentionShape,
    dropout: BlockDropout,
) -> Result<(Buffer, Kept), CpuError> {
    let kept = forward_to_hidden(x, weights, shape, dropout)?;
    let mut activated = Buffer::try_take(kept.hidden.len())?;
    activation::gelu(&kept.hidden, &mut activated);
    let mut y = Buffer::try_take(x.len())?;
    weights.mlp_c_proj.forward_onto(&kept.x_mid, &activated, dropout.mlp_out, &mut y);
    Ok((y, kept))
}

/// As [`forward`], up to what the backward pass needs.
pub fn forward_to_hidden(
    x: &[f32],
    weights: &Weights<'_>,
    shape: AttentionShape,
    dropout: BlockDropout,
) -> Result<Kept, CpuError> {
    let width = weights.ln_1.weight.len();
    let mut stats_1 = Buffer::try_take(2 * x.len() / width)?;
    let mut normed = Buffer::try_take(x.len())?;
    layer_norm::measure(x, width, &mut stats_1);
    layer_norm::normalise(x, &stats_1, weights.ln_1, &mut normed);
    let mut qkv = Buffer::try_take(3 * x.len())?;
    weights.attn_c_attn.forward(&normed, &mut qkv);

    let mut y = Buffer::try_take(x.len())?;
    let mut log_sums = Buffer::try_take(shape.batch * shape.heads * shape.tokens)?;
    attention::forward(&qkv, shape, dropout.attention, &mut y, &mut log_sums);
    let mut x_mid = Buffer::try_take(x.len())?;
    weights.attn_c_proj.forward_onto(x, &y, dropout.attention_out, &mut x_mid);

    let mut stats_2 = Buffer::try_take(stats_1.len())?;
    layer_norm::measure(&x_mid, width, &mut stats_2);
    layer_norm::normalise(&x_mid, &stats_2, weights.ln_2, &mut normed);
    let mut hidden = Buffer::try_take(4 * x.len())?;
    weights.mlp_c_fc.forward(&normed, &mut hidden);
    Ok(Kept { stats_1, qkv, log_sums, y, x_mid, stats_2, hidden })
}

/// The gradient of the block's input `x` from that of its result; both (m, c), the second in the place of the first. The
/// parameters' gradients go to the receiver.
pub fn backward(
    x: &[f32],
    mut kept: Kept,
    weights: &Weights<'_>,
    shape: AttentionShape,
    dropout: BlockDropout,
    gradient: &mut [f32],
    receiver: &mut impl Receiver,
) -> Result<(), CpuError> {
    let mut normed = Buffer::try_take(x.len())?;
    let mut dnormed = Buffer::try_take(x.len())?;

    // The perceptron. The gradient of the residual stream passes it by.
    {
        let mut activated = Buffer::try_take(kept.hidden.len())?;
        let mut dhidden = Buffer::try_take(kept.hidden.len())?;
        activation::differentiate_gelu(&mut kept.hidden, &mut activated);
        let dropped = rows::dropped(gradient, dropout.mlp_out)?;
        let dy = dropped.as_deref().unwrap_or(gradient);
        weights.mlp_c_proj.backward(Layer::MlpCProj, &activated, dy, &mut dhidden, receiver)?;
        rows::multiply(&mut dhidden, &kept.hidden);
        layer_norm::normalise(&kept.x_mid, &kept.stats_2, weights.ln_2, &mut normed);
        weights.mlp_c_fc.backward(Layer::MlpCFc, &normed, &dhidden, &mut dnormed, receiver)?;
    }
    let sums = layer_norm::backward(&dnormed, &kept.x_mid, &kept.stats_2, weights.ln_2.weight, gradient);
    receiver.norm(Norm::Second, sums)?;

    // Attention.
    let Kept { qkv, y, log_sums, stats_1, .. } = kept;
    let dropped = rows::dropped(gradient, dropout.attention_out)?;
    let dy = dropped.as_deref().unwrap_or(gradient);
    weights.attn_c_proj.backward(Layer::AttnCProj, &y, dy, &mut dnormed, receiver)?;
    let mut dqkv = Buffer::try_take(qkv.len())?;
    let past = attention::Past { qkv: &qkv, y: &y, log_sums: &log_sums, shape, dropout: dropout.attention };
    attention::backward(past, &dnormed, &mut dqkv);
    layer_norm::normalise(x, &stats_1, weights.ln_1, &mut normed);
    weights.attn_c_attn.backward(Layer::AttnCAttn, &normed, &dqkv, &mut dnormed, receiver)?;
    let sums = layer_norm::backward(&dnormed, x, &stats_1, weights.ln_1.weight, gradient);
    receiver.norm(Norm::First, sums)
}

//! A transformer block on slices: forward, keeping what the backward pass cannot compute cheaply, and backward; in f32 or with
//! products of bf16.
//!
//! Kept per position are 9 widths (queries, keys and values 3, attention's result 1, the residual stream after attention 1,
//! the hidden layer before GELU 4) beside the input's 1. Norms and GELU are computed again.

use dfdx::prelude::CpuError;

use super::layer_norm::Affine;
use super::matmul::{Workers, Write};
use super::memory::Buffer;
use super::operand::{Destination, Operand, view, view_mut};
use super::view::{View, ViewMut};
use super::{activation, attention, layer_norm, rows};
use crate::ops::{AttentionShape, BlockDropout, Dropout};

/// A weight (in, out) and its bias.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a, T> {
    /// Rows without gaps.
    pub weight: &'a [T],
    pub bias: Option<&'a [f32]>,
    pub outputs: usize,
}

/// The block's parameters.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a, T: Operand> {
    /// Who multiplies.
    pub kernel: T::Kernel,
    pub ln_1: Affine<'a>,
    pub attn_c_attn: Linear<'a, T>,
    pub attn_c_proj: Linear<'a, T>,
    pub ln_2: Affine<'a>,
    pub mlp_c_fc: Linear<'a, T>,
    pub mlp_c_proj: Linear<'a, T>,
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
pub struct Kept<T: Operand> {
    stats_1: Buffer,
    qkv: T::Memory,
    log_sums: Buffer,
    y: T::Memory,
    x_mid: Buffer,
    stats_2: Buffer,
    hidden: T::Memory,
}

impl<T: Operand> Linear<'_, T> {
    fn inputs(&self) -> usize {
        self.weight.len() / self.outputs
    }

    fn weight(&self) -> View<'_, T> {
        View::new(self.weight, self.outputs)
    }

    /// `y = x w + bias`.
    fn forward(&self, kernel: T::Kernel, x: &[T], y: &mut [T]) {
        let y = Destination::Operand { to: view_mut(y, self.outputs), bias: self.bias };
        T::multiply(kernel, y, view(x, self.inputs()), self.weight(), Workers::All);
    }

    /// `y = residual + dropout(x w + bias)`.
    fn forward_onto(
        &self,
        kernel: T::Kernel,
        residual: &[f32],
        x: &[T],
        dropout: Option<Dropout>,
        y: &mut [f32],
    ) {
        match (dropout, self.bias) {
            (None, bias) => rows::copy_plus_row(y, residual, bias),
            (Some(_), Some(bias)) => rows::fill(y, bias),
            (Some(_), None) => {}
        }
        let write = if dropout.is_some() && self.bias.is_none() { Write::Over } else { Write::Add };
        let to = ViewMut::new(y, self.outputs);
        let x = view(x, self.inputs());
        T::multiply(kernel, Destination::Sums { to, write }, x, self.weight(), Workers::All);
        if let Some(dropout) = dropout {
            rows::drop_elements(y, dropout);
            rows::add_scaled(y, residual, 1.0);
        }
    }

    /// `dx = dy w^T`, and the parameters' gradients.
    fn backward(
        &self,
        kernel: T::Kernel,
        layer: Layer,
        x: &[T],
        dy: &[T],
        dx: &mut [T],
        receiver: &mut impl Receiver,
    ) -> Result<(), CpuError> {
        if let Some(bias) = receiver.bias(layer)? {
            rows::add_column_sums(bias, dy);
        }
        let (x, dy) = (view(x, self.inputs()), view(dy, self.outputs));
        let dw = ViewMut::new(receiver.weight(layer)?, self.outputs);
        T::multiply(
            kernel,
            Destination::Sums { to: dw, write: Write::Add },
            x.transposed(),
            dy,
            Workers::All,
        );
        let dx = Destination::Operand { to: view_mut(dx, self.inputs()), bias: None };
        T::multiply(kernel, dx, dy, self.weight().transposed(), Workers::All);
        Ok(())
    }
}

/// The block's result for `x` (m, c), and what its backward pass needs.
pub fn forward<T: Operand>(
    x: &[f32],
    weights: &Weights<'_, T>,
    shape: AttentionShape,
    dropout: BlockDropout,
) -> Result<(Buffer, Kept<T>), CpuError> {
    let kept = forward_to_hidden(x, weights, shape, dropout)?;
    let mut activated = T::try_take(kept.hidden.len())?;
    activation::gelu(&kept.hidden, &mut activated);
    let mut y = Buffer::try_take(x.len())?;
    weights.mlp_c_proj.forward_onto(weights.kernel, &kept.x_mid, &activated, dropout.mlp_out, &mut y);
    Ok((y, kept))
}

/// As [`forward`], up to what the backward pass needs.
pub fn forward_to_hidden<T: Operand>(
    x: &[f32],
    weights: &Weights<'_, T>,
    shape: AttentionShape,
    dropout: BlockDropout,
) -> Result<Kept<T>, CpuError> {
    let kernel = weights.kernel;
    let width = weights.ln_1.weight.len();
    let rows = x.len() / width;
    let take = |columns: usize| T::try_take(rows * T::stride(columns));
    let mut stats_1 = Buffer::try_take(2 * rows)?;
    let mut normed = take(width)?;
    layer_norm::measure(x, width, &mut stats_1);
    layer_norm::normalise(x, &stats_1, weights.ln_1, &mut normed[..]);
    let mut qkv = take(3 * width)?;
    weights.attn_c_attn.forward(kernel, &normed, &mut qkv);

    let mut y = take(width)?;
    let mut log_sums = Buffer::try_take(shape.batch * shape.heads * shape.tokens)?;
    attention::forward(kernel, &qkv[..], width, shape, dropout.attention, &mut y, &mut log_sums);
    let mut x_mid = Buffer::try_take(x.len())?;
    weights.attn_c_proj.forward_onto(kernel, x, &y, dropout.attention_out, &mut x_mid);

    let mut stats_2 = Buffer::try_take(stats_1.len())?;
    layer_norm::measure(&x_mid, width, &mut stats_2);
    layer_norm::normalise(&x_mid, &stats_2, weights.ln_2, &mut normed[..]);
    let mut hidden = take(4 * width)?;
    weights.mlp_c_fc.forward(kernel, &normed, &mut hidden);
    Ok(Kept { stats_1, qkv, log_sums, y, x_mid, stats_2, hidden })
}

/// The gradient of the block's input `x` from that of its result; both (m, c), the second in the place of the first. The
/// parameters' gradients go to the receiver.
pub fn backward<T: Operand>(
    x: &[f32],
    mut kept: Kept<T>,
    weights: &Weights<'_, T>,
    shape: AttentionShape,
    dropout: BlockDropout,
    gradient: &mut [f32],
    receiver: &mut impl Receiver,
) -> Result<(), CpuError> {
    let kernel = weights.kernel;
    let width = weights.ln_1.weight.len();
    let mut normed = T::try_take(kept.y.len())?;
    let mut dnormed = T::try_take(kept.y.len())?;

    // The perceptron. The gradient of the residual stream passes it by.
    {
        let mut activated = T::try_take(kept.hidden.len())?;
        let mut dhidden = T::try_take(kept.hidden.len())?;
        activation::differentiate_gelu(&mut kept.hidden[..], &mut activated);
        let mut memory = None;
        let dy = T::try_operand(gradient, width, dropout.mlp_out, &mut memory)?;
        weights.mlp_c_proj.backward(kernel, Layer::MlpCProj, &activated, dy, &mut dhidden, receiver)?;
        rows::multiply(&mut dhidden[..], &kept.hidden);
        layer_norm::normalise(&kept.x_mid, &kept.stats_2, weights.ln_2, &mut normed[..]);
        weights.mlp_c_fc.backward(kernel, Layer::MlpCFc, &normed, &dhidden, &mut dnormed, receiver)?;
    }
    let sums = layer_norm::backward(&dnormed[..], &kept.x_mid, &kept.stats_2, weights.ln_2.weight, gradient);
    receiver.norm(Norm::Second, sums)?;

    // Attention.
    let Kept { qkv, y, log_sums, stats_1, .. } = kept;
    let mut memory = None;
    let dy = T::try_operand(gradient, width, dropout.attention_out, &mut memory)?;
    weights.attn_c_proj.backward(kernel, Layer::AttnCProj, &y, dy, &mut dnormed, receiver)?;
    drop(memory);
    let mut dqkv = T::try_take(qkv.len())?;
    let past = attention::Past {
        qkv: &qkv[..],
        y: &y,
        log_sums: &log_sums,
        width,
        shape,
        dropout: dropout.attention,
    };
    attention::backward(kernel, past, &dnormed, &mut dqkv);
    layer_norm::normalise(x, &stats_1, weights.ln_1, &mut normed[..]);
    weights.attn_c_attn.backward(kernel, Layer::AttnCAttn, &normed, &dqkv, &mut dnormed, receiver)?;
    let sums = layer_norm::backward(&dnormed[..], x, &stats_1, weights.ln_1.weight, gradient);
    receiver.norm(Norm::First, sums)
}

//! The handful of operations a GPT needs, as a trait over dfdx devices.
//!
//! Shapes: activations are flattened to two dimensions, so that each product with a weight is one matrix product.
//! `m` = B * T positions, `c` = width, `v` = vocabulary, `b` = batch, `t` = tokens of a sequence, `h` = heads,
//! `d` = width of a head.
//!
//! Every method has a default body in [`composed`] made of dfdx tensor operations, which runs on any dfdx device. A device
//! that can do better overrides methods for its own dtype, on the same tape and with the same results.

use dfdx::prelude::*;

pub mod composed;
mod dropout;
mod mask;

#[cfg(test)]
mod tests;

pub use dropout::{Dropout, DropoutSource, DropoutState};
pub use mask::CausalMask;

/// A tensor of two runtime dimensions.
pub type Matrix<E, D, T = NoneTape> = Tensor<(usize, usize), E, D, T>;
/// A tensor of one runtime dimension.
pub type Row<E, D, T = NoneTape> = Tensor<(usize,), E, D, T>;
/// A single number on the device.
pub type Scalar<E, D, T = NoneTape> = Tensor<Rank0, E, D, T>;

/// A device's memory behind a tensor, which gradients and moments are.
pub type Buffer<E, D> = <D as Storage<E>>::Vec;

/// Added to the variance in a layer norm, as in GPT-2.
pub const LAYER_NORM_EPS: f64 = 1e-5;

/// How the (B * T) rows of an activation are to be read by attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    pub batch: usize,
    pub tokens: usize,
    pub heads: usize,
}

/// What a device must be able to do to train a GPT.
///
/// Callers check their input first: token ids are below the vocabulary's size and shapes agree. dfdx panics on wrong
/// shapes and, on a GPU, a wrong index ends the process.
pub trait Ops<E: Dtype>: Device<E> {
    /// Token embedding plus position embedding; the first operation on the tape.
    ///
    /// # Shapes
    /// `wte_vc`, `wpe_pc`, B * T token ids in rows of `tokens` -> (m, c)
    fn try_embedding<T: Tape<E, Self>>(
        tape: T,
        wte_vc: &Matrix<E, Self>,
        wpe_pc: &Matrix<E, Self>,
        token_ids: &[u32],
        tokens: usize,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_embedding(tape, wte_vc, wpe_pc, token_ids, tokens)
    }

    /// `x w + bias`, with the weight stored (in, out) as Hugging Face's GPT-2 does.
    ///
    /// # Shapes
    /// (m, i), (i, o), (o) -> (m, o)
    fn try_linear<T: Tape<E, Self>>(
        x_mi: Matrix<E, Self, T>,
        w_io: &Matrix<E, Self>,
        bias_o: Option<&Row<E, Self>>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_linear(x_mi, w_io, bias_o)
    }

    /// Each row moved to mean 0 and variance 1, then scaled by `weight_c` and moved by `bias_c`.
    fn try_layer_norm<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        weight_c: &Row<E, Self>,
        bias_c: Option<&Row<E, Self>>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_layer_norm(x_mc, weight_c, bias_c)
    }

    /// GELU in its tanh approximation, the one GPT-2 was trained with.
    fn try_gelu<T: Tape<E, Self>>(x_mc: Matrix<E, Self, T>) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_gelu(x_mc)
    }

    /// Multi-head causal self-attention on queries, keys and values that lie side by side.
    ///
    /// # Shapes
    /// (m, 3c) -> (m, c)
    fn try_causal_attention<T: Tape<E, Self>>(
        qkv: Matrix<E, Self, T>,
        shape: AttentionShape,
        mask: &CausalMask<E, Self>,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_causal_attention(qkv, shape, mask, dropout)
    }

    /// `x + residual`, where the tape of `x` also recorded what leads to `residual`.
    fn try_residual<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        residual_mc: &Matrix<E, Self>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_residual(x_mc, residual_mc)
    }

    /// Zeroes each element with probability `rate` and scales the others so that the expectation stays. `None`: nothing.
    fn try_dropout<S: Shape, T: Tape<E, Self>>(
        x: Tensor<S, E, Self, T>,
        dropout: Option<Dropout>,
    ) -> Result<Tensor<S, E, Self, T>, Self::Err> {
        composed::try_dropout(x, dropout)
    }

    /// Logits with the head tied to the token embedding.
    ///
    /// # Shapes
    /// (m, c), (v, c) -> (m, v)
    fn try_head<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        wte_vc: &Matrix<E, Self>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_head(x_mc, wte_vc)
    }

    /// Mean cross entropy in nats per token of the tied head's logits against `targets`.
    fn try_head_loss<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        wte_vc: &Matrix<E, Self>,
        targets: &[u32],
    ) -> Result<Scalar<E, Self, T>, Self::Err> {
        composed::try_head_loss(x_mc, wte_vc, targets)
    }
}

impl Ops<f32> for Cpu {}
/// Double precision is for checking gradients against finite differences.
impl Ops<f64> for Cpu {}
#[cfg(feature = "cuda")]
impl Ops<f32> for Cuda {}

/// `value` in the dtype of the tensors.
pub fn number<E: Dtype>(value: f64) -> E {
    E::from_f64(value).expect("a floating-point dtype takes every f64")
}

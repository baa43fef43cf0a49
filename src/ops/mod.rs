//! The handful of operations a GPT needs, as a trait over dfdx devices.
//!
//! Shapes: activations are flattened to two dimensions, so that each product with a weight is one matrix product.
//! `m` = B * T positions, `c` = width, `v` = vocabulary, `b` = batch, `t` = tokens of a sequence, `h` = heads,
//! `d` = width of a head.
//!
//! Every method has a default body in [`composed`] made of dfdx tensor operations, which runs on any dfdx device. A device
//! that can do better overrides methods for its own dtype, on the same tape and with the same results: `cpu` does so for
//! `Cpu` and f32, `cuda` for `Cuda` and either format. A whole transformer block is one method, so that what it computes inside never has to become a tensor.

use dfdx::prelude::*;

use cpu::bf16::Rounded;

pub mod composed;
pub mod cpu;
#[cfg(feature = "cuda")]
pub mod cuda;

mod dropout;
mod format;
mod hits;
mod mask;
pub mod profile;
mod recompute;
mod transfer;
mod weights;

#[cfg(test)]
mod tests;

pub use dropout::{Dropout, DropoutSource, DropoutState};
pub use format::{F16, Format, Mixed};
pub use hits::Hits;
pub use mask::CausalMask;
pub use recompute::{id_of, keep_gradient, try_backward_from, try_tape};
pub use transfer::{OutOfMemory, Transfer};
pub use weights::{Block, LayerNorm, Linear};

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

/// The dropout of one pass through a block; `None`: nothing is dropped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct BlockDropout {
    /// Of the attention weights (b, h, t, t).
    pub attention: Option<Dropout>,
    /// Of what attention adds to the residual stream (m, c).
    pub attention_out: Option<Dropout>,
    /// Of what the perceptron adds to the residual stream (m, c).
    pub mlp_out: Option<Dropout>,
}

/// What a block needs to know about a batch besides its activations.
#[derive(Clone, Debug)]
pub struct BlockPass<E: Dtype, D: Storage<E>> {
    pub shape: AttentionShape,
    pub mask: CausalMask<E, D>,
    pub dropout: BlockDropout,
    /// Attention scores that composed attention may hold at the same time.
    pub max_scores: usize,
    /// Keep only the block's input and compute the rest again in the backward pass: less memory for about a third more
    /// work (Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016).
    pub recompute: bool,
}

impl<E: Dtype, D: Storage<E>> BlockPass<E, D> {
    /// A pass that keeps everything, with a mask of its own.
    pub fn new(shape: AttentionShape, dropout: BlockDropout) -> Self {
        Self { shape, mask: CausalMask::default(), dropout, max_scores: usize::MAX, recompute: false }
    }
}

/// What a device must be able to do to train a GPT.
///
/// Callers check their input first: token ids are below the vocabulary's size and shapes agree. dfdx panics on wrong
/// shapes and, on a GPU, a wrong index ends the process.
///
/// Operations take the activation they work on, and nothing else may use it: its gradient comes from them alone.
pub trait Ops<E: Dtype>: Device<E> + Transfer<E> {
    /// Whether dfdx's cache of allocations helps: not where the operations keep their own memory.
    const USES_CACHE: bool = true;

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

    /// Zeroes each element with probability `rate` and scales the others so that the expectation stays. `None`: nothing.
    fn try_dropout<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_dropout(x_mc, dropout, 0)
    }

    /// A transformer block: `x + attention(norm(x))`, and of that `x + mlp(norm(x))`.
    ///
    /// # Shapes
    /// (m, c) -> (m, c)
    fn try_block<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        block: &Block<E, Self>,
        pass: &BlockPass<E, Self>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        if T::OWNS_TAPE && pass.recompute {
            recompute::try_recomputed(x_mc, (block.clone(), pass.clone()))
        } else {
            composed::try_block(x_mc, block, pass)
        }
    }

    /// Each row moved to mean 0 and variance 1, then scaled by the weight and moved by the bias.
    fn try_layer_norm<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        norm: &LayerNorm<E, Self>,
    ) -> Result<Matrix<E, Self, T>, Self::Err> {
        composed::try_layer_norm(x_mc, norm)
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

    /// Mean cross entropy in nats per token of the tied head's logits against `targets`. `rounded` is the weight in bf16, where
    /// products on the processor are to take that. `hits` counts right predictions; without a fused head only where no gradient is
    /// wanted, as that takes another pass over the logits.
    fn try_head_loss<T: Tape<E, Self>>(
        x_mc: Matrix<E, Self, T>,
        wte_vc: &Matrix<E, Self>,
        _rounded: Option<&Rounded>,
        targets: &[u32],
        hits: &Hits,
    ) -> Result<Scalar<E, Self, T>, Self::Err> {
        composed::try_head_loss(x_mc, wte_vc, targets, hits)
    }

    /// The losses of the head in parts, without a gradient, with right predictions counted.
    fn try_head_losses(
        head: &composed::HeadInParts<'_, E, Self>,
        hits: &Hits,
    ) -> Result<Vec<composed::SharedLoss<E, Self>>, Self::Err> {
        head.try_losses(|logits_mv, targets| composed::try_counted(logits_mv, targets, hits))
    }

    /// The head in parts, each forwards and backwards before the next: the losses, and `factor` times the gradient of their mean, which
    /// goes to the head's input and is added to `gradients`.
    fn try_head_gradients(
        head: &composed::HeadInParts<'_, E, Self>,
        gradients: Gradients<E, Self>,
        factor: f64,
    ) -> Result<composed::LossesAndGradients<E, E, Self>, Self::Err> {
        head.try_losses_and_gradients(gradients, |logits_mv, targets, part| {
            composed::try_gradient(logits_mv, targets, factor * part)
        })
    }
}

/// Double precision is for checking gradients against finite differences.
impl Ops<f64> for Cpu {}
/// Half precision on the processor is slow, and shows what it is on any device.
impl Ops<F16> for Cpu {}

/// `value` in the dtype of the tensors.
pub fn number<E: Dtype>(value: f64) -> E {
    E::from_f64(value).expect("a floating-point dtype takes every f64")
}

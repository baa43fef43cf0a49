//! A block's parameters and their gradients by their addresses; 0: there is no such parameter.

use dfdx::prelude::*;

use super::context::Context;
use super::norm::Affine;
use super::number::Number;
use super::product::{Product, Side};
use super::{gradient, optional_address};
use crate::ops::{Block, LayerNorm, Linear, Row};

/// A weight (in, out) and a bias by their addresses; 0: there is no bias.
#[derive(Clone, Copy, Debug)]
pub struct Layer {
    pub weight: u64,
    pub bias: u64,
    pub inputs: usize,
    pub outputs: usize,
}

impl Layer {
    pub fn try_of<E: Number>(linear: &Linear<E, Cuda>) -> Result<Self, CudaError> {
        let (_, weight) = Context::try_of(&linear.weight_io)?;
        let (inputs, outputs) = *linear.weight_io.shape();
        Ok(Self { weight, bias: optional_address(linear.bias_o.as_ref())?, inputs, outputs })
    }

    /// `y = x weight`.
    ///
    /// # Safety
    /// `x` and `y` are so many rows of inputs and outputs.
    pub unsafe fn try_forward<E: Number>(
        &self,
        context: &Context,
        rows: usize,
        x: u64,
        y: u64,
    ) -> Result<(), CudaError> {
        let (x, weight) = (Side::plain(x), Side::plain(self.weight));
        // SAFETY: the caller's promise.
        unsafe { Product::one(rows, self.inputs, self.outputs, x, weight, y).try_on::<E>(context) }
    }

    /// `dx = dy weight^T`, and `dweight += x^T dy`.
    ///
    /// # Safety
    /// As for [`Self::try_forward`].
    pub unsafe fn try_backward<E: Number>(
        &self,
        context: &Context,
        rows: usize,
        x: u64,
        dy: u64,
        dx: u64,
        dweight: u64,
    ) -> Result<(), CudaError> {
        // SAFETY: the caller's promise.
        unsafe {
            self.try_weight::<E>(context, rows, x, dy, dweight)?;
            self.try_input::<E>(context, rows, dy, dx)
        }
    }

    /// # Safety
    /// As for [`Self::try_forward`].
    pub unsafe fn try_weight<E: Number>(
        &self,
        context: &Context,
        rows: usize,
        x: u64,
        dy: u64,
        dweight: u64,
    ) -> Result<(), CudaError> {
        let (x, dy) = (Side::transposed(x), Side::plain(dy));
        let product = Product::one(self.inputs, rows, self.outputs, x, dy, dweight);
        // SAFETY: the caller's promise.
        unsafe { Product { adds: true, ..product }.try_on::<E>(context) }
    }

    /// # Safety
    /// As for [`Self::try_forward`].
    pub unsafe fn try_input<E: Number>(
        &self,
        context: &Context,
        rows: usize,
        dy: u64,
        dx: u64,
    ) -> Result<(), CudaError> {
        let (dy, weight) = (Side::plain(dy), Side::transposed(self.weight));
        // SAFETY: the caller's promise.
        unsafe { Product::one(rows, self.outputs, self.inputs, dy, weight, dx).try_on::<E>(context) }
    }
}

/// The parameters by their addresses.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub ln_1: Affine,
    pub attn_c_attn: Layer,
    pub attn_c_proj: Layer,
    pub ln_2: Affine,
    pub mlp_c_fc: Layer,
    pub mlp_c_proj: Layer,
}

impl Addresses {
    pub fn try_of<E: Number>(block: &Block<E, Cuda>) -> Result<Self, CudaError> {
        Ok(Self {
            ln_1: Affine::try_of(&block.ln_1)?,
            attn_c_attn: Layer::try_of(&block.attn_c_attn)?,
            attn_c_proj: Layer::try_of(&block.attn_c_proj)?,
            ln_2: Affine::try_of(&block.ln_2)?,
            mlp_c_fc: Layer::try_of(&block.mlp_c_fc)?,
            mlp_c_proj: Layer::try_of(&block.mlp_c_proj)?,
        })
    }
}

/// The vectors of a block's sums, in their order.
pub const LN_1: [usize; 2] = [0, 1];
pub const ATTENTION: usize = 2;
pub const ATTENTION_OUT: usize = 3;
pub const LN_2: [usize; 2] = [4, 5];
pub const FC: usize = 6;
pub const MLP_OUT: usize = 7;

/// Where the parameters' gradients lie; 0: there is no such parameter.
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    pub attn_c_attn: u64,
    pub attn_c_proj: u64,
    pub mlp_c_fc: u64,
    pub mlp_c_proj: u64,
    /// Of biases and norms, in the order of a block's sums.
    pub biases: [u64; 8],
}

impl Targets {
    pub fn try_of<E: Number>(
        gradients: &mut Gradients<E, Cuda>,
        block: &Block<E, Cuda>,
    ) -> Result<Self, CudaError> {
        fn optional<E: Number>(
            gradients: &mut Gradients<E, Cuda>,
            bias: Option<&Row<E, Cuda>>,
        ) -> Result<u64, CudaError> {
            bias.map_or(Ok(0), |bias| gradient(gradients, bias))
        }
        let mut norm = |norm: &LayerNorm<E, Cuda>| -> Result<[u64; 2], CudaError> {
            Ok([gradient(gradients, &norm.weight_c)?, optional(gradients, norm.bias_c.as_ref())?])
        };
        let ([a, b], [c, d]) = (norm(&block.ln_1)?, norm(&block.ln_2)?);
        let mut linear = |linear: &Linear<E, Cuda>| -> Result<[u64; 2], CudaError> {
            Ok([gradient(gradients, &linear.weight_io)?, optional(gradients, linear.bias_o.as_ref())?])
        };
        let [attn_c_attn, qkv] = linear(&block.attn_c_attn)?;
        let [attn_c_proj, out] = linear(&block.attn_c_proj)?;
        let [mlp_c_fc, fc] = linear(&block.mlp_c_fc)?;
        let [mlp_c_proj, mlp_out] = linear(&block.mlp_c_proj)?;
        let biases = [a, b, qkv, out, c, d, fc, mlp_out];
        Ok(Self { attn_c_attn, attn_c_proj, mlp_c_fc, mlp_c_proj, biases })
    }
}

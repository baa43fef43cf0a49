//! A block's parameters between dfdx and the code on slices: copies of their values, and where their gradients lie.

use std::cell::Ref;
use std::ops::Deref;

use dfdx::prelude::*;
use rayon::prelude::*;

use super::bf16::{Bf16, RoundedBlock};
use super::block::{self, Layer, Norm, Receiver};
use super::layer_norm::Affine;
use super::memory::Buffer;
use super::operand::Operand;
use super::rows;
use crate::ops::profile::{Part, timed};
use crate::ops::{Block, LayerNorm, Linear};

/// A copy of a tensor's data, which must lie in memory without gaps.
pub fn copy<S: Shape, T>(tensor: &Tensor<S, f32, Cpu, T>) -> Result<Buffer, CpuError> {
    let _timed = timed(Part::Copies);
    let mut data = Buffer::try_take(tensor.shape().num_elements())?;
    tensor.copy_into(&mut data);
    Ok(data)
}

struct CopiedNorm {
    weight: Buffer,
    bias: Option<Buffer>,
}

impl CopiedNorm {
    fn try_new(norm: &LayerNorm<f32, Cpu>) -> Result<Self, CpuError> {
        Ok(Self { weight: copy(&norm.weight_c)?, bias: norm.bias_c.as_ref().map(copy).transpose()? })
    }

    fn weights(&self) -> Affine<'_> {
        Affine { weight: &self.weight, bias: self.bias.as_deref() }
    }
}

/// The values of a linear layer's parameters; of the weight a copy, or one that is kept in bf16.
struct ReadLinear<W> {
    weight: W,
    bias: Option<Buffer>,
    outputs: usize,
}

impl<W> ReadLinear<W> {
    fn try_new(linear: &Linear<f32, Cpu>, weight: W) -> Result<Self, CpuError> {
        let bias = linear.bias_o.as_ref().map(copy).transpose()?;
        Ok(Self { weight, bias, outputs: linear.weight_io.shape().1 })
    }

    fn weights<T>(&self) -> block::Linear<'_, T>
    where
        W: Deref<Target = [T]>,
    {
        block::Linear { weight: &self.weight, bias: self.bias.as_deref(), outputs: self.outputs }
    }
}

/// The values of a block's parameters.
struct ReadBlock<W> {
    ln_1: CopiedNorm,
    attn_c_attn: ReadLinear<W>,
    attn_c_proj: ReadLinear<W>,
    ln_2: CopiedNorm,
    mlp_c_fc: ReadLinear<W>,
    mlp_c_proj: ReadLinear<W>,
}

impl<W> ReadBlock<W> {
    /// With these as the four weights, in the order of [`linears`].
    fn try_new(block: &Block<f32, Cpu>, weights: [W; 4]) -> Result<Self, CpuError> {
        let [attn_c_attn, attn_c_proj, mlp_c_fc, mlp_c_proj] = weights;
        Ok(Self {
            ln_1: CopiedNorm::try_new(&block.ln_1)?,
            attn_c_attn: ReadLinear::try_new(&block.attn_c_attn, attn_c_attn)?,
            attn_c_proj: ReadLinear::try_new(&block.attn_c_proj, attn_c_proj)?,
            ln_2: CopiedNorm::try_new(&block.ln_2)?,
            mlp_c_fc: ReadLinear::try_new(&block.mlp_c_fc, mlp_c_fc)?,
            mlp_c_proj: ReadLinear::try_new(&block.mlp_c_proj, mlp_c_proj)?,
        })
    }

    fn weights<T: Operand>(&self, kernel: T::Kernel) -> block::Weights<'_, T>
    where
        W: Deref<Target = [T]>,
    {
        block::Weights {
            kernel,
            ln_1: self.ln_1.weights(),
            attn_c_attn: self.attn_c_attn.weights(),
            attn_c_proj: self.attn_c_proj.weights(),
            ln_2: self.ln_2.weights(),
            mlp_c_fc: self.mlp_c_fc.weights(),
            mlp_c_proj: self.mlp_c_proj.weights(),
        }
    }
}

impl ReadBlock<Buffer> {
    /// Copies in f32.
    fn try_copy(block: &Block<f32, Cpu>) -> Result<Self, CpuError> {
        let _timed = timed(Part::Copies);
        let take = |linear: &Linear<f32, Cpu>| Buffer::try_take(linear.weight_io.shape().num_elements());
        let [a, b, c, d] = linears(block);
        let mut copies = [take(a)?, take(b)?, take(c)?, take(d)?];
        // All at once: one thread does not use all of the memory's bandwidth.
        let pairs = copies.par_iter_mut().zip(linears(block)).with_max_len(1);
        pairs.for_each(|(copy, linear)| linear.weight_io.copy_into(copy));
        Self::try_new(block, copies)
    }
}

impl<'a> ReadBlock<Ref<'a, [Bf16]>> {
    /// The weights' values in bf16.
    fn try_read(block: &Block<f32, Cpu>, rounded: &'a RoundedBlock) -> Result<Self, CpuError> {
        let read = |i: usize| rounded.weights[i].try_read(&linears(block)[i].weight_io);
        Self::try_new(block, [read(0)?, read(1)?, read(2)?, read(3)?])
    }
}

/// How the weights of blocks are read for products of `T`, in either pass.
pub trait WeightsOf<T: Operand>: 'static {
    fn try_with<R>(
        &self,
        block: &Block<f32, Cpu>,
        act: impl FnOnce(&block::Weights<'_, T>) -> Result<R, CpuError>,
    ) -> Result<R, CpuError>;
}

/// As they are.
#[derive(Clone, Copy, Debug)]
pub struct InSingle;

impl WeightsOf<f32> for InSingle {
    fn try_with<R>(
        &self,
        block: &Block<f32, Cpu>,
        act: impl FnOnce(&block::Weights<'_, f32>) -> Result<R, CpuError>,
    ) -> Result<R, CpuError> {
        act(&ReadBlock::try_copy(block)?.weights(()))
    }
}

impl WeightsOf<Bf16> for RoundedBlock {
    fn try_with<R>(
        &self,
        block: &Block<f32, Cpu>,
        act: impl FnOnce(&block::Weights<'_, Bf16>) -> Result<R, CpuError>,
    ) -> Result<R, CpuError> {
        act(&ReadBlock::try_read(block, self)?.weights(self.kernel))
    }
}

/// The block's linear layers in the order of the forward pass.
fn linears(block: &Block<f32, Cpu>) -> [&Linear<f32, Cpu>; 4] {
    [&block.attn_c_attn, &block.attn_c_proj, &block.mlp_c_fc, &block.mlp_c_proj]
}

/// The gradients of a block's parameters on dfdx's tape.
pub struct Parameters<'a> {
    pub block: &'a Block<f32, Cpu>,
    pub gradients: &'a mut Gradients<f32, Cpu>,
}

fn layer_of(block: &Block<f32, Cpu>, layer: Layer) -> &Linear<f32, Cpu> {
    match layer {
        Layer::AttnCAttn => &block.attn_c_attn,
        Layer::AttnCProj => &block.attn_c_proj,
        Layer::MlpCFc => &block.mlp_c_fc,
        Layer::MlpCProj => &block.mlp_c_proj,
    }
}

impl Receiver for Parameters<'_> {
    fn norm(&mut self, norm: Norm, [dweight, dbias]: [Vec<f32>; 2]) -> Result<(), CpuError> {
        let norm = match norm {
            Norm::First => &self.block.ln_1,
            Norm::Second => &self.block.ln_2,
        };
        rows::add(self.gradients.get_or_alloc_mut(&norm.weight_c)?, &dweight);
        if let Some(bias) = &norm.bias_c {
            rows::add(self.gradients.get_or_alloc_mut(bias)?, &dbias);
        }
        Ok(())
    }

    fn weight(&mut self, layer: Layer) -> Result<&mut [f32], CpuError> {
        Ok(self.gradients.get_or_alloc_mut(&layer_of(self.block, layer).weight_io)?)
    }

    fn bias(&mut self, layer: Layer) -> Result<Option<&mut [f32]>, CpuError> {
        match &layer_of(self.block, layer).bias_o {
            Some(bias) => Ok(Some(self.gradients.get_or_alloc_mut(bias)?)),
            None => Ok(None),
        }
    }
}

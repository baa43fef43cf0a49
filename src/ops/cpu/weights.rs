//! A block's parameters between dfdx and the code on slices: copies of their values, and where their gradients lie.

use dfdx::prelude::*;
use rayon::prelude::*;

use super::block::{self, Layer, Norm, Receiver};
use super::layer_norm::Affine;
use super::memory::Buffer;
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

struct CopiedLinear {
    weight: Buffer,
    bias: Option<Buffer>,
    outputs: usize,
}

impl CopiedLinear {
    /// The weight's memory is taken and left as it is: see [`CopiedBlock::try_new`].
    fn try_new(linear: &Linear<f32, Cpu>) -> Result<Self, CpuError> {
        Ok(Self {
            weight: Buffer::try_take(linear.weight_io.shape().num_elements())?,
            bias: linear.bias_o.as_ref().map(copy).transpose()?,
            outputs: linear.weight_io.shape().1,
        })
    }

    fn weights(&self) -> block::Linear<'_> {
        block::Linear { weight: &self.weight, bias: self.bias.as_deref(), outputs: self.outputs }
    }
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

/// The values of a block's parameters.
pub struct CopiedBlock {
    ln_1: CopiedNorm,
    attn_c_attn: CopiedLinear,
    attn_c_proj: CopiedLinear,
    ln_2: CopiedNorm,
    mlp_c_fc: CopiedLinear,
    mlp_c_proj: CopiedLinear,
}

impl CopiedBlock {
    pub fn try_new(block: &Block<f32, Cpu>) -> Result<Self, CpuError> {
        let _timed = timed(Part::Copies);
        let mut copied = Self {
            ln_1: CopiedNorm::try_new(&block.ln_1)?,
            attn_c_attn: CopiedLinear::try_new(&block.attn_c_attn)?,
            attn_c_proj: CopiedLinear::try_new(&block.attn_c_proj)?,
            ln_2: CopiedNorm::try_new(&block.ln_2)?,
            mlp_c_fc: CopiedLinear::try_new(&block.mlp_c_fc)?,
            mlp_c_proj: CopiedLinear::try_new(&block.mlp_c_proj)?,
        };
        // The four weights at once: one thread does not use all of the memory's bandwidth.
        let pairs = [
            (&mut copied.attn_c_attn, &block.attn_c_attn),
            (&mut copied.attn_c_proj, &block.attn_c_proj),
            (&mut copied.mlp_c_fc, &block.mlp_c_fc),
            (&mut copied.mlp_c_proj, &block.mlp_c_proj),
        ];
        let copies = pairs.map(|(copied, linear)| (&mut *copied.weight, &linear.weight_io));
        copies.into_par_iter().with_max_len(1).for_each(|(copy, weight)| weight.copy_into(copy));
        Ok(copied)
    }

    pub fn weights(&self) -> block::Weights<'_> {
        block::Weights {
            ln_1: self.ln_1.weights(),
            attn_c_attn: self.attn_c_attn.weights(),
            attn_c_proj: self.attn_c_proj.weights(),
            ln_2: self.ln_2.weights(),
            mlp_c_fc: self.mlp_c_fc.weights(),
            mlp_c_proj: self.mlp_c_proj.weights(),
        }
    }
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

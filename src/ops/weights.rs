//! The weights of one transformer block, as the operations take them.

use dfdx::prelude::*;

use super::cpu::bf16::RoundedBlock;
use super::{Format, Matrix, Row};

/// A weight stored (in, out) as in Hugging Face's GPT-2, and what is added to the product.
#[derive(Clone, Debug)]
pub struct Linear<E: Dtype, D: Storage<E>> {
    pub weight_io: Matrix<E, D>,
    pub bias_o: Option<Row<E, D>>,
}

/// Scale and shift of a layer norm.
#[derive(Clone, Debug)]
pub struct LayerNorm<E: Dtype, D: Storage<E>> {
    pub weight_c: Row<E, D>,
    pub bias_c: Option<Row<E, D>>,
}

/// A pre-norm transformer block: attention, then a two-layer perceptron of four times the width.
#[derive(Clone, Debug)]
pub struct Block<E: Dtype, D: Storage<E>> {
    pub ln_1: LayerNorm<E, D>,
    /// (c, 3c): queries, keys and values side by side.
    pub attn_c_attn: Linear<E, D>,
    /// (c, c)
    pub attn_c_proj: Linear<E, D>,
    pub ln_2: LayerNorm<E, D>,
    /// (c, 4c)
    pub mlp_c_fc: Linear<E, D>,
    /// (4c, c)
    pub mlp_c_proj: Linear<E, D>,
    /// The weights in bf16, where products on the processor are to take these.
    pub rounded: Option<RoundedBlock>,
}

impl<D: Device<f32>> Linear<f32, D> {
    /// A copy in another format.
    pub fn try_to_format<H: Format>(&self) -> Result<Linear<H, D>, D::Err>
    where
        D: Device<H>,
    {
        let weight_io = self.weight_io.clone().try_to_dtype()?;
        let bias_o = self.bias_o.clone().map(|bias_o| bias_o.try_to_dtype()).transpose()?;
        Ok(Linear { weight_io, bias_o })
    }
}

impl<D: Device<f32>> LayerNorm<f32, D> {
    /// A copy in another format.
    pub fn try_to_format<H: Format>(&self) -> Result<LayerNorm<H, D>, D::Err>
    where
        D: Device<H>,
    {
        let weight_c = self.weight_c.clone().try_to_dtype()?;
        let bias_c = self.bias_c.clone().map(|bias_c| bias_c.try_to_dtype()).transpose()?;
        Ok(LayerNorm { weight_c, bias_c })
    }
}

impl<D: Device<f32>> Block<f32, D> {
    /// A copy in another format.
    pub fn try_to_format<H: Format>(&self) -> Result<Block<H, D>, D::Err>
    where
        D: Device<H>,
    {
        Ok(Block {
            ln_1: self.ln_1.try_to_format()?,
            attn_c_attn: self.attn_c_attn.try_to_format()?,
            attn_c_proj: self.attn_c_proj.try_to_format()?,
            ln_2: self.ln_2.try_to_format()?,
            mlp_c_fc: self.mlp_c_fc.try_to_format()?,
            mlp_c_proj: self.mlp_c_proj.try_to_format()?,
            rounded: None,
        })
    }
}

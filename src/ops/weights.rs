//! The weights of one transformer block, as the operations take them.

use dfdx::prelude::*;

use super::{Matrix, Row};

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
}

//! GPT-2 on dfdx tensors with sizes known at run time, generic over device and dtype.

use crate::config::experiment::ModelPlan;

pub mod flops;
pub mod foreign;
pub mod gpt;
pub mod init;
pub mod params;
pub mod shards;
pub mod tensor_file;
pub mod weights;

#[cfg(test)]
mod tests;

pub use gpt::{Gpt, Limits};

/// File of the weights, in checkpoints and in Hugging Face's folders.
pub const WEIGHTS_FILE: &str = "model.safetensors";

/// Sizes of a GPT-2, all known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelConfig {
    pub n_layer: usize,
    pub n_head: usize,
    pub n_embd: usize,
    /// Longest context, and so the number of position embeddings.
    pub block_size: usize,
    pub vocab_size: usize,
    /// Biases in linear layers and layer norms.
    pub bias: bool,
}

impl ModelConfig {
    /// The plan's sizes; `tokenizer_vocab_size` where the plan leaves the vocabulary to the tokenizer.
    pub fn new(plan: &ModelPlan, tokenizer_vocab_size: usize) -> Self {
        Self {
            n_layer: plan.n_layer,
            n_head: plan.n_head,
            n_embd: plan.n_embd,
            block_size: plan.block_size,
            vocab_size: plan.vocab_size.unwrap_or(tokenizer_vocab_size),
            bias: plan.bias,
        }
    }
}

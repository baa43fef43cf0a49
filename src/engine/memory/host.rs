//! The memory of the process that trains on the processor.

use super::{MemoryPart, Workload};
use crate::config::experiment::{OptimizerKind, TokenizerKind};
use crate::model::ModelConfig;
use crate::model::params::layout;

/// Widths (`n_embd` numbers per token) that a layer keeps for its backward pass: its input, queries, keys and values
/// together, attention's output, the residual stream after attention, and the MLP's hidden layer before GELU.
const KEPT_WIDTHS: f64 = 1.0 + 3.0 + 1.0 + 1.0 + 4.0;
/// Numbers per token that a layer keeps beside these and the softmax's denominator of each head: mean and deviation of
/// two layer norms.
const KEPT_STATISTICS: f64 = 4.0;
/// Widths kept outside the layers: the input and the output of the last layer norm.
const KEPT_OUTSIDE: f64 = 2.0;
/// Widths of the buffers that layers share, forwards and backwards: two of the hidden layer's, one of queries, keys and
/// values, four of the residual stream's.
const SCRATCH_WIDTHS: f64 = 2.0 * 4.0 + 3.0 + 4.0;
/// `n_embd` x `n_embd` matrices that a block's weights amount to.
const BLOCK_MATRICES: f64 = 12.0;
/// Rows of logits that are alive at once.
const HEAD_ROWS: f64 = 512.0;
/// Copies of a tensor while it is written to a checkpoint: its values, and these as bytes.
const SAVED_COPIES: f64 = 2.0;
/// The processor trains in f32.
const NUMBER_BYTES: f64 = 4.0;
/// A token id of the corpus, which is held as a whole.
const TOKEN_BYTES: f64 = 4.0;
/// The program itself, its threads and records: the peak of a run of a few thousand parameters, measured on Linux.
pub(super) const PROGRAM_BYTES: f64 = 10.0 * MIB;
/// GPT-2's vocabulary and merges in memory, measured in the same way. Characters and bytes need no table to speak of.
pub(super) const GPT2_TOKENIZER_BYTES: f64 = 17.0 * MIB;
const MIB: f64 = 1024.0 * 1024.0;

/// The parts of the peak of training this model so on the processor. Loading a corpus holds its text and tokens twice for a
/// moment, before there is a model; that counts only for texts larger than the model, and is left out.
pub fn parts(config: &ModelConfig, workload: &Workload) -> Vec<MemoryPart> {
    let sizes = layout(config);
    let parameters: f64 = sizes.iter().map(|parameter| parameter.len() as f64).sum();
    let largest = sizes.iter().map(|parameter| parameter.len() as f64).fold(0.0, f64::max);
    let moments = match workload.optimizer {
        OptimizerKind::Adamw => 2.0,
        OptimizerKind::Sgd => 1.0,
    };
    let tokenizer = match workload.tokenizer {
        TokenizerKind::Gpt2 => GPT2_TOKENIZER_BYTES,
        TokenizerKind::Char | TokenizerKind::Byte => 0.0,
    };
    let tokens = workload.batch_size as f64 * workload.sequence_length as f64;
    let (layers, width) = (config.n_layer as f64, config.n_embd as f64);
    let head = config.vocab_size as f64 * width;
    let whole_layer = KEPT_WIDTHS * width + config.n_head as f64 + KEPT_STATISTICS;
    let kept =
        if workload.activation_checkpointing { layers * width + whole_layer } else { layers * whole_layer };

    let part = |name, numbers: f64, grows_with_batch| MemoryPart {
        name,
        bytes: numbers * NUMBER_BYTES,
        grows_with_batch,
    };
    let bytes = |name, bytes| MemoryPart { name, bytes, grows_with_batch: false };
    vec![
        part("parameters", parameters, false),
        part("gradients", parameters, false),
        part("optimizer's moments", moments * parameters, false),
        part("optimizer's working memory", largest, false),
        part("weights in the order of the products", BLOCK_MATRICES * width * width + head, false),
        part("activations kept for the backward pass", tokens * (kept + KEPT_OUTSIDE * width), true),
        part("working memory of the layers", tokens * SCRATCH_WIDTHS * width, true),
        part("logits of a chunk", tokens.min(HEAD_ROWS) * config.vocab_size as f64, true),
        part("head's gradient", head, false),
        part("tensor being saved", if workload.saves { SAVED_COPIES * largest } else { 0.0 }, false),
        bytes("corpus", workload.corpus_tokens as f64 * TOKEN_BYTES),
        bytes("program and tokenizer", PROGRAM_BYTES + tokenizer),
    ]
}

//! The memory of a GPU that trains with composed operations, as dfdx allocates it. What CUDA itself takes comes on top: its
//! context, and what cuBLAS works in.
//!
//! The counts below follow from what dfdx's tape keeps for each operation of `ops::composed`; `tests/cuda` holds the sum against
//! what an emulated GPU allocates.

use super::{MemoryPart, Workload};
use crate::config::experiment::DtypeKind;
use crate::model::params::layout;
use crate::model::{Limits, ModelConfig};

/// Widths (`n_embd` numbers per token) that a layer keeps for its backward pass: two layer norms with what is centred, what is
/// normalised and the result (6), queries, keys and values together and apart (6), attention before and after its division
/// (2), and the MLP's hidden layer before and after GELU (8).
const KEPT_WIDTHS: f64 = 22.0;
/// Widths that the gradients of a layer take beside what is kept. There are some fifty, but most find the memory of
/// activations that the backward pass is done with; this is what an emulated GPU shows to be left.
const GRADIENT_WIDTHS: f64 = 16.0;
/// Numbers per score: what is kept, and two gradients.
const KEPT_SCORES: f64 = 1.0;
const GRADIENT_SCORES: f64 = 2.0;
/// Widths outside the layers: what the embeddings gathered and their sum, and the last layer norm with its gradients.
const OUTSIDE_WIDTHS: f64 = 3.0 + 3.0 + 6.0;
/// Numbers per logit in single precision: the logit, its exponential, and a gradient that takes the place of another.
const LOGITS: f64 = 3.0;

const SINGLE: f64 = 4.0;
const HALF: f64 = 2.0;

/// The parts of the peak.
pub fn parts(config: &ModelConfig, workload: &Workload, limits: Limits) -> Vec<MemoryPart> {
    let mixed = workload.dtype == DtypeKind::F16;
    let of_passes = if mixed { HALF } else { SINGLE };
    let parameters: f64 = layout(config).iter().map(|parameter| parameter.len() as f64).sum();
    let moments = super::optimizer_numbers(config, workload.optimizer);
    let tokens = workload.batch_size as f64 * workload.sequence_length as f64;
    let (layers, width) = (config.n_layer as f64, config.n_embd as f64);
    let scores = tokens * workload.sequence_length as f64 * config.n_head as f64;
    // Scores in parts are not kept, and those of a part have their gradients beside them.
    let in_parts = scores > limits.scores as f64;
    let (kept_scores, working_scores) = if in_parts {
        let one = scores / workload.batch_size as f64;
        (0.0, (KEPT_SCORES + GRADIENT_SCORES) * one.max(limits.scores as f64))
    } else {
        (KEPT_SCORES * scores, GRADIENT_SCORES * scores)
    };
    let layer = KEPT_WIDTHS * width * tokens + kept_scores;
    let kept =
        if workload.activation_checkpointing { layers * width * tokens + layer } else { layers * layer };
    let vocabulary = config.vocab_size as f64;
    let logits = (tokens * vocabulary).min((limits.logits as f64).max(vocabulary));
    // In mixed precision logits and their gradient are in half precision too.
    let logit_bytes = LOGITS * SINGLE + if mixed { 2.0 * HALF } else { 0.0 };

    let part = |name, bytes: f64, grows_with_batch| MemoryPart { name, bytes, grows_with_batch };
    let in_half = if mixed { 2.0 * HALF * parameters } else { 0.0 };
    vec![
        part("parameters", SINGLE * parameters, false),
        part("gradients", SINGLE * parameters, false),
        part("optimizer's moments", SINGLE * moments, false),
        part("parameters and gradients in half precision", in_half, false),
        part("activations kept for the backward pass", of_passes * kept, true),
        part("embeddings and last layer norm", of_passes * OUTSIDE_WIDTHS * width * tokens, true),
        part("gradients of a layer", of_passes * (GRADIENT_WIDTHS * width * tokens + working_scores), true),
        part("logits and their gradients", logit_bytes * logits, true),
    ]
}

impl Limits {
    /// For a GPU with this much memory: logits may take a quarter of it, and the scores of one layer a sixteenth.
    pub fn of_memory(bytes: u64) -> Self {
        let numbers = |share: f64, bytes_of_each: f64| (bytes as f64 * share / bytes_of_each) as usize;
        Self {
            scores: numbers(1.0 / 16.0, SINGLE * (KEPT_SCORES + GRADIENT_SCORES)),
            logits: numbers(1.0 / 4.0, SINGLE * LOGITS),
        }
    }
}

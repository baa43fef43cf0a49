//! The memory of a GPU that trains with the operations of `ops::cuda`. What CUDA itself takes comes on top: its context, and what cuBLAS
//! works in.
//!
//! Memory of one size is used again by whatever takes as much, so that the most at a time counts for each size. `tests/cuda` holds the sum
//! against what an emulated GPU allocates.

use super::{MemoryPart, Workload};
use crate::config::experiment::DtypeKind;
use crate::model::params::layout;
use crate::model::{Limits, ModelConfig};

/// Widths (`n_embd` numbers per token) that a layer keeps for its backward pass: each norm's result, and that before its weight and bias
/// (4), queries, keys and values (3), attention's result (1), and the MLP's hidden layer before GELU (4).
const KEPT_WIDTHS: f64 = 12.0;
/// Widths that are worked in, the most of each size: what goes to the residual stream and comes of it (2), queries, keys and values by
/// position, or their gradients (3), and the hidden layer after GELU, or its gradient (4).
const WORKING_WIDTHS: f64 = 2.0 + 3.0 + 4.0;
/// Numbers per score: the weight, its gradient, and the weight after dropout.
const KEPT_SCORES: f64 = 1.0;
const GRADIENT_SCORES: f64 = 1.0;
const DROPPED_SCORES: f64 = 1.0;
/// Widths outside the layers: the activation between two of them, and gradients of it.
const OUTSIDE_WIDTHS: f64 = 3.0;
/// Numbers per logit: its gradient takes its place.
const LOGITS: f64 = 1.0;
/// Single-precision numbers per token outside the layers: the last norm's factor, sums, losses and hits, the targets, and where each token
/// occurs.
const FIGURES: f64 = 1.0 + 3.0 + 1.0 + 4.0;
/// Widths of a layer's biases and norms, and of the last norm, whose gradients are added up in shares: at most so many, each of at least so
/// many rows.
const SHARED_WIDTHS: f64 = 13.0 + 2.0;
const MOST_SHARES: f64 = 64.0;
const LEAST_ROWS: f64 = 32.0;

const SINGLE: f64 = 4.0;
const HALF: f64 = 2.0;
const BIT: f64 = 1.0 / 8.0;

/// The parts of the peak.
pub fn parts(config: &ModelConfig, workload: &Workload, limits: Limits) -> Vec<MemoryPart> {
    let mixed = workload.dtype == DtypeKind::F16;
    let of_passes = if mixed { HALF } else { SINGLE };
    let parameters: f64 = layout(config).iter().map(|parameter| parameter.len() as f64).sum();
    let moments = super::optimizer_numbers(config, workload.optimizer);
    let tokens = workload.batch_size as f64 * workload.sequence_length as f64;
    let (layers, width) = (config.n_layer as f64, config.n_embd as f64);
    let scores = tokens * workload.sequence_length as f64 * config.n_head as f64;
    let working = GRADIENT_SCORES + if workload.drops { DROPPED_SCORES } else { 0.0 };
    // Scores in parts are not kept, and those of a part have their gradients beside them.
    let in_parts = scores > limits.scores as f64;
    let (kept_scores, working_scores) = if in_parts {
        let one = scores / workload.batch_size as f64;
        (0.0, (KEPT_SCORES + working) * one.max(limits.scores as f64))
    } else {
        (KEPT_SCORES * scores, working * scores)
    };
    let layer = KEPT_WIDTHS * width * tokens + kept_scores;
    let (inputs, kept_layers) =
        if workload.activation_checkpointing { (layers * width * tokens, 1.0) } else { (0.0, layers) };
    let masks = if workload.drops { kept_layers * (scores + 2.0 * width * tokens) } else { 0.0 };
    let shares = (tokens / LEAST_ROWS).ceil().min(MOST_SHARES);
    let figures = (2.0 * kept_layers + FIGURES) * tokens + SHARED_WIDTHS * width * shares;
    let vocabulary = config.vocab_size as f64;
    let logits = (tokens * vocabulary).min((limits.logits as f64).max(vocabulary));

    let part = |name, bytes: f64, grows_with_batch| MemoryPart { name, bytes, grows_with_batch };
    let in_half = if mixed { 2.0 * HALF * parameters } else { 0.0 };
    vec![
        part("parameters", SINGLE * parameters, false),
        part("gradients", SINGLE * parameters, false),
        part("optimizer's moments", SINGLE * moments, false),
        part("parameters and gradients in half precision", in_half, false),
        part("activations kept for the backward pass", of_passes * (inputs + kept_layers * layer), true),
        part("activations and gradients between layers", of_passes * OUTSIDE_WIDTHS * width * tokens, true),
        part(
            "working memory of a layer",
            of_passes * (WORKING_WIDTHS * width * tokens + working_scores),
            true,
        ),
        part("dropout masks", BIT * masks, true),
        part("figures of norms and losses", SINGLE * figures, true),
        part("logits, or their gradients", of_passes * LOGITS * logits, true),
    ]
}

impl Limits {
    /// For a GPU with this much memory: logits may take an eighth of it, and the scores of one layer a sixteenth. There are never more logits
    /// than a 32-bit number counts, which is what cuBLAS is given sizes in.
    pub fn of_memory(bytes: u64) -> Self {
        let numbers = |share: f64, bytes_of_each: f64| (bytes as f64 * share / bytes_of_each) as usize;
        Self {
            scores: numbers(1.0 / 16.0, SINGLE * (KEPT_SCORES + GRADIENT_SCORES + DROPPED_SCORES)),
            logits: numbers(1.0 / 8.0, SINGLE * LOGITS).min(i32::MAX as usize),
        }
    }
}

//! What a run takes, before and after it has taken it.

use serde::{Deserialize, Serialize};

/// What a run takes, counted from its sizes before it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostInfo {
    /// FLOPs of the matrix products of one optimizer step, forward and backward, all accumulated batches; what activation
    /// checkpointing computes a second time is left out.
    pub model_flops_per_step: f64,
    /// FLOPs of activation checkpointing's second passes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recomputed_flops_per_step: f64,
    /// FLOPs of the optimizer's own products.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub optimizer_flops_per_step: f64,
    /// Estimated peak of the process's memory, where it trains on the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Estimated peak of what the run takes of a GPU's memory, where it trains there, without what CUDA itself takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_bytes: Option<u64>,
}

/// How long a run was expected to take, before it started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EstimateInfo {
    /// Of the whole run, with the machine for itself.
    pub secs: f64,
    /// What it was estimated from, in words: `3 earlier runs of this size`.
    pub from: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepPart {
    /// `matrix products`, `attention`, `optimizer`, ...
    pub part: String,
    pub secs: f64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &f64) -> bool {
    *number == 0.0
}

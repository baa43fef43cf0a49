//! Sizes of a model, and where its weights come from.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelInfo {
    pub n_layer: usize,
    pub n_head: usize,
    pub n_embd: usize,
    pub block_size: usize,
    pub vocab_size: usize,
    pub parameters: u64,
    /// Parameters by part, in order of the forward pass; they add up to `parameters`.
    pub breakdown: Vec<ParameterGroup>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParameterGroup {
    /// `token embedding (tied head)`, `position embedding`, `attention`, `mlp`, `layer norms`.
    pub part: String,
    pub parameters: u64,
}

/// The trained model that a run begins from, as it was found when the run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InitFrom {
    /// What `train.init_from` named, absolute: a run, a checkpoint, a folder or a file.
    pub given: String,
    /// The file of its weights, absolute.
    pub weights: String,
    /// SHA-256 of that file, hexadecimal.
    pub sha256: String,
    /// The run that trained it, `experiment/run`, or the name of its folder. Absent for a file alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The steps that the run had trained it for. Absent for what no run of this program made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
    /// How many positions it has, where this run took only the first of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub positions: Option<usize>,
}

//! How much memory training will take: a sum of named parts, each a count of numbers from the model's and the batch's sizes.

mod advice;
mod gpu;
mod host;

use crate::config::experiment::{DtypeKind, TokenizerKind};
use crate::facts::optimizer::OptimizerKind;
use crate::model::params::layout;
use crate::model::{Limits, ModelConfig};

/// What is trained at a time, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workload {
    /// Sequences of one forward pass. Accumulated batches follow each other and take the memory of one.
    pub batch_size: usize,
    pub sequence_length: usize,
    pub optimizer: OptimizerKind,
    /// Whether layers keep their input alone and compute the rest again.
    pub activation_checkpointing: bool,
    pub dtype: DtypeKind,
    /// Whether there is dropout.
    pub drops: bool,
    /// Whether products of bf16 are made in f32, because the processor has nothing better for them.
    pub widens: bool,
    pub tokenizer: TokenizerKind,
    /// Whether checkpoints are written.
    pub saves: bool,
    /// Threads that compute, where that is on the processor.
    pub threads: usize,
    /// Tokens of the whole corpus.
    pub corpus_tokens: u64,
}

/// One part of an estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryPart {
    pub name: &'static str,
    pub bytes: f64,
    /// Whether a smaller batch makes it smaller.
    pub grows_with_batch: bool,
}

/// The peak of a run's memory, by parts. All are held at the same time: buffers stay allocated from step to step.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryEstimate {
    pub parts: Vec<MemoryPart>,
}

impl MemoryEstimate {
    /// The sum of all parts.
    pub fn bytes(&self) -> f64 {
        self.parts.iter().map(|part| part.bytes).sum()
    }

    /// The sum of the parts that no smaller batch makes smaller.
    pub fn bytes_at_any_batch(&self) -> f64 {
        self.parts.iter().filter(|part| !part.grows_with_batch).map(|part| part.bytes).sum()
    }
}

/// Whose memory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The process that trains on the processor.
    Host,
    /// A GPU on which attention and head work within these limits.
    Gpu { ordinal: usize, limits: Limits },
}

impl Place {
    /// As a person names it.
    pub fn name(&self) -> String {
        match self {
            Self::Host => "this machine".to_owned(),
            Self::Gpu { ordinal, .. } => format!("cuda:{ordinal}"),
        }
    }
}

/// Everything that an estimate depends on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MemoryNeed {
    pub config: ModelConfig,
    pub workload: Workload,
    pub place: Place,
}

impl MemoryNeed {
    /// The peak, by parts.
    pub fn estimate(&self) -> MemoryEstimate {
        let parts = match self.place {
            Place::Host => host::parts(&self.config, &self.workload),
            Place::Gpu { limits, .. } => gpu::parts(&self.config, &self.workload, limits),
        };
        MemoryEstimate { parts: parts.into_iter().filter(|part| part.bytes > 0.0).collect() }
    }
}

/// Numbers that an optimizer keeps from step to step.
pub(super) fn optimizer_numbers(config: &ModelConfig, optimizer: OptimizerKind) -> f64 {
    let kept = layout(config).into_iter().map(|parameter| {
        let state = (optimizer.facts().state)(parameter.role());
        (state.len() * parameter.len()) as f64
    });
    kept.sum()
}

#[cfg(test)]
mod tests;

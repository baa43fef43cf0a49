//! What a run says while it trains. The train loop emits events; sinks (CSV, JSON lines, the terminal) listen.

use serde::{Deserialize, Serialize};

use crate::metric::MetricsRow;
use crate::store::manifest::{Status, StopReason};

/// One thing that happened in a run, in the order it happened. `log.jsonl` holds them as they were.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// Everything is loaded; the first step comes next.
    Started {
        experiment: String,
        run: String,
        parameters: u64,
        max_steps: u64,
        /// Tokens consumed by one optimizer step: batch x sequence x accumulation.
        tokens_per_step: u64,
        train_tokens: u64,
        device: String,
    },
    /// The run goes on from a checkpoint: steps come after `step`.
    Resumed { attempt: u64, step: u64 },
    /// A step is done: one row of `metrics.csv`. The row with step 0, if any, holds the evaluation before training.
    Step(Box<MetricsRow>),
    /// Continuations were sampled after this step.
    Sampled { step: u64, samples: Vec<SampleText> },
    /// A checkpoint is complete on disk.
    CheckpointSaved { step: u64, best: bool, secs: f64 },
    /// Loss over the whole training corpus, measured once at the end, dropout off.
    CorpusEvaluated { step: u64, corpus_loss: f64, secs: f64 },
    /// Something a person should know that does not stop the run.
    Warning { step: u64, message: String },
    /// The run is over.
    Finished { status: Status, stop_reason: StopReason, step: u64, elapsed_secs: f64, message: String },
}

/// One sampled continuation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SampleText {
    pub prompt: String,
    /// The continuation alone, without the prompt.
    pub text: String,
}

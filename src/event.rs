//! What a run says while it trains. The train loop emits events; sinks (CSV, JSON lines, the terminal) listen.

use serde::{Deserialize, Serialize};

use crate::facts::{Status, StopReason};
use crate::metric::MetricsRow;

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
        /// Documents of the corpus, and the tokens of the end of a text among its ids. Absent in logs of before they were counted.
        #[serde(default)]
        documents: u64,
        #[serde(default)]
        end_of_text_tokens: u64,
        device: String,
    },
    /// The run goes on from a checkpoint: steps come after `step`.
    Resumed { attempt: u64, step: u64 },
    /// A step is done: one row of `metrics.csv`. The row with step 0, if any, holds the evaluation before training.
    Step(Box<MetricsRow>),
    /// Continuations were sampled after this step.
    Sampled {
        step: u64,
        samples: Vec<SampleText>,
        /// Absent in logs of before it was measured.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        memorisation: Option<Memorisation>,
    },
    /// A checkpoint is complete on disk.
    CheckpointSaved { step: u64, best: bool, secs: f64 },
    /// Loss over the whole training corpus, measured once at the end, dropout off.
    CorpusEvaluated {
        step: u64,
        corpus_loss: f64,
        /// Absent in logs of before it was measured, as is the accuracy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corpus_bits_per_byte: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        corpus_accuracy: Option<f64>,
        secs: f64,
    },
    /// A key that someone set and that does nothing in this run, in words; told at the start.
    NoEffect { message: String },
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

/// Words of the runs by which copies are counted.
pub const NGRAM_WORDS: usize = 8;

/// How much of the continuations that were sampled at one time stands verbatim in the training text.
///
/// # Source
/// Runs of eight words, as in Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), section 4. There the words
/// are lower case and without punctuation; here they are what stands between white space, compared exactly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Memorisation {
    /// Runs of [`NGRAM_WORDS`] whole words in the continuations, each as often as it was sampled.
    pub ngrams: u64,
    /// Those of them that stand in the training text.
    pub copied_ngrams: u64,
    /// Absent where no character of the continuations stands in the training text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub longest: Option<VerbatimCopy>,
}

impl Memorisation {
    /// The share of the runs of words that is copied; `None` where no continuation was long enough to have one.
    pub fn share(&self) -> Option<f64> {
        (self.ngrams > 0).then(|| self.copied_ngrams as f64 / self.ngrams as f64)
    }
}

/// The longest run of characters of one continuation that stands in the training text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VerbatimCopy {
    /// Place of the continuation among those of its time, from 0.
    pub sample: usize,
    pub characters: u64,
    /// Words and, at its ends, parts of words.
    pub words: u64,
    pub text: String,
}

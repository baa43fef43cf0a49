//! A run's plan: everything needed to train it, valid by construction. Only `config` makes one.

use std::fmt;
use std::path::PathBuf;

pub use crate::config::keys::{
    DeviceChoice, DtypeKind, Requirement, ScheduleKind, ScriptedFailure, Separator, TargetMetric,
    TokenizerKind, WindowOrder,
};
use crate::facts::optimizer::{AdjustLr, OptimizerKind};
use crate::facts::{Reference, StopReason};

/// One training of one sweep point with one seed.
#[derive(Clone, Debug, PartialEq)]
pub struct RunPlan {
    /// Name of the run, unique within its experiment, safe as a directory name:
    /// `seed=1337`, or with a sweep `learning_rate=0.001,seed=1337`, or what `experiment.run` says.
    pub name: String,
    pub experiment: ExperimentPlan,
    /// The sweep point as written: dotted key and value. Empty without a sweep.
    pub point: Vec<(String, toml::Value)>,
    pub model: ModelPlan,
    pub data: DataPlan,
    pub train: TrainPlan,
    pub optimizer: OptimizerPlan,
    pub schedule: SchedulePlan,
    /// `None` when no threshold is set.
    pub target: Option<TargetPlan>,
    pub checkpoint: CheckpointPlan,
    pub sample: SamplePlan,
    pub hardware: HardwarePlan,
    pub on_failure: OnFailurePlan,
    pub scripted: ScriptedPlan,
    pub reference: Option<Reference>,
    /// Every resolved key in the order of `defaults.toml`, with where its value came from.
    pub resolved: Vec<ResolvedKey>,
}

/// A key of the merged configuration, its value, and its source as a person would name it.
#[derive(Clone, Debug, PartialEq)]
pub struct ResolvedKey {
    /// Dotted: `optimizer.learning_rate`.
    pub key: String,
    pub value: toml::Value,
    /// `default`, `experiments/a.toml:12`, `sweep`, `--set`, `preset gpt2`.
    pub source: String,
    /// It was written for the optimizer of this run, which does not read it.
    pub unread: bool,
}

/// What the experiment is about.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentPlan {
    pub name: String,
    pub description: String,
    pub hypothesis: String,
    pub tags: Vec<String>,
    /// The seed of this run (first seed + repeat).
    pub seed: u64,
    /// How often each point is trained, and which of these this run is, from 0.
    pub repeats: u64,
    pub repeat: u64,
    /// How far apart, as a share, the train losses of all runs may be at each step; `None` (written 0): as they like.
    pub same_losses_within: Option<f64>,
}

/// Sizes of a GPT-2.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelPlan {
    pub preset: Option<String>,
    pub n_layer: usize,
    pub n_head: usize,
    pub n_embd: usize,
    /// Longest context, and so the number of position embeddings.
    pub block_size: usize,
    /// `None` (written 0): as large as the tokenizer's vocabulary.
    pub vocab_size: Option<usize>,
    pub dropout: f64,
    pub bias: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataSource {
    /// A known corpus: `embedded`'s name or `tinyshakespeare`.
    Corpus(String),
    /// A file, or a folder read in name order. Absolute, or relative to the working directory.
    Path(PathBuf),
    /// Several of them, in this order.
    Paths(Vec<PathBuf>),
}

impl fmt::Display for DataSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Corpus(name) => f.write_str(name),
            Self::Path(path) => path.display().fmt(f),
            Self::Paths(paths) => {
                let paths: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
                f.write_str(&paths.join(", "))
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct DataPlan {
    pub source: DataSource,
    /// Shares of the windows that each of several sources gives; empty: they are joined as the files of a folder are.
    pub weights: Vec<f64>,
    /// The column of tables, and the key of JSON lines, that holds the text.
    pub text_column: String,
    pub separator: Separator,
    /// `<|endoftext|>` in a text is that token, where the tokenizer has it.
    pub special_tokens: bool,
    /// Keep the tokens of large texts for the next run.
    pub cache: bool,
    pub tokenizer: TokenizerKind,
    /// Share of the tokens, from the end, kept for validation: 0 <= f < 1.
    pub val_fraction: f64,
    pub order: WindowOrder,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TrainPlan {
    /// Sequences of one forward pass.
    pub batch_size: usize,
    /// Tokens of one sequence.
    pub sequence_length: usize,
    /// Forward and backward passes per optimizer step.
    pub gradient_accumulation_steps: usize,
    /// Compute the layers again in the backward pass instead of keeping what is inside them.
    pub activation_checkpointing: bool,
    pub max_steps: u64,
    /// `None` (written 0): no limit.
    pub max_time_secs: Option<f64>,
    /// What to begin from instead of random weights: a run, a checkpoint, a Hugging Face folder or a file of weights.
    pub init_from: Option<PathBuf>,
    /// Steps between validations; 0: never.
    pub eval_interval: u64,
    /// Batches of one validation; fewer when the validation split is shorter.
    pub eval_batches: usize,
    /// Weight of the past in the smoothed train loss: 0 <= d < 1.
    pub ema_decay: f64,
    /// Measure the loss over the whole training split at the end.
    pub final_eval: bool,
}

impl TrainPlan {
    /// Tokens consumed by one optimizer step.
    pub fn tokens_per_step(&self) -> u64 {
        (self.batch_size * self.sequence_length * self.gradient_accumulation_steps) as u64
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct OptimizerPlan {
    pub kind: OptimizerKind,
    /// Peak learning rate.
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    /// SGD and Muon.
    pub momentum: f64,
    pub weight_decay: f64,
    /// Decay biases and layer norms too, as PyTorch's default does.
    pub decay_all: bool,
    /// Largest global L2 norm of the gradient; 0: no clipping.
    pub grad_clip: f64,
    pub muon: MuonPlan,
}

/// What only Muon reads.
#[derive(Clone, Debug, PartialEq)]
pub struct MuonPlan {
    /// Peak learning rate of the parameters that AdamW updates. Resolved: never 0.
    pub adamw_learning_rate: f64,
    /// Momentum of the first step, from which it rises linearly over [`MuonPlan::momentum_warmup_steps`].
    pub momentum_start: f64,
    /// 0: no warm-up.
    pub momentum_warmup_steps: u64,
    pub nesterov: bool,
    /// a, b and c of each Newton-Schulz iteration.
    pub coefficients: Vec<[f64; 3]>,
    pub adjust_lr: AdjustLr,
    /// Queries, keys and values each for itself.
    pub split_qkv: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SchedulePlan {
    pub kind: ScheduleKind,
    pub warmup_steps: u64,
    /// Where linear and cosine end, and how many of the last steps warmup-stable-decay decays over.
    /// Resolved: never 0.
    pub decay_steps: u64,
    pub min_lr: f64,
}

impl TargetMetric {
    /// Whether text must be kept for validation for it.
    pub fn is_of_validation(self) -> bool {
        matches!(self, Self::ValLoss | Self::ValBitsPerByte)
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct TargetPlan {
    pub metric: TargetMetric,
    /// Reached when the value is strictly below.
    pub threshold: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointPlan {
    /// Steps between checkpoints; 0: none at all, not even at the end.
    pub interval: u64,
    /// At least 2.
    pub keep_last: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct SamplePlan {
    /// Steps between samples; 0: none at all.
    pub interval: u64,
    pub prompts: Vec<String>,
    pub max_new_tokens: usize,
    /// 0: greedy.
    pub temperature: f64,
    /// 0: all tokens.
    pub top_k: usize,
    /// 1: all tokens.
    pub top_p: f64,
    pub seed: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct HardwarePlan {
    pub device: DeviceChoice,
    pub requires: Vec<Requirement>,
    pub dtype: DtypeKind,
    /// `None` (written 0): all cores.
    pub threads: Option<usize>,
    /// Seconds between samples of CPU, memory and GPU; 0: none.
    pub monitor_interval_secs: f64,
}

/// What is done about failures.
#[derive(Clone, Debug, PartialEq)]
pub struct OnFailurePlan {
    /// Further attempts by class of failure.
    pub retries: Vec<(StopReason, u64)>,
    /// Seconds before the first further attempt; doubled before each that follows.
    pub backoff_secs: f64,
    /// `None` (written 0): a run may be silent for as long as it likes.
    pub timeout_secs: Option<f64>,
    /// Out of memory: half the batch and twice the accumulation.
    pub halve_batch: bool,
}

impl OnFailurePlan {
    /// How often a run that failed so is tried again.
    pub fn retries(&self, class: StopReason) -> u64 {
        self.retries.iter().find(|(other, _)| *other == class).map_or(0, |(_, times)| *times)
    }
}

/// The loss curve of the scripted engine: loss(s) = floor + (initial - floor) * exp(-s / decay_steps) + noise.
#[derive(Clone, Debug, PartialEq)]
pub struct ScriptedPlan {
    pub initial_loss: f64,
    pub floor_loss: f64,
    pub decay_steps: f64,
    /// Standard deviation of the noise added to the train loss, drawn from the seed.
    pub noise: f64,
    /// Pretended seconds per step: the run's clock advances by this and not by the wall clock.
    pub step_secs: f64,
    /// The loss is NaN from this step on; 0: never.
    pub diverge_at: u64,
    /// The engine fails at this step; 0: never.
    pub fail_at: u64,
    pub fail_as: ScriptedFailure,
    /// Largest batch size that fits its memory; 0: any.
    pub fits_batch_size: usize,
    /// Real seconds per step.
    pub sleep_secs: f64,
}

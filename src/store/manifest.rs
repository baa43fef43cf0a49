//! `manifest.toml`: what a run was, where it ran and how it ended. Written before step 0, rewritten atomically.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::stop_reason::StopReason;

/// Version of the run directory's format. Readers accept this one and older ones.
pub const FORMAT_VERSION: u32 = 1;

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting to be started, by a sweep that has made its directory already.
    Queued,
    /// Training, or its process died without a word; [`RunDir::read_manifest_now`](super::RunDir::read_manifest_now) tells.
    Running,
    /// Came to a planned end: target, last step, or time limit.
    Finished,
    /// Stopped by a person or by the system; what was done is kept.
    Interrupted,
    /// The loss became NaN or infinite.
    Diverged,
    /// An error ended it.
    Failed,
    /// Not started: this machine lacks what `hardware.requires` asks for.
    Skipped,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    pub format_version: u32,
    pub runner_version: String,
    pub status: Status,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    /// The error, the unmet requirement, or what made the run stop, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The command line that started the run, quoted for a shell.
    pub command: String,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    pub run: RunInfo,
    pub host: HostInfo,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<DataInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelInfo>,
    /// The model that it began from. Absent where it began from random weights.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_from: Option<InitFrom>,
    /// What the run was expected to take. Absent where nothing is computed (the scripted engine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results: Option<Results>,
    /// Absent when the time was pretended (the scripted engine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<TimeInfo>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<Reference>,
    /// Versions of the packages that decide the numbers.
    #[serde(default)]
    pub packages: BTreeMap<String, String>,
    /// What was changed in the configuration since the run was made, to get it through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub adapted: Vec<KeyChange>,
    /// The last lines that the process printed before it died.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_output: Vec<String>,
    /// The earlier run of the same name, and what was configured otherwise in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_since: Option<ChangedSince>,
    /// Each time that a process trained this run, in order. The last one is under way while the run is running.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
}

impl Manifest {
    /// Notes how the run ended, also in its latest attempt.
    pub fn end(&mut self, status: Status, reason: StopReason, message: String) {
        let now = Timestamp::now();
        self.status = status;
        self.stop_reason = Some(reason);
        self.message = Some(message.clone());
        self.finished_at = Some(now);
        if let Some(attempt) = self.attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()) {
            attempt.ended_at = Some(now);
            attempt.stop_reason = Some(reason);
            attempt.message = Some(message);
        }
    }

    /// Notes that a process trains the run from now on, with all steps up to `from_step` behind it.
    pub fn begin_attempt(&mut self, from_step: u64, pid: u32, hostname: &str) -> u64 {
        let now = Timestamp::now();
        // One that ended without a word.
        if let Some(earlier) = self.attempts.last_mut().filter(|attempt| attempt.ended_at.is_none()) {
            earlier.stop_reason = Some(StopReason::Killed);
        }
        let number = self.attempts.last().map_or(1, |attempt| attempt.number + 1);
        self.attempts.push(Attempt {
            number,
            from_step,
            started_at: now,
            ended_at: None,
            stop_reason: None,
            message: None,
            pid,
            hostname: hostname.to_owned(),
            kernel: None,
        });
        self.status = Status::Running;
        (self.results, self.time) = (None, None);
        (self.stop_reason, self.message, self.finished_at) = (None, None, None);
        self.last_output.clear();
        number
    }
}

/// One time that a process trained a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// From 1; the column `attempt` of `metrics.csv`.
    pub number: u64,
    /// The step of the checkpoint that it went on from; 0: from the beginning.
    pub from_step: u64,
    pub started_at: Timestamp,
    /// Absent while it trains, and where the process ended without a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_reason: Option<StopReason>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    pub pid: u32,
    pub hostname: String,
    /// What multiplied, where there is a choice. It is another one than the run's own where the machine had not got that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
}

/// What distinguishes a run from an earlier one of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedSince {
    /// Name of the earlier run.
    pub run: String,
    pub keys: Vec<KeyChange>,
}

/// One key that was configured otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyChange {
    /// Dotted: `optimizer.learning_rate`; `data sha256` for the text itself.
    pub key: String,
    /// Values as they are written in TOML.
    pub before: String,
    pub now: String,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    pub experiment: String,
    pub name: String,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub hypothesis: String,
    #[serde(default)]
    pub tags: Vec<String>,
    pub seed: u64,
    pub repeat: u64,
    pub repeats: u64,
    /// The sweep point: dotted key to value. Empty without a sweep.
    #[serde(default)]
    pub point: toml::Table,
    pub max_steps: u64,
    pub tokens_per_step: u64,
    /// How far apart, as a share, the train losses of the experiment's runs may be at each step, if they should be the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_losses_within: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostInfo {
    pub hostname: String,
    pub os: String,
    pub arch: String,
    pub cpu: String,
    pub cores: usize,
    pub memory_bytes: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GitInfo {
    pub commit: String,
    pub dirty: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cpu`, `cuda:0`, `scripted`.
    pub device: String,
    /// The hardware's own name.
    pub name: String,
    pub dtype: String,
    /// What multiplies where there is a choice, as for bf16 on the processor: the run's own, which it began with and keeps to
    /// wherever it is there. [`Attempt::kernel`] says what took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// What matrix products alone do there, on all threads: FLOP/s, by short probes before and after each attempt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub product_probes: Vec<f64>,
    pub threads: usize,
}

impl DeviceInfo {
    /// What [`kernel`](Self::kernel) is where bf16 is widened and multiplied by the kernels for f32.
    pub const F32_KERNELS: &str = "f32 kernels";

    /// The number format and what multiplies: `f32`, `bf16 by AMX`, or `bf16, multiplied in f32`.
    pub fn format(&self) -> String {
        match self.kernel.as_deref() {
            None => self.dtype.clone(),
            Some(Self::F32_KERNELS) => format!("{}, multiplied in f32", self.dtype),
            Some(kernel) => format!("{} by {kernel}", self.dtype),
        }
    }

    /// What matrix products alone do there: the best of the probes, in FLOP/s. `None` where there was one alone, and where they
    /// lie so far apart that something else must have had the machine during one of them.
    pub fn product_flops_per_sec(&self) -> Option<f64> {
        const APART: f64 = 1.5;
        let [_, _, ..] = self.product_probes.as_slice() else { return None };
        let most = self.product_probes.iter().copied().fold(0.0, f64::max);
        let least = self.product_probes.iter().copied().fold(f64::INFINITY, f64::min);
        (most > 0.0 && most <= APART * least).then_some(most)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// The corpus's name, or the path as given.
    pub name: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    pub bytes: u64,
    pub tokenizer: String,
    /// Size of the tokenizer's vocabulary.
    pub vocab_size: usize,
    pub train_tokens: u64,
    pub val_tokens: u64,
}

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

/// What a run takes, counted from its sizes before it starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CostInfo {
    /// FLOPs of the matrix products of one optimizer step, forward and backward, all accumulated batches; what activation
    /// checkpointing computes a second time is left out.
    pub model_flops_per_step: f64,
    /// Estimated peak of the process's memory, where it trains on the processor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Estimated peak of what the run takes of a GPU's memory, where it trains there, without what CUDA itself takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_bytes: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetInfo {
    /// A metric's key.
    pub metric: String,
    pub threshold: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached_at_step: Option<u64>,
    /// The value that was below the threshold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reached_value: Option<f64>,
}

/// Final numbers. What was not measured is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Results {
    pub steps: u64,
    pub tokens: u64,
    pub epochs: f64,
    pub elapsed_secs: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_train_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_train_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_train_loss_ema: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_train_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_val_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_val_loss: Option<f64>,
    /// Loss over the whole training split after the last step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub corpus_loss: Option<f64>,
    /// Share of the runs of eight words in the last samples that stand in the training text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub copied_share: Option<f64>,
    /// Length of the longest passage of the last samples that stands in the training text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_copy_characters: Option<u64>,
    /// Median over the steps after the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_secs: Option<f64>,
    /// All tokens divided by the seconds of all steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokens_per_sec: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_memory_bytes: Option<u64>,
}

/// Where the wall time between loading and the end of a run went. The first five add up to all of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TimeInfo {
    pub steps_secs: f64,
    /// Validation, and the loss over the training corpus at the end.
    pub evaluations_secs: f64,
    pub samples_secs: f64,
    pub checkpoints_secs: f64,
    /// The order of the data, records, progress and whatever else lies between.
    pub rest_secs: f64,
    /// The steps' seconds by kind of work; empty where the device does not measure it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub step_parts: Vec<StepPart>,
}

impl TimeInfo {
    /// The time of this and of `other` together.
    pub fn and(mut self, other: &TimeInfo) -> TimeInfo {
        self.steps_secs += other.steps_secs;
        self.evaluations_secs += other.evaluations_secs;
        self.samples_secs += other.samples_secs;
        self.checkpoints_secs += other.checkpoints_secs;
        self.rest_secs += other.rest_secs;
        for part in &other.step_parts {
            match self.step_parts.iter_mut().find(|mine| mine.part == part.part) {
                Some(mine) => mine.secs += part.secs,
                None => self.step_parts.push(part.clone()),
            }
        }
        self
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepPart {
    /// `matrix products`, `attention`, `optimizer`, ...
    pub part: String,
    pub secs: f64,
}

/// A published result that the run is compared with; see `[reference]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reference {
    pub name: String,
    pub source: String,
    pub hardware: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub final_loss: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secs: Option<f64>,
    /// Points of the train-loss curve: step, loss in nats per token.
    pub curve: Vec<(u64, f64)>,
}

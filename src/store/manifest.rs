//! `manifest.toml`: what a run was, where it ran and how it ended. Written before step 0, rewritten atomically.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::results::Results;

use crate::facts::{
    CostInfo, DataInfo, DeviceInfo, EstimateInfo, HostInfo, InitFrom, KeyChange, ModelInfo, Reference,
    Status, StepPart, StopReason,
};
use crate::metric::{Metric, metric};

/// Version of the run directory's format. Readers accept this one and older ones.
pub const FORMAT_VERSION: u32 = 1;

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
    /// SHA-256 of `config.toml` as the program wrote it. Absent in runs of before, and while the program changes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_sha256: Option<String>,
    pub started_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When it is to be tried again, as its `[on_failure]` asks for. Present while a failed run waits for that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
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
    /// How long it was expected to take. Absent where nothing was known to tell it from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<EstimateInfo>,
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
    /// In words, the keys that someone set and that do nothing in this run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// What of its record was damaged under way and could not be made good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<String>,
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
    /// Whether it is not gone on with: it came to its end, or was never meant to start here.
    pub fn is_over(&self) -> bool {
        matches!(self.status, Status::Finished | Status::Diverged | Status::Skipped)
    }

    /// Whether it failed, and is to be tried again.
    pub fn waits_for_retry(&self) -> bool {
        self.status == Status::Failed && self.retry_at.is_some()
    }

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

    /// Notes that a process of `host` trains the run from now on, with all steps up to `from_step` behind it. The run starts with
    /// its first attempt: until then it was only made, maybe on another machine.
    pub fn begin_attempt(&mut self, from_step: u64, pid: u32, host: HostInfo) -> u64 {
        let now = Timestamp::now();
        if self.attempts.is_empty() {
            self.started_at = now;
        }
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
            hostname: host.hostname.clone(),
            kernel: None,
            runs_at_once: None,
        });
        (self.host, self.retry_at) = (host, None);
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
    /// Runs that the process which started this one trained at a time, at most: 1 had the machine for itself. Absent where
    /// nobody knows: in runs of before, and where `runner exec` was called by hand or by a scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_at_once: Option<usize>,
}

/// What distinguishes a run from an earlier one of the same name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangedSince {
    /// Name of the earlier run.
    pub run: String,
    pub keys: Vec<KeyChange>,
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

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GitInfo {
    pub commit: String,
    pub dirty: bool,
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

impl TargetInfo {
    /// Whether it asks how well the model does on text that it was not trained on.
    pub fn is_of_validation(&self) -> bool {
        metric(&self.metric).is_some_and(Metric::is_of_validation)
    }
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

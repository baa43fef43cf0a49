//! How a run stands, and why it ended: planned ends, and the classes of failures.

use serde::{Deserialize, Serialize};

/// State of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Waiting to be started, by a sweep that has made its directory already.
    Queued,
    /// Training, or its process died without a word; whoever reads the run's directory can tell by its lock.
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

/// Why a run ended. For a run that did not come to a planned end this is the class of its failure: what
/// `runner retry --class` chooses by, and what `[on_failure]` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    TargetReached,
    MaxSteps,
    MaxTime,
    /// Not started: this machine lacks something.
    RequirementNotMet,
    /// A person or the system asked it to stop.
    Interrupted,
    /// The loss or the gradient was no longer a number.
    Diverged,
    /// The run's configuration cannot be used.
    Config,
    /// The corpus or the initial weights cannot be used.
    Data,
    /// The processor's memory or a GPU's.
    OutOfMemory,
    /// The disk was full, or too full for the next checkpoint.
    DiskFull,
    /// Nothing was heard of it for too long.
    Timeout,
    /// A signal from outside ended its process, or the machine went down.
    Killed,
    /// A fault of the program.
    Panic,
    /// The device failed.
    Device,
    /// Anything else: a file that cannot be written, a thread that cannot be started.
    Error,
}

impl StopReason {
    /// The classes of what can go wrong.
    pub const FAILURES: [StopReason; 11] = [
        Self::Config,
        Self::Data,
        Self::OutOfMemory,
        Self::Diverged,
        Self::DiskFull,
        Self::Timeout,
        Self::Killed,
        Self::Panic,
        Self::Device,
        Self::Error,
        Self::Interrupted,
    ];

    /// As it stands in the manifest: `out_of_memory`.
    pub fn key(self) -> &'static str {
        match self {
            Self::TargetReached => "target_reached",
            Self::MaxSteps => "max_steps",
            Self::MaxTime => "max_time",
            Self::RequirementNotMet => "requirement_not_met",
            Self::Interrupted => "interrupted",
            Self::Diverged => "diverged",
            Self::Config => "config",
            Self::Data => "data",
            Self::OutOfMemory => "out_of_memory",
            Self::DiskFull => "disk_full",
            Self::Timeout => "timeout",
            Self::Killed => "killed",
            Self::Panic => "panic",
            Self::Device => "device",
            Self::Error => "error",
        }
    }

    /// What a person can do about it; `None` for planned ends.
    pub fn advice(self) -> Option<&'static str> {
        Some(match self {
            Self::TargetReached | Self::MaxSteps | Self::MaxTime => return None,
            Self::RequirementNotMet => {
                "run it where the requirement is met, or with `--set hardware.requires=[]`"
            }
            Self::Interrupted => "`runner resume` resumes from the last checkpoint",
            Self::Diverged => {
                "lower optimizer.learning_rate (with Muon also adamw_learning_rate), add schedule.warmup_steps or lower optimizer.grad_clip, and run it again"
            }
            Self::Config => "fix the experiment file and run it again",
            Self::Data => "restore the original text or weights, then `runner retry --class data`",
            Self::OutOfMemory => {
                "lower train.batch_size, raise train.gradient_accumulation_steps, or set on_failure.halve_batch = true; then `runner retry --class out_of_memory`"
            }
            Self::DiskFull => {
                "free space or lower checkpoint.keep_last, then `runner retry --class disk_full`"
            }
            Self::Timeout => {
                "look at its last lines and at the device, raise on_failure.timeout if it was only slow; then `runner retry --class timeout`"
            }
            Self::Killed => {
                "find out who ended the process (memory limits, the job's time limit); `runner retry --class killed` resumes from the last checkpoint"
            }
            Self::Panic => {
                "this is a bug in runner: report it with config.toml, log.jsonl and output.log; `runner retry --class panic` tries again"
            }
            Self::Device => {
                "check the device with `runner doctor`; `runner retry --class device` resumes from the last checkpoint"
            }
            Self::Error => "follow its message, then `runner retry --class error`",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_what_the_manifest_says() {
        for reason in
            StopReason::FAILURES.into_iter().chain([StopReason::MaxSteps, StopReason::RequirementNotMet])
        {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.key());
        }
    }

    #[test]
    fn every_failure_has_advice() {
        assert!(StopReason::FAILURES.iter().all(|reason| reason.advice().is_some()));
        assert_eq!(StopReason::TargetReached.advice(), None);
    }
}

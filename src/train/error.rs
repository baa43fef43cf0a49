//! What can end a run, and which class of failure it is.

use crate::config;
use crate::data::DataError;
use crate::engine::EngineError;
use crate::facts::{Status, StopReason};
use crate::generate::GenerateError;
use crate::pretrained::StartError;
use crate::sinks::SinkError;
use crate::store::StoreError;
use crate::units;

use super::checkpoint::CheckpointError;

/// A run could not start or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(
        "the corpus has changed since the run began: its SHA-256 was {before} (as manifest.toml says) and is {now}; put the \
         old text back, or run the experiment with --again"
    )]
    DataChanged { before: String, now: String },
    #[error("train.init_from: {0}")]
    Start(#[from] StartError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Sample(#[from] GenerateError),
    #[error("cannot start {}: {reason}; lower hardware.threads", units::counted(*threads as u64, "thread"))]
    Threads { threads: usize, reason: String },
}

impl TrainError {
    /// What the run is after it: logits that are no numbers are a divergence like any other.
    pub fn status(&self) -> Status {
        if self.class() == StopReason::Diverged { Status::Diverged } else { Status::Failed }
    }

    /// The class of the failure: what the manifest says stopped the run.
    pub fn class(&self) -> StopReason {
        match self {
            Self::Config(_) => StopReason::Config,
            Self::Data(_) | Self::DataChanged { .. } | Self::Start(_) => StopReason::Data,
            Self::Engine(error) => engine_class(error),
            Self::Sink(error) if error.is_disk_full() => StopReason::DiskFull,
            Self::Store(error) if error.is_disk_full() => StopReason::DiskFull,
            Self::Checkpoint(error) if error.is_disk_full() => StopReason::DiskFull,
            Self::Checkpoint(CheckpointError::Engine(error)) => engine_class(error),
            Self::Sample(GenerateError::Engine(error)) => engine_class(error),
            Self::Sample(GenerateError::Logits { .. }) => StopReason::Diverged,
            Self::Sample(_) | Self::Sink(_) | Self::Store(_) | Self::Checkpoint(_) | Self::Threads { .. } => {
                StopReason::Error
            }
        }
    }
}

fn engine_class(error: &EngineError) -> StopReason {
    match error {
        EngineError::OutOfMemory { .. } => StopReason::OutOfMemory,
        EngineError::Weights { .. } => StopReason::Data,
        EngineError::NotFinite { .. } => StopReason::Diverged,
        EngineError::Device { .. } | EngineError::Compute { .. } => StopReason::Device,
        EngineError::Io { .. } if error.is_disk_full() => StopReason::DiskFull,
        EngineError::Io { .. } => StopReason::Error,
    }
}

//! Training one run from its directory: frozen config in, files out.

pub mod checkpoint;
mod clock;
mod evaluate;
mod run_loop;
mod stop;
mod tally;
mod target;

pub use stop::StopFlag;

use jiff::Timestamp;

use crate::config::{self, experiment::RunPlan};
use crate::data;
use crate::engine::{self, EngineError, cost::cost};
use crate::monitor::{Monitor, PeakMemory};
use crate::sinks::{self, Sink, SinkError};
use crate::store::RunDir;
use crate::store::StoreError;
use crate::store::manifest::{Manifest, Status, StopReason};
use run_loop::{Ending, Session};

/// A run could not start or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    #[error(transparent)]
    Config(#[from] config::ConfigErrors),
    #[error(transparent)]
    Data(#[from] data::DataError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::CheckpointError),
    #[error(transparent)]
    Sample(#[from] crate::generate::GenerateError),
    #[error("cannot start {threads} threads: {reason}; lower hardware.threads")]
    Threads { threads: usize, reason: String },
}

impl TrainError {
    /// What the manifest says stopped the run.
    fn stop_reason(&self) -> StopReason {
        match self {
            Self::Engine(EngineError::OutOfMemory { .. }) => StopReason::OutOfMemory,
            _ => StopReason::Error,
        }
    }
}

/// Trains the run whose frozen config and manifest lie in `dir`, and says in the manifest how it ended.
///
/// `listeners` hear every event beside the files that the run writes. An error of the run itself is an outcome
/// (status `failed`, with its message); only an unwritable manifest is returned as an error.
pub fn train_run(
    dir: &RunDir,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Manifest, StoreError> {
    let mut manifest = dir.read_manifest()?;
    match try_train(dir, &mut manifest, listeners, stop) {
        Ok(ending) => {
            manifest.status = ending.status;
            manifest.stop_reason = Some(ending.reason);
            manifest.message = Some(ending.message);
        }
        Err(error) => {
            manifest.status = Status::Failed;
            manifest.stop_reason = Some(error.stop_reason());
            manifest.message = Some(error.to_string());
        }
    }
    manifest.finished_at = Some(Timestamp::now());
    dir.write_manifest(&manifest)?;
    Ok(manifest)
}

fn try_train(
    dir: &RunDir,
    manifest: &mut Manifest,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Ending, TrainError> {
    let plan = config::read_frozen(&dir.config())?;
    let threads = plan.hardware.threads.unwrap_or(0);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(|index| format!("train-{index}"))
        .build()
        .map_err(|error| TrainError::Threads { threads, reason: error.to_string() })?;
    pool.install(|| train_plan(&plan, dir, manifest, listeners, stop))
}

fn train_plan(
    plan: &RunPlan,
    dir: &RunDir,
    manifest: &mut Manifest,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Ending, TrainError> {
    let peak = PeakMemory::begin();
    let dataset = data::load(&plan.data)?;
    dataset.check(plan)?;
    let engine = engine::open(plan, dataset.tokenizer.vocab_size())?;
    manifest.data = Some(dataset.info());
    manifest.model = Some(engine.model());
    manifest.cost = cost(plan, dataset.tokenizer.vocab_size(), dataset.tokens()).map(|cost| cost.info());
    manifest.device = Some(engine.device());
    dir.write_manifest(manifest)?;

    let mut sinks = sinks::open_files(dir)?;
    sinks.extend(listeners);
    let gpu = gpu_ordinal(&engine.device().device);
    let monitor = Monitor::start(monitor_interval(plan), gpu, peak);
    let mut session = Session::new(plan, dir, engine, &dataset, sinks, monitor, stop)?;
    let ending = session.run();
    if let Err(error) = &ending {
        session.announce_failure(error.stop_reason(), &error.to_string());
    }
    manifest.results = Some(session.results());
    manifest.time = session.time();
    if let Some(target) = &mut manifest.target {
        (target.reached_at_step, target.reached_value) = session.target_reached().unzip();
    }
    ending
}

/// A scripted run pretends its time, so it does not look at the real machine either.
fn monitor_interval(plan: &RunPlan) -> f64 {
    match plan.hardware.device {
        crate::config::experiment::DeviceChoice::Scripted => 0.0,
        _ => plan.hardware.monitor_interval_secs,
    }
}

/// The ordinal in `cuda:1`.
fn gpu_ordinal(device: &str) -> Option<usize> {
    device.strip_prefix("cuda:")?.parse().ok()
}

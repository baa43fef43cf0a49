//! Training one run from its directory: frozen config in, files out. A directory that holds checkpoints is gone on with.

pub mod checkpoint;
mod clock;
mod device;
mod ending;
mod error;
mod evaluate;
pub mod grace;
mod measure;
mod run_loop;
mod saving;
mod stop;
mod tally;
mod target;

pub use error::TrainError;
pub use stop::StopFlag;

use crate::config::{
    self,
    experiment::{DeviceChoice, RunPlan},
};
use crate::data::{self, Dataset, tokenizer::Tokenizer};
use crate::engine::{self, Engine, cost::cost_by};
use crate::facts::InitFrom;
use crate::files::plain;
use crate::machine;
use crate::monitor::{Monitor, PeakMemory};
use crate::pretrained::start::{self, Start};
use crate::sinks::{self, Sink};
use crate::store::manifest::Manifest;
use crate::store::{RecordSizes, RunDir, StoreError, checksums};
use crate::threads::Pool;
use crate::units;
use checkpoint::{Checkpoints, GoOn};
use ending::Ending;
use run_loop::{Opened, Session};

/// What this process has of the machine, where the run's configuration leaves that open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Assignment {
    /// `None`: all cores.
    pub threads: Option<usize>,
    /// Ordinal of the GPU; `None`: as the configuration says.
    pub gpu: Option<usize>,
    /// Runs that are trained here at a time, at most; `None`: nobody said.
    pub runs_at_once: Option<usize>,
}

impl Assignment {
    fn apply(self, plan: &mut RunPlan) {
        plan.hardware.threads = plan.hardware.threads.or(self.threads);
        if let (DeviceChoice::Auto, Some(ordinal)) = (&*plan.hardware.device, self.gpu) {
            plan.hardware.device = DeviceChoice::Cuda(ordinal).into();
        }
    }
}

/// Trains the run whose frozen config and manifest lie in `dir`, from its newest sound checkpoint or else from the beginning, and
/// says in the manifest how it ended. The caller holds the directory's lock.
///
/// `listeners` hear every event beside the files that the run writes. An error of the run itself is an outcome
/// (status `failed`, with its class and message); only an unwritable manifest is returned as an error.
pub fn train_run(
    dir: &RunDir,
    assignment: Assignment,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Manifest, StoreError> {
    let mut manifest = dir.read_manifest()?;
    dir.remove_leftovers();
    // Where that cannot be read, the attempt fails in a moment and says so.
    let from_step = checkpoint::newest_step(dir).ok().flatten().unwrap_or(0);
    manifest.begin_attempt(from_step, std::process::id(), machine::host_info());
    if let Some(attempt) = manifest.attempts.last_mut() {
        attempt.runs_at_once = assignment.runs_at_once;
    }
    dir.write_manifest(&manifest)?;
    let identity = dir.identity()?;
    match try_train(dir, assignment, &mut manifest, listeners, stop) {
        Ok(Ending { status, reason, message }) => manifest.end(status, reason, message),
        // Nothing of this run is written where another directory may be.
        Err(TrainError::Store(gone @ StoreError::Gone { .. })) => return Err(gone),
        Err(error) => manifest.end(error.status(), error.class(), error.to_string()),
    }
    dir.check_same(identity)?;
    dir.write_manifest(&manifest)?;
    Ok(manifest)
}

fn try_train(
    dir: &RunDir,
    assignment: Assignment,
    manifest: &mut Manifest,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Ending, TrainError> {
    let mut plan = config::read_frozen(&dir.config(), manifest.config_sha256.as_deref())?;
    // A run of before, or one whose change of it was cut short: from now on it is known.
    if manifest.config_sha256.is_none() {
        manifest.config_sha256 = checksums::sha256_of(&dir.config()).ok();
    }
    assignment.apply(&mut plan);
    let threads = plan.hardware.threads.unwrap_or(0);
    let pool = Pool::new(threads, "train")
        .map_err(|error| TrainError::Threads { threads, reason: error.to_string() })?;
    pool.install(|| train_plan(plan, dir, manifest, listeners, stop))
}

fn train_plan(
    plan: RunPlan,
    dir: &RunDir,
    manifest: &mut Manifest,
    listeners: Vec<Box<dyn Sink>>,
    stop: &StopFlag,
) -> Result<Ending, TrainError> {
    dir.check_places()?;
    // Before all that takes memory, so that the run's peak of memory is not that of the probe.
    let probe = engine::probe_products(&plan, manifest.device.as_ref());
    let peak = PeakMemory::begin();
    let tokenizer = begin_from(&plan, dir, manifest)?;
    let mut dataset = data::load_with(&plan.data, tokenizer.as_ref())?;
    dataset.check(&plan)?;
    dataset.notices.extend(manifest.init_from.as_ref().and_then(|info| cropped(info, &plan)));
    check_unchanged(manifest, &dataset)?;
    let mut checkpoints = Checkpoints::new(dir.checkpoints(), plan.checkpoint.clone());
    let vocab_size = dataset.tokenizer.vocab_size();
    let Beginning { engine, go_on, notices, rows_lost } =
        find_beginning(&plan, dir, manifest, &mut checkpoints, vocab_size)?;

    manifest.lost.extend(rows_lost);
    manifest.data = Some(dataset.info());
    manifest.model = Some(engine.model());
    let here = engine.device();
    let cost = cost_by(&plan, vocab_size, dataset.tokens_in_memory(), here.kernel.as_deref());
    manifest.cost = cost.map(|cost| cost.info());
    let other_kernel = device::note(manifest, here.clone(), probe, go_on.is_some());
    // Once, at the beginning: who goes on with a run knows it.
    let gains_nothing = go_on.is_none() && here.kernel.is_some() && !engine::device::bf16_gains();
    let gains_nothing = gains_nothing.then(|| engine::device::BF16_GAINS_NOTHING.to_owned());
    let automatic = matches!(*plan.hardware.device, DeviceChoice::Auto);
    let passed_over = automatic.then(engine::device::gpu_passed_over).flatten();
    let notices = notices.into_iter().chain(other_kernel).chain(gains_nothing).chain(passed_over).collect();
    let mut attempt = 1;
    if let Some(this) = manifest.attempts.last_mut() {
        this.from_step = go_on.as_ref().map_or(0, |go_on| go_on.state.step);
        attempt = this.number;
    }
    dir.write_manifest(manifest)?;
    data::write_tokenizer(dir.path(), &dataset.tokenizer)
        .map_err(|source| StoreError::Write { path: dir.path().join(data::TOKENIZER_FILE), source })?;

    let mut sinks = sinks::open_files(dir)?;
    sinks.extend(listeners);
    let gpu = gpu_ordinal(&here.device);
    let monitor = Monitor::start(monitor_interval(&plan), gpu, peak);
    let opened = Opened { plan: &plan, dir, dataset: &dataset, engine, checkpoints, attempt };
    let mut session = Session::new(opened, go_on, sinks, monitor, stop)?;
    let ending = session.run(notices, manifest.idle.clone());
    if let Err(error) = &ending {
        session.announce_failure(error);
    }
    manifest.results = Some(session.results());
    manifest.time = session.time();
    if let Some(target) = &mut manifest.target {
        (target.reached_at_step, target.reached_value) = session.target_reached().unzip();
    }
    if let (Ok(_), Some(device)) = (&ending, &mut manifest.device) {
        device.product_probes.extend(engine::probe_products(&plan, Some(&here)));
    }
    ending
}

/// Where a run begins.
struct Beginning {
    engine: Box<dyn Engine>,
    /// `None`: nothing was trained yet.
    go_on: Option<GoOn>,
    /// Checkpoints that could not be used, and what the record lost.
    notices: Vec<String>,
    /// That rows of `metrics.csv` are gone for good, in words.
    rows_lost: Option<String>,
}

/// An engine at the newest sound checkpoint, the record cut back to it; or a fresh engine and an empty record.
fn find_beginning(
    plan: &RunPlan,
    dir: &RunDir,
    manifest: &Manifest,
    checkpoints: &mut Checkpoints,
    vocab_size: usize,
) -> Result<Beginning, TrainError> {
    let before = manifest.device.as_ref();
    let (mut notices, mut rows_lost) = (Vec::new(), None);
    if checkpoint::newest_step(dir)?.is_some() {
        // The weights that the run began with may be gone by now, and are overwritten by the checkpoint's.
        let mut plan = plan.clone();
        plan.train.init_from = None;
        let mut engine = engine::open_like(&plan, vocab_size, before)?;
        let restored = checkpoints.restore(dir, engine.as_mut())?;
        (notices, rows_lost) = (restored.notices, restored.rows_lost);
        if let Some(go_on) = restored.go_on {
            return Ok(Beginning { engine, go_on: Some(go_on), notices, rows_lost });
        }
    }
    notices.extend(begins_anew(dir));
    RecordSizes::default().cut_back(dir)?;
    manifest.init_from.as_ref().map_or(Ok(()), start::check_unchanged)?;
    Ok(Beginning { engine: engine::open_like(plan, vocab_size, before)?, go_on: None, notices, rows_lost })
}

/// In words, that steps which are recorded are trained once more.
fn begins_anew(dir: &RunDir) -> Option<String> {
    let metrics = plain::read(&dir.metrics()).ok()?;
    let steps = metrics.iter().filter(|&&byte| byte == b'\n').count().saturating_sub(1) as u64;
    (steps > 0).then(|| {
        format!(
            "there is no checkpoint: the run starts again at step 0, and the {} recorded so far are trained again",
            units::steps(steps)
        )
    })
}

/// The tokenizer of the model that the run begins from, where it has one: as it lies in the run's directory since the run was made, or
/// as it is found now, which the manifest then says.
fn begin_from(
    plan: &RunPlan,
    dir: &RunDir,
    manifest: &mut Manifest,
) -> Result<Option<Tokenizer>, TrainError> {
    if plan.train.init_from.is_none() || *plan.hardware.device == DeviceChoice::Scripted {
        return Ok(None);
    }
    let path = || dir.path().join(data::TOKENIZER_FILE);
    let kept =
        data::read_tokenizer(dir.path()).map_err(|source| StoreError::Read { path: path(), source })?;
    if kept.is_some() && (manifest.init_from.is_some() || checkpoint::newest_step(dir)?.is_some()) {
        return Ok(kept);
    }
    // The folder of all runs, where a run is that was made as any other.
    let runs_dir = dir.path().parent().and_then(std::path::Path::parent).unwrap_or(std::path::Path::new("."));
    let Some(start) = Start::find(plan, runs_dir)? else { return Ok(None) };
    // One that was found before is kept to: whether it is still the same is looked at before it is used.
    manifest.init_from.get_or_insert(start.info);
    Ok(start.tokenizer)
}

/// In words, that only some of the positions of the model are taken over.
fn cropped(info: &InitFrom, plan: &RunPlan) -> Option<String> {
    let block_size = plan.model.block_size;
    info.positions.map(|positions| {
        format!(
            "the model of train.init_from has {}, of which the first {} are used (model.block_size)",
            units::counted(positions as u64, "position"),
            units::count(block_size as u64)
        )
    })
}

/// Going on with another text would be another run.
fn check_unchanged(manifest: &Manifest, dataset: &Dataset) -> Result<(), TrainError> {
    let now = dataset.info().sha256;
    match &manifest.data {
        Some(before) if before.sha256 != now => {
            Err(TrainError::DataChanged { before: before.sha256.clone(), now })
        }
        _ => Ok(()),
    }
}

/// A scripted run pretends its time, so it does not look at the real machine either.
fn monitor_interval(plan: &RunPlan) -> f64 {
    match *plan.hardware.device {
        DeviceChoice::Scripted => 0.0,
        _ => plan.hardware.monitor_interval_secs,
    }
}

/// The ordinal in `cuda:1`.
fn gpu_ordinal(device: &str) -> Option<usize> {
    device.strip_prefix("cuda:")?.parse().ok()
}

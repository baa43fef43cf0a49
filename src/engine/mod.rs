//! What computes a training step. Generics over device and dtype end here: the rest of the program sees
//! `Box<dyn Engine>`.

use std::path::{Path, PathBuf};

use crate::config::experiment::{DeviceChoice, DtypeKind, ModelPlan, RunPlan};
use crate::data::batches::Batch;
use crate::facts::{DeviceInfo, ModelInfo, StepPart};
use crate::files::disk;
use crate::model::ModelConfig;
use crate::model::params::model_info;
use memory::Place;

pub mod cost;
pub mod device;
pub mod dfdx;
pub mod memory;
pub mod scripted;
mod state;

/// Opens the engine that the plan asks for, with weights drawn from the run's seed or read from `train.init_from`.
/// `vocab_size` is the tokenizer's, used where the plan leaves the model's open.
pub fn open(plan: &RunPlan, vocab_size: usize) -> Result<Box<dyn Engine>, EngineError> {
    open_like(plan, vocab_size, None)
}

/// As [`open`], for a run that computed on `before` until now: where there is a choice of kernels, its own is taken. Where this
/// machine has not got it another one is, as [`Engine::device`] then says.
pub fn open_like(
    plan: &RunPlan,
    vocab_size: usize,
    before: Option<&DeviceInfo>,
) -> Result<Box<dyn Engine>, EngineError> {
    let kernel = before.and_then(|device| device.kernel.as_deref());
    check_device(plan)?;
    match *plan.hardware.device {
        DeviceChoice::Auto if device::cuda_devices().is_ok() => dfdx::open_cuda(plan, vocab_size, 0),
        DeviceChoice::Auto | DeviceChoice::Cpu => dfdx::open_cpu(plan, vocab_size, kernel),
        DeviceChoice::Cuda(ordinal) => dfdx::open_cuda(plan, vocab_size, ordinal),
        DeviceChoice::Scripted => {
            let model = parameter_count(&plan.model, vocab_size);
            Ok(Box::new(scripted::ScriptedEngine::open(plan, model)))
        }
    }
}

/// What matrix products alone do where [`open_like`] would compute: FLOP/s, by a probe of some milliseconds made now. `None`
/// where that is not measured, which is on a GPU, and where nothing is computed.
pub fn probe_products(plan: &RunPlan, before: Option<&DeviceInfo>) -> Option<f64> {
    let kernel = before.and_then(|device| device.kernel.as_deref());
    (cost::place(&plan.hardware.device) == Some(Place::Host)).then(|| dfdx::probe_cpu(plan, kernel))
}

/// Whether [`open`] would find the device that the plan asks for, and the plan's dtype on it.
///
/// # Errors
/// What is missing, and what to do about it.
pub fn check_device(plan: &RunPlan) -> Result<(), EngineError> {
    let on_gpu = match *plan.hardware.device {
        DeviceChoice::Cuda(ordinal) => device::check_cuda(ordinal).map(|()| true)?,
        DeviceChoice::Auto => device::cuda_devices().is_ok(),
        DeviceChoice::Cpu => false,
        DeviceChoice::Scripted => return Ok(()),
    };
    match plan.hardware.dtype {
        DtypeKind::F16 if !on_gpu => Err(EngineError::Device {
            device: "cpu".to_owned(),
            reason: "hardware.dtype = \"f16\" is mixed precision on NVIDIA GPUs, and this run would be on the processor; \
                     set hardware.dtype = \"bf16\", which is mixed precision there, or \"f32\", or run it where `runner \
                     doctor` finds a GPU"
                .to_owned(),
        }),
        DtypeKind::Bf16 if on_gpu => Err(EngineError::Device {
            device: "cuda".to_owned(),
            reason: "hardware.dtype = \"bf16\" is for the processor (dfdx 0.13 has no bf16 on GPUs), and this run would be on \
                     a GPU; set hardware.dtype = \"f16\", which is mixed precision there, or \"f32\", or hardware.device = \
                     \"cpu\""
                .to_owned(),
        }),
        DtypeKind::F32 | DtypeKind::Bf16 | DtypeKind::F16 => Ok(()),
    }
}

/// Sizes and parameter counts of the model that [`open`] would make, without making it.
pub fn parameter_count(plan: &ModelPlan, vocab_size: usize) -> ModelInfo {
    model_info(&ModelConfig::new(plan, vocab_size))
}

/// Computes steps of one model on one device.
///
/// On the processor, the current rayon pool computes; in a [`Pool`](crate::threads::Pool) it is fast whatever the numbers are.
pub trait Engine {
    /// Where the steps are computed.
    fn device(&self) -> DeviceInfo;

    /// Sizes and parameter counts of the model.
    fn model(&self) -> ModelInfo;

    /// One optimizer step: the gradient of the mean loss over all tokens of `batches` (gradient accumulation: each
    /// one is a forward and backward pass), clipped if the plan says so, applied with `learning_rate`.
    /// A loss that is not finite is returned as it is, with the parameters unchanged.
    fn train_step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepOutput, EngineError>;

    /// Seconds of all training steps so far by kind of work; empty where that is not measured.
    fn step_parts(&self) -> Vec<StepPart>;

    /// How a batch is predicted; no gradients, dropout off.
    fn predict(&mut self, batch: &Batch) -> Result<Predicted, EngineError>;

    /// Mean cross entropy of a batch in nats per token, as [`Engine::predict`] finds it.
    fn loss(&mut self, batch: &Batch) -> Result<f64, EngineError> {
        Ok(self.predict(batch)?.loss)
    }

    /// Logits (V) for the token after `context`, of which the last `block_size` tokens are used. Dropout off.
    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError>;

    /// Writes `model.safetensors` (Hugging Face GPT-2 names, f32) into `dir`, and the optimizer's and the dropout
    /// generator's state beside it. `dir` exists.
    ///
    /// # Errors
    /// With [`EngineError::NotFinite`] when the weights are no model any more; what was written until then is worth nothing.
    fn save(&self, dir: &Path) -> Result<(), EngineError>;

    /// About how many bytes [`Engine::save`] would write. [`Cost::checkpoint_bytes`](cost::Cost::checkpoint_bytes) knows it before.
    fn saved_bytes(&self) -> u64;

    /// Reads what [`Engine::save`] wrote.
    fn load(&mut self, dir: &Path) -> Result<(), EngineError>;
}

/// A checkpoint's headers and small files: a few hundred bytes a tensor.
const SMALL_FILES_BYTES: u64 = 64 << 10;

/// How tokens were predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Predicted {
    /// Mean cross entropy in nats per token.
    pub loss: f64,
    /// Tokens that were held for the likeliest; `None` where they are not counted.
    pub right: Option<u64>,
}

/// What one step says of itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepOutput {
    /// Mean loss of the step's batches before the update, in nats per token.
    pub loss: f64,
    /// Tokens of these that were held for the likeliest. `None` where the logits are not at hand when the loss is made, which is on
    /// GPUs: counting would take another pass over them.
    pub right: Option<u64>,
    /// Global L2 norm of the gradient before clipping.
    pub grad_norm: f64,
    /// How the loss was scaled; `None` where it is not.
    pub scaling: Option<Scaling>,
    /// Seconds that the step pretends to have taken; `None` on real engines.
    pub virtual_secs: Option<f64>,
}

/// The loss scaling of one step in mixed precision.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// What the loss was multiplied by.
    pub loss_scale: f64,
    /// Whether the update was left out, because the scaled gradient overflowed half precision.
    pub skipped: bool,
}

/// An engine could not be opened or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{device}: {reason}")]
    Device { device: String, reason: String },
    #[error("computing on {device}: {reason}")]
    Compute { device: String, reason: String },
    /// With what to lower, and by how much.
    #[error("out of memory on {device} in {doing}: {advice}")]
    OutOfMemory { device: String, doing: &'static str, advice: String },
    #[error("the weights `{tensor}` are no longer finite numbers")]
    NotFinite { tensor: String },
    #[error("weights in {}: {reason}", path.display())]
    Weights { path: PathBuf, reason: String },
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
}

impl EngineError {
    /// Whether it is the disk that is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. } if disk::is_full(source))
    }
}

//! The engine on dfdx tensors, for every device that implements the operations.

use std::path::{Path, PathBuf};

use ::dfdx::prelude::*;

use super::state::{read_state, write_state};
use super::{Engine, EngineError, StepOutput};
use crate::config::experiment::RunPlan;
use crate::data::batches::Batch;
use crate::model::params::{Parameter, Visit, model_info};
use crate::model::tensor_file::TensorFileError;
use crate::model::weights::{read_weights, write_weights};
use crate::model::{Gpt, ModelConfig};
use crate::ops::profile::{Part, Profile, Stopwatch, timed};
use crate::ops::{DropoutSource, Ops, Scalar, number, try_tape};
use crate::optim::{Optimizer, Update, clip_factor, id_of, try_norm};
use crate::store::manifest::{DeviceInfo, ModelInfo, StepPart};

#[cfg(test)]
mod tests;

/// A model in training on a dfdx device.
#[derive(Debug)]
pub struct DfdxEngine<E: Dtype, D: Storage<E> + Cache> {
    /// First, because fields are dropped in this order: all that follow then give their memory back.
    _kept_memory: KeptMemory<D>,
    info: DeviceInfo,
    gpt: Gpt<E, D>,
    optimizer: Optimizer<E, D>,
    /// Largest global norm of the gradient; 0: any.
    grad_clip: f64,
    dropout: DropoutSource,
    /// Gradients with zeros in them between steps, kept for the next step. `None` when they would hold something else: after
    /// an error and after a loss that is not finite. Also at first.
    gradients: Option<Gradients<E, D>>,
    /// Of all steps so far.
    profile: Profile,
}

/// Names of the files that make up a saved engine.
pub const WEIGHTS_FILE: &str = "model.safetensors";

impl<E: Dtype, D: Update<E> + Cache> DfdxEngine<E, D> {
    /// A new engine as the plan asks for, with `info` saying what `device` is.
    pub fn open(
        plan: &RunPlan,
        vocab_size: usize,
        device: &D,
        info: DeviceInfo,
    ) -> Result<Self, EngineError> {
        let config = ModelConfig::new(&plan.model, vocab_size);
        let seed = plan.experiment.seed;
        let failed =
            |error: D::Err| EngineError::Compute { device: info.device.clone(), reason: error.to_string() };
        let mut gpt = Gpt::try_build(config, device, seed).map_err(failed)?;
        if let Some(path) = &plan.train.init_from {
            read_weights(&mut gpt, path).map_err(|error| weights_error(path, error))?;
        }
        gpt.set_recompute(plan.train.activation_checkpointing);
        let optimizer = Optimizer::try_build(&plan.optimizer, &gpt).map_err(failed)?;
        let dropout = DropoutSource::new(plan.model.dropout, seed);
        let _kept_memory = KeptMemory(device.clone());
        Ok(Self {
            _kept_memory,
            info,
            gpt,
            optimizer,
            grad_clip: plan.optimizer.grad_clip,
            dropout,
            gradients: None,
            profile: Profile::default(),
        })
    }

    fn failed(&self, error: impl std::fmt::Display) -> EngineError {
        EngineError::Compute { device: self.info.device.clone(), reason: error.to_string() }
    }

    /// Refuses what dfdx would panic on.
    fn check(&self, batch: &Batch) -> Result<(), EngineError> {
        let Batch { batch_size, sequence_length, inputs, targets } = batch;
        let block_size = self.gpt.config().block_size;
        let len = batch_size * sequence_length;
        if len == 0 || inputs.len() != len || targets.len() != len {
            return Err(self.failed(format!(
                "a batch of {batch_size} x {sequence_length} tokens has {} inputs and {} targets",
                inputs.len(),
                targets.len()
            )));
        }
        if *sequence_length > block_size {
            return Err(self.failed(format!(
                "a sequence of {sequence_length} tokens does not fit model.block_size = {block_size}"
            )));
        }
        self.check_tokens(inputs)?;
        self.check_tokens(targets)
    }

    fn check_tokens(&self, token_ids: &[u32]) -> Result<(), EngineError> {
        let vocab_size = self.gpt.config().vocab_size;
        match token_ids.iter().find(|&&id| id as usize >= vocab_size) {
            None => Ok(()),
            Some(id) => {
                Err(self
                    .failed(format!("token {id} is not in the model's vocabulary of {vocab_size} tokens")))
            }
        }
    }

    /// The kept gradients, or new ones of zeros. Whoever takes them puts them back once all went well.
    fn try_take_gradients(&mut self) -> Result<Gradients<E, D>, D::Err> {
        self.gradients.take().map_or_else(|| try_zeros(&self.gpt), Ok)
    }

    /// Leaves the gradient of the mean loss over all tokens of `batches` in `self.gradients` and returns that loss, or a
    /// loss that is not finite as soon as one appears.
    fn try_gradients(&mut self, batches: &[Batch]) -> Result<f64, D::Err> {
        let mut gradients = self.try_take_gradients()?;
        let all_tokens: usize = batches.iter().map(|batch| batch.inputs.len()).sum();
        let mut total = 0.0;
        for batch in batches {
            let share = batch.inputs.len() as f64 / all_tokens as f64;
            let tape: OwnedTape<E, D> = try_tape(gradients, self.gpt.device())?;
            let loss = self.gpt.try_loss(
                tape,
                &batch.inputs,
                &batch.targets,
                batch.sequence_length,
                Some(&mut self.dropout),
            )?;
            total += share * read_scalar(&loss);
            if !total.is_finite() {
                return Ok(total);
            }
            let loss = if batches.len() > 1 { loss.try_mul(number::<E>(share))? } else { loss };
            gradients = loss.try_backward()?;
        }
        self.gradients = Some(gradients);
        Ok(total)
    }

    fn try_update(&mut self, learning_rate: f64) -> Result<f64, D::Err> {
        let _timed = timed(Part::Optimizer);
        let mut gradients = self.try_take_gradients()?;
        let norm = try_norm(&self.gpt, &mut gradients)?;
        let clip = clip_factor(norm, self.grad_clip);
        self.optimizer.try_step(&mut self.gpt, &mut gradients, clip, learning_rate)?;
        self.gradients = Some(gradients);
        Ok(norm)
    }

    /// [`Engine::train_step`] with batches that were checked.
    fn compute_step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepOutput, EngineError> {
        // Every step allocates the same sizes again, and fresh memory is dear.
        if D::USES_CACHE {
            self.gpt.device().try_enable_cache().map_err(|error| self.failed(error))?;
        }
        let dropout = self.dropout.clone();
        let loss = match self.try_gradients(batches) {
            Ok(loss) => loss,
            // Kept memory of other sizes may be what is missing.
            Err(_) => {
                self.dropout = dropout;
                self.gpt.device().try_empty_cache().map_err(|error| self.failed(error))?;
                self.try_gradients(batches).map_err(|error| self.failed(error))?
            }
        };
        if !loss.is_finite() {
            return Ok(StepOutput { loss, grad_norm: f64::NAN, virtual_secs: None });
        }
        let grad_norm = self.try_update(learning_rate).map_err(|error| self.failed(error))?;
        Ok(StepOutput { loss, grad_norm, virtual_secs: None })
    }
}

impl<E: Dtype, D: Update<E> + Cache> Engine for DfdxEngine<E, D> {
    fn device(&self) -> DeviceInfo {
        self.info.clone()
    }

    fn model(&self) -> ModelInfo {
        model_info(self.gpt.config())
    }

    fn train_step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepOutput, EngineError> {
        if batches.is_empty() {
            return Err(self.failed("a step needs at least one batch"));
        }
        batches.iter().try_for_each(|batch| self.check(batch))?;
        let stopwatch = Stopwatch::start();
        let output = self.compute_step(batches, learning_rate);
        self.profile += stopwatch.stop();
        output
    }

    fn step_parts(&self) -> Vec<StepPart> {
        if !self.profile.is_telling() {
            return Vec::new();
        }
        let secs = |part| self.profile.get(part).as_secs_f64();
        Part::ALL.map(|part| StepPart { part: part.name().to_owned(), secs: secs(part) }).to_vec()
    }

    fn loss(&mut self, batch: &Batch) -> Result<f64, EngineError> {
        self.check(batch)?;
        let loss = self
            .gpt
            .try_loss(NoneTape, &batch.inputs, &batch.targets, batch.sequence_length, None)
            .map_err(|error| self.failed(error))?;
        Ok(read_scalar(&loss))
    }

    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.check_tokens(context)?;
        let context = &context[context.len().saturating_sub(self.gpt.config().block_size)..];
        if context.is_empty() {
            return Err(self.failed("the next token of an empty context was asked for"));
        }
        // A text that grows has a new size with every token, and the cache would keep memory for each of them.
        self.gpt.device().try_disable_cache().map_err(|error| self.failed(error))?;
        let logits = self.gpt.try_next_logits(context).map_err(|error| self.failed(error))?;
        Ok(logits.as_vec().iter().map(|x| x.to_f32().unwrap_or(f32::NAN)).collect())
    }

    fn save(&self, dir: &Path) -> Result<(), EngineError> {
        let path = dir.join(WEIGHTS_FILE);
        write_weights(&self.gpt, &path).map_err(|error| weights_error(&path, error))?;
        write_state(dir, &self.gpt, &self.optimizer, &self.dropout)
    }

    fn load(&mut self, dir: &Path) -> Result<(), EngineError> {
        let path = dir.join(WEIGHTS_FILE);
        read_weights(&mut self.gpt, &path).map_err(|error| weights_error(&path, error))?;
        read_state(dir, &self.gpt, &mut self.optimizer, &mut self.dropout)
    }
}

/// Gives the device's kept allocations back when the engine goes. dfdx's cache does not free what it holds when it is dropped
/// itself, and the next run in this process brings a cache of its own.
#[derive(Debug)]
struct KeptMemory<D: Cache>(D);

impl<D: Cache> Drop for KeptMemory<D> {
    fn drop(&mut self) {
        // On failure the memory stays with the process, which is what would happen without this.
        let _ = self.0.try_disable_cache();
    }
}

/// The engine error of a file of tensors.
pub(super) fn weights_error(path: &Path, error: TensorFileError) -> EngineError {
    let path: PathBuf = path.to_owned();
    match error {
        TensorFileError::Io(source) => EngineError::Io { path, source },
        other => EngineError::Weights { path, reason: other.to_string() },
    }
}

fn read_scalar<E: Dtype, D: Device<E>, T>(scalar: &Scalar<E, D, T>) -> f64 {
    scalar.as_vec().first().and_then(|x| x.to_f64()).unwrap_or(f64::NAN)
}

/// Zeros as the gradients of a model's parameters.
fn try_zeros<E: Dtype, D: Ops<E>>(gpt: &Gpt<E, D>) -> Result<Gradients<E, D>, D::Err> {
    let mut gradients = Gradients::leaky();
    gpt.visit(&mut Keep(&mut gradients))?;
    Ok(gradients)
}

/// Allocates every parameter's gradient, which dfdx does with zeros, and marks it as one to keep after the backward pass.
struct Keep<'a, E: Dtype, D: Storage<E>>(&'a mut Gradients<E, D>);

impl<E: Dtype, D: Device<E>> Visit<E, D> for Keep<'_, E, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
        self.0.retain_leafs(&id_of(tensor));
        // Fresh memory is zero already, but on Linux a page that is read before it is written is mapped twice, which
        // together with the moments made the first step of GPT-2 124M take four seconds longer.
        tensor.device().try_fill_with_zeros(self.0.get_or_alloc_mut(tensor)?)
    }
}

/// Opens the engine on the processor.
pub fn open_cpu(plan: &RunPlan, vocab_size: usize) -> Result<Box<dyn Engine>, EngineError> {
    let info = device_info("cpu".to_owned(), super::device::cpu_name());
    Ok(Box::new(DfdxEngine::<f32, Cpu>::open(plan, vocab_size, &Cpu::default(), info)?))
}

/// Opens the engine on a GPU.
pub fn open_cuda(plan: &RunPlan, vocab_size: usize, ordinal: usize) -> Result<Box<dyn Engine>, EngineError> {
    super::device::check_cuda(ordinal)?;
    #[cfg(feature = "cuda")]
    {
        let name = format!("cuda:{ordinal}");
        let failed =
            |error: CudaError| EngineError::Device { device: name.clone(), reason: error.to_string() };
        let device = Cuda::try_build(ordinal, plan.experiment.seed).map_err(failed)?;
        let info = device_info(name.clone(), super::device::cuda_name(ordinal));
        Ok(Box::new(DfdxEngine::<f32, Cuda>::open(plan, vocab_size, &device, info)?))
    }
    #[cfg(not(feature = "cuda"))]
    {
        let _ = (plan, vocab_size);
        unreachable!("a binary without CUDA has no CUDA device")
    }
}

fn device_info(device: String, name: String) -> DeviceInfo {
    DeviceInfo { device, name, dtype: "f32".to_owned(), threads: rayon::current_num_threads() }
}

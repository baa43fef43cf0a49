//! The engine on dfdx tensors, for every device that implements the operations.

use std::path::{Path, PathBuf};

use ::dfdx::prelude::*;

use super::cost::memory_need;
use super::memory::{MemoryNeed, Place};
use super::state::{read_state, write_state};
use super::{Engine, EngineError, Predicted, Scaling, StepOutput};
use crate::config::experiment::RunPlan;
use crate::data::batches::Batch;
use crate::facts::{DeviceInfo, ModelInfo, StepPart};
use crate::model::params::{Parameter, Visit, model_info};
use crate::model::tensor_file::TensorFileError;
use crate::model::weights::{read_first_weights, read_weights, write_weights};
use crate::model::{Gpt, Limits, ModelConfig, WEIGHTS_FILE};
use crate::ops::cpu::bf16::Kernel;
use crate::ops::profile::{Part, Profile, Stopwatch, timed};
use crate::ops::{DropoutSource, Hits, Ops, OutOfMemory, id_of};
use crate::optim::{Optimizer, Update, clip_factor, try_norm};
use crate::threads;
use loss_scale::Judgement;
use passes::{Passes, try_read};

pub mod loss_scale;
pub mod mixed;
mod open;
pub mod passes;

pub use open::{open_cpu, open_cuda, probe_cpu};

#[cfg(test)]
mod tests;

/// A model in training on a dfdx device: weights, gradients and moments in `E`, passes as `P` makes them.
#[derive(Debug)]
pub struct DfdxEngine<E: Dtype, D: Storage<E> + Cache + OutOfMemory, P> {
    /// First, because fields are dropped in this order: all that follow then give their memory back.
    _kept_memory: KeptMemory<D>,
    info: DeviceInfo,
    budget: Budget,
    gpt: Gpt<E, D>,
    passes: P,
    optimizer: Optimizer<E, D>,
    /// Largest global norm of the gradient; 0: any.
    grad_clip: f64,
    dropout: DropoutSource,
    /// Gradients with zeros in them between steps, kept for the next step. `None` when they would hold something else: after
    /// an error, after a loss that is not finite and after a step that was skipped. Also at first.
    gradients: Option<Gradients<E, D>>,
    /// Of all steps so far.
    profile: Profile,
}

/// The memory that an engine needs and has.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    need: MemoryNeed,
    /// `train.gradient_accumulation_steps`.
    accumulation: usize,
    /// What was free before the engine was opened, where that is known.
    available_bytes: Option<u64>,
}

impl Budget {
    /// For a plan whose corpus does not count, because it lies elsewhere or is small beside the model; `kernel` is the run's own,
    /// where it has one.
    pub fn new(
        plan: &RunPlan,
        vocab_size: usize,
        place: Place,
        kernel: Option<&str>,
        available_bytes: Option<u64>,
    ) -> Self {
        let accumulation = plan.train.gradient_accumulation_steps;
        Self { need: memory_need(plan, vocab_size, 0, place, kernel), accumulation, available_bytes }
    }

    fn limits(&self) -> Limits {
        match self.need.place {
            Place::Host => Limits::default(),
            Place::Gpu { limits, .. } => limits,
        }
    }

    /// What to do when it was not enough.
    fn advice(&self) -> String {
        self.need.advice_after(self.accumulation, self.available_bytes)
    }
}

impl<E: Dtype, D: Update<E> + Cache + OutOfMemory, P: Passes<E, D>> DfdxEngine<E, D, P> {
    /// A new engine as the plan asks for, with `info` saying what `device` is.
    pub fn open(
        plan: &RunPlan,
        vocab_size: usize,
        device: &D,
        passes: P,
        budget: Budget,
        info: DeviceInfo,
    ) -> Result<Self, EngineError> {
        let config = ModelConfig::new(&plan.model, vocab_size);
        let seed = plan.experiment.seed;
        let failed = |error: D::Err| device_error::<D>(&info.device, "building the model", &budget, &error);
        // Every step allocates the same sizes again, and fresh memory is dear.
        if D::USES_CACHE {
            device.try_enable_cache().map_err(failed)?;
        }
        let _kept_memory = KeptMemory(device.clone());
        let mut gpt = Gpt::try_build(config, device, seed).map_err(failed)?;
        if let Some(path) = &plan.train.init_from {
            read_first_weights(&mut gpt, path).map_err(|error| weights_error(path, error))?;
        }
        gpt.set_recompute(plan.train.activation_checkpointing);
        gpt.set_limits(budget.limits());
        let optimizer = Optimizer::try_build(&plan.optimizer, &gpt).map_err(failed)?;
        let dropout = DropoutSource::new(plan.model.dropout, seed);
        Ok(Self {
            _kept_memory,
            info: DeviceInfo { dtype: P::DTYPE.to_owned(), ..info },
            budget,
            gpt,
            passes,
            optimizer,
            grad_clip: plan.optimizer.grad_clip,
            dropout,
            gradients: None,
            profile: Profile::default(),
        })
    }

    /// Lets products take bf16, multiplied by this kernel.
    fn round_products(&mut self, kernel: Kernel) {
        self.gpt.set_rounded(kernel);
        self.info.dtype = "bf16".to_owned();
        self.info.kernel = Some(kernel.name().to_owned());
    }

    fn failed(&self, error: impl std::fmt::Display) -> EngineError {
        EngineError::Compute { device: self.info.device.clone(), reason: error.to_string() }
    }

    /// Does something that takes memory on the device, and once more with the memory that was kept for other sizes if there
    /// was not enough. `doing` is what, for the error.
    fn twice<R>(
        &mut self,
        doing: &'static str,
        mut act: impl FnMut(&mut Self) -> Result<R, D::Err>,
    ) -> Result<R, EngineError> {
        let error = match act(self) {
            Err(error) if D::is_out_of_memory(&error) => {
                self.passes.give_back_memory();
                self.gpt.device().try_empty_cache().and_then(|()| {
                    self.gpt.device().give_back_memory();
                    act(self)
                })
            }
            other => other,
        };
        error.map_err(|error| device_error::<D>(&self.info.device, doing, &self.budget, &error))
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

    /// On a GPU a token that is not there would be the end of the process.
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

    /// Leaves the gradient of the mean loss over all tokens of `batches` in `self.gradients`, and returns that loss and the
    /// gradient's norm, with the right predictions where they were counted. The device is waited for once all of this is on its way.
    fn try_gradients(&mut self, batches: &[Batch]) -> Result<(Predicted, f64), D::Err> {
        // Whoever takes the gradients puts them back once all went well.
        let mut gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => try_zeros(&self.gpt)?,
        };
        let mut dropout = self.dropout.clone();
        let hits = Hits::default();
        let losses = self.passes.try_gradients(&self.gpt, batches, &mut dropout, &mut gradients, &hits)?;
        let norm = {
            let _timed = timed(Part::Optimizer);
            try_norm(&self.gpt, &mut gradients)?
        };
        let loss = try_read(&losses)?;
        self.gradients = Some(gradients);
        self.dropout = dropout;
        let right = hits.of(batches.iter().map(Batch::tokens).sum());
        Ok((Predicted { loss, right }, norm))
    }

    /// Changes the weights by the gradients that [`Self::try_gradients`] left, and leaves zeros in these.
    fn try_update(&mut self, norm: f64, learning_rate: f64) -> Result<(), D::Err> {
        let _timed = timed(Part::Optimizer);
        let Some(mut gradients) = self.gradients.take() else { return Ok(()) };
        let clip = clip_factor(norm, self.grad_clip);
        self.passes.weights_changed();
        self.optimizer.try_step(&mut self.gpt, &mut gradients, clip, learning_rate)?;
        self.gradients = Some(gradients);
        Ok(())
    }

    /// [`Engine::train_step`] with batches that were checked.
    fn compute_step(&mut self, batches: &[Batch], learning_rate: f64) -> Result<StepOutput, EngineError> {
        let loss_scale = self.passes.loss_scale().map(|scale| scale.get());
        let (Predicted { loss, right }, grad_norm) =
            self.twice("a training step", |engine| engine.try_gradients(batches))?;
        let output = |skipped| StepOutput {
            loss,
            right,
            grad_norm,
            scaling: loss_scale.map(|loss_scale| Scaling { loss_scale, skipped }),
            virtual_secs: None,
        };
        if !loss.is_finite() {
            self.gradients = None;
            return Ok(StepOutput { grad_norm: f64::NAN, ..output(false) });
        }
        match self.passes.judge(grad_norm) {
            Judgement::Apply => {
                // Once: a second try would update some of the weights twice.
                self.try_update(grad_norm, learning_rate).map_err(|error| {
                    device_error::<D>(&self.info.device, "an update", &self.budget, &error)
                })?;
                Ok(output(false))
            }
            Judgement::Skip => {
                self.gradients = None;
                Ok(output(true))
            }
            Judgement::GiveUp => {
                self.gradients = None;
                Ok(output(false))
            }
        }
    }
}

impl<E: Dtype, D: Update<E> + Cache + OutOfMemory, P: Passes<E, D>> Engine for DfdxEngine<E, D, P> {
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
        let _flushing = threads::flush();
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
        // What only some optimizers do is left out where it was not done.
        let done = Part::ALL.into_iter().filter(|&part| part != Part::Orthogonalisation || secs(part) > 0.0);
        done.map(|part| StepPart { part: part.name().to_owned(), secs: secs(part) }).collect()
    }

    fn predict(&mut self, batch: &Batch) -> Result<Predicted, EngineError> {
        self.check(batch)?;
        let _flushing = threads::flush();
        self.twice("an evaluation", |engine| {
            let hits = Hits::default();
            let loss = try_read(&engine.passes.try_loss(&engine.gpt, batch, &hits)?)?;
            Ok(Predicted { loss, right: hits.of(batch.tokens()) })
        })
    }

    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.check_tokens(context)?;
        let context = &context[context.len().saturating_sub(self.gpt.config().block_size)..];
        if context.is_empty() {
            return Err(self.failed("the next token of an empty context was asked for"));
        }
        let _flushing = threads::flush();
        self.twice("sampling", |engine| {
            let logits = engine.passes.try_next_logits(&engine.gpt, context)?;
            // A text that grows has a new size with every token, and the cache would keep memory for each of them.
            engine.gpt.device().try_empty_cache()?;
            engine.gpt.device().give_back_memory();
            Ok(logits)
        })
    }

    fn save(&self, dir: &Path) -> Result<(), EngineError> {
        let path = dir.join(WEIGHTS_FILE);
        write_weights(&self.gpt, &path).map_err(|error| match error {
            TensorFileError::NotFinite { name } => EngineError::NotFinite { tensor: name },
            error => weights_error(&path, error),
        })?;
        write_state(dir, &self.gpt, &self.optimizer, &self.dropout, self.passes.loss_scale())
    }

    fn saved_bytes(&self) -> u64 {
        let numbers =
            |parameter: &Parameter| parameter.len() as u64 * (1 + self.optimizer.state().count(parameter));
        // In single precision.
        4 * self.gpt.layout().iter().map(numbers).sum::<u64>() + super::SMALL_FILES_BYTES
    }

    fn load(&mut self, dir: &Path) -> Result<(), EngineError> {
        let path = dir.join(WEIGHTS_FILE);
        read_weights(&mut self.gpt, &path).map_err(|error| weights_error(&path, error))?;
        self.passes.weights_changed();
        let scale = read_state(dir, &self.gpt, &mut self.optimizer, &mut self.dropout)?;
        if let Some(scale) = scale {
            self.passes.set_loss_scale(scale);
        }
        Ok(())
    }
}

/// The engine error of an error on the device.
fn device_error<D: OutOfMemory>(
    device: &str,
    doing: &'static str,
    budget: &Budget,
    error: &D::Err,
) -> EngineError {
    let device = device.to_owned();
    if D::is_out_of_memory(error) {
        return EngineError::OutOfMemory { device, doing, advice: budget.advice() };
    }
    EngineError::Compute { device, reason: format!("{doing}: {error}") }
}

/// Gives the device's kept allocations back when the engine goes. dfdx's cache does not free what it holds when it is dropped
/// itself, and the next run in this process brings a cache of its own.
#[derive(Debug)]
struct KeptMemory<D: Cache + OutOfMemory>(D);

impl<D: Cache + OutOfMemory> Drop for KeptMemory<D> {
    fn drop(&mut self) {
        self.0.close();
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

//! An engine without tensors: its loss follows a formula and the run's seed. Reports, sweeps and failures are tested with it
//! to the byte, in milliseconds, through the same binary that trains.

use std::path::Path;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::{Deserialize, Serialize};

use super::{Engine, EngineError, Predicted, StepOutput};
use crate::config::experiment::{RunPlan, ScriptedFailure, ScriptedPlan};
use crate::data::batches::Batch;
use crate::facts::{DeviceInfo, ModelInfo, StepPart};
use crate::files::{atomic, plain};

/// File of the engine's state in a checkpoint.
const STATE_FILE: &str = "engine.json";

/// See the module.
pub struct ScriptedEngine {
    script: ScriptedPlan,
    seed: u64,
    model: ModelInfo,
    state: State,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct State {
    step: u64,
}

impl ScriptedEngine {
    /// Pretends to hold `model`.
    pub fn open(plan: &RunPlan, model: ModelInfo) -> Self {
        Self { script: plan.scripted.clone(), seed: plan.experiment.seed, model, state: State { step: 0 } }
    }

    /// The curve without noise after `step` steps.
    fn curve(&self, step: u64) -> f64 {
        let ScriptedPlan { initial_loss, floor_loss, decay_steps, .. } = self.script;
        floor_loss + (initial_loss - floor_loss) * (-(step as f64) / decay_steps).exp()
    }

    /// Fails as the script says; some ways do not come back from here.
    fn fail(&self, step: u64) -> Result<(), EngineError> {
        let reason = format!("the script says that step {step} fails (scripted.fail_at)");
        match self.script.fail_as {
            ScriptedFailure::Error => Err(EngineError::Compute { device: "scripted".to_owned(), reason }),
            ScriptedFailure::OutOfMemory => Err(out_of_memory(reason)),
            ScriptedFailure::Panic => panic!("{reason}"),
            ScriptedFailure::Abort => std::process::abort(),
            ScriptedFailure::Kill => {
                kill_this_process();
                Err(EngineError::Compute { device: "scripted".to_owned(), reason })
            }
            ScriptedFailure::Hang => loop {
                std::thread::sleep(Duration::from_secs(3600));
            },
        }
    }

    /// A generator for one purpose at one step, so that no draw depends on the ones before it.
    fn rng(&self, purpose: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(self.state.step.wrapping_mul(4).wrapping_add(purpose));
        rng
    }
}

impl Engine for ScriptedEngine {
    fn device(&self) -> DeviceInfo {
        let name = "loss curve from a formula".to_owned();
        DeviceInfo {
            device: "scripted".to_owned(),
            name,
            dtype: "f32".to_owned(),
            kernel: None,
            product_probes: Vec::new(),
            threads: 1,
        }
    }

    fn model(&self) -> ModelInfo {
        self.model.clone()
    }

    fn train_step(&mut self, batches: &[Batch], _learning_rate: f64) -> Result<StepOutput, EngineError> {
        let step = self.state.step + 1;
        std::thread::sleep(Duration::from_secs_f64(self.script.sleep_secs));
        let fits = self.script.fits_batch_size;
        if fits > 0 && batches.iter().any(|batch| batch.batch_size > fits) {
            return Err(out_of_memory(format!(
                "batches of more than {fits} do not fit (scripted.fits_batch_size)"
            )));
        }
        if step == self.script.fail_at {
            self.fail(step)?;
        }
        let noise: f64 = self.rng(0).sample(StandardNormal);
        let diverged = self.script.diverge_at > 0 && step >= self.script.diverge_at;
        let loss = if diverged { f64::NAN } else { self.curve(self.state.step) + self.script.noise * noise };
        let grad_norm = if diverged { f64::NAN } else { loss.abs().sqrt() };
        self.state.step = step;
        Ok(StepOutput {
            loss,
            right: None,
            grad_norm,
            scaling: None,
            virtual_secs: Some(self.script.step_secs),
        })
    }

    fn step_parts(&self) -> Vec<StepPart> {
        Vec::new()
    }

    fn predict(&mut self, _batch: &Batch) -> Result<Predicted, EngineError> {
        Ok(Predicted { loss: self.curve(self.state.step), right: None })
    }

    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        let mut rng = self.rng(1 + u64::from(context.last().copied().unwrap_or(0)));
        Ok((0..self.model.vocab_size).map(|_| rng.sample(StandardNormal)).collect())
    }

    fn save(&self, dir: &Path) -> Result<(), EngineError> {
        let path = dir.join(STATE_FILE);
        let json = serde_json::to_vec_pretty(&self.state)
            .map_err(|error| EngineError::Io { path: path.clone(), source: error.into() })?;
        atomic::write(&path, &json).map_err(|source| EngineError::Io { path, source })
    }

    fn saved_bytes(&self) -> u64 {
        64
    }

    fn load(&mut self, dir: &Path) -> Result<(), EngineError> {
        let path = dir.join(STATE_FILE);
        let json = plain::read(&path).map_err(|source| EngineError::Io { path: path.clone(), source })?;
        self.state = serde_json::from_slice(&json)
            .map_err(|error| EngineError::Weights { path, reason: error.to_string() })?;
        Ok(())
    }
}

fn out_of_memory(advice: String) -> EngineError {
    EngineError::OutOfMemory { device: "scripted".to_owned(), doing: "a training step", advice }
}

/// As the system does it when memory runs out.
fn kill_this_process() {
    #[cfg(unix)]
    let _ = nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL);
    #[cfg(not(unix))]
    std::process::abort();
}

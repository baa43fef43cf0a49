//! The dfdx engine on the CPU: against PyTorch's numbers, against the same engine on composed operations, and its promises.
//! This file holds what these need.

use std::path::PathBuf;

use serde_json::Value;

use super::loss_scale::LossScale;
use super::passes::Plain;
use super::*;
use crate::config::experiment::*;
use crate::data::tests::plan_of;
use crate::facts::optimizer::{AdjustLr, OptimizerKind};
use crate::ops::cpu::bf16::{Bf16, Rounded};

mod bf16;
#[cfg(feature = "cuda")]
mod cuda;
mod fused;
mod mixed;
mod promises;
mod pytorch;
mod saturated;
mod texts;

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pytorch")).join(name)
}

fn recorded() -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture("tiny.json")).unwrap()).unwrap()
}

/// A plan for the model of the PyTorch recording, with AdamW as recorded.
fn tiny_plan() -> RunPlan {
    let numbers = recorded();
    let size = |key: &str| numbers["model"][key].as_u64().unwrap() as usize;
    let setting = |key: &str| numbers["optimizer"][key].as_f64().unwrap();
    RunPlan {
        name: "seed=1".to_owned(),
        experiment: ExperimentPlan {
            name: "tiny".to_owned(),
            description: String::new(),
            hypothesis: String::new(),
            tags: Vec::new(),
            seed: 1,
            repeats: 1,
            repeat: 0,
            same_losses_within: None,
        },
        point: Vec::new(),
        model: ModelPlan {
            preset: None,
            n_layer: size("n_layer"),
            n_head: size("n_head"),
            n_embd: size("n_embd"),
            block_size: size("block_size"),
            vocab_size: Some(size("vocab_size")),
            dropout: 0.0,
            bias: true,
        },
        data: plan_of(DataSource::Corpus("none".to_owned())),
        train: TrainPlan {
            batch_size: 3,
            sequence_length: 12,
            gradient_accumulation_steps: 1,
            activation_checkpointing: false,
            max_steps: 5,
            max_time_secs: None,
            init_from: Some(fixture("tiny.safetensors")),
            eval_interval: 0,
            eval_batches: 1,
            ema_decay: 0.9,
            final_eval: false,
        },
        optimizer: OptimizerPlan {
            kind: OptimizerKind::Adamw,
            learning_rate: setting("learning_rate"),
            beta1: setting("beta1"),
            beta2: setting("beta2"),
            eps: setting("eps"),
            momentum: 0.0,
            weight_decay: setting("weight_decay"),
            decay_all: false,
            grad_clip: 0.0,
            muon: MuonPlan {
                adamw_learning_rate: setting("learning_rate"),
                momentum_start: 0.0,
                momentum_warmup_steps: 0,
                nesterov: true,
                coefficients: vec![[3.4445, -4.775, 2.0315]; 5],
                adjust_lr: AdjustLr::Original,
                split_qkv: true,
            },
        },
        schedule: SchedulePlan { kind: ScheduleKind::Constant, warmup_steps: 0, decay_steps: 5, min_lr: 0.0 },
        target: None,
        checkpoint: CheckpointPlan { interval: 0, keep_last: 2 },
        sample: SamplePlan {
            interval: 0,
            prompts: Vec::new(),
            max_new_tokens: 1,
            temperature: 1.0,
            top_k: 0,
            top_p: 1.0,
            seed: 1,
        },
        hardware: HardwarePlan {
            device: DeviceChoice::Cpu,
            requires: Vec::new(),
            dtype: DtypeKind::F32,
            threads: None,
            monitor_interval_secs: 0.0,
        },
        on_failure: OnFailurePlan {
            retries: Vec::new(),
            backoff_secs: 0.0,
            timeout_secs: None,
            halve_batch: false,
        },
        scripted: ScriptedPlan {
            initial_loss: 1.0,
            floor_loss: 0.0,
            decay_steps: 1.0,
            noise: 0.0,
            step_secs: 1.0,
            diverge_at: 0,
            fail_at: 0,
            fail_as: ScriptedFailure::Error,
            fits_batch_size: 0,
            sleep_secs: 0.0,
        },
        reference: None,
        resolved: Vec::new(),
        idle: Vec::new(),
    }
}

/// The recorded batches, in order.
fn batches() -> Vec<Batch> {
    let ids =
        |value: &Value| value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect();
    let batch = |value: &Value| Batch {
        batch_size: 3,
        sequence_length: 12,
        inputs: ids(&value["inputs"]),
        targets: ids(&value["targets"]),
    };
    recorded()["batches"].as_array().unwrap().iter().map(batch).collect()
}

/// An engine of this plan in the tests' dtype.
fn engine<E: Dtype>(plan: &RunPlan) -> OnCpu<E>
where
    Cpu: Update<E>,
{
    DfdxEngine::open(plan, 0, &Cpu::default(), Plain, budget(plan, Limits::default()), info()).unwrap()
}

/// Memory that nobody counts, with limits for composed operations.
fn budget(plan: &RunPlan, limits: Limits) -> Budget {
    Budget::new(plan, 0, Place::Gpu { ordinal: 0, limits }, None, None)
}

/// An engine on the processor with passes in its own dtype.
type OnCpu<E> = DfdxEngine<E, Cpu, Plain>;

fn info() -> DeviceInfo {
    DeviceInfo {
        device: "cpu".to_owned(),
        name: "test".to_owned(),
        dtype: "f32".to_owned(),
        kernel: None,
        product_probes: Vec::new(),
        threads: 1,
    }
}

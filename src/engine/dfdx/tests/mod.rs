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
    let mut plan = RunPlan::default();
    plan.experiment.seed = 1;
    plan.model = ModelPlan {
        n_layer: size("n_layer"),
        n_head: size("n_head"),
        n_embd: size("n_embd"),
        block_size: size("block_size"),
        vocab_size: Some(size("vocab_size")),
        ..plan.model
    };
    plan.data = plan_of(DataSource::Corpus("none".to_owned()));
    plan.train = TrainPlan {
        batch_size: 3,
        sequence_length: Some(12),
        max_steps: 5,
        init_from: Some(fixture("tiny.safetensors")),
        eval_interval: 0,
        final_eval: false,
        ..plan.train
    };
    plan.optimizer = OptimizerPlan {
        learning_rate: setting("learning_rate"),
        beta1: setting("beta1"),
        beta2: setting("beta2"),
        eps: setting("eps"),
        momentum: 0.0,
        weight_decay: setting("weight_decay"),
        grad_clip: 0.0,
        ..plan.optimizer
    };
    plan.checkpoint.interval = 0;
    plan.sample.interval = 0;
    plan.hardware.device = DeviceChoice::Cpu.into();
    plan
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

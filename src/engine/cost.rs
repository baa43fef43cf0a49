//! What a run will cost, before it is started: arithmetic and memory. The report compares both with what was measured: model FLOPs
//! per second, and peak memory, on Linux the kernel's own peak counter, so that no short peak between two samples is missed.

use super::SMALL_FILES_BYTES;
use super::device;
use super::memory::{MemoryNeed, Place, Workload, optimizer_numbers};
use crate::config::experiment::{DeviceChoice, DtypeKind, RunPlan};
use crate::facts::CostInfo;
use crate::facts::optimizer::OptimizerKind;
use crate::machine;
use crate::model::flops::{StepFlops, optimizer_flops, step_flops};
use crate::model::params::model_info;
use crate::model::{Limits, ModelConfig};

/// What training a plan takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Cost {
    /// Of one optimizer step, all accumulated batches together.
    pub flops: StepFlops,
    pub memory: MemoryNeed,
}

impl Cost {
    /// About how many bytes a checkpoint takes: parameters and the optimizer's moments in single precision, whatever the run's own.
    pub fn checkpoint_bytes(&self, optimizer: &OptimizerKind) -> u64 {
        let config = &self.memory.config;
        let numbers = model_info(config).parameters as f64 + optimizer_numbers(config, *optimizer);
        4 * numbers as u64 + SMALL_FILES_BYTES
    }

    /// As the manifest holds it.
    pub fn info(&self) -> CostInfo {
        let bytes = Some(self.memory.estimate().bytes() as u64);
        let (memory_bytes, gpu_memory_bytes) = match self.memory.place {
            Place::Host => (bytes, None),
            Place::Gpu { .. } => (None, bytes),
        };
        CostInfo {
            model_flops_per_step: self.flops.model,
            recomputed_flops_per_step: self.flops.recomputed,
            optimizer_flops_per_step: self.flops.optimizer,
            memory_bytes,
            gpu_memory_bytes,
        }
    }
}

/// What training the plan takes with a tokenizer of `vocab_size` ids and a corpus of so many tokens. `None` for the scripted
/// engine, which only pretends to compute.
pub fn cost(plan: &RunPlan, vocab_size: usize, corpus_tokens: u64) -> Option<Cost> {
    cost_by(plan, vocab_size, corpus_tokens, None)
}

/// As [`cost`], with products by this kernel, where there is a choice; `None`: by the one that is the fastest here.
pub fn cost_by(plan: &RunPlan, vocab_size: usize, corpus_tokens: u64, kernel: Option<&str>) -> Option<Cost> {
    let place = place(&plan.hardware.device)?;
    let memory = memory_need(plan, vocab_size, corpus_tokens, place, kernel);
    let train = &plan.train;
    let sequences = train.batch_size * train.gradient_accumulation_steps;
    let of_passes =
        step_flops(&memory.config, sequences, plan.sequence_length(), train.activation_checkpointing);
    let flops = StepFlops { optimizer: optimizer_flops(&memory.config, &plan.optimizer), ..of_passes };
    Some(Cost { flops, memory })
}

/// What an estimate of the plan's memory in this place depends on. `kernel` is as for [`cost_by`].
pub fn memory_need(
    plan: &RunPlan,
    vocab_size: usize,
    corpus_tokens: u64,
    place: Place,
    kernel: Option<&str>,
) -> MemoryNeed {
    let train = &plan.train;
    let cores = machine::cores;
    let workload = Workload {
        batch_size: train.batch_size,
        sequence_length: plan.sequence_length(),
        optimizer: plan.optimizer.kind,
        activation_checkpointing: train.activation_checkpointing,
        dtype: plan.hardware.dtype,
        drops: plan.model.dropout > 0.0,
        widens: plan.hardware.dtype == DtypeKind::Bf16 && device::bf16_widens(kernel),
        threads: plan.hardware.threads.unwrap_or_else(cores),
        tokenizer: plan.data.tokenizer,
        saves: plan.checkpoint.interval > 0,
        corpus_tokens,
    };
    MemoryNeed { config: ModelConfig::new(&plan.model, vocab_size), workload, place }
}

/// Where this choice of a device leads; `None` for the scripted engine.
pub fn place(device: &DeviceChoice) -> Option<Place> {
    let gpu = |ordinal| Place::Gpu { ordinal, limits: limits(ordinal) };
    match device {
        DeviceChoice::Scripted => None,
        DeviceChoice::Cuda(ordinal) => Some(gpu(*ordinal)),
        DeviceChoice::Auto if device::cuda_devices().is_ok() => Some(gpu(0)),
        DeviceChoice::Auto | DeviceChoice::Cpu => Some(Place::Host),
    }
}

/// A GPU's limits from its memory; where it is not here, those of one with 16 GiB.
pub fn limits(ordinal: usize) -> Limits {
    let total_bytes = device::cuda_memory(ordinal).map_or(16 << 30, |(_, total_bytes)| total_bytes);
    Limits::of_memory(total_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, LoadOptions};
    use crate::facts::DeviceInfo;

    fn plans(set: &[&str]) -> Vec<RunPlan> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.toml");
        std::fs::write(&path, "[hardware]\ndevice = \"cpu\"\n").expect("writable");
        let options =
            LoadOptions { set: set.iter().map(|set| set.to_string()).collect(), ..LoadOptions::default() };
        config::load(&[path], &options).expect("a good experiment")
    }

    fn cost_with(set: &[&str]) -> Option<Cost> {
        cost(&plans(set)[0], 65, 1000)
    }

    #[test]
    fn accumulated_batches_add_arithmetic_and_no_memory() {
        let one = cost_with(&["train.batch_size=8"]).expect("the processor computes");
        let sets = ["train.batch_size=8", "train.gradient_accumulation_steps=3"];
        let three = cost_with(&sets).expect("the processor computes");
        assert_eq!(three.flops.model, 3.0 * one.flops.model);
        assert_eq!(three.memory, one.memory);
    }

    #[test]
    fn the_memory_is_that_of_the_kernel_that_a_run_keeps() {
        let plans = plans(&["hardware.dtype=bf16", "hardware.threads=3"]);
        let memory = |kernel| cost_by(&plans[0], 65, 1000, kernel).expect("the processor computes").memory;
        assert!(memory(Some(DeviceInfo::F32_KERNELS)).workload.widens);
        assert_eq!(memory(None).workload.widens, !device::bf16_gains());
        assert_eq!(memory(Some("MMX")), memory(None), "it is not here");
        assert_eq!(memory(None).workload.threads, 3);
    }

    #[test]
    fn the_vocabulary_is_the_tokenizers_unless_the_model_has_its_own() {
        let flops = |set: &[&str]| cost_with(set).expect("the processor computes").flops;
        assert_eq!(flops(&["model.vocab_size=65"]), flops(&[]));
        assert!(flops(&["model.vocab_size=100"]).model > flops(&[]).model);
    }

    #[test]
    fn the_scripted_engine_costs_nothing_and_a_gpus_memory_is_its_own() {
        assert_eq!(cost_with(&["hardware.device=scripted"]), None);
        let on_gpu = cost_with(&["hardware.device=cuda"]).expect("a GPU computes");
        assert!(on_gpu.info().memory_bytes.is_none() && on_gpu.info().gpu_memory_bytes > Some(0));
        assert_eq!(on_gpu.flops, cost_with(&[]).expect("the processor computes").flops);
    }
}

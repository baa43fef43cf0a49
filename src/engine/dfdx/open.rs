//! Opens the engine on each kind of device.

use ::dfdx::prelude::*;

use super::passes::Plain;
use super::{Budget, DfdxEngine, Engine, EngineError};
use crate::config::experiment::{DtypeKind, RunPlan};
use crate::engine::device;
use crate::engine::memory::Place;
use crate::facts::DeviceInfo;
use crate::machine;
use crate::ops::cpu::bf16::{Kernel, product_flops_per_sec};
use crate::ops::cpu::matmul::Workers;

/// Opens the engine on the processor. In bf16 `kernel` multiplies if it is there, else the fastest one.
pub fn open_cpu(
    plan: &RunPlan,
    vocab_size: usize,
    kernel: Option<&str>,
) -> Result<Box<dyn Engine>, EngineError> {
    let info = device_info("cpu".to_owned(), machine::cpu_name());
    let budget = Budget::new(plan, vocab_size, Place::Host, kernel, None);
    let device = Cpu::default();
    let mut engine = DfdxEngine::<f32, _, _>::open(plan, vocab_size, &device, Plain, budget, info)?;
    if plan.hardware.dtype == DtypeKind::Bf16 {
        engine.round_products(Kernel::named_or_chosen(kernel));
    }
    Ok(Box::new(engine))
}

/// What products alone do on the processor in the plan's number format: FLOP/s, by a short probe now. `kernel` is as for
/// [`open_cpu`].
pub fn probe_cpu(plan: &RunPlan, kernel: Option<&str>) -> f64 {
    match plan.hardware.dtype {
        DtypeKind::Bf16 => Kernel::named_or_chosen(kernel).flops_per_sec(Workers::All),
        DtypeKind::F32 | DtypeKind::F16 => product_flops_per_sec::<f32>((), Workers::All),
    }
}

/// Opens the engine on a GPU.
#[cfg(feature = "cuda")]
pub fn open_cuda(plan: &RunPlan, vocab_size: usize, ordinal: usize) -> Result<Box<dyn Engine>, EngineError> {
    use super::mixed::MixedPasses;
    use crate::engine::cost::limits;
    use crate::ops::OutOfMemory;

    device::check_cuda(ordinal)?;
    let name = format!("cuda:{ordinal}");
    let available_bytes = device::cuda_memory(ordinal).ok().map(|(free_bytes, _)| free_bytes);
    let place = Place::Gpu { ordinal, limits: limits(ordinal) };
    let budget = Budget::new(plan, vocab_size, place, None, available_bytes);
    let failed = |error: &dyn std::fmt::Display, out_of_memory| match out_of_memory {
        true => EngineError::OutOfMemory {
            device: name.clone(),
            doing: "opening the device",
            advice: budget.advice(),
        },
        false => EngineError::Device { device: name.clone(), reason: error.to_string() },
    };
    let cuda = Cuda::try_build(ordinal, plan.experiment.seed)
        .map_err(|error| failed(&error, Cuda::is_out_of_memory(&error)))?;
    crate::ops::cuda::load_kernels(&cuda).map_err(|error| failed(&error, error.is_out_of_memory()))?;
    let info = device_info(name.clone(), device::cuda_name(ordinal));
    Ok(match plan.hardware.dtype {
        DtypeKind::F32 => Box::new(DfdxEngine::open(plan, vocab_size, &cuda, Plain, budget, info)?),
        DtypeKind::Bf16 => unreachable!("the device was checked for the format"),
        DtypeKind::F16 => Box::new(DfdxEngine::open(
            plan,
            vocab_size,
            &cuda,
            MixedPasses::<crate::ops::F16, _>::default(),
            budget,
            info,
        )?),
    })
}

/// Says why there is no GPU.
#[cfg(not(feature = "cuda"))]
pub fn open_cuda(_: &RunPlan, _: usize, ordinal: usize) -> Result<Box<dyn Engine>, EngineError> {
    device::check_cuda(ordinal)?;
    unreachable!("a binary without CUDA has no CUDA device")
}

fn device_info(device: String, name: String) -> DeviceInfo {
    DeviceInfo {
        device,
        name,
        dtype: String::new(),
        kernel: None,
        product_probes: Vec::new(),
        threads: rayon::current_num_threads(),
    }
}

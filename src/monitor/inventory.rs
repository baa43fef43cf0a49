//! The NVIDIA GPUs of this machine, as the driver's management library lists them: also those that CUDA was told to hide, and
//! also for a program without CUDA.

use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use serde::{Deserialize, Serialize};

/// What the management library says of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Version of the driver, as NVIDIA counts them: `550.54.15`.
    pub driver: Option<String>,
    /// The newest CUDA release whose programs the driver runs, as major and minor version.
    pub cuda: Option<(u32, u32)>,
    pub gpus: Vec<InventoryGpu>,
}

/// A GPU of the machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InventoryGpu {
    pub name: String,
    /// Major and minor compute capability.
    pub capability: Option<(u32, u32)>,
    pub memory_bytes: Option<u64>,
}

/// Asks the management library. Without it, or where it fails, the reason.
pub fn inventory() -> Result<Inventory, String> {
    let nvml = Nvml::init().map_err(|error| match error {
        NvmlError::LibloadingError(error) => error.to_string(),
        other => other.to_string(),
    })?;
    let version = |version: i32| {
        let version = u32::try_from(version).ok()?;
        Some((version / 1000, version % 1000 / 10))
    };
    let count = nvml.device_count().map_err(|error| error.to_string())?;
    let gpus = (0..count).filter_map(|index| gpu(&nvml, index)).collect();
    let cuda = nvml.sys_cuda_driver_version().ok().and_then(version);
    Ok(Inventory { driver: nvml.sys_driver_version().ok(), cuda, gpus })
}

fn gpu(nvml: &Nvml, index: u32) -> Option<InventoryGpu> {
    let device = nvml.device_by_index(index).ok()?;
    let capability = device.cuda_compute_capability().ok();
    let number = |value| u32::try_from(value).ok();
    Some(InventoryGpu {
        name: device.name().ok()?,
        capability: capability.and_then(|found| Some((number(found.major)?, number(found.minor)?))),
        memory_bytes: device.memory_info().ok().map(|memory| memory.total),
    })
}

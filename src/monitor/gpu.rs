//! An NVIDIA GPU's numbers, from the driver's management library if that is installed.

use nvml_wrapper::enum_wrappers::device::TemperatureSensor;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Device, Nvml};

use super::Resources;

/// How NVML is asked for a GPU.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Index(u32),
    Uuid(String),
}

pub(super) struct Gpu {
    nvml: Nvml,
    name: Name,
}

impl Gpu {
    /// The GPU that CUDA calls `ordinal`; `None` without the library or the GPU.
    pub(super) fn open(ordinal: usize) -> Option<Gpu> {
        let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        let gpu = Gpu { nvml: Nvml::init().ok()?, name: name(ordinal, visible.as_deref())? };
        gpu.device().is_ok().then_some(gpu)
    }

    /// `sample` with what the GPU tells; what it does not know stays `None`.
    pub(super) fn add_to(&self, sample: Resources) -> Resources {
        let Ok(device) = self.device() else { return sample };
        Resources {
            gpu_percent: device.utilization_rates().ok().map(|rates| f64::from(rates.gpu)),
            gpu_memory_bytes: device.memory_info().ok().map(|memory| memory.used as f64),
            gpu_power_watts: device.power_usage().ok().map(|milliwatts| f64::from(milliwatts) / 1e3),
            gpu_temperature_celsius: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
            ..sample
        }
    }

    fn device(&self) -> Result<Device<'_>, NvmlError> {
        match &self.name {
            Name::Index(index) => self.nvml.device_by_index(*index),
            Name::Uuid(uuid) => self.nvml.device_by_uuid(uuid.as_str()),
        }
    }
}

/// CUDA counts the GPUs that `CUDA_VISIBLE_DEVICES` lists, NVML counts all of them. Assumption: both count in the same
/// order, which on machines with unlike GPUs needs `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
fn name(ordinal: usize, visible: Option<&str>) -> Option<Name> {
    let Some(visible) = visible else { return u32::try_from(ordinal).ok().map(Name::Index) };
    let entry = visible.split(',').nth(ordinal)?.trim();
    match entry.parse() {
        Ok(index) => Some(Name::Index(index)),
        Err(_) if entry.starts_with("GPU-") || entry.starts_with("MIG-") => {
            Some(Name::Uuid(entry.to_owned()))
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinals_count_the_visible_gpus() {
        assert_eq!(name(1, None), Some(Name::Index(1)));
        assert_eq!(name(1, Some("3, 2")), Some(Name::Index(2)));
        assert_eq!(name(0, Some("GPU-8932f937")), Some(Name::Uuid("GPU-8932f937".to_owned())));
        for nowhere in ["", "-1", "3", "all,none"] {
            assert_eq!(name(1, Some(nowhere)), None, "{nowhere}");
        }
    }
}

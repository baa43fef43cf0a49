//! Which devices this program and this machine have.

use super::EngineError;

/// How to get a binary that can use a GPU.
#[cfg(not(feature = "cuda"))]
const BUILD_WITH_CUDA: &str = "this binary was built without CUDA; with the CUDA toolkit (nvcc) and NVIDIA's driver \
                               installed, build one with `cargo build --release --features cuda`";

/// Number of CUDA devices that can be used, or why there are none.
pub fn cuda_devices() -> Result<usize, String> {
    #[cfg(feature = "cuda")]
    {
        // dfdx panics when it is asked for a device that is not there.
        use cudarc::driver::result;
        result::init().map_err(|error| format!("the CUDA driver does not start: {error:?}"))?;
        let count =
            result::device::get_count().map_err(|error| format!("counting CUDA devices: {error:?}"))?;
        if count < 1 { Err("there is no CUDA device".to_owned()) } else { Ok(count as usize) }
    }
    #[cfg(not(feature = "cuda"))]
    Err(BUILD_WITH_CUDA.to_owned())
}

/// Checks that the CUDA device of this ordinal can be used.
pub fn check_cuda(ordinal: usize) -> Result<(), EngineError> {
    let device = format!("cuda:{ordinal}");
    match cuda_devices() {
        Ok(count) if ordinal < count => Ok(()),
        Ok(count) => Err(EngineError::Device {
            device,
            reason: format!("this machine has {count} CUDA device(s), from cuda:0 on"),
        }),
        Err(reason) => Err(EngineError::Device { device, reason }),
    }
}

/// The processor's own name.
pub fn cpu_name() -> String {
    use sysinfo::{CpuRefreshKind, RefreshKind, System};
    let refresh = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let brand = System::new_with_specifics(refresh)
        .ok()
        .and_then(|system| system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()))
        .unwrap_or_default();
    if brand.is_empty() { "unknown processor".to_owned() } else { brand }
}

/// The GPU's own name, where NVIDIA's management library is there to tell it.
#[cfg(feature = "cuda")]
pub fn cuda_name(ordinal: usize) -> String {
    let name = || {
        let nvml = nvml_wrapper::Nvml::init().ok()?;
        nvml.device_by_index(u32::try_from(ordinal).ok()?).ok()?.name().ok()
    };
    name().unwrap_or_else(|| "unknown GPU".to_owned())
}

//! Why a CUDA device cannot be used.

use super::kernels::{Kernels, Version};

/// What is wrong, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaProblem {
    #[error(
        "this binary was built without CUDA; with the CUDA toolkit (nvcc) installed, build one with `cargo build --release \
         --features cuda`"
    )]
    NotBuilt,
    #[error(
        "NVIDIA's driver is not installed here ({reason}); install it where there is an NVIDIA GPU; with hardware.device = \
         \"auto\" or \"cpu\" runs train on the processor"
    )]
    NoDriverLibrary { reason: String },
    #[error(
        "cuBLAS, NVIDIA's library for matrix products, was not found ({reason}); `pip install {package}` in the Python environment that \
         is active when the program starts, or put the folder of `libcublas.so` into LD_LIBRARY_PATH"
    )]
    NoCublas {
        reason: String,
        /// PyPI's, for this driver.
        package: &'static str,
    },
    #[error("the CUDA driver does not start: {reason}; {mend}")]
    NoDriver { reason: String, mend: &'static str },
    #[error(
        "there is no CUDA device{}; see whether `nvidia-smi` lists one, and whether the container or the job was given one",
        hidden_by(.visible.as_deref())
    )]
    NoDevice {
        /// `CUDA_VISIBLE_DEVICES`, where that is set.
        visible: Option<String>,
    },
    #[error(
        "there is no such device: this machine has {}{}; set hardware.device to one of these", devices.join(", "),
        hidden_by(.visible.as_deref())
    )]
    NoSuchDevice {
        /// As `cuda:0 (Tesla T4)`.
        devices: Vec<String>,
        visible: Option<String>,
    },
    #[error(
        "the driver knows CUDA up to {driver}, and the kernels of this binary need {}; install a newer driver", .kernels.oldest_driver()
    )]
    DriverTooOld { driver: Version, kernels: Kernels },
    #[error(
        "{name} has compute capability {capability}, and this binary has kernels for {} and newer; build again with `{}` and a toolkit \
         that still knows such cards", .kernels.capability, build_command(Some(*.capability))
    )]
    DeviceTooOld { name: String, capability: Version, kernels: Kernels },
    #[error(
        "{name} or its driver has no memory pools (`cuMemAllocAsync`), without which dfdx does not work; drivers for CUDA 11.2 and \
         newer have them on most systems, some virtual GPUs never: install a newer driver, or take another device"
    )]
    NoPools { name: String },
    #[error(
        "the device is busy or closed to programs ({reason}); `nvidia-smi` shows who uses it (compute mode: exclusive or \
         prohibited?); wait, take another device, or have an administrator run `nvidia-smi --compute-mode=0`"
    )]
    Busy { reason: String },
    #[error(
        "the device's memory is already full ({reason}); `nvidia-smi` shows who uses it; end that program, \
         wait, or take another device"
    )]
    Full { reason: String },
    #[error("the device cannot be opened: {reason}; `runner doctor` looks at driver, devices and kernels")]
    Unusable { reason: String },
}

/// The command, to be called in the source folder, that builds for all usual devices and one of this compute capability.
pub fn build_command(capability: Option<Version>) -> String {
    let command = "cargo build --release --features cuda";
    match capability {
        // What a build makes otherwise runs on everything from here on.
        Some(capability) if capability < Version::new(7, 5) => {
            format!("RUNNER_CUDA_ARCHITECTURES={} {command}", capability.digits())
        }
        _ => command.to_owned(),
    }
}

/// PyPI's package with cuBLAS for a driver of this major release.
pub fn cublas_package(driver: Option<u32>) -> &'static str {
    match driver {
        Some(11) => "nvidia-cublas-cu11",
        Some(12) => "nvidia-cublas-cu12",
        _ => "nvidia-cublas",
    }
}

fn hidden_by(visible: Option<&str>) -> String {
    visible.map_or_else(String::new, |list| format!(" (CUDA_VISIBLE_DEVICES={list:?} hides all others)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernels() -> Kernels {
        let (toolkit, ptx) = (Version::new(13, 0), Version::new(7, 4));
        Kernels { toolkit, ptx, capability: Version::new(7, 5), compiled: Vec::new() }
    }

    #[test]
    fn an_old_driver_is_told_what_is_needed() {
        let text = CudaProblem::DriverTooOld { driver: Version::new(11, 2), kernels: kernels() }.to_string();
        assert!(text.contains("up to 11.2") && text.contains("need 11.4; install a newer driver"), "{text}");
    }

    #[test]
    fn an_old_device_is_told_how_to_build_for_it() {
        let capability = Version::new(7, 0);
        let text =
            CudaProblem::DeviceTooOld { name: "Tesla V100".to_owned(), capability, kernels: kernels() };
        let text = text.to_string();
        assert!(text.contains("Tesla V100 has compute capability 7.0"), "{text}");
        assert!(
            text.contains("RUNNER_CUDA_ARCHITECTURES=70 cargo build --release --features cuda"),
            "{text}"
        );
        assert_eq!(build_command(Some(Version::new(8, 6))), build_command(None));
    }

    #[test]
    fn the_package_with_cublas_goes_with_the_driver() {
        assert_eq!(cublas_package(Some(12)), "nvidia-cublas-cu12");
        assert_eq!(cublas_package(Some(13)), "nvidia-cublas");
        assert_eq!(cublas_package(None), "nvidia-cublas");
    }

    #[test]
    fn hidden_devices_are_mentioned_only_where_some_are_hidden() {
        let text =
            |visible: Option<&str>| CudaProblem::NoDevice { visible: visible.map(str::to_owned) }.to_string();
        assert!(text(Some("")).contains("CUDA_VISIBLE_DEVICES=\"\" hides all others"));
        assert!(!text(None).contains("CUDA_VISIBLE_DEVICES"));
    }

    #[test]
    fn a_wrong_ordinal_is_answered_with_the_devices_that_are_there() {
        let devices = vec!["cuda:0 (Tesla T4)".to_owned(), "cuda:1 (Tesla T4)".to_owned()];
        let text = CudaProblem::NoSuchDevice { devices, visible: None }.to_string();
        assert!(text.contains("has cuda:0 (Tesla T4), cuda:1 (Tesla T4); set hardware.device"), "{text}");
    }
}

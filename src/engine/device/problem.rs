//! Why a CUDA device cannot be used.

use super::kernels::{Kernels, Version};

/// What is wrong, why, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CudaProblem {
    #[error(
        "this binary was built without CUDA; with the CUDA toolkit (nvcc) and NVIDIA's driver installed, build one with \
         `cargo build --release --features cuda`"
    )]
    NotBuilt,
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
        "the driver knows CUDA up to {driver}, and the kernels of this binary, compiled with CUDA {}, need {}; install a \
         newer driver, or build again with a toolkit not newer than {driver}, after `cargo clean`", .kernels.toolkit, .kernels.oldest_driver()
    )]
    DriverTooOld { driver: Version, kernels: Kernels },
    #[error(
        "{name} has compute capability {capability}, and the kernels of this binary were compiled for {} and newer; build \
         again with `{}`", .kernels.capability, build_command(Some(*.capability))
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

/// The command, to be called in the source folder, that builds for a device of this compute capability; for the one that
/// `nvidia-smi` names where it is not known.
pub fn build_command(capability: Option<Version>) -> String {
    let command = "cargo build --release --features cuda";
    match capability {
        // See the header: nvcc refuses some of dfdx's functions without it.
        Some(capability) if capability < Version::new(8, 0) => format!(
            "NVCC_APPEND_FLAGS=\"-include $PWD/src/engine/device/before_sm80.h\" CUDA_COMPUTE_CAP={} {command}",
            capability.digits()
        ),
        Some(capability) => format!("CUDA_COMPUTE_CAP={} {command}", capability.digits()),
        None => command.to_owned(),
    }
}

fn hidden_by(visible: Option<&str>) -> String {
    visible.map_or_else(String::new, |list| format!(" (CUDA_VISIBLE_DEVICES={list:?} hides all others)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KERNELS: Kernels =
        Kernels { toolkit: Version::new(13, 0), ptx: Version::new(9, 0), capability: Version::new(8, 0) };

    #[test]
    fn an_old_driver_is_told_both_ways_out() {
        let text = CudaProblem::DriverTooOld { driver: Version::new(12, 4), kernels: KERNELS }.to_string();
        assert!(text.contains("up to 12.4") && text.contains("need 13.0"), "{text}");
        assert!(text.contains("newer driver") && text.contains("toolkit not newer than 12.4"), "{text}");
    }

    #[test]
    fn an_old_device_is_told_how_to_build_for_it() {
        let capability = Version::new(7, 5);
        let text = CudaProblem::DeviceTooOld { name: "Tesla T4".to_owned(), capability, kernels: KERNELS };
        let text = text.to_string();
        assert!(text.contains("Tesla T4 has compute capability 7.5"), "{text}");
        assert!(text.contains("CUDA_COMPUTE_CAP=75 cargo build --release --features cuda"), "{text}");
        assert!(text.contains("-include $PWD/src/engine/device/before_sm80.h"), "{text}");
        assert!(
            std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("src/engine/device/before_sm80.h")
                .is_file()
        );
        assert!(!build_command(Some(Version::new(8, 6))).contains("before_sm80"));
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

//! Which devices this program and this machine have, and what is wrong with those that cannot be used. Everything is asked
//! here before dfdx is asked for a device: it panics where there is none.
//!
//! # Building for a GPU
//!
//! - Driver and toolkit: drivers from 525 on run CUDA 12.0, those from 580 on 13.0; a newer 12.x or 13.x needs a newer driver. `nvidia-smi`
//!   prints the newest release that a driver runs as *CUDA Version*. Cards before the V100 were not tried at all.
//! - `before_sm80.h` keeps `nvcc` from refusing dfdx's half-precision functions (`__hmax_nan has already been defined`) for cards before
//!   compute capability 8.0.
//! - After a change of toolkit run `cargo clean` first: cargo does not see it. Build on the machine where it will run, and keep `target/` and the
//!   toolkit in place: dfdx compiles some kernels while a run is on, from files in both. A build needs `nvidia-smi` on the PATH, and a
//!   toolkit that knows the first card it lists.
//! - A binary with CUDA does not start where there is no driver, not even for the processor: `error while loading shared libraries:
//!   libcuda.so.1: cannot open shared object file`. If the message names `libnvrtc` or `libcublas`, the toolkit is missing from
//!   `LD_LIBRARY_PATH`. Build without the feature for machines without a GPU.
//! - `hardware.device = "cuda:1"` is the second card that CUDA counts; `CUDA_VISIBLE_DEVICES` hides cards from it.
//! - f16: passes run in half precision with dynamic loss scaling, weights, optimizer and checkpoints are f32, so that checkpoints move
//!   between devices and precisions. Dropout masks are drawn on the processor, the same for every device, and copied. When a card's
//!   memory runs out, the error says which batch size would fit; `runner plan --memory` shows the estimate beforehand, without what CUDA
//!   itself takes.

use serde::{Deserialize, Serialize};

use super::EngineError;

#[cfg(feature = "cuda")]
mod compiler;
mod cpu;
#[cfg(feature = "cuda")]
mod driver;
pub mod kernels;
mod problem;
#[cfg(feature = "cuda")]
mod trial;

#[cfg(feature = "cuda")]
pub use compiler::{check_compiler, compiler_version, missing_build_files};
pub use cpu::{
    BF16_GAINS_NOTHING, Bf16Kernel, KernelState, ProductKernels, ProductSpeed, bf16_gains, bf16_kernels,
    bf16_products, bf16_widens, f32_products, product_kernels,
};
#[cfg(feature = "cuda")]
pub use driver::{check_kernels, check_open, kernels as cuda_kernels, version as cuda_driver};
use kernels::Version;
pub use problem::{CudaProblem, build_command};

/// A GPU, as its driver describes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CudaDevice {
    /// The N of `cuda:N`.
    pub ordinal: usize,
    pub name: String,
    /// The generation of the hardware: 7.5 is Turing.
    pub capability: Version,
    /// All of its memory.
    pub memory_bytes: u64,
    pub compute_mode: ComputeMode,
}

/// Which programs may use a GPU, as set by its administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ComputeMode {
    /// Any number of programs.
    Shared,
    /// One at a time.
    ExclusiveProcess,
    /// None.
    Prohibited,
}

/// Number of CUDA devices that there are, or why there are none.
pub fn cuda_devices() -> Result<usize, String> {
    count().map_err(|problem| problem.to_string())
}

/// Checks that the CUDA device of this ordinal can be used: that it is there, that driver and device can run this program's
/// kernels, and that the device can be opened.
pub fn check_cuda(ordinal: usize) -> Result<(), EngineError> {
    usable(ordinal).map_err(|problem| refused(ordinal, problem))
}

/// Free and total memory of a CUDA device in bytes.
///
/// # Errors
/// Where there is no such device, and where it cannot be opened.
pub fn cuda_memory(ordinal: usize) -> Result<(u64, u64), EngineError> {
    memory(ordinal).map_err(|problem| refused(ordinal, problem))
}

/// What tells the GPU from all others of the machine, whichever of them a process sees; `None` where the driver does not say.
pub fn cuda_id(ordinal: usize) -> Option<String> {
    id(ordinal)
}

/// The GPU's own name.
pub fn cuda_name(ordinal: usize) -> String {
    cuda_device(ordinal).map_or_else(|_| "unknown GPU".to_owned(), |device| device.name)
}

fn refused(ordinal: usize, problem: CudaProblem) -> EngineError {
    EngineError::Device { device: format!("cuda:{ordinal}"), reason: problem.to_string() }
}

#[cfg(feature = "cuda")]
mod asked {
    use super::{CudaDevice, CudaProblem, driver};

    pub use super::driver::{count, id, memory};
    pub use super::trial::compute;

    /// The CUDA device of this ordinal.
    pub fn cuda_device(ordinal: usize) -> Result<CudaDevice, CudaProblem> {
        driver::device(ordinal)
    }

    pub fn usable(ordinal: usize) -> Result<(), CudaProblem> {
        let device = driver::device(ordinal)?;
        driver::check_kernels(&device)?;
        driver::check_pools(&device)?;
        driver::check_open(ordinal)
    }
}

/// A binary without CUDA has one answer.
#[cfg(not(feature = "cuda"))]
mod asked {
    use super::{CudaDevice, CudaProblem};

    pub fn count() -> Result<usize, CudaProblem> {
        Err(CudaProblem::NotBuilt)
    }

    /// The CUDA device of this ordinal.
    pub fn cuda_device(_ordinal: usize) -> Result<CudaDevice, CudaProblem> {
        Err(CudaProblem::NotBuilt)
    }

    pub fn memory(_ordinal: usize) -> Result<(u64, u64), CudaProblem> {
        Err(CudaProblem::NotBuilt)
    }

    pub fn id(_ordinal: usize) -> Option<String> {
        None
    }

    pub fn usable(_ordinal: usize) -> Result<(), CudaProblem> {
        Err(CudaProblem::NotBuilt)
    }

    /// A small computation on the device, held against the processor's.
    pub fn compute(_ordinal: usize) -> Result<Vec<(String, f64)>, String> {
        Err(CudaProblem::NotBuilt.to_string())
    }
}

pub use asked::{compute, cuda_device};
use asked::{count, id, memory, usable};

#[cfg(all(test, not(feature = "cuda")))]
mod tests {
    use super::*;

    #[test]
    fn a_binary_without_cuda_says_how_to_build_one_with_it() {
        let how = "cargo build --release --features cuda";
        assert!(cuda_devices().expect_err("no CUDA").contains(how));
        for error in [check_cuda(0).expect_err("no CUDA"), cuda_memory(1).expect_err("no CUDA")] {
            let text = error.to_string();
            assert!(text.starts_with("cuda:") && text.contains(how), "{text}");
        }
        assert_eq!(cuda_name(0), "unknown GPU");
    }
}

//! Which devices this program and this machine have, and what is wrong with those that cannot be used. Everything is asked
//! here before dfdx is asked for a device: it panics where there is none.
//!
//! # Building for a GPU
//!
//! - A build needs `nvcc` and nothing else of NVIDIA's: no card, no driver, no cuBLAS. It compiles dfdx's kernels and this program's to text
//!   in NVIDIA's intermediate language, which drivers from CUDA 11.4 on translate for every card from compute capability 7.5 on, and a
//!   release build to code for the cards that people have; `RUNNER_CUDA_ARCHITECTURES` says for which. See `src/build/kernels.rs` and
//!   `src/ops/cuda/table.rs`.
//! - `before_sm80.h` keeps `nvcc` from refusing dfdx's half-precision functions (`__hmax_nan has already been defined`) for cards before
//!   compute capability 8.0.
//! - The binary carries its kernels, and reads no file of the build or of a toolkit when it runs. The driver and cuBLAS are opened when a
//!   device is asked for, see `loaded`: it starts and trains on the processor where there are none.
//! - `hardware.device = "cuda:1"` is the second card that CUDA counts; `CUDA_VISIBLE_DEVICES` hides cards from it.
//! - f16: passes run in half precision with dynamic loss scaling, weights, optimizer and checkpoints are f32, so that checkpoints move
//!   between devices and precisions. Dropout masks are drawn on the processor, the same for every device, and copied. When a card's
//!   memory runs out, the error says which batch size would fit; `runner plan --memory` shows the estimate beforehand, without what CUDA
//!   itself takes.

use serde::{Deserialize, Serialize};

use super::EngineError;

mod cpu;
#[cfg(feature = "cuda")]
mod driver;
pub mod kernels;
#[cfg(feature = "cuda")]
mod loaded;
mod problem;
#[cfg(feature = "cuda")]
mod trial;

pub use cpu::{
    BF16_GAINS_NOTHING, Bf16Kernel, KernelState, ProductKernels, ProductSpeed, bf16_gains, bf16_kernels,
    bf16_products, bf16_widens, f32_products, product_kernels,
};
#[cfg(feature = "cuda")]
pub use driver::{check_cublas, check_kernels, check_open, cublas, version as cuda_driver};
use kernels::Version;
pub use problem::{CudaProblem, build_command, cublas_package};

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

/// Number of CUDA devices that can be trained on as far as libraries go, or why there are none.
pub fn cuda_devices() -> Result<usize, String> {
    count().and_then(|count| libraries().map(|()| count)).map_err(|problem| problem.to_string())
}

/// Whether this binary could use a GPU and the driver's library is not on this machine.
pub fn driver_is_missing() -> bool {
    matches!(count(), Err(CudaProblem::NoDriverLibrary { .. }))
}

/// Why a run that leaves the choice of a device to the program is on the processor though there is a GPU: a library is missing.
pub fn gpu_passed_over() -> Option<String> {
    count().ok()?;
    libraries().err().map(|problem| format!("there is a GPU, and the run is on the processor: {problem}"))
}

/// Number of CUDA devices that the driver has, whether or not they can be used.
pub fn cuda_devices_listed() -> Result<usize, CudaProblem> {
    count()
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

    pub use super::driver::{check_cublas as libraries, count, id, memory};
    pub use super::trial::compute;

    /// The CUDA device of this ordinal.
    pub fn cuda_device(ordinal: usize) -> Result<CudaDevice, CudaProblem> {
        driver::device(ordinal)
    }

    pub fn usable(ordinal: usize) -> Result<(), CudaProblem> {
        let device = driver::device(ordinal)?;
        libraries()?;
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

    pub fn libraries() -> Result<(), CudaProblem> {
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
use asked::{count, id, libraries, memory, usable};

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

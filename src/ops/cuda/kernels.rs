//! Compiles `kernels.cu` with NVRTC, loads it and launches it.

use std::sync::Arc;

use cudarc::driver::{CudaDevice, CudaFunction, DriverError, LaunchAsync, LaunchConfig};
use cudarc::nvrtc::{CompileError, compile_ptx};

const SOURCE: &str = include_str!("kernels.cu");
/// The name under which the device keeps them.
const MODULE: &str = "runner";
const NAMES: [&str; 4] = ["scale", "add_squares", "add_half", "write_half"];

/// Threads of a block; `add_squares` counts on a power of two up to 256.
const BLOCK_THREADS: u32 = 256;
/// Enough blocks to fill any GPU; each thread takes several elements of what is longer.
pub const MAX_BLOCKS: u32 = 1024;

/// The kernels could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("asking dfdx for its device: {0:?}")]
    Device(DriverError),
    #[error("NVRTC, the CUDA toolkit's compiler at run time, fails: {0}")]
    Compile(String),
    #[error("loading compiled kernels: {0:?}; is the driver older than the CUDA toolkit?")]
    Load(DriverError),
}

impl KernelError {
    /// Whether the device had too little memory.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Device(error) | Self::Load(error) => {
                error.0 == cudarc::driver::sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY
            }
            Self::Compile(_) => false,
        }
    }
}

/// Compiles and loads the kernels, unless the device has them.
pub fn load(device: &Arc<CudaDevice>) -> Result<(), KernelError> {
    if device.has_func(MODULE, NAMES[0]) {
        return Ok(());
    }
    // For the oldest GPU that the compiler knows. The driver translates it for the one that is there.
    let ptx = compile_ptx(SOURCE).map_err(|error| KernelError::Compile(words(&error)))?;
    device.load_ptx(ptx, MODULE, &NAMES).map_err(KernelError::Load)
}

/// The compiler's own message where there is one.
fn words(error: &CompileError) -> String {
    match error {
        CompileError::CompileError { log, .. } => log.to_string_lossy().trim().to_owned(),
        other => format!("{other:?}"),
    }
}

/// Launches a kernel with one thread for each of `len` elements, or fewer threads that take several.
///
/// # Safety
/// `params` are what the kernel of this name in `kernels.cu` takes, and its pointers are to `len` elements, or where it has a
/// share for each block to [`MAX_BLOCKS`].
pub unsafe fn launch<P>(
    device: &Arc<CudaDevice>,
    name: &'static str,
    len: usize,
    params: P,
) -> Result<(), DriverError>
where
    CudaFunction: LaunchAsync<P>,
{
    let missing = || DriverError(cudarc::driver::sys::cudaError_enum::CUDA_ERROR_NOT_FOUND);
    let kernel = device.get_func(MODULE, name).ok_or_else(missing)?;
    let blocks = len.div_ceil(BLOCK_THREADS as usize).clamp(1, MAX_BLOCKS as usize) as u32;
    let config =
        LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK_THREADS, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the caller's promise.
    unsafe { kernel.launch(config, params) }
}

//! Launches this program's own kernels.

use std::io;
use std::sync::Arc;

use cudarc::driver::{CudaDevice, CudaFunction, DriverError, LaunchAsync, LaunchConfig};

use super::carried;

/// Threads of a block; `add_squares` counts on a power of two up to 256.
const BLOCK_THREADS: u32 = 256;
/// Enough blocks to fill any GPU; each thread takes several elements of what is longer.
pub const MAX_BLOCKS: u32 = 1024;

/// The kernels could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("asking the driver about the device: {0:?}")]
    Device(DriverError),
    #[error("this program has no kernels for compute capability {}.{}", capability / 10, capability % 10)]
    TooOld {
        /// Without its point.
        capability: u32,
    },
    #[error("unpacking this program's kernels: {0}")]
    Unpack(io::Error),
    #[error("loading this program's kernels: {0:?}; `runner doctor` says what they need")]
    Load(DriverError),
}

impl KernelError {
    /// Whether the device had too little memory.
    pub fn is_out_of_memory(&self) -> bool {
        match self {
            Self::Device(error) | Self::Load(error) => {
                error.0 == cudarc::driver::sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY
            }
            Self::TooOld { .. } | Self::Unpack(_) => false,
        }
    }
}

/// Launches a kernel with one thread for each of `len` elements, or fewer threads that take several.
///
/// # Safety
/// `params` are what the kernel of this name in a `.cu` file beside this one takes, and its pointers are to `len` elements, or where it has a
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
    let kernel = carried::kernel(device, name).ok_or_else(missing)?;
    let blocks = len.div_ceil(BLOCK_THREADS as usize).clamp(1, MAX_BLOCKS as usize) as u32;
    let config =
        LaunchConfig { grid_dim: (blocks, 1, 1), block_dim: (BLOCK_THREADS, 1, 1), shared_mem_bytes: 0 };
    // SAFETY: the caller's promise.
    unsafe { kernel.launch(config, params) }
}

//! Launches the kernels of the `.cu` files of this folder.

use std::io;
use std::sync::Arc;

use cudarc::cublas::result::CublasError;
use cudarc::driver::{CudaDevice, CudaFunction, DeviceRepr, DriverError, LaunchAsync, LaunchConfig};

use super::carried;
use super::number::Number;

/// A kernel that there is in both precisions.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    single: &'static str,
    half: &'static str,
}

macro_rules! kernels {
    ({ $($both:ident = $text:literal,)+ } { $($alone:ident = $name:literal,)+ }) => {
        $(pub const $both: Kernel = Kernel { single: concat!($text, "_f32"), half: concat!($text, "_f16") };)+
        $(pub const $alone: &str = $name;)+
        #[cfg(test)]
        pub const NAMES: &[&str] = &[$(concat!($text, "_f32"), concat!($text, "_f16"),)+ $($name),+];
    };
}
kernels! {
    {
    ADD_NORM = "add_norm",
    NORM_BACKWARD = "norm_backward",
    COLUMNS = "columns",
    ADD_COLUMNS = "add_columns",
    BIAS_GELU = "bias_gelu",
    HEADS = "heads",
    SOFTMAX = "softmax",
    SOFTMAX_BACKWARD = "softmax_backward",
    DROP_ELEMENTS = "drop_elements",
    EMBED = "embed",
    EMBED_BACKWARD = "embed_backward",
    CROSS_ENTROPY = "cross_entropy",
    CROSS_ENTROPY_BACKWARD = "cross_entropy_backward",
    MEAN_LOSS = "mean_loss",
    } {
    SCALE = "scale",
    MASKS = "masks",
    SQUARES = "squares",
    TOTAL = "total",
    ADAMW = "adamw",
    SGD = "sgd",
    NARROW_MANY = "narrow_many",
    ADD_HALVES = "add_halves",
    }
}

impl Kernel {
    /// The one for tensors of this format.
    pub fn of<E: Number>(self) -> &'static str {
        if E::IS_HALF { self.half } else { self.single }
    }
}

/// The most threads of a block, as in `kernel.cuh`.
pub const THREADS: u32 = 256;
/// Enough blocks to fill any GPU; each thread takes several elements of what is longer.
const MAX_BLOCKS: usize = 1024;
/// Blocks that take a row each; what has more rows has some of them take several.
const MAX_ROWS: usize = 1 << 20;

/// The kernels could not be made ready.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    #[error("asking dfdx or the driver about the device: {0:?}")]
    Device(DriverError),
    #[error("cuBLAS does not start: {0:?}")]
    Blas(CublasError),
    #[error("dfdx shows its memory in another form: {0}")]
    Form(String),
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
        use cudarc::cublas::sys::cublasStatus_t::CUBLAS_STATUS_ALLOC_FAILED;
        match self {
            Self::Device(error) | Self::Load(error) => {
                error.0 == cudarc::driver::sys::cudaError_enum::CUDA_ERROR_OUT_OF_MEMORY
            }
            Self::Blas(error) => error.0 == CUBLAS_STATUS_ALLOC_FAILED,
            Self::Form(_) | Self::TooOld { .. } | Self::Unpack(_) => false,
        }
    }
}

/// Blocks and their threads.
#[derive(Clone, Copy, Debug)]
pub struct Grid {
    pub blocks: (u32, u32),
    pub threads: (u32, u32),
}

impl Grid {
    /// A thread for each of so many elements, or fewer that take several.
    pub fn elements(len: usize) -> Self {
        let blocks = len.div_ceil(THREADS as usize).clamp(1, MAX_BLOCKS) as u32;
        Self { blocks: (blocks, 1), threads: (THREADS, 1) }
    }

    /// A block for each row, with as many threads as a row of so many elements keeps busy: a power of two.
    pub fn rows(rows: usize, columns: usize) -> Self {
        let threads = columns.next_power_of_two().clamp(32, THREADS as usize) as u32;
        Self { blocks: (rows.clamp(1, MAX_ROWS) as u32, 1), threads: (threads, 1) }
    }

    /// So many blocks.
    pub fn blocks(blocks: usize) -> Self {
        Self { blocks: (blocks.max(1) as u32, 1), threads: (THREADS, 1) }
    }
}

/// Launches a kernel whose only parameter is a structure.
///
/// # Safety
/// The structure is what the kernel of this name takes, and the memory that it points to is as large as the kernel takes it for and lives
/// until the device is done.
pub unsafe fn launch<P: DeviceRepr>(
    device: &Arc<CudaDevice>,
    name: &'static str,
    grid: Grid,
    parameters: P,
) -> Result<(), DriverError> {
    // SAFETY: the caller's promise.
    unsafe { launch_with(device, name, grid, (parameters,)) }
}

/// Launches a kernel.
///
/// # Safety
/// As for [`launch`], for each of the parameters.
pub unsafe fn launch_with<P>(
    device: &Arc<CudaDevice>,
    name: &'static str,
    grid: Grid,
    parameters: P,
) -> Result<(), DriverError>
where
    CudaFunction: LaunchAsync<P>,
{
    let missing = || DriverError(cudarc::driver::sys::cudaError_enum::CUDA_ERROR_NOT_FOUND);
    let kernel = carried::kernel(device, name).ok_or_else(missing)?;
    let Grid { blocks, threads } = grid;
    let config = LaunchConfig {
        grid_dim: (blocks.0, blocks.1, 1),
        block_dim: (threads.0, threads.1, 1),
        shared_mem_bytes: 0,
    };
    // SAFETY: the caller's promise.
    unsafe { kernel.launch(config, parameters) }
}

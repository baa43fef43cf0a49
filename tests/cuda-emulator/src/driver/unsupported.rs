//! Functions that cudarc names, so that programs link, and that dfdx never calls.

use std::ffi::{c_int, c_void};

use super::{CudaError, give};

/// Each says its name on standard error and gives an error. They look at no arguments, so they declare none: the C calling
/// conventions of the machines this runs on leave arguments to the caller.
macro_rules! unsupported {
    ($code:expr; $($name:ident)+) => { $(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name() -> c_int {
            eprintln!("CUDA emulator: {} is not supported", stringify!($name));
            $code
        }
    )+ };
}

unsupported! {
    CudaError::NOT_SUPPORTED.0;
    cuDestroyExternalMemory
    cuExternalMemoryGetMappedBuffer
    cuFuncSetAttribute
    cuImportExternalMemory
    cuLaunchCooperativeKernel
    cuOccupancyAvailableDynamicSMemPerBlock
    cuOccupancyMaxActiveBlocksPerMultiprocessor
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags
    cuOccupancyMaxActiveClusters
    cuOccupancyMaxPotentialBlockSize
    cuOccupancyMaxPotentialBlockSizeWithFlags
    cuOccupancyMaxPotentialClusterSize
    cuProfilerStart
    cuProfilerStop
}

// cuBLAS has an error of the same meaning and another number.
unsupported! {
    15;
    cublasDgemv_v2
    cublasSgemv_v2
}

/// The driver's private tables, of which it has none here. NVRTC finds `libcuda.so.1` and asks for one before each
/// compilation; without this function it crashes, with an error from it it goes on.
///
/// # Safety
/// `table` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetExportTable(table: *mut *const c_void, _id: *const c_void) -> c_int {
    // SAFETY: the caller's promise. The answer is the same whether or not it can be written.
    let _ = unsafe { give(table, std::ptr::null()) };
    CudaError::INVALID_VALUE.0
}

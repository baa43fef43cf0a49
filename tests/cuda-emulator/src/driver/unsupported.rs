//! Functions that cudarc names, so that programs link, and that dfdx never calls.

use std::ffi::c_int;

use super::CudaError;

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

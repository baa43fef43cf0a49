//! The functions of NVIDIA's that dfdx and cudarc name, under the names that the linker looks for. Each hands its arguments on to the
//! function of the same name in the library that was found when it is called first.
//!
//! A function that the program calls newly gets its row here, or the link fails with its name.

use std::ffi::{c_int, c_uint, c_void};
use std::sync::OnceLock;

use cudarc::cublas::sys::cublasStatus_t::{CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_NOT_SUPPORTED};
use cudarc::driver::sys::CUresult::{CUDA_ERROR_NOT_SUPPORTED, CUDA_ERROR_SHARED_OBJECT_INIT_FAILED};
use cudarc::nvrtc::sys::nvrtcResult::NVRTC_ERROR_INTERNAL_ERROR;

use super::{cublas, driver};

/// A pointer to anything, or one of NVIDIA's handles, which are pointers.
type Ptr = *mut c_void;

/// Defines the functions. `$library` gives the library or nothing; the codes are what such a function answers where there is no
/// library, and where a library that is too old has no such function. Enumerations are passed as the C integers that they are.
macro_rules! forward {
    ($library:ident, $no_library:expr, $no_function:expr; $($name:ident($($argument:ident: $type:ty),*);)+) => { $(
        /// # Safety
        /// As NVIDIA's manual says of the function of this name.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::too_many_arguments, reason = "NVIDIA's names and arguments")]
        unsafe extern "C" fn $name($($argument: $type),*) -> c_int {
            type Function = unsafe extern "C" fn($($type),*) -> c_int;
            static FUNCTION: OnceLock<Option<Function>> = OnceLock::new();
            let Ok(library) = $library() else { return $no_library as c_int };
            // SAFETY: the type is this function's in NVIDIA's headers, which cudarc's declarations were made from.
            let function = FUNCTION.get_or_init(|| unsafe { library.function(concat!(stringify!($name), "\0")) });
            match function {
                // SAFETY: the caller's promise; the library stays loaded as long as the process lives.
                Some(function) => unsafe { function($($argument),*) },
                None => $no_function as c_int,
            }
        }
    )+ };
}

/// Defines functions of a library that is never there.
macro_rules! absent {
    ($code:expr; $($name:ident($($type:ty),*);)+) => { $(
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, reason = "NVIDIA's names")]
        extern "C" fn $name($(_: $type),*) -> c_int {
            $code as c_int
        }
    )+ };
}

#[rustfmt::skip]
forward! {
    driver, CUDA_ERROR_SHARED_OBJECT_INIT_FAILED, CUDA_ERROR_NOT_SUPPORTED;
    cuCtxGetCurrent(a: Ptr);
    cuCtxSetCurrent(a: Ptr);
    cuDeviceGet(a: Ptr, b: c_int);
    cuDeviceGetAttribute(a: Ptr, b: c_int, c: c_int);
    cuDeviceGetCount(a: Ptr);
    cuDeviceGetName(a: Ptr, b: c_int, c: c_int);
    cuDeviceGetUuid_v2(a: Ptr, b: c_int);
    cuDevicePrimaryCtxRelease_v2(a: c_int);
    cuDevicePrimaryCtxRetain(a: Ptr, b: c_int);
    cuDeviceTotalMem_v2(a: Ptr, b: c_int);
    cuDriverGetVersion(a: Ptr);
    cuEventCreate(a: Ptr, b: c_uint);
    cuEventDestroy_v2(a: Ptr);
    cuEventRecord(a: Ptr, b: Ptr);
    cuFuncSetAttribute(a: Ptr, b: c_int, c: c_int);
    cuGetErrorName(a: c_int, b: Ptr);
    cuGetErrorString(a: c_int, b: Ptr);
    cuInit(a: c_uint);
    cuLaunchKernel(a: Ptr, b: c_uint, c: c_uint, d: c_uint, e: c_uint, f: c_uint, g: c_uint, h: c_uint, i: Ptr, j: Ptr, k: Ptr);
    cuMemAllocAsync(a: Ptr, b: usize, c: Ptr);
    cuMemAlloc_v2(a: Ptr, b: usize);
    cuMemFreeAsync(a: u64, b: Ptr);
    cuMemFree_v2(a: u64);
    cuMemGetInfo_v2(a: Ptr, b: Ptr);
    cuMemcpyDtoDAsync_v2(a: u64, b: u64, c: usize, d: Ptr);
    cuMemcpyDtoD_v2(a: u64, b: u64, c: usize);
    cuMemcpyDtoHAsync_v2(a: Ptr, b: u64, c: usize, d: Ptr);
    cuMemcpyDtoH_v2(a: Ptr, b: u64, c: usize);
    cuMemcpyHtoDAsync_v2(a: u64, b: Ptr, c: usize, d: Ptr);
    cuMemcpyHtoD_v2(a: u64, b: Ptr, c: usize);
    cuMemsetD8Async(a: u64, b: u8, c: usize, d: Ptr);
    cuMemsetD8_v2(a: u64, b: u8, c: usize);
    cuModuleGetFunction(a: Ptr, b: Ptr, c: Ptr);
    cuModuleLoad(a: Ptr, b: Ptr);
    cuModuleLoadData(a: Ptr, b: Ptr);
    cuModuleUnload(a: Ptr);
    cuStreamCreate(a: Ptr, b: c_uint);
    cuStreamDestroy_v2(a: Ptr);
    cuStreamSynchronize(a: Ptr);
    cuStreamWaitEvent(a: Ptr, b: Ptr, c: c_uint);
}

#[rustfmt::skip]
forward! {
    cublas, CUBLAS_STATUS_NOT_INITIALIZED, CUBLAS_STATUS_NOT_SUPPORTED;
    cublasCreate_v2(a: Ptr);
    cublasDestroy_v2(a: Ptr);
    cublasGemmEx(a: Ptr, b: c_int, c: c_int, d: c_int, e: c_int, f: c_int, g: Ptr, h: Ptr, i: c_int, j: c_int, k: Ptr, l: c_int, m: c_int, n: Ptr, o: Ptr, p: c_int, q: c_int, r: c_int, s: c_int);
    cublasGemmStridedBatchedEx(a: Ptr, b: c_int, c: c_int, d: c_int, e: c_int, f: c_int, g: Ptr, h: Ptr, i: c_int, j: c_int, k: i64, l: Ptr, m: c_int, n: c_int, o: i64, p: Ptr, q: Ptr, r: c_int, s: c_int, t: i64, u: c_int, v: c_int, w: c_int);
    cublasSetMathMode(a: Ptr, b: c_int);
    cublasSetStream_v2(a: Ptr, b: Ptr);
    cublasSgemmStridedBatched(a: Ptr, b: c_int, c: c_int, d: c_int, e: c_int, f: c_int, g: Ptr, h: Ptr, i: c_int, j: i64, k: Ptr, l: c_int, m: i64, n: Ptr, o: Ptr, p: c_int, q: i64, r: c_int);
    cublasSgemm_v2(a: Ptr, b: c_int, c: c_int, d: c_int, e: c_int, f: c_int, g: Ptr, h: Ptr, i: c_int, j: Ptr, k: c_int, l: Ptr, m: Ptr, n: c_int);
}

// NVIDIA's compiler at run time: what dfdx would have it compile is part of the program, see `ops::cuda`.
#[rustfmt::skip]
absent! {
    NVRTC_ERROR_INTERNAL_ERROR;
    nvrtcCompileProgram(Ptr, c_int, Ptr);
    nvrtcCreateProgram(Ptr, Ptr, Ptr, c_int, Ptr, Ptr);
    nvrtcDestroyProgram(Ptr);
    nvrtcGetPTX(Ptr, Ptr);
    nvrtcGetPTXSize(Ptr, Ptr);
    nvrtcGetProgramLog(Ptr, Ptr);
    nvrtcGetProgramLogSize(Ptr, Ptr);
    nvrtcVersion(Ptr, Ptr);
}

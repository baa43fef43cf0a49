//! The driver's error codes.

use std::ffi::{CStr, c_char, c_int};

use super::give;

/// A code of the driver other than success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CudaError(pub c_int);

pub const SUCCESS: c_int = 0;

/// Code, name and text, as NVIDIA's headers and `cuGetErrorString` have them.
macro_rules! errors {
    ($($name:ident = $code:literal, $symbol:literal, $text:literal;)+) => {
        impl CudaError {
            $(pub const $name: CudaError = CudaError($code);)+
        }

        const TEXTS: &[(c_int, &CStr, &CStr)] = &[(SUCCESS, c"CUDA_SUCCESS", c"no error"), $(($code, $symbol, $text)),+];
    };
}

errors! {
    INVALID_VALUE = 1, c"CUDA_ERROR_INVALID_VALUE", c"invalid argument";
    OUT_OF_MEMORY = 2, c"CUDA_ERROR_OUT_OF_MEMORY", c"out of memory";
    NOT_INITIALIZED = 3, c"CUDA_ERROR_NOT_INITIALIZED", c"initialization error";
    DEVICE_UNAVAILABLE = 46, c"CUDA_ERROR_DEVICE_UNAVAILABLE", c"CUDA-capable device(s) is/are busy or unavailable";
    NO_DEVICE = 100, c"CUDA_ERROR_NO_DEVICE", c"no CUDA-capable device is detected";
    INVALID_DEVICE = 101, c"CUDA_ERROR_INVALID_DEVICE", c"invalid device ordinal";
    INVALID_CONTEXT = 201, c"CUDA_ERROR_INVALID_CONTEXT", c"invalid device context";
    INVALID_PTX = 218, c"CUDA_ERROR_INVALID_PTX", c"a PTX JIT compilation failed";
    UNSUPPORTED_PTX_VERSION = 222, c"CUDA_ERROR_UNSUPPORTED_PTX_VERSION",
        c"the provided PTX was compiled with an unsupported toolchain.";
    FILE_NOT_FOUND = 301, c"CUDA_ERROR_FILE_NOT_FOUND", c"file not found";
    INVALID_HANDLE = 400, c"CUDA_ERROR_INVALID_HANDLE", c"invalid resource handle";
    NOT_FOUND = 500, c"CUDA_ERROR_NOT_FOUND", c"named symbol not found";
    ILLEGAL_ADDRESS = 700, c"CUDA_ERROR_ILLEGAL_ADDRESS", c"an illegal memory access was encountered";
    CONTEXT_IS_DESTROYED = 709, c"CUDA_ERROR_CONTEXT_IS_DESTROYED", c"context is destroyed";
    ASSERT = 710, c"CUDA_ERROR_ASSERT", c"device-side assert triggered";
    MISALIGNED_ADDRESS = 716, c"CUDA_ERROR_MISALIGNED_ADDRESS", c"misaligned address";
    LAUNCH_FAILED = 719, c"CUDA_ERROR_LAUNCH_FAILED", c"unspecified launch failure";
    NOT_SUPPORTED = 801, c"CUDA_ERROR_NOT_SUPPORTED", c"operation not supported";
}

impl CudaError {
    /// `CUDA_ERROR_...`
    pub fn name(self) -> &'static str {
        let found = TEXTS.iter().find(|(code, ..)| *code == self.0);
        found.and_then(|(_, name, _)| name.to_str().ok()).unwrap_or("an unknown error")
    }
}

/// A code's symbol. Works before `cuInit`.
///
/// # Safety
/// `name` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: c_int, name: *mut *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { text(code, name, |(_, name, _)| name) }
}

/// A code's text. Works before `cuInit`.
///
/// # Safety
/// `string` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(code: c_int, string: *mut *const c_char) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { text(code, string, |(_, _, text)| text) }
}

type Text = (c_int, &'static CStr, &'static CStr);

/// # Safety
/// `out` is null or can be written to.
unsafe fn text(code: c_int, out: *mut *const c_char, part: fn(&Text) -> &'static CStr) -> c_int {
    let found = TEXTS.iter().find(|(known, ..)| *known == code);
    let pointer = found.map_or(std::ptr::null(), |text| part(text).as_ptr());
    // SAFETY: the caller's promise.
    let given = unsafe { give(out, pointer) };
    // An unknown code is an invalid value, and the text is null.
    match (given, found) {
        (Ok(()), Some(_)) => SUCCESS,
        _ => CudaError::INVALID_VALUE.0,
    }
}

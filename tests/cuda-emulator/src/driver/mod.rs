//! `libcuda`: the driver API that cudarc 0.9 and the program's own checks call.
//!
//! Work is done when it is asked for, so streams and events have nothing to wait for. As on a GPU, what a kernel does
//! wrong is told by the calls that come after the launch, and by all of them until the process ends.

mod context;
mod device;
mod error;
mod launch;
mod memory;
mod module;
mod state;
mod stream;
mod unsupported;

#[cfg(test)]
pub(crate) mod tests;

use std::ffi::c_int;

pub use device::{device_name, write_text};
pub use error::CudaError;
pub use state::{Device, Driver, Moves};

/// Locks the one driver of this process and gives an answer as a code.
fn answer(work: impl FnOnce(&mut Driver) -> Result<(), CudaError>) -> c_int {
    match work(&mut Driver::lock()) {
        Ok(()) => error::SUCCESS,
        Err(CudaError(code)) => code,
    }
}

/// Writes a result where the caller wants it.
///
/// # Safety
/// `out` is null or can be written to.
pub(crate) unsafe fn give<T>(out: *mut T, value: T) -> Result<(), CudaError> {
    if out.is_null() {
        return Err(CudaError::INVALID_VALUE);
    }
    // SAFETY: the caller's promise, and it is not null.
    unsafe { out.write(value) };
    Ok(())
}

//! Contexts: each device has one, its primary context.

use std::cell::Cell;
use std::ffi::{c_int, c_void};

use super::state::pointer;
use super::{CudaError, answer, give};

/// Where the handles of contexts begin: plus the device's number.
const FIRST: usize = 0x100;

thread_local! {
    /// The device whose context the thread works in.
    static CURRENT: Cell<Option<usize>> = const { Cell::new(None) };
}

pub(super) fn current() -> Option<usize> {
    CURRENT.get()
}

/// Makes a device's context the calling thread's.
pub(super) fn set_current(device: Option<usize>) {
    CURRENT.set(device);
}

/// The handle of a device's context.
fn context_of_device(device: usize) -> *mut c_void {
    pointer(FIRST + device)
}

/// # Safety
/// `context` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDevicePrimaryCtxRetain(context: *mut *mut c_void, device: c_int) -> c_int {
    answer(|driver| {
        let device = driver.visible(device)?;
        if driver.settings.busy == Some(device) {
            return Err(CudaError::DEVICE_UNAVAILABLE);
        }
        driver.check_healthy(device)?;
        // SAFETY: the caller's promise.
        unsafe { give(context, context_of_device(device)) }?;
        driver.devices[device].retained += 1;
        Ok(())
    })
}

/// When the last user releases it, the context goes, and with it the device's memory.
#[unsafe(no_mangle)]
pub extern "C" fn cuDevicePrimaryCtxRelease_v2(device: c_int) -> c_int {
    answer(|driver| {
        let device = driver.visible(device)?;
        let state = &mut driver.devices[device];
        state.retained = state.retained.checked_sub(1).ok_or(CudaError::INVALID_CONTEXT)?;
        if state.retained == 0 {
            driver.end_context(device);
        }
        Ok(())
    })
}

/// # Safety
/// `context` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetCurrent(context: *mut *mut c_void) -> c_int {
    answer(|driver| {
        driver.check_initialized()?;
        // SAFETY: the caller's promise.
        unsafe { give(context, current().map_or(std::ptr::null_mut(), context_of_device)) }
    })
}

/// Works on a device where a kernel failed, too: it asks nothing of it.
#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSetCurrent(context: *mut c_void) -> c_int {
    answer(|driver| {
        driver.check_initialized()?;
        if context.is_null() {
            set_current(None);
            return Ok(());
        }
        let device = context.addr().checked_sub(FIRST).filter(|&device| device < driver.devices.len());
        let device = device.ok_or(CudaError::INVALID_CONTEXT)?;
        if driver.devices[device].retained == 0 {
            return Err(CudaError::CONTEXT_IS_DESTROYED);
        }
        set_current(Some(device));
        Ok(())
    })
}

/// # Safety
/// `device` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuCtxGetDevice(device: *mut c_int) -> c_int {
    answer(|driver| {
        let current = driver.current()?;
        let ordinal = driver.settings.visible.iter().position(|&visible| visible == current);
        // SAFETY: the caller's promise.
        unsafe { give(device, ordinal.ok_or(CudaError::INVALID_DEVICE)? as c_int) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuCtxSynchronize() -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.synchronizations += 1;
        Ok(())
    })
}

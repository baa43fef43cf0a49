//! Memory: to have, to fill, to copy.

use std::ffi::{c_int, c_void};

use super::{CudaError, Driver, answer, give};

/// Zero bytes are an error here, as NVIDIA's reference says.
///
/// # Safety
/// `address` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAlloc_v2(address: *mut u64, bytes: usize) -> c_int {
    answer(|driver| {
        let device = driver.working()?;
        if bytes == 0 || address.is_null() {
            return Err(CudaError::INVALID_VALUE);
        }
        let allocated = driver.allocate(device, bytes)?;
        // SAFETY: the caller's promise.
        unsafe { give(address, allocated) }
    })
}

/// Zero bytes are no error here: the address is null then, and may be freed. NVIDIA's reference does not say so, but dfdx
/// asks for zero bytes whenever a tensor goes back to its cache, which works on cards.
///
/// # Safety
/// `address` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemAllocAsync(address: *mut u64, bytes: usize, stream: *mut c_void) -> c_int {
    answer(|driver| {
        let device = driver.working()?;
        check_pools(driver)?;
        driver.check_stream(stream)?;
        if address.is_null() {
            return Err(CudaError::INVALID_VALUE);
        }
        let allocated = if bytes == 0 { 0 } else { driver.allocate(device, bytes)? };
        // SAFETY: the caller's promise.
        unsafe { give(address, allocated) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFree_v2(address: u64) -> c_int {
    answer(|driver| {
        driver.working()?;
        if address == 0 { Ok(()) } else { driver.free(address) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemFreeAsync(address: u64, stream: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        check_pools(driver)?;
        driver.check_stream(stream)?;
        if address == 0 { Ok(()) } else { driver.free(address) }
    })
}

fn check_pools(driver: &Driver) -> Result<(), CudaError> {
    if driver.settings.pools { Ok(()) } else { Err(CudaError::NOT_SUPPORTED) }
}

/// # Safety
/// `free` and `total` are null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemGetInfo_v2(free: *mut usize, total: *mut usize) -> c_int {
    answer(|driver| {
        let device = driver.working()?;
        let all = driver.settings.memory_bytes;
        // SAFETY: the caller's promise.
        unsafe {
            give(free, all.saturating_sub(driver.devices[device].live_bytes) as usize)?;
            give(total, all as usize)
        }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8_v2(address: u64, value: u8, bytes: usize) -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.device_bytes(address, bytes)?.fill(value);
        driver.memsets.add(bytes);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemsetD8Async(address: u64, value: u8, bytes: usize, stream: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        driver.check_stream(stream)?;
        driver.device_bytes(address, bytes)?.fill(value);
        driver.memsets.add(bytes);
        Ok(())
    })
}

/// # Safety
/// `source` has `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoD_v2(target: u64, source: *const c_void, bytes: usize) -> c_int {
    answer(|driver| {
        driver.working()?;
        let target = driver.device_bytes(target, bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        if source.is_null() {
            return Err(CudaError::INVALID_VALUE);
        }
        // SAFETY: the caller's promise; device memory is the emulator's own, so the two do not overlap.
        target.copy_from_slice(unsafe { std::slice::from_raw_parts(source.cast(), bytes) });
        driver.copies_to_device.add(bytes);
        Ok(())
    })
}

/// # Safety
/// `source` has `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyHtoDAsync_v2(
    target: u64,
    source: *const c_void,
    bytes: usize,
    stream: *mut c_void,
) -> c_int {
    match answer(|driver| driver.check_stream(stream)) {
        // SAFETY: the caller's promise.
        0 => unsafe { cuMemcpyHtoD_v2(target, source, bytes) },
        error => error,
    }
}

/// # Safety
/// `target` has room for `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoH_v2(target: *mut c_void, source: u64, bytes: usize) -> c_int {
    answer(|driver| {
        driver.working()?;
        let source = driver.device_bytes(source, bytes)?;
        if bytes == 0 {
            return Ok(());
        }
        if target.is_null() {
            return Err(CudaError::INVALID_VALUE);
        }
        // SAFETY: the caller's promise; device memory is the emulator's own, so the two do not overlap. The target may
        // never have been written, so no slice is made of it.
        unsafe { std::ptr::copy_nonoverlapping(source.as_ptr(), target.cast::<u8>(), bytes) };
        driver.copies_to_host.add(bytes);
        Ok(())
    })
}

/// # Safety
/// `target` has room for `bytes` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuMemcpyDtoHAsync_v2(
    target: *mut c_void,
    source: u64,
    bytes: usize,
    stream: *mut c_void,
) -> c_int {
    match answer(|driver| driver.check_stream(stream)) {
        // SAFETY: the caller's promise.
        0 => unsafe { cuMemcpyDtoH_v2(target, source, bytes) },
        error => error,
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoD_v2(target: u64, source: u64, bytes: usize) -> c_int {
    answer(|driver| {
        driver.working()?;
        let copy = driver.device_bytes(source, bytes)?.to_vec();
        driver.device_bytes(target, bytes)?.copy_from_slice(&copy);
        driver.copies_on_device.add(bytes);
        Ok(())
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuMemcpyDtoDAsync_v2(target: u64, source: u64, bytes: usize, stream: *mut c_void) -> c_int {
    match answer(|driver| driver.check_stream(stream)) {
        0 => cuMemcpyDtoD_v2(target, source, bytes),
        error => error,
    }
}

impl Driver {
    /// Device memory that a call names. Nothing is at any address.
    fn device_bytes(&mut self, address: u64, bytes: usize) -> Result<&mut [u8], CudaError> {
        if bytes == 0 {
            return Ok(&mut []);
        }
        let device = self.check_range(address, bytes)?;
        self.check_healthy(device)?;
        self.memory.bytes(device, address, bytes).ok_or(CudaError::INVALID_VALUE)
    }
}

//! Devices: which there are and what they can do.

use std::ffi::{c_char, c_int, c_uint};

use super::{CudaError, answer, give};
use crate::settings::uuid;

#[unsafe(no_mangle)]
pub extern "C" fn cuInit(flags: c_uint) -> c_int {
    answer(|driver| {
        if flags != 0 {
            return Err(CudaError::INVALID_VALUE);
        }
        if driver.settings.visible.is_empty() {
            return Err(CudaError::NO_DEVICE);
        }
        driver.initialized = true;
        Ok(())
    })
}

/// The newest CUDA that the driver knows. Works before `cuInit`.
///
/// # Safety
/// `version` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    answer(|driver| unsafe { give(version, driver.settings.driver_version) })
}

/// # Safety
/// `count` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetCount(count: *mut c_int) -> c_int {
    answer(|driver| {
        driver.check_initialized()?;
        // SAFETY: the caller's promise.
        unsafe { give(count, driver.settings.visible.len() as c_int) }
    })
}

/// A device's handle is its ordinal.
///
/// # Safety
/// `device` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGet(device: *mut c_int, ordinal: c_int) -> c_int {
    answer(|driver| {
        driver.visible(ordinal)?;
        // SAFETY: the caller's promise.
        unsafe { give(device, ordinal) }
    })
}

/// # Safety
/// `name` is null or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetName(name: *mut c_char, length: c_int, device: c_int) -> c_int {
    answer(|driver| {
        let device = driver.visible(device)?;
        let length = usize::try_from(length).map_err(|_| CudaError::INVALID_VALUE)?;
        // SAFETY: the caller's promise.
        unsafe { write_text(name, length, &device_name(device)) }.ok_or(CudaError::INVALID_VALUE)
    })
}

/// The 16 bytes of a device's UUID.
///
/// # Safety
/// `bytes` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetUuid_v2(bytes: *mut [u8; 16], device: c_int) -> c_int {
    answer(|driver| {
        let text = uuid(driver.visible(device)?);
        let digits: Vec<u8> = text.bytes().skip(4).filter(|&digit| digit != b'-').collect();
        let mut uuid = [0; 16];
        for (byte, pair) in uuid.iter_mut().zip(digits.chunks(2)) {
            let pair = std::str::from_utf8(pair).unwrap_or_default();
            *byte = u8::from_str_radix(pair, 16).unwrap_or_default();
        }
        // SAFETY: the caller's promise.
        unsafe { give(bytes, uuid) }
    })
}

/// # Safety
/// `bytes` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceTotalMem_v2(bytes: *mut usize, device: c_int) -> c_int {
    answer(|driver| {
        driver.visible(device)?;
        // SAFETY: the caller's promise.
        unsafe { give(bytes, driver.settings.memory_bytes as usize) }
    })
}

/// Threads of a block, and its sizes.
pub(super) const MAX_THREADS: u32 = 1024;
pub(super) const MAX_BLOCK: [u32; 3] = [1024, 1024, 64];
pub(super) const MAX_GRID: [u32; 3] = [0x7fff_ffff, 0xffff, 0xffff];
/// Shared memory of a block without asking for more.
pub(super) const MAX_SHARED_BYTES: usize = 48 << 10;

/// # Safety
/// `value` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceGetAttribute(value: *mut c_int, attribute: c_int, device: c_int) -> c_int {
    answer(|driver| {
        driver.visible(device)?;
        let (major, minor) = driver.settings.compute_capability;
        // The numbers of CUdevice_attribute.
        let found = match attribute {
            1 => MAX_THREADS,
            2..=4 => MAX_BLOCK[attribute as usize - 2],
            5..=7 => MAX_GRID[attribute as usize - 5],
            8 => MAX_SHARED_BYTES as u32,
            // Warp size.
            10 => 32,
            // Registers of a block.
            12 => 65536,
            // Clock rate, in kHz.
            13 => 1_410_000,
            // Multiprocessors.
            16 => 108,
            // Compute mode: shared.
            20 => 0,
            // Threads of a multiprocessor.
            39 => 2048,
            // Unified addressing.
            41 => 1,
            75 => major,
            76 => minor,
            // Memory pools, which `cuMemAllocAsync` needs.
            115 => u32::from(driver.settings.pools),
            _ => {
                eprintln!("CUDA emulator: device attribute {attribute} is not known here");
                return Err(CudaError::INVALID_VALUE);
            }
        };
        // SAFETY: the caller's promise.
        unsafe { give(value, found as c_int) }
    })
}

/// # Safety
/// `major` and `minor` are null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDeviceComputeCapability(
    major: *mut c_int,
    minor: *mut c_int,
    device: c_int,
) -> c_int {
    answer(|driver| {
        driver.visible(device)?;
        let capability = driver.settings.compute_capability;
        // SAFETY: the caller's promise.
        unsafe {
            give(major, capability.0 as c_int)?;
            give(minor, capability.1 as c_int)
        }
    })
}

/// A name that nobody takes for a card's.
pub fn device_name(device: usize) -> String {
    format!("Emulated CUDA device {device}")
}

/// Text with its null at the end, cut off where the room ends; `None` without room.
///
/// # Safety
/// `out` is null or has room for `length` bytes.
pub unsafe fn write_text(out: *mut c_char, length: usize, text: &str) -> Option<()> {
    if out.is_null() || length == 0 {
        return None;
    }
    let bytes = &text.as_bytes()[..text.len().min(length - 1)];
    // SAFETY: the caller's promise; `bytes` and the null are `length` bytes at most.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), out.cast(), bytes.len());
        out.add(bytes.len()).write(0);
    }
    Some(())
}

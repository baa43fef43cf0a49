//! `libnvidia-ml`: what `nvml-wrapper` 0.13 calls for when a GPU is watched.
//!
//! The wrapper opens `libnvidia-ml.so.1` at run time, needs `nvmlInit_v2` from it at once, and looks the other functions up
//! when they are called. All devices are here, whatever `CUDA_VISIBLE_DEVICES` says, as with the real library. The memory in
//! use is what this process has allocated; the other numbers go through a fixed sequence, one step for each time they are
//! asked for.

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::driver::{Driver, device_name, write_text};
use crate::settings::uuid;

const SUCCESS: c_int = 0;
const UNINITIALIZED: c_int = 1;
const INVALID_ARGUMENT: c_int = 2;
const NOT_FOUND: c_int = 6;
const INSUFFICIENT_SIZE: c_int = 7;
const ARGUMENT_VERSION_MISMATCH: c_int = 25;

/// How often the library was initialised and not shut down.
static USERS: AtomicU32 = AtomicU32::new(0);
/// How often a changing number was asked for.
static SAMPLES: AtomicU32 = AtomicU32::new(0);

/// Handles of devices: this plus the number.
const FIRST: usize = 0x200;

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInit_v2() -> c_int {
    USERS.fetch_add(1, Ordering::Relaxed);
    SUCCESS
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlInitWithFlags(_flags: c_uint) -> c_int {
    nvmlInit_v2()
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlShutdown() -> c_int {
    let less = USERS.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |users| users.checked_sub(1));
    if less.is_ok() { SUCCESS } else { UNINITIALIZED }
}

#[unsafe(no_mangle)]
pub extern "C" fn nvmlErrorString(code: c_int) -> *const c_char {
    let text = match code {
        SUCCESS => c"The operation was successful",
        UNINITIALIZED => c"NVML was not first initialized with nvmlInit()",
        INVALID_ARGUMENT => c"A supplied argument is invalid",
        NOT_FOUND => c"A query to find an object was unsuccessful",
        INSUFFICIENT_SIZE => c"An input argument is not large enough",
        ARGUMENT_VERSION_MISMATCH => c"The provided version is invalid/unsupported",
        _ => c"An unknown internal driver error occurred",
    };
    text.as_ptr()
}

/// # Safety
/// `text` is null or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetDriverVersion(text: *mut c_char, length: c_uint) -> c_int {
    // The branches of the drivers that came with CUDA 12.0 and 13.0.
    let branch = if Driver::lock().settings.driver_version >= 13000 { 580 } else { 525 };
    // SAFETY: the caller's promise.
    unsafe { tell(text, length, &format!("{branch}.00-emulated")) }
}

/// # Safety
/// `text` is null or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetNVMLVersion(text: *mut c_char, length: c_uint) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { tell(text, length, "13.580.00-emulated") }
}

/// # Safety
/// `version` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> c_int {
    let known = Driver::lock().settings.driver_version;
    // SAFETY: the caller's promise.
    unsafe { give(version, known) }
}

/// # Safety
/// `version` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlSystemGetCudaDriverVersion(version: *mut c_int) -> c_int {
    // SAFETY: the caller's promise.
    unsafe { nvmlSystemGetCudaDriverVersion_v2(version) }
}

/// # Safety
/// `count` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_int {
    let devices = Driver::lock().settings.devices;
    // SAFETY: the caller's promise.
    unsafe { give(count, devices as c_uint) }
}

/// # Safety
/// `handle` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, handle: *mut *mut c_void) -> c_int {
    if index as usize >= Driver::lock().settings.devices {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise.
    unsafe { give(handle, std::ptr::without_provenance_mut(FIRST + index as usize)) }
}

/// # Safety
/// `text` is null or ends with a null byte; `handle` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetHandleByUUID(text: *const c_char, handle: *mut *mut c_void) -> c_int {
    if text.is_null() {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise, and it is not null.
    let text = unsafe { CStr::from_ptr(text) }.to_string_lossy();
    let devices = Driver::lock().settings.devices;
    match (0..devices).find(|&device| uuid(device) == text) {
        // SAFETY: the caller's promise.
        Some(device) => unsafe { nvmlDeviceGetHandleByIndex_v2(device as c_uint, handle) },
        None => NOT_FOUND,
    }
}

/// # Safety
/// `text` is null or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetName(handle: *mut c_void, text: *mut c_char, length: c_uint) -> c_int {
    // SAFETY: the caller's promise.
    with(handle, |device| unsafe { tell(text, length, &device_name(device)) })
}

/// # Safety
/// `text` is null or has room for `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUUID(handle: *mut c_void, text: *mut c_char, length: c_uint) -> c_int {
    // SAFETY: the caller's promise.
    with(handle, |device| unsafe { tell(text, length, &uuid(device)) })
}

/// # Safety
/// `major` and `minor` are null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetCudaComputeCapability(
    handle: *mut c_void,
    major: *mut c_int,
    minor: *mut c_int,
) -> c_int {
    with(handle, |_| {
        let capability = Driver::lock().settings.compute_capability;
        // SAFETY: the caller's promise.
        match unsafe { give(major, capability.0 as c_int) } {
            // SAFETY: the caller's promise.
            SUCCESS => unsafe { give(minor, capability.1 as c_int) },
            error => error,
        }
    })
}

/// `nvmlMemory_t`, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    pub total: u64,
    pub free: u64,
    pub used: u64,
}

/// `nvmlMemory_v2_t`, in bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryV2 {
    /// The structure's size and, from bit 24 on, 2.
    pub version: c_uint,
    pub total: u64,
    pub reserved: u64,
    pub free: u64,
    pub used: u64,
}

/// # Safety
/// `memory` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo(handle: *mut c_void, memory: *mut Memory) -> c_int {
    // SAFETY: the caller's promise.
    with(handle, |device| unsafe { give(memory, memory_of(device)) })
}

/// # Safety
/// `memory` is null or can be read and written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(handle: *mut c_void, memory: *mut MemoryV2) -> c_int {
    with(handle, |device| {
        if memory.is_null() {
            return INVALID_ARGUMENT;
        }
        // SAFETY: the caller's promise, and it is not null.
        let version = unsafe { (*memory).version };
        if version != size_of::<MemoryV2>() as c_uint | 2 << 24 {
            return ARGUMENT_VERSION_MISMATCH;
        }
        let Memory { total, free, used } = memory_of(device);
        // SAFETY: the caller's promise.
        unsafe { give(memory, MemoryV2 { version, total, reserved: 0, free, used }) }
    })
}

fn memory_of(device: usize) -> Memory {
    let driver = Driver::lock();
    let (total, used) = (driver.settings.memory_bytes, driver.devices[device].live_bytes);
    Memory { total, free: total.saturating_sub(used), used }
}

/// `nvmlUtilization_t`, in percent.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utilization {
    pub gpu: c_uint,
    pub memory: c_uint,
}

/// # Safety
/// `rates` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    handle: *mut c_void,
    rates: *mut Utilization,
) -> c_int {
    with(handle, |_| {
        let step = sample();
        // SAFETY: the caller's promise.
        unsafe { give(rates, Utilization { gpu: 90 + step, memory: 40 + step }) }
    })
}

/// In milliwatts.
///
/// # Safety
/// `power` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetPowerUsage(handle: *mut c_void, power: *mut c_uint) -> c_int {
    // SAFETY: the caller's promise.
    with(handle, |_| unsafe { give(power, 68_000 + 500 * sample()) })
}

/// In degrees Celsius.
///
/// # Safety
/// `temperature` is null or can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn nvmlDeviceGetTemperature(
    handle: *mut c_void,
    sensor: c_uint,
    temperature: *mut c_uint,
) -> c_int {
    // There is one sensor.
    if sensor != 0 {
        return INVALID_ARGUMENT;
    }
    // SAFETY: the caller's promise.
    with(handle, |_| unsafe { give(temperature, 61 + sample()) })
}

/// 0 to 7, over and over.
fn sample() -> u32 {
    SAMPLES.fetch_add(1, Ordering::Relaxed) % 8
}

/// Does something with the device of a handle.
fn with(handle: *mut c_void, work: impl FnOnce(usize) -> c_int) -> c_int {
    let devices = Driver::lock().settings.devices;
    match handle.addr().checked_sub(FIRST) {
        _ if USERS.load(Ordering::Relaxed) == 0 => UNINITIALIZED,
        Some(device) if device < devices => work(device),
        _ => INVALID_ARGUMENT,
    }
}

/// # Safety
/// `out` is null or can be written to.
unsafe fn give<T>(out: *mut T, value: T) -> c_int {
    if USERS.load(Ordering::Relaxed) == 0 {
        return UNINITIALIZED;
    }
    // SAFETY: the caller's promise.
    if unsafe { crate::driver::give(out, value) }.is_ok() { SUCCESS } else { INVALID_ARGUMENT }
}

/// # Safety
/// `out` is null or has room for `length` bytes.
unsafe fn tell(out: *mut c_char, length: c_uint, text: &str) -> c_int {
    if (length as usize) <= text.len() {
        return INSUFFICIENT_SIZE;
    }
    // SAFETY: the caller's promise.
    if unsafe { write_text(out, length as usize, text) }.is_some() { SUCCESS } else { INVALID_ARGUMENT }
}

#[cfg(test)]
mod tests {
    use std::ptr::null_mut;

    use super::*;
    use crate::driver::tests::{allocate, start, with_driver};

    #[test]
    fn devices_tell_their_numbers() {
        with_driver(&[("DEVICES", "2"), ("MEMORY", "1000"), ("CUDA_VISIBLE_DEVICES", "1")], || {
            let mut handle = null_mut();
            USERS.store(0, Ordering::Relaxed);
            // SAFETY, here and below: places for the results.
            assert_eq!(unsafe { nvmlDeviceGetHandleByIndex_v2(0, &mut handle) }, UNINITIALIZED);
            assert_eq!(nvmlInit_v2(), SUCCESS);
            start(0);
            allocate(300).expect("room");
            let mut count = 0;
            assert_eq!((unsafe { nvmlDeviceGetCount_v2(&mut count) }, count), (SUCCESS, 2));
            assert_eq!(unsafe { nvmlDeviceGetHandleByIndex_v2(2, &mut handle) }, INVALID_ARGUMENT);
            // CUDA's device 0 is NVML's device 1 here.
            assert_eq!(unsafe { nvmlDeviceGetHandleByUUID(c"GPU-nobody".as_ptr(), &mut handle) }, NOT_FOUND);
            let uuid = std::ffi::CString::new(uuid(1)).expect("no null");
            assert_eq!(unsafe { nvmlDeviceGetHandleByUUID(uuid.as_ptr(), &mut handle) }, SUCCESS);
            let mut memory = MemoryV2 { version: 2 << 24 | 40, ..MemoryV2::default() };
            assert_eq!(unsafe { nvmlDeviceGetMemoryInfo_v2(handle, &mut memory) }, SUCCESS);
            assert_eq!((memory.total, memory.free, memory.used), (1000, 700, 300));
            memory.version = 1;
            assert_eq!(unsafe { nvmlDeviceGetMemoryInfo_v2(handle, &mut memory) }, ARGUMENT_VERSION_MISMATCH);
            assert_eq!(nvmlShutdown(), SUCCESS);
            assert_eq!(nvmlShutdown(), UNINITIALIZED);
        });
    }

    #[test]
    fn readings_change_and_are_plausible() {
        with_driver(&[], || {
            assert_eq!(nvmlInit_v2(), SUCCESS);
            let (mut handle, mut rates, mut power, mut temperature) =
                (null_mut(), Utilization::default(), 0, 0);
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..8 {
                // SAFETY: places for the results.
                unsafe {
                    assert_eq!(nvmlDeviceGetHandleByIndex_v2(0, &mut handle), SUCCESS);
                    assert_eq!(nvmlDeviceGetUtilizationRates(handle, &mut rates), SUCCESS);
                    assert_eq!(nvmlDeviceGetPowerUsage(handle, &mut power), SUCCESS);
                    assert_eq!(nvmlDeviceGetTemperature(handle, 0, &mut temperature), SUCCESS);
                }
                assert!((1..=100).contains(&rates.gpu) && (50_000..300_000).contains(&power));
                assert!((30..90).contains(&temperature));
                seen.insert(rates.gpu);
            }
            assert!(seen.len() > 1, "a column of one number shows nothing");
            assert_eq!(nvmlShutdown(), SUCCESS);
        });
    }

    #[test]
    fn texts_need_room() {
        with_driver(&[], || {
            assert_eq!(nvmlInit_v2(), SUCCESS);
            let (mut handle, mut name) = (null_mut(), [0; 96]);
            // SAFETY: a place for the result, and room for as many bytes as is said.
            unsafe {
                assert_eq!(nvmlDeviceGetHandleByIndex_v2(0, &mut handle), SUCCESS);
                assert_eq!(nvmlDeviceGetName(handle, name.as_mut_ptr(), 5), INSUFFICIENT_SIZE);
                assert_eq!(nvmlDeviceGetName(handle, name.as_mut_ptr(), 96), SUCCESS);
                assert_eq!(CStr::from_ptr(name.as_ptr()), c"Emulated CUDA device 0");
            }
            assert_eq!(nvmlShutdown(), SUCCESS);
        });
    }
}

//! For tests in the same process, which find these by `dlsym`: what NVIDIA's libraries do not have.
//!
//! All numbers count all devices, from the start of the process.

use crate::driver::{Device, Driver};

/// That it is the emulator: 1.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_version() -> u32 {
    1
}

/// Allocations made. One of zero bytes is none.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_allocations() -> u64 {
    sum(|device| device.allocations)
}

/// Lets the `first`-th allocation from now on fail, 0 being the next, and the `count - 1` after it. A `count` of 0 ends
/// that; `u64::MAX` means for ever. Failed ones count.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_fail_allocations(first: u64, count: u64) {
    let mut driver = Driver::lock();
    let first = driver.attempts.saturating_add(first);
    driver.failing = first..first.saturating_add(count);
}

/// Bytes that are allocated now.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_live_bytes() -> u64 {
    sum(|device| device.live_bytes)
}

/// Allocations that are not freed yet.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_live_blocks() -> u64 {
    sum(|device| device.live_blocks)
}

/// Allocations that were never freed, and went when the last user of their device let go of it.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_abandoned_blocks() -> u64 {
    sum(|device| device.abandoned_blocks)
}

/// The most bytes that were allocated at once.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_peak_bytes() -> u64 {
    sum(|device| device.peak_bytes)
}

/// Gives each device as much memory from now on. What is allocated already stays.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_set_memory(bytes: u64) {
    Driver::lock().settings.memory_bytes = bytes;
}

/// Kernels launched.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_launches() -> u64 {
    Driver::lock().launches
}

/// Copies from a device to the host, of at least one byte.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_copies_to_host() -> u64 {
    Driver::lock().copies_to_host.times
}

/// Bytes that were copied from a device to the host.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_bytes_to_host() -> u64 {
    Driver::lock().copies_to_host.bytes
}

/// Copies from the host to a device, of at least one byte.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_copies_to_device() -> u64 {
    Driver::lock().copies_to_device.times
}

/// Bytes that were copied from the host to a device.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_bytes_to_device() -> u64 {
    Driver::lock().copies_to_device.bytes
}

/// Copies within a device, of at least one byte.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_copies_on_device() -> u64 {
    Driver::lock().copies_on_device.times
}

/// Pieces of memory that were filled, of at least one byte.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_memsets() -> u64 {
    Driver::lock().memsets.times
}

/// Calls of cuBLAS that multiply.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_products() -> u64 {
    Driver::lock().blas_work.values().map(|work| work.times).sum()
}

/// Calls that wait for a stream.
#[unsafe(no_mangle)]
pub extern "C" fn cuda_emulator_synchronizations() -> u64 {
    Driver::lock().synchronizations
}

fn sum(of: impl Fn(&Device) -> u64) -> u64 {
    Driver::lock().devices.iter().map(of).sum()
}

use std::ffi::{CString, c_int, c_void};
use std::ptr::{null, null_mut};
use std::sync::{Mutex, PoisonError};

use super::context::*;
use super::device::*;
use super::error::{cuGetErrorName, cuGetErrorString};
use super::launch::cuLaunchKernel;
use super::memory::*;
use super::module::*;
use super::stream::*;
use super::*;
use crate::control::*;
use crate::settings::Settings;

/// Runs a test with a driver of its own, whose settings are variables without `CUDA_EMULATOR_`.
pub(crate) fn with_driver(variables: &[(&str, &str)], test: impl FnOnce()) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let settings = Settings::read(|name| {
        let short = name.trim_start_matches("CUDA_EMULATOR_");
        let found = variables.iter().find(|(variable, _)| *variable == short);
        found.map(|(_, value)| (*value).to_owned())
    });
    *Driver::lock() = Driver::new(settings.expect("valid settings"));
    set_current(None);
    test();
}

/// Starts the driver and makes a device's context current.
pub(crate) fn start(device: c_int) {
    assert_eq!(cuInit(0), 0);
    let mut context = null_mut();
    // SAFETY: a place for the result.
    assert_eq!(unsafe { cuDevicePrimaryCtxRetain(&mut context, device) }, 0);
    assert_eq!(cuCtxSetCurrent(context), 0);
}

/// New memory, or the error.
pub(crate) fn allocate(bytes: usize) -> Result<u64, c_int> {
    let mut address = 0;
    // SAFETY: a place for the result.
    match unsafe { cuMemAllocAsync(&mut address, bytes, null_mut()) } {
        0 => Ok(address),
        error => Err(error),
    }
}

pub(crate) fn write<T: Copy>(address: u64, values: &[T]) -> c_int {
    // SAFETY: as many bytes as the slice has.
    unsafe { cuMemcpyHtoD_v2(address, values.as_ptr().cast(), size_of_val(values)) }
}

pub(crate) fn read<T: Copy + Default>(address: u64, count: usize) -> Result<Vec<T>, c_int> {
    let mut values = vec![T::default(); count];
    // SAFETY: as many bytes as the vector has; the tests ask for numbers only.
    match unsafe { cuMemcpyDtoH_v2(values.as_mut_ptr().cast(), address, size_of_val(values.as_slice())) } {
        0 => Ok(values),
        error => Err(error),
    }
}

const PTX: &str = ".version 9.0\n.target sm_80\n.address_size 64\n.global .align 4 .b8 table[8] = {1, 0, 0, 0, 2};\n\
    .visible .entry store(\n.param .u64 target,\n.param .u32 value\n)\n{\n.reg .b32 %r<4>;\n.reg .b64 %rd<4>;\n\
    ld.param.u64 %rd0, [target];\nld.param.u32 %r0, [value];\nmov.u64 %rd1, table;\nld.global.u32 %r1, [%rd1+4];\n\
    add.s32 %r0, %r0, %r1;\nst.global.u32 [%rd0], %r0;\nret;\n}\n\
    .visible .entry strange()\n{\n.reg .b32 %r<4>;\nshfl.sync.idx.b32 %r0, %r1, 0, 31, -1;\nret;\n}\n";

fn load(text: &str) -> Result<*mut c_void, c_int> {
    let (text, mut module) = (CString::new(text).expect("no null"), null_mut());
    // SAFETY: text with a null at its end, and a place for the result.
    match unsafe { cuModuleLoadData(&mut module, text.as_ptr().cast()) } {
        0 => Ok(module),
        error => Err(error),
    }
}

fn function(module: *mut c_void, name: &str) -> Result<*mut c_void, c_int> {
    let (name, mut function) = (CString::new(name).expect("no null"), null_mut());
    // SAFETY: text with a null at its end, and a place for the result.
    match unsafe { cuModuleGetFunction(&mut function, module, name.as_ptr()) } {
        0 => Ok(function),
        error => Err(error),
    }
}

/// Launches `store` or what has the same parameters.
fn launch(function: *mut c_void, grid: u32, block: u32, target: u64, value: u32) -> c_int {
    let mut parameters = [(&raw const target).cast_mut().cast(), (&raw const value).cast_mut().cast()];
    // SAFETY: pointers to as many values as the kernel has parameters.
    unsafe {
        cuLaunchKernel(function, grid, 1, 1, block, 1, 1, 0, null_mut(), parameters.as_mut_ptr(), null_mut())
    }
}

#[test]
fn without_a_device_the_driver_does_not_start() {
    with_driver(&[("DEVICES", "0")], || {
        assert_eq!(cuInit(0), CudaError::NO_DEVICE.0);
        let mut count = 7;
        // SAFETY: a place for the result.
        assert_eq!(unsafe { cuDeviceGetCount(&mut count) }, CudaError::NOT_INITIALIZED.0);
    });
}

#[test]
fn calls_in_the_wrong_order_have_their_errors() {
    with_driver(&[], || {
        assert_eq!(allocate(4), Err(CudaError::NOT_INITIALIZED.0));
        assert_eq!(cuInit(1), CudaError::INVALID_VALUE.0);
        assert_eq!(cuInit(0), 0);
        assert_eq!(allocate(4), Err(CudaError::INVALID_CONTEXT.0));
        let (mut device, mut context) = (0, null_mut());
        // SAFETY: places for the results.
        unsafe {
            assert_eq!(cuDeviceGet(&mut device, 1), CudaError::INVALID_DEVICE.0);
            assert_eq!(cuDeviceGet(&mut device, -1), CudaError::INVALID_DEVICE.0);
            assert_eq!(cuDevicePrimaryCtxRetain(&mut context, 0), 0);
        }
        assert_eq!(cuCtxSetCurrent(context), 0);
        assert!(allocate(4).is_ok());
        assert_eq!(cuDevicePrimaryCtxRelease_v2(0), 0);
        assert_eq!(allocate(4), Err(CudaError::CONTEXT_IS_DESTROYED.0));
        assert_eq!(cuDevicePrimaryCtxRelease_v2(0), CudaError::INVALID_CONTEXT.0);
        assert_eq!(Driver::lock().devices[0].abandoned_blocks, 1, "nobody freed the four bytes");
    });
}

#[test]
fn a_busy_device_is_unavailable() {
    with_driver(&[("DEVICES", "2"), ("BUSY", "1")], || {
        start(0);
        let mut context = null_mut();
        // SAFETY: a place for the result.
        assert_eq!(unsafe { cuDevicePrimaryCtxRetain(&mut context, 1) }, CudaError::DEVICE_UNAVAILABLE.0);
    });
}

#[test]
fn devices_are_those_that_are_visible() {
    with_driver(&[("DEVICES", "3"), ("CUDA_VISIBLE_DEVICES", "2")], || {
        start(0);
        let (mut count, mut name, mut device) = (0, [0; 64], 9);
        // SAFETY: places for the results.
        unsafe {
            assert_eq!((cuDeviceGetCount(&mut count), count), (0, 1));
            assert_eq!(cuDeviceGetName(name.as_mut_ptr(), 64, 0), 0);
            assert_eq!((cuCtxGetDevice(&mut device), device), (0, 0));
        }
        let name: Vec<u8> = name.iter().map(|&c| c as u8).take_while(|&c| c != 0).collect();
        assert_eq!(String::from_utf8_lossy(&name), "Emulated CUDA device 2");
        allocate(4).expect("room");
        assert_eq!(
            Driver::lock().devices.iter().map(|device| device.live_bytes).collect::<Vec<_>>(),
            [0, 0, 4]
        );
    });
}

#[test]
fn nothing_can_be_allocated_copied_and_freed() {
    with_driver(&[], || {
        start(0);
        let mut address = 5;
        // SAFETY: places for the results; nothing is copied.
        unsafe {
            assert_eq!(cuMemAlloc_v2(&mut address, 0), CudaError::INVALID_VALUE.0);
            assert_eq!(cuMemcpyHtoD_v2(0, null(), 0), 0);
            assert_eq!(cuMemcpyDtoH_v2(null_mut(), 0, 0), 0);
        }
        let nothing = allocate(0).expect("zero bytes are allowed here");
        assert_eq!(cuMemsetD8Async(nothing, 0, 0, null_mut()), 0);
        assert_eq!(cuMemcpyDtoD_v2(0, 0, 0), 0);
        assert_eq!(cuMemFreeAsync(nothing, null_mut()), 0);
        assert_eq!((cuda_emulator_allocations(), cuda_emulator_copies_to_host()), (0, 0));
    });
}

#[test]
fn memory_is_counted_and_limited() {
    with_driver(&[("MEMORY", "100")], || {
        start(0);
        let first = allocate(60).expect("room");
        assert_eq!(allocate(41), Err(CudaError::OUT_OF_MEMORY.0));
        let second = allocate(40).expect("room");
        let (mut free, mut total) = (7, 7);
        // SAFETY: places for the results.
        assert_eq!(unsafe { cuMemGetInfo_v2(&mut free, &mut total) }, 0);
        assert_eq!((free, total), (0, 100));
        assert_eq!((cuda_emulator_live_blocks(), cuda_emulator_live_bytes()), (2, 100));
        assert_eq!(cuMemFreeAsync(first, null_mut()), 0);
        assert_eq!(cuMemFreeAsync(first, null_mut()), CudaError::INVALID_VALUE.0, "twice");
        assert_eq!(cuMemFree_v2(second + 1), CudaError::INVALID_VALUE.0, "not where it begins");
        assert_eq!((cuda_emulator_live_blocks(), cuda_emulator_live_bytes()), (1, 40));
        assert_eq!((cuda_emulator_allocations(), cuda_emulator_peak_bytes()), (2, 100));
        cuda_emulator_set_memory(1000);
        assert!(allocate(900).is_ok());
    });
}

#[test]
fn chosen_allocations_fail() {
    let fail_at = |count: usize| (0..count).map(|_| allocate(1).is_err()).collect::<Vec<_>>();
    with_driver(&[("FAIL_ALLOCATION", "1,2")], || {
        start(0);
        assert_eq!(fail_at(5), [false, true, true, false, false]);
        cuda_emulator_fail_allocations(1, 1);
        assert_eq!(fail_at(3), [false, true, false]);
        cuda_emulator_fail_allocations(0, u64::MAX);
        assert!(allocate(0).is_ok(), "zero bytes need no memory");
        assert_eq!(fail_at(2), [true, true]);
        cuda_emulator_fail_allocations(0, 0);
        assert_eq!(fail_at(2), [false, false]);
    });
}

#[test]
fn without_pools_there_is_no_asynchronous_memory() {
    with_driver(&[("NO_POOLS", "1")], || {
        start(0);
        let (mut pools, mut address) = (9, 0);
        // SAFETY: places for the results.
        unsafe {
            assert_eq!((cuDeviceGetAttribute(&mut pools, 115, 0), pools), (0, 0));
            assert_eq!(cuMemAlloc_v2(&mut address, 4), 0);
        }
        assert_eq!(allocate(4), Err(CudaError::NOT_SUPPORTED.0));
        assert_eq!(cuMemFree_v2(address), 0);
    });
}

#[test]
fn copies_stay_within_allocations() {
    with_driver(&[], || {
        start(0);
        let (a, b) = (allocate(16).expect("room"), allocate(16).expect("room"));
        assert_eq!(read::<f32>(a, 4).expect("read").iter().filter(|number| number.is_nan()).count(), 4);
        assert_eq!(write(a, &[1u32, 2, 3, 4]), 0);
        assert_eq!(cuMemcpyDtoDAsync_v2(b, a + 4, 12, null_mut()), 0);
        assert_eq!(cuMemsetD8_v2(b + 8, 0, 8), 0);
        assert_eq!(read::<u32>(b, 4), Ok(vec![2, 3, 0, 0]));
        assert_eq!(write(a + 4, &[1u32, 2, 3, 4]), CudaError::INVALID_VALUE.0);
        assert_eq!(read::<u32>(a, 5), Err(CudaError::INVALID_VALUE.0));
        assert_eq!(cuMemcpyDtoD_v2(b, a, 17), CudaError::INVALID_VALUE.0);
        assert_eq!(cuMemsetD8_v2(0, 0, 1), CudaError::INVALID_VALUE.0);
        assert_eq!((cuda_emulator_copies_to_host(), cuda_emulator_bytes_to_host()), (2, 32));
        assert_eq!((cuda_emulator_copies_to_device(), cuda_emulator_bytes_to_device()), (1, 16));
        assert_eq!((cuda_emulator_copies_on_device(), cuda_emulator_memsets()), (1, 1));
        let before = cuda_emulator_synchronizations();
        assert_eq!(cuCtxSynchronize(), 0);
        assert_eq!(cuda_emulator_synchronizations(), before + 1);
    });
}

#[test]
fn a_kernel_is_loaded_and_launched() {
    with_driver(&[], || {
        start(0);
        let target = allocate(4).expect("room");
        let module = load(PTX).expect("PTX");
        let store = function(module, "store").expect("there");
        assert_eq!(function(module, "shop"), Err(CudaError::NOT_FOUND.0));
        assert_eq!(launch(store, 1, 1, target, 40), 0);
        assert_eq!(read::<u32>(target, 1), Ok(vec![42]));
        assert_eq!(cuda_emulator_launches(), 1);
        for (grid, block) in [(0, 1), (1, 0), (1, 1025)] {
            assert_eq!(
                launch(store, grid, block, target, 1),
                CudaError::INVALID_VALUE.0,
                "{grid} blocks of {block}"
            );
        }
        assert_eq!(cuda_emulator_live_blocks(), 1, "a module's variables are not the program's");
        assert_eq!(cuModuleUnload(module), 0);
        assert_eq!(launch(store, 1, 1, target, 1), CudaError::INVALID_HANDLE.0);
    });
}

#[test]
fn an_unknown_instruction_is_refused_at_launch_only() {
    with_driver(&[], || {
        start(0);
        let module = load(PTX).expect("other kernels can be used");
        let strange = function(module, "strange").expect("there");
        assert_eq!(launch(strange, 1, 1, 0, 0), CudaError::NOT_SUPPORTED.0);
        assert_eq!(cuCtxSynchronize(), 0, "the device is as good as before");
    });
}

#[test]
fn ptx_that_does_not_fit_is_refused() {
    with_driver(&[("DRIVER", "12040"), ("COMPUTE_CAPABILITY", "7.5")], || {
        start(0);
        assert_eq!(load(PTX), Err(CudaError::UNSUPPORTED_PTX_VERSION.0));
        assert_eq!(load(&PTX.replace("9.0", "8.4")), Err(CudaError::INVALID_PTX.0), "sm_80 is more than 7.5");
        assert!(load(&PTX.replace("9.0", "8.4").replace("sm_80", "sm_75")).is_ok());
        assert_eq!(load("no PTX"), Err(CudaError::INVALID_PTX.0));
        assert_eq!(load(""), Err(CudaError::INVALID_PTX.0), "dfdx's ci-check makes such files");
    });
}

#[test]
fn after_a_kernels_fault_every_call_fails() {
    with_driver(&[("DEVICES", "2")], || {
        start(0);
        let target = allocate(4).expect("room");
        let store = function(load(PTX).expect("PTX"), "store").expect("there");
        assert_eq!(launch(store, 1, 1, target + 4, 1), 0, "the launch itself knows nothing yet");
        let illegal = CudaError::ILLEGAL_ADDRESS.0;
        assert_eq!(cuStreamSynchronize(null_mut()), illegal);
        assert_eq!(launch(store, 1, 1, target, 1), illegal);
        assert_eq!(read::<u32>(target, 1), Err(illegal));
        assert_eq!(allocate(4), Err(illegal));
        assert_eq!(cuMemFreeAsync(target, null_mut()), illegal);
        start(1);
        assert!(allocate(4).is_ok(), "the other device works");
    });
}

#[test]
fn a_kernel_cannot_touch_another_device() {
    with_driver(&[("DEVICES", "2")], || {
        start(0);
        let target = allocate(4).expect("room");
        start(1);
        let store = function(load(PTX).expect("PTX"), "store").expect("there");
        assert_eq!(launch(store, 1, 1, target, 1), 0);
        assert_eq!(cuCtxSynchronize(), CudaError::ILLEGAL_ADDRESS.0);
    });
}

#[test]
fn streams_and_events_are_known_until_they_are_destroyed() {
    with_driver(&[], || {
        start(0);
        let (mut stream, mut start, mut end, mut elapsed) = (null_mut(), null_mut(), null_mut(), -1.0);
        // SAFETY: places for the results.
        unsafe {
            assert_eq!(cuStreamCreate(&mut stream, 1), 0);
            assert_eq!((cuEventCreate(&mut start, 0), cuEventCreate(&mut end, 0)), (0, 0));
            assert_eq!(
                cuEventElapsedTime(&mut elapsed, start, end),
                CudaError::INVALID_HANDLE.0,
                "not recorded"
            );
            assert_eq!((cuEventRecord(start, stream), cuEventRecord(end, stream)), (0, 0));
            assert_eq!(cuEventElapsedTime(&mut elapsed, start, end), 0);
        }
        assert!(elapsed >= 0.0);
        assert_eq!(cuStreamWaitEvent(stream, end, 0), 0);
        assert_eq!((cuEventDestroy_v2(end), cuStreamDestroy_v2(stream)), (0, 0));
        let invalid = CudaError::INVALID_HANDLE.0;
        assert_eq!((cuEventDestroy_v2(end), cuStreamDestroy_v2(stream)), (invalid, invalid));
        assert_eq!((cuStreamSynchronize(stream), cuStreamWaitEvent(null_mut(), end, 0)), (invalid, invalid));
    });
}

#[test]
fn errors_have_names_and_texts() {
    let (mut name, mut text) = (null(), null());
    // SAFETY: places for the results, which are text with a null at the end.
    unsafe {
        assert_eq!((cuGetErrorName(2, &mut name), cuGetErrorString(2, &mut text)), (0, 0));
        assert_eq!(std::ffi::CStr::from_ptr(name), c"CUDA_ERROR_OUT_OF_MEMORY");
        assert_eq!(std::ffi::CStr::from_ptr(text), c"out of memory");
        assert_eq!(cuGetErrorName(12345, &mut name), CudaError::INVALID_VALUE.0);
        assert!(name.is_null());
    }
}

#[test]
fn the_report_says_what_happened() {
    with_driver(&[], || {
        start(0);
        let target = allocate(8).expect("room");
        let store = function(load(PTX).expect("PTX"), "store").expect("there");
        assert_eq!(launch(store, 2, 3, target, 1), 0);
        assert_eq!(launch(store, 1, 1, 4, 1), 0);
        let report = crate::report::render(&Driver::lock());
        for part in [
            "\"store\":{\"launches\":2,\"instructions\":42,",
            "\"launches\":2,",
            "\"allocations\":1,\"peak_bytes\":8,\"live_bytes\":8,\"live_blocks\":1,",
            "\"poisoned\":\"CUDA_ERROR_ILLEGAL_ADDRESS\"",
        ] {
            assert!(report.contains(part), "{part} is not in {report}");
        }
    });
}

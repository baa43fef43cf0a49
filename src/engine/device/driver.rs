//! Questions to the CUDA driver that dfdx does not ask: it panics where there is no driver or no device.
//!
//! The functions called here do what NVIDIA's CUDA Driver API reference says of them.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use cudarc::driver::result::{self, DriverError};
use cudarc::driver::sys::{self, CUdevice, CUdevice_attribute, CUresult};

use super::kernels::{Kernels, Version};
use super::loaded;
use super::problem::{CudaProblem, cublas_package};
use super::{ComputeMode, CudaDevice};

/// Whether the driver's library is here.
fn check_library() -> Result<(), CudaProblem> {
    let problem = |missing: &loaded::Missing| CudaProblem::NoDriverLibrary { reason: missing.reason.clone() };
    loaded::driver().map(drop).map_err(problem)
}

/// Whether cuBLAS is here.
pub fn check_cublas() -> Result<(), CudaProblem> {
    loaded::cublas().map(drop).map_err(|missing| CudaProblem::NoCublas {
        reason: missing.reason.clone(),
        package: cublas_package(loaded::driver_major()),
    })
}

/// The cuBLAS that was found: what it was opened by, and its release where it tells.
pub fn cublas() -> Option<(PathBuf, Option<String>)> {
    loaded::cublas().ok().map(|library| (library.opened.clone(), library.cublas_version()))
}

/// The newest CUDA release whose programs the driver runs. Needs no device.
pub fn version() -> Result<Version, CudaProblem> {
    check_library()?;
    let mut version: c_int = 0;
    // SAFETY: the function writes one integer, to a variable that outlives the call.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(no_driver)?;
    let version = u32::try_from(version).unwrap_or_default();
    // 12040 is 12.4.
    Ok(Version::new(version / 1000, version % 1000 / 10))
}

/// Number of devices, which is at least one.
pub fn count() -> Result<usize, CudaProblem> {
    check_library()?;
    let visible = || std::env::var("CUDA_VISIBLE_DEVICES").ok();
    let count = match result::init().and_then(|()| result::device::get_count()) {
        Err(DriverError(CUresult::CUDA_ERROR_NO_DEVICE)) => 0,
        other => other.map_err(no_driver)?,
    };
    match usize::try_from(count) {
        Ok(count) if count > 0 => Ok(count),
        _ => Err(CudaProblem::NoDevice { visible: visible() }),
    }
}

/// The device of this ordinal, as it describes itself.
pub fn device(ordinal: usize) -> Result<CudaDevice, CudaProblem> {
    let count = count()?;
    if ordinal >= count {
        let name = |ordinal| match describe(ordinal) {
            Ok(device) => format!("cuda:{ordinal} ({})", device.name),
            Err(_) => format!("cuda:{ordinal}"),
        };
        return Err(CudaProblem::NoSuchDevice {
            devices: (0..count).map(name).collect(),
            visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        });
    }
    describe(ordinal).map_err(unusable)
}

fn describe(ordinal: usize) -> Result<CudaDevice, DriverError> {
    let handle = handle(ordinal)?;
    // SAFETY: the handle comes from `cuDeviceGet`.
    let attribute = |attribute| unsafe { result::device::get_attribute(handle, attribute) };
    let number = |value| u32::try_from(value).unwrap_or_default();
    let major = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR)?;
    let minor = attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR)?;
    // A driver that does not tell the mode will tell when the device is opened.
    let compute_mode = match attribute(CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_MODE) {
        Ok(2) => ComputeMode::Prohibited,
        Ok(3) => ComputeMode::ExclusiveProcess,
        _ => ComputeMode::Shared,
    };
    // SAFETY: as above.
    let memory_bytes = unsafe { result::device::total_mem(handle) }? as u64;
    let capability = Version::new(number(major), number(minor));
    Ok(CudaDevice { ordinal, name: name(handle)?, capability, memory_bytes, compute_mode })
}

fn handle(ordinal: usize) -> Result<CUdevice, DriverError> {
    let ordinal = c_int::try_from(ordinal).map_err(|_| DriverError(CUresult::CUDA_ERROR_INVALID_DEVICE))?;
    result::device::get(ordinal)
}

fn name(handle: CUdevice) -> Result<String, DriverError> {
    let mut name: [c_char; 256] = [0; 256];
    // SAFETY: the function writes at most as many characters as it is told of, the closing zero included.
    unsafe { sys::cuDeviceGetName(name.as_mut_ptr(), name.len() as c_int, handle) }.result()?;
    name[255] = 0;
    // SAFETY: the array ends with a zero, whatever the function wrote.
    let name = unsafe { CStr::from_ptr(name.as_ptr()) };
    Ok(name.to_string_lossy().trim().to_owned())
}

/// The device's UUID, as NVIDIA's tools write it: `GPU-` and 32 hexadecimal digits in groups.
pub fn id(ordinal: usize) -> Option<String> {
    result::init().ok()?;
    let handle = handle(ordinal).ok()?;
    let mut uuid = MaybeUninit::<sys::CUuuid>::zeroed();
    // SAFETY: the function writes 16 bytes, which is what the type holds.
    unsafe { sys::cuDeviceGetUuid_v2(uuid.as_mut_ptr(), handle) }.result().ok()?;
    // SAFETY: all of it is written, and was zero before.
    let uuid = unsafe { uuid.assume_init() };
    let digits: String = uuid.bytes.iter().map(|byte| format!("{:02x}", *byte as u8)).collect();
    let groups = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(format!("GPU-{}", groups.join("-")))
}

/// Whether the device has memory pools, as dfdx asks for memory of no bytes, which other ways of allocating refuse.
pub fn check_pools(device: &CudaDevice) -> Result<(), CudaProblem> {
    let handle = handle(device.ordinal).map_err(unusable)?;
    let pools = CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED;
    // SAFETY: the handle comes from `cuDeviceGet`.
    match unsafe { result::device::get_attribute(handle, pools) }.map_err(unusable)? {
        0 => Err(CudaProblem::NoPools { name: device.name.clone() }),
        _ => Ok(()),
    }
}

/// Whether this program's kernels can run with this driver, on this device.
pub fn check_kernels(device: &CudaDevice) -> Result<(), CudaProblem> {
    let Some(kernels) = Kernels::of_this_program() else { return Ok(()) };
    let driver = version()?;
    if kernels.oldest_driver() > driver {
        return Err(CudaProblem::DriverTooOld { driver, kernels });
    }
    if !kernels.run_on(device.capability) {
        let CudaDevice { name, capability, .. } = device.clone();
        return Err(CudaProblem::DeviceTooOld { name, capability, kernels });
    }
    Ok(())
}

/// Opens the device once in the life of this process, to see whether it lets us in, and gives it back.
pub fn check_open(ordinal: usize) -> Result<(), CudaProblem> {
    static OPENED: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());
    let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
    if !opened.contains(&ordinal) {
        memory(ordinal)?;
        opened.insert(ordinal);
    }
    Ok(())
}

/// Free and total memory of the device in bytes. Opens the device for that moment where this process has not opened it yet.
pub fn memory(ordinal: usize) -> Result<(u64, u64), CudaProblem> {
    count()?;
    let handle = handle(ordinal).map_err(unusable)?;
    // SAFETY: the handle comes from `cuDeviceGet`, and the context is released below: both only count its users.
    let context = unsafe { result::primary_ctx::retain(handle) }.map_err(unusable)?;
    let asked = result::ctx::get_current().and_then(|before| {
        // SAFETY: both contexts are alive: one was retained above, the other is the thread's own.
        unsafe {
            result::ctx::set_current(context)?;
            let memory = result::mem_get_info();
            result::ctx::set_current(before.unwrap_or(std::ptr::null_mut()))?;
            memory
        }
    });
    // SAFETY: as above.
    let released = unsafe { result::primary_ctx::release(handle) };
    let (free, total) = asked.map_err(unusable)?;
    released.map_err(unusable)?;
    Ok((free as u64, total as u64))
}

/// The problem behind the refusal of a device.
pub fn unusable(error: DriverError) -> CudaProblem {
    let reason = words(error);
    match error.0 {
        CUresult::CUDA_ERROR_DEVICE_UNAVAILABLE => CudaProblem::Busy { reason },
        CUresult::CUDA_ERROR_OUT_OF_MEMORY => CudaProblem::Full { reason },
        _ => CudaProblem::Unusable { reason },
    }
}

fn no_driver(error: DriverError) -> CudaProblem {
    let mend = match error.0 {
        CUresult::CUDA_ERROR_STUB_LIBRARY => {
            "the toolkit's stub stands in the driver's place: take folders named `stubs` out of LD_LIBRARY_PATH"
        }
        CUresult::CUDA_ERROR_SYSTEM_DRIVER_MISMATCH => {
            "the driver's library and its kernel module are not of one version, as after an update: reboot"
        }
        CUresult::CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE => {
            "a forward-compatibility library (cuda-compat) is in the way, which consumer GPUs do not support: take it out of \
             LD_LIBRARY_PATH"
        }
        _ => "see whether `nvidia-smi` works; if not, the driver needs to be installed again",
    };
    CudaProblem::NoDriver { reason: words(error), mend }
}

/// The driver's own name and description of an error. cudarc's `Debug` panics on errors that the driver does not know.
fn words(error: DriverError) -> String {
    let text = |text: Result<&CStr, DriverError>| text.ok().map(|text| text.to_string_lossy().into_owned());
    match (text(error.error_name()), text(error.error_string())) {
        (Some(name), Some(description)) => format!("{name}: {description}"),
        (Some(name), None) => name,
        _ => format!("CUDA error {}", error.0 as u32),
    }
}

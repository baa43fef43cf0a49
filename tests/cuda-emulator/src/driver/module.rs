//! Modules: PTX in, kernels out.

use std::collections::HashMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use super::state::{Decoded, Loaded, pointer};
use super::{CudaError, Driver, answer, give};
use crate::machine::decode;
use crate::ptx;

/// # Safety
/// `module` is null or can be written to; `image` is null or PTX that ends with a null byte. (Real drivers take cubins,
/// too. Such a binary is refused, if it has a null byte within what can be read.)
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoadData(module: *mut *mut c_void, image: *const c_void) -> c_int {
    if image.is_null() {
        return CudaError::INVALID_VALUE.0;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(image.cast()) };
    // SAFETY: the caller's promise.
    answer(|driver| unsafe { give(module, pointer(driver.load(text)?)) })
}

/// # Safety
/// `module` is null or can be written to; `path` is null or text that ends with a null byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleLoad(module: *mut *mut c_void, path: *const c_char) -> c_int {
    if path.is_null() {
        return CudaError::INVALID_VALUE.0;
    }
    // SAFETY: the caller's promise.
    let path = unsafe { CStr::from_ptr(path) };
    answer(|driver| {
        let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path.to_bytes()));
        let text = std::fs::read(path).map_err(|_| CudaError::FILE_NOT_FOUND)?;
        let text = CString::new(text).map_err(|_| CudaError::INVALID_PTX)?;
        // SAFETY: the caller's promise.
        unsafe { give(module, pointer(driver.load(&text)?)) }
    })
}

#[unsafe(no_mangle)]
pub extern "C" fn cuModuleUnload(module: *mut c_void) -> c_int {
    answer(|driver| {
        driver.working()?;
        let loaded = driver.modules.remove(&module.addr()).ok_or(CudaError::INVALID_HANDLE)?;
        driver.functions.retain(|_, (other, _)| !Arc::ptr_eq(other, &loaded));
        for &address in &loaded.globals {
            driver.memory.free(loaded.device, address);
        }
        Ok(())
    })
}

/// # Safety
/// `function` is null or can be written to; `name` is null or text that ends with a null byte.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuModuleGetFunction(
    function: *mut *mut c_void,
    module: *mut c_void,
    name: *const c_char,
) -> c_int {
    if name.is_null() {
        return CudaError::INVALID_VALUE.0;
    }
    // SAFETY: the caller's promise.
    let name = unsafe { CStr::from_ptr(name) };
    answer(|driver| {
        driver.working()?;
        let loaded = driver.modules.get(&module.addr()).cloned().ok_or(CudaError::INVALID_HANDLE)?;
        let program = name.to_str().ok().and_then(|name| loaded.kernels.by_name.get(name).copied());
        let program = program.ok_or(CudaError::NOT_FOUND)?;
        let handle = driver.new_handle();
        // SAFETY: the caller's promise.
        unsafe { give(function, pointer(handle)) }?;
        driver.functions.insert(handle, (loaded, program));
        Ok(())
    })
}

impl Driver {
    /// Loads PTX for the current device: the module's handle.
    fn load(&mut self, text: &CStr) -> Result<usize, CudaError> {
        let device = self.working()?;
        let text = text.to_str().map_err(|_| refused("the module is not PTX".to_owned()))?;
        if let Some(known) = self.decoded.get(text).cloned() {
            self.check(known.version, &known.target)?;
            return Ok(self.keep(Loaded { kernels: known.kernels, device, globals: Vec::new() }));
        }
        let module = ptx::parse(text).map_err(|error| refused(error.to_string()))?;
        self.check(module.version, &module.target)?;
        let mut addresses = HashMap::new();
        for global in &module.globals {
            let address =
                self.memory.allocate(device, global.bytes.max(1)).ok_or(CudaError::OUT_OF_MEMORY)?;
            if let Some(bytes) = self.memory.bytes(device, address, global.bytes) {
                // What has no first value is zero, as in C.
                bytes.fill(0);
                bytes[..global.initial.len()].copy_from_slice(&global.initial);
            }
            addresses.insert(global.name.clone(), address);
        }
        let kernels = Arc::new(decode(&module, &addresses));
        if addresses.is_empty() {
            let (version, target, kernels) = (module.version, module.target, Arc::clone(&kernels));
            self.decoded.insert(text.to_owned(), Decoded { version, target, kernels });
        }
        Ok(self.keep(Loaded { kernels, device, globals: addresses.into_values().collect() }))
    }

    fn keep(&mut self, loaded: Loaded) -> usize {
        let handle = self.new_handle();
        self.modules.insert(handle, Arc::new(loaded));
        handle
    }

    /// Whether the driver knows a text's version, and the device can run what it is for.
    fn check(&self, version: (u32, u32), target: &str) -> Result<(), CudaError> {
        let known = self.settings.driver_version;
        if driver_for_ptx(version) > known {
            eprintln!("CUDA emulator: PTX {}.{} is newer than driver {known} knows", version.0, version.1);
            return Err(CudaError::UNSUPPORTED_PTX_VERSION);
        }
        let (major, minor) = self.settings.compute_capability;
        let number = target.trim_start_matches("sm_").trim_end_matches(char::is_alphabetic).parse::<u32>();
        if number.is_ok_and(|number| number <= 10 * major + minor) {
            return Ok(());
        }
        Err(refused(format!("{target} is not for a device of {major}.{minor}")))
    }
}

fn refused(reason: String) -> CudaError {
    eprintln!("CUDA emulator: {reason}");
    CudaError::INVALID_PTX
}

/// The first driver that takes a version of PTX, by the release notes in NVIDIA's PTX manual.
fn driver_for_ptx((major, minor): (u32, u32)) -> i32 {
    let (cuda_major, cuda_minor) = match (major, minor) {
        (9.., minor) => (major + 4, minor),
        // 8.5 came with CUDA 12.5 and 12.6, so 8.6 is of 12.7.
        (8, 6..) => (12, minor + 1),
        (8, minor) => (12, minor),
        (7, minor) => (11, minor),
        (_, minor) => (10, minor),
    };
    (1000 * cuda_major + 10 * cuda_minor) as i32
}

#[cfg(test)]
mod tests {
    use super::driver_for_ptx;

    #[test]
    fn a_ptx_version_belongs_to_a_toolkit() {
        // PTX version, toolkit that brought it.
        for (version, driver) in [
            ((9, 0), 13000),
            ((8, 8), 12090),
            ((8, 7), 12080),
            ((8, 5), 12050),
            ((8, 0), 12000),
            ((7, 5), 11050),
        ] {
            assert_eq!(driver_for_ptx(version), driver, "{version:?}");
        }
    }
}

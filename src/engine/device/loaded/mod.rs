//! NVIDIA's driver and cuBLAS, opened when they are first asked for. The program is not linked with them: it starts on every machine,
//! and takes them from where they are on this one.
//!
//! cudarc, through which dfdx calls them, declares their functions for the linker. `forwards` defines these functions.

use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use libloading::Library;

mod forwards;
mod search;

/// A library that was found.
#[derive(Debug)]
pub struct Loaded {
    library: Library,
    /// What it was opened by: a name for the system's loader to find, or a path.
    pub opened: PathBuf,
    /// Where it depends on another one of which the system's loader might know another copy, that one, to stay loaded.
    _needs: Option<Library>,
}

/// A library that was not found, or that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// What the system's loader said of the first name.
    pub reason: String,
    /// Folders that were looked into beside the loader's.
    pub searched: Vec<PathBuf>,
}

impl Loaded {
    /// The function of this name, which ends with a zero byte.
    ///
    /// # Safety
    /// `F` is the type of a pointer to this function.
    unsafe fn function<F: Copy>(&self, name: &str) -> Option<F> {
        // SAFETY: the caller's promise.
        unsafe { self.library.get::<F>(name.as_bytes()) }.ok().map(|function| *function)
    }

    fn has(&self, name: &str) -> bool {
        // SAFETY: the address is looked at by nobody.
        unsafe { self.function::<*const ()>(name) }.is_some()
    }

    /// A release of cuBLAS, as `13.1.0`; `None` where this is another library, or one that does not tell.
    pub fn cublas_version(&self) -> Option<String> {
        type GetProperty = unsafe extern "C" fn(c_int, *mut c_int) -> c_int;
        // SAFETY: the type is this function's in cuBLAS' header.
        let get = unsafe { self.function::<GetProperty>("cublasGetProperty\0") }?;
        let parts = [0, 1, 2].map(|property| {
            let mut value: c_int = 0;
            // SAFETY: the function writes one integer, to a variable that outlives the call.
            (unsafe { get(property, &mut value) } == 0).then(|| value.to_string())
        });
        Some(parts.into_iter().collect::<Option<Vec<_>>>()?.join("."))
    }
}

/// The driver's library.
pub fn driver() -> Result<&'static Loaded, &'static Missing> {
    static DRIVER: OnceLock<Result<Loaded, Missing>> = OnceLock::new();
    let found = DRIVER.get_or_init(|| search::find(&[search::DRIVER], &search::driver_folders(), |_| Ok(())));
    found.as_ref()
}

/// cuBLAS: the newest that goes with the driver, wherever it is.
pub fn cublas() -> Result<&'static Loaded, &'static Missing> {
    static CUBLAS: OnceLock<Result<Loaded, Missing>> = OnceLock::new();
    let found = CUBLAS.get_or_init(|| {
        let driver = driver_major();
        search::find(&search::cublas_names(driver), &search::toolkit_folders(), |library| {
            if !library.has("cublasCreate_v2\0") {
                return Err("is another library than its name says".to_owned());
            }
            library.cublas_version().map_or(Ok(()), |version| fits(&version, driver))
        })
    });
    found.as_ref()
}

/// Whether a driver of this major release runs this release of cuBLAS. One that is newer than the driver would fail at its first use.
///
/// # Source
/// NVIDIA, CUDA Compatibility, on minor versions: a library needs a driver of its major release, or a newer one.
fn fits(cublas: &str, driver: Option<u32>) -> Result<(), String> {
    let major = cublas.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match (major, driver) {
        (Some(major), Some(driver)) if major > driver => {
            Err(format!("is cuBLAS {cublas}, and the driver here is for CUDA {driver}"))
        }
        _ => Ok(()),
    }
}

/// The major number of the newest CUDA release that the driver knows.
pub fn driver_major() -> Option<u32> {
    super::driver::version().ok().map(|version| version.major).filter(|&major| major > 0)
}

/// Opens a library, and before it the one beside it that it needs.
fn open(path: &Path, needs: Option<&Path>) -> Result<Loaded, libloading::Error> {
    // SAFETY: NVIDIA's libraries do nothing when they are loaded that this process could be hurt by; what else bears their name in a
    // folder for libraries is what people put there to be loaded.
    let open = |path: &Path| unsafe { Library::new(path) };
    // Where it is not found, the library itself says so.
    let needs = needs.and_then(|needs| open(needs).ok());
    Ok(Loaded { library: open(path)?, opened: path.to_owned(), _needs: needs })
}

#[cfg(test)]
mod tests;

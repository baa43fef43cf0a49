//! The kernels that this program carries: compiled by its build (`src/build`), packed, and taken from there for the GPU that is there.
//! Nothing is compiled while a run is on, and no file of the build or of a toolkit is read.

use std::io::Write as _;
use std::sync::Arc;

use cudarc::driver::sys::CUdevice_attribute::{
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR as MAJOR,
    CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR as MINOR,
};
use cudarc::driver::{CudaDevice, CudaFunction, DriverError, sys};
use cudarc::nvrtc::Ptx;

use super::kernels::KernelError;

/// A file of kernels, compiled.
#[allow(dead_code, reason = "a build that checks types only has none")]
struct Image {
    modules: &'static [Module],
}

/// A name under which a device keeps kernels.
#[allow(dead_code, reason = "a build that checks types only has none")]
struct Module {
    name: &'static str,
    functions: &'static [&'static str],
}

/// All images for one kind of GPUs.
#[allow(dead_code, reason = "a build that checks types only has none")]
struct Pack {
    /// The compute capability without its point.
    architecture: u32,
    /// Code that a driver takes as it is; otherwise text, which it translates for any GPU that is not older.
    compiled: bool,
    /// Of each image.
    lengths: &'static [usize],
    packed: &'static [u8],
}

mod generated {
    include!(concat!(env!("OUT_DIR"), "/carried.rs"));
}

use generated::{IMAGES, PACKS};
pub use generated::{LANGUAGE, RELEASE};

/// What modules with this program's own kernels are called begins so.
const OWN: &str = "runner-";

/// Compute capabilities without their point, lowest first: those for which there is text, and those for which there is code.
pub fn architectures() -> (Vec<u32>, Vec<u32>) {
    let of = |compiled: bool| {
        let packs = PACKS.iter().filter(move |pack| pack.compiled == compiled);
        packs.map(|pack| pack.architecture).collect()
    };
    (of(false), of(true))
}

/// A kernel of this program's own, on a device for which [`load`] was called.
pub fn kernel(device: &Arc<CudaDevice>, name: &str) -> Option<CudaFunction> {
    device.get_func(module_of(name)?, name)
}

/// The module that has a kernel of this program's own.
fn module_of(function: &str) -> Option<&'static str> {
    let modules = IMAGES.iter().flat_map(|image| image.modules).filter(|module| module.name.starts_with(OWN));
    modules.into_iter().find(|module| module.functions.contains(&function)).map(|module| module.name)
}

/// Gives the device all modules, those for which dfdx looks and this program's own, unless it has them.
pub fn load(device: &Arc<CudaDevice>) -> Result<(), KernelError> {
    let loaded = |module: &Module| device.has_func(module.name, module.functions[0]);
    if !generated::present() || IMAGES.iter().flat_map(|image| image.modules).all(loaded) {
        return Ok(());
    }
    let number =
        |attribute| device.attribute(attribute).map(|number| u32::try_from(number).unwrap_or_default());
    let major = number(MAJOR).map_err(KernelError::Device)?;
    let capability = 10 * major + number(MINOR).map_err(KernelError::Device)?;
    let mut failure = KernelError::TooOld { capability };
    for pack in choices(PACKS, capability, driver_release()?) {
        match give(device, pack) {
            Ok(()) => return Ok(()),
            // Memory is as short for the next one.
            Err(error) if error.is_out_of_memory() => return Err(error),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// The major number of the newest CUDA release that the driver knows.
fn driver_release() -> Result<u32, KernelError> {
    let mut version = 0;
    // SAFETY: the function writes one integer, to a variable that outlives the call.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result().map_err(KernelError::Device)?;
    Ok(u32::try_from(version).unwrap_or_default() / 1000)
}

/// What to try on a GPU, best first: code for the newest kind that is not newer than it, of its generation, where the driver is of the
/// compiler's release; then text, the newest that it can run.
///
/// # Source
/// NVIDIA, CUDA C++ Best Practices Guide, on binary and PTX compatibility and on drivers of the same major release.
fn choices(packs: &'static [Pack], capability: u32, driver: u32) -> impl Iterator<Item = &'static Pack> {
    let newest = move |compiled: bool| {
        let fitting =
            packs.iter().filter(move |pack| pack.compiled == compiled && pack.architecture <= capability);
        fitting.max_by_key(|pack| pack.architecture)
    };
    let code = newest(true).filter(|pack| pack.architecture / 10 == capability / 10 && driver >= RELEASE.0);
    code.into_iter().chain(newest(false))
}

/// Unpacks and loads.
fn give(device: &Arc<CudaDevice>, pack: &Pack) -> Result<(), KernelError> {
    let unpacked = zstd::decode_all(pack.packed).map_err(KernelError::Unpack)?;
    let mut rest = unpacked.as_slice();
    for (image, length) in IMAGES.iter().zip(pack.lengths) {
        let (bytes, after) = rest.split_at_checked(*length).ok_or_else(|| KernelError::Unpack(cut_off()))?;
        rest = after;
        if pack.compiled {
            // cudarc takes code from a file only: text that it is given directly ends with its first zero.
            let mut file =
                tempfile::Builder::new().prefix("runner-kernels-").tempfile().map_err(KernelError::Unpack)?;
            file.write_all(bytes).map_err(KernelError::Unpack)?;
            let path = file.path().to_str().ok_or_else(|| KernelError::Unpack(unreadable()))?;
            register(device, image, || Ptx::from_file(path))?;
        } else {
            let text = std::str::from_utf8(bytes).map_err(|_| KernelError::Unpack(cut_off()))?;
            register(device, image, || Ptx::from_src(text))?;
        }
    }
    Ok(())
}

fn register(device: &Arc<CudaDevice>, image: &Image, code: impl Fn() -> Ptx) -> Result<(), KernelError> {
    let mut modules = image.modules.iter();
    let load = |module: &Module| device.load_ptx(code(), module.name, module.functions);
    modules.try_for_each(load).map_err(|error: DriverError| KernelError::Load(error))
}

fn cut_off() -> std::io::Error {
    std::io::Error::other("the program's file is damaged")
}

fn unreadable() -> std::io::Error {
    std::io::Error::other("the path of the folder for temporary files is not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn pack(architecture: u32, compiled: bool) -> Pack {
        Pack { architecture, compiled, lengths: &[], packed: &[] }
    }

    static ALL: [Pack; 6] =
        [pack(75, false), pack(80, false), pack(75, true), pack(80, true), pack(86, true), pack(90, true)];

    fn chosen(capability: u32, driver: u32) -> Vec<(u32, bool)> {
        choices(&ALL, capability, driver).map(|pack| (pack.architecture, pack.compiled)).collect()
    }

    #[test]
    fn a_card_gets_code_of_its_own_generation_and_else_text() {
        assert_eq!(chosen(75, RELEASE.0), [(75, true), (75, false)]);
        assert_eq!(chosen(89, RELEASE.0), [(86, true), (80, false)]);
        assert_eq!(chosen(90, RELEASE.0), [(90, true), (80, false)]);
        assert_eq!(chosen(120, RELEASE.0), [(80, false)]);
    }

    #[test]
    fn a_driver_that_is_older_than_the_compiler_gets_text() {
        assert_eq!(chosen(90, RELEASE.0 - 1), [(80, false)]);
        assert_eq!(chosen(75, RELEASE.0 - 1), [(75, false)]);
    }

    #[test]
    fn a_card_that_is_too_old_gets_nothing() {
        assert_eq!(chosen(70, RELEASE.0), []);
    }

    #[test]
    fn every_pack_has_every_image_and_every_kernel_a_module() {
        assert!(PACKS.iter().all(|pack| pack.lengths.len() == IMAGES.len()));
        for pack in PACKS {
            let unpacked = zstd::decode_all(pack.packed).unwrap();
            assert_eq!(unpacked.len(), pack.lengths.iter().sum::<usize>());
        }
        assert_eq!(module_of("exp_fwd_f32"), None);
        let own = IMAGES.iter().flat_map(|image| image.modules).filter(|module| module.name.starts_with(OWN));
        let kernels: Vec<_> =
            own.flat_map(|module| module.functions.iter().map(move |kernel| (kernel, module.name))).collect();
        let missing = super::super::kernels::NAMES.iter().find(|name| module_of(name).is_none());
        assert_eq!(missing, None, "no file has this kernel");
        // No two files have kernels of one name.
        assert!(kernels.iter().all(|(kernel, module)| module_of(kernel) == Some(module)));
    }

    #[test]
    fn every_text_is_for_its_kind_of_cards_and_in_the_language_that_is_said() {
        for pack in PACKS.iter().filter(|pack| !pack.compiled) {
            let text = String::from_utf8(zstd::decode_all(pack.packed).unwrap()).unwrap();
            let lines = |start: &'static str| text.lines().filter_map(move |line| line.strip_prefix(start));
            let target = format!("sm_{}", pack.architecture);
            assert!(lines(".target ").all(|found| found == target), "{target}");
            let newest = format!("{}.{}", LANGUAGE.0, LANGUAGE.1);
            assert!(lines(".version ").any(|version| version == newest), "{newest}");
        }
    }
}

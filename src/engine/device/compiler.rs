//! NVRTC, the compiler that dfdx calls while a run is on: reshaping, concatenating and changing the number format are compiled
//! when they are first met, with headers of the toolkit and of dfdx's own build.

use std::ffi::c_int;
use std::path::PathBuf;

use cudarc::nvrtc::{CompileError, CompileOptions, compile_ptx_with_opts, sys};
use memchr::memmem;

use super::driver;
use super::kernels::{Kernels, Version};

/// The toolkit's headers and dfdx's, where they were when this binary was built. dfdx knows no other places.
#[derive(Clone, Debug)]
struct BuildFiles {
    headers: PathBuf,
    /// `None` where the program does not tell.
    dfdx: Option<PathBuf>,
}

impl BuildFiles {
    fn of_this_program() -> Self {
        Self { headers: PathBuf::from(env!("RUNNER_CUDA_HEADERS")), dfdx: dfdx_folder() }
    }
}

/// The folder that dfdx's build script wrote to. Its path is part of the program, because dfdx reads from it; what it begins
/// with is known from our own build script.
fn dfdx_folder() -> Option<PathBuf> {
    let build = env!("RUNNER_BUILD_FOLDER");
    if build.is_empty() {
        return None;
    }
    let program = crate::files::plain::read(&std::env::current_exe().ok()?).ok()?;
    let beginning = PathBuf::from(build).join("dfdx");
    let beginning = beginning.to_str()?;
    // A hash and `out` follow, with nothing at the end: another text may come next.
    memmem::find_iter(&program, beginning).find_map(|start| {
        let path = program.get(start..start + beginning.len() + 40)?;
        let end = memmem::find(path, b"/out")?;
        Some(PathBuf::from(std::str::from_utf8(&path[..end + 4]).ok()?))
    })
}

/// Files that dfdx reads while a run is on and that are not there any more.
pub fn missing_build_files() -> Vec<PathBuf> {
    let files = BuildFiles::of_this_program();
    let headers = [files.headers.join("cuda_fp16.h")];
    let dfdx = files
        .dfdx
        .into_iter()
        .flat_map(|folder| ["cuda_utils.cuh", "compatibility.cuh"].map(|header| folder.join(header)));
    headers.into_iter().chain(dfdx).filter(|file| !file.is_file()).collect()
}

/// The release of the NVRTC library that this process found; `None` if it does not tell.
pub fn compiler_version() -> Option<Version> {
    let (mut major, mut minor): (c_int, c_int) = (0, 0);
    // SAFETY: the function writes two integers, to variables that outlive the call.
    unsafe { sys::nvrtcVersion(&mut major, &mut minor) }.result().ok()?;
    Some(Version::new(u32::try_from(major).ok()?, u32::try_from(minor).ok()?))
}

/// Compiles a kernel that uses the same headers as dfdx's, as dfdx would, and gives the head of the result. Needs no device.
///
/// # Errors
/// What the compiler says.
pub fn check_compiler() -> Result<Kernels, String> {
    // dfdx compiles for what its other kernels were compiled for.
    let Some(Kernels { capability, .. }) = driver::kernels() else {
        return Err("this binary does not say for which devices".to_owned());
    };
    let files = BuildFiles::of_this_program();
    let arch: &'static str = Box::leak(format!("sm_{}", capability.digits()).into_boxed_str());
    let include_paths = [Some(files.headers), files.dfdx.clone()].into_iter().flatten();
    let options = CompileOptions {
        arch: Some(arch),
        include_paths: include_paths.map(|path| path.display().to_string()).collect(),
        ..CompileOptions::default()
    };
    let header = if files.dfdx.is_some() { "cuda_utils.cuh" } else { "cuda_fp16.h" };
    let kernel = KERNEL.replace("$HEADER", header);
    let compiled = compile_ptx_with_opts(kernel, options).map_err(in_words)?;
    Kernels::in_text(&compiled.to_src())
        .ok_or_else(|| "its result has no head that says what it is".to_owned())
}

fn in_words(error: CompileError) -> String {
    match error {
        CompileError::CompileError { nvrtc, log, .. } => {
            let log = log.to_string_lossy();
            let line = log.lines().find(|line| line.contains("error")).unwrap_or_else(|| log.trim());
            format!("{:?}: {line}", nvrtc.0)
        }
        CompileError::CreationError(nvrtc)
        | CompileError::GetPtxError(nvrtc)
        | CompileError::GetLogError(nvrtc)
        | CompileError::DestroyError(nvrtc) => format!("{:?}", nvrtc.0),
    }
}

const KERNEL: &str = "
typedef long int intptr_t;
#include \"$HEADER\"
extern \"C\" __global__ void halve(const size_t n, const float *inp, __half *out) {
    for (unsigned int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += blockDim.x * gridDim.x) {
        out[i] = inp[i] * 0.5f;
    }
}";

//! Writes down where the CUDA build of dfdx came from: some of its operations are compiled while a run is on, and read files
//! of the build for that. `runner doctor` looks whether these are still there. A build without CUDA does nothing here.

use std::env;
use std::path::{Path, PathBuf};

/// Where dfdx and cudarc look for a toolkit, in their order: these variables first, then these folders.
const TOOLKIT_VARIABLES: [&str; 4] = ["CUDA_PATH", "CUDA_ROOT", "CUDA_TOOLKIT_ROOT_DIR", "CUDNN_LIB"];
const TOOLKIT_FOLDERS: [&str; 6] = [
    "/usr",
    "/usr/local/cuda",
    "/opt/cuda",
    "/usr/lib/cuda",
    "C:/Program Files/NVIDIA GPU Computing Toolkit",
    "C:/CUDA",
];

fn main() {
    println!("cargo::rerun-if-changed=src/build.rs");
    if env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return;
    }
    for variable in TOOLKIT_VARIABLES {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    // Empty where there is none, as when only types are checked.
    let headers = toolkit().map(|root| root.join("include").display().to_string()).unwrap_or_default();
    println!("cargo::rustc-env=RUNNER_CUDA_HEADERS={headers}");
    let build = build_folder().map(|folder| folder.display().to_string()).unwrap_or_default();
    println!("cargo::rustc-env=RUNNER_BUILD_FOLDER={build}");
}

fn toolkit() -> Option<PathBuf> {
    let variables = TOOLKIT_VARIABLES.into_iter().filter_map(env::var_os).map(PathBuf::from);
    let folders = TOOLKIT_FOLDERS.into_iter().map(PathBuf::from);
    variables.chain(folders).find(|root| root.join("include/cuda.h").is_file())
}

/// The folder `build` of the profile, in which every build script has its own `out`.
fn build_folder() -> Option<PathBuf> {
    let out = PathBuf::from(env::var_os("OUT_DIR")?);
    out.ancestors().find(|folder| folder.ends_with("build")).map(Path::to_owned)
}

//! Writes down where the CUDA build of dfdx came from: some of its operations are compiled while a run is on, and read files
//! of the build for that. `runner doctor` looks whether these are still there. For tests it says what this machine has that not every
//! machine has, so that those which lack it are `ignored` in `cargo test`'s closing lines and do not pass unseen.

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
    tell_tests();
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

/// Sets `tiny_shakespeare` where the corpus is at hand, and `cuda_emulator` where `.ci/cuda-toolkit` has put the emulator in the
/// driver's place.
fn tell_tests() {
    println!("cargo::rustc-check-cfg=cfg(tiny_shakespeare, cuda_emulator)");
    println!("cargo::rerun-if-env-changed=RUNNER_TEST_DATA");
    println!("cargo::rerun-if-env-changed=RUNNER_CUDA_EMULATOR");
    if env::var_os("RUNNER_CUDA_EMULATOR").is_some() {
        println!("cargo::rustc-cfg=cuda_emulator");
    }
    let beside = || Some(PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?).join("../shared/data"));
    let folder = env::var_os("RUNNER_TEST_DATA").map(PathBuf::from).or_else(beside);
    let corpus = folder.map(|folder| folder.join("tinyshakespeare/input.txt"));
    // A path that is not there would have cargo build everything again each time: whoever adds the file sets the variable.
    if let Some(corpus) = corpus.filter(|corpus| corpus.is_file()) {
        println!("cargo::rerun-if-changed={}", corpus.display());
        println!("cargo::rustc-cfg=tiny_shakespeare");
    }
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

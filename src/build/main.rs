//! Compiles the kernels for GPUs that the program carries. For tests it says what this machine has that not every machine has, so that
//! those which lack it are `ignored` in `cargo test`'s closing lines and do not pass unseen.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

#[cfg(feature = "cuda")]
mod kernels;
#[cfg(feature = "cuda")]
mod pack;
#[cfg(feature = "cuda")]
mod sources;
#[cfg(feature = "cuda")]
mod toolkit;

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed=src/build");
    tell_tests();
    #[cfg(feature = "cuda")]
    if let Err(error) = kernels::carry() {
        // Cargo shows each such line with the name of the package.
        error.lines().for_each(|line| println!("cargo::error={line}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
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

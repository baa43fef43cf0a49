//! What has nothing to do with GPUs: the binary, the processor, memory, folders.

use std::path::{Path, PathBuf};

use super::{Finding, Section};
use crate::data::{self, KeptCorpora};
use crate::engine::device::{self, Bf16Kernel, KernelState, ProductKernels, product_kernels};
use crate::files::disk;
use crate::launcher::provenance;
use crate::machine;
use crate::units;

/// Folders that a run writes to.
#[derive(Clone, Debug)]
pub struct Places {
    pub runs_dir: PathBuf,
    pub reports_dir: PathBuf,
}

/// Below this much memory or disk a person should know: a checkpoint of GPT-2 124M takes 1.5 GB, training it 3.3 GiB.
const LITTLE_BYTES: u64 = 4 << 30;
/// Below this much disk even a small run's record may not fit.
const TOO_LITTLE_DISK_BYTES: u64 = 64 << 20;

pub(super) fn sections(places: &Places) -> Vec<Section> {
    vec![
        Section::new("Binary", binary()),
        Section::new("Processor and memory", vec![processor(), products(), bf16(), memory()]),
        Section::new(
            "Folders",
            vec![
                corpora(),
                folder("runs", &places.runs_dir, "--runs-dir"),
                folder("reports", &places.reports_dir, "--reports-dir"),
            ],
        ),
    ]
}

fn binary() -> Vec<Finding> {
    let packages = provenance::package_versions();
    let dfdx = packages.get("dfdx").map_or(units::MISSING, String::as_str);
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let cuda = if cfg!(feature = "cuda") { "with CUDA" } else { "without CUDA" };
    let version = env!("CARGO_PKG_VERSION");
    let build = Finding::ok(format!("runner {version} for {os} on {arch}, built {cuda}, dfdx {dfdx}"));
    let slow = Finding::note("built without optimisation: for tests; training is several times slower")
        .mend("build with `cargo build --release`");
    if cfg!(debug_assertions) { vec![build, slow] } else { vec![build] }
}

fn processor() -> Finding {
    let cores = machine::cores();
    let name = format!("{}, {}", machine::cpu_name(), units::counted(cores as u64, "core"));
    match product_kernels() {
        ProductKernels::Avx512 => {
            Finding::ok(format!("{name}; AVX-512, AVX2, FMA: products by gemm's AVX-512 kernels"))
        }
        ProductKernels::Avx2 => Finding::ok(format!("{name}; AVX2, FMA: products by gemm's AVX2 kernels")),
        ProductKernels::Older => Finding::note(format!(
            "{name}; no AVX2 with FMA: products by kernels for older processors, at a fraction of the speed"
        )),
        ProductKernels::Other => {
            Finding::ok(format!("{name}; products by gemm's kernels for {}", std::env::consts::ARCH))
        }
    }
}

/// What products do in the number formats that differ here, measured in some milliseconds.
fn products() -> Finding {
    let threads = rayon::current_num_threads();
    let single = units::flops(device::f32_products().flops_per_sec);
    let text = format!("matrix products on {}: {single}/s in f32", units::counted(threads as u64, "thread"));
    if !device::bf16_gains() {
        return Finding::ok(text);
    }
    let bf16 = device::bf16_products();
    let (speed, kernel) = (units::flops(bf16.flops_per_sec), bf16.kernel.unwrap_or(units::MISSING));
    Finding::ok(format!("{text}, {speed}/s in bf16 by {kernel}"))
}

fn bf16() -> Finding {
    Finding::ok(bf16_in_words(&device::bf16_kernels()))
}

/// Which kernels for bf16 there are, and what came of it. Where it is multiplied in f32 there is no speed of it to tell: it would
/// be f32's but for noise.
fn bf16_in_words(kernels: &[Bf16Kernel]) -> String {
    let words = kernels.iter().map(|Bf16Kernel { name, state }| match state {
        KernelState::Absent => format!("no {name}"),
        KernelState::Refused => format!("{name} is there, but the system does not let this process use it"),
        KernelState::Beaten => format!("{name} is there, but lost the probe"),
        KernelState::Chosen => format!("{name} is there and was chosen"),
    });
    let words = words.collect::<Vec<_>>().join("; ");
    if kernels.iter().any(|kernel| kernel.state == KernelState::Chosen) {
        return format!("bf16: {words}");
    }
    format!("bf16: {words}; so it is multiplied in f32, and hardware.dtype = \"bf16\" gains nothing here")
}

fn memory() -> Finding {
    let total = machine::host_info().memory_bytes;
    let Some(free) = machine::free_memory_bytes() else {
        return Finding::note("the system does not say how much memory is free");
    };
    let text = format!("{} of memory free, of {}", units::bytes(free as f64), units::bytes(total as f64));
    if free < LITTLE_BYTES {
        Finding::note(text).mend("`runner plan --memory FILE` says what a run takes")
    } else {
        Finding::ok(text)
    }
}

fn corpora() -> Finding {
    let KeptCorpora { folder: path, corpora } = match data::kept_corpora() {
        Ok(kept) => kept,
        Err(error) => return Finding::problem(format!("corpora: {error}")),
    };
    let list = corpora.iter().map(|(name, kept)| {
        if *kept { (*name).to_owned() } else { format!("{name} will be downloaded when a run needs it") }
    });
    let list = list.collect::<Vec<_>>().join("; ");
    match disk::in_the_way(&path).map_or_else(|| writable(&path), Err) {
        Ok(()) => Finding::ok(format!("corpora in {}: {list}", path.display())),
        // What is there already can be read.
        Err(_) if corpora.iter().all(|(_, kept)| *kept) => {
            Finding::ok(format!("corpora in {}: {list} (not writable, and need not be)", path.display()))
        }
        Err(reason) => Finding::problem(format!("corpora in {}: {reason}", path.display()))
            .mend("make the folder writable, or set RUNNER_DATA_DIR to another one"),
    }
}

fn folder(what: &str, path: &Path, option: &str) -> Finding {
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let text = format!("{what} in {}", shown.display());
    if let Some(obstacle) = disk::in_the_way(path) {
        return Finding::problem(format!("{text}: {obstacle}"))
            .mend(format!("or choose another folder with {option}"));
    }
    if let Err(reason) = writable(path) {
        return Finding::problem(format!("{text}: {reason}"))
            .mend(format!("make it writable, or choose another with {option}"));
    }
    match disk::free_bytes(path) {
        None => Finding::ok(format!("{text}: writable")),
        Some(free) => {
            let text = format!("{text}: writable, {} of disk free", units::bytes(free as f64));
            if free < TOO_LITTLE_DISK_BYTES {
                Finding::problem(text).mend(format!("free some, or choose another folder with {option}"))
            } else if free < LITTLE_BYTES {
                Finding::note(text).mend(
                    "a checkpoint takes 12 bytes for each parameter; checkpoint.keep_last says how many stay",
                )
            } else {
                Finding::ok(text)
            }
        }
    }
}

/// Whether files can be made in the folder, or the folder itself where it is not there yet. Leaves nothing behind.
fn writable(path: &Path) -> Result<(), String> {
    let there = disk::existing(path).ok_or("no folder above it exists")?;
    match tempfile::tempfile_in(there) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("{} is not writable: {error}", there.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Mark;

    #[test]
    fn what_became_of_each_kernel_for_bf16_is_said() {
        let words = |amx, avx512| {
            bf16_in_words(&[
                Bf16Kernel { name: "AMX", state: amx },
                Bf16Kernel { name: "AVX512-BF16", state: avx512 },
            ])
        };
        let nothing = "; so it is multiplied in f32, and hardware.dtype = \"bf16\" gains nothing here";
        assert_eq!(
            words(KernelState::Absent, KernelState::Absent),
            format!("bf16: no AMX; no AVX512-BF16{nothing}")
        );
        let refused = words(KernelState::Refused, KernelState::Beaten);
        assert!(
            refused.contains("AMX is there, but the system does not let this process use it"),
            "{refused}"
        );
        assert!(refused.contains("AVX512-BF16 is there, but lost the probe") && refused.ends_with(nothing));
        assert_eq!(
            words(KernelState::Chosen, KernelState::Beaten),
            "bf16: AMX is there and was chosen; AVX512-BF16 is there, but lost the probe"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_yet_is_fine_where_it_can_be_made() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("a/b/c");
        let found = folder("runs", &path, "--runs-dir");
        assert_ne!(found.mark, Mark::Problem, "{}", found.text);
        assert!(std::fs::read_dir(place.path()).expect("readable").next().is_none(), "it was made");
    }

    #[test]
    fn a_file_in_the_place_of_a_folder_is_a_problem_with_its_mend() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let file = place.path().join("runs");
        std::fs::write(&file, "").expect("writable");
        for path in [file.clone(), file.join("below")] {
            let found = folder("runs", &path, "--runs-dir");
            assert_eq!(found.mark, Mark::Problem);
            assert!(
                found.text.contains("is a file where a folder should be: move it away"),
                "{}",
                found.text
            );
            assert!(found.mend.is_some_and(|mend| mend.contains("--runs-dir")));
        }
    }
}

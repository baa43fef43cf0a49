//! What the facts about GPUs mean: a pure function, so that every situation can be tested without one.

use super::look::{Answer, Fact, Gpus};
use super::{Finding, Section};
use crate::engine::device::kernels::{Kernels, Version};
use crate::engine::device::{ComputeMode, CudaDevice, CudaProblem, build_command};
use crate::units;

/// A share of memory that other programs may have without being mentioned: a desktop takes some.
const TAKEN_SHARE: f64 = 0.1;

pub(super) fn sections(gpus: &Gpus) -> Vec<Section> {
    if !gpus.built_with_cuda {
        return vec![Section::new("GPU", without_cuda(gpus))];
    }
    let mut devices: Vec<Finding> = gpus.look.devices().flat_map(|found| device(gpus, found)).collect();
    if let Some(list) = &gpus.visible {
        devices
            .push(Finding::note(format!("CUDA_VISIBLE_DEVICES={list:?} hides all other devices from CUDA")));
    }
    vec![
        Section::new("CUDA driver", driver(gpus)),
        Section::new("Kernels", kernels(gpus)),
        Section::new("Devices", devices),
    ]
}

/// A binary that can use no GPU.
fn without_cuda(gpus: &Gpus) -> Vec<Finding> {
    let inventory = gpus.look.inventory();
    let names: Vec<String> =
        inventory.into_iter().flat_map(|found| &found.gpus).map(|gpu| gpu.name.clone()).collect();
    if names.is_empty() && !gpus.kernel_module {
        return vec![Finding::note("no NVIDIA GPU was found: runs train on the processor")];
    }
    let what = if names.is_empty() { "an NVIDIA driver".to_owned() } else { names.join(", ") };
    let mut findings = vec![
        Finding::note(format!(
            "{what} is here, and this binary was built without CUDA: runs train on the processor"
        ))
        .mend(how_to_build(inventory.and_then(|found| found.cuda), lowest_capability(gpus))),
    ];
    if !gpus.nvidia_smi {
        findings.push(Finding::note(
            "`nvidia-smi` is not on the PATH, and a build with CUDA asks it for the GPU",
        ));
    }
    findings
}

fn lowest_capability(gpus: &Gpus) -> Option<Version> {
    let listed = gpus.look.inventory().into_iter().flat_map(|found| &found.gpus);
    listed.filter_map(|gpu| gpu.capability).map(|(major, minor)| Version::new(major, minor)).min()
}

fn how_to_build(newest_cuda: Option<(u32, u32)>, capability: Option<Version>) -> String {
    let toolkit = newest_cuda.map_or_else(
        || "a CUDA toolkit".to_owned(),
        |(major, minor)| format!("a CUDA toolkit not newer than {major}.{minor}"),
    );
    let command = build_command(capability);
    format!(
        "install {toolkit}, then, in the source folder, `{command}` (the README's section on GPUs has every card)"
    )
}

fn driver(gpus: &Gpus) -> Vec<Finding> {
    let look = &gpus.look;
    let mut findings = Vec::new();
    if let Some(version) = look.driver() {
        let own = look.inventory().and_then(|found| found.driver.clone());
        let own = own.map_or_else(String::new, |own| format!(" {own}"));
        // Zero is what a missing kernel module gives.
        if version > Version::new(0, 0) {
            findings.push(Finding::ok(format!("driver{own}: runs programs of CUDA {version} and older")));
        }
    }
    findings.extend(look.facts.iter().filter_map(|fact| match fact {
        Fact::Unusable { reason } => Some(problem(reason)),
        Fact::NoInventory { reason } => {
            Some(Finding::note(format!("no NVML ({reason}): the columns gpu_* of metrics.csv stay empty")))
        }
        _ => None,
    }));
    if look.devices().next().is_none() && !gpus.nvidia_smi {
        findings.push(Finding::note("`nvidia-smi`, which comes with the driver, is not on the PATH"));
    }
    if let Some(death) = &look.death {
        findings.push(
            Finding::problem(format!("the process that asked the driver {death}"))
                .mend("see whether `nvidia-smi` works; restart the machine, or install the driver again"),
        );
    }
    findings
}

/// From an error's text, whose last parts say what to do.
fn problem(reason: &str) -> Finding {
    match reason.split_once("; ") {
        Some((what, mend)) => Finding::problem(what).mend(mend),
        None => Finding::problem(reason),
    }
}

fn kernels(gpus: &Gpus) -> Vec<Finding> {
    let Some(kernels) = gpus.kernels else {
        return vec![
            Finding::problem("this binary has no kernels, or cannot be read")
                .mend("build again with `cargo build --release --features cuda`, without dfdx/ci-check"),
        ];
    };
    let Kernels { toolkit, ptx, capability } = kernels;
    let driver = gpus.look.driver().filter(|&version| version > Version::new(0, 0));
    let mut findings = vec![Finding::ok(format!(
        "compiled for compute capability {capability} by CUDA {toolkit} (PTX {ptx})"
    ))];
    if let Some(driver) = driver.filter(|&driver| kernels.oldest_driver() > driver) {
        findings.push(problem(&CudaProblem::DriverTooOld { driver, kernels }.to_string()));
    }
    findings.extend(gpus.look.facts.iter().flat_map(|fact| compiler(fact, kernels, driver)));
    findings
}

/// The compiler that dfdx calls while a run is on, if the fact is about that.
fn compiler(fact: &Fact, kernels: Kernels, driver: Option<Version>) -> Vec<Finding> {
    let Fact::Compiler { version, made, missing_files } = fact else { return Vec::new() };
    let name = version.map_or_else(|| "NVRTC".to_owned(), |version| format!("NVRTC {version}"));
    if !missing_files.is_empty() {
        let gone: Vec<String> = missing_files.iter().map(|path| path.display().to_string()).collect();
        let text = format!(
            "{name} needs files of the build while a run is on, and these are gone: {}",
            gone.join(", ")
        );
        return vec![
            Finding::problem(text).mend("build again here, and keep target/ and the toolkit where they are"),
        ];
    }
    vec![match made {
        Err(error) => Finding::problem(format!("{name} cannot compile a kernel: {error}"))
            .mend("install NVRTC of the toolkit that this binary was built with, or build again with the one that is here"),
        // Another library than the build's can come first in the search. What is too new in the build was told already.
        Ok(made) if made.ptx > kernels.ptx && driver.is_some_and(|driver| made.oldest_driver() > driver) => {
            Finding::problem(format!("{name} makes kernels that are too new for the driver"))
                .mend("install a newer driver, or put an older toolkit's lib64 folder first in LD_LIBRARY_PATH")
        }
        Ok(_) => Finding::ok(format!("{name} compiles kernels while a run is on")),
    }]
}

fn device(gpus: &Gpus, device: &CudaDevice) -> Vec<Finding> {
    let CudaDevice { ordinal, name, capability, memory_bytes, compute_mode } = device;
    let head = format!("cuda:{ordinal} {name}");
    let answer = gpus.computed.iter().find(|(asked, _)| asked == ordinal).map(|(_, answer)| answer);
    let total = units::bytes(*memory_bytes as f64);
    let memory = answer.and_then(memory);
    let mut findings = vec![match memory {
        Some((free, total)) => Finding::ok(format!(
            "{head}: compute capability {capability}, {} free of {}",
            units::bytes(free as f64),
            units::bytes(total as f64)
        )),
        None => Finding::ok(format!("{head}: compute capability {capability}, {total}")),
    }];
    if let Some((free, total)) =
        memory.filter(|&(free, total)| (free as f64) < total as f64 * (1.0 - TAKEN_SHARE))
    {
        let taken = units::bytes(total.saturating_sub(free) as f64);
        findings.push(Finding::note(format!(
            "cuda:{ordinal}: {taken} of its memory is taken; `nvidia-smi` shows by whom"
        )));
    }
    match compute_mode {
        ComputeMode::Shared => {}
        ComputeMode::ExclusiveProcess => {
            findings.push(Finding::note(format!(
                "cuda:{ordinal}: in compute mode \"exclusive process\": one program at a time"
            )));
        }
        ComputeMode::Prohibited => findings.push(
            Finding::problem(format!(
                "cuda:{ordinal}: in compute mode \"prohibited\": no program may compute on it"
            ))
            .mend("have an administrator run `nvidia-smi --compute-mode=0`, or take another device"),
        ),
    }
    if let Some(kernels) = gpus.kernels {
        if !kernels.run_on(*capability) {
            let (name, capability) = (name.clone(), *capability);
            findings.push(problem(&CudaProblem::DeviceTooOld { name, capability, kernels }.to_string()));
        } else if kernels.capability < *capability {
            findings.push(Finding::note(format!(
                "cuda:{ordinal}: the kernels were compiled for {}; they run, and a build with CUDA_COMPUTE_CAP={} can use what \
                 is new in {capability}",
                kernels.capability,
                capability.digits()
            )));
        }
    }
    findings.extend(answer.into_iter().flat_map(|answer| computed(*ordinal, answer)));
    findings
}

fn memory(answer: &Answer) -> Option<(u64, u64)> {
    answer.facts.iter().find_map(|fact| match fact {
        Fact::Opened { free, total } => Some((*free, *total)),
        _ => None,
    })
}

fn computed(ordinal: usize, answer: &Answer) -> Vec<Finding> {
    let facts = answer.facts.iter().filter_map(|fact| match fact {
        Fact::Computed { secs, differences } => {
            let list: Vec<String> =
                differences.iter().map(|(kind, off)| format!("{kind} {off:.0e}")).collect();
            Some(Finding::ok(format!(
                "cuda:{ordinal} computes what the processor does ({}), in {}",
                list.join(", "),
                units::duration(*secs)
            )))
        }
        Fact::Unusable { reason } => Some(match reason.strip_prefix(&format!("cuda:{ordinal}: ")) {
            Some(rest) => problem(&format!("cuda:{ordinal}: {rest}")),
            None => problem(&format!("cuda:{ordinal}: {reason}")),
        }),
        _ => None,
    });
    let death = answer.death.as_ref().map(|death| {
        Finding::problem(format!("cuda:{ordinal}: the process that computed on it {death}")).mend(
            "`dmesg` shows what the driver says of it; the README's section on GPUs says what to report",
        )
    });
    facts.chain(death).collect()
}

#[cfg(test)]
mod tests;

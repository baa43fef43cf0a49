//! What the facts about GPUs mean: a pure function, so that every situation can be tested without one.

use super::look::{Answer, Fact, Gpus};
use super::{Finding, Section};
use crate::engine::device::kernels::{Kernels, Version};
use crate::engine::device::{ComputeMode, CudaDevice, CudaProblem, build_command, cublas_package};
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
        Section::new("cuBLAS", cublas(gpus)),
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
    vec![
        Finding::note(format!(
            "{what} is here, and this binary was built without CUDA: runs train on the processor"
        ))
        .mend(format!(
            "take a binary with CUDA, or build one: with a CUDA toolkit (`nvcc`), in the source folder, `{}` (the README's section on GPUs \
             says more)",
            build_command(lowest_capability(gpus))
        )),
    ]
}

fn lowest_capability(gpus: &Gpus) -> Option<Version> {
    let listed = gpus.look.inventory().into_iter().flat_map(|found| &found.gpus);
    listed.filter_map(|gpu| gpu.capability).map(|(major, minor)| Version::new(major, minor)).min()
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
        Fact::NoDriver { reason } => Some(no_driver(gpus, reason)),
        // Said already: it comes with the driver.
        Fact::NoInventory { .. } if no_driver_here(gpus) => None,
        Fact::NoInventory { reason } => {
            Some(Finding::note(format!("no NVML ({reason}): the columns gpu_* of metrics.csv stay empty")))
        }
        _ => None,
    }));
    if look.devices().next().is_none() && !gpus.nvidia_smi && !no_driver_here(gpus) {
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

fn no_driver_here(gpus: &Gpus) -> bool {
    gpus.look.facts.iter().any(|fact| matches!(fact, Fact::NoDriver { .. }))
}

/// A machine without the driver's library. Where there is no sign of a GPU either, nothing is wrong with that.
fn no_driver(gpus: &Gpus, reason: &str) -> Finding {
    if gpus.kernel_module || gpus.nvidia_smi {
        return Finding::problem(format!(
            "NVIDIA's driver is here, and its library for CUDA was not found: {reason}"
        ))
        .mend("install the driver's package with libcuda (in a container: give it the GPU with `--gpus all`), or put the library's folder \
               into LD_LIBRARY_PATH");
    }
    Finding::note(format!("no NVIDIA driver is installed ({reason}): runs train on the processor")).mend(
        "where there is an NVIDIA GPU, install its driver; this binary needs no other version of itself then",
    )
}

fn cublas(gpus: &Gpus) -> Vec<Finding> {
    let look = &gpus.look;
    let findings = look.facts.iter().filter_map(|fact| match fact {
        Fact::Library { name, opened, version } => {
            let version = version.as_ref().map_or_else(String::new, |version| format!(" {version}"));
            Some(Finding::ok(format!("{name}{version}: {}", opened.display())))
        }
        Fact::NoCublas { reason } => {
            let package = cublas_package(look.driver().map(|driver| driver.major).filter(|&major| major > 0));
            let mend = format!(
                "`pip install {package}` in the Python environment that is active when the program starts (PyTorch's has it), or put the \
                 folder of `libcublas.so` into LD_LIBRARY_PATH"
            );
            let text = format!("cuBLAS, for matrix products on GPUs, was not found: {reason}");
            // Without a driver it would be of no use.
            Some(if no_driver_here(gpus) { Finding::note(text) } else { Finding::problem(text) }.mend(mend))
        }
        _ => None,
    });
    findings.collect()
}

/// From an error's text, whose last parts say what to do.
fn problem(reason: &str) -> Finding {
    match reason.split_once("; ") {
        Some((what, mend)) => Finding::problem(what).mend(mend),
        None => Finding::problem(reason),
    }
}

fn kernels(gpus: &Gpus) -> Vec<Finding> {
    let Some(kernels) = &gpus.kernels else {
        return vec![
            Finding::problem("this binary has no kernels")
                .mend("build again with `cargo build --release --features cuda` where `nvcc` is"),
        ];
    };
    let Kernels { toolkit, ptx, capability, compiled } = kernels;
    let code: Vec<String> = compiled.iter().map(Version::to_string).collect();
    let code = if code.is_empty() { String::new() } else { format!("; code for {}", code.join(", ")) };
    let oldest = kernels.oldest_driver();
    let mut findings = vec![Finding::ok(format!(
        "for compute capability {capability} and newer, with drivers for CUDA {oldest} and newer{code} (compiled by CUDA {toolkit}, PTX \
         {ptx})"
    ))];
    let driver = gpus.look.driver().filter(|&version| version > Version::new(0, 0));
    if let Some(driver) = driver.filter(|&driver| oldest > driver) {
        findings.push(problem(&CudaProblem::DriverTooOld { driver, kernels: kernels.clone() }.to_string()));
    }
    findings
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
    if let Some(kernels) = &gpus.kernels {
        let driver = gpus.look.driver().unwrap_or(kernels.toolkit);
        if !kernels.run_on(*capability) {
            let (name, capability, kernels) = (name.clone(), *capability, kernels.clone());
            findings.push(problem(&CudaProblem::DeviceTooOld { name, capability, kernels }.to_string()));
        } else if kernels.are_translated(*capability, driver) {
            findings.push(Finding::note(format!(
                "cuda:{ordinal}: the driver translates the kernels for it, which takes some seconds when it meets them first"
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

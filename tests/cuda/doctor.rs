//! The doctor in front of GPUs, healthy and not.

use super::emulator::expect;
use super::shop::{Call, Shop};

fn doctor(variables: &[(&str, &str)]) -> Call {
    expect();
    let shop = Shop::new();
    let mut command = shop.command(&["doctor"]);
    command.env("RUNNER_DATA_DIR", shop.path().join("corpora"));
    for (name, value) in variables {
        command.env(name, value);
    }
    Call::from(command.output().unwrap())
}

/// Fails unless the screen holds all of these, in this order.
#[track_caller]
fn shows(call: &Call, parts: &[&str]) {
    let mut rest = call.stdout.as_str();
    for part in parts {
        let at = rest.find(part);
        rest = &rest[at.unwrap_or_else(|| panic!("{part:?} is missing or too early in:\n{}", call.stdout))..];
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn every_gpu_is_described_and_computes_something() {
    let call = doctor(&[("CUDA_EMULATOR_DEVICES", "2")]).expect(0);
    shows(
        &call,
        &[
            "ok       driver",
            "ok       cuBLAS",
            "for compute capability 7.5 and newer, with drivers for CUDA 11.4 and newer",
            "cuda:0 Emulated CUDA device 0: compute capability 8.0, 8.0 GiB free of 8.0 GiB",
            "ok       cuda:0 computes what the processor does (matrix product",
            "cuda:1 Emulated CUDA device 1",
            "ok       cuda:1 computes what the processor does (matrix product",
            "no problems",
        ],
    );
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_busy_gpu_is_a_problem_and_the_other_one_is_well() {
    let busy = [("CUDA_EMULATOR_DEVICES", "2"), ("CUDA_EMULATOR_BUSY", "0")];
    let call = doctor(&busy).expect(2);
    shows(
        &call,
        &["problem  cuda:0: the device is busy", "-> `nvidia-smi`", "ok       cuda:1 computes", "1 problem"],
    );
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_driver_or_a_gpu_that_is_too_old_is_seen_before_anything_is_computed() {
    let call = doctor(&[("CUDA_EMULATOR_DRIVER", "11020")]).expect(2);
    shows(
        &call,
        &["CUDA 11.2 and older", "problem  the driver knows CUDA up to 11.2", "-> install a newer driver"],
    );
    assert!(!call.stdout.contains("computes"), "{}", call.stdout);
    let old = [("CUDA_EMULATOR_COMPUTE_CAPABILITY", "7.0")];
    let call = doctor(&old).expect(2);
    shows(
        &call,
        &["problem  Emulated CUDA device 0 has compute capability 7.0", "RUNNER_CUDA_ARCHITECTURES=70"],
    );
    assert!(!call.stdout.contains("computes"), "{}", call.stdout);
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn drivers_and_gpus_of_many_years_compute() {
    for (driver, capability) in [("11040", "7.5"), ("12040", "8.9"), ("13000", "9.0"), ("13000", "12.0")] {
        let variables = [("CUDA_EMULATOR_DRIVER", driver), ("CUDA_EMULATOR_COMPUTE_CAPABILITY", capability)];
        let call = doctor(&variables).expect(0);
        shows(
            &call,
            &[
                &format!("compute capability {capability}"),
                "ok       cuda:0 computes what the processor does",
            ],
        );
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn no_gpu_and_hidden_gpus_are_told_apart() {
    let call = doctor(&[("CUDA_EMULATOR_DEVICES", "0")]).expect(2);
    shows(&call, &["problem  there is no CUDA device", "-> see whether `nvidia-smi`"]);
    assert!(!call.stdout.contains("CUDA_VISIBLE_DEVICES"), "{}", call.stdout);
    let call = doctor(&[("CUDA_VISIBLE_DEVICES", "")]).expect(2);
    shows(&call, &["problem  there is no CUDA device (CUDA_VISIBLE_DEVICES=\"\" hides all others)"]);
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_gpu_whose_memory_is_full_is_a_problem_with_its_mend() {
    let call = doctor(&[("CUDA_EMULATOR_MEMORY", "20000")]).expect(2);
    shows(
        &call,
        &[
            "problem  cuda:0: the device's memory is already full",
            "-> `nvidia-smi` shows who uses it",
            "1 problem",
        ],
    );
}

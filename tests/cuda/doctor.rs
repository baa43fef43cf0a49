//! The doctor in front of GPUs, healthy and not.

use super::emulator::is_there;
use super::shop::{Call, Shop};

fn doctor(variables: &[(&str, &str)]) -> Option<Call> {
    if !is_there() {
        println!("SKIPPED: the CUDA emulator is not in the driver's place");
        return None;
    }
    let shop = Shop::new();
    let mut command = shop.command(&["doctor"]);
    command.env("RUNNER_DATA_DIR", shop.path().join("corpora"));
    for (name, value) in variables {
        command.env(name, value);
    }
    Some(Call::from(command.output().unwrap()))
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
fn every_gpu_is_described_and_computes_something() {
    let Some(call) = doctor(&[("CUDA_EMULATOR_DEVICES", "2")]).map(|call| call.expect(0)) else { return };
    shows(
        &call,
        &[
            "ok       driver",
            "compiled for compute capability",
            "ok       NVRTC",
            "cuda:0 Emulated CUDA device 0: compute capability 8.0, 8.0 GiB free of 8.0 GiB",
            "ok       cuda:0 computes what the processor does (matrix product",
            "cuda:1 Emulated CUDA device 1",
            "ok       cuda:1 computes what the processor does (matrix product",
            "no problems",
        ],
    );
}

#[test]
fn a_busy_gpu_is_a_problem_and_the_other_one_is_well() {
    let busy = [("CUDA_EMULATOR_DEVICES", "2"), ("CUDA_EMULATOR_BUSY", "0")];
    let Some(call) = doctor(&busy).map(|call| call.expect(2)) else { return };
    shows(
        &call,
        &["problem  cuda:0: the device is busy", "-> `nvidia-smi`", "ok       cuda:1 computes", "1 problem"],
    );
}

#[test]
fn a_driver_or_a_gpu_that_is_too_old_is_seen_before_anything_is_computed() {
    let Some(call) = doctor(&[("CUDA_EMULATOR_DRIVER", "12040")]).map(|call| call.expect(2)) else { return };
    shows(
        &call,
        &["CUDA 12.4 and older", "problem  the driver knows CUDA up to 12.4", "-> install a newer driver"],
    );
    assert!(!call.stdout.contains("computes"), "{}", call.stdout);
    let old = [("CUDA_EMULATOR_COMPUTE_CAPABILITY", "7.5")];
    let Some(call) = doctor(&old).map(|call| call.expect(2)) else { return };
    shows(
        &call,
        &[
            "problem  Emulated CUDA device 0 has compute capability 7.5",
            "before_sm80.h",
            "CUDA_COMPUTE_CAP=75",
        ],
    );
    assert!(!call.stdout.contains("computes"), "{}", call.stdout);
}

#[test]
fn no_gpu_and_hidden_gpus_are_told_apart() {
    let Some(call) = doctor(&[("CUDA_EMULATOR_DEVICES", "0")]).map(|call| call.expect(2)) else { return };
    shows(&call, &["problem  there is no CUDA device", "-> see whether `nvidia-smi`"]);
    assert!(!call.stdout.contains("CUDA_VISIBLE_DEVICES"), "{}", call.stdout);
    let Some(call) = doctor(&[("CUDA_VISIBLE_DEVICES", "")]).map(|call| call.expect(2)) else { return };
    shows(&call, &["problem  there is no CUDA device (CUDA_VISIBLE_DEVICES=\"\" hides all others)"]);
}

#[test]
fn a_gpu_whose_memory_is_full_is_a_problem_with_its_mend() {
    let Some(call) = doctor(&[("CUDA_EMULATOR_MEMORY", "20000")]).map(|call| call.expect(2)) else { return };
    shows(
        &call,
        &["problem  cuda:0: the device's memory is full", "-> `nvidia-smi` shows who uses it", "1 problem"],
    );
}

//! `[hardware]`: where a run computes.

use std::fmt;
use std::ops::Bound::Included;

use crate::config::keys::kind::{int, num};
use crate::config::keys::row::section;
use crate::config::keys::types::Written;
use crate::facts::words::words;

section! {
    /// Where the run computes.
    hardware: HardwarePlan {
        /// auto (a GPU if this binary and machine have one, otherwise the CPU), cpu, cuda, cuda:1 (the second GPU), or
        /// scripted (no training at all: a loss curve from the formula in [scripted], to try out files and reports).
        device: Written<DeviceChoice> = "auto";
        /// What a machine must have, else the run is skipped there and the report says so: `cuda`, `min_memory_gb=16`, `init_from` (what
        /// `train.init_from` names; without this requirement it is an error where that is missing, and nothing is started).
        /// `--set hardware.requires=[]` runs it anyway.
        requires: Vec<Written<Requirement>> = [];
        /// Number format. f32: everything in single precision. bf16: mixed precision on the CPU: matrix products take bfloat16 and sum in
        /// f32; it can be faster where the processor has AMX or AVX512-BF16, and is about as fast as f32 elsewhere (`runner doctor` says
        /// what is there). f16: mixed precision on a GPU: passes in half precision, with the loss scaled so that small gradients survive it.
        /// Weights, gradients, optimizer state and checkpoints are f32 in any case. A run keeps its format; with another one the same command
        /// makes a new run, which begins from the weights of the old one where `train.init_from` names it.
        dtype: DtypeKind = "f32";
        /// CPU threads of this run. 0: all cores.
        threads: Option<usize> = 0, int(0, 4_096);
        /// Seconds between measurements of CPU, memory and GPU. The peak memory of a run does not depend on it on Linux, where
        /// the kernel counts it; elsewhere it is the largest measurement. 0: no measurements.
        monitor_interval_secs: f64 = 1.0, num(Included(0.0), Included(86_400.0));
    }
}

words! {
    /// Number format.
    DtypeKind {
        F32 = "f32",
        /// Products of bf16 with sums in single precision, on the processor; everything else in single.
        Bf16 = "bf16",
        /// Mixed precision: passes in half precision, weights, gradients and moments in single.
        F16 = "f16",
    }
}

/// Where a run computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    Auto,
    Cpu,
    /// GPU by ordinal.
    Cuda(usize),
    /// The tensor-free engine for tests.
    Scripted,
}

/// What a machine must have for the run to start there.
#[derive(Clone, Debug, PartialEq)]
pub enum Requirement {
    Cuda,
    MinMemoryGb(f64),
    /// What `train.init_from` names.
    InitFrom,
}

impl HardwarePlan {
    /// What a machine must have.
    pub fn requirements(&self) -> impl Iterator<Item = &Requirement> {
        self.requires.iter().map(|requirement| &**requirement)
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(ordinal) => write!(f, "cuda:{ordinal}"),
            Self::Scripted => f.write_str("scripted"),
        }
    }
}

//! `hardware.requires`: what this machine lacks for a run.

use std::path::Path;

use crate::config::experiment::{Requirement, RunPlan};
use crate::engine::device;
use crate::machine;
use crate::pretrained::start::may_be_there;
use crate::store::RunDir;

/// What the requirements are held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Number of CUDA devices that can be used, or why there are none.
    pub cuda_devices: Result<usize, String>,
    pub memory_bytes: u64,
}

impl Machine {
    /// The one that this process runs on.
    pub fn here() -> Self {
        Self { cuda_devices: device::cuda_devices(), memory_bytes: machine::host_info().memory_bytes }
    }
}

/// As [`unmet`], for a run whose directory is gone on with: what it began from is not needed any more once it has a checkpoint.
pub fn unmet_to_go_on(plan: &RunPlan, dir: &RunDir, machine: &Machine) -> Option<String> {
    // What cannot be read now is not gone.
    let begun = dir.checkpoints().steps().map_or(true, |steps| !steps.is_empty());
    let init_from = plan.train.init_from.as_deref().filter(|_| !begun);
    unmet(plan.hardware.requirements(), init_from, machine)
}

/// In words, the first requirement that the machine does not meet. `init_from` is what the run begins from.
pub fn unmet<'a>(
    requirements: impl IntoIterator<Item = &'a Requirement>,
    init_from: Option<&Path>,
    machine: &Machine,
) -> Option<String> {
    requirements.into_iter().find_map(|requirement| match *requirement {
        Requirement::Cuda => {
            machine.cuda_devices.as_ref().err().map(|reason| format!("needs a CUDA GPU: {reason}"))
        }
        Requirement::MinMemoryGb(gb) if (machine.memory_bytes as f64) < gb * 1e9 => Some(format!(
            "needs at least {gb} GB of memory, and this machine has {:.1} GB",
            machine.memory_bytes as f64 / 1e9
        )),
        Requirement::MinMemoryGb(_) => None,
        Requirement::InitFrom => init_from.filter(|path| !may_be_there(path)).map(|path| {
            format!("train.init_from: {} is not there; if it is a run, train it first", path.display())
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn laptop() -> Machine {
        Machine { cuda_devices: Err("there is no CUDA device".to_owned()), memory_bytes: 8_000_000_000 }
    }

    #[test]
    fn no_requirements_are_always_met() {
        assert_eq!(unmet(&[], None, &laptop()), None);
    }

    #[test]
    fn a_machine_without_a_gpu_says_why() {
        let reason = unmet(&[Requirement::Cuda], None, &laptop());
        assert_eq!(reason.as_deref(), Some("needs a CUDA GPU: there is no CUDA device"));
        assert_eq!(unmet(&[Requirement::Cuda], None, &Machine { cuda_devices: Ok(1), ..laptop() }), None);
    }

    #[test]
    fn memory_is_compared_in_gigabytes() {
        assert_eq!(unmet(&[Requirement::MinMemoryGb(8.0)], None, &laptop()), None);
        let reason = unmet(&[Requirement::MinMemoryGb(16.0)], None, &laptop()).unwrap_or_default();
        assert_eq!(reason, "needs at least 16 GB of memory, and this machine has 8.0 GB");
    }

    #[test]
    fn a_model_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed=1");
        let missing = || unmet(&[Requirement::InitFrom], Some(&path), &laptop());
        assert!(missing().is_some_and(|reason| reason.contains("seed=1 is not there")));
        std::fs::create_dir(&path).unwrap();
        assert_eq!(missing(), None);
        assert_eq!(unmet(&[Requirement::InitFrom], None, &laptop()), None);
    }
}

//! `hardware.requires`: what this machine lacks for a run.

use std::path::Path;

use crate::config::{
    self,
    experiment::{Requirement, RunPlan},
};
use crate::engine::device;
use crate::files::atomic::folder_of;
use crate::machine;
use crate::pretrained::start;
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
    // Its experiment's folder lies among the runs.
    unmet(plan.hardware.requirements(), init_from, folder_of(folder_of(dir.path())), machine)
}

/// In words, the first requirement that the machine does not meet. `init_from` is what the run begins from: a path, or a name in
/// `runs_dir`.
pub fn unmet<'a>(
    requirements: impl IntoIterator<Item = &'a Requirement>,
    init_from: Option<&Path>,
    runs_dir: &Path,
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
        Requirement::InitFrom => {
            init_from.filter(|given| start::look(given, runs_dir).is_err()).map(|given| {
                let text = given.to_string_lossy();
                let shown = config::name_of_run(&text).unwrap_or(&text);
                format!("train.init_from: {shown} is not there; if it is a run, train it first")
            })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    fn laptop() -> Machine {
        Machine { cuda_devices: Err("there is no CUDA device".to_owned()), memory_bytes: 8_000_000_000 }
    }

    #[test]
    fn no_requirements_are_always_met() {
        assert_eq!(unmet(&[], None, Path::new("runs"), &laptop()), None);
    }

    #[test]
    fn a_machine_without_a_gpu_says_why() {
        let reason = unmet(&[Requirement::Cuda], None, Path::new("runs"), &laptop());
        assert_eq!(reason.as_deref(), Some("needs a CUDA GPU: there is no CUDA device"));
        assert_eq!(
            unmet(
                &[Requirement::Cuda],
                None,
                Path::new("runs"),
                &Machine { cuda_devices: Ok(1), ..laptop() }
            ),
            None
        );
    }

    #[test]
    fn memory_is_compared_in_gigabytes() {
        assert_eq!(unmet(&[Requirement::MinMemoryGb(8.0)], None, Path::new("runs"), &laptop()), None);
        let reason =
            unmet(&[Requirement::MinMemoryGb(16.0)], None, Path::new("runs"), &laptop()).unwrap_or_default();
        assert_eq!(reason, "needs at least 16 GB of memory, and this machine has 8.0 GB");
    }

    #[test]
    fn a_model_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed=1");
        let missing = || unmet(&[Requirement::InitFrom], Some(&path), Path::new("runs"), &laptop());
        assert!(missing().is_some_and(|reason| reason.contains("seed=1 is not there")));
        std::fs::create_dir(&path).unwrap();
        assert_eq!(missing(), None);
        assert_eq!(unmet(&[Requirement::InitFrom], None, Path::new("runs"), &laptop()), None);
    }

    #[test]
    fn a_model_is_missed_by_its_name_too() {
        let runs = tempfile::tempdir().unwrap();
        let of = |name: &str| unmet(&[Requirement::InitFrom], Some(Path::new(name)), runs.path(), &laptop());
        let names = ["run:base/seed=1", "run:base", "run:base/seed=1@500", "run:base --best"];
        for name in names {
            let expected = format!("train.init_from: {} is not there", &name[4..]);
            assert!(of(name).is_some_and(|reason| reason.starts_with(&expected)), "{name}: {:?}", of(name));
        }
        let mut manifest = fixture::manifest("base", "seed=1");
        RunDir::create(runs.path(), "base", "seed=1", &mut manifest, "", |_| Ok(())).unwrap();
        assert_eq!(names.map(of), [const { None }; 4]);
    }
}

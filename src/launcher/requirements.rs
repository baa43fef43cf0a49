//! `hardware.requires`: what this machine lacks for a run.

use crate::config::experiment::Requirement;
use crate::engine::device;

/// What the requirements are held against.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// Number of CUDA devices that can be used, or why there are none.
    pub cuda_devices: Result<usize, String>,
    pub memory_bytes: u64,
}

impl Machine {
    /// The one that this process runs on.
    pub fn here(memory_bytes: u64) -> Self {
        Self { cuda_devices: device::cuda_devices(), memory_bytes }
    }
}

/// In words, the first requirement that the machine does not meet.
pub fn unmet(requirements: &[Requirement], machine: &Machine) -> Option<String> {
    requirements.iter().find_map(|requirement| match *requirement {
        Requirement::Cuda => {
            machine.cuda_devices.as_ref().err().map(|reason| format!("needs a CUDA GPU: {reason}"))
        }
        Requirement::MinMemoryGb(gb) if (machine.memory_bytes as f64) < gb * 1e9 => Some(format!(
            "needs at least {gb} GB of memory, and this machine has {:.1} GB",
            machine.memory_bytes as f64 / 1e9
        )),
        Requirement::MinMemoryGb(_) => None,
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
        assert_eq!(unmet(&[], &laptop()), None);
    }

    #[test]
    fn a_machine_without_a_gpu_says_why() {
        let reason = unmet(&[Requirement::Cuda], &laptop());
        assert_eq!(reason.as_deref(), Some("needs a CUDA GPU: there is no CUDA device"));
        assert_eq!(unmet(&[Requirement::Cuda], &Machine { cuda_devices: Ok(1), ..laptop() }), None);
    }

    #[test]
    fn memory_is_compared_in_gigabytes() {
        assert_eq!(unmet(&[Requirement::MinMemoryGb(8.0)], &laptop()), None);
        let reason = unmet(&[Requirement::MinMemoryGb(16.0)], &laptop()).unwrap_or_default();
        assert_eq!(reason, "needs at least 16 GB of memory, and this machine has 8.0 GB");
    }
}

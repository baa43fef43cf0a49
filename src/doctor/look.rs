//! What child processes of this program find out about GPUs. A driver can abort, hang or make dfdx panic; each question is put
//! to a child of its own, which says every fact as soon as it knows it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::child;
use crate::engine::device::kernels::{Kernels, Version};
use crate::engine::device::{self, CudaDevice};
use crate::monitor::{self, Inventory};
use crate::terminal;

/// Drivers that were asleep take seconds to wake up, more with many GPUs.
const LOOK_TIMEOUT: Duration = Duration::from_secs(60);
/// The driver translates kernels that it has never seen.
const COMPUTE_TIMEOUT: Duration = Duration::from_secs(180);

/// What a child is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Question {
    /// Driver, devices, compiler: everything that needs no device opened.
    Look,
    /// Whether the device of this ordinal can be opened and computes what the processor does.
    Compute(usize),
}

/// Something that a child found out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fact", rename_all = "kebab-case")]
pub enum Fact {
    /// What NVIDIA's management library lists.
    Inventory(Inventory),
    NoInventory {
        reason: String,
    },
    /// The newest CUDA release whose programs the driver runs.
    Driver {
        version: Version,
    },
    Device(CudaDevice),
    /// Why driver, devices or this device cannot be used.
    Unusable {
        reason: String,
    },
    /// A library that was found: what it was opened by, which is a path or a name that the system's loader knows, and its release.
    Library {
        name: String,
        opened: PathBuf,
        version: Option<String>,
    },
    /// There is no driver on this machine: what the system says.
    NoDriver {
        reason: String,
    },
    /// There is no cuBLAS on this machine.
    NoCublas {
        reason: String,
    },
    /// The device was opened, and has this memory in bytes.
    Opened {
        free: u64,
        total: u64,
    },
    /// What was computed, and the difference from the processor as a share of the largest result.
    Computed {
        secs: f64,
        differences: Vec<(String, f64)>,
    },
}

/// What a child said, and how it died if it did.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    pub facts: Vec<Fact>,
    pub death: Option<String>,
}

/// Everything that is known of the GPUs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpus {
    pub built_with_cuda: bool,
    /// What this binary's kernels were compiled for.
    pub kernels: Option<Kernels>,
    /// `CUDA_VISIBLE_DEVICES`.
    pub visible: Option<String>,
    /// Whether a shell would find `nvidia-smi`.
    pub nvidia_smi: bool,
    /// Whether NVIDIA's kernel module is loaded; on Linux.
    pub kernel_module: bool,
    pub look: Answer,
    /// By ordinal, for devices that may work.
    pub computed: Vec<(usize, Answer)>,
}

/// Asks a child for each question, and for each device that might work.
pub fn ask() -> Gpus {
    let kernels = Kernels::of_this_program();
    let look = ask_child(Question::Look);
    let devices: Vec<CudaDevice> = look.devices().cloned().collect();
    let driver = look.driver();
    let may_work = |device: &&CudaDevice| {
        kernels.as_ref().is_none_or(|kernels| {
            kernels.run_on(device.capability) && driver.is_none_or(|driver| kernels.oldest_driver() <= driver)
        })
    };
    let computed = devices
        .iter()
        .filter(may_work)
        .map(|device| (device.ordinal, ask_child(Question::Compute(device.ordinal))))
        .collect();
    Gpus {
        built_with_cuda: cfg!(feature = "cuda"),
        kernels,
        visible: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        nvidia_smi: on_path("nvidia-smi"),
        kernel_module: std::path::Path::new("/proc/driver/nvidia/version").exists(),
        look,
        computed,
    }
}

impl Answer {
    pub fn devices(&self) -> impl Iterator<Item = &CudaDevice> {
        self.facts.iter().filter_map(|fact| if let Fact::Device(device) = fact { Some(device) } else { None })
    }

    pub fn driver(&self) -> Option<Version> {
        self.facts
            .iter()
            .find_map(|fact| if let Fact::Driver { version } = fact { Some(*version) } else { None })
    }

    pub fn inventory(&self) -> Option<&Inventory> {
        self.facts.iter().find_map(|fact| if let Fact::Inventory(found) = fact { Some(found) } else { None })
    }

    /// From a child's lines. What is no fact was printed by a library.
    fn read(outcome: child::Outcome) -> Self {
        let facts = outcome.stdout.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Self { facts, death: outcome.death }
    }
}

fn ask_child(question: Question) -> Answer {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => {
            return Answer { facts: Vec::new(), death: Some(format!("this program was not found: {error}")) };
        }
    };
    let mut command = Command::new(program);
    let (argument, timeout) = match question {
        Question::Look => ("look".to_owned(), LOOK_TIMEOUT),
        Question::Compute(ordinal) => (ordinal.to_string(), COMPUTE_TIMEOUT),
    };
    // A panic's own words are wanted, and not the way there.
    command.args(["doctor", "--answer", &argument]).env("RUST_BACKTRACE", "0");
    Answer::read(child::run(command, timeout))
}

/// The child's part: prints what it finds, one fact in each line.
pub fn answer(question: Question) {
    match question {
        Question::Look => look(),
        Question::Compute(ordinal) => compute(ordinal),
    }
}

fn say(fact: &Fact) {
    // A fact is plain data.
    if let Ok(line) = serde_json::to_string(fact) {
        terminal::out(line);
    }
}

fn look() {
    say(&match monitor::inventory() {
        Ok(inventory) => Fact::Inventory(inventory),
        Err(reason) => Fact::NoInventory { reason },
    });
    #[cfg(feature = "cuda")]
    {
        let unusable = |problem: device::CudaProblem| match problem {
            device::CudaProblem::NoDriverLibrary { reason } => Fact::NoDriver { reason },
            other => Fact::Unusable { reason: other.to_string() },
        };
        match device::cuda_driver() {
            Ok(version) => {
                say(&Fact::Driver { version });
                match device::cuda_devices_listed() {
                    Ok(count) => (0..count).for_each(|ordinal| {
                        say(&device::cuda_device(ordinal).map_or_else(unusable, Fact::Device));
                    }),
                    Err(problem) => say(&unusable(problem)),
                }
            }
            Err(problem) => say(&unusable(problem)),
        }
        match device::cublas() {
            Some((opened, version)) => say(&Fact::Library { name: "cuBLAS".to_owned(), opened, version }),
            None => match device::check_cublas() {
                Err(device::CudaProblem::NoCublas { reason, .. }) => say(&Fact::NoCublas { reason }),
                Err(other) => say(&unusable(other)),
                Ok(()) => {}
            },
        }
    }
}

fn compute(ordinal: usize) {
    match device::cuda_memory(ordinal) {
        Ok((free, total)) => say(&Fact::Opened { free, total }),
        Err(error) => return say(&Fact::Unusable { reason: error.to_string() }),
    }
    if let Err(error) = device::check_cuda(ordinal) {
        return say(&Fact::Unusable { reason: error.to_string() });
    }
    let started = Instant::now();
    say(&match device::compute(ordinal) {
        Ok(differences) => Fact::Computed { secs: started.elapsed().as_secs_f64(), differences },
        Err(reason) => Fact::Unusable { reason },
    });
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let names = [program.to_owned(), format!("{program}.exe")];
    std::env::split_paths(&path).any(|folder| names.iter().any(|name| folder.join(name).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_survive_what_a_library_prints_between_them() {
        let driver = Fact::Driver { version: Version::new(12, 4) };
        let opened = Fact::Opened { free: 1, total: 2 };
        let line = |fact: &Fact| serde_json::to_string(fact).expect("plain data");
        let stdout = format!("{}\nNVRM: hello\n{}\n{{\"fact\":\"dri", line(&driver), line(&opened));
        let death = Some("was ended by signal 6 SIGABRT".to_owned());
        let answer = Answer::read(child::Outcome { stdout, death: death.clone() });
        assert_eq!(answer, Answer { facts: vec![driver, opened], death });
        assert_eq!(answer.driver(), Some(Version::new(12, 4)));
    }
}

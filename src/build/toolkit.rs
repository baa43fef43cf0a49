//! NVIDIA's compiler.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A toolkit that compiles kernels.
pub struct Toolkit {
    nvcc: PathBuf,
    /// What `nvcc --version` prints, and what variables have it do.
    pub version: String,
    /// As 13 and 0.
    pub release: (u32, u32),
    /// As 75 for 7.5, lowest first.
    pub architectures: Vec<u32>,
}

impl Toolkit {
    /// That of `$CUDA_PATH`, `$CUDA_HOME` or `$CUDA_ROOT`, of the PATH, or in a usual place.
    ///
    /// # Errors
    /// Where there is one and it does not work.
    pub fn find() -> Result<Option<Self>, String> {
        let variables = ["CUDA_PATH", "CUDA_HOME", "CUDA_ROOT"];
        for variable in variables {
            println!("cargo::rerun-if-env-changed={variable}");
        }
        let named = variables.into_iter().filter_map(env::var_os).map(|root| Path::new(&root).join("bin"));
        let path = env::var_os("PATH").unwrap_or_default();
        let usual = ["/usr/local/cuda/bin", "/opt/cuda/bin"].map(PathBuf::from);
        let folders = named.chain(env::split_paths(&path)).chain(usual);
        let file = if cfg!(windows) { "nvcc.exe" } else { "nvcc" };
        let Some(nvcc) = folders.map(|folder| folder.join(file)).find(|nvcc| nvcc.is_file()) else {
            // A file that is not there has cargo ask again each time: a toolkit may be installed without a variable that changes.
            println!("cargo::rerun-if-changed=nvcc-was-not-found");
            return Ok(None);
        };
        println!("cargo::rerun-if-changed={}", nvcc.display());
        let mut version = said(&nvcc, "--version")?;
        let release = version.split_once("release ").and_then(|(_, rest)| {
            let (major, rest) = rest.split_once('.')?;
            let digits = rest.find(|c: char| !c.is_ascii_digit())?;
            Some((major.parse().ok()?, rest[..digits].parse().ok()?))
        });
        let release =
            release.ok_or_else(|| format!("{} does not say its release: {version}", nvcc.display()))?;
        let listed = said(&nvcc, "--list-gpu-code")?;
        let mut architectures: Vec<u32> =
            listed.lines().filter_map(|line| line.trim().strip_prefix("sm_")?.parse().ok()).collect();
        architectures.sort_unstable();
        architectures.dedup();
        // What nvcc takes beside its arguments makes other kernels, too.
        for variable in ["NVCC_PREPEND_FLAGS", "NVCC_APPEND_FLAGS", "NVCC_CCBIN"] {
            println!("cargo::rerun-if-env-changed={variable}");
            version.extend(env::var(variable).map(|value| format!("{variable}={value}\n")));
        }
        let toolkit = Self { nvcc, version, release, architectures };
        // Half a toolkit is told at once.
        run(toolkit.ptxas().arg("--version")).map_err(|error| {
            format!(
                "{} is there, and the assembler that comes with it is not: install the whole CUDA toolkit\n{error}",
                toolkit.nvcc.display()
            )
        })?;
        Ok(Some(toolkit))
    }

    pub fn nvcc(&self) -> Command {
        Command::new(&self.nvcc)
    }

    pub fn ptxas(&self) -> Command {
        let name = if cfg!(windows) { "ptxas.exe" } else { "ptxas" };
        // What is on the PATH may be a link to the toolkit's.
        let real = self.nvcc.canonicalize().ok();
        let mut beside =
            [Some(&self.nvcc), real.as_ref()].into_iter().flatten().map(|nvcc| nvcc.with_file_name(name));
        Command::new(beside.find(|ptxas| ptxas.is_file()).unwrap_or_else(|| name.into()))
    }
}

fn said(nvcc: &Path, argument: &str) -> Result<String, String> {
    run(Command::new(nvcc).arg(argument))
}

/// Runs a program to its good end: what it printed.
///
/// # Errors
/// The command and what it said.
pub fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    if output.status.success() { Ok(stdout) } else { Err(format!("{command:?} fails:\n{stdout}{stderr}")) }
}

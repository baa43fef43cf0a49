//! What the manifest says of the machine, the program and the working tree.

use std::collections::BTreeMap;
use std::process::Command;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::shell::quote;
use crate::store::hostname;
use crate::store::manifest::{GitInfo, HostInfo};

/// Packages whose version decides the numbers.
const NUMERIC_PACKAGES: [&str; 4] = ["dfdx", "rand_chacha", "rand_distr", "tiktoken-rs"];

/// The machine that this process runs on.
pub fn host_info() -> HostInfo {
    let refresh = RefreshKind::nothing()
        .with_cpu(CpuRefreshKind::nothing())
        .with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(refresh).ok();
    let cpu =
        system.as_ref().and_then(|system| system.cpus().first()).map(|cpu| cpu.brand().trim().to_owned());
    HostInfo {
        hostname: hostname(),
        os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
        arch: std::env::consts::ARCH.to_owned(),
        cpu: cpu.unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes: system.map_or(0, |system| system.total_memory()),
    }
}

/// Memory that programs can still have, of the machine or of the container around this process; `None` where the system
/// does not tell.
pub fn free_memory_bytes() -> Option<u64> {
    let refresh = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    let system = System::new_with_specifics(refresh).ok()?;
    // The limit less what processes hold: what a container's own count of free memory leaves out are file caches, which
    // give way.
    let in_container =
        system.cgroup_limits().map_or(u64::MAX, |limits| limits.total_memory.saturating_sub(limits.rss));
    Some(system.available_memory().min(in_container)).filter(|&bytes| bytes > 0)
}

/// Commit of the working directory's repository and whether it has uncommitted changes; `None` outside one.
pub fn git_info() -> Option<GitInfo> {
    let commit = git(&["rev-parse", "HEAD"])?.trim().to_owned();
    let dirty = !git(&["status", "--porcelain", "--untracked-files=no"])?.trim().is_empty();
    Some(GitInfo { commit, dirty })
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Versions of the packages that decide the numbers, as locked when the program was built.
pub fn package_versions() -> BTreeMap<String, String> {
    let lock: toml::Table = include_str!("../../Cargo.lock").parse().unwrap_or_default();
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    packages
        .filter_map(|package| {
            let name = package.get("name")?.as_str()?;
            let version = package.get("version")?.as_str()?;
            NUMERIC_PACKAGES.contains(&name).then(|| (name.to_owned(), version.to_owned()))
        })
        .collect()
}

/// The command line of this process, quoted for a POSIX shell, with the program as it was called.
pub fn command_line() -> String {
    let words: Vec<String> = std::env::args_os().map(|word| quote(&word.to_string_lossy())).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_of_dfdx_is_known() {
        assert_eq!(package_versions().get("dfdx").map(String::as_str), Some("0.13.0"));
        assert_eq!(package_versions().len(), NUMERIC_PACKAGES.len());
    }

    #[test]
    fn the_host_has_cores_and_memory() {
        let host = host_info();
        assert!(host.cores > 0 && host.memory_bytes > 0);
    }

    #[test]
    fn no_more_memory_is_free_than_there_is() {
        let free = free_memory_bytes().expect("this system tells");
        assert!(free > 1 << 20 && free <= host_info().memory_bytes, "{free}");
    }
}

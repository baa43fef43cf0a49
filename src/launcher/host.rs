//! What the manifest says of the machine, the program and the working tree.

use std::collections::BTreeMap;
use std::process::Command;

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::shell::quote;
use crate::store::hostname;
use crate::store::manifest::{GitInfo, HostInfo};

/// Packages whose version decides the numbers: what is drawn, which tokens a text has, and in which order sums are taken.
const NUMERIC_PACKAGES: [&str; 6] = ["dfdx", "gemm", "pulp", "rand_chacha", "rand_distr", "tiktoken-rs"];

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

/// Versions of the packages that decide the numbers, as locked when the program was built; all of them where there are several.
pub fn package_versions() -> BTreeMap<String, String> {
    numeric_packages(&include_str!("../../Cargo.lock").parse().unwrap_or_default())
}

fn numeric_packages(lock: &toml::Table) -> BTreeMap<String, String> {
    let packages = lock.get("package").and_then(toml::Value::as_array).into_iter().flatten();
    let mut versions: BTreeMap<String, String> = BTreeMap::new();
    for package in packages {
        let text = |key: &str| package.get(key).and_then(toml::Value::as_str);
        let (Some(name), Some(version)) = (text("name"), text("version")) else { continue };
        if !NUMERIC_PACKAGES.contains(&name) {
            continue;
        }
        let known = versions.entry(name.to_owned()).or_default();
        if !known.is_empty() {
            known.push_str(" and ");
        }
        known.push_str(version);
    }
    versions
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
    fn a_package_that_is_there_in_two_versions_is_named_with_both() {
        let gemm = package_versions().remove("gemm").unwrap();
        let (before_avx2, newest) = gemm.split_once(" and ").expect("two versions of gemm are locked");
        assert!(before_avx2.starts_with("0.15.") && newest.starts_with("0.19."), "{gemm}");
        let lock = r#"
            package = [
                { name = "pulp", version = "1.0.0" },
                { name = "else", version = "2.0.0" },
                { name = "pulp", version = "3.0.0" },
            ]"#;
        let versions = numeric_packages(&lock.parse().unwrap());
        assert_eq!(versions, BTreeMap::from([("pulp".to_owned(), "1.0.0 and 3.0.0".to_owned())]));
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

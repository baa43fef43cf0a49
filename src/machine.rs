//! The machine that this process runs on: name, system, cores, memory.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

use crate::facts::HostInfo;

/// Its name, as lock files and manifests say it.
pub fn hostname() -> String {
    System::host_name().unwrap_or_default()
}

/// Cores that this process may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Its processor's own name.
pub fn cpu_name() -> String {
    let refresh = RefreshKind::nothing().with_cpu(CpuRefreshKind::nothing());
    let brand = System::new_with_specifics(refresh)
        .ok()
        .and_then(|system| system.cpus().first().map(|cpu| cpu.brand().trim().to_owned()))
        .unwrap_or_default();
    if brand.is_empty() { "unknown processor".to_owned() } else { brand }
}

/// What a record says of it.
pub fn host_info() -> HostInfo {
    let refresh = RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram());
    HostInfo {
        hostname: hostname(),
        os: System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
        arch: std::env::consts::ARCH.to_owned(),
        cpu: cpu_name(),
        cores: cores(),
        memory_bytes: System::new_with_specifics(refresh).map_or(0, |system| system.total_memory()),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_has_cores_and_memory() {
        let host = host_info();
        assert!(host.cores > 0 && host.memory_bytes > 0 && !host.cpu.is_empty());
    }

    #[test]
    fn no_more_memory_is_free_than_there_is() {
        let free = free_memory_bytes().expect("this system tells");
        assert!(free > 1 << 20 && free <= host_info().memory_bytes, "{free}");
    }
}

//! This process's CPU time and memory.

use std::time::Instant;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System};

use super::Resources;

/// Reads this process's numbers and nothing else of the system.
pub(super) struct OwnProcess {
    /// `None` where the system tells nothing of itself.
    system: Option<(System, Pid)>,
    /// CPU time so far, and when it was read.
    before: Option<(u64, Instant)>,
}

impl OwnProcess {
    pub(super) fn open() -> OwnProcess {
        let system = System::new().ok().zip(sysinfo::get_current_pid().ok());
        OwnProcess { system, before: None }
    }

    /// Memory now, and the CPU share since the sample before.
    pub(super) fn sample(&mut self) -> Resources {
        let Some((system, pid)) = &mut self.system else { return Resources::default() };
        // Without tasks: on Linux each thread would be read as a process of its own.
        let wanted = ProcessRefreshKind::nothing().with_cpu().with_memory().without_tasks();
        system.refresh_processes_specifics(ProcessesToUpdate::Some(&[*pid]), false, wanted);
        let Some(process) = system.process(*pid) else { return Resources::default() };
        // Not sysinfo's own CPU share: that is scaled by samples of the whole machine, which cost more.
        let cpu_ms = process.accumulated_cpu_time();
        let now = Instant::now();
        let cpu_percent = self.before.and_then(|(cpu_ms_before, then)| {
            let elapsed_ms = now.duration_since(then).as_secs_f64() * 1e3;
            (elapsed_ms > 0.0).then(|| cpu_ms.saturating_sub(cpu_ms_before) as f64 / elapsed_ms * 100.0)
        });
        self.before = Some((cpu_ms, now));
        let memory_bytes = Some(process.memory() as f64).filter(|&bytes| bytes > 0.0);
        Resources { cpu_percent, memory_bytes, ..Resources::default() }
    }
}

//! Whether a run that is asked to stop gets its checkpoint written before it is ended.

use crate::units;

/// Seconds that others leave a process between asking it to stop and SIGKILL, unless they are told otherwise: HyperQueue (0.27),
/// `mpirun` of Open MPI (4.1, two to four), Slurm's `KillWait`.
const LEFT: [(&str, f64); 3] = [("HyperQueue", 1.0), ("Open MPI", 2.0), ("Slurm", 30.0)];

/// Bytes of a checkpoint that are surely written, synced and summed in a second. 1.0 GB took 12 and 15 s on a virtual machine's disk.
const SLOW_DISK_BYTES_PER_SEC: f64 = 80e6;

/// In words, who may end a run with checkpoints of this size before it has saved, as far as that is known before it trains. What was
/// measured stands in its log later.
pub fn beforehand(checkpoint_bytes: u64) -> Option<String> {
    let secs = checkpoint_bytes as f64 / SLOW_DISK_BYTES_PER_SEC;
    let sooner = who_waits_less(secs);
    (!sooner.is_empty()).then(|| {
        format!(
            "stopping means finishing the step and saving {}, about {} on a slow disk: {} may kill the process before that (the log \
             shows how long it takes)",
            units::bytes(checkpoint_bytes as f64),
            units::duration(secs),
            sooner.join(" and ")
        )
    })
}

fn who_waits_less(secs: f64) -> Vec<String> {
    let sooner = LEFT.iter().filter(|(_, left)| *left < secs);
    sooner.map(|(who, left)| format!("{who} ({})", units::duration(*left))).collect()
}

/// In words, who may end this run before it has saved: it finishes its step first, and then saves.
pub fn too_long_for(step_secs: f64, save_secs: f64) -> Option<String> {
    let secs = step_secs + save_secs;
    let sooner = who_waits_less(secs);
    (!sooner.is_empty()).then(|| {
        format!(
            "stopping takes about {} here (a step of {}, a checkpoint of {}): longer than {} wait by default. Have the signal sent \
             earlier (Slurm: --signal=TERM@{:.0}), otherwise the run resumes from its last checkpoint",
            units::duration(secs),
            units::duration(step_secs),
            units::duration(save_secs),
            sooner.join(" and "),
            (2.0 * secs).ceil().max(60.0)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_checkpoint_is_told_of_before_it_is_written() {
        assert_eq!(beforehand(5_000_000), None);
        let text = beforehand(1_493_000_000).unwrap();
        assert!(
            text.contains("saving 1.4 GiB") && text.contains("HyperQueue (") && !text.contains("Slurm"),
            "{text}"
        );
        assert!(beforehand(20_000_000_000).unwrap().contains("Slurm"));
    }

    #[test]
    fn only_those_who_wait_for_less_are_named() {
        assert_eq!(too_long_for(0.1, 0.2), None);
        let some = too_long_for(1.0, 0.5).unwrap();
        assert!(some.contains("about 1.5 s here (a step of 1.0 s, a checkpoint of 0.50 s)"), "{some}");
        assert!(some.contains("longer than HyperQueue ("), "{some}");
        assert!(!some.contains("Open MPI") && !some.contains("than Slurm"), "{some}");
        let all = too_long_for(20.0, 15.0).unwrap();
        assert!(all.contains("HyperQueue") && all.contains("Open MPI") && all.contains("Slurm (30"), "{all}");
        assert!(all.contains("--signal=TERM@70"), "{all}");
    }
}

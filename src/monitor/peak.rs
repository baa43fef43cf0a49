//! The most memory that this process held, as the kernel counted it: samples miss what comes and goes between them.

use std::fs;

/// A stretch of time whose peak of resident memory the kernel knows.
#[derive(Clone, Copy, Debug)]
pub struct PeakMemory {
    /// The kernel's peak at the beginning where it could not be set back: only a higher one is of this stretch.
    before_bytes: Option<f64>,
}

impl PeakMemory {
    /// Begins a stretch now. There is one at a time: the kernel keeps one peak for the whole process.
    ///
    /// On Linux the peak is set back to what is resident at this moment. Where the system refuses (kernels older than 4.0
    /// or built without `CONFIG_PROC_PAGE_MONITOR`, containers in which `/proc` is read-only), it stays that of the whole
    /// life of the process. The first run of a call outgrows that and is measured all the same; a later run that needs no
    /// more than the ones before is not, and its peak is the largest sample.
    pub fn begin() -> Self {
        // "5" sets the peak back; see proc_pid_clear_refs(5).
        match fs::write("/proc/self/clear_refs", "5") {
            Ok(()) => Self { before_bytes: None },
            Err(_) => Self { before_bytes: high_water_bytes() },
        }
    }

    /// Largest resident memory since the beginning, to the few hundred KiB by which the kernel lets its counters lag behind
    /// per core. `None` where the kernel does not tell (it is Linux that does), or where the peak may be older.
    pub fn bytes(&self) -> Option<f64> {
        high_water_bytes().filter(|&bytes| self.before_bytes.is_none_or(|before| bytes > before))
    }
}

fn high_water_bytes() -> Option<f64> {
    parse(&fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmHWM:    218336 kB`, whose kB are KiB.
fn parse(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix("kB")?.trim_end().parse().ok()?;
    Some(kib * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_found_among_the_others() {
        let status = "Name:\trunner\nVmPeak:\t  900 kB\nVmHWM:\t  218336 kB\nVmRSS:\t   13532 kB\n";
        assert_eq!(parse(status), Some(218_336.0 * 1024.0));
        for other in ["", "VmRSS:\t 5 kB\n", "VmHWM:\t many kB\n", "VmHWM:\t 5 pages\n"] {
            assert_eq!(parse(other), None, "{other:?}");
        }
    }

    #[test]
    fn a_peak_that_could_not_be_set_back_counts_only_once_it_is_outgrown() {
        assert_eq!(PeakMemory { before_bytes: Some(f64::MAX) }.bytes(), None);
        assert_eq!(PeakMemory { before_bytes: Some(1.0) }.bytes().is_some(), high_water_bytes().is_some());
    }
}

//! Why a run's process is gone when it could not say so itself.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::ExitStatus;

use crate::facts::StopReason;
use crate::files::plain;

/// What is known of the end of a process.
#[derive(Debug)]
pub struct Death<'a> {
    pub status: ExitStatus,
    /// The last lines that it printed.
    pub last_output: &'a [String],
    /// Whether the kernel ended processes for want of memory while it lived.
    pub oom_killer: bool,
}

impl Death<'_> {
    /// The class of the failure, and what happened in words.
    pub fn explain(&self) -> (StopReason, String) {
        // Rust's runtime says this and aborts.
        let allocation = self.last_output.iter().rev().find(|line| line.starts_with(REFUSED));
        if let Some(line) = allocation {
            return (StopReason::OutOfMemory, format!("its process could not get memory: {line}"));
        }
        if let Some(signal) = signal_of(self.status) {
            return self.explain_signal(signal);
        }
        match self.status.code() {
            Some(101) => {
                let panic = self.last_output.iter().rev().find(|line| line.contains("panicked at"));
                let what =
                    panic.map_or_else(|| "its process panicked".to_owned(), |line| line.trim().to_owned());
                (StopReason::Panic, what)
            }
            code => {
                let code = code.map_or_else(|| "?".to_owned(), |code| code.to_string());
                let last = self.last_output.last().map_or_else(String::new, |line| format!(": {line}"));
                (StopReason::Error, format!("its process exited with code {code}{last}"))
            }
        }
    }

    fn explain_signal(&self, signal: i32) -> (StopReason, String) {
        const KILL: i32 = 9;
        /// Illegal instruction, trap, abort, bus error, arithmetic, segmentation.
        const FAULTS: [(i32, &str); 6] = [
            (4, "SIGILL, an instruction that this processor does not have"),
            (5, "SIGTRAP"),
            (6, "SIGABRT, the program aborted"),
            (7, "SIGBUS"),
            (8, "SIGFPE"),
            (11, "SIGSEGV, an invalid memory access"),
        ];
        if signal == KILL && self.oom_killer {
            let what = "the system ended its process because memory ran out (the kernel's OOM killer)";
            return (StopReason::OutOfMemory, what.to_owned());
        }
        match FAULTS.iter().find(|(number, _)| *number == signal) {
            Some((_, name)) => (StopReason::Panic, format!("its process crashed ({name})")),
            None if signal == KILL => (StopReason::Killed, "its process was killed (SIGKILL)".to_owned()),
            None => (StopReason::Killed, format!("its process was ended by signal {signal}")),
        }
    }
}

#[cfg(unix)]
fn signal_of(status: ExitStatus) -> Option<i32> {
    std::os::unix::process::ExitStatusExt::signal(&status)
}

#[cfg(not(unix))]
fn signal_of(_status: ExitStatus) -> Option<i32> {
    None
}

/// How often the kernel ended a process for want of memory since it booted; `None` where it does not tell.
pub fn oom_kills() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/vmstat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}

/// How Rust's runtime begins to say that it got no memory.
const REFUSED: &str = "memory allocation of ";

/// Lines that are worth showing.
const LINES: usize = 12;
/// Where they are looked for: the end of the file.
const TAIL_BYTES: u64 = 64 << 10;

/// The last lines of a text file, or after a panic or a want of memory the first ones of its message, before the backtrace; none
/// when there is no file.
pub fn last_lines(path: &Path) -> Vec<String> {
    let read = || {
        let mut file = plain::open_own(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        std::io::Result::Ok(bytes)
    };
    last_lines_of(&read().unwrap_or_default())
}

/// As [`last_lines`], of the text itself.
pub fn last_lines_of(text: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(text);
    let clean = |line: &str| line.chars().filter(|c| !c.is_control() || *c == '\t').take(400).collect();
    let lines: Vec<String> =
        text.lines().map(clean).filter(|line: &String| !line.trim().is_empty()).collect();
    let end = lines.len().saturating_sub(LINES);
    let message = |line: &String| line.contains("panicked at") || line.starts_with(REFUSED);
    let start = lines.iter().rposition(message).map_or(end, |message| message.min(end));
    lines.into_iter().skip(start).take(LINES).collect()
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn explain(status: i32, output: &[&str], oom_killer: bool) -> (StopReason, String) {
        let last_output: Vec<String> = output.iter().map(|line| (*line).to_owned()).collect();
        Death { status: ExitStatus::from_raw(status), last_output: &last_output, oom_killer }.explain()
    }

    #[test]
    fn every_death_has_its_class() {
        let refused = ["memory allocation of 4096 bytes failed"];
        for (status, output, oom_killer, class) in [
            (9, &[][..], false, StopReason::Killed),
            (9, &[], true, StopReason::OutOfMemory),
            (15, &[], true, StopReason::Killed),
            (6, &refused, false, StopReason::OutOfMemory),
            (6, &[], false, StopReason::Panic),
            (11, &[], false, StopReason::Panic),
            (101 << 8, &["thread 'main' panicked at src/x.rs:1:1:"], false, StopReason::Panic),
            (3 << 8, &["error: no such thing"], false, StopReason::Error),
        ] {
            let (found, text) = explain(status, output, oom_killer);
            assert_eq!(found, class, "{status} {output:?}: {text}");
        }
        assert!(explain(3 << 8, &["error: no such thing"], false).1.contains("error: no such thing"));
    }

    #[test]
    fn only_the_end_of_a_long_output_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("output.log");
        assert_eq!(last_lines(&path), Vec::<String>::new());
        let text: String = (0..5_000).map(|line| format!("line {line}\u{1b}[0m\n\n")).collect();
        std::fs::write(&path, text).unwrap();
        let lines = last_lines(&path);
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines.last().unwrap(), "line 4999[0m");

        let backtrace: String = (0..50).map(|frame| format!("  {frame}: somewhere\n")).collect();
        std::fs::write(&path, format!("before\nthread 'main' panicked at src/x.rs:1:1:\noh\n{backtrace}"))
            .unwrap();
        assert_eq!(last_lines(&path)[..2], ["thread 'main' panicked at src/x.rs:1:1:", "oh"]);

        // With RUST_BACKTRACE the runtime writes a backtrace after this too.
        let text = format!("memory allocation of 4096 bytes failed\nstack backtrace:\n{backtrace}");
        let lines = last_lines_of(text.as_bytes());
        assert_eq!(lines[0], "memory allocation of 4096 bytes failed");
        let death = Death { status: ExitStatus::from_raw(6), last_output: &lines, oom_killer: false };
        assert_eq!(death.explain().0, StopReason::OutOfMemory);
    }
}

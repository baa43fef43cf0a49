//! One writer per run directory.
//!
//! The writer holds an advisory lock (`flock`) on the file `lock`, which the system gives back whatever becomes of the process,
//! so a lock cannot outlive its holder. Who holds it stands in the file, for people. Where the file system has no such locks,
//! that text decides.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;

/// Who writes, or wrote last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    pub pid: u32,
    pub hostname: String,
    pub since: Timestamp,
}

impl std::fmt::Display for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "process {} on {} (since {})",
            self.pid,
            self.hostname,
            self.since.strftime("%Y-%m-%d %H:%M:%S UTC")
        )
    }
}

impl Writer {
    /// This process.
    pub fn here() -> Self {
        Self { pid: std::process::id(), hostname: hostname(), since: Timestamp::now() }
    }

    /// Whether the process may still be there: for certain on this machine, and taken to be so on another.
    fn may_live(&self) -> bool {
        self.hostname != hostname() || process_lives(self.pid)
    }
}

/// The right to write into a run directory, for as long as it lives.
#[derive(Debug)]
pub struct WriteLock(File);

/// How long a lock is tried for: a reader that looks whether there is a writer holds it for a moment.
const PATIENCE: Duration = Duration::from_millis(500);

impl WriteLock {
    /// Takes the lock at `path` for `writer`.
    pub(super) fn take(path: &Path, writer: &Writer) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Write { path: path.to_owned(), source };
        let mut file = open(path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(taken(path, read(&mut file))),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    let holder = read(&mut file).filter(|holder| holder.may_live());
                    if holder.as_ref().is_some_and(|holder| holder.pid != writer.pid) {
                        return Err(taken(path, holder));
                    }
                    break;
                }
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        let text = toml::to_string(writer).unwrap_or_default();
        overwrite(&mut file, text.as_bytes()).map_err(failed)?;
        Ok(Self(file))
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // A text that stays is only misleading where the file system has no locks.
        let _ = overwrite(&mut self.0, b"");
    }
}

/// Who writes at this moment, as far as this machine can see.
pub(super) fn writer(path: &Path) -> Option<Writer> {
    let mut file = File::open(path).ok()?;
    match file.try_lock_shared() {
        // Dropping the file gives the lock back.
        Ok(()) => None,
        Err(TryLockError::WouldBlock) => Some(read(&mut file).unwrap_or(Writer {
            pid: 0,
            hostname: "?".to_owned(),
            since: Timestamp::UNIX_EPOCH,
        })),
        Err(TryLockError::Error(_)) => read(&mut file).filter(|holder| holder.may_live()),
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(bytes)
}

fn read(file: &mut File) -> Option<Writer> {
    let mut text = String::new();
    file.rewind().ok()?;
    file.take(4096).read_to_string(&mut text).ok()?;
    toml::from_str(&text).ok()
}

fn taken(path: &Path, writer: Option<Writer>) -> StoreError {
    let dir = path.parent().unwrap_or(Path::new("")).to_owned();
    StoreError::Locked {
        dir,
        writer: writer.map_or_else(|| "another process".to_owned(), |writer| writer.to_string()),
    }
}

#[cfg(unix)]
fn process_lives(pid: u32) -> bool {
    use nix::errno::Errno;
    use nix::sys::signal::kill;
    let Ok(pid) = i32::try_from(pid) else { return false };
    pid > 0 && kill(nix::unistd::Pid::from_raw(pid), None) != Err(Errno::ESRCH)
}

#[cfg(not(unix))]
fn process_lives(_pid: u32) -> bool {
    true
}

/// This machine's name, as lock files and manifests say it.
pub fn hostname() -> String {
    sysinfo::System::host_name().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;

    fn lock_path() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        (dir, path)
    }

    #[test]
    fn a_second_writer_is_told_who_the_first_is() {
        let (_dir, path) = lock_path();
        let first = Writer::here();
        let lock = WriteLock::take(&path, &first).unwrap();
        let error = WriteLock::take(&path, &Writer::here()).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} on {}", std::process::id(), hostname())), "{error}");
        assert_eq!(writer(&path), Some(first));
        drop(lock);
        assert_eq!(writer(&path), None);
        WriteLock::take(&path, &Writer::here()).unwrap();
    }

    #[test]
    fn what_a_dead_process_left_in_the_file_is_no_lock() {
        let (_dir, path) = lock_path();
        let dead = Writer { pid: 1, hostname: "elsewhere".to_owned(), since: Timestamp::now() };
        fs::write(&path, toml::to_string(&dead).unwrap()).unwrap();
        assert_eq!(writer(&path), None);
        WriteLock::take(&path, &Writer::here()).unwrap();
    }

    #[test]
    fn a_directory_without_a_lock_file_has_no_writer() {
        let (dir, path) = lock_path();
        assert_eq!(writer(&path), None);
        assert!(!dir.path().join("lock").exists(), "looking leaves nothing behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_process_that_is_gone_is_not_alive() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!process_lives(pid));
        assert!(process_lives(std::process::id()));
    }
}

//! One writer per run directory.
//!
//! The writer holds an advisory lock (`flock`) on the file `lock`, which the system gives back whatever becomes of the process,
//! so a lock cannot outlive its holder. Who holds it stands in the file, for people. Where the file system has no such locks,
//! that text decides.
//!
//! Some network file systems have locks that reach no other machine, and nothing tells so. So a holder writes the text anew every few
//! seconds, and a lock that can be had although the text names a process of another machine, and is fresh, counts as held.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::files::plain;
use crate::machine::hostname;

/// Who writes, or wrote last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    pub pid: u32,
    pub hostname: String,
    pub since: Timestamp,
    /// It was asked to stop, and lets go once it has saved.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopping: bool,
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
        Self { pid: std::process::id(), hostname: hostname(), since: Timestamp::now(), stopping: false }
    }

    /// Whether it is a process of another machine.
    pub fn is_elsewhere(&self) -> bool {
        self.hostname != hostname()
    }

    /// Whether the process that wrote this into `file` may still be there.
    fn may_live(&self, file: &File) -> bool {
        if self.is_elsewhere() { age(file).is_none_or(|age| age < FRESH) } else { process_lives(self.pid) }
    }
}

/// The right to write into a run directory, for as long as it lives.
#[derive(Debug)]
pub struct WriteLock {
    path: PathBuf,
    file: File,
    writer: Writer,
}

/// Tells others about the holder of a lock, beside the one who holds it.
#[derive(Debug)]
pub struct Announcer {
    path: PathBuf,
    writer: Writer,
}

impl Announcer {
    /// Says that the holder is still there; to be called every [`BEAT`].
    pub fn beat(&self) {
        let text = toml::to_string(&self.writer).unwrap_or_default();
        // The same bytes in the same place: who reads meanwhile reads them.
        if let Ok(mut file) = plain::open_lock(&self.path)
            && read(&mut file).is_some_and(|holder| holder == self.writer)
            && file.rewind().is_ok()
        {
            let _ = file.write_all(text.as_bytes());
        }
    }

    /// Says that the holder lets go once it has saved.
    pub fn stopping(self) -> Self {
        // The holder may have let go meanwhile, and another may hold the lock. Whoever cannot read it takes the lock for held.
        let writer = Writer { stopping: true, ..self.writer.clone() };
        if let Ok(mut file) = plain::open_lock(&self.path)
            && read(&mut file).is_some_and(|holder| holder == self.writer)
        {
            let _ = overwrite(&mut file, toml::to_string(&writer).unwrap_or_default().as_bytes());
        }
        Self { writer, ..self }
    }
}

/// How often a holder writes the text anew.
pub const BEAT: Duration = Duration::from_secs(5);
/// A text so young is a living holder's, also where two machines' clocks differ by some seconds.
pub const FRESH: Duration = Duration::from_secs(15);

/// Since when a file was not written to, by this machine's clock; `None` where the system does not tell, or if it was in the future.
fn age(file: &File) -> Option<Duration> {
    file.metadata().and_then(|meta| meta.modified()).ok()?.elapsed().ok()
}

/// How long a lock is tried for: a reader that looks whether there is a writer holds it for a moment.
const PATIENCE: Duration = Duration::from_millis(500);

impl WriteLock {
    /// Takes the lock at `path` for `writer`.
    pub(super) fn take(path: &Path, writer: &Writer) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Write { path: path.to_owned(), source };
        let mut file = plain::open_lock(path).map_err(failed)?;
        let begun = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => match read(&mut file).filter(Writer::is_elsewhere) {
                    Some(holder) if beats(path, &file) => return Err(taken(path, Some(holder))),
                    _ => break,
                },
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => return Err(taken(path, read(&mut file))),
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                    let holder = read(&mut file).filter(|holder| holder.may_live(&file));
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
        Ok(Self { path: path.to_owned(), file, writer: writer.clone() })
    }

    /// For a thread that tells others about this holder.
    pub fn announcer(&self) -> Announcer {
        Announcer { path: self.path.clone(), writer: self.writer.clone() }
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        // A text that stays is only misleading where the file system has no locks.
        let _ = overwrite(&mut self.file, b"");
    }
}

/// Who writes at this moment, as far as this machine can see.
pub(super) fn writer(path: &Path) -> Option<Writer> {
    let mut file = plain::open_own(path).ok()?;
    match file.try_lock_shared() {
        // Dropping the file gives the lock back.
        Ok(()) => read(&mut file).filter(|holder| holder.is_elsewhere() && holder.may_live(&file)),
        Err(TryLockError::WouldBlock) => Some(read(&mut file).unwrap_or(Writer {
            pid: 0,
            hostname: "?".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            stopping: false,
        })),
        Err(TryLockError::Error(_)) => read(&mut file).filter(|holder| holder.may_live(&file)),
    }
}

/// Whether a holder of another machine still writes the text: it is watched until that is known. The file is opened anew each time, because
/// network file systems look at the server then.
fn beats(path: &Path, file: &File) -> bool {
    let modified = |file: &File| file.metadata().and_then(|meta| meta.modified()).ok();
    let before = modified(file);
    while age(file).is_none_or(|age| age < FRESH) {
        match plain::open_own(path) {
            Ok(now) if modified(&now) == before => {}
            _ => return true,
        }
        if age(file).is_none() && before.is_none_or(|before| before > SystemTime::now() + FRESH) {
            // Nothing can be said about such a time.
            return false;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    false
}

fn overwrite(file: &mut File, bytes: &[u8]) -> io::Result<()> {
    // Not emptied first: who reads meanwhile would see no holder.
    file.rewind()?;
    file.write_all(bytes)?;
    file.set_len(bytes.len() as u64)
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

#[cfg(test)]
mod tests {
    use std::fs;

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

    /// As if a process of another machine had written it so long ago.
    fn written_elsewhere(path: &Path, ago: Duration) -> Writer {
        let holder = Writer {
            pid: 1,
            hostname: "elsewhere".to_owned(),
            since: "2026-01-01T00:00:00Z".parse().unwrap(),
            stopping: false,
        };
        fs::write(path, toml::to_string(&holder).unwrap()).unwrap();
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(SystemTime::now() - ago).unwrap();
        holder
    }

    #[test]
    fn what_a_dead_process_left_in_the_file_is_no_lock() {
        let (_dir, path) = lock_path();
        written_elsewhere(&path, Duration::from_secs(60));
        assert_eq!(writer(&path), None);
        WriteLock::take(&path, &Writer::here()).unwrap();
    }

    #[test]
    fn a_holder_whom_a_lock_does_not_reach_is_known_by_its_beat() {
        let (_dir, path) = lock_path();
        let holder = written_elsewhere(&path, Duration::from_secs(2));
        assert_eq!(writer(&path), Some(holder.clone()));
        let announcer = Announcer { path: path.clone(), writer: holder };
        let beating = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(300));
            announcer.beat();
        });
        let error = WriteLock::take(&path, &Writer::here()).unwrap_err().to_string();
        assert!(error.contains("process 1 on elsewhere"), "{error}");
        beating.join().unwrap();
        // It beats no more.
        written_elsewhere(&path, FRESH - Duration::from_millis(400));
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

//! Commands that make the run directories of one experiment take turns, so that what one has made the other finds.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::files::plain;

/// Directories are made in moments; who takes longer waits for something else.
const PATIENCE: Duration = Duration::from_secs(5);

/// The right to make run directories below an experiment's folder.
#[derive(Debug)]
pub struct Turn(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Turn {
    /// Waits for it a while. `None` where it cannot be had: without locks on folders, as on Windows and some network file systems,
    /// or where the folder cannot be made, which who makes a directory in it will say.
    pub fn take(experiment: &Path) -> Option<Self> {
        std::fs::create_dir_all(experiment).ok()?;
        let folder = plain::open_folder(experiment).ok()?;
        let begun = Instant::now();
        loop {
            match folder.try_lock() {
                Ok(()) => return Some(Self(folder)),
                Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(_) => return None,
            }
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = Turn::take(folder.path()).unwrap();
        let path = folder.path().to_owned();
        let second = std::thread::spawn(move || Turn::take(&path).is_some());
        std::thread::sleep(Duration::from_millis(50));
        assert!(!second.is_finished());
        drop(first);
        assert!(second.join().unwrap());
    }
}

//! One run per GPU: a lock file for each, which every process of this machine that trains with `runner` takes.
//!
//! The files lie in the system's folder for temporary files and are named after the GPU itself, not after its number, which
//! differs between processes that see different GPUs. The lock is the system's (`flock`), so it goes with its holder. Containers
//! that share a GPU and not that folder do not see each other.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::config::experiment::{DeviceChoice, RunPlan};
use crate::engine::device;
use crate::files::plain;
use crate::store::Writer;

/// The right to a GPU, for as long as it lives.
#[derive(Debug)]
pub struct Lease {
    _file: File,
    /// The GPU's ordinal in this process.
    pub ordinal: usize,
}

/// A GPU cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    #[error("{}: {gpus} used by {holder}; wait for it, or choose another with hardware.device", if *count == 1 { "the GPU is taken" } else { "all GPUs are taken" })]
    Taken { count: usize, gpus: String, holder: String },
    #[error("cannot make the lock file {} for a GPU: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
}

/// The GPU that the plan wants or, where it leaves the choice, the first that is free; `None` when it would not train on a GPU.
///
/// # Errors
/// [`LeaseError::Taken`] when others have them.
pub fn take(plan: &RunPlan) -> Result<Option<Lease>, LeaseError> {
    let ordinals: Vec<usize> = match *plan.hardware.device {
        DeviceChoice::Cuda(ordinal) => vec![ordinal],
        DeviceChoice::Auto => (0..device::cuda_devices().unwrap_or(0)).collect(),
        DeviceChoice::Cpu | DeviceChoice::Scripted => return Ok(None),
    };
    if ordinals.is_empty() {
        return Ok(None);
    }
    take_first(&folder(), &ordinals, |ordinal| {
        device::cuda_id(ordinal).unwrap_or_else(|| format!("ordinal-{ordinal}"))
    })
    .map(Some)
}

fn take_first(folder: &Path, ordinals: &[usize], id: impl Fn(usize) -> String) -> Result<Lease, LeaseError> {
    let mut holders = Vec::new();
    for &ordinal in ordinals {
        let path = folder.join(format!("{}.lock", id(ordinal)));
        let failed = |source| LeaseError::File { path: path.clone(), source };
        let mut file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {
                // Only for people: another user's file cannot be written to, and the lock counts.
                let _ = write_holder(&mut file);
                return Ok(Lease { _file: file, ordinal });
            }
            Err(TryLockError::WouldBlock) => holders.push(read_holder(&mut file)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
    }
    let gpus = ordinals.iter().map(|ordinal| format!("cuda:{ordinal}")).collect::<Vec<_>>().join(", ");
    Err(LeaseError::Taken { count: ordinals.len(), gpus, holder: holders.join(", ") })
}

fn folder() -> PathBuf {
    std::env::temp_dir().join("runner-gpus")
}

/// Opens the file, made so that every user of the machine can take its lock.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent()
        && !folder.is_dir()
    {
        std::fs::create_dir_all(folder)?;
        if let Ok(folder) = plain::open_folder(folder) {
            open_to_all(&folder, 0o1777);
        }
    }
    match plain::open_lock(path) {
        Ok(file) => {
            open_to_all(&file, 0o666);
            Ok(file)
        }
        // Another user's file: reading is enough for a lock.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => plain::open_own(path),
        Err(error) => Err(error),
    }
}

/// Of what was opened, whatever lies in its place by now. Only the owner can, and only once is needed.
fn open_to_all(opened: &File, mode: u32) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let _ = opened.set_permissions(std::fs::Permissions::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = (opened, mode);
}

fn write_holder(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(Writer::here().to_string().as_bytes())
}

fn read_holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.take(512).read_to_string(&mut text));
    if read.is_err() || text.trim().is_empty() {
        "another process".to_owned()
    } else {
        text.trim().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_get_different_gpus_until_none_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let take = || take_first(folder.path(), &[0, 1], |ordinal| format!("GPU-{ordinal}"));
        let first = take().unwrap();
        let second = take().unwrap();
        assert_eq!((first.ordinal, second.ordinal), (0, 1));
        let error = take().unwrap_err().to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(first);
        assert_eq!(take().unwrap().ordinal, 0);
    }

    #[cfg(unix)]
    #[test]
    fn every_user_of_the_machine_can_take_the_locks() {
        use std::os::unix::fs::PermissionsExt;
        let place = tempfile::tempdir().unwrap();
        let folder = place.path().join("gpus");
        let _lease = take_first(&folder, &[0], |_| "GPU-0".to_owned()).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        assert_eq!((mode(&folder), mode(&folder.join("GPU-0.lock"))), (0o1777, 0o666));
    }

    #[test]
    fn what_a_dead_process_left_is_no_lease() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("GPU-0.lock"), "process 1 on elsewhere").unwrap();
        assert!(take_first(folder.path(), &[0], |_| "GPU-0".to_owned()).is_ok());
    }
}

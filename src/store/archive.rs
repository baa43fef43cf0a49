//! A run as one file, `.tar.zst`, to be looked at elsewhere: its record, and its checkpoints if they are asked for.
//!
//! Inside, the run lies at `<experiment>/<run>/`, as below a folder of runs, so that `tar` puts it in its place too.

mod pack;
mod unpack;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;

use super::error::StoreError;
use crate::files::disk;

pub use pack::{Packed, pack};
pub use unpack::{Unpacked, is_archive, unpack};

/// Longest name of a run; those that this program makes are shorter.
const LONGEST_NAME: usize = 255;

/// An archive could not be written or unpacked.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{} is there already; choose another --out, or say --overwrite", path.display())]
    OutExists { path: PathBuf },
    #[error(
        "cannot write {}: {}",
        path.display(), disk::no_file(path, source, "; check the disk's free space and the folder's permissions")
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is damaged, or no archive of a run: {reason}; nothing was unpacked", path.display())]
    Bad { path: PathBuf, reason: String },
    #[error("{} holds {entry:?}, {reason}: nothing was unpacked", path.display())]
    Unsafe { path: PathBuf, entry: String, reason: &'static str },
    #[error("{} needs more room than there is in {}: make some, or choose another folder with --runs-dir", path.display(), runs_dir.display())]
    NoRoom { path: PathBuf, runs_dir: PathBuf },
    #[error(
        "{} is another run than the one in {}; choose another folder with --runs-dir, or move one of them",
        there.display(), path.display()
    )]
    OtherRun { path: PathBuf, there: PathBuf },
    #[error(transparent)]
    Store(#[from] StoreError),
}

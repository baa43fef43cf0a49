use std::io;
use std::path::{Path, PathBuf};

use crate::files::disk;

/// A run directory could not be made, written, read or found.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Found while a run trains.
    #[error(
        "{} is no longer the directory of the run that writes there: it was moved, deleted or replaced while the run trained. Move it \
         back and run `runner resume`, or start the run again", dir.display()
    )]
    Gone { dir: PathBuf },
    #[error(
        "cannot create a run directory in {}: {}, or choose another folder with --runs-dir",
        path.display(), disk::no_folder(path, source)
    )]
    CreateRun { path: PathBuf, source: io::Error },
    #[error(
        "cannot write {}: {}",
        path.display(), disk::no_file(path, source, "; check the disk's free space and the folder's permissions")
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {}", path.display(), disk::no_file(path, source, "; make it readable and try again"))]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot move {} to {}: {source}", from.display(), to.display())]
    Move { from: PathBuf, to: PathBuf, source: io::Error },
    #[error("cannot write {}: {reason}", path.display())]
    EncodeManifest { path: PathBuf, reason: String },
    #[error("{} is not there, so this is not a whole run directory; put it back, or move the folder away and train the run again", path.display())]
    NoManifest { path: PathBuf },
    #[error("{}:{line}: {reason}; the run cannot be read without its manifest", path.display())]
    BadManifest { path: PathBuf, line: usize, reason: String },
    #[error(
        "{}: format version {found} was written by a newer runner (this one reads up to {supported}); update runner",
        path.display()
    )]
    NewerFormat { path: PathBuf, found: i64, supported: u32 },
    #[error("{} is being written by {writer}; wait for it, or stop it first", dir.display())]
    Locked { dir: PathBuf, writer: String },
    #[error("no run or experiment {argument:?}: neither a run directory nor anything in {}{}", runs_dir.display(), hint(nearest, runs_dir))]
    UnknownRun { argument: String, runs_dir: PathBuf, nearest: Vec<String> },
}

impl StoreError {
    /// Whether it is the disk that is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::CreateRun { source, .. } | Self::Write { source, .. } => disk::is_full(source),
            _ => false,
        }
    }
}

fn hint(nearest: &[String], runs_dir: &Path) -> String {
    if let Some(obstacle) = disk::in_the_way(runs_dir) {
        return format!("; {obstacle}, or choose another folder with --runs-dir");
    }
    if nearest.is_empty() {
        "; `runner ls` lists the runs there are, --runs-dir looks elsewhere".to_owned()
    } else {
        format!("; did you mean {}?", nearest.join(" or "))
    }
}

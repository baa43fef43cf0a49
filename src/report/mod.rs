//! What people read: a report per run, a comparison of runs and an index of comparisons. Pure functions of
//! [`RunRecord`](crate::store::RunRecord)s, so that all of it can be remade from files alone.

mod changes;
pub mod compare;
pub mod ending;
#[cfg(test)]
mod fixture;
pub mod index;
mod notes;
pub mod plot;
pub mod run;
pub mod settings;
pub mod summary;

use std::io;
use std::path::PathBuf;

use crate::files::disk;

/// A report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error(
        "cannot write {}: {}",
        path.display(), disk::no_file(path, source, "; check the disk's free space and the folder's permissions")
    )]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("cannot draw {}: {reason}", path.display())]
    Plot { path: PathBuf, reason: String },
    #[error(
        "{name:?} cannot be a comparison's name, because files are called after it; use up to 100 letters, digits, \
         `.`, `_` and `-`, neither `.` nor `-` first, no `.` last, and not README, which is the index, nor one that ends with \
         .notes, which is where people write"
    )]
    BadName { name: String },
    #[error(
        "{} is there already and was not written by runner; move it, or give the comparison another name \
         (`runner compare RUN RUN... --name NAME`)",
        path.display()
    )]
    NotOurs { path: PathBuf },
    #[error(
        "{}: the index of comparisons begins with `{start}` but has no `{end}` after it; \
         restore that line, or delete the whole index, which is then rebuilt",
        path.display()
    )]
    IndexMarkers { path: PathBuf, start: &'static str, end: &'static str },
}

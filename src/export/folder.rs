//! A folder that is filled out of sight, and put in its place when it is whole.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::ExportError;

/// See the module. What was begun and not finished leaves nothing behind.
pub struct Folder {
    target: PathBuf,
    temporary: TempDir,
}

impl Folder {
    /// Begins a folder that is to become `target`, which must be empty or not there unless `overwrite` is said.
    ///
    /// # Errors
    /// When there is something else, and when nothing can be written beside it.
    pub fn begin(target: &Path, overwrite: bool) -> Result<Self, ExportError> {
        let failed = |source| ExportError::Write { path: target.to_owned(), source };
        let target = if target.exists() {
            target.canonicalize().map_err(failed)?
        } else {
            std::path::absolute(target).map_err(failed)?
        };
        if target.is_file() {
            return Err(ExportError::NotAFolder { path: target });
        }
        if !overwrite && target.is_dir() && fs::read_dir(&target).map_err(failed)?.next().is_some() {
            return Err(ExportError::NotEmpty { path: target });
        }
        // On the same file system, so that renaming is enough.
        let parent = target.parent().unwrap_or(&target);
        fs::create_dir_all(parent).map_err(failed)?;
        let mut builder = tempfile::Builder::new();
        builder.prefix(".tmp-export-");
        // Temporary folders are private by default.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let temporary = builder.tempdir_in(parent).map_err(failed)?;
        Ok(Self { target, temporary })
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        self.temporary.path()
    }

    /// An error about a file of this folder, said of the place where it was to be.
    pub fn as_in_place(&self, error: ExportError) -> ExportError {
        match error {
            ExportError::Write { path, source } => {
                let below = path.strip_prefix(self.path()).map(|below| self.target.join(below));
                ExportError::Write { path: below.unwrap_or(path), source }
            }
            error => error,
        }
    }

    /// Puts it in its place.
    ///
    /// # Errors
    /// When it cannot be moved there.
    pub fn finish(self) -> Result<(), ExportError> {
        let failed = |source| ExportError::Write { path: self.target.clone(), source };
        if !self.target.exists() || fs::remove_dir(&self.target).is_ok() {
            let whole = self.temporary.keep();
            return fs::rename(&whole, &self.target).map_err(|source| {
                // It is the user's disk that it would fill.
                let _ = fs::remove_dir_all(&whole);
                failed(source)
            });
        }
        merge(self.temporary.path(), &self.target).map_err(failed)
    }
}

/// Moves every file below `from` to its place below `to`.
fn merge(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(target: &Path, overwrite: bool) -> Result<(), ExportError> {
        let folder = Folder::begin(target, overwrite)?;
        fs::create_dir(folder.path().join("plots")).unwrap();
        fs::write(folder.path().join("plots/a"), "new").unwrap();
        fs::write(folder.path().join("b"), "new").unwrap();
        folder.finish()
    }

    fn files(folder: &Path) -> usize {
        fs::read_dir(folder).unwrap().count()
    }

    #[test]
    fn a_folder_appears_whole_and_alone() {
        let parent = tempfile::tempdir().unwrap();
        let new = parent.path().join("deep/er/new");
        fill(&new, false).unwrap();
        assert_eq!(fs::read_to_string(new.join("plots/a")).unwrap(), "new");
        let empty = parent.path().join("empty");
        fs::create_dir(&empty).unwrap();
        fill(&empty, false).unwrap();
        assert_eq!(files(&empty), 2);
        assert_eq!(files(parent.path()), 2);
    }

    #[test]
    fn what_is_there_is_replaced_only_on_demand() {
        let parent = tempfile::tempdir().unwrap();
        let target = parent.path().join("there");
        fs::create_dir(&target).unwrap();
        fs::write(target.join("b"), "old").unwrap();
        fs::write(target.join("c"), "kept").unwrap();
        assert!(matches!(fill(&target, false), Err(ExportError::NotEmpty { .. })));
        assert_eq!(fs::read_to_string(target.join("b")).unwrap(), "old");
        fill(&target, true).unwrap();
        assert_eq!(fs::read_to_string(target.join("b")).unwrap(), "new");
        assert_eq!(fs::read_to_string(target.join("c")).unwrap(), "kept");
        assert!(matches!(fill(&target.join("b"), true), Err(ExportError::NotAFolder { .. })));
        assert_eq!(files(parent.path()), 1);
    }

    #[test]
    fn what_is_given_up_leaves_nothing() {
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::begin(&parent.path().join("new"), false).unwrap();
        fs::write(folder.path().join("a"), "half").unwrap();
        drop(folder);
        assert_eq!(files(parent.path()), 0);
    }

    #[cfg(unix)]
    #[test]
    fn it_is_as_readable_as_any_other_new_folder() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let (ours, plain) = (parent.path().join("ours"), parent.path().join("plain"));
        fill(&ours, false).unwrap();
        fs::create_dir(&plain).unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }
}

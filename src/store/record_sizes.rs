//! How long a run's growing files were at a checkpoint, so that they can be cut back to it.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RunDir, StoreError};

/// Bytes of the files that a run writes line by line. A file that is not there has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSizes {
    pub metrics: u64,
    pub log: u64,
    pub samples: u64,
}

impl RecordSizes {
    /// Brings the files of `dir` to the disk and measures them.
    ///
    /// # Errors
    /// When a file that is there cannot be synced.
    pub fn sync(dir: &RunDir) -> Result<Self, StoreError> {
        let mut sizes = Self::default();
        for (path, size) in sizes.files(dir) {
            *size = match File::open(&path) {
                Ok(file) => file.sync_all().and_then(|()| file.metadata()).map_err(failed(&path))?.len(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(source) => return Err(StoreError::Read { path, source }),
            };
        }
        Ok(sizes)
    }

    /// In words, which file is shorter than it was; `None` when all are long enough to be cut back.
    pub fn lost(mut self, dir: &RunDir) -> Option<String> {
        self.files(dir).into_iter().find_map(|(path, size)| {
            let found = path.metadata().map_or(0, |metadata| metadata.len());
            let name = path.file_name().unwrap_or_default().display();
            (found < *size).then(|| format!("{name} has {found} bytes, and had {size} when it was saved"))
        })
    }

    /// Cuts the files of `dir` back to these sizes; one that had no bytes is deleted.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn cut_back(mut self, dir: &RunDir) -> Result<(), StoreError> {
        for (path, size) in self.files(dir) {
            let cut = match *size {
                0 => std::fs::remove_file(&path),
                size => OpenOptions::new().write(true).open(&path).and_then(|file| {
                    file.set_len(size)?;
                    file.sync_all()
                }),
            };
            match cut {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other.map_err(failed(&path))?,
            }
        }
        Ok(())
    }

    fn files(&mut self, dir: &RunDir) -> [(PathBuf, &mut u64); 3] {
        [(dir.metrics(), &mut self.metrics), (dir.log(), &mut self.log), (dir.samples(), &mut self.samples)]
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn files_are_cut_back_to_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path());
        fs::write(dir.metrics(), "step\n1\n").unwrap();
        fs::write(dir.log(), "{}\n").unwrap();
        let sizes = RecordSizes::sync(&dir).unwrap();
        assert_eq!(sizes, RecordSizes { metrics: 7, log: 3, samples: 0 });
        fs::write(dir.metrics(), "step\n1\n2\n3").unwrap();
        fs::write(dir.samples(), "## Step 3").unwrap();
        assert_eq!(sizes.lost(&dir), None);
        sizes.cut_back(&dir).unwrap();
        assert_eq!(fs::read(dir.metrics()).unwrap(), b"step\n1\n");
        assert!(!dir.samples().exists());
        assert_eq!(RecordSizes::sync(&dir).unwrap(), sizes);
    }

    #[test]
    fn a_file_that_became_shorter_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path());
        fs::write(dir.metrics(), "step\n1\n").unwrap();
        let sizes = RecordSizes::sync(&dir).unwrap();
        fs::write(dir.metrics(), "step\n").unwrap();
        assert_eq!(sizes.lost(&dir).unwrap(), "metrics.csv has 5 bytes, and had 7 when it was saved");
    }
}

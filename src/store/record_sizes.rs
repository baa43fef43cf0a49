//! What a run's growing files were at a checkpoint, so that they can be cut back to it.

use std::fs;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{RunDir, StoreError, checksums};
use crate::files::plain;
use crate::units;

/// Bytes of the files that a run writes line by line. A file that is not there has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordSizes {
    pub metrics: u64,
    pub log: u64,
    pub samples: u64,
    /// SHA-256 of these bytes of `metrics.csv`. Absent in checkpoints of before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics_sha256: Option<String>,
}

impl RecordSizes {
    /// Brings the files of `dir` to the disk and measures them.
    ///
    /// # Errors
    /// When a file that is there cannot be synced or read.
    pub fn sync(dir: &RunDir) -> Result<Self, StoreError> {
        let size = |path: PathBuf| match plain::open_own(&path) {
            Ok(file) => {
                let length = file.sync_all().and_then(|()| file.metadata()).map_err(failed(&path))?.len();
                Ok(Some(length))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Read { path, source }),
        };
        let metrics = size(dir.metrics())?;
        let sum = |bytes| {
            let path = dir.metrics();
            checksums::sha256_of_first(&path, bytes).map_err(|source| StoreError::Read { path, source })
        };
        Ok(Self {
            metrics: metrics.unwrap_or(0),
            log: size(dir.log())?.unwrap_or(0),
            samples: size(dir.samples())?.unwrap_or(0),
            metrics_sha256: metrics.map(sum).transpose()?,
        })
    }

    /// In words, why the rows of `metrics.csv` are not those that were there; `None` when they are.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn rows_lost(&self, dir: &RunDir) -> Result<Option<String>, StoreError> {
        let path = dir.metrics();
        if let Some(shorter) = shorter(&path, self.metrics)? {
            return Ok(Some(shorter));
        }
        let Some(before) = self.metrics_sha256.as_ref().filter(|_| self.metrics > 0) else { return Ok(None) };
        let now = checksums::sha256_of_first(&path, self.metrics)
            .map_err(|source| StoreError::Read { path, source })?;
        Ok((now != *before).then(|| {
            format!(
                "metrics.csv is not what was written: the SHA-256 of its first {} differs",
                units::counted(self.metrics, "byte")
            )
        }))
    }

    /// In words, what is gone of the files that are there to be read, not to be gone on from.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn prose_lost(&self, dir: &RunDir) -> Result<Vec<String>, StoreError> {
        let files = [(dir.log(), self.log), (dir.samples(), self.samples)];
        let lost = files.into_iter().map(|(path, size)| shorter(&path, size));
        lost.filter_map(Result::transpose).collect()
    }

    /// Cuts the files of `dir` back to these sizes; one that had no bytes is deleted, and one that has fewer keeps its whole lines.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn cut_back(&self, dir: &RunDir) -> Result<(), StoreError> {
        cut(&dir.metrics(), self.metrics)?;
        self.cut_back_prose(dir)
    }

    /// As [`RecordSizes::cut_back`], without `metrics.csv`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn cut_back_prose(&self, dir: &RunDir) -> Result<(), StoreError> {
        cut(&dir.log(), self.log)?;
        cut(&dir.samples(), self.samples)
    }
}

fn shorter(path: &Path, size: u64) -> Result<Option<String>, StoreError> {
    let found = match path.metadata() {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(source) => return Err(StoreError::Read { path: path.to_owned(), source }),
    };
    let name = path.file_name().unwrap_or_default().display();
    Ok((found < size)
        .then(|| format!("{name} has {}, and had {size} when it was saved", units::counted(found, "byte"))))
}

fn cut(path: &Path, size: u64) -> Result<(), StoreError> {
    let cut = match size {
        0 => fs::remove_file(path),
        size => plain::edit(path).and_then(|file| {
            // A shorter one would get zeros at its end, and one that lost lines and got others may have half of one there.
            file.set_len(whole_lines(path, size)?)?;
            file.sync_all()
        }),
    };
    match cut {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(failed(path)),
    }
}

/// Bytes up to the last line break within the first `size` of a file.
fn whole_lines(path: &Path, size: u64) -> io::Result<u64> {
    let mut file = plain::open(path)?;
    let mut end = size.min(file.metadata()?.len());
    let mut piece = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(1 << 16);
        file.seek(SeekFrom::Start(begin))?;
        piece.clear();
        Read::by_ref(&mut file).take(end - begin).read_to_end(&mut piece)?;
        if let Some(last) = piece.iter().rposition(|&byte| byte == b'\n') {
            return Ok(begin + last as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::Write { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_cut_back_to_what_they_were() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path());
        fs::write(dir.metrics(), "step\n1\n").unwrap();
        fs::write(dir.log(), "{}\n").unwrap();
        let sizes = RecordSizes::sync(&dir).unwrap();
        assert_eq!((sizes.metrics, sizes.log, sizes.samples), (7, 3, 0));
        fs::write(dir.metrics(), "step\n1\n2\n3").unwrap();
        fs::write(dir.samples(), "## Step 3").unwrap();
        assert_eq!(sizes.rows_lost(&dir).unwrap(), None);
        sizes.cut_back(&dir).unwrap();
        assert_eq!(fs::read(dir.metrics()).unwrap(), b"step\n1\n");
        assert!(!dir.samples().exists());
        assert_eq!(RecordSizes::sync(&dir).unwrap(), sizes);
    }

    #[test]
    fn rows_that_are_fewer_or_others_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path());
        fs::write(dir.metrics(), "step\n1\n").unwrap();
        let sizes = RecordSizes::sync(&dir).unwrap();
        fs::write(dir.metrics(), "step\n").unwrap();
        let lost = || sizes.rows_lost(&dir).unwrap().unwrap();
        assert_eq!(lost(), "metrics.csv has 5 bytes, and had 7 when it was saved");
        // As long as it was, and longer.
        for other in ["step\n7\n", "step\n7\n8\n"] {
            fs::write(dir.metrics(), other).unwrap();
            assert!(lost().contains("the SHA-256 of its first 7 bytes differs"), "{}", lost());
        }
        // Of a checkpoint of before, only the length is known.
        assert_eq!(RecordSizes { metrics_sha256: None, ..sizes.clone() }.rows_lost(&dir).unwrap(), None);
    }

    #[test]
    fn a_log_that_lost_lines_keeps_those_that_are_whole_and_gets_no_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::open(folder.path());
        fs::write(dir.log(), "{}\n{}\n{}\n").unwrap();
        fs::write(dir.samples(), "## Step 3\n").unwrap();
        let sizes = RecordSizes::sync(&dir).unwrap();
        assert_eq!(sizes.prose_lost(&dir).unwrap(), Vec::<String>::new());
        fs::write(dir.log(), "{}\n{").unwrap();
        fs::remove_file(dir.samples()).unwrap();
        assert_eq!(
            sizes.prose_lost(&dir).unwrap(),
            [
                "log.jsonl has 4 bytes, and had 9 when it was saved",
                "samples.md has 0 bytes, and had 10 when it was saved"
            ]
        );
        sizes.cut_back(&dir).unwrap();
        assert_eq!(fs::read(dir.log()).unwrap(), b"{}\n");
        assert!(!dir.samples().exists());
        // Grown again since then, by lines of other lengths.
        fs::write(dir.log(), "{}\n{\"a\":1234567}\n{}\n").unwrap();
        sizes.cut_back(&dir).unwrap();
        assert_eq!(fs::read(dir.log()).unwrap(), b"{}\n");
    }

    #[test]
    fn the_last_line_break_is_found_however_far_back_it_lies() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.jsonl");
        fs::write(&path, format!("{{}}\n{}", "x".repeat(200_000))).unwrap();
        assert_eq!(whole_lines(&path, 150_000).unwrap(), 3);
        assert_eq!(whole_lines(&path, 3).unwrap(), 3);
        assert_eq!(whole_lines(&path, 2).unwrap(), 0);
        assert_eq!(whole_lines(&path, u64::MAX).unwrap(), 3);
    }
}

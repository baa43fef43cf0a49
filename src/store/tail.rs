//! The end of `metrics.csv`: where a run stands, without reading all of its rows.

use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::metrics_csv::parse;
use super::read::Damage;
use crate::files::plain;
use crate::metric::MetricsRow;

/// The newest rows of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tail {
    /// In rising order of their steps.
    pub rows: Vec<MetricsRow>,
    /// These are all rows that there are.
    pub whole: bool,
}

/// Bytes of the header, with room for columns to come.
const HEADER_BYTES: u64 = 2 << 10;
/// Bytes from the end that are read first, some ten rows, and at most: a validation loss may stand far above the last row.
const FIRST_BYTES: u64 = 2 << 10;
const MOST_BYTES: u64 = 64 << 10;

/// The last rows of the file at `path`: some ten, and more where none of these has a validation loss. A last line without its end
/// is still being written and is left out, as are lines that are no rows. A file that is not there has no rows.
///
/// # Errors
/// When the file cannot be read.
pub fn tail(path: &Path) -> io::Result<Tail> {
    let mut file = match plain::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Tail::default()),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    let mut header = Vec::new();
    file.by_ref().take(HEADER_BYTES).read_to_end(&mut header)?;
    let Some(end) = memchr::memchr(b'\n', &header) else { return Ok(Tail::default()) };
    header.truncate(end + 1);
    let mut last = FIRST_BYTES;
    loop {
        let start = length.saturating_sub(last).max(header.len() as u64);
        let whole = start == header.len() as u64;
        file.seek(SeekFrom::Start(start))?;
        let mut content = header.clone();
        file.by_ref().take(length - start.min(length)).read_to_end(&mut content)?;
        if !whole {
            // The first line is mostly the end of a row.
            let cut = memchr::memchr(b'\n', &content[header.len()..])
                .map_or(content.len(), |at| header.len() + at + 1);
            content.drain(header.len()..cut);
        }
        let rows = parse(path, &content, true, &mut Damage::default());
        let validated = rows.iter().any(|row| row.val_loss.is_some());
        if whole || validated || last >= MOST_BYTES {
            return Ok(Tail { rows, whole });
        }
        last = MOST_BYTES;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::write_rows;

    fn file_of(rows: u64, validated_at: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        let row = |step| MetricsRow {
            step,
            train_loss: Some(1.0 / step as f64),
            val_loss: (step == validated_at).then_some(2.5),
            ..MetricsRow::default()
        };
        write_rows(&path, &(1..=rows).map(row).collect::<Vec<_>>()).unwrap();
        (folder, path)
    }

    #[test]
    fn the_newest_rows_are_those_at_the_end_and_a_torn_one_is_left_out() {
        let (_folder, path) = file_of(5000, 4990);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend_from_slice(b"5001,123,1,0.5");
        std::fs::write(&path, bytes).unwrap();
        let Tail { rows, whole } = tail(&path).unwrap();
        assert!(!whole && rows.len() < 200, "{} rows", rows.len());
        let last = rows.last().unwrap();
        assert_eq!((last.step, last.train_loss), (5000, Some(1.0 / 5000.0)));
        let steps: Vec<u64> = rows.iter().map(|row| row.step).collect();
        assert!(steps.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{steps:?}");
    }

    #[test]
    fn a_validation_loss_further_up_is_found() {
        let (_folder, path) = file_of(5000, 4600);
        let rows = tail(&path).unwrap().rows;
        assert!(rows.iter().any(|row| row.val_loss == Some(2.5)));
    }

    #[test]
    fn a_short_file_is_read_whole_and_a_missing_or_empty_one_has_no_rows() {
        let (folder, path) = file_of(3, 1);
        let short = tail(&path).unwrap();
        assert!(short.whole && short.rows.len() == 3);
        assert_eq!(tail(&folder.path().join("nowhere.csv")).unwrap(), Tail::default());
        for content in ["", "step,train_loss", "step,train_loss\n", "step,train_loss\n1,"] {
            std::fs::write(&path, content).unwrap();
            assert_eq!(tail(&path).unwrap().rows, [], "{content:?}");
        }
    }
}

//! `metrics.csv`: one row a step, on disk as soon as the step is done.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Sink, SinkError};
use crate::event::Event;
use crate::files::plain;
use crate::store::{metrics_header, read_rows, row_record, write_rows};

/// See the module.
pub struct CsvSink {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl CsvSink {
    /// Goes on behind the rows that are there; a new file is started with its header. Rows under the columns of another
    /// version of the program are moved under today's.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let failed = |source| SinkError::Write { path: path.to_owned(), source };
        if path.metadata().is_ok_and(|metadata| metadata.len() > 0) {
            adopt_columns(path).map_err(failed)?;
        }
        let file = plain::append(path).map_err(failed)?;
        let empty = file.metadata().map_err(failed)?.len() == 0;
        let mut sink = Self { path: path.to_owned(), writer: csv::Writer::from_writer(file) };
        if empty {
            sink.write(&metrics_header())?;
        }
        Ok(sink)
    }

    fn write<T: AsRef<[u8]>>(&mut self, record: &[T]) -> Result<(), SinkError> {
        self.writer
            .write_record(record)
            .map_err(io::Error::from)
            .and_then(|()| self.writer.flush())
            .map_err(|source| SinkError::Write { path: self.path.clone(), source })
    }
}

impl Sink for CsvSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        match event {
            Event::Step(row) => self.write(&row_record(row)),
            _ => Ok(()),
        }
    }
}

/// Writes the file again if its header is not today's.
fn adopt_columns(path: &Path) -> io::Result<()> {
    let bytes = plain::read(path)?;
    let header = metrics_header().join(",") + "\n";
    if bytes.starts_with(header.as_bytes()) {
        return Ok(());
    }
    write_rows(path, &read_rows(path, None)?)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::metric::MetricsRow;

    fn step(step: u64) -> Event {
        Event::Step(Box::new(MetricsRow {
            step,
            train_loss: Some(0.1 * step as f64),
            ..MetricsRow::default()
        }))
    }

    #[test]
    fn a_file_that_is_there_is_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        CsvSink::open(&path).unwrap().on_event(&step(1)).unwrap();
        CsvSink::open(&path).unwrap().on_event(&step(2)).unwrap();
        let rows = read_rows(&path, None).unwrap();
        assert_eq!(rows.iter().map(|row| row.step).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 3);
    }

    #[test]
    fn rows_of_another_version_keep_their_values_under_todays_columns() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.csv");
        fs::write(&path, "step,train_loss,of_old\n1,0.30000000000000004,7\n").unwrap();
        CsvSink::open(&path).unwrap().on_event(&step(2)).unwrap();
        let rows = read_rows(&path, None).unwrap();
        assert_eq!(rows[0].train_loss, Some(0.30000000000000004));
        assert_eq!(rows[1].step, 2);
        assert!(fs::read_to_string(&path).unwrap().starts_with(&(metrics_header().join(",") + "\n1,")));
    }
}

//! `metrics.csv`: one row a step, on disk as soon as the step is done.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::{Sink, SinkError};
use crate::event::Event;
use crate::store::{metrics_header, row_record};

/// See the module.
pub struct CsvSink {
    path: PathBuf,
    writer: csv::Writer<File>,
}

impl CsvSink {
    /// Starts the file with its header.
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let path = path.to_owned();
        let file = File::create(&path).map_err(|source| SinkError::Write { path: path.clone(), source })?;
        let mut sink = Self { path, writer: csv::Writer::from_writer(file) };
        sink.write(&metrics_header())?;
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

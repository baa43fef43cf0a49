//! `log.jsonl`: every event with the time it was heard, one JSON object a line.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{Sink, SinkError};
use crate::event::Event;

/// See the module.
pub struct JsonlSink {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    #[serde(flatten)]
    event: &'a Event,
}

impl JsonlSink {
    pub fn create(path: &Path) -> Result<Self, SinkError> {
        let file = File::create(path).map_err(|source| SinkError::Write { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), file })
    }
}

impl Sink for JsonlSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        // One write call per line, so that a reader or a crash never sees two halves of different lines.
        serde_json::to_vec(&Line { time: Timestamp::now(), event })
            .map_err(std::io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            })
            .map_err(|source| SinkError::Write { path: self.path.clone(), source })
    }
}

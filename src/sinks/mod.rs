//! Who listens to a run.

pub mod csv;
pub mod events;
pub mod jsonl;
pub mod progress;
pub mod samples;

use std::path::PathBuf;

use crate::event::Event;
use crate::files::{disk, plain};
use crate::store::RunDir;

/// Takes a run's events in order. An error ends the run: a record with holes is worse than none.
pub trait Sink: Send {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError>;
}

/// A record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error(
        "cannot write {}: {source}{}",
        path.display(), plain::advice(source, "; free space or choose another --runs-dir")
    )]
    Write { path: PathBuf, source: std::io::Error },
}

impl SinkError {
    /// Whether it is the disk that is full.
    pub fn is_disk_full(&self) -> bool {
        let Self::Write { source, .. } = self;
        disk::is_full(source)
    }
}

/// The sinks that every run writes into its own directory, behind what is there.
pub fn open_files(dir: &RunDir) -> Result<Vec<Box<dyn Sink>>, SinkError> {
    Ok(vec![
        Box::new(csv::CsvSink::open(&dir.metrics())?),
        Box::new(jsonl::JsonlSink::open(&dir.log())?),
        Box::new(samples::SamplesSink::new(dir.samples())),
    ])
}

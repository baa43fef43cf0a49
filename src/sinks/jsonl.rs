//! `log.jsonl`: every event with the time it was heard, one JSON object a line.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::Serialize;

use super::{Sink, SinkError};
use crate::event::Event;
use crate::files::plain;

/// See the module.
pub struct JsonlSink {
    path: PathBuf,
    file: File,
}

#[derive(Serialize)]
struct Line<'a> {
    /// First, so that a line's beginning tells what it is: readers pass over the many steps without parsing them.
    #[serde(flatten)]
    event: &'a Event,
    time: Timestamp,
}

impl JsonlSink {
    /// Goes on behind the lines that are there.
    pub fn open(path: &Path) -> Result<Self, SinkError> {
        let file =
            plain::append(path).map_err(|source| SinkError::Write { path: path.to_owned(), source })?;
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

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::SampleText;
    use crate::metric::MetricsRow;
    use crate::store::{RunDir, fixture, metrics_header, read};

    #[test]
    fn lines_read_back_and_those_of_steps_are_passed_over_without_parsing() {
        let folder = tempfile::tempdir().unwrap();
        let mut manifest = fixture::manifest("exp", "seed=1");
        let run = RunDir::create(folder.path(), "exp", "seed=1", &mut manifest, "", |_| Ok(())).unwrap();
        fs::write(run.metrics(), metrics_header().join(",") + "\n").unwrap();
        let samples = vec![SampleText { prompt: "\n".to_owned(), text: "O God".to_owned() }];
        let mut sink = JsonlSink::open(&run.log()).unwrap();
        for event in [
            Event::Step(Box::new(MetricsRow { step: 1, train_loss: Some(3.5), ..MetricsRow::default() })),
            Event::Warning { step: 1, message: "the corpus is short".to_owned() },
            Event::Sampled { step: 1, samples: samples.clone(), memorisation: None },
        ] {
            sink.on_event(&event).unwrap();
        }

        let log = fs::read_to_string(run.log()).unwrap();
        assert!(log.lines().all(|line| line.contains(r#","time":""#)), "{log}");
        // Whoever parses the line of the step stumbles now.
        let spoilt = log.replace("3.5", "3.5.5");
        assert_ne!(spoilt, log);
        fs::write(run.log(), spoilt).unwrap();
        let record = read(run.path()).unwrap();
        assert_eq!(record.damage, Vec::<String>::new());
        assert_eq!(record.warnings, [(1, "the corpus is short".to_owned())]);
        assert_eq!(record.samples, [(1, samples)]);
    }
}

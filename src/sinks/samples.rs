//! `samples.md`: what the model wrote, by step, for reading while it trains.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use super::{Sink, SinkError};
use crate::event::{Event, SampleText};
use crate::files::plain;
use crate::markdown::{fence, quoted};

/// See the module. The file appears with the first sample.
pub struct SamplesSink {
    path: PathBuf,
}

impl SamplesSink {
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }
}

impl Sink for SamplesSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        let Event::Sampled { step, samples, .. } = event else { return Ok(()) };
        plain::append(&self.path)
            .and_then(|mut file| file.write_all(render(*step, samples).as_bytes()))
            .map_err(|source| SinkError::Write { path: self.path.clone(), source })
    }
}

/// One section a step; the prompt stands as the heading of its continuation.
fn render(step: u64, samples: &[SampleText]) -> String {
    let mut text = format!("## Step {step}\n\n");
    for SampleText { prompt, text: continuation } in samples {
        let block = fence("text", &format!("{prompt}{continuation}"));
        // Writing to a String cannot fail.
        let _ = write!(text, "Prompt: {}\n\n{block}\n", quoted(prompt));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_with_backticks_stays_inside_its_fence() {
        let samples = [SampleText { prompt: "a".into(), text: "\n````\nb".into() }];
        let text = render(500, &samples);
        assert!(text.contains("\n`````text\na\n````\nb\n`````\n"), "{text}");
    }

    #[test]
    fn control_characters_do_not_reach_the_reader_of_the_file() {
        let samples = [SampleText { prompt: "\n".into(), text: "a\u{1b}[31m\0b\tc".into() }];
        assert_eq!(render(5, &samples), "## Step 5\n\nPrompt: `\"\\n\"`\n\n```text\n\na[31mb\tc\n```\n\n");
    }
}

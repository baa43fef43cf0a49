//! `samples.md`: what the model wrote, by step, for reading while it trains.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use super::{Sink, SinkError};
use crate::event::{Event, SampleText};

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
        let Event::Sampled { step, samples } = event else { return Ok(()) };
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .and_then(|mut file| file.write_all(render(*step, samples).as_bytes()))
            .map_err(|source| SinkError::Write { path: self.path.clone(), source })
    }
}

/// One section a step; the prompt stands as the heading of its continuation.
fn render(step: u64, samples: &[SampleText]) -> String {
    let mut text = format!("## Step {step}\n\n");
    for sample in samples {
        let prompt = sample.prompt.escape_debug();
        let whole = format!("{}{}", sample.prompt, sample.text);
        let fence = fence_for(&whole);
        // Writing to a String cannot fail.
        let _ = write!(text, "Prompt: \"{prompt}\"\n\n{fence}text\n{whole}\n{fence}\n\n");
    }
    text
}

/// A code fence longer than any run of backticks in the text.
fn fence_for(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
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
}

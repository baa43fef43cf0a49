//! Samples on standard output: one as it comes, the others after it, in their order.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::generate::{Ending, Model, Piece};
use crate::units;

/// Number of a sample, from 0.
#[derive(Clone, Copy, Debug)]
pub struct Sample(pub usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text,
    Json,
}

/// Between two samples.
const SEPARATOR: &str = "\n---\n";

/// See the module.
pub struct Writer<'a> {
    format: Format,
    model: &'a Model,
    prompt: &'a str,
    prompt_tokens: usize,
    seed: u64,
    samples: Vec<Written>,
    /// The sample that is shown as it comes.
    current: usize,
    last: Option<char>,
}

#[derive(Default)]
struct Written {
    text: String,
    tokens: usize,
    ending: Option<Ending>,
    shown: bool,
}

impl<'a> Writer<'a> {
    /// `seed` is the first sample's.
    pub fn new(format: Format, model: &'a Model, prompt: &'a str, prompt_tokens: usize, seed: u64) -> Self {
        Self { format, model, prompt, prompt_tokens, seed, samples: Vec::new(), current: 0, last: None }
    }

    /// Takes what a sample says.
    ///
    /// # Errors
    /// When standard output takes no more.
    pub fn piece(&mut self, sample: Sample, piece: &Piece) -> io::Result<()> {
        let written = self.sample(sample);
        written.text.push_str(&piece.text);
        written.tokens += 1;
        if sample.0 == self.current && self.format == Format::Text {
            self.begin()?;
            self.say(&piece.text)?;
        }
        Ok(())
    }

    /// Notes that a sample is complete.
    ///
    /// # Errors
    /// As [`Writer::piece`].
    pub fn end(&mut self, sample: Sample, ending: Ending, clock: &Clock) -> io::Result<()> {
        self.sample(sample).ending = Some(ending);
        while self.samples.get(self.current).is_some_and(|written| written.ending.is_some()) {
            self.show(clock)?;
            self.current += 1;
            // What the next one has so far.
            if self.format == Format::Text && self.samples.get(self.current).is_some() {
                self.begin()?;
                let text = self.samples[self.current].text.clone();
                self.say(&text)?;
            }
        }
        Ok(())
    }

    /// Shows what there is of samples that did not come to their end.
    ///
    /// # Errors
    /// As [`Writer::piece`].
    pub fn finish(&mut self, clock: &Clock) -> io::Result<()> {
        while self.current < self.samples.len() {
            if self.format == Format::Text {
                let is_new = !self.samples[self.current].shown;
                self.begin()?;
                if is_new {
                    let text = self.samples[self.current].text.clone();
                    self.say(&text)?;
                }
            }
            self.show(clock)?;
            self.current += 1;
        }
        if self.format == Format::Text && io::stdout().is_terminal() && self.last != Some('\n') {
            self.say("\n")?;
        }
        Ok(())
    }

    fn sample(&mut self, sample: Sample) -> &mut Written {
        if self.samples.len() <= sample.0 {
            self.samples.resize_with(sample.0 + 1, Written::default);
        }
        &mut self.samples[sample.0]
    }

    /// Says what stands before the current sample's text.
    fn begin(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.samples[self.current].shown, true) {
            return Ok(());
        }
        if self.current > 0 {
            self.say(SEPARATOR)?;
        }
        self.say(self.prompt)
    }

    /// The current sample is complete.
    fn show(&mut self, clock: &Clock) -> io::Result<()> {
        match self.format {
            Format::Text => self.begin(),
            Format::Json => {
                let sample = &self.samples[self.current];
                let found = &self.model.pretrained;
                let object = json!({
                    "model": found.name,
                    "step": found.origin.as_ref().map(|origin| origin.step),
                    "weights": self.model.decoder.kind().name(),
                    "seed": self.seed.wrapping_add(self.current as u64),
                    "prompt": self.prompt,
                    "text": sample.text,
                    "finish_reason": sample.ending.map_or("interrupted", Ending::name),
                    "prompt_tokens": self.prompt_tokens,
                    "new_tokens": sample.tokens,
                    "first_token_secs": clock.first_secs(),
                    "tokens_per_sec": clock.tokens_per_sec(),
                });
                self.say(&format!("{object}\n"))
            }
        }
    }

    fn say(&mut self, text: &str) -> io::Result<()> {
        self.last = text.chars().next_back().or(self.last);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

/// Measures how fast tokens come, all samples together.
pub struct Clock {
    started: Instant,
    first: Option<Instant>,
    last: Instant,
    first_tokens: usize,
    tokens: usize,
}

impl Clock {
    pub fn start() -> Self {
        let now = Instant::now();
        Self { started: now, first: None, last: now, first_tokens: 0, tokens: 0 }
    }

    /// So many tokens came now.
    pub fn tick(&mut self, tokens: usize) {
        if tokens == 0 {
            return;
        }
        self.last = Instant::now();
        self.tokens += tokens;
        if self.first.is_none() {
            (self.first, self.first_tokens) = (Some(self.last), tokens);
        }
    }

    /// Seconds until the first token: the prompt was read in these.
    fn first_secs(&self) -> Option<f64> {
        self.first.map(|first| (first - self.started).as_secs_f64())
    }

    /// Of the tokens after the first.
    fn tokens_per_sec(&self) -> Option<f64> {
        let secs = (self.last - self.first?).as_secs_f64();
        (secs > 0.0).then(|| (self.tokens - self.first_tokens) as f64 / secs)
    }

    /// `100 tokens in 2.1 s, 48.2 tokens/s after the first`
    pub fn summary(&self, elapsed: Duration) -> String {
        let rate = self
            .tokens_per_sec()
            .map(|rate| format!(", {rate:.1} tokens/s after the first"))
            .unwrap_or_default();
        format!("{} in {:.1} s{rate}", units::counted(self.tokens as u64, "token"), elapsed.as_secs_f64())
    }
}

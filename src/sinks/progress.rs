//! What a person sees while a run trains: a bar on a terminal, plain lines elsewhere.

pub mod board;

use std::cell::Cell;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Sink, SinkError};
use crate::event::Event;
use crate::metric::{METRICS, MetricsRow, Trait, Unit};
use crate::terminal;
use crate::units;

/// Seconds between plain lines.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Which run of how many this is.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub index: usize,
    pub count: usize,
}

/// Where progress is shown. One for all runs, so that what is said between them does not disturb a bar.
#[derive(Clone, Debug, Default)]
pub enum Screen {
    /// A terminal: a bar that moves.
    Terminal(MultiProgress),
    /// A file or a pipe: plain lines at intervals.
    Lines,
    /// Nothing is shown while a run trains.
    #[default]
    Quiet,
}

impl Screen {
    /// A terminal if standard error is one.
    pub fn open(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if std::io::stderr().is_terminal() {
            Self::Terminal(MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)))
        } else {
            Self::Lines
        }
    }

    /// The sink that shows a run here.
    pub fn sink(&self, place: Place) -> Option<Box<dyn Sink>> {
        match self {
            Self::Terminal(bars) => {
                Some(Box::new(BarSink { place, bars: bars.clone(), bar: ProgressBar::hidden() }))
            }
            Self::Lines => Some(Box::new(LineSink { place, max_steps: 0, last_line: None })),
            Self::Quiet => None,
        }
    }

    /// Prints a line to standard error, above a bar if there is one.
    pub fn say(&self, line: &str) {
        match self {
            // A terminal that is gone is no reason to stop.
            Self::Terminal(bars) => drop(bars.println(line)),
            Self::Lines | Self::Quiet => terminal::err(line),
        }
    }

    /// Shows how much of so many bytes was read.
    pub fn reading(&self, what: &str, bytes: u64) -> Reading {
        let bar = match self {
            Self::Terminal(bars) => {
                let bar = bars.add(ProgressBar::new(bytes));
                let style = ProgressStyle::with_template(
                    "{msg} [{bar:30}] {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
                );
                bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> "));
                bar.set_message(what.to_owned());
                Some(bar)
            }
            Self::Lines | Self::Quiet => None,
        };
        let lines = matches!(self, Self::Lines).then(|| what.to_owned());
        let now = Instant::now();
        Reading { bar, lines, bytes, read: Cell::new(0), began: now, last_line: Cell::new(now) }
    }

    /// The same, unless nothing is to be shown.
    pub fn note(&self, line: &str) {
        if !matches!(self, Self::Quiet) {
            self.say(line);
        }
    }
}

/// A text that is being read.
#[derive(Debug)]
pub struct Reading {
    bar: Option<ProgressBar>,
    lines: Option<String>,
    bytes: u64,
    read: Cell<u64>,
    began: Instant,
    last_line: Cell<Instant>,
}

impl Reading {
    /// So many bytes more were read.
    pub fn add(&self, bytes: u64) {
        self.read.set(self.read.get() + bytes);
        if let Some(bar) = &self.bar {
            bar.set_position(self.read.get().min(self.bytes));
        }
        if let Some(what) = &self.lines
            && self.last_line.get().elapsed() >= LINE_INTERVAL
        {
            self.last_line.set(Instant::now());
            let share = (self.read.get() as f64 / self.bytes.max(1) as f64).clamp(1e-9, 1.0);
            let left = self.began.elapsed().as_secs_f64() * (1.0 - share) / share;
            terminal::err(format_args!(
                "{what}: {} of {}, {} left",
                units::bytes(self.read.get() as f64),
                units::bytes(self.bytes as f64),
                units::duration(left)
            ));
        }
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The heading of a run: its place, name and size.
fn heading(place: Place, event: &Event) -> Option<String> {
    let Event::Started { experiment, run, parameters, train_tokens, device, .. } = event else { return None };
    Some(format!(
        "[{}/{}] {experiment}/{run}: {} parameters, {} training tokens, {device}",
        place.index,
        place.count,
        units::si(*parameters as f64),
        units::si(*train_tokens as f64),
    ))
}

/// What stands before the remarks on a run: its place where there are several, which may train at the same time.
fn margin(place: Place) -> String {
    let Place { index, count } = place;
    if count > 1 { format!("[{index}/{count}] ") } else { " ".repeat(6) }
}

/// What is worth a line of its own besides steps.
fn remark(place: Place, event: &Event) -> Option<String> {
    words(event).map(|words| margin(place) + &words)
}

fn words(event: &Event) -> Option<String> {
    match event {
        Event::Step(row) => {
            let said = METRICS.iter().flat_map(|metric| metric.traits.iter().map(move |each| (metric, each)));
            let said = said.filter_map(|(metric, each)| match each {
                Trait::Said(word) => {
                    let value = (metric.get)(row)?;
                    Some(format!("{word} {}", units::passing(metric.unit, value)))
                }
                _ => None,
            });
            let said: Vec<String> = said.collect();
            (!said.is_empty()).then(|| format!("step {}: {}", units::count(row.step), said.join(", ")))
        }
        Event::CorpusEvaluated { corpus_loss, corpus_bits_per_byte, corpus_accuracy, secs, .. } => {
            let more = [
                corpus_bits_per_byte
                    .map(|bits| format!(", bits per byte {}", units::value(Unit::BitsPerByte, bits))),
                corpus_accuracy.map(|share| format!(", accuracy {}", units::percent(share))),
            ];
            Some(format!(
                "loss over the whole training corpus: {}{} (took {})",
                units::loss(*corpus_loss),
                more.into_iter().flatten().collect::<String>(),
                units::duration(*secs)
            ))
        }
        Event::Resumed { attempt, step } => {
            Some(format!("resumes after step {}, attempt {attempt}", units::count(*step)))
        }
        Event::Warning { message, .. } => Some(format!("warning: {message}")),
        Event::Finished { message, elapsed_secs, .. } => {
            Some(format!("{message}; took {}", units::duration(*elapsed_secs)))
        }
        // Keys without effect are told once for all runs, by who starts them.
        Event::Started { .. }
        | Event::NoEffect { .. }
        | Event::Sampled { .. }
        | Event::CheckpointSaved { .. } => None,
    }
}

/// The numbers of a step that a person watches.
fn figures(row: &MetricsRow) -> String {
    let shown = METRICS.iter().flat_map(|metric| metric.traits.iter().map(move |each| (metric, each)));
    let shown = shown.filter_map(|(metric, each)| match each {
        Trait::Progress(before, after) => {
            let value = (metric.get)(row).map(|value| units::passing(metric.unit, value));
            Some(format!("{before}{}{after}", value.as_deref().unwrap_or(units::MISSING)))
        }
        _ => None,
    });
    shown.collect::<Vec<String>>().join("  ")
}

/// Elapsed time and the time to the last step.
fn times(row: &MetricsRow, max_steps: u64) -> String {
    let elapsed = row.elapsed_secs.map_or("-".to_owned(), units::duration);
    format!("{elapsed}, ETA {}", eta(row, max_steps))
}

/// Time to the last step if the steps to come are as fast as the ones so far.
fn eta(row: &MetricsRow, max_steps: u64) -> String {
    match (row.elapsed_secs, row.step) {
        (Some(elapsed), 1..) => {
            units::duration(elapsed / row.step as f64 * max_steps.saturating_sub(row.step) as f64)
        }
        _ => "-".to_owned(),
    }
}

struct BarSink {
    place: Place,
    bars: MultiProgress,
    bar: ProgressBar,
}

impl Sink for BarSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        if let (Some(heading), Event::Started { max_steps, .. }) = (heading(self.place, event), event) {
            self.bar = self.bars.add(ProgressBar::new(*max_steps));
            // A test holds the template valid.
            if let Ok(style) = ProgressStyle::with_template(&template(self.place)) {
                self.bar.set_style(style.progress_chars("━╸─"));
            }
            self.bar.println(heading);
        }
        if let Event::Step(row) = event
            && row.step > 0
        {
            self.bar.set_position(row.step);
            self.bar.set_prefix(times(row, self.bar.length().unwrap_or(0)));
            self.bar.set_message(figures(row));
        }
        if let Some(remark) = remark(self.place, event) {
            self.bar.println(remark);
        }
        if matches!(event, Event::Finished { .. }) {
            self.bar.finish_and_clear();
        }
        Ok(())
    }
}

/// Two lines, so that nothing is cut off on a terminal of 80 columns.
fn template(place: Place) -> String {
    let Place { index, count } = place;
    format!(
        "[{index}/{count}] {{wide_bar:.cyan}} {{human_pos}}/{{human_len}}  {{prefix}}\n      {{wide_msg}}"
    )
}

struct LineSink {
    place: Place,
    max_steps: u64,
    last_line: Option<Instant>,
}

impl Sink for LineSink {
    fn on_event(&mut self, event: &Event) -> Result<(), SinkError> {
        if let (Some(heading), Event::Started { max_steps, .. }) = (heading(self.place, event), event) {
            self.max_steps = *max_steps;
            terminal::err(heading);
        }
        if let Event::Step(row) = event
            && row.step > 0
            && self.last_line.is_none_or(|at| at.elapsed() >= LINE_INTERVAL)
        {
            self.last_line = Some(Instant::now());
            let (step, max_steps) = (units::count(row.step), units::count(self.max_steps));
            terminal::err(format_args!(
                "{}step {step}/{max_steps}  {}  {}",
                margin(self.place),
                figures(row),
                times(row, self.max_steps)
            ));
        }
        if let Some(remark) = remark(self.place, event) {
            terminal::err(remark);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_of_the_bar_is_valid() {
        assert!(ProgressStyle::with_template(&template(Place { index: 12, count: 100 })).is_ok());
    }

    #[test]
    fn time_to_the_last_step_follows_from_the_steps_so_far() {
        let row = MetricsRow { step: 100, elapsed_secs: Some(50.0), ..MetricsRow::default() };
        assert_eq!(eta(&row, 300), units::duration(100.0));
        assert_eq!(eta(&MetricsRow::default(), 300), "-");
    }

    #[test]
    fn figures_of_an_unmeasured_step_are_dashes() {
        let row = MetricsRow { step: 1, ..MetricsRow::default() };
        assert_eq!(figures(&row), "loss -  smoothed -  lr -  - tok/s");
        assert_eq!(times(&row, 10), "-, ETA -");
    }

    #[test]
    fn both_lines_fit_into_80_columns_on_a_long_run() {
        let row = MetricsRow {
            step: 999_000,
            train_loss: Some(12.3456),
            train_loss_ema: Some(12.3456),
            learning_rate: Some(1.23e-10),
            tokens_per_sec: Some(123_456.0),
            elapsed_secs: Some(26.0 * 86_400.0),
            ..MetricsRow::default()
        };
        let around_bar = "[12/100]  999,000/1,000,000  ".len() + times(&row, 1_000_000).len();
        assert!(around_bar <= 70, "{around_bar} columns leave no room for the bar");
        assert!("      ".len() + figures(&row).len() <= 80, "{}", figures(&row));
    }
}

use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};

use crate::event::{Event, Memorisation, SampleText};
use crate::metric::MetricsRow;

use super::error::StoreError;
use super::line_at;
use super::manifest::Manifest;
use super::metrics_csv;
use super::run_dir::RunDir;
use crate::facts::Status;
use crate::files::{plain, sha256};

/// Everything that a run left behind, as far as it could be read.
#[derive(Clone, Debug)]
pub struct RunRecord {
    pub dir: RunDir,
    pub manifest: Manifest,
    /// The resolved configuration; empty when `config.toml` is damaged.
    pub config: toml::Table,
    pub config_text: String,
    /// Steps in rising order.
    pub rows: Vec<MetricsRow>,
    /// What was sampled, by step.
    pub samples: Vec<(u64, Vec<SampleText>)>,
    /// How much of that was copied from the training text, by step, where it was measured.
    pub memorisation: Vec<(u64, Memorisation)>,
    /// What the run warned of, by step.
    pub warnings: Vec<(u64, String)>,
    /// What could not be read, with file and line.
    pub damage: Vec<String>,
}

impl RunRecord {
    /// The record as far as the manifest tells it.
    pub fn of_manifest(dir: RunDir, manifest: Manifest) -> Self {
        Self {
            dir,
            manifest,
            config: toml::Table::new(),
            config_text: String::new(),
            rows: Vec::new(),
            samples: Vec::new(),
            memorisation: Vec::new(),
            warnings: Vec::new(),
            damage: Vec::new(),
        }
    }

    /// `experiment/run`: what people call the run, and what `runner report` takes.
    pub fn id(&self) -> String {
        format!("{}/{}", self.manifest.run.experiment, self.manifest.run.name)
    }
}

/// Reads the run directory at `path`. Damaged or missing files other than the manifest are noted in
/// [`RunRecord::damage`] and the rest is used. A run that is still being written can be read.
///
/// # Errors
/// When the manifest is missing, unreadable, or of a newer format version.
pub fn read(path: impl Into<PathBuf>) -> Result<RunRecord, StoreError> {
    let dir = RunDir::open(path);
    let manifest = dir.read_manifest_now()?;
    let running = manifest.status == Status::Running;
    // A run that has just begun, or that ended before its first step, has nothing to record.
    let stepped = manifest.results.as_ref().is_some_and(|results| results.steps > 0);
    let may_lack_files = match manifest.status {
        Status::Queued | Status::Running | Status::Skipped => true,
        Status::Failed | Status::Interrupted => !stepped,
        Status::Finished | Status::Diverged => false,
    };
    let mut damage = Damage::default();

    let config_text = text_of(&dir.config(), false, &mut damage);
    let config = config_text.parse().unwrap_or_else(|error: toml::de::Error| {
        let start = error.span().map_or(0, |span| span.start);
        let line = line_at(config_text.as_bytes(), start);
        damage.note(&dir.config(), line as u64, error.message());
        toml::Table::new()
    });
    let written = manifest.config_sha256.as_ref();
    let is_other = written.is_some_and(|written| *written != sha256(config_text.as_bytes()));
    // What is missing or no TOML has its note already.
    if is_other && !config.is_empty() {
        damage.note(&dir.config(), 0, "not what was written: its SHA-256 is not the one in manifest.toml");
    }
    let metrics = bytes_of(&dir.metrics(), may_lack_files, &mut damage);
    let rows = metrics_csv::parse(&dir.metrics(), &metrics, running, &mut damage);
    note_missing_steps(&dir, &manifest, &rows, &mut damage);
    let log = text_of(&dir.log(), may_lack_files, &mut damage);
    let Log { samples, memorisation, warnings } = parse_log(&dir.log(), &log, running, &mut damage);
    let damage = damage.into_notes();
    Ok(RunRecord { dir, manifest, config, config_text, rows, samples, memorisation, warnings, damage })
}

/// A file that was emptied or cut between two rows looks whole; the manifest knows better.
fn note_missing_steps(dir: &RunDir, manifest: &Manifest, rows: &[MetricsRow], damage: &mut Damage) {
    let Some(results) = &manifest.results else { return };
    let last = rows.last().map_or(0, |row| row.step);
    // A file that is not there has its note already.
    if manifest.status == Status::Running || last == results.steps || !dir.metrics().exists() {
        return;
    }
    let ended = format!("the run ended after step {} according to manifest.toml", results.steps);
    match rows.last() {
        Some(row) => {
            damage.note(&dir.metrics(), 0, format_args!("the last row is of step {}, but {ended}", row.step));
        }
        None => damage.note(&dir.metrics(), 0, format_args!("no rows, but {ended}")),
    }
}

/// What `log.jsonl` has to say beside the steps; the fields are those of [`RunRecord`].
#[derive(Default)]
struct Log {
    samples: Vec<(u64, Vec<SampleText>)>,
    memorisation: Vec<(u64, Memorisation)>,
    warnings: Vec<(u64, String)>,
}

fn parse_log(path: &Path, text: &str, running: bool, damage: &mut Damage) -> Log {
    let mut log = Log::default();
    for (index, line) in text.split_inclusive('\n').enumerate() {
        // Nearly all lines are steps, and these are read from `metrics.csv`. `JsonlSink` writes the event's name first.
        if line.starts_with(r#"{"event":"step","#) && line.ends_with('\n') || line.trim().is_empty() {
            continue;
        }
        let number = index as u64 + 1;
        if !line.ends_with('\n') {
            if !running {
                damage.note(path, number, "half-written line, left out");
            }
            continue;
        }
        match serde_json::from_str(line) {
            Ok(Event::Sampled { step, samples, memorisation }) => {
                // Only a log that had lost lines when the run went on can have a step twice.
                log.samples.retain(|(earlier, _)| *earlier < step);
                log.memorisation.retain(|(earlier, _)| *earlier < step);
                log.samples.push((step, samples));
                log.memorisation.extend(memorisation.map(|memorisation| (step, memorisation)));
            }
            Ok(Event::Warning { step, message }) => log.warnings.push((step, message)),
            Ok(_) => {}
            Err(error) => damage.note(path, number, format_args!("not an event: {error}")),
        }
    }
    log
}

fn text_of(path: &Path, may_be_missing: bool, damage: &mut Damage) -> String {
    let bytes = bytes_of(path, may_be_missing, damage);
    String::from_utf8(bytes).unwrap_or_else(|error| {
        damage.note(path, 0, "not valid UTF-8, wrong bytes are shown as \u{fffd}");
        String::from_utf8_lossy(error.as_bytes()).into_owned()
    })
}

fn bytes_of(path: &Path, may_be_missing: bool, damage: &mut Damage) -> Vec<u8> {
    match plain::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_be_missing => Vec::new(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            damage.note(path, 0, "not there");
            Vec::new()
        }
        Err(error) => {
            damage.note(path, 0, format_args!("cannot be read: {error}"));
            Vec::new()
        }
    }
}

/// Notes of what could not be read. A file that is wrong throughout gives a few notes and a count.
#[derive(Debug, Default)]
pub(super) struct Damage {
    notes: Vec<String>,
    /// File of the latest note, how many notes it has, and how many were not written down.
    file: PathBuf,
    count: u64,
}

impl Damage {
    const NOTES_PER_FILE: u64 = 5;
    /// Characters of one note: it may quote what it is about, and a damaged line has any length.
    const NOTE_LENGTH: usize = 300;

    /// `line` 0 stands for the whole file. Only the file's name is given: the reader knows the directory.
    pub(super) fn note(&mut self, path: &Path, line: u64, what: impl Display) {
        if self.file != path {
            self.close();
            self.file = path.to_owned();
        }
        self.count += 1;
        if self.count <= Self::NOTES_PER_FILE {
            let name = path.file_name().unwrap_or_default().display();
            let line = if line == 0 { String::new() } else { format!(":{line}") };
            let note = format!("{name}{line}: {what}");
            let cut = note.char_indices().nth(Self::NOTE_LENGTH).map(|(cut, _)| cut);
            self.notes.push(cut.map_or_else(|| note.clone(), |cut| format!("{}...", &note[..cut])));
        }
    }

    pub(super) fn into_notes(mut self) -> Vec<String> {
        self.close();
        self.notes
    }

    fn close(&mut self) {
        if self.count > Self::NOTES_PER_FILE {
            let name = self.file.file_name().unwrap_or_default().display();
            let more = self.count - Self::NOTES_PER_FILE;
            self.notes.push(format!("{name}: {more} more like these"));
        }
        self.count = 0;
    }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;

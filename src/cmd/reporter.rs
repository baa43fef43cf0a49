//! Reports and comparisons, written by a process of their own (`runner write-report`): whatever it dies of, want of memory included,
//! the sweep that asked for them ends in order, and its runs have ended as they have.

use std::io::{Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{panic_message, signals};
use crate::error::{Error, Exit};
use crate::launcher::child::this_program;
use crate::launcher::death::{self, Death};
use crate::report::{
    self,
    compare::{LeftOut, Older},
};
use crate::sinks::progress::Screen;
use crate::store::manifest::Manifest;
use crate::store::{RunDir, RunRecord, read, scan};
use crate::terminal;

/// A run to be reported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Ended {
    dir: PathBuf,
    /// As whoever saw the run end knows it: where it could not be written, as on a full disk, that is more than the file says.
    manifest: Manifest,
}

impl Ended {
    pub fn new(dir: &Path, manifest: &Manifest) -> Self {
        Self { dir: dir.to_owned(), manifest: manifest.clone() }
    }

    /// The outcome without what only the files know.
    fn sentence(&self) -> String {
        report::ending::sentence(&RunRecord::of_manifest(RunDir::open(&self.dir), self.manifest.clone()))
    }

    fn read(self) -> Result<RunRecord, Error> {
        let mut record = read(self.dir)?;
        record.manifest = self.manifest;
        Ok(record)
    }
}

/// What the process is asked for.
#[derive(Debug, Serialize, Deserialize)]
enum Task {
    Report(Box<Ended>),
    Compare(Compare),
}

/// Runs to be compared.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Compare {
    /// Those of this call, which the verdicts are about.
    pub ended: Vec<Ended>,
    /// Further ones, for the page alone, which names those that cannot be read.
    pub others: Vec<PathBuf>,
    pub left_out: Vec<LeftOut>,
    /// Where the page is written, if one is wanted.
    pub page: Option<PageOf>,
}

/// What the page of a comparison needs beside the runs that count.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PageOf {
    pub name: String,
    /// The command that makes it again.
    pub again: String,
    pub reports_dir: PathBuf,
    /// Runs that do not count, be they of this call or not.
    pub older: Vec<Older>,
}

/// What became of a report.
#[derive(Debug, Serialize, Deserialize)]
pub struct Reported {
    /// The outcome of the run.
    pub sentence: String,
    /// Where the report is, or why there is none.
    pub report: Result<PathBuf, String>,
}

/// What became of a comparison.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Compared {
    /// On experiments whose runs should have the same losses.
    pub verdicts: Vec<Verdict>,
    /// What the settings are ranked by, in words; empty where they are not.
    #[serde(default)]
    pub outcome: String,
    /// What the comparison says first, for a terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// Where the page is, or why there is none; `None` where none is wanted.
    pub page: Option<Result<PathBuf, String>>,
    /// The best settings, best first.
    #[serde(default)]
    pub best: Vec<Setting>,
}

/// A setting among the best.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Setting {
    pub setting: String,
    pub result: String,
    pub runs: usize,
}

/// How many of the best settings are named.
const BEST: usize = 5;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Verdict {
    pub sentence: String,
    pub holds: bool,
}

/// Writes the report of a run.
pub fn report(run: Ended) -> Reported {
    let sentence = run.sentence();
    ask(&Task::Report(Box::new(run))).unwrap_or_else(|reason| Reported {
        sentence,
        report: Err(format!("the report could not be written: {reason}; `runner report` writes it")),
    })
}

/// Compares runs.
///
/// # Errors
/// Why nothing is known, in words.
pub fn compare(runs: Compare) -> Result<Compared, String> {
    ask(&Task::Compare(runs)).map_err(|reason| {
        format!("the comparison could not be written: {reason}; `runner compare` writes it")
    })
}

fn ask<Answer: DeserializeOwned>(task: &Task) -> Result<Answer, String> {
    let task = toml::to_string(task).map_err(|error| error.to_string())?;
    let no_process = |error: std::io::Error| format!("its process could not be started: {error}");
    let mut command = this_program().map_err(no_process)?;
    command.arg("write-report").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // A Ctrl-C in the terminal is for this process alone.
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let oom_kills = death::oom_kills();
    let mut process = command.spawn().map_err(no_process)?;
    if let Some(mut stdin) = process.stdin.take() {
        // One that has died of something does not read: its end says more.
        let _ = stdin.write_all(task.as_bytes());
    }
    let output = process.wait_with_output().map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    toml::from_str(&text).map_err(|error| {
        if output.status.success() {
            return format!("its process answered what cannot be read: {}", error.message());
        }
        let last_output = death::last_lines_of(&output.stderr);
        let oom_killer = death::oom_kills() > oom_kills;
        Death { status: output.status, last_output: &last_output, oom_killer }.explain().1
    })
}

/// The process: a task on standard input, the answer on standard output.
pub fn run() -> Result<Exit, Error> {
    // Schedulers send their signals to all processes of a job; this one is done in moments, and its report is wanted.
    let _stop = signals::catch(&Screen::default())?;
    let mut task = String::new();
    let heard = std::io::stdin().lock().read_to_string(&mut task);
    let task = heard
        .map_err(|error| error.to_string())
        .and_then(|_| toml::from_str(&task).map_err(|error| error.message().to_owned()));
    let task = task.map_err(|reason| Error::Usage(format!("write-report is `runner`'s own: {reason}")))?;
    let answer = match task {
        Task::Report(run) => toml::to_string(&reported(*run)),
        Task::Compare(runs) => toml::to_string(&compared(runs)),
    };
    terminal::out(answer.map_err(|error| Error::Output(std::io::Error::other(error)))?);
    Ok(Exit::Success)
}

fn reported(run: Ended) -> Reported {
    let mut sentence = run.sentence();
    let report = guarded("the report", || {
        let record = run.read()?;
        sentence = report::ending::sentence(&record);
        Ok(report::run::write(&record)?)
    });
    Reported { sentence, report }
}

fn compared(runs: Compare) -> Compared {
    let Compare { ended, others, mut left_out, page } = runs;
    let mut records = Vec::new();
    for run in ended {
        let name = format!("{}/{}", run.manifest.run.experiment, run.manifest.run.name);
        match run.read() {
            Ok(record) => records.push(record),
            Err(error) => left_out.push(LeftOut { run: name, reason: error.to_string() }),
        }
    }
    let agreements = report::compare::agreements(&records);
    let verdicts = agreements.iter().map(|one| Verdict { sentence: one.sentence(), holds: one.holds() });
    let verdicts = verdicts.collect();
    let page = page.map(|page| {
        for path in others {
            match read(&path) {
                Ok(record) => records.push(record),
                Err(error) => left_out
                    .push(LeftOut { run: scan::id_of(&RunDir::open(&path)), reason: error.to_string() }),
            }
        }
        records.retain(|record| !page.older.iter().any(|older| older.dir == record.dir.path()));
        let PageOf { name, again, reports_dir, older } = page;
        guarded("the comparison", || {
            let path =
                report::compare::write_beside(&name, &records, &left_out, &older, &again, &reports_dir)?;
            report::index::update(&reports_dir)?;
            Ok(path)
        })
    });
    let mut compared = Compared { verdicts, page, ..Compared::default() };
    // A fault there is told by the page.
    if matches!(compared.page, Some(Ok(_))) {
        let best = report::compare::best(&records, BEST);
        compared.outcome = best.first().map_or_else(String::new, |place| place.outcome.to_uppercase());
        let setting = |place: report::compare::Place| {
            let report::compare::Place { setting, result, runs, .. } = place;
            Setting { setting, result, runs }
        };
        compared.best = best.into_iter().map(setting).collect();
        compared.answer =
            Some(report::compare::answer(&records, &left_out)).filter(|answer| !answer.is_empty());
    }
    compared
}

/// An error in words; a panic is one too.
fn guarded(what: &str, write: impl FnOnce() -> Result<PathBuf, Error>) -> Result<PathBuf, String> {
    match catch_unwind(AssertUnwindSafe(write)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => {
            let fault = panic_message(panic.as_ref());
            Err(format!(
                "{what} could not be written, because of a fault of the program: {fault}; please report this"
            ))
        }
    }
}

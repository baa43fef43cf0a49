//! The error that a command ends with, and the exit codes.

use std::path::{Path, PathBuf};

use crate::config::{ConfigError, ConfigErrors};
use crate::data::DataError;
use crate::engine::EngineError;
use crate::export::ExportError;
use crate::files::disk;
use crate::generate::GenerateError;
use crate::launcher::lease::LeaseError;
use crate::launcher::local::WAITS;
use crate::pretrained::{PretrainedError, StartError};
use crate::report::ReportError;
use crate::serve::ServeError;
use crate::store::StoreError;
use crate::store::archive::ArchiveError;
use crate::store::tags::TagError;
use crate::terminal;

/// How the program ends, as scripts see it. `--help` and the README list the codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All runs finished, and each target was met.
    Success,
    /// Something in the program or its files went wrong.
    Internal,
    /// The configuration, the command line or the machine is wrong; nothing was started.
    Usage,
    /// All runs finished, and a target was missed.
    TargetMissed,
    /// A run failed or diverged.
    RunFailed,
    /// Nothing failed and not all is done: stopped by a signal from a scheduler or the system, or another process has the run or
    /// all GPUs. The same command goes on. `EX_TEMPFAIL` of sysexits.h.
    Unfinished,
    /// Stopped by Ctrl-C. A code of its own, since a script that starts again what is unfinished should end here.
    Interrupted,
    /// Said only to the `runner` that started this process: the run has to wait for another process.
    Waits,
}

impl Exit {
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::TargetMissed => 3,
            Self::RunFailed => 4,
            Self::Unfinished => 75,
            Self::Interrupted => 130,
            Self::Waits => WAITS,
        }
    }
}

/// A command could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Key(#[from] ConfigError),
    /// Corpora are unusable, found before anything was started. The first gets its heading from [`Error::print`].
    #[error("{}\nNothing was started.", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\nerror: "))]
    Corpora(Vec<CorpusProblem>),
    /// A device is not there, found before anything was started.
    #[error("experiment {experiment}: {source}\nNothing was started.")]
    Device { experiment: String, source: EngineError },
    /// `train.init_from` cannot be begun from, found before anything was started.
    #[error(
        "experiment {experiment}: train.init_from: {}\n  = note: {origin}\nNothing was started.",
        said_of(path, source)
    )]
    InitFrom { experiment: String, path: PathBuf, source: Box<StartError>, origin: String },
    #[error(
        "cannot make the folder {}: {}, or choose another with --reports-dir\nNothing was started.",
        path.display(), disk::no_folder(path, source)
    )]
    ReportsDir { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error(transparent)]
    Lease(#[from] LeaseError),
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    #[error(transparent)]
    Generate(#[from] GenerateError),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error(transparent)]
    Tag(#[from] TagError),
    #[error("{0}")]
    Usage(String),
    #[error("standard output cannot be written: {0}; the text is incomplete")]
    Output(std::io::Error),
    #[error("cannot catch signals: {0}")]
    Signal(std::io::Error),
}

/// What is wrong with what lies at a path, which is named once.
fn said_of(path: &Path, source: &StartError) -> String {
    let (path, said) = (path.display().to_string(), source.to_string());
    if said.contains(&path) { said } else { format!("{path}: {said}") }
}

/// What is wrong with the corpus of an experiment.
#[derive(Debug, thiserror::Error)]
#[error("experiment {experiment}: {source}\n  = note: {origin}")]
pub struct CorpusProblem {
    pub experiment: String,
    pub source: Box<DataError>,
    /// Where the value comes from that does not fit: "`data.path` is "my.txt" (experiments/a.toml:12)".
    pub origin: String,
}

impl Error {
    /// Prints the error to standard error. Configuration problems are blocks of their own, each with its heading.
    pub fn print(&self) {
        match self {
            Self::Config(_) | Self::Key(_) => terminal::err(self),
            _ => terminal::err(format_args!("error: {self}")),
        }
    }

    pub fn exit(&self) -> Exit {
        match self {
            Self::Config(_)
            | Self::Key(_)
            | Self::Corpora(_)
            | Self::Device { .. }
            | Self::InitFrom { .. }
            | Self::ReportsDir { .. }
            | Self::Usage(_)
            | Self::Report(ReportError::BadName { .. }) => Exit::Usage,
            // The directory or the run that the command line names is unusable.
            Self::Store(
                StoreError::CreateRun { .. } | StoreError::UnknownRun { .. } | StoreError::NoManifest { .. },
            )
            | Self::Archive(ArchiveError::Store(StoreError::CreateRun { .. })) => Exit::Usage,
            Self::Store(StoreError::Locked { .. }) => Exit::Unfinished,
            // Another model or another prompt has to be given.
            Self::Pretrained(_)
            | Self::Generate(GenerateError::UnknownChars { .. } | GenerateError::Settings { .. }) => {
                Exit::Usage
            }
            Self::Generate(error) if error.is_of_the_model() => Exit::Usage,
            Self::Export(error) if error.is_of_the_model() => Exit::Usage,
            Self::Serve(ServeError::PortInUse { .. } | ServeError::Listen { .. }) => Exit::Usage,
            // Another place has to be named, or another archive.
            Self::Export(ExportError::NotEmpty { .. } | ExportError::NotAFolder { .. })
            | Self::Archive(
                ArchiveError::OutExists { .. }
                | ArchiveError::Bad { .. }
                | ArchiveError::Unsafe { .. }
                | ArchiveError::OtherRun { .. },
            ) => Exit::Usage,
            Self::Generate(_) | Self::Serve(_) | Self::Export(_) | Self::Archive(_) => Exit::Internal,
            Self::Tag(TagError::Store(_)) => Exit::Internal,
            Self::Tag(_) => Exit::Usage,
            Self::Lease(LeaseError::Taken { .. }) => Exit::Unfinished,
            Self::Lease(_) => Exit::Internal,
            Self::Store(_) | Self::Report(_) | Self::Output(_) | Self::Signal(_) => Exit::Internal,
        }
    }
}

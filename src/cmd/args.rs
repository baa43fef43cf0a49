//! Arguments that several commands have.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::error::Error;
use crate::files::{disk, home};

/// Reads paths, with `~` and `$HOME` at their head: a shell leaves those of `--runs-dir=~/runs` as they are.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| home::expand(Path::new(&text)).map(|path| path.into_owned()))
}

/// Where runs and comparisons lie.
#[derive(Clone, Debug, Args)]
pub struct Folders {
    /// Folder of the run directories.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = path())]
    pub runs_dir: PathBuf,
    /// Folder of the comparisons and their index.
    #[arg(long, value_name = "DIR", default_value = "reports", value_parser = path())]
    pub reports_dir: PathBuf,
}

impl Folders {
    /// Looks whether something lies in the place of the folder of runs; that it is not there yet is nothing wrong.
    pub fn check_runs_dir(&self) -> Result<(), Error> {
        match disk::in_the_way(&self.runs_dir) {
            Some(obstacle) => {
                Err(Error::Usage(format!("no runs: {obstacle}, or choose another folder with --runs-dir")))
            }
            None => Ok(()),
        }
    }

    /// Makes the folder of the comparisons, before hours are spent on what would have no place in it.
    pub fn make_reports_dir(&self) -> Result<(), Error> {
        let path = &self.reports_dir;
        std::fs::create_dir_all(path).map_err(|source| Error::ReportsDir { path: path.clone(), source })
    }
}

/// Which experiments to expand, and what to change in them.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Experiment files.
    #[arg(value_name = "FILE", value_parser = path())]
    pub files: Vec<PathBuf>,
    /// Set a key in every experiment; overrides what the files set. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take only experiments or runs of this name; `*` stands for anything. Repeatable.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

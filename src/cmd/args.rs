//! Arguments that several commands have.

use std::path::PathBuf;

use clap::Args;

/// Where runs and comparisons lie.
#[derive(Clone, Debug, Args)]
pub struct Folders {
    /// Folder of the run directories.
    #[arg(long, value_name = "DIR", default_value = "runs")]
    pub runs_dir: PathBuf,
    /// Folder of the comparisons and their index.
    #[arg(long, value_name = "DIR", default_value = "reports")]
    pub reports_dir: PathBuf,
}

/// Which experiments to expand, and what to change in them.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Experiment files.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Set a key in every experiment; overrides what the files set. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take only experiments or runs of this name; `*` stands for anything. Repeatable.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

//! `runner report [RUN...]`: writes reports again from the runs' files.

use std::path::PathBuf;

use rayon::prelude::*;

use super::args::Folders;
use crate::error::{Error, Exit};
use crate::report;
use crate::store::read;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs: a run's directory, `experiment/run`, or an experiment. Default: all runs.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    folders: Folders,
}

/// Runs that are reported side by side.
const AT_ONCE: usize = 32;

pub fn run(args: Args) -> Result<Exit, Error> {
    let paths = super::resolve(&args.folders, &args.runs)?;
    if paths.is_empty() {
        terminal::out(format_args!("no runs in {}", args.folders.runs_dir.display()));
    }
    let mut exit = Exit::Success;
    // A number at a time, so that reports are named as they come and in order.
    for paths in paths.chunks(AT_ONCE) {
        let written: Vec<Result<PathBuf, Error>> = paths
            .par_iter()
            .map(|path| read(path).map_err(Error::from).and_then(|record| Ok(report::run::write(&record)?)))
            .collect();
        for report in written {
            match report {
                Ok(report) => terminal::out(report.display()),
                // One broken run must not keep the others from being reported.
                Err(error) => {
                    terminal::err(format_args!("error: {error}"));
                    exit = Exit::Internal;
                }
            }
        }
    }
    Ok(exit)
}

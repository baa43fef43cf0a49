//! `runner report [RUN...]`: writes reports again from the runs' files.

use crate::cli::Folders;
use crate::error::{Error, Exit};
use crate::report;
use crate::store::read;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs: a run's directory, `experiment/run`, or an experiment. All runs without one.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    folders: Folders,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let paths = super::resolve(&args.folders, &args.runs)?;
    if paths.is_empty() {
        terminal::out(format_args!("no runs in {}", args.folders.runs_dir.display()));
    }
    let mut exit = Exit::Success;
    for path in paths {
        match read(&path).map_err(Error::from).and_then(|record| Ok(report::run::write(&record)?)) {
            Ok(report) => println!("{}", report.display()),
            // One broken run must not keep the others from being reported.
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                exit = Exit::Internal;
            }
        }
    }
    Ok(exit)
}

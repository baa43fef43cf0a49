//! `runner compare RUN RUN...`: a comparison from the runs' files.

use super::args::Folders;
use crate::error::{Error, Exit};
use crate::report;
use crate::report::compare::{LeftOut, checked_name, name_for};
use crate::store::{RunRecord, read};
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs: a run's directory, `experiment/run`, or an experiment (all its runs).
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Name of the comparison, of letters, digits, `.`, `_` and `-`. Default: made from its experiments.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    #[command(flatten)]
    folders: Folders,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    // Before anything is read: reading many runs takes its time.
    let name = args.name.as_deref().map(checked_name).transpose()?;
    let mut records: Vec<RunRecord> = Vec::new();
    let mut left_out = Vec::new();
    for path in super::resolve(&args.folders, &args.runs)? {
        match read(&path) {
            Ok(record) => records.push(record),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                left_out.push(LeftOut { run: path.display().to_string(), reason: error.to_string() });
            }
        }
    }
    if records.len() < 2 {
        let found = records.len();
        return Err(Error::Usage(format!(
            "a comparison needs at least two readable runs, found {found}; `runner ls` lists the runs there are"
        )));
    }
    let experiments: Vec<&str> =
        records.iter().map(|record| record.manifest.run.experiment.as_str()).collect();
    let name = name.unwrap_or_else(|| name_for(&experiments));
    let path = report::compare::write(&name, &records, &left_out, &args.folders.reports_dir)?;
    report::index::update(&args.folders.reports_dir)?;
    let agreements = report::compare::agreements(&records);
    for agreement in &agreements {
        terminal::out(agreement.sentence());
    }
    terminal::out(format_args!("{}", path.display()));
    Ok(if agreements.iter().any(|agreement| !agreement.holds()) {
        Exit::RunFailed
    } else if !left_out.is_empty() {
        Exit::Internal
    } else {
        Exit::Success
    })
}

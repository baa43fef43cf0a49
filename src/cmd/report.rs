//! `runner report [RUN...]`: writes reports again from the runs' files.

use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::args::Folders;
use super::listing::{Read, fields};
use crate::error::{Error, Exit};
use crate::report;
use crate::store::read;
use crate::terminal;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Runs: a run's directory, `experiment/run`, or an experiment. Default: all runs.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    /// Print a JSON array with an object for each run: the fields of `runner ls --json`, the sentence on its outcome, and the path of
    /// its report, or the error that kept it from being written.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    folders: Folders,
}

/// Runs that are reported side by side.
const AT_ONCE: usize = 32;

pub fn run(args: Args) -> Result<Exit, Error> {
    let paths = super::resolve(&args.folders, &args.runs)?;
    if paths.is_empty() && !args.json {
        terminal::out(format_args!("no runs in {}", args.folders.runs_dir.display()));
    }
    let mut exit = Exit::Success;
    let mut objects = Vec::new();
    // A number at a time, so that reports are named as they come and in order.
    for paths in paths.chunks(AT_ONCE) {
        let written: Vec<(Value, Result<PathBuf, Error>)> =
            paths.par_iter().map(|path| write(path, args.json)).collect();
        for (about, report) in written {
            objects.push(object(about, &report));
            match report {
                Ok(_) if args.json => {}
                Ok(report) => terminal::out(report.display()),
                // One broken run must not keep the others from being reported.
                Err(error) => {
                    terminal::err(format_args!("error: {error}"));
                    exit = Exit::Internal;
                }
            }
        }
    }
    if args.json {
        terminal::out(format_args!("{:#}", Value::Array(objects)));
    }
    Ok(exit)
}

/// The report's path, and where it is asked for what is known of the run.
fn write(path: &Path, json: bool) -> (Value, Result<PathBuf, Error>) {
    let record = match read(path) {
        Ok(record) => record,
        Err(error) => return (json!({ "path": path }), Err(error.into())),
    };
    let report = report::run::write(&record).map_err(Error::from);
    let mut about = Value::Null;
    if json {
        let mut known = fields::object(&Read::of_record(&record));
        known.insert("path".to_owned(), json!(path));
        known.insert("sentence".to_owned(), json!(report::ending::sentence(&record)));
        about = Value::Object(known);
    }
    (about, report)
}

fn object(mut about: Value, report: &Result<PathBuf, Error>) -> Value {
    if let Value::Object(known) = &mut about {
        match report {
            Ok(path) => known.insert("report".to_owned(), json!(path)),
            Err(error) => known.insert("error".to_owned(), json!(error.to_string())),
        };
    }
    about
}

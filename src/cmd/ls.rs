//! `runner ls`: the runs, their status, best loss and age.

use jiff::Timestamp;

use super::columns;
use crate::cli::Folders;
use crate::error::{Error, Exit};
use crate::report::ending::Ending;
use crate::store::manifest::Manifest;
use crate::store::scan::scan;
use crate::terminal;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    folders: Folders,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let runs_dir = &args.folders.runs_dir;
    let found = scan(runs_dir);
    if found.is_empty() {
        terminal::out(format_args!(
            "no runs in {}; `runner experiments/quickstart.toml` makes one",
            runs_dir.display()
        ));
        return Ok(Exit::Success);
    }
    let now = Timestamp::now();
    let mut rows = vec![["RUN", "STATUS", "STEPS", "BEST LOSS", "BEST VAL", "AGE"].map(str::to_owned)];
    let mut exit = Exit::Success;
    for (path, manifest) in &found {
        let name = path.strip_prefix(runs_dir).unwrap_or(path).display().to_string();
        match manifest {
            Ok(manifest) => rows.push(row(name, manifest, now)),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                rows.push([&name, "unreadable", "-", "-", "-", "-"].map(str::to_owned));
                exit = Exit::Internal;
            }
        }
    }
    terminal::out(columns(&rows));
    Ok(exit)
}

fn row(name: String, manifest: &Manifest, now: Timestamp) -> [String; 6] {
    let dash = || "-".to_owned();
    let results = manifest.results.as_ref();
    let loss = |value: Option<f64>| value.map_or_else(dash, units::loss);
    let since = manifest.finished_at.unwrap_or(manifest.started_at);
    let age_secs = now.duration_since(since).as_secs_f64().max(0.0);
    [
        name,
        Ending::of(manifest).word().to_owned(),
        results.map_or_else(dash, |results| units::count(results.steps)),
        loss(results.and_then(|results| results.best_train_loss)),
        loss(results.and_then(|results| results.best_val_loss)),
        units::duration(age_secs),
    ]
}

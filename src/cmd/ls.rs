//! `runner ls`: the runs, their status, best loss, age and attempts.

use jiff::Timestamp;

use super::args::Folders;
use super::columns;
use crate::error::{Error, Exit};
use crate::report::ending::outcome;
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
        args.folders.check_runs_dir()?;
        terminal::out(format_args!(
            "no runs in {}; `runner experiments/quickstart.toml` makes one",
            runs_dir.display()
        ));
        return Ok(Exit::Success);
    }
    let now = Timestamp::now();
    // Without a heading and numbers the last column is not there.
    let several = found.iter().any(|(_, run)| run.as_ref().is_ok_and(|run| run.attempts.len() > 1));
    let attempts = if several { "ATTEMPTS" } else { "" };
    let heading = ["RUN", "STATUS", "STEPS", "BEST LOSS", "BEST VAL", "AGE", attempts];
    let mut rows = vec![heading.map(str::to_owned)];
    let mut exit = Exit::Success;
    for (path, manifest) in &found {
        let name = path.strip_prefix(runs_dir).unwrap_or(path).display().to_string();
        match manifest {
            Ok(manifest) => rows.push(row(name, manifest, now, several)),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                let attempts = if several { "-" } else { "" };
                rows.push([&name, "unreadable", "-", "-", "-", "-", attempts].map(str::to_owned));
                exit = Exit::Internal;
            }
        }
    }
    terminal::out(columns(&rows));
    Ok(exit)
}

fn row(name: String, manifest: &Manifest, now: Timestamp, shows_attempts: bool) -> [String; 7] {
    let dash = || "-".to_owned();
    let results = manifest.results.as_ref();
    let loss = |value: Option<f64>| value.map_or_else(dash, units::loss);
    let since = manifest.finished_at.unwrap_or(manifest.started_at);
    let age_secs = now.duration_since(since).as_secs_f64().max(0.0);
    [
        name,
        outcome(manifest),
        results.map_or_else(dash, |results| units::count(results.steps)),
        loss(results.and_then(|results| results.best_train_loss)),
        loss(results.and_then(|results| results.best_val_loss)),
        units::duration(age_secs),
        match manifest.attempts.len() {
            _ if !shows_attempts => String::new(),
            0 => dash(),
            attempts => attempts.to_string(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{HostInfo, Status, StopReason};
    use crate::store::fixture;

    #[test]
    fn failures_have_their_class_and_attempts_their_column_only_where_there_are_several() {
        let mut manifest = fixture::manifest("rates", "seed=1");
        manifest.begin_attempt(0, 1, HostInfo::default());
        manifest.begin_attempt(20, 2, HostInfo::default());
        manifest.end(Status::Failed, StopReason::DiskFull, "no room".to_owned());
        let now = manifest.finished_at.unwrap();
        let cells = |manifest: &Manifest, shows| row("rates/seed=1".to_owned(), manifest, now, shows);
        let expected = ["rates/seed=1", "failed: disk_full", "-", "-", "-", "0 s", "2"];
        assert_eq!(cells(&manifest, true), expected);
        assert_eq!(cells(&manifest, false)[6], "");
        (manifest.status, manifest.stop_reason) = (Status::Interrupted, Some(StopReason::Killed));
        assert_eq!(cells(&manifest, true)[1], "interrupted (killed)");
    }
}

//! `runner ls`: the runs, how they stand, their losses, speed and age.

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::args::Folders;
use super::listing::fields::{self, Found};
use super::listing::{Filter, Listed, Read, gather, table};
use crate::error::{Error, Exit};
use crate::metric::Unit;
use crate::report::ending::{Ending, outcome};
use crate::store::scan;
use crate::terminal;
use crate::units;

#[derive(Debug, clap::Args)]
#[command(after_long_help = JSON_HELP)]
pub struct Args {
    /// Runs or experiments, by name or path; all runs when none is given.
    #[arg(value_name = "RUN")]
    runs: Vec<String>,
    #[command(flatten)]
    filter: Filter,
    /// Order by a metric, an outcome or a key: val_loss, best_val_loss, elapsed_secs, optimizer.learning_rate. The lowest first; with a
    /// minus before it (`--sort -val_loss`) the highest. Runs without it come last.
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    sort: Option<String>,
    /// The other way round; runs without what is sorted by still come last.
    #[arg(short, long)]
    reverse: bool,
    /// Also show a metric, an outcome or a key. Repeatable, or with commas.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    show: Vec<String>,
    /// Print a JSON array with an object for each run.
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print a table for other programs: the fields of --json, and a column for each key that was swept.
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    folders: Folders,
}

const JSON_HELP: &str = "\
Fields of --json and --csv, null or empty where something is not known:
  experiment, run, path, status, stop_reason, tags, checkpoint_tags (name@step), seed,
  step (steps done), max_steps, tokens,
  initial_train_loss, train_loss, train_loss_ema, best_train_loss, val_loss, best_val_loss,
  corpus_loss (nats per token; of the first, the newest or the best row, or the whole corpus),
  train_bits_per_byte, val_bits_per_byte, best_val_bits_per_byte, corpus_bits_per_byte,
  train_accuracy, val_accuracy, best_val_accuracy, corpus_accuracy (shares of next tokens),
  steps_to_target, tokens_per_sec, step_secs, elapsed_secs, peak_memory_bytes, parameters, attempts,
  started_at, finished_at (RFC 3339), point (what a sweep set), error (why it cannot be read)
Losses and rate of runs that train, were killed or failed are those of their newest rows.";

pub fn run(args: Args) -> Result<Exit, Error> {
    let (sort, falls) = match args.sort.as_deref() {
        Some(sort) => (Some(sort.strip_prefix('-').unwrap_or(sort)), sort.starts_with('-')),
        None => (None, false),
    };
    let further: Vec<&str> = sort.into_iter().chain(args.show.iter().map(String::as_str)).collect();
    let mut found = gather(&args.folders, &args.runs, &args.filter, &further)?;
    order(&mut found, sort, falls != args.reverse);
    if args.json {
        let runs: Vec<Value> = found.iter().map(object).collect();
        terminal::out(format_args!("{:#}", Value::Array(runs)));
    } else if args.csv {
        terminal::out(csv_text(&found)?.trim_end());
    } else if found.is_empty() {
        let there = scan::paths(&args.folders.runs_dir).len();
        terminal::out(match there {
            0 => format!(
                "no runs in {}; `runner experiments/quickstart.toml` makes one",
                args.folders.runs_dir.display()
            ),
            _ => format!(
                "none of the {} in {} fits",
                units::counted(there as u64, "run"),
                args.folders.runs_dir.display()
            ),
        });
    } else {
        terminal::out(lines(&found, &further, Timestamp::now()));
    }
    let mut exit = Exit::Success;
    for error in found.iter().filter_map(|run| run.run.as_ref().err()) {
        terminal::err(format_args!("error: {error}"));
        exit = Exit::Internal;
    }
    Ok(exit)
}

fn order(found: &mut [Listed], sort: Option<&str>, falls: bool) {
    let Some(name) = sort else {
        if falls {
            found.reverse();
        }
        return;
    };
    let value = |run: &Listed| run.run.as_ref().ok().and_then(|run| fields::find(run, name));
    found.sort_by_cached_key(|run| Rank { value: value(run), falls });
}

/// What is not known comes last, whichever way round.
#[derive(PartialEq)]
struct Rank {
    value: Option<Found>,
    falls: bool,
}

impl Eq for Rank {}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        let rising = match (&self.value, &other.value) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(Found::Number(a, _)), Some(Found::Number(b, _))) => a.total_cmp(b),
            (Some(Found::Number(..)), Some(Found::Text(_))) => Ordering::Less,
            (Some(Found::Text(_)), Some(Found::Number(..))) => Ordering::Greater,
            (Some(Found::Text(a)), Some(Found::Text(b))) => a.cmp(b),
        };
        if self.falls { rising.reverse() } else { rising }
    }
}

/// The columns that every list has, by the names of their fields.
const SHOWN: [&str; 5] = ["train_loss", "val_loss", "best_val_loss", "tokens_per_sec", "step"];

fn lines(found: &[Listed], further: &[&str], now: Timestamp) -> String {
    // Without numbers the last columns are not there.
    let runs = || found.iter().filter_map(|run| run.run.as_ref().ok());
    let several = runs().any(|run| run.manifest.attempts.len() > 1);
    let mut further: Vec<&str> = further.iter().copied().filter(|name| !SHOWN.contains(name)).collect();
    further.dedup();
    let headings: Vec<String> = further.iter().map(|name| format!(" {}", name.to_uppercase())).collect();
    let mut heading = vec!["RUN", "STATUS", " STEP", " LOSS", " VAL LOSS", " BEST VAL", " TOKENS/S", "AGE"];
    let tagged = runs().any(|run| !run.tags.is_empty());
    heading.extend(several.then_some(" ATTEMPTS"));
    heading.extend(tagged.then_some("TAGS"));
    heading.extend(headings.iter().map(String::as_str));
    let row = |listed: &Listed| match &listed.run {
        Ok(run) => {
            let mut cells = row(&listed.name, run, now);
            cells.extend(several.then(|| match run.manifest.attempts.len() {
                0 => units::MISSING.to_owned(),
                attempts => attempts.to_string(),
            }));
            let tags = run.tags.iter().map(|(name, step)| format!("{name}@{step}")).collect::<Vec<_>>();
            cells.extend(tagged.then(|| tags.join(" ")));
            cells.extend(further.iter().map(|name| {
                fields::find(run, name).map_or_else(|| units::MISSING.to_owned(), |found| found.shown())
            }));
            cells
        }
        Err(_) => {
            let known = [listed.name.clone(), "unreadable".to_owned()];
            known.into_iter().chain((2..heading.len()).map(|_| units::MISSING.to_owned())).collect()
        }
    };
    table(&heading, &found.iter().map(row).collect::<Vec<_>>())
}

fn row(name: &str, run: &Read, now: Timestamp) -> Vec<String> {
    let Read { manifest, summary, .. } = run;
    let since = manifest.finished_at.unwrap_or(manifest.started_at);
    let age_secs = now.duration_since(since).as_secs_f64().max(0.0);
    let steps = summary.steps.map_or_else(|| units::MISSING.to_owned(), units::count);
    let loss = |loss: Option<f64>| units::optional(Unit::Nats, loss);
    vec![
        name.to_owned(),
        outcome(manifest),
        match summary.steps {
            Some(_) if !Ending::of(manifest).is_planned() => {
                format!("{steps}/{}", units::count(manifest.run.max_steps))
            }
            _ => steps,
        },
        loss(summary.final_train_loss),
        loss(summary.final_val_loss),
        loss(summary.best_val_loss.filter(|_| run.whole)),
        summary.tokens_per_sec.map_or_else(|| units::MISSING.to_owned(), units::si),
        units::duration(age_secs),
    ]
}

fn object(listed: &Listed) -> Value {
    let mut object = Map::new();
    match &listed.run {
        Ok(run) => {
            object = fields::object(run);
        }
        Err(error) => {
            let parts = listed.name.rsplit_once('/');
            object.insert("experiment".to_owned(), json!(parts.map(|(experiment, _)| experiment)));
            object.insert("run".to_owned(), json!(parts.map_or(listed.name.as_str(), |(_, run)| run)));
            object.insert("status".to_owned(), json!("unreadable"));
            object.insert("error".to_owned(), json!(error.to_string()));
        }
    }
    object.insert("path".to_owned(), json!(listed.path));
    Value::Object(object)
}

fn csv_text(found: &[Listed]) -> Result<String, Error> {
    let mut swept: Vec<&str> = Vec::new();
    for key in
        found.iter().filter_map(|run| run.run.as_ref().ok()).flat_map(|run| run.manifest.run.point.keys())
    {
        if !swept.contains(&key.as_str()) {
            swept.push(key);
        }
    }
    let names: Vec<&str> = fields::names().chain(["path", "error"]).collect();
    let plain = |value: Option<&Value>| match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        Some(other) => other.to_string(),
    };
    let mut writer = csv::Writer::from_writer(Vec::new());
    let failed = |error: csv::Error| Error::Output(std::io::Error::other(error));
    writer.write_record(names.iter().chain(&swept)).map_err(failed)?;
    for run in found {
        let object = object(run);
        let point = object.get("point");
        let cells = names.iter().map(|name| plain(object.get(name)));
        let settings = swept.iter().map(|key| plain(point.and_then(|point| point.get(key))));
        writer.write_record(cells.chain(settings)).map_err(failed)?;
    }
    let bytes =
        writer.into_inner().map_err(|error| Error::Output(std::io::Error::other(error.to_string())))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{HostInfo, Status, StopReason};
    use crate::store::{RunDir, fixture, manifest::Manifest};

    fn listed(manifest: Manifest) -> Listed {
        let record = crate::store::RunRecord::of_manifest(RunDir::open("nowhere"), manifest);
        let summary = crate::report::summary::Summary::of(&record);
        let run = Read {
            manifest: record.manifest,
            summary,
            whole: true,
            tags: Vec::new(),
            newest: None,
            config: Vec::new(),
        };
        Listed { path: "runs/rates/seed=1".into(), name: "rates/seed=1".to_owned(), run: Ok(run) }
    }

    fn failed() -> Manifest {
        let mut manifest = fixture::manifest("rates", "seed=1");
        manifest.begin_attempt(0, 1, HostInfo::default());
        manifest.begin_attempt(20, 2, HostInfo::default());
        manifest.end(Status::Failed, StopReason::DiskFull, "no room".to_owned());
        manifest
    }

    #[test]
    fn failures_have_their_class_and_attempts_their_column_only_where_there_are_several() {
        let mut manifest = failed();
        let now = manifest.finished_at.unwrap();
        let text = lines(&[listed(manifest.clone())], &[], now);
        assert!(
            text.contains("failed: disk_full") && text.contains("ATTEMPTS") && text.ends_with('2'),
            "{text}"
        );
        (manifest.status, manifest.stop_reason) = (Status::Interrupted, Some(StopReason::Killed));
        manifest.attempts.truncate(1);
        let text = lines(&[listed(manifest)], &[], now);
        assert!(text.contains("interrupted (killed)") && !text.contains("ATTEMPTS"), "{text}");
    }

    #[test]
    fn what_is_sorted_by_is_shown_and_what_is_missing_comes_last() {
        let with = |name: &str, parameters: Option<u64>| {
            let mut manifest = fixture::manifest("rates", name);
            manifest.run.seed = parameters.unwrap_or(0);
            let mut one = listed(manifest);
            one.name = name.to_owned();
            if let Ok(run) = &mut one.run {
                run.summary.figures.final_val_loss = parameters.map(|number| number as f64);
            }
            one
        };
        let mut runs = [with("none", None), with("two", Some(2)), with("ten", Some(10))];
        for (falls, expected) in [(false, ["two", "ten", "none"]), (true, ["ten", "two", "none"])] {
            order(&mut runs, Some("val_loss"), falls);
            assert_eq!(runs.each_ref().map(|run| run.name.as_str()), expected);
        }
        let text = lines(&runs, &["val_loss", "seed"], Timestamp::now());
        assert!(text.lines().next().unwrap().ends_with("SEED"), "{text}");
        assert_eq!(text.matches("VAL LOSS").count(), 1);
    }

    #[test]
    fn every_field_is_documented() {
        for name in fields::names() {
            assert!(JSON_HELP.contains(name), "{name}");
        }
        let object = object(&listed(failed()));
        assert_eq!((&object["status"], &object["stop_reason"]), (&json!("failed"), &json!("disk_full")));
        assert_eq!(object["val_loss"], Value::Null);
    }
}

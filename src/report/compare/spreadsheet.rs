//! The comparison as a table for other tools: one row per run, in full precision.

use std::io;
use std::path::Path;

use crate::files::{atomic, plain};
use crate::metric::Unit;
use crate::report::ReportError;
use crate::report::summary::{OUTCOMES, Outcome, TO_TARGET};

use super::view::View;

/// The columns that every such table begins with; a file that does not is somebody else's.
const FIRST: [&str; 7] = ["experiment", "run", "setting", "place", "seed", "outcome", "counts"];

/// Whether `path` is free, or holds such a table.
///
/// # Errors
/// [`ReportError::NotOurs`] for another file, [`ReportError::Write`] for what is no file.
pub fn check(path: &Path) -> Result<(), ReportError> {
    match plain::read(path) {
        Ok(old) if !old.starts_with(FIRST.join(",").as_bytes()) => {
            Err(ReportError::NotOurs { path: path.to_owned() })
        }
        Err(source) if plain::not_plain(&source).is_some() => {
            Err(ReportError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Writes a row for every run: the settings from the best to the worst, each with its changed keys and all outcomes. What was not
/// measured is empty.
pub fn write(view: &View, path: &Path) -> Result<(), ReportError> {
    let error = |source: io::Error| ReportError::Write { path: path.to_owned(), source };
    let bytes = table(view).map_err(|problem| error(io::Error::other(problem)))?;
    atomic::write_remade(path, &bytes).map_err(error)
}

fn table(view: &View) -> Result<Vec<u8>, csv::Error> {
    let outcomes: Vec<&Outcome> = OUTCOMES.iter().chain(TO_TARGET).collect();
    let mut table = csv::Writer::from_writer(Vec::new());
    let names = outcomes.iter().map(|outcome| column(outcome));
    let first = FIRST.iter().map(|name| (*name).to_owned());
    table.write_record(first.chain(view.comparison.keys.iter().cloned()).chain(names))?;
    for (index, group) in view.sorted().into_iter().enumerate() {
        let place = if index < view.places.len() { (index + 1).to_string() } else { String::new() };
        for run in &group.runs {
            let counts = run.ending.is_planned() && run.counted_as.is_none();
            let first = [
                group.experiment.clone(),
                run.record.dir.name(),
                group.label.clone(),
                place.clone(),
                run.record.manifest.run.seed.to_string(),
                run.outcome.clone(),
                counts.to_string(),
            ];
            let values = outcomes.iter().map(|outcome| {
                (outcome.get)(&run.summary).map_or_else(String::new, |value| value.to_string())
            });
            table.write_record(first.into_iter().chain(group.values.iter().cloned()).chain(values))?;
        }
    }
    table.into_inner().map_err(|error| error.into_error().into())
}

/// `val_loss_best`, `time_secs`.
fn column(outcome: &Outcome) -> String {
    let words = outcome.label.to_lowercase();
    let words: Vec<&str> =
        words.split(|c: char| !c.is_ascii_alphanumeric()).filter(|w| !w.is_empty()).collect();
    let unit = match outcome.unit {
        Unit::Secs => "_secs",
        Unit::Bytes => "_bytes",
        Unit::TokensPerSec => "_tokens_per_sec",
        _ => "",
    };
    words.join("_") + unit
}

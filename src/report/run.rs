//! The report of one run: `report.md` with its plots, in the run's directory.

mod attempts;
mod card;
mod failure;
mod figures;
mod memorisation;
mod reference;
mod results;
mod setup;
mod time;
mod words;

use std::path::PathBuf;

use crate::files::atomic;
use crate::store::RunRecord;

use super::summary::Summary;
use super::{ReportError, changes, notes};
use figures::{FIGURES, Figure};

pub use card::card;

/// What every section is written from.
struct Page<'a> {
    record: &'a RunRecord,
    summary: Summary,
    figures: Vec<Figure>,
}

/// The sections of a report in order. One that has nothing to say gives an empty text and is left out.
const SECTIONS: &[fn(&Page) -> String] = &[
    words::head,
    |page| notes::of_run(page.record),
    failure::section,
    setup::what_was_run,
    |page| changes::since(&page.record.manifest),
    results::key_numbers,
    attempts::section,
    reference::comparison,
    figures::show,
    time::where_it_went,
    words::samples,
    memorisation::section,
    words::warnings,
    words::configuration,
    words::reproduce,
    words::damage,
];

/// Writes `report.md` and the plots into the run's directory, and returns the report's path. The same record gives the
/// same bytes.
///
/// # Errors
/// When a file cannot be written.
pub fn write(record: &RunRecord) -> Result<PathBuf, ReportError> {
    let figures = figures::draw(record, FIGURES, &record.dir.plots())?;
    let path = record.dir.report();
    let text = render(record, figures);
    atomic::write_remade(&path, text.as_bytes())
        .map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn render(record: &RunRecord, figures: Vec<Figure>) -> String {
    let page = Page { record, summary: Summary::of(record), figures };
    let sections: Vec<String> = SECTIONS
        .iter()
        .map(|section| section(&page).trim_end().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    sections.join("\n\n") + "\n"
}

#[cfg(test)]
mod tests;

//! The comparison of runs: `reports/<name>.md` and its plots.

mod agreement;
mod apart;
mod certainty;
mod cheaper;
mod decision;
mod effects;
mod figures;
mod groups;
mod name;
mod next;
mod question;
mod ranking;
mod share;
mod spreadsheet;
mod style;
mod tables;
mod trials;
mod varied;
mod view;
mod words;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{atomic, plain};
use crate::store::RunRecord;

use super::ReportError;
use super::ending::{Ending, sentence};
use super::{index, notes};
use crate::markdown::{escape, percent_encode};
use groups::Comparison;
use name::{file_name, notes_file};
use style::Style;
use view::View;

pub use agreement::{Agreement, agreements};
pub use apart::Older;
pub use name::{checked_name, name_for};

/// A run that a comparison does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub run: String,
    pub reason: String,
}

/// What a comparison of these runs says first, as lines of plain text for a terminal: which setting won, by how much, whether that
/// is sure, and what to try next. The order of `records` does not matter.
pub fn answer(records: &[RunRecord], left_out: &[LeftOut]) -> String {
    let comparison = Comparison::of(records);
    let left_out = all_left_out(&comparison, left_out).len();
    words::answer(&View::of(&comparison), &agreements(records), left_out, Style::Plain).lines()
}

/// A setting's place in a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What differs, shortly: `learning_rate = 3e-4`.
    pub setting: String,
    /// The number that decides, with its spread: `1.234 ± 0.012`.
    pub result: String,
    /// What that number is: `Val loss (best)`.
    pub outcome: &'static str,
    /// Runs that it is the mean of.
    pub runs: usize,
}

/// The best settings of these runs, at most `most`, best first; none where they do not compare. As plain text.
pub fn best(records: &[RunRecord], most: usize) -> Vec<Place> {
    let comparison = Comparison::of(records);
    let Some(ranking) = ranking::ranking(&comparison) else { return Vec::new() };
    let place = |(group, spread): &(&groups::Group, crate::stats::Spread)| Place {
        setting: Style::Plain.code(&group.label),
        result: tables::value(ranking.outcome.unit, spread, spread.n > 1),
        outcome: ranking.outcome.label,
        runs: spread.n,
    };
    ranking.ranked.iter().take(most).map(place).collect()
}

/// Writes `<name>.md`, `<name>.csv` and the folder `<name>` with its plots into `reports_dir`, and returns the page's path. Runs that
/// did not come to a planned end stand in the page with the reason and do not count. The order of `records` does not
/// matter, and the same records give the same bytes.
///
/// # Errors
/// When a file cannot be written, or the page is there already and is none of a comparison.
pub fn write(
    name: &str,
    records: &[RunRecord],
    left_out: &[LeftOut],
    reports_dir: &Path,
) -> Result<PathBuf, ReportError> {
    write_beside(name, records, left_out, &[], "runner compare", reports_dir)
}

/// Where the comparison of this name lies, once it is written.
pub fn path(name: &str, reports_dir: &Path) -> PathBuf {
    reports_dir.join(format!("{}.md", file_name(name)))
}

/// [`write`](fn@write), with runs that were configured otherwise, which do not count and are listed at the end with what changed. What
/// people wrote into `<name>.notes.md` stands below the answer; `again` is the command that shows it there.
///
/// # Errors
/// As [`write`](fn@write).
pub fn write_beside(
    name: &str,
    records: &[RunRecord],
    left_out: &[LeftOut],
    older: &[Older],
    again: &str,
    reports_dir: &Path,
) -> Result<PathBuf, ReportError> {
    let file = file_name(name);
    let path = path(name, reports_dir);
    // Pages that people wrote lie in the same folder, and names come from manifests.
    match plain::read(&path) {
        Ok(page) if !index::is_comparison(&String::from_utf8_lossy(&page)) => {
            return Err(ReportError::NotOurs { path });
        }
        Err(source) if plain::not_plain(&source).is_some() => {
            return Err(ReportError::Write { path, source });
        }
        _ => {}
    }
    let rows = reports_dir.join(format!("{file}.csv"));
    spreadsheet::check(&rows)?;
    let comparison = Comparison::of(records);
    let view = View::of(&comparison);
    let figures = figures::draw(&view, &reports_dir.join(&file))?;
    let page = render(name, &view, left_out, &figures, &agreements(records), reports_dir);
    let notes = notes::of_comparison(&reports_dir.join(notes_file(&file)), records, again);
    let text = apart::add(&page, &notes, older, reports_dir);
    std::fs::create_dir_all(reports_dir)
        .and_then(|()| atomic::write_remade(&path, text.as_bytes()))
        .map_err(|source| ReportError::Write { path: path.clone(), source })?;
    spreadsheet::write(&view, &rows)?;
    Ok(path)
}

fn render(
    name: &str,
    view: &View,
    left_out: &[LeftOut],
    figures: &[figures::Figure],
    agreements: &[Agreement],
    reports_dir: &Path,
) -> String {
    let comparison = view.comparison;
    let left_out = all_left_out(comparison, left_out);
    let answer = words::answer(view, agreements, left_out.len(), Style::Markdown);
    let mut sections = vec![
        format!("# {}", escape(name)),
        question::section(comparison),
        format!("{}\n{}", index::stamp(comparison.date()), answer.page()),
    ];
    let mut section = |title: &str, text: String| {
        if !text.is_empty() {
            sections.push(format!("## {title}\n\n{text}"));
        }
    };
    section("Agreement", agreement::section(agreements));
    let folder = percent_encode(&file_name(name));
    section("What it depends on", figures::section(figures, figures::Part::Outcome, &folder));
    section("Settings", tables::settings(view));
    section("Curves", figures::section(figures, figures::Part::Curves, &folder) + &figures::note(view));
    section("Runs", tables::runs(view, reports_dir, &file_name(name)));
    if !left_out.is_empty() {
        let lines: Vec<String> =
            left_out.iter().map(|one| format!("- {}: {}\n", escape(&one.run), escape(&one.reason))).collect();
        section("Left out", format!("These runs do not count in the numbers above:\n\n{}", lines.concat()));
    }
    let sections: Vec<&str> =
        sections.iter().map(|section| section.trim_end()).filter(|section| !section.is_empty()).collect();
    sections.join("\n\n") + "\n"
}

/// What was given as left out, and the records that do not count.
fn all_left_out(comparison: &Comparison, given: &[LeftOut]) -> Vec<LeftOut> {
    let mut all = given.to_vec();
    for run in comparison.groups.iter().flat_map(|group| &group.runs).filter(|run| !run.ending.is_planned()) {
        let mut reason = sentence(run.record);
        if matches!(run.ending, Ending::Running | Ending::Queued) {
            reason.push_str(" Compare again when it has ended.");
        }
        all.push(LeftOut { run: run.record.id(), reason });
    }
    let runs = comparison.groups.iter().flat_map(|group| &group.runs);
    all.extend(runs.filter_map(|run| {
        let newer = run.counted_as.as_ref()?;
        let experiment = &run.record.manifest.run.experiment;
        let dir = run.record.dir.name();
        let reason = format!("the same configuration and seed as {newer}, which is newer and counts.");
        Some(LeftOut { run: format!("{experiment}/{dir}"), reason })
    }));
    all.sort_by(|a, b| a.run.cmp(&b.run));
    all
}

#[cfg(test)]
mod answer_tests;
#[cfg(test)]
mod ending_tests;
#[cfg(test)]
mod tests;

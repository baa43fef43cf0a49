//! The comparison of runs: `reports/<name>.md` and its plots.

mod agreement;
mod apart;
mod figures;
mod groups;
mod name;
mod ranking;
mod tables;
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

pub use agreement::{Agreement, agreements};
pub use apart::Older;
pub use name::{checked_name, name_for};

/// A run that a comparison does not count, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    pub run: String,
    pub reason: String,
}

/// Writes `<name>.md` and the folder `<name>` with its plots into `reports_dir`, and returns the page's path. Runs that
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
    let comparison = Comparison::of(records);
    let figures = figures::draw(&comparison, &reports_dir.join(&file))?;
    let page = render(name, &comparison, left_out, &figures, &agreements(records), reports_dir);
    let notes = notes::of_comparison(&reports_dir.join(notes_file(&file)), records, again);
    let text = apart::add(&page, &notes, older, reports_dir);
    std::fs::create_dir_all(reports_dir)
        .and_then(|()| atomic::write_remade(&path, text.as_bytes()))
        .map_err(|source| ReportError::Write { path: path.clone(), source })?;
    Ok(path)
}

fn render(
    name: &str,
    comparison: &Comparison,
    left_out: &[LeftOut],
    figures: &[figures::Figure],
    agreements: &[Agreement],
    reports_dir: &Path,
) -> String {
    let left_out = all_left_out(comparison, left_out);
    let mut sections = vec![
        format!("# {}\n\n{}", escape(name), index::stamp(comparison.date())),
        words::paragraph(comparison, agreements, left_out.len()),
    ];
    let agreement = agreement::section(agreements);
    if !agreement.is_empty() {
        sections.push(format!("## Agreement\n\n{agreement}"));
    }
    let settings = tables::settings(comparison);
    if !settings.is_empty() {
        sections.push(format!("## Settings\n\n{settings}"));
    }
    let plots = figures.iter().map(|figure| {
        let address = format!("{}/{}", percent_encode(&file_name(name)), figure.file);
        format!("[![{0}]({address}.svg)]({address}.png)\n", figure.title)
    });
    let plots: Vec<String> = plots.collect();
    if !plots.is_empty() {
        let note = figures::note(comparison);
        sections.push(format!("## Curves\n\n{}{note}", plots.join("\n")));
    }
    let runs = tables::runs(comparison, reports_dir);
    if !runs.is_empty() {
        sections.push(format!("## Runs\n\n{runs}"));
    }
    if !left_out.is_empty() {
        let lines: Vec<String> =
            left_out.iter().map(|one| format!("- {}: {}\n", escape(&one.run), escape(&one.reason))).collect();
        sections.push(format!(
            "## Left out\n\nThese runs do not count in the numbers above:\n\n{}",
            lines.concat()
        ));
    }
    let sections: Vec<&str> = sections.iter().map(|section| section.trim_end()).collect();
    sections.join("\n\n") + "\n"
}

/// The first sentences of the comparison's page, as plain text: for a terminal.
pub fn answer(records: &[RunRecord], left_out: &[LeftOut]) -> String {
    let comparison = Comparison::of(records);
    let left_out = all_left_out(&comparison, left_out);
    plain_text(&words::paragraph(&comparison, &agreements(records), left_out.len()))
}

/// Markdown of one paragraph without its marks.
fn plain_text(markdown: &str) -> String {
    let mut text = String::with_capacity(markdown.len());
    let mut characters = markdown.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => text.extend(characters.next()),
            '`' | '*' => {}
            character => text.push(character),
        }
    }
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&").trim_end().to_owned()
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
mod tests;

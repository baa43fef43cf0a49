//! What a model card takes from the report: what matters to people who have the model and not the run's directory.

use std::path::Path;

use crate::report::ReportError;
use crate::report::summary::Summary;
use crate::store::RunRecord;

use super::{Page, changes, figures, memorisation, reference, results, setup, words};

/// The sections after the head. None of them points at a file of the run.
const SECTIONS: &[fn(&Page) -> String] = &[
    setup::what_was_run,
    |page| changes::since(&page.record.manifest),
    results::key_numbers,
    reference::comparison,
    figures::show,
    words::last_samples,
    memorisation::section,
    words::configuration,
];

/// The card of a model that this run trained, in Markdown, with `about` after its head. The plot of the loss is drawn into
/// `plots/` in `folder`, where the card is to lie.
///
/// # Errors
/// When the plot cannot be drawn.
pub fn card(record: &RunRecord, about: &str, folder: &Path) -> Result<String, ReportError> {
    let figures = figures::draw(record, &[figures::LOSS], &folder.join("plots"))?;
    let page = Page { record, summary: Summary::of(record), figures };
    let sections = SECTIONS.iter().map(|section| section(&page));
    let texts: Vec<String> = [words::head(&page), about.to_owned()]
        .into_iter()
        .chain(sections)
        .map(|text| text.trim_end().to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    Ok(texts.join("\n\n") + "\n")
}

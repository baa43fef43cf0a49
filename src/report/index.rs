//! `reports/README.md`: the list of comparisons, kept up between two markers. What people write outside stays.

use std::fs;
use std::io;
use std::path::Path;

use jiff::Timestamp;

use crate::files::{atomic, plain};

use super::ReportError;
use crate::markdown::{Align, Table, code, link, percent_encode};

const START: &str = "<!-- comparisons: kept up by runner, edits between these markers are lost -->";
const END: &str = "<!-- end of comparisons -->";

/// Opens the line by which a comparison is known among other files, followed by its date.
const STAMP: &str = "<!-- comparison by runner, runs up to ";

const PREAMBLE: &str = "# Reports

Each comparison below was made from run directories by `runner`; `runner compare RUN RUN...` makes one again. Beside each
lies a `.csv` with all its runs. The list between the two markers is updated by the program. Text outside of them is yours
and stays.
";

const POSTAMBLE: &str = "## Ideas that did not work

Nothing here yet. An idea that was tried and failed belongs here, with its date and its numbers.
";

/// The line that a comparison carries for the index. Without runs there is no date.
pub fn stamp(date: Option<Timestamp>) -> String {
    let date = date.map_or_else(|| "-".to_owned(), |date| date.strftime("%Y-%m-%d").to_string());
    format!("{STAMP}{date} -->\n")
}

/// Whether a page is one that a comparison may replace: one that carries a [`stamp`].
pub fn is_comparison(page: &str) -> bool {
    page.lines().any(|line| line.starts_with(STAMP))
}

/// Writes the list of the comparisons that lie in `reports_dir` into its `README.md`, newest first. Makes the file when it
/// is not there; text outside of the markers is kept.
///
/// # Errors
/// When a file cannot be read or written, or when only one of the markers is there.
pub fn update(reports_dir: &Path) -> Result<(), ReportError> {
    let list = list(reports_dir)?;
    let path = reports_dir.join("README.md");
    let text = match plain::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            format!("{PREAMBLE}\n{START}\n{END}\n\n{POSTAMBLE}")
        }
        Err(source) => return Err(ReportError::Read { path, source }),
    };
    let unpaired = || ReportError::IndexMarkers { path: path.clone(), start: START, end: END };
    let text = match (text.find(START), text.find(END)) {
        (Some(start), Some(end)) if start < end => {
            format!("{}{START}\n\n{list}\n{}", &text[..start], &text[end..])
        }
        (None, None) => format!("{}\n\n{START}\n\n{list}\n{END}\n", text.trim_end()),
        _ => return Err(unpaired()),
    };
    fs::create_dir_all(reports_dir)
        .and_then(|()| atomic::write_remade(&path, text.as_bytes()))
        .map_err(|source| ReportError::Write { path, source })
}

/// One row per comparison.
fn list(reports_dir: &Path) -> Result<String, ReportError> {
    let mut comparisons: Vec<(String, String, String)> = Vec::new();
    let entries = match fs::read_dir(reports_dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok("No comparisons yet.\n".to_owned());
        }
        Err(source) => return Err(ReportError::Read { path: reports_dir.to_owned(), source }),
    };
    for entry in entries {
        let entry = entry.map_err(|source| ReportError::Read { path: reports_dir.to_owned(), source })?;
        let path = entry.path();
        let Some(name) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
        // People may quote a comparison in their notes.
        if path.extension().is_none_or(|extension| extension != "md") || name.ends_with(".notes") {
            continue;
        }
        // A page that cannot be read is somebody else's, or will be remade: the list goes on without it.
        let Some((date, sentence)) = plain::read_to_string(&path).ok().as_deref().and_then(stamped) else {
            continue;
        };
        comparisons.push((date, name.to_owned(), sentence));
    }
    comparisons.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let mut table =
        Table::new(&[("Comparison", Align::Left), ("Runs up to", Align::Left), ("Result", Align::Left)]);
    for (date, name, sentence) in comparisons {
        table.row([link(&code(&name), &format!("{}.md", percent_encode(&name))), date, sentence]);
    }
    let text = table.render();
    Ok(if text.is_empty() { "No comparisons yet.\n".to_owned() } else { text })
}

/// Date and first sentence of a page that [`stamp`] marks as a comparison. The sentence is Markdown already.
fn stamped(page: &str) -> Option<(String, String)> {
    let mut lines = page.lines().skip_while(|line| !line.starts_with(STAMP));
    let date = lines.next()?.strip_prefix(STAMP)?.strip_suffix(" -->")?.to_owned();
    let sentence = lines.find(|line| !line.trim().is_empty())?.to_owned();
    Some((date, sentence))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(dir: &Path, name: &str, date: &str, sentence: &str) {
        let date = format!("{date}T10:00:00Z").parse().unwrap();
        let page = format!("# {name}\n\n{}\n{sentence}\nMore words.\n", stamp(Some(date)));
        fs::write(dir.join(format!("{name}.md")), page).unwrap();
    }

    #[test]
    fn comparisons_are_listed_newest_first_and_prose_stays() {
        let dir = tempfile::tempdir().unwrap();
        comparison(dir.path(), "older", "2026-11-01", "Of 2 settings, `a` won.");
        comparison(dir.path(), "newer one", "2026-11-20", "Of 3 settings, `b` won.");
        fs::write(dir.path().join("notes.md"), "# Notes\n\nNot a comparison.\n").unwrap();
        update(dir.path()).unwrap();
        let readme = dir.path().join("README.md");
        let text = fs::read_to_string(&readme).unwrap();
        insta::assert_snapshot!(text);

        let edited = text.replace("Nothing here yet.", "2026-11-21: dropout of 0.5 taught it nothing.");
        fs::write(&readme, edited.replace("| 2026-11-01", "| scribble")).unwrap();
        update(dir.path()).unwrap();
        let text = fs::read_to_string(&readme).unwrap();
        assert!(text.contains("dropout of 0.5 taught it nothing."));
        assert!(text.contains("2026-11-01") && !text.contains("scribble"));

        let modified = || fs::metadata(&readme).unwrap().modified().unwrap();
        let before = modified();
        update(dir.path()).unwrap();
        assert_eq!((fs::read_to_string(&readme).unwrap(), modified()), (text, before));
    }

    #[test]
    fn a_readme_without_markers_gets_the_list_at_its_end() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("README.md"), "# Ours\n\nProse.\n").unwrap();
        update(dir.path()).unwrap();
        let text = fs::read_to_string(dir.path().join("README.md")).unwrap();
        assert!(text.starts_with("# Ours\n\nProse.\n\n<!-- comparisons"));
        assert!(text.contains("No comparisons yet."));
    }

    #[test]
    fn half_a_pair_of_markers_is_an_error_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let readme = dir.path().join("README.md");
        fs::write(&readme, format!("{START}\nprose\n")).unwrap();
        let error = update(dir.path()).unwrap_err().to_string();
        assert!(error.contains("restore that line"), "{error}");
        assert_eq!(fs::read_to_string(&readme).unwrap(), format!("{START}\nprose\n"));
    }

    #[test]
    fn a_folder_that_is_not_there_is_made() {
        let dir = tempfile::tempdir().unwrap();
        update(&dir.path().join("reports")).unwrap();
        assert!(dir.path().join("reports/README.md").exists());
    }
}

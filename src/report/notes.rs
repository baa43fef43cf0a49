//! What people write: `notes.md` beside the report of a run, `<name>.notes.md` beside a comparison. The program reads these files,
//! shows them, and never writes them.

use std::io::{ErrorKind, Read};
use std::path::Path;

use crate::files::plain;
use crate::markdown::{code, escape};
use crate::report::ending::Ending;
use crate::shell::quote;
use crate::store::RunRecord;
use crate::store::manifest::Manifest;
use crate::units;

/// What is shown of a file; the rest is only counted. Some twenty pages.
const MOST_BYTES: u64 = 64 << 10;
/// The outline of a report has two levels before a person's own.
const LEVELS_ABOVE: usize = 2;
/// Elements that would take the rest of the page with them where they are never closed.
const ELEMENTS: [&str; 10] =
    ["details", "summary", "pre", "script", "style", "textarea", "table", "div", "blockquote", "center"];

/// A person's text, fit to stand in a page.
#[derive(Debug, Default, PartialEq, Eq)]
struct Notes {
    /// Markdown as it was written; headings are below those of the page, and what was opened is closed.
    text: String,
    /// Whether it says what came out: text under a heading `Conclusion`, or behind `Conclusion:`.
    concludes: bool,
}

/// The section of a run's report: its notes, and whether its hypothesis waits for a conclusion.
pub fn of_run(record: &RunRecord) -> String {
    let manifest = &record.manifest;
    // Of a sweep or of several seeds the comparison tells what came out.
    let alone = manifest.run.point.is_empty() && manifest.run.repeats <= 1;
    let asked = alone && has_hypothesis(manifest) && Ending::of(manifest).is_planned();
    section(&record.dir.notes(), asked.then(|| format!("runner report {}", quote(&record.id()))).as_deref())
}

/// The section of the comparison whose notes lie at `path`. `again` is the command that makes the page again.
pub fn of_comparison<'a>(
    path: &Path,
    records: impl IntoIterator<Item = &'a RunRecord>,
    again: &str,
) -> String {
    let answers =
        |record: &&RunRecord| has_hypothesis(&record.manifest) && Ending::of(&record.manifest).is_planned();
    let asked = records.into_iter().any(|record| answers(&record));
    section(path, asked.then_some(again))
}

fn has_hypothesis(manifest: &Manifest) -> bool {
    !manifest.run.hypothesis.trim().is_empty()
}

/// `asked`: the command that shows a conclusion here, where there is a hypothesis that wants one.
fn section(path: &Path, asked: Option<&str>) -> String {
    let file = code(&path.file_name().unwrap_or_default().to_string_lossy());
    let notes = match read(path) {
        Ok(notes) => notes,
        Err(reason) => {
            let text = format!("{file} is not shown: {}.", escape(&reason));
            return format!("## Notes\n\n{text}\n");
        }
    };
    let wanted = asked.filter(|_| !notes.as_ref().is_some_and(|notes| notes.concludes)).map(|command| {
        format!(
            "The hypothesis has no conclusion yet: write what came out into {file} beside this page, under a heading \
             `# Conclusion`. It is then shown here by {}, and never overwritten.",
            code(command)
        )
    });
    match (notes, wanted) {
        (None, None) => String::new(),
        (None, Some(wanted)) => format!("## Conclusion\n\n{wanted}\n"),
        (Some(notes), wanted) => {
            let wanted = wanted.map_or_else(String::new, |wanted| format!("\n{wanted}\n"));
            format!("## Notes\n\n{}\n{wanted}", notes.text.trim_end())
        }
    }
}

/// The notes at `path`; `None` where there are none. The error says in words why they cannot be shown.
fn read(path: &Path) -> Result<Option<Notes>, String> {
    let mut file = match plain::open_own(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let all = file.metadata().map_err(|error| error.to_string())?.len();
    let mut bytes = Vec::new();
    file.by_ref().take(MOST_BYTES).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    let mut remarks = Vec::new();
    if all > MOST_BYTES {
        // Up to the end of a line, so that no character and no word is cut.
        let end = bytes.iter().rposition(|&byte| byte == b'\n').filter(|&end| end > 0);
        bytes.truncate(
            end.unwrap_or_else(|| String::from_utf8_lossy(&bytes).trim_end_matches('\u{fffd}').len()),
        );
        remarks.push(format!("the file has {}, and the rest is not shown", units::bytes(all as f64)));
    }
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            remarks.push("it is not UTF-8, and wrong bytes are shown as \u{fffd}".to_owned());
            String::from_utf8_lossy(error.as_bytes()).into_owned()
        }
    };
    let mut notes = Notes { concludes: concludes(&text), text: fitted(&text) };
    if notes.text.trim().is_empty() && remarks.is_empty() {
        return Ok(None);
    }
    for remark in remarks {
        notes.text.push_str(&format!("\n\n({remark}.)"));
    }
    Ok(Some(notes))
}

/// A line, and whether it stands in a block of code.
fn lines(text: &str) -> Vec<(String, bool)> {
    let text = text.trim_start_matches('\u{feff}').replace("\r\n", "\n").replace('\r', "\n");
    let mut fence: Option<String> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        let line: String = line.chars().filter(|&c| c == '\t' || !c.is_control()).collect();
        let marker = fence_of(&line);
        let in_code = match (&fence, &marker) {
            (Some(open), Some(close))
                if close.starts_with(open.as_str()) && line.trim().len() == close.len() =>
            {
                fence = None;
                true
            }
            (Some(_), _) => true,
            (None, Some(open)) => {
                fence = Some(open.clone());
                true
            }
            (None, None) => false,
        };
        lines.push((line, in_code));
    }
    if let Some(open) = fence {
        lines.push((open, true));
    }
    lines
}

/// The backticks or tildes that open or close a block of code.
fn fence_of(line: &str) -> Option<String> {
    let inner = line.trim_start_matches(' ');
    if line.len() - inner.len() > 3 {
        return None;
    }
    let sign = inner.chars().next().filter(|c| ['`', '~'].contains(c))?;
    let length = inner.chars().take_while(|&c| c == sign).count();
    // Backticks behind backticks are code within a line.
    let is_inline = sign == '`' && inner[length..].contains('`');
    (length >= 3 && !is_inline).then(|| sign.to_string().repeat(length))
}

/// The level and the text of a heading (`## Words`).
fn heading_of(line: &str) -> Option<(usize, &str)> {
    let inner = line.trim_start_matches(' ');
    let level = inner.bytes().take_while(|&byte| byte == b'#').count();
    let rest = &inner[level..];
    let is_heading = line.len() - inner.len() <= 3
        && (1..=6).contains(&level)
        && (rest.is_empty() || rest.starts_with([' ', '\t']));
    is_heading.then(|| (level, rest.trim().trim_end_matches('#').trim_end()))
}

/// The level of the heading that a line below its words makes of them: `===` or `---`.
fn underline_of(line: &str) -> Option<usize> {
    let line = line.trim_end();
    let all = |sign: char| !line.is_empty() && line.chars().all(|c| c == sign);
    if all('=') {
        Some(1)
    } else if all('-') {
        Some(2)
    } else {
        None
    }
}

/// The text with its headings below the page's, and nothing left open.
fn fitted(text: &str) -> String {
    let mut page: Vec<String> = Vec::new();
    let (mut open_comment, mut open) = (false, [0_i64; ELEMENTS.len()]);
    // The line before is one of a paragraph.
    let mut words = false;
    for (line, in_code) in lines(text) {
        if in_code {
            words = false;
            page.push(line);
            continue;
        }
        if let Some((level, text)) = heading_of(&line) {
            page.push(format!("{} {text}", "#".repeat((level + LEVELS_ABOVE).min(6))));
            words = false;
        } else if let (Some(level), true) = (underline_of(&line), words) {
            let text = page.pop().unwrap_or_default();
            page.push(format!("{} {}", "#".repeat(level + LEVELS_ABOVE), text.trim()));
            words = false;
        } else {
            words = !line.trim().is_empty() && !line.trim_start().starts_with(['>', '-', '*', '+', '|', '<']);
            page.push(line.clone());
        }
        count_open(&line, &mut open_comment, &mut open);
    }
    if open_comment {
        page.push("-->".to_owned());
    }
    for (element, open) in ELEMENTS.iter().zip(open) {
        page.extend((0..open.min(100)).map(|_| format!("</{element}>")));
    }
    // Blanks at the head of a line mean something.
    page.join("\n").trim_start_matches('\n').trim_end().to_owned()
}

/// Counts what a line opens and closes.
fn count_open(line: &str, in_comment: &mut bool, open: &mut [i64; ELEMENTS.len()]) {
    let line = line.to_ascii_lowercase();
    let mut rest = line.as_str();
    loop {
        if *in_comment {
            let Some(end) = rest.find("-->") else { return };
            (*in_comment, rest) = (false, &rest[end + 3..]);
        }
        let (markup, next) = match rest.find("<!--") {
            Some(start) => (&rest[..start], Some(&rest[start + 4..])),
            None => (rest, None),
        };
        for (element, open) in ELEMENTS.iter().zip(open.iter_mut()) {
            let count = |tag: &str| {
                let ends =
                    |at: usize| !markup[at + tag.len()..].starts_with(|c: char| c.is_ascii_alphanumeric());
                markup.match_indices(tag).filter(|(at, _)| ends(*at)).count() as i64
            };
            *open = (*open + count(&format!("<{element}")) - count(&format!("</{element}"))).max(0);
        }
        let Some(next) = next else { return };
        (*in_comment, rest) = (true, next);
    }
}

/// Whether there is a conclusion, and something in it.
fn concludes(text: &str) -> bool {
    let is_conclusion = |text: &str| {
        let word = text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
        word.starts_with("conclusion")
    };
    // The level of the heading that the lines stand under.
    let mut under: Option<usize> = None;
    let lines = lines(text);
    for (at, (line, in_code)) in lines.iter().enumerate() {
        let underlined =
            lines.get(at + 1).filter(|(_, in_code)| !in_code).and_then(|(next, _)| underline_of(next));
        let heading =
            heading_of(line).or(underlined.map(|level| (level, line.as_str()))).filter(|_| !in_code);
        if let Some((level, words)) = heading {
            under = match under {
                Some(above) if level > above => under,
                _ => is_conclusion(words).then_some(level),
            };
            continue;
        }
        let says = |text: &str| text.chars().any(char::is_alphanumeric);
        if under.is_some() && says(line) {
            return true;
        }
        if let Some((word, rest)) = line.split_once(':').filter(|_| !in_code)
            && word.chars().filter(|c| c.is_alphabetic()).count() <= "conclusions".len()
            && is_conclusion(word)
            && says(rest)
        {
            return true;
        }
    }
    false
}

#[cfg(test)]
#[path = "notes_tests.rs"]
mod tests;

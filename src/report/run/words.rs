//! Sections that are mostly prose, or mostly quoted.

use crate::markdown::{code, escape, escape_paragraphs, fence, quoted};
use crate::report::{changes, ending};
use crate::shell::quote;
use crate::store::SampleText;
use crate::units;

use super::Page;

/// Name, outcome in one sentence, and what the run was for.
pub fn head(page: &Page) -> String {
    let run = &page.record.manifest.run;
    let mut text = format!("# {} / {}\n\n", escape(&run.experiment), escape(&run.name));
    text.push_str(&format!("**{}**\n", escape(&ending::sentence(page.record))));
    if let Some(adaptation) = changes::adaptation(&page.record.manifest) {
        text.push_str(&format!("\nThe configuration was changed during the run. {adaptation}\n"));
    }
    if !page.record.damage.is_empty() {
        text.push_str("\nParts of this run's record could not be read; see the end of the page.\n");
    }
    if !run.description.trim().is_empty() {
        text.push_str(&format!("\n{}\n", escape_paragraphs(&run.description)));
    }
    if !run.hypothesis.trim().is_empty() {
        text.push_str(&format!("\n**Hypothesis.** {}\n", escape_paragraphs(&run.hypothesis)));
    }
    if !run.tags.is_empty() {
        let tags: Vec<String> = run.tags.iter().map(|tag| code(tag)).collect();
        text.push_str(&format!("\nTags: {}\n", tags.join(", ")));
    }
    text
}

/// How many earlier samples are shown beside the last.
const EARLIER_SAMPLES: usize = 3;

/// The last samples.
pub fn last_samples(page: &Page) -> String {
    page.record.samples.last().map_or_else(String::new, |last| format!("## Samples\n\n{}", show(last)))
}

/// The last samples, and a few earlier ones in a fold.
pub fn samples(page: &Page) -> String {
    let Some((_, earlier)) = page.record.samples.split_last() else { return String::new() };
    let mut text = last_samples(page);
    // Spread over the run, the first one included: it shows where the model came from.
    let mut chosen: Vec<usize> = (0..EARLIER_SAMPLES).map(|n| n * earlier.len() / EARLIER_SAMPLES).collect();
    chosen.dedup();
    let chosen: Vec<String> = chosen.into_iter().filter_map(|index| earlier.get(index)).map(show).collect();
    if !chosen.is_empty() {
        text.push_str(&format!(
            "\n<details>\n<summary>Earlier samples</summary>\n\n{}\n</details>\n",
            chosen.join("\n")
        ));
    }
    if earlier.len() > chosen.len() {
        text.push_str("\nAll samples are in [samples.md](samples.md).\n");
    }
    text
}

fn show((step, texts): &(u64, Vec<SampleText>)) -> String {
    let mut text = format!("After {}:\n", units::steps(*step));
    for sample in texts {
        let prompt = if sample.prompt.is_empty() { "(no prompt)".to_owned() } else { quoted(&sample.prompt) };
        text.push_str(&format!("\nPrompt {prompt}\n\n"));
        text.push_str(&fence("text", &format!("{}{}", sample.prompt, sample.text)));
    }
    text
}

/// What the run warned of.
pub fn warnings(page: &Page) -> String {
    const SHOWN: usize = 10;
    let (warnings, idle) = (&page.record.warnings, &page.record.manifest.idle);
    if warnings.is_empty() && idle.is_empty() {
        return String::new();
    }
    let mut text = "## Warnings\n\n".to_owned();
    idle.iter().for_each(|key| text.push_str(&format!("- {}\n", in_code(key))));
    for (step, message) in warnings.iter().take(SHOWN) {
        text.push_str(&format!("- Step {}: {}\n", units::count(*step), escape(message)));
    }
    if warnings.len() > SHOWN {
        text.push_str(&format!("- and {} more, in [log.jsonl](log.jsonl)\n", warnings.len() - SHOWN));
    }
    text
}

/// A sentence whose names stand between backticks, which stay what they are.
fn in_code(sentence: &str) -> String {
    let parts = sentence.split('`').enumerate();
    let marked = parts.map(|(index, part)| if index % 2 == 1 { code(part) } else { spaced(part) });
    marked.collect()
}

/// Escaped, with the blanks at its ends.
fn spaced(text: &str) -> String {
    let blank = |is_there: bool| if is_there { " " } else { "" };
    let (before, after) = (blank(text.starts_with(' ')), blank(text.ends_with(' ')));
    format!("{before}{}{after}", escape(text))
}

/// `config.toml` in a fold.
pub fn configuration(page: &Page) -> String {
    if page.record.config_text.trim().is_empty() {
        return String::new();
    }
    format!(
        "## Configuration\n\n<details>\n<summary>Every key of <code>config.toml</code></summary>\n\n{}\n</details>\n",
        fence("toml", &page.record.config_text)
    )
}

/// The commands that give this run again.
pub fn reproduce(page: &Page) -> String {
    let manifest = &page.record.manifest;
    let mut lines = Vec::new();
    if let Some(git) = &manifest.git {
        lines.push(format!("git checkout {}", quote(&git.commit)));
    }
    lines.push(manifest.command.clone());
    let mut text =
        format!("## Reproduce\n\nThe command that started this run:\n\n{}", fence("sh", &lines.join("\n")));
    if manifest.git.as_ref().is_some_and(|git| git.dirty) {
        text.push_str(
            "\nThe working tree had changes that were not committed: the commit alone may not give the same run.\n",
        );
    }
    let config = page.record.dir.config();
    text.push_str(&format!(
        "\nThis run alone, from its frozen configuration:\n\n{}",
        fence("sh", &format!("runner --again {}", quote(&config.display().to_string())))
    ));
    text
}

/// What could not be read, so that nobody takes the rest for the whole.
pub fn damage(page: &Page) -> String {
    if page.record.damage.is_empty() {
        return String::new();
    }
    let notes: Vec<String> = page.record.damage.iter().map(|note| format!("- {}\n", escape(note))).collect();
    format!(
        "## Damaged record\n\nThis report is made from what could be read. Not readable:\n\n{}",
        notes.concat()
    )
}

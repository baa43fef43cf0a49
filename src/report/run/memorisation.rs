//! How much of what the model wrote is copied from the text that it was trained on.

use crate::markdown::{Align, Table, fence, quoted};
use crate::store::{Memorisation, NGRAM_WORDS, VerbatimCopy};
use crate::units::{self, MISSING};

use super::Page;

/// Rows of the table, spread over the run where it was sampled more often.
const ROWS: usize = 10;
/// Characters of a copy that are shown.
const SHOWN: usize = 400;

pub fn section(page: &Page) -> String {
    let all = &page.record.memorisation;
    let Some((step, last)) = all.last() else { return String::new() };
    let mut parts = vec![format!("## Memorisation\n\n{} {}\n", share(*step, last), purpose(page))];
    parts.extend(last.longest.as_ref().map(|copy| longest(page, *step, copy)));
    if all.len() > 1 {
        parts.push(table(all));
    }
    parts.push(format!(
        "{NGRAM_WORDS}-gram overlap: words are split at white space and compared exactly, in the continuations alone, without \
         prompts and without words that are cut off. Few samples make a rough measure, and other prompts or another \
         temperature give other numbers.\n"
    ));
    parts.join("\n")
}

fn share(step: u64, found: &Memorisation) -> String {
    match found.share() {
        None => format!(
            "No continuation that was sampled after {} has {NGRAM_WORDS} whole words, so there is no {NGRAM_WORDS}-gram overlap.",
            units::steps(step)
        ),
        Some(share) => format!(
            "Of the {NGRAM_WORDS}-grams (sequences of {NGRAM_WORDS} words) that were sampled after {}, **{} of {} ({})** occur verbatim in \
             the training text.",
            units::steps(step),
            units::count(found.copied_ngrams),
            units::count(found.ngrams),
            units::percent(share)
        ),
    }
}

/// What a high share means depends on what the run was for.
fn purpose(page: &Page) -> &'static str {
    let manifest = &page.record.manifest;
    let held_back = manifest.data.as_ref().is_some_and(|data| data.val_tokens > 0);
    let on_train_loss = manifest.target.as_ref().is_some_and(|target| !target.is_of_validation());
    match (held_back, on_train_loss) {
        (false, true) => {
            "The run was asked to memorise: its target is a low loss on the training text, and no text was held out. A high share \
             is the goal here, and does not show that the model can write anything else."
        }
        (false, false) => {
            "No text was held out for validation, so only these numbers show how much the model recites."
        }
        (true, true) => {
            "The target is a low loss on the training text, which reciting can reach; the validation loss, on held-out \
             text, shows what was learnt beyond that."
        }
        (true, false) => {
            "Text was held out for validation, so reciting was not the goal: copied passages are memorised."
        }
    }
}

fn longest(page: &Page, step: u64, copy: &VerbatimCopy) -> String {
    let texts = page.record.samples.iter().rev().find(|(at, _)| *at == step).map(|(_, texts)| texts);
    let prompt = match texts.and_then(|texts| texts.get(copy.sample)) {
        Some(sample) if sample.prompt.is_empty() => " of the continuation without a prompt".to_owned(),
        Some(sample) => format!(" of the continuation of {}", quoted(&sample.prompt)),
        None => String::new(),
    };
    let shown: String = copy.text.chars().take(SHOWN).collect();
    let (shown, rest) = match copy.characters.saturating_sub(SHOWN as u64) {
        0 => (shown, String::new()),
        rest => (shown + " ...", format!(" Its last {} are not shown.", units::counted(rest, "character"))),
    };
    format!(
        "The longest verbatim copy is {}{prompt} ({}, counting those cut at its ends):\n\n{}{}",
        units::counted(copy.characters, "character"),
        units::counted(copy.words, "word"),
        fence("text", &shown),
        if rest.is_empty() { rest } else { format!("\n{}\n", rest.trim_start()) }
    )
}

fn table(all: &[(u64, Memorisation)]) -> String {
    let mut table = Table::new(&[
        ("Step", Align::Right),
        ("8-grams copied", Align::Right),
        ("Share", Align::Right),
        ("Longest copy (characters)", Align::Right),
    ]);
    // The first and the last are always there.
    let rows = ROWS.min(all.len());
    let places = (0..rows).map(|row| row * (all.len() - 1) / (rows - 1).max(1));
    for (step, found) in places.filter_map(|place| all.get(place)) {
        table.row([
            units::count(*step),
            format!("{} of {}", units::count(found.copied_ngrams), units::count(found.ngrams)),
            found.share().map_or_else(|| MISSING.to_owned(), units::percent),
            found.longest.as_ref().map_or_else(|| MISSING.to_owned(), |copy| units::count(copy.characters)),
        ]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::fixture;
    use crate::report::summary::Summary;
    use crate::store::RunRecord;

    fn run() -> RunRecord {
        let mut record = fixture::run(Path::new("runs"), "shakespeare", "seed=1337", 40, 0.09);
        fixture::sample(&mut record, &[20, 40]);
        record
    }

    fn text(record: &RunRecord) -> String {
        section(&Page { record, summary: Summary::of(record), figures: Vec::new() })
    }

    #[test]
    fn a_run_that_was_asked_to_memorise_is_told_so() {
        let mut record = run();
        fixture::aim(&mut record, 0.0999999);
        record.manifest.data.as_mut().unwrap().val_tokens = 0;
        fixture::copy(&mut record, &[(20, 0, 14), (40, 31, 143)]);
        insta::assert_snapshot!(text(&record));
    }

    #[test]
    fn what_a_high_share_means_depends_on_what_the_run_was_for() {
        let words = |val_tokens: u64, metric: Option<&str>| {
            let mut record = run();
            fixture::copy(&mut record, &[(40, 31, 143)]);
            record.manifest.data.as_mut().unwrap().val_tokens = val_tokens;
            record.manifest.target = None;
            if let Some(metric) = metric {
                fixture::aim(&mut record, 0.1);
                record.manifest.target.as_mut().unwrap().metric = metric.to_owned();
            }
            text(&record)
        };
        assert!(words(0, Some("train_loss_ema")).contains("was asked to memorise"));
        assert!(words(0, None).contains("only these numbers show how much the model recites"));
        assert!(words(9, Some("train_loss")).contains("which reciting can reach"));
        for metric in ["val_loss", "val_bits_per_byte"] {
            assert!(words(9, Some(metric)).contains("reciting was not the goal"));
        }
        assert!(words(9, None).contains("reciting was not the goal"));
    }

    #[test]
    fn samples_too_short_for_a_share_have_none() {
        let mut record = run();
        record.memorisation = vec![(20, Memorisation::default()), (40, Memorisation::default())];
        let text = text(&record);
        assert!(text.contains("after 40 steps has 8 whole words, so there is no 8-gram overlap"), "{text}");
        let row = text.lines().find(|line| line.starts_with("|   40 |")).unwrap();
        assert!(row.contains("0 of 0") && row.matches(" - |").count() == 2, "{text}");
        assert!(!text.contains("longest verbatim copy"), "{text}");
    }

    #[test]
    fn long_copies_are_shortened_and_long_tables_thinned_out() {
        let mut record = run();
        let steps: Vec<(u64, u64, u64)> = (1..=95).map(|n| (n * 10, n % 40, n * 10)).collect();
        fixture::copy(&mut record, &steps);
        let text = text(&record);
        assert!(
            text.contains("is 950 characters") && text.contains("Its last 550 characters are not shown.")
        );
        let rows: Vec<&str> = text.lines().filter(|line| line.contains(" of 44 |")).collect();
        assert_eq!(rows.len(), ROWS);
        assert!(rows[0].starts_with("|   10 |") && rows[ROWS - 1].starts_with("|  950 |"), "{text}");
    }

    #[test]
    fn a_record_of_before_it_was_measured_has_no_such_section() {
        assert_eq!(text(&run()), "");
    }
}

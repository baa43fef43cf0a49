//! The runs as lines that fit a terminal: what all have in common is said once, and what differs is a column.

use super::super::listing::table;
use super::super::preflight::Planned;
use super::outlook::Prospect;
use super::{device, name};
use crate::engine;
use crate::units;

/// Columns of a terminal that the table may take.
pub const WIDTH: usize = 100;

type Cell = fn(&Prospect) -> String;

/// Heading, what it is called in a sentence, and the cell of a run.
const COLUMNS: &[(&str, &str, Cell)] = &[
    (" STEPS", "steps", |one| units::count(one.run.plan.train.max_steps)),
    (" PARAMETERS", "parameters", |one| parameters(one.run)),
    (" TOK/STEP", "tokens per step", |one| units::count(one.run.plan.tokens_per_step())),
    (" FLOP/STEP", "per step", |one| {
        one.run.cost.as_ref().map_or_else(missing, |cost| units::flops(cost.flops.total()))
    }),
    (" MEMORY", "of memory", |one| {
        let memory = one.run.cost.as_ref().map(|cost| cost.memory.estimate());
        memory.map_or_else(missing, |memory| format!("about {}", units::bytes(memory.bytes())))
    }),
    (" TIME", "each", |one| {
        one.estimate.as_ref().map_or_else(missing, |estimate| format!("~{}", units::duration(estimate.secs)))
    }),
    ("CORPUS", "corpus", |one| one.run.plan.data.source().to_string()),
    ("DEVICE", "device", |one| device(&one.run.plan.hardware.device)),
];

fn missing() -> String {
    units::MISSING.to_owned()
}

/// The exact count, or without the embeddings of a vocabulary that is known only once the corpus is read.
fn parameters(run: &Planned) -> String {
    let model = &run.plan.model;
    match run.vocab_size.or(model.vocab_size) {
        Some(vocab_size) => units::count(engine::parameter_count(model, vocab_size).parameters),
        None => {
            let parameters = engine::parameter_count(model, 0).parameters;
            format!("{} + {} per character", units::count(parameters), model.n_embd)
        }
    }
}

/// Columns that are left away where names would have to be cut, in this order: the sums are told below, and all of it by `--json`.
const SPARED: &[&str] = &[" FLOP/STEP", " TOK/STEP", " MEMORY"];

/// The table, and under it what all runs have in common.
pub fn lines(prospects: &[Prospect]) -> String {
    let mut heading = vec!["RUN", "STATE"];
    let mut rows: Vec<Vec<String>> = prospects
        .iter()
        .map(|one| {
            let state = match one.state.word() {
                "resumes" => format!("resumes, {} left", units::steps(one.steps())),
                word => word.to_owned(),
            };
            vec![name(one.run), state]
        })
        .collect();
    let mut common = Vec::new();
    for (title, phrase, cell) in COLUMNS {
        let cells: Vec<String> = prospects.iter().map(cell).collect();
        let is_name = matches!(*phrase, "corpus" | "device");
        // Of a single run the numbers are its own.
        if (cells.len() > 1 || is_name) && cells.iter().all(|cell| *cell == cells[0]) {
            let value = &cells[0];
            common
                .extend((value != units::MISSING).then(|| {
                    if is_name { format!("{phrase} {value}") } else { format!("{value} {phrase}") }
                }));
            continue;
        }
        if cells.iter().all(|cell| cell == units::MISSING) {
            continue;
        }
        heading.push(title);
        rows.iter_mut().zip(cells).for_each(|(row, cell)| row.push(cell));
    }
    for spared in SPARED {
        if let Some(column) = heading.iter().position(|title| title == spared)
            && width(&heading, &rows) > WIDTH
        {
            heading.remove(column);
            rows.iter_mut().for_each(|row| drop(row.remove(column)));
        }
    }
    shorten(&heading, &mut rows);
    let table = table(&heading, &rows);
    let whose = if prospects.len() > 1 { "all runs: " } else { "" };
    if common.is_empty() {
        table
    } else {
        format!("{table}\n{}", wrapped(&format!("{whose}{}", common.join(", "))))
    }
}

fn widths(heading: &[&str], rows: &[Vec<String>]) -> Vec<usize> {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([heading[column].trim().len()]).max().unwrap_or(0)
    };
    (0..heading.len()).map(width).collect()
}

/// Of the lines, with two blanks between columns.
fn width(heading: &[&str], rows: &[Vec<String>]) -> usize {
    widths(heading, rows).iter().sum::<usize>() + 2 * (heading.len() - 1)
}

/// Cuts names and other words in the middle, until the lines fit.
fn shorten(heading: &[&str], rows: &mut [Vec<String>]) {
    let widths = widths(heading, rows);
    let mut too_much = width(heading, rows).saturating_sub(WIDTH);
    // Paths of corpora are longer than they tell; of names the ends tell runs apart.
    for (column, least) in [(heading.iter().position(|title| *title == "CORPUS"), 16), (Some(0), 24)] {
        let Some(column) = column.filter(|_| too_much > 0) else { continue };
        let room = widths[column].saturating_sub(too_much).max(least.min(widths[column]));
        rows.iter_mut().for_each(|row| row[column] = cut(&row[column], room));
        too_much = too_much.saturating_sub(widths[column] - room);
    }
}

/// `learning_rate=0.0...,seed=1337`.
fn cut(text: &str, room: usize) -> String {
    let count = text.chars().count();
    if count <= room {
        return text.to_owned();
    }
    let kept = room.saturating_sub(3);
    let head: String = text.chars().take(kept.div_ceil(2)).collect();
    let tail: String = text.chars().skip(count - kept / 2).collect();
    format!("{head}...{tail}")
}

/// Text in lines of at most [`WIDTH`] columns, those after the first indented.
pub fn wrapped(text: &str) -> String {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.last_mut();
        match last {
            Some(line) if line.is_empty() || line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_keep_their_ends() {
        assert_eq!(cut("learning_rate=0.001,seed=1337", 15), "learni...d=1337");
        assert_eq!(cut("short", 15), "short");
        let mut rows = vec![vec!["x".repeat(90), "new".to_owned(), "1,000".to_owned()]];
        shorten(&["RUN", "STATE", " STEPS"], &mut rows);
        assert!(table(&["RUN", "STATE", " STEPS"], &rows).lines().all(|line| line.chars().count() <= WIDTH));
    }

    #[test]
    fn sentences_are_broken_between_words() {
        let text = wrapped(&"word ".repeat(60));
        assert!(text.lines().count() == 4 && text.lines().all(|line| line.len() <= WIDTH), "{text}");
        assert_eq!(wrapped("a b"), "a b");
    }
}

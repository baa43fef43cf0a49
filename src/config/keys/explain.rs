//! `runner explain`: what a key means, in the words of `defaults.toml`.

use toml::Value;

use super::error::{ConfigError, Place};
use super::hint;
use super::manual::Manual;
use super::names::{self, ForeignName};
use super::schema::{self, KEYS, Key, Kind, SECTIONS};
use super::value::value_text;
use crate::facts::optimizer::OptimizerKind;
use crate::units;

/// Columns of the text.
const WIDTH: usize = 100;

/// Explains a key (`optimizer.learning_rate`, or its leaf where only one section has it), another program's name for
/// one (`lr`), a section, or `extends` and `sweep`.
///
/// # Errors
/// When nothing is called so; the error names the nearest.
pub fn explain(name: &str) -> Result<String, ConfigError> {
    let name = name.trim();
    if let Some(key) = schema::key(name) {
        return Ok(explain_key(key));
    }
    if SECTIONS.contains(&name) {
        return Ok(explain_section(name));
    }
    if let Some((_, prose)) = STRUCTURE.iter().find(|(names, _)| names.contains(&name)) {
        return Ok((*prose).to_owned());
    }
    let homonyms: Vec<&Key> = KEYS.iter().filter(|key| key.leaf == name).collect();
    if !homonyms.is_empty() {
        return Ok(homonyms.into_iter().map(explain_key).collect::<Vec<_>>().join("\n"));
    }
    let leaf = name.rsplit('.').next().unwrap_or(name).to_lowercase();
    if let Some(foreign) = names::foreign_name(&leaf) {
        if foreign.key == names::EXTENDS {
            return explain(names::EXTENDS);
        }
        return Ok(explain_foreign(foreign));
    }
    let choices: Vec<&Key> = KEYS.iter().filter(|key| is_choice(key, &leaf)).collect();
    if !choices.is_empty() {
        return Ok(choices.into_iter().map(|key| explain_choice(key, &leaf)).collect::<Vec<_>>().join("\n"));
    }
    let hint = hint::for_dotted(name);
    let problem =
        ConfigError::new(Place::Argument(format!("explain {name}")), format!("nothing is called `{name}`"));
    Err(problem.key(name).help(hint.help))
}

/// All sections and keys with their defaults and first sentences.
pub fn explain_all() -> String {
    let mut text = String::from("extends, [sweep.grid] and [[sweep.zip]]: see `runner explain sweep`.\n");
    for section in SECTIONS {
        text.push('\n');
        text.push_str(&explain_section(section));
    }
    text
}

fn explain_section(section: &str) -> String {
    let manual = Manual::get();
    let mut text = format!("[{section}]\n{}", wrapped(manual.prose(section), "  "));
    for key in schema::keys_of(section) {
        let default = manual.default_of(key.name).map(value_text).unwrap_or_default();
        let head = format!("  {:<34} ", format!("{} = {default}", key.leaf));
        let sentence = wrapped(first_sentence(manual.prose(key.name)), &" ".repeat(head.chars().count()));
        text.push_str(&head);
        text.push_str(sentence.trim_start());
    }
    text
}

fn explain_key(key: &Key) -> String {
    let manual = Manual::get();
    let default = manual.default_of(key.name).map(value_text).unwrap_or_default();
    let mut text = format!("{}\n\n{}\n", key.name, wrapped(manual.prose(key.name), "  "));
    text.push_str(&format!("  takes     {}\n", key.kind.describe()));
    text.push_str(&format!("  default   {default}\n"));
    if let Some((_, programs)) = names::SHARED.iter().find(|(name, _)| *name == key.name) {
        text.push_str(&format!("  same in   {programs}\n"));
    }
    let others: Vec<String> = names::foreign_names_of(key.name).map(described).collect();
    for (index, other) in others.iter().enumerate() {
        let label = if index == 0 { "also" } else { "" };
        text.push_str(&format!("  {label:<9} {other}\n"));
    }
    text
}

/// `lr (PyTorch)`, with the difference where there is one.
fn described(foreign: &ForeignName) -> String {
    let note = if foreign.note.is_empty() { String::new() } else { format!(": {}", foreign.note) };
    format!("{} ({}){note}", foreign.name, foreign.used_by)
}

fn explain_foreign(foreign: &ForeignName) -> String {
    match schema::key(foreign.key) {
        Some(key) => {
            format!("{}\nHere it is called {}.\n\n{}", described(foreign), key.name, explain_key(key))
        }
        None => format!("{} ({})\nThere is no such key: {}.\n", foreign.name, foreign.used_by, foreign.note),
    }
}

fn is_choice(key: &Key, word: &str) -> bool {
    matches!(&key.kind, Kind::Choice(words) if words.contains(&word))
}

/// A word that is a key's value, and for an optimizer what it reads.
fn explain_choice(key: &Key, word: &str) -> String {
    let mut text = format!("{word} is a value of {}.\n\n{}", key.name, explain_key(key));
    let Some(optimizer) = OptimizerKind::of_word(word).filter(|_| key.name == "optimizer.kind") else {
        return text;
    };
    let mut lines = |label: &str, said: String| {
        let said = wrapped(&said, &" ".repeat(12));
        text.push_str(&format!("  {label:<9} {}\n", said.trim()));
    };
    let keys = schema::keys_of("optimizer")
        .map(|key| key.leaf)
        .filter(|leaf| *leaf != "kind" && optimizer.reads(leaf));
    lines("reads", keys.collect::<Vec<_>>().join(", "));
    let usual = (optimizer.facts().usual)(&|leaf| {
        let default = Manual::get().default_of(&format!("optimizer.{leaf}"));
        default.and_then(Value::as_str).unwrap_or_default().to_owned()
    });
    if !usual.is_empty() {
        let usual = usual.iter().map(|(leaf, number)| format!("{leaf} = {}", units::number(*number)));
        lines("usual", usual.collect::<Vec<_>>().join(", "));
    }
    text
}

fn first_sentence(prose: &str) -> &str {
    prose.split_once(". ").map_or(prose, |(first, _)| first).trim_end_matches('.')
}

/// Text in lines of at most [`WIDTH`] columns.
fn wrapped(prose: &str, indent: &str) -> String {
    let mut text = String::new();
    let mut line = String::new();
    for word in prose.split_whitespace() {
        if !line.is_empty() && indent.len() + line.len() + 1 + word.len() > WIDTH {
            text.push_str(&format!("{indent}{line}\n"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    text.push_str(&format!("{indent}{line}\n"));
    text
}

/// What is not a key: the structure of a file.
const STRUCTURE: &[(&[&str], &str)] = &[
    (
        &["extends"],
        "extends

  At the head of a file: another experiment file, or a list of them, whose values apply where this file
  sets none. Paths are relative to this file. Of several, a later one wins over an earlier one. Everything is taken
  over but `experiment.name`, `experiment.run` and the sweep.

  extends = \"shakespeare-124m.toml\"
",
    ),
    (
        &["sweep", "sweep.grid", "sweep.zip", "grid", "zip"],
        "[sweep.grid] and [[sweep.zip]]

  Several runs from one file. Only here does a list of values mean several runs. Each key of the grid is combined
  with every other; the keys of one [[sweep.zip]] go together, first with first, second with second, and each such
  block is combined with the grid and the other blocks. `experiment.repeats` trains each point with several seeds.
  A key that is given with --set is not swept.

  [sweep.grid]
  optimizer.learning_rate = [1e-4, 3e-4, 1e-3]

  [[sweep.zip]]
  model.n_layer = [4, 6]
  model.n_embd = [256, 384]
",
    ),
];

//! Other programs' names, as their documentation has them, and the first hint for each.

use super::super::hint::{self, Spelling};
use super::super::schema::SECTIONS;
use super::{assert_problem, errors_with};

const NAMES: &str = include_str!("elsewhere.txt");

/// Section, name and the answers that are right.
fn rows() -> impl Iterator<Item = (&'static str, &'static str, Vec<&'static str>)> {
    NAMES.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (section, rest) = line.split_once(' ').expect("a section");
        let (name, answers) = rest.trim_start().split_once(' ').expect("a name");
        (section, name, answers.split('|').map(str::trim).collect())
    })
}

/// Whether the hint is what the answer says: a key, or none and why. `none ?` is content with any hint that names no key.
fn is_right(hint: &hint::Hint, answer: &str) -> bool {
    match answer.strip_prefix("none ") {
        None => hint.key.is_some_and(|key| key.name == answer),
        Some("?") => hint.key.is_none(),
        Some(why) => hint.key.is_none() && hint.help.contains(why),
    }
}

#[test]
fn names_from_other_programs_documentation_are_answered_right_first() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (written, name, answers) in rows() {
        count += 1;
        let places: Vec<Option<&str>> = match written {
            "-" => vec![None],
            "*" => SECTIONS.iter().copied().map(Some).chain([None]).collect(),
            section => vec![Some(section)],
        };
        for place in places {
            let hint = hint::for_key(place, name, Spelling::Leaf);
            if !answers.iter().any(|answer| is_right(&hint, answer)) {
                wrong.push(format!("[{}] {name}: {} (not {answers:?})", place.unwrap_or("-"), hint.help));
            }
        }
    }
    assert!(count >= 250);
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_value_in_another_programs_words_is_answered_with_its_key() {
    assert_problem("[optimizer]\nname = \"adam\"\n", 2, &["the key is `kind`", "did you mean \"adamw\"?"]);
    assert_problem("[optimizer]\ntype = \"sgd\"\n", 2, &["the key is `kind`, kind = \"sgd\""]);
    assert_problem("[optimizer]\nkind = \"lion\"\n", 2, &["there is no such optimizer"]);
    assert_problem("[schedule]\nkind = \"wsd\"\n", 2, &["did you mean \"warmup-stable-decay\"?"]);
    assert_problem(
        "[train]\nlr_scheduler = \"wsd\"\n",
        2,
        &["`kind` in [schedule]", "\"warmup-stable-decay\"?"],
    );
}

#[test]
fn sections_that_there_are_not_say_what_there_is() {
    assert_problem("[wandb]\nproject = \"x\"\n", 1, &["there is no such section", "metrics.csv"]);
    assert_problem("[slurm]\nnodes = 2\n", 1, &["runner prepare"]);
    assert_problem("[early_stopping]\n", 1, &["did you mean [target]?", "not by patience"]);
    assert_problem("[model.attention]\nheads = 2\n", 1, &["there is no section [model.attention]"]);
    assert_problem("[train.optimizer]\nlr = 2\n", 1, &["did you mean [optimizer]?"]);
    assert_problem("defaults = [\"base\"]\n", 1, &["write extends = \"parent.toml\""]);
    let problem = super::errors("[eval]\nevery = 5\n");
    assert!(
        problem.contains("did you mean [train]?") && problem.contains("the key is `eval_interval`"),
        "{problem}"
    );
    let problem = errors_with("", &["wandb.project=x"]);
    assert!(problem.contains("metrics.csv"), "{problem}");
    let problem = errors_with("", &["trainer.max_epochs=3"]);
    assert!(problem.contains("the key is `train.max_steps` (Lightning's `max_epochs`)"), "{problem}");
}

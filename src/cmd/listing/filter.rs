//! Which runs: `--status failed --tag cpu --where optimizer.learning_rate=1e-3`.

use std::collections::BTreeSet;
use std::str::FromStr;

use super::fields::{self, Found};
use super::{Listed, Read};
use crate::facts::StopReason;
use crate::report::ending::Ending;

/// What runs have to fit; all of it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Filter {
    /// Only runs that ended or stand like this: finished, target-reached, target-missed, interrupted, waiting, running, diverged, failed,
    /// skipped, unreadable, or a class of failures such as out_of_memory. Repeatable, or with commas: one of them.
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = status)]
    status: Vec<String>,
    /// Only runs with this tag: of their experiment (`experiment.tags`), or of a checkpoint (`runner tag`). Repeatable: all of them.
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only runs whose key, metric or outcome is this: KEY=VALUE, or with !=, <, <=, >, >=. Numbers are compared as numbers, and in a
    /// text `*` stands for anything. Repeatable: all of them.
    #[arg(long = "where", value_name = "KEY=VALUE")]
    conditions: Vec<Condition>,
}

const UNREADABLE: &str = "unreadable";

fn status(text: &str) -> Result<String, String> {
    let wanted = text.replace([' ', '-'], "_");
    let classes = StopReason::FAILURES.iter().map(|class| class.key().to_owned());
    let endings = Ending::ALL.iter().map(|ending| ending.word().replace(' ', "_"));
    let known: Vec<String> = endings.chain([UNREADABLE.to_owned()]).chain(classes).collect();
    if known.contains(&wanted) {
        return Ok(wanted);
    }
    let mut seen = BTreeSet::new();
    let known: Vec<String> = known.into_iter().filter(|word| seen.insert(word.clone())).collect();
    Err(format!("the words are {}", known.join(", ")))
}

impl Filter {
    /// The names that its conditions are about.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.conditions.iter().map(|condition| condition.name.as_str())
    }

    /// Whether all runs fit.
    pub fn is_empty(&self) -> bool {
        self.status.is_empty() && self.tags.is_empty() && self.conditions.is_empty()
    }

    pub fn takes(&self, listed: &Listed) -> bool {
        match &listed.run {
            Err(_) => self.is_empty() || self.status.iter().any(|status| status == UNREADABLE),
            Ok(run) => {
                (self.status.is_empty() || self.status.iter().any(|status| stands(run, status)))
                    && self.tags.iter().all(|tag| is_tagged(run, tag))
                    && self
                        .conditions
                        .iter()
                        .all(|condition| condition.holds(fields::find(run, &condition.name)))
            }
        }
    }
}

/// By its experiment, or one of its checkpoints.
fn is_tagged(run: &Read, tag: &String) -> bool {
    run.manifest.run.tags.contains(tag) || run.tags.iter().any(|(name, _)| name == tag)
}

fn stands(run: &Read, status: &str) -> bool {
    let ending = Ending::of(&run.manifest);
    let class = run.manifest.stop_reason.map(StopReason::key);
    ending.word().replace(' ', "_") == status
        || (status == "finished" && ending.is_planned())
        || (!ending.is_planned() && class == Some(status))
}

/// `optimizer.learning_rate>=1e-3`.
#[derive(Clone, Debug, PartialEq)]
struct Condition {
    name: String,
    relation: Relation,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    Unequal,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const SIGNS: [(&str, Relation); 7] = [
            ("!=", Relation::Unequal),
            ("<=", Relation::LessOrEqual),
            (">=", Relation::GreaterOrEqual),
            ("==", Relation::Equal),
            ("=", Relation::Equal),
            ("<", Relation::Less),
            (">", Relation::Greater),
        ];
        let signs = SIGNS.iter().filter_map(|(sign, relation)| Some((text.find(sign)?, *sign, *relation)));
        // Of signs at one place the longest.
        let first = signs.min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()));
        match first {
            Some((at, sign, relation)) if at > 0 => {
                let value = text[at + sign.len()..].trim().trim_matches('"').to_owned();
                Ok(Self { name: text[..at].trim().to_owned(), relation, value })
            }
            _ => {
                Err("write KEY=VALUE, or with !=, <, <=, > or >= between, in quotes: 'val_loss<1.5'"
                    .to_owned())
            }
        }
    }
}

impl Condition {
    /// What is not known is nothing but unequal.
    fn holds(&self, found: Option<Found>) -> bool {
        let Some(found) = found else { return self.relation == Relation::Unequal };
        let number = match &found {
            Found::Number(number, _) => Some(*number),
            Found::Text(text) => text.parse::<f64>().ok(),
        };
        match (number, self.value.replace('_', "").parse::<f64>()) {
            (Some(is), Ok(wanted)) => match self.relation {
                Relation::Equal => same(is, wanted),
                Relation::Unequal => !same(is, wanted),
                Relation::Less => is < wanted,
                Relation::LessOrEqual => is < wanted || same(is, wanted),
                Relation::Greater => is > wanted,
                Relation::GreaterOrEqual => is > wanted || same(is, wanted),
            },
            _ => match self.relation {
                Relation::Equal => fits(&self.value, &found.shown()),
                Relation::Unequal => !fits(&self.value, &found.shown()),
                // Words have no size.
                _ => false,
            },
        }
    }
}

/// 0.1 + 0.2 is what a person calls 0.3.
fn same(a: f64, b: f64) -> bool {
    a == b || (a - b).abs() <= 1e-12 * a.abs().max(b.abs())
}

/// Whether `text` is `pattern`, where `*` stands for anything.
fn fits(pattern: &str, text: &str) -> bool {
    let parts: Vec<&str> = pattern.split('*').collect();
    let [first, middle @ .., last] = parts.as_slice() else { return pattern == text };
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, found: Option<Found>) -> bool {
        condition.parse::<Condition>().unwrap().holds(found)
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let rate = || Some(Found::Number(1e-3, None));
        for condition in
            ["x=0.001", "x=1e-3", "x==1.0e-3", "x<0.0011", "x<=0.001", "x>=0.001", "x>9e-4", "x!=0.002"]
        {
            assert!(holds(condition, rate()), "{condition}");
        }
        for condition in ["x=0.002", "x<0.001", "x>0.001", "x!=1e-3", "x=one"] {
            assert!(!holds(condition, rate()), "{condition}");
        }
        assert!(holds("x=300_000", Some(Found::Number(300_000.0, None))));
    }

    #[test]
    fn words_are_equal_or_not_and_a_star_stands_for_anything() {
        let word = || Some(Found::Text("experiments/a=b.txt".to_owned()));
        for condition in ["x=experiments/a=b.txt", "x=exp*.txt", "x=*a=b*", "x!=other", "x=*"] {
            assert!(holds(condition, word()), "{condition}");
        }
        for condition in ["x=exp", "x<z", "x=*.md", "x!=exp*"] {
            assert!(!holds(condition, word()), "{condition}");
        }
        assert!(holds("x!=1", None) && !holds("x=1", None) && !holds("x<1", None));
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "val_loss", "=1", "<1"] {
            assert!(text.parse::<Condition>().is_err(), "{text}");
        }
        assert!(
            status("target reached").is_ok() && status("target-reached").is_ok() && status("oom").is_err()
        );
    }
}

//! Which key was meant: a right key in another section, another program's name, or the nearest by edit distance.

use strsim::damerau_levenshtein;

use super::names;
use super::schema::{self, KEYS, Key, SECTIONS};

/// What to say about a name that is not a key.
pub(super) struct Hint {
    /// The key meant, when there is little doubt.
    pub key: Option<&'static Key>,
    pub help: String,
}

/// How the help spells a key, so that it can be typed where the wrong one stands.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `learning_rate`, under the header of its section.
    Leaf,
    /// `optimizer.learning_rate`, in a sweep and after `--set`.
    Dotted,
}

/// The hint for `leaf`, written in `section` if that is known.
pub(super) fn for_key(section: Option<&str>, leaf: &str, spelling: Spelling) -> Hint {
    let lower = leaf.to_lowercase().replace('-', "_");
    let lower = lower.rsplit('.').next().unwrap_or(&lower);
    let found = |key: &'static Key, help: String| Hint { key: Some(key), help };

    if let Some(key) = section.and_then(|section| schema::keys_of(section).find(|key| key.leaf == lower)) {
        return found(key, format!("it is written {}", spelled(key, section, spelling)));
    }
    let elsewhere: Vec<&'static Key> =
        KEYS.iter().filter(|key| key.leaf == lower && key.section != "reference").collect();
    if let [first, rest @ ..] = elsewhere.as_slice() {
        let sections: Vec<String> = elsewhere.iter().map(|key| format!("[{}]", key.section)).collect();
        let help = if spelling == Spelling::Leaf {
            format!("`{lower}` belongs in {}", sections.join(" or "))
        } else {
            let names: Vec<String> = elsewhere.iter().map(|key| format!("`{}`", key.name)).collect();
            format!("write {}", names.join(" or "))
        };
        return Hint { key: rest.is_empty().then_some(*first), help };
    }
    if let Some(foreign) = names::foreign_name(lower) {
        let note = if foreign.note.is_empty() { String::new() } else { format!("; {}", foreign.note) };
        return match schema::key(foreign.key) {
            Some(key) => {
                let spelled = spelled(key, section, spelling);
                let whose = if foreign.used_by == names::COMMON {
                    String::new()
                } else {
                    format!(" ({}'s `{lower}`)", foreign.used_by)
                };
                found(key, format!("the key is {spelled}{whose}{note}"))
            }
            None => Hint { key: None, help: format!("there is no such key: {}", foreign.note) },
        };
    }
    let near = section.and_then(|section| nearest(lower, schema::keys_of(section)));
    if let Some(key) = near.or_else(|| nearest(lower, KEYS.iter())) {
        return found(key, format!("did you mean {}?", spelled(key, section, spelling)));
    }
    let help = match section {
        Some(section) => {
            let leaves: Vec<&str> = schema::keys_of(section).map(|key| key.leaf).collect();
            format!("the keys of [{section}] are {}", leaves.join(", "))
        }
        None => "`runner explain` lists all keys".into(),
    };
    Hint { key: None, help }
}

/// The section meant by a wrong name, if any: `sweep.grid` and `sweep.zip` included.
pub(super) fn for_section(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let foreign =
        names::FOREIGN_SECTIONS.iter().find(|(foreign, _)| *foreign == lower).map(|(_, ours)| *ours);
    foreign.or_else(|| nearest_word(&lower, SECTIONS.iter().copied().chain(["sweep", "extends"])))
}

/// The word of a choice that was meant.
pub(super) fn for_value(key: &Key, word: &str, words: &'static [&'static str]) -> Option<&'static str> {
    let foreign = names::foreign_values()
        .find(|(name, foreign, _)| *name == key.name && foreign.eq_ignore_ascii_case(word));
    foreign.map(|(_, _, ours)| ours).or_else(|| nearest_word(&word.to_lowercase(), words.iter().copied()))
}

/// The requirement that was meant.
pub(super) fn nearest_requirement(text: &str) -> Option<&'static str> {
    let name = text.split('=').next().unwrap_or(text).trim().to_lowercase();
    match name.as_str() {
        "gpu" => Some("cuda"),
        "memory" | "min_memory" | "ram" => Some("min_memory_gb=16"),
        _ => nearest_word(&name, ["cuda", "init_from", "min_memory_gb"].into_iter())
            .map(|near| if near == "min_memory_gb" { "min_memory_gb=16" } else { near }),
    }
}

fn spelled(key: &Key, section: Option<&str>, spelling: Spelling) -> String {
    match spelling {
        Spelling::Dotted => format!("`{}`", key.name),
        Spelling::Leaf if section == Some(key.section) => format!("`{}`", key.leaf),
        Spelling::Leaf => format!("`{}` in [{}]", key.leaf, key.section),
    }
}

fn nearest(leaf: &str, keys: impl Iterator<Item = &'static Key>) -> Option<&'static Key> {
    keys.filter(|key| key.section != "reference")
        .filter_map(|key| Some((distance(leaf, key.leaf)?, key)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

fn nearest_word(word: &str, words: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    words
        .filter(|candidate| !candidate.is_empty())
        .filter_map(|candidate| Some((distance(word, candidate)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance, if at most a third of the longer word differs: short words match only their own misspellings. A word
/// that is much longer is not looked at, which would take time and memory by the product of both lengths.
fn distance(word: &str, candidate: &str) -> Option<usize> {
    let (length, other) = (word.chars().take(candidate.len() * 2 + 1).count(), candidate.chars().count());
    let longer = length.max(other);
    if length.abs_diff(other) * 3 > longer {
        return None;
    }
    Some(damerau_levenshtein(word, candidate)).filter(|distance| distance * 3 <= longer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(section: Option<&str>, leaf: &str) -> String {
        let spelling = if section.is_some() { Spelling::Leaf } else { Spelling::Dotted };
        for_key(section, leaf, spelling).help
    }

    #[test]
    fn names_of_other_programs_lead_to_the_key_that_is_meant() {
        assert_eq!(help(Some("optimizer"), "lr"), "the key is `learning_rate` (PyTorch's `lr`)");
        assert_eq!(help(Some("train"), "lr"), "the key is `learning_rate` in [optimizer] (PyTorch's `lr`)");
        assert_eq!(help(None, "lr"), "the key is `optimizer.learning_rate` (PyTorch's `lr`)");
        assert!(help(Some("schedule"), "warmup_ratio").ends_with("a number of steps here"));
    }

    #[test]
    fn a_right_key_in_the_wrong_section_is_sent_to_the_right_one() {
        assert_eq!(help(Some("model"), "batch_size"), "`batch_size` belongs in [train]");
        assert_eq!(help(Some("model"), "interval"), "`interval` belongs in [checkpoint] or [sample]");
        assert_eq!(help(None, "batch_size"), "write `train.batch_size`");
    }

    #[test]
    fn misspellings_lead_to_the_nearest_key_and_nonsense_to_none() {
        assert_eq!(help(Some("train"), "batchsize"), "did you mean `batch_size`?");
        assert_eq!(help(Some("train"), "Batch-Size"), "it is written `batch_size`");
        assert_eq!(help(Some("model"), "wieght_decay"), "did you mean `weight_decay` in [optimizer]?");
        assert!(help(Some("target"), "zzzzzz").starts_with("the keys of [target] are metric, threshold"));
    }

    #[test]
    fn sections_and_values_have_hints_too() {
        assert_eq!(for_section("training"), Some("train"));
        assert_eq!(for_section("optimzer"), Some("optimizer"));
        assert_eq!(for_section("zzz"), None);
        let key = schema::key("schedule.kind").expect("a key");
        assert_eq!(for_value(key, "WSD", &["constant", "warmup-stable-decay"]), Some("warmup-stable-decay"));
        assert_eq!(for_value(key, "cosin", &["constant", "cosine"]), Some("cosine"));
    }
}

//! Which word of a choice was meant.

use super::super::names::{self, squashed};
use super::super::schema::{KEYS, Key, Kind};
use super::{is_legible, nearest};

/// What to say about a word that the key does not take: the one that is meant, whose word it is, or that there is nothing of the kind.
pub(in super::super) fn for_value(key: &Key, word: &str, words: &[&'static str]) -> Option<String> {
    if !is_legible(word) {
        return None;
    }
    if let Some(meant) = names::foreign_value(key.name, word) {
        return Some(told(meant));
    }
    if let Some(own) = words.iter().find(|own| squashed(own) == squashed(word)) {
        return Some(did_you_mean(own));
    }
    names::value_by_words(key.name, word)
        .filter(|(ours, _)| *ours != word)
        .map(told)
        .or_else(|| owner(key, word))
        .or_else(|| nearest::word(&word.to_lowercase(), words.iter().copied()).map(did_you_mean))
        .or_else(|| names::any_other_value(key.name).map(str::to_owned))
}

fn told(meant: (&str, &str)) -> String {
    match meant {
        ("", note) => note.to_owned(),
        (ours, "") => did_you_mean(ours),
        (ours, note) => format!("{} {note}", did_you_mean(ours)),
    }
}

/// Another key that takes the word.
fn owner(key: &Key, word: &str) -> Option<String> {
    let others = KEYS.iter().filter(|other| other.name != key.name && other.section != "scripted");
    others.into_iter().find_map(|other| {
        let Kind::Choice(words) = other.kind else { return None };
        let own = words.iter().copied().find(|own| !own.is_empty() && squashed(own) == squashed(word));
        let ours = own.or_else(|| {
            names::foreign_value(other.name, word).map(|(ours, _)| ours).filter(|ours| !ours.is_empty())
        })?;
        // A word such as "none" is at home in several.
        (ours != "none").then(|| {
            format!(
                "that is a word of `{}`: write {} = \"{ours}\" in [{}]",
                other.name, other.leaf, other.section
            )
        })
    })
}

pub(super) fn did_you_mean(word: &str) -> String {
    format!("did you mean \"{word}\"?")
}

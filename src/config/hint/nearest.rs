//! Slips of the keyboard.

use strsim::damerau_levenshtein;

use super::super::names::words;
use super::super::schema::Key;

/// The key whose name differs by a slip, and not by a word that has a meaning of its own: `keep_best` is not `keep_last`.
pub(super) fn key(name: &str, keys: impl Iterator<Item = &'static Key>) -> Option<&'static Key> {
    let parts = words::parts(name);
    let name = parts.join("_");
    let is_slip = |leaf: &str| {
        let leaf = words::parts(leaf);
        // A short word for another is no slip: `wa_interval` is not `eval_interval`.
        if leaf.len() == parts.len() && !parts.iter().zip(&leaf).all(|(part, own)| is_near(part, own)) {
            return false;
        }
        parts.iter().filter(|part| !leaf.contains(part)).all(|part| !words::is_known(part))
    };
    keys.filter(|key| !matches!(key.section, "reference" | "scripted"))
        .filter_map(|key| Some((distance(&name, key.leaf)?, key)))
        .filter(|(distance, key)| distance * 4 <= key.leaf.len().max(6))
        .filter(|(_, key)| is_slip(key.leaf))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, key)| key)
}

/// Whether one word is the other, or a slip of it.
fn is_near(part: &str, own: &str) -> bool {
    let shorter = part.len().min(own.len());
    part == own || shorter >= 3 && damerau_levenshtein(part, own) * 3 <= shorter + 2
}

/// The nearest of some words.
pub(super) fn word(word: &str, words: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    words
        .filter(|candidate| !candidate.is_empty())
        .filter_map(|candidate| Some((distance(word, candidate)?, candidate)))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The requirement that was meant.
pub(in super::super) fn nearest_requirement(text: &str) -> Option<&'static str> {
    let name = text.split('=').next().unwrap_or(text).trim().to_lowercase();
    match name.as_str() {
        "gpu" => Some("cuda"),
        "memory" | "min_memory" | "ram" => Some("min_memory_gb=16"),
        _ => word(&name, ["cuda", "init_from", "min_memory_gb"].into_iter())
            .map(|near| if near == "min_memory_gb" { "min_memory_gb=16" } else { near }),
    }
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

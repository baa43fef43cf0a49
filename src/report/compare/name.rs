//! What comparisons are called.

use crate::files::{is_device_name, is_folder_name, sha256};
use crate::report::ReportError;

/// Longest name that is made here, in characters.
const MAX_LENGTH: usize = 80;

/// What a comparison is called when nobody says: after the experiments of its runs, in order. Where not all of them fit,
/// a hash of all names keeps different comparisons apart.
pub fn name_for(experiments: &[&str]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in experiments {
        if !name.is_empty() && !names.contains(name) {
            names.push(name);
        }
    }
    let all = names.join("-vs-");
    let short = |name: &String| name.chars().count() <= MAX_LENGTH;
    match names[..] {
        [] => "comparison".to_owned(),
        [only] => only.to_owned(),
        _ if short(&all) => all,
        [first, ..] => {
            let hash = hash(&names);
            let ending = |kept: usize| format!("-and-{}-more-{hash}", names.len() - kept);
            let whole = |kept: usize| names[..kept].join("-vs-") + &ending(kept);
            (1..names.len()).rev().map(whole).find(short).unwrap_or_else(|| {
                let ending = ending(1);
                first.chars().take(MAX_LENGTH - ending.len()).collect::<String>() + &ending
            })
        }
    }
}

/// First 8 hexadecimal digits of the SHA-256 of the names, a line each.
fn hash(names: &[&str]) -> String {
    sha256(names.join("\n").as_bytes())[..8].to_owned()
}

/// A comparison's name as a user gave it. It names a file and a folder beside the index of comparisons.
///
/// # Errors
/// [`ReportError::BadName`] for what cannot name a folder, as for names of experiments, and for the index's own name.
pub fn checked_name(name: &str) -> Result<String, ReportError> {
    if is_folder_name(name) && !name.eq_ignore_ascii_case("readme") && !is_of_notes(name) {
        Ok(name.to_owned())
    } else {
        Err(ReportError::BadName { name: name.to_owned() })
    }
}

/// Whether a comparison of this name would lie where people write of another.
fn is_of_notes(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(NOTES)
}

/// What the name of a comparison's notes ends with, before the ending of the file.
const NOTES: &str = ".notes";

/// The name of the file with what people write of a comparison.
pub(super) fn notes_file(file: &str) -> String {
    format!("{file}{NOTES}.md")
}

/// The comparison's name as one file name. Manifests can come from anywhere, and the names in them too.
pub(super) fn file_name(name: &str) -> String {
    let safe: String =
        name.chars().map(|c| if c.is_control() || "/\\:*?\"<>|".contains(c) { '-' } else { c }).collect();
    let mut safe = safe.trim_matches(['.', ' ']).to_owned();
    if is_of_notes(&safe) {
        safe = format!("{}-notes", &safe[..safe.len() - NOTES.len()]);
    }
    // The index lies beside the comparisons.
    if safe.is_empty() || safe.eq_ignore_ascii_case("readme") || is_device_name(&safe) {
        format!("comparison-{safe}")
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn comparisons_are_called_after_their_experiments() {
        assert_eq!(name_for(&["a"]), "a");
        assert_eq!(name_for(&["b", "a", "b"]), "b-vs-a");
        assert_eq!(name_for(&["a", "b", "c"]), "a-vs-b-vs-c");
        assert_eq!(name_for(&["a", "b", "d"]), "a-vs-b-vs-d");
        assert_eq!(name_for(&[]), "comparison");
        assert_eq!(name_for(&["", ""]), "comparison");
    }

    #[test]
    fn names_that_do_not_fit_give_the_first_ones_and_a_hash_of_all() {
        let name =
            |last: &str| name_for(&["shakespeare-124m", "shakespeare-355m", "shakespeare-774m", "b", last]);
        let long = "shakespeare-1558m-with-dropout";
        // The hash is part of addresses that people link to: it must not change.
        assert_eq!(
            name(long),
            "shakespeare-124m-vs-shakespeare-355m-vs-shakespeare-774m-and-2-more-35d676ae"
        );
        assert_ne!(name(long), name("shakespeare-1558m-without-dropout"));
    }

    proptest! {
        #[test]
        fn different_experiments_give_different_names_of_bounded_length(
            left in prop::collection::btree_set("[a-z]{1,30}", 2..8),
            right in prop::collection::btree_set("[a-zäöü]{90}", 2..8),
        ) {
            let name = |names: &BTreeSet<String>| name_for(&names.iter().map(String::as_str).collect::<Vec<_>>());
            for names in [&left, &right] {
                prop_assert!(name(names).chars().count() <= MAX_LENGTH, "{}", name(names));
                let mut other = names.clone();
                other.pop_last();
                prop_assert_ne!(name(names), name(&other));
            }
            prop_assert!(is_folder_name(&name(&left)));
        }
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_refused_with_the_rule() {
        assert_eq!(checked_name("lr-sweep_2.v1").unwrap(), "lr-sweep_2.v1");
        let long = "x".repeat(101);
        for name in ["", ".", "..", "../x", "a/b", r"a\b", "README", "readme", ".a", "a b", "a.notes", &long]
        {
            let error = checked_name(name).unwrap_err();
            assert!(matches!(error, ReportError::BadName { .. }), "{name}");
            assert!(error.to_string().contains("letters, digits, `.`, `_` and `-`"), "{error}");
        }
        // An experiment may be called so.
        assert_eq!((file_name("a.notes"), notes_file("a")), ("a-notes".to_owned(), "a.notes.md".to_owned()));
    }

    #[test]
    fn names_cannot_leave_the_reports_folder() {
        assert_eq!(file_name("../../etc/passwd"), "-..-etc-passwd");
        assert_eq!(file_name("README"), "comparison-README");
        assert_eq!(file_name(""), "comparison-");
    }
}

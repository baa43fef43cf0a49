//! Which section was meant by a header.

use super::super::names::{self, squashed};
use super::super::schema::SECTIONS;
use super::{is_legible, nearest};

/// What to say about a header that is none.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum SectionHint {
    /// One of ours, `sweep.grid`, `sweep.zip` or `extends`; and what else is to be known.
    Meant(&'static str, &'static str),
    /// There is nothing of the kind: why, or what there is instead.
    Absent(&'static str),
    Unknown,
}

/// The section meant by a wrong name.
pub(in super::super) fn for_section(name: &str) -> SectionHint {
    if !is_legible(name) {
        return SectionHint::Unknown;
    }
    if let Some(own) = SECTIONS.iter().find(|section| squashed(section) == squashed(name)) {
        return SectionHint::Meant(own, "");
    }
    match names::section(name) {
        Some(("", why)) => return SectionHint::Absent(why),
        Some((section, note)) => return SectionHint::Meant(section, note),
        None => {}
    }
    let lower = name.to_lowercase();
    if let Some(near) = nearest::word(&lower, SECTIONS.iter().copied().chain(["sweep", "extends"])) {
        return SectionHint::Meant(near, "");
    }
    let words = names::words::Words::of(name);
    names::words::absent(&words).map_or(SectionHint::Unknown, SectionHint::Absent)
}

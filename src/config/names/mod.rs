//! What other programs call things. Only errors and `runner explain` read these tables: other names are never accepted,
//! they are answered with the key that is meant. Edit distance alone would answer `lr` with `min_lr`.

mod contexts;
mod keys;
mod more;
mod notes;
mod sections;
mod shared;
#[cfg(test)]
mod tests;
mod value_words;
mod values;
pub(super) mod words;

use contexts::CONTEXTS;
pub(super) use keys::COMMON;
pub use keys::FOREIGN;
pub(super) use more::EXTENDS;
use more::MORE;
pub(super) use notes::{OTHER_WAY, ZERO_IS_OFF};
use sections::FOREIGN_SECTIONS;
pub use shared::SHARED;
use values::{FOREIGN_VALUES, INIT_WORDS};

use crate::facts::optimizer::OptimizerKind;

/// A name from elsewhere.
#[derive(Debug)]
pub struct ForeignName {
    /// Sections that it means this in, parted by spaces; empty where it means the same anywhere.
    pub within: &'static str,
    pub name: &'static str,
    /// The dotted key meant, or `extends`; empty when there is none.
    pub key: &'static str,
    /// Who says so.
    pub used_by: &'static str,
    /// Where the meaning differs, or why there is no such key. Empty when it is the same thing.
    pub note: &'static str,
}

/// A name without what people spell differently: `nLayer`, `n-layer`, `N_LAYER`.
pub(super) fn squashed(name: &str) -> String {
    name.chars().filter(|sign| sign.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// All names that mean the same in any section.
fn all() -> impl Iterator<Item = &'static ForeignName> {
    FOREIGN.iter().chain(MORE)
}

/// What other programs call `key`.
pub fn foreign_names_of(key: &str) -> impl Iterator<Item = &'static ForeignName> {
    all().filter(move |foreign| foreign.key == key)
}

/// The entry of a name from elsewhere.
pub fn foreign_name(name: &str) -> Option<&'static ForeignName> {
    let name = squashed(name);
    all().find(|foreign| squashed(foreign.name) == name)
}

/// The entry of a name that differs by being one or several. Where a rule says more of the name it is asked first: `gpu_id` is not `gpu_ids`.
pub(super) fn foreign_plural(name: &str) -> Option<&'static ForeignName> {
    let name = squashed(name);
    match name.strip_suffix('s') {
        Some(one) => foreign_name(one),
        None => foreign_name(&format!("{name}s")),
    }
}

/// The entry of a name that means something of its own in this section, squashed.
pub(super) fn in_section(section: &str, name: &str) -> Option<&'static ForeignName> {
    let section = squashed(section);
    CONTEXTS
        .iter()
        .filter(|foreign| foreign.within.split(' ').any(|within| squashed(within) == section))
        .find(|foreign| foreign.name.split(' ').any(|one| squashed(one) == name))
}

/// What all that a section is about comes down to, for names of what there is not.
pub(super) fn whole(section: &str) -> Option<&'static str> {
    match section {
        "model" => Some("the architecture is GPT-2's, and its sizes are what can be chosen"),
        "optimizer" => Some("the optimizers are AdamW, SGD with momentum and Muon, without further variants"),
        "schedule" => Some(notes::SHAPES),
        "sample" => Some(notes::SAMPLING),
        "checkpoint" => {
            Some("a checkpoint holds all that a run needs to go on, and how it is written is not chosen")
        }
        "data" => Some(notes::AS_IT_IS),
        "hardware" => {
            Some("a run computes on one device of one machine, and what a cluster is asked for is said there")
        }
        "target" => Some("a run ends early by one thing alone, a metric that falls below a threshold"),
        _ => None,
    }
}

/// What to say of a value of `train.init_from` that means something else than a model in other programs, or one that is to be
/// had first.
pub fn init_word(word: &str) -> Option<&'static str> {
    let wanted = squashed(word);
    INIT_WORDS
        .iter()
        .find(|(words, _)| words.split(' ').any(|one| squashed(one) == wanted))
        .map(|(_, note)| *note)
}

/// The section of ours that another program's header stands for (empty: there is none), and what to say of it.
pub(super) fn section(name: &str) -> Option<(&'static str, &'static str)> {
    const ENDS: &[&str] = &[
        "config",
        "cfg",
        "conf",
        "args",
        "arguments",
        "params",
        "parameters",
        "settings",
        "options",
        "opts",
        "kwargs",
        "section",
    ];
    let find = |name: &str| {
        FOREIGN_SECTIONS
            .iter()
            .find(|(foreign, _, _)| squashed(foreign) == name)
            .map(|(_, ours, note)| (*ours, *note))
    };
    let name = squashed(name);
    find(&name).or_else(|| {
        let bare = ENDS.iter().find_map(|end| name.strip_suffix(end)).filter(|bare| !bare.is_empty())?;
        let own = super::schema::SECTIONS.iter().find(|section| squashed(section) == bare);
        own.map(|own| (*own, "")).or_else(|| find(bare))
    })
}

/// As [`foreign_value`], by what the value is made of.
pub(super) fn value_by_words(key: &str, word: &str) -> Option<(&'static str, &'static str)> {
    value_words::meant(key, word)
}

/// What to say of a value of this key that nothing is known of.
pub(super) fn any_other_value(key: &str) -> Option<&'static str> {
    value_words::any_other(key)
}

/// The word of ours for another program's value of this key (empty: there is none), and what to say of it.
pub(super) fn foreign_value(key: &str, word: &str) -> Option<(&'static str, &'static str)> {
    let wanted = squashed(word);
    let in_table =
        FOREIGN_VALUES.iter().find(|(name, foreign, _, _)| *name == key && squashed(foreign) == wanted);
    in_table.map(|(_, _, ours, note)| (*ours, *note)).or_else(|| {
        let of_kind =
            |kind: &&OptimizerKind| kind.facts().other_words.iter().any(|other| squashed(other) == wanted);
        let kind = OptimizerKind::ALL.iter().find(of_kind).filter(|_| key == "optimizer.kind")?;
        Some((kind.facts().word, ""))
    })
}

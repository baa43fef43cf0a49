//! Where a value came from.

use super::error::Place;

/// The source of one value.
#[derive(Clone, Debug)]
pub(in crate::config) enum Origin {
    /// `defaults.toml`.
    Default,
    /// What is usual for the optimizer of this word.
    Usual(&'static str),
    /// An experiment file or `--set`.
    Written(Place),
    /// The file that a run keeps: whoever set it has heard what there was to say when the run was made.
    Frozen(Place),
    /// A size that `model.preset` stands for, and where that is written.
    Preset { name: String, place: Place },
    /// A sweep point, and where its value is written.
    Sweep(Place),
}

impl Origin {
    /// As a person would name it: `default`, `usual for muon`, `experiments/a.toml:12`, `preset gpt2`, `sweep`, `--set`.
    pub fn source(&self) -> String {
        match self {
            Origin::Default => "default".into(),
            Origin::Usual(optimizer) => format!("usual for {optimizer}"),
            Origin::Written(place) | Origin::Frozen(place) => place.short(),
            Origin::Preset { name, .. } => format!("preset {name}"),
            Origin::Sweep(_) => "sweep".into(),
        }
    }

    /// Where a person would change it.
    pub fn place(&self) -> Place {
        match self {
            Origin::Default | Origin::Usual(_) => Place::Default,
            Origin::Written(place)
            | Origin::Frozen(place)
            | Origin::Preset { place, .. }
            | Origin::Sweep(place) => place.clone(),
        }
    }

    pub fn is_default(&self) -> bool {
        matches!(self, Origin::Default | Origin::Usual(_))
    }
}

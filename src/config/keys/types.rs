//! Types of keys, and the kind of value that each type takes where it alone decides that.

use serde::Deserialize;

use super::kind::Kind;
use crate::facts::Words;

/// The coefficients of all Newton-Schulz iterations, or of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum Coefficients {
    Same([f64; 3]),
    Each(Vec<[f64; 3]>),
}

impl Coefficients {
    /// As a list, of which the last serves those that follow.
    pub fn each(&self) -> &[[f64; 3]] {
        match self {
            Self::Same(same) => std::slice::from_ref(same),
            Self::Each(each) => each,
        }
    }
}

/// A path, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::config) enum Paths {
    One(String),
    Several(Vec<String>),
}

impl Paths {
    pub fn count(&self) -> usize {
        match self {
            Self::One(path) => usize::from(!path.is_empty()),
            Self::Several(paths) => paths.len(),
        }
    }
}

/// A type of which every key takes the same values.
pub(in crate::config) trait OfType {
    const KIND: Kind;
}

macro_rules! of_type {
    ($( $type:ty: $Kind:ident, )*) => {
        $( impl OfType for $type { const KIND: Kind = Kind::$Kind; } )*
    };
}

of_type! {
    bool: Switch,
    String: Text,
    Vec<String>: Texts,
    Vec<f64>: Weights,
    Vec<(u64, f64)>: Curve,
    Coefficients: Coefficients,
    Paths: Paths,
}

impl<T: Words> OfType for T {
    const KIND: Kind = Kind::Choice(T::WORDS);
}

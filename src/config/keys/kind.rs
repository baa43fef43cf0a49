//! What values a key takes.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use crate::units;

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from `min` to `max`, both included.
    Integer {
        min: u64,
        max: u64,
    },
    /// A finite number between two bounds.
    Number {
        low: Bound<f64>,
        high: Bound<f64>,
    },
    Switch,
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file or folder, resolved against the folder of the file that names it.
    Path,
    /// One of them, or a list.
    Paths,
    /// A list of numbers above 0.
    Weights,
    /// A name that is also safe as the name of a folder.
    Name,
    /// The same for a run, whose name may also have the signs that a sweep point is written with.
    RunName,
    /// A length of time: `90m`, `1h 30m`, or a number of seconds.
    Duration,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `scripted`.
    Device,
    /// A list of what a machine must have.
    Requirements,
    /// A list of strings.
    Texts,
    /// A list of [step, loss].
    Curve,
    /// Three numbers, or a list of such lists.
    Coefficients,
}

pub(super) const fn int(min: u64, max: u64) -> Kind {
    Kind::Integer { min, max }
}

pub(super) const fn num(low: Bound<f64>, high: Bound<f64>) -> Kind {
    Kind::Number { low, high }
}

pub(super) const fn choice(words: &'static [&'static str]) -> Kind {
    Kind::Choice(words)
}

pub(super) const ZERO_OR_MORE: Kind = num(Included(0.0), Unbounded);
pub(super) const ABOVE_ZERO: Kind = num(Excluded(0.0), Unbounded);
/// A share that may be 0 but not 1: fractions, decay rates, dropout.
pub(super) const BELOW_ONE: Kind = num(Included(0.0), Excluded(1.0));

/// Largest count of steps. Generous, and small enough that steps x tokens per step fits 64 bits.
pub(super) const MAX_STEPS: u64 = 1_000_000_000;
/// Largest seed: the largest whole number that every tool reading JSON or CSV keeps exact.
pub(super) const MAX_SEED: u64 = 1 << 53;

impl Kind {
    /// Whether a value of this kind is written as a string.
    pub fn is_text(&self) -> bool {
        use Kind::*;
        matches!(self, Text | Choice(_) | Path | Paths | Name | RunName | Duration | Device)
    }

    /// The values in words: `a whole number from 1 to 1,000`.
    pub fn describe(&self) -> String {
        match self {
            Kind::Integer { min, max } => {
                format!("a whole number from {} to {}", units::count(*min), units::count(*max))
            }
            Kind::Number { low, high } => {
                let low = match low {
                    Included(low) => Some(format!("at least {low}")),
                    Excluded(low) => Some(format!("above {low}")),
                    Unbounded => None,
                };
                let high = match high {
                    Included(high) => Some(format!("at most {high}")),
                    Excluded(high) => Some(format!("below {high}")),
                    Unbounded => None,
                };
                let bounds: Vec<String> = low.into_iter().chain(high).collect();
                if bounds.is_empty() {
                    "a number".into()
                } else {
                    format!("a number {}", bounds.join(" and "))
                }
            }
            Kind::Switch => "true or false".into(),
            Kind::Text => "a string".into(),
            Kind::Choice(words) => one_of(words),
            Kind::Path => "a path as a string".into(),
            Kind::Paths => "a path as a string, or a list of paths".into(),
            Kind::Weights => "a list of numbers above 0".into(),
            Kind::Name => "a string of letters, digits, `.`, `_` and `-`, up to 100 characters".into(),
            Kind::RunName => {
                "a string of letters, digits, `.`, `_`, `-`, `=`, `,` and `+`, up to 120 characters".into()
            }
            Kind::Duration => "a length of time such as \"90m\", \"1h 30m\", or a number of seconds".into(),
            Kind::Device => "\"auto\", \"cpu\", \"cuda\", \"cuda:N\" or \"scripted\"".into(),
            Kind::Requirements => "a list of \"cuda\", \"init_from\" and \"min_memory_gb=N\"".into(),
            Kind::Texts => "a list of strings".into(),
            Kind::Curve => "a list of [step, loss] with rising steps".into(),
            Kind::Coefficients => "three numbers [a, b, c], or a list of such lists".into(),
        }
    }
}

/// `"a", "b" or "c"`; the empty word is left out, since what it means is said elsewhere.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> =
        words.iter().filter(|word| !word.is_empty()).map(|word| format!("\"{word}\"")).collect();
    units::listed(&quoted, "or")
}

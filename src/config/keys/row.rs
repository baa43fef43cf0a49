//! How a section declares its keys, each in one row:
//!
//! ```text
//! /// What it means. 0: what 0 stands for.
//! learning_rate: f64 = 3e-4, ABOVE_ZERO;
//! ```
//!
//! From them it has a struct with a field for each key, which is that part of a plan, reads each from a value and writes it again. A
//! type whose every key takes the same values (a switch, the words of an enum) needs no kind. A key without prose, type, default or
//! kind does not compile, nor does one whose default is of another kind or whose prose does not end.

use toml::Value;

use super::kind::Kind;
use super::schema::Key;
use super::types::KeyType;

/// Keys and their values, in the order of the rows.
pub(in crate::config) type Given<'a> = &'a mut dyn Iterator<Item = (&'static str, Value)>;

/// What the rows of a section say, and its values.
pub(in crate::config) trait Section: Sized {
    const NAME: &'static str;
    const PROSE: &'static str;
    const KEYS: &'static [Key];
    /// The section in `defaults.toml`.
    const TEXT: &'static str;

    /// Takes the values of its keys.
    ///
    /// # Errors
    /// The first key that has none, or one that its type does not take.
    fn read(given: Given<'_>) -> Result<Self, &'static str>;

    /// The values of its keys, in the order of the rows.
    fn values(&self) -> Vec<Value>;

    /// Sets a key by the name within the section; says whether there is such a key that takes the value.
    fn set(&mut self, leaf: &str, value: &Value) -> bool;
}

/// The next value, if it is that of this key.
pub(super) fn next<T: KeyType>(given: Given<'_>, name: &'static str) -> Result<T, &'static str> {
    let value = given.next().filter(|(found, _)| *found == name);
    value.and_then(|(_, value)| T::read(&value)).ok_or(name)
}

/// Puts a value into a field of the section, where the field's type takes it.
pub(super) fn put<T: KeyType>(field: &mut T, value: &Value) -> bool {
    T::read(value).map(|value| *field = value).is_some()
}

macro_rules! section {
    (
        $(#[doc = $about:literal])+
        $section:ident: $Plan:ident {
            $( $(#[doc = $doc:literal])+ $leaf:ident: $type:ty = $default:tt $(, $kind:expr)?; )+
        }
    ) => {
        #[doc = concat!("`[", stringify!($section), "]`")]
        ///
        /// ```text
        $(#[doc = $about])+
        /// ```
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Plan {
            $(
                /// ```text
                $(#[doc = $doc])+
                /// ```
                pub $leaf: $type,
            )+
        }

        impl $crate::config::keys::row::Section for $Plan {
            const NAME: &'static str = stringify!($section);
            const PROSE: &'static str = $crate::config::keys::row::prose(concat!($($about),+));
            const KEYS: &'static [$crate::config::keys::schema::Key] = &[$({
                use $crate::config::keys::{kind::Kind, row, schema::Key};
                const KIND: Kind = row::kind!($type $(, $kind)?);
                const PROSE: &str = row::prose(concat!($($doc),+));
                const DEFAULT: &str = stringify!($default);
                const {
                    assert!(row::is_sentence(PROSE), "the prose of a key ends with a full stop");
                    assert!(row::may_be(DEFAULT, KIND), "the default is not of the key's kind");
                }
                Key {
                    section: stringify!($section),
                    leaf: stringify!($leaf),
                    name: concat!(stringify!($section), ".", stringify!($leaf)),
                    kind: KIND,
                    prose: PROSE,
                    default: DEFAULT,
                    zero: row::meaning_of_zero(PROSE),
                }
            },)+];
            const TEXT: &'static str = concat!(
                "\n", $("#", $about, "\n",)+ "[", stringify!($section), "]\n",
                $( $("#", $doc, "\n",)+ stringify!($leaf), " = ", stringify!($default), "\n", )+
            );

            fn read(given: $crate::config::keys::row::Given<'_>) -> Result<Self, &'static str> {
                use $crate::config::keys::row::next;
                Ok(Self {
                    $( $leaf: next(given, concat!(stringify!($section), ".", stringify!($leaf)))?, )+
                })
            }

            fn values(&self) -> Vec<toml::Value> {
                vec![$( $crate::config::keys::types::KeyType::write(&self.$leaf), )+]
            }

            fn set(&mut self, leaf: &str, value: &toml::Value) -> bool {
                $(
                    if leaf == stringify!($leaf) {
                        return $crate::config::keys::row::put(&mut self.$leaf, value);
                    }
                )+
                false
            }
        }

        #[cfg(test)]
        impl Default for $Plan {
            /// As `defaults.toml` has them.
            fn default() -> Self {
                use $crate::config::keys::{manual::Manual, row::Section};
                let mut given = Manual::get().defaults().map(|(key, value)| (key.name, value.clone()));
                Self::read(&mut given.by_ref().filter(|(name, _)| {
                    name.split_once('.').is_some_and(|(section, _)| section == Self::NAME)
                }))
                .expect("each default is one that its key takes")
            }
        }
    };
}

/// The kind of a row: as it says, or else that of its type.
macro_rules! kind {
    ($type:ty) => {
        <$type as $crate::config::keys::types::OfType>::KIND
    };
    ($type:ty, $kind:expr) => {
        $kind
    };
}

pub(super) use kind;
pub(super) use section;

/// Lines of a comment as a paragraph. Each begins with a space, which separates it from the one before.
pub(super) const fn prose(lines: &'static str) -> &'static str {
    assert!(starts(lines.as_bytes(), 0, b" "), "a space separates the comment's sign from its text");
    lines.split_at(1).1
}

pub(super) const fn is_sentence(prose: &str) -> bool {
    prose.len() > 1 && prose.as_bytes()[prose.len() - 1] == b'.'
}

/// What the last sentence says after `0:` or `Empty:`.
pub(super) const fn meaning_of_zero(prose: &'static str) -> Option<&'static str> {
    let (bytes, mut at, mut start) = (prose.as_bytes(), 0, 0);
    while at < bytes.len() {
        if starts(bytes, at, b" 0: ") {
            start = at + b" 0: ".len();
        } else if starts(bytes, at, b" Empty: ") {
            start = at + b" Empty: ".len();
        }
        at += 1;
    }
    if start == 0 {
        return None;
    }
    let meaning = prose.split_at(start).1;
    Some(meaning.split_at(meaning.len() - 1).0)
}

/// Whether a default, as it is written, can be of a kind. What this cannot tell, a test does.
pub(super) const fn may_be(default: &str, kind: Kind) -> bool {
    let bytes = default.as_bytes();
    match kind {
        Kind::Integer { min, max } => match whole_number(bytes) {
            Some(number) => min <= number && number <= max,
            None => false,
        },
        Kind::Number { .. } => bytes[0].is_ascii_digit(),
        Kind::Switch => same(default, "true") || same(default, "false"),
        Kind::Choice(words) => {
            let mut at = 0;
            while at < words.len() {
                let word = words[at].as_bytes();
                if bytes.len() == word.len() + 2 && bytes[0] == b'"' && starts(bytes, 1, word) {
                    return true;
                }
                at += 1;
            }
            false
        }
        Kind::Weights | Kind::Requirements | Kind::Texts | Kind::Curve | Kind::Coefficients => {
            bytes[0] == b'['
        }
        Kind::Paths => bytes[0] == b'"' || bytes[0] == b'[',
        Kind::Text | Kind::Path | Kind::Name | Kind::RunName | Kind::Duration | Kind::Device => {
            bytes[0] == b'"'
        }
    }
}

const fn whole_number(digits: &[u8]) -> Option<u64> {
    let (mut number, mut at) = (0, 0);
    while at < digits.len() {
        if !digits[at].is_ascii_digit() {
            return None;
        }
        number = number * 10 + (digits[at] - b'0') as u64;
        at += 1;
    }
    Some(number)
}

pub(super) const fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && starts(one.as_bytes(), 0, other.as_bytes())
}

const fn starts(bytes: &[u8], from: usize, start: &[u8]) -> bool {
    if bytes.len() < from + start.len() {
        return false;
    }
    let mut at = 0;
    while at < start.len() {
        if bytes[from + at] != start[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_zero_stands_for_is_the_end_of_the_prose() {
        assert_eq!(meaning_of_zero("Text. 0: no limit, at all."), Some("no limit, at all"));
        assert_eq!(meaning_of_zero("At 0 it is 1. Empty: the name of it."), Some("the name of it"));
        assert_eq!(meaning_of_zero("1: all tokens."), None);
    }

    #[test]
    fn a_default_of_another_kind_is_noticed() {
        let few = Kind::Integer { min: 1, max: 20 };
        assert!(may_be("16", few) && !may_be("0", few) && !may_be("21", few) && !may_be("1.0", few));
        let words = Kind::Choice(&["byte", "char"]);
        assert!(may_be("\"char\"", words) && !may_be("\"chars\"", words) && !may_be("\"cha\"", words));
        assert!(may_be("false", Kind::Switch) && !may_be("0", Kind::Switch));
        assert!(may_be("[]", Kind::Texts) && !may_be("\"\"", Kind::Texts));
    }
}

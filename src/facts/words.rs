//! Enums that a configuration writes as words.

/// An enum that owns the words by which it is written.
pub trait Words: Copy + PartialEq + 'static {
    /// All variants.
    const VARIANTS: &'static [Self];
    /// Their words, in the same order.
    const WORDS: &'static [&'static str];
    /// These words and the empty one, for what may be none of them.
    const WORDS_OR_NONE: &'static [&'static str];

    /// The variant of this word.
    fn read(word: &str) -> Option<Self> {
        let at = Self::WORDS.iter().position(|known| *known == word)?;
        Self::VARIANTS.get(at).copied()
    }

    /// The word of this variant.
    fn written(self) -> &'static str {
        let at = Self::VARIANTS.iter().position(|variant| *variant == self);
        at.and_then(|at| Self::WORDS.get(at)).copied().unwrap_or_default()
    }
}

/// Declares an enum, each variant with its word: a variant without one does not compile.
macro_rules! words {
    ($(#[$about:meta])* $Enum:ident { $( $(#[$doc:meta])* $Variant:ident = $word:tt, )* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $Enum {
            $( $(#[$doc])* #[serde(rename = $word)] $Variant, )*
        }

        impl $Enum {
            /// As a configuration has them.
            pub const WORDS: &'static [&'static str] = &[$( $word, )*];

            /// As it is written in a configuration.
            pub const fn word(self) -> &'static str {
                match self {
                    $( Self::$Variant => $word, )*
                }
            }
        }

        impl crate::facts::Words for $Enum {
            const VARIANTS: &'static [Self] = &[$( Self::$Variant, )*];
            const WORDS: &'static [&'static str] = &[$( $word, )*];
            const WORDS_OR_NONE: &'static [&'static str] = &[$( $word, )* ""];
        }
    };
}

pub(crate) use words;

#[cfg(test)]
mod tests {
    use super::*;

    words! {
        /// What a child says.
        Answer {
            Yes = "yes",
            NotNow = "not-now",
        }
    }

    #[test]
    fn a_word_reads_back_as_its_variant_here_and_in_json() {
        for (variant, word) in Answer::VARIANTS.iter().zip(Answer::WORDS) {
            assert_eq!((variant.word(), variant.written()), (*word, *word));
            assert_eq!(Answer::read(word), Some(*variant));
            assert_eq!(serde_json::to_string(variant).unwrap(), format!("\"{word}\""));
            assert_eq!(serde_json::from_str::<Answer>(&format!("\"{word}\"")).unwrap(), *variant);
        }
        assert_eq!(Answer::read("no"), None);
        assert_eq!(Answer::WORDS_OR_NONE, ["yes", "not-now", ""]);
    }
}

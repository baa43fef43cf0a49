//! What is trained on, or validated on: the ids of one text, or of several that are mixed.

use super::DataError;
use super::tokens::Tokens;

/// Token ids of one text, or of several with their shares.
#[derive(Clone, Debug)]
pub struct Split {
    pub(super) parts: Vec<Share>,
}

/// One text of several.
#[derive(Clone, Debug)]
pub(super) struct Share {
    pub tokens: Tokens,
    /// Of all windows: above 0, and together 1.
    pub share: f64,
}

impl Split {
    /// Of texts with their weights.
    pub(super) fn mixed(texts: Vec<(Tokens, f64)>) -> Split {
        let all: f64 = texts.iter().map(|(_, weight)| weight).sum();
        Split {
            parts: texts.into_iter().map(|(tokens, weight)| Share { tokens, share: weight / all }).collect(),
        }
    }

    /// Tokens of all texts.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.tokens.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tokens of the shortest text.
    pub(super) fn shortest(&self) -> usize {
        self.parts.iter().map(|part| part.tokens.len()).min().unwrap_or(0)
    }

    /// All tokens, one text after another.
    ///
    /// # Errors
    /// Tokens that lie in a file and cannot be read.
    pub fn to_vec(&self) -> Result<Vec<u32>, DataError> {
        let mut ids = Vec::with_capacity(self.len());
        self.texts().try_for_each(|tokens| tokens.read(0..tokens.len(), &mut ids))?;
        Ok(ids)
    }

    /// The texts.
    pub fn texts(&self) -> impl Iterator<Item = &Tokens> {
        self.parts.iter().map(|part| &part.tokens)
    }
}

impl From<Tokens> for Split {
    fn from(tokens: Tokens) -> Split {
        Split { parts: vec![Share { tokens, share: 1.0 }] }
    }
}

impl From<Vec<u32>> for Split {
    fn from(ids: Vec<u32>) -> Split {
        Tokens::from(ids).into()
    }
}

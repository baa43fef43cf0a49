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
    /// Its path; `None` where it is the only text.
    pub name: Option<String>,
    pub tokens: Tokens,
    /// Of all windows: above 0, and together 1.
    pub share: f64,
}

impl Split {
    /// Of texts, of which `share` is the weight among the others' for now.
    pub(super) fn mixed(mut texts: Vec<Share>) -> Split {
        let all: f64 = texts.iter().map(|text| text.share).sum();
        texts.iter_mut().for_each(|text| text.share /= all);
        Split { parts: texts }
    }

    /// Tokens of all texts.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.tokens.len()).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Windows of one text that a batch of so many has at once: of several texts it takes windows here and there.
    pub(super) fn together(&self, batch_size: usize) -> usize {
        if self.parts.len() == 1 { batch_size } else { 1 }
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
        Split { parts: vec![Share { name: None, tokens, share: 1.0 }] }
    }
}

impl From<Vec<u32>> for Split {
    fn from(ids: Vec<u32>) -> Split {
        Tokens::from(ids).into()
    }
}

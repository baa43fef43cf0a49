//! Text to token ids and back: GPT-2's byte-pair encoding, characters, bytes.

pub mod added;
pub(super) mod gpt2;
mod lengths;
pub mod spelling;

use std::collections::{BTreeSet, HashSet};

use serde::{Deserialize, Serialize};

use gpt2::gpt2;
pub(super) use gpt2::{Words, last_cut};

use crate::config::experiment::TokenizerKind;

pub use added::{AddedToken, Extended, Parts};
pub use lengths::TokenLengths;

/// Stands for ids that have no text: a model may have more ids than its tokenizer.
const NO_TEXT: char = char::REPLACEMENT_CHARACTER;

/// GPT-2's `<|endoftext|>`, its last id.
const END_OF_TEXT: u32 = 50_256;

/// What GPT-2 calls the token that ends a text. It has no bytes of its own.
pub const END_OF_TEXT_NAME: &str = "<|endoftext|>";

/// A tokenizer, complete: what is serialised can be kept beside a checkpoint and used without the corpus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Tokenizer {
    /// GPT-2's byte-pair encoding: 50,257 ids, of which the last is `<|endoftext|>`. Any text can be encoded.
    /// [`Tokenizer::encode`] takes `<|endoftext|>` in a text for ordinary characters: who joins the documents of a corpus finds it before,
    /// and for prompts [`Tokenizer::as_trained`] adds it.
    Gpt2,
    /// One id for each distinct character of the corpus, in the order of code points.
    Char { vocabulary: CharVocabulary },
    /// One id for each byte of UTF-8: 256 ids. Any text can be encoded.
    Byte,
    /// One of the others with tokens that a text may name, as folders of Hugging Face's libraries have them.
    Extended(Box<Extended>),
}

impl Tokenizer {
    /// The tokenizer of this kind; `char` takes its vocabulary from `corpus`.
    pub fn build(kind: TokenizerKind, corpus: &str) -> Tokenizer {
        match kind {
            TokenizerKind::Gpt2 => Tokenizer::Gpt2,
            TokenizerKind::Char => Tokenizer::Char { vocabulary: CharVocabulary::of(corpus) },
            TokenizerKind::Byte => Tokenizer::Byte,
        }
    }

    /// The tokenizer `char` with these characters, each of them once.
    pub fn of_characters(distinct: Vec<char>) -> Tokenizer {
        Tokenizer::Char { vocabulary: CharVocabulary::of_distinct(distinct) }
    }

    /// Whether the tokenizer has this character.
    pub(super) fn knows(&self, c: char) -> bool {
        match self {
            Tokenizer::Gpt2 | Tokenizer::Byte => true,
            Tokenizer::Char { vocabulary } => vocabulary.id(c).is_some(),
            Tokenizer::Extended(extended) => extended.base().knows(c),
        }
    }

    /// `gpt2`, `char` or `byte`, as in `data.tokenizer`.
    pub fn name(&self) -> &'static str {
        match self {
            Tokenizer::Gpt2 => "gpt2",
            Tokenizer::Char { .. } => "char",
            Tokenizer::Byte => "byte",
            Tokenizer::Extended(extended) => extended.base().name(),
        }
    }

    /// Number of ids; all ids are below it.
    pub fn vocab_size(&self) -> usize {
        match self {
            Tokenizer::Gpt2 => END_OF_TEXT as usize + 1,
            Tokenizer::Char { vocabulary } => vocabulary.0.len(),
            Tokenizer::Byte => 256,
            Tokenizer::Extended(extended) => extended.vocab_size(),
        }
    }

    /// Whether the id stands for something. All ids of most tokenizers do.
    pub fn has(&self, id: u32) -> bool {
        match self {
            Tokenizer::Extended(extended) => extended.has(id),
            _ => (id as usize) < self.vocab_size(),
        }
    }

    /// What it consists of. GPT-2's own has its mark of the end of a text as a special token that no text names.
    pub fn parts(&self) -> Parts {
        if let Tokenizer::Extended(extended) = self {
            return extended.parts().clone();
        }
        let mark = self.end_token().map(|id| AddedToken::special(id, END_OF_TEXT_NAME));
        Parts { split_special_tokens: mark.is_some(), ..Parts::new(self.clone(), mark.into_iter().collect()) }
    }

    /// The tokenizer of these parts: without an extension where that would change nothing.
    ///
    /// # Errors
    /// What cannot be, in words: a token that is there twice, say.
    pub fn of_parts(parts: Parts) -> Result<Tokenizer, String> {
        if parts.add_only_own_mark() && !parts.tokens.iter().any(|token| parts.reads(token)) {
            return Ok(parts.base);
        }
        Ok(Tokenizer::Extended(Box::new(parts.try_into()?)))
    }

    /// The same, as a run reads texts: `special_tokens` is the run's `data.special_tokens`, which says whether tokens that are written
    /// out in a text (`<|endoftext|>`, and those that were added) are tokens there, or all of it is ordinary characters. What was
    /// said before counts no longer, so that a run may begin from one that had it the other way.
    #[must_use]
    pub fn as_trained(&self, special_tokens: bool) -> Tokenizer {
        let split = !special_tokens;
        let parts = Parts { split_special_tokens: split, split_other_tokens: split, ..self.parts() };
        // These are the parts of a tokenizer, and their tokens are the same.
        Tokenizer::of_parts(parts).unwrap_or_else(|_| self.clone())
    }

    /// The same for a corpus, where the mark of the end of a text is found by who joins the documents: without added tokens if that mark
    /// is all that was added. Large texts are then cut anywhere and encoded on all cores.
    #[must_use]
    pub(super) fn without_own_mark(self) -> Tokenizer {
        match &self {
            Tokenizer::Extended(extended) if extended.parts().add_only_own_mark() => extended.base().clone(),
            _ => self,
        }
    }

    /// Itself, without the tokens that were added to it.
    pub fn base(&self) -> &Tokenizer {
        match self {
            Tokenizer::Extended(extended) => extended.base(),
            _ => self,
        }
    }

    /// The tokens that were added to it; none of most tokenizers.
    pub fn added_tokens(&self) -> &[AddedToken] {
        match self {
            Tokenizer::Extended(extended) => extended.tokens(),
            Tokenizer::Gpt2 | Tokenizer::Char { .. } | Tokenizer::Byte => &[],
        }
    }

    /// The ids of a text that a model is to continue: those of [`Tokenizer::encode`], and what stands around every text.
    pub fn encode_prompt(&self, text: &str) -> Vec<u32> {
        match self {
            Tokenizer::Extended(extended) => extended.encode_prompt(text),
            _ => self.encode(text),
        }
    }

    /// The ids of `text`. Only `char` cannot encode everything: it drops the characters that its corpus lacks,
    /// which [`Tokenizer::unknown_chars`] lists.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        match self {
            Tokenizer::Gpt2 => gpt2::encode(text),
            Tokenizer::Char { vocabulary } => text.chars().filter_map(|c| vocabulary.id(c)).collect(),
            Tokenizer::Byte => text.bytes().map(u32::from).collect(),
            Tokenizer::Extended(extended) => extended.encode(text),
        }
    }

    /// The distinct characters of `text` that [`Tokenizer::encode`] drops, in order of code points.
    pub fn unknown_chars(&self, text: &str) -> Vec<char> {
        match self {
            Tokenizer::Gpt2 | Tokenizer::Byte => Vec::new(),
            Tokenizer::Char { vocabulary } => {
                let unknown: BTreeSet<char> = text.chars().filter(|&c| vocabulary.id(c).is_none()).collect();
                unknown.into_iter().collect()
            }
            Tokenizer::Extended(extended) => extended.unknown_chars(text),
        }
    }

    /// All characters that there are, where a token is a character: in the order of code points.
    pub fn characters(&self) -> Option<String> {
        match self {
            Tokenizer::Gpt2 | Tokenizer::Byte => None,
            Tokenizer::Char { vocabulary } => Some(vocabulary.0.iter().collect()),
            Tokenizer::Extended(extended) => extended.base().characters(),
        }
    }

    /// The text of `ids`. Never fails, since a model may sample anything: ids without text and bytes that are not
    /// UTF-8 become U+FFFD.
    pub fn decode(&self, ids: &[u32]) -> String {
        match self {
            Tokenizer::Gpt2 | Tokenizer::Byte | Tokenizer::Extended(_) => {
                String::from_utf8_lossy(&self.bytes(ids)).into_owned()
            }
            Tokenizer::Char { vocabulary } => {
                ids.iter().map(|&id| vocabulary.char(id).unwrap_or(NO_TEXT)).collect()
            }
        }
    }

    /// Decodes ids that come piece by piece, so that a large corpus need not stand in memory a second time. A character never falls into
    /// two pieces.
    pub fn decoder(&self) -> PieceDecoder<'_> {
        PieceDecoder { tokenizer: self, rest: Vec::new() }
    }

    /// The bytes of `ids`; those without text have those of U+FFFD.
    fn bytes(&self, ids: &[u32]) -> Vec<u8> {
        match self {
            Tokenizer::Gpt2 => bytes_of_ids(ids, |id| gpt2().decode_bytes(&[id]).ok()),
            Tokenizer::Char { .. } => self.decode(ids).into_bytes(),
            Tokenizer::Byte => bytes_of_ids(ids, |id| u8::try_from(id).ok().map(|byte| [byte])),
            Tokenizer::Extended(_) => bytes_of_ids(ids, |id| self.token_bytes(id)),
        }
    }

    /// The bytes of an id's text, which need not be whole characters; `None` for an id without text.
    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        match self {
            Tokenizer::Gpt2 => gpt2().decode_bytes(&[id]).ok(),
            Tokenizer::Char { vocabulary } => vocabulary.char(id).map(|c| c.to_string().into_bytes()),
            Tokenizer::Byte => u8::try_from(id).ok().map(|byte| vec![byte]),
            Tokenizer::Extended(extended) => extended.token_bytes(id),
        }
    }

    /// What a model is given to continue when there is no prompt: `<|endoftext|>`, else a line break, else (a `char`
    /// corpus of one line) the first id.
    pub fn start_token(&self) -> u32 {
        match self {
            Tokenizer::Gpt2 => END_OF_TEXT,
            Tokenizer::Char { vocabulary } => vocabulary.id('\n').unwrap_or(0),
            Tokenizer::Byte => u32::from(b'\n'),
            Tokenizer::Extended(extended) => extended.base().start_token(),
        }
    }

    /// The id after which a text is over, where there is one.
    pub fn end_token(&self) -> Option<u32> {
        match self {
            Tokenizer::Gpt2 => Some(END_OF_TEXT),
            Tokenizer::Char { .. } | Tokenizer::Byte => None,
            Tokenizer::Extended(extended) => extended.base().end_token(),
        }
    }
}

/// The vocabulary size of a tokenizer that does not depend on the corpus; `None` for `char`.
pub fn fixed_vocab_size(kind: TokenizerKind) -> Option<usize> {
    match kind {
        TokenizerKind::Gpt2 => Some(Tokenizer::Gpt2.vocab_size()),
        TokenizerKind::Byte => Some(Tokenizer::Byte.vocab_size()),
        TokenizerKind::Char => None,
    }
}

/// Distinct characters in the order of code points; a character's id is its place. Never empty. Serialised as one
/// string.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CharVocabulary(Vec<char>);

impl CharVocabulary {
    /// The characters of `corpus`; of an empty one, a line break.
    fn of(corpus: &str) -> CharVocabulary {
        let distinct: HashSet<char> = corpus.chars().collect();
        CharVocabulary::of_distinct(distinct.into_iter().collect())
    }

    fn of_distinct(mut chars: Vec<char>) -> CharVocabulary {
        chars.sort_unstable();
        if chars.is_empty() {
            chars.push('\n');
        }
        CharVocabulary(chars)
    }

    fn id(&self, c: char) -> Option<u32> {
        self.0.binary_search(&c).ok().map(|place| place as u32)
    }

    fn char(&self, id: u32) -> Option<char> {
        self.0.get(id as usize).copied()
    }
}

impl From<CharVocabulary> for String {
    fn from(vocabulary: CharVocabulary) -> String {
        vocabulary.0.into_iter().collect()
    }
}

impl TryFrom<String> for CharVocabulary {
    type Error = &'static str;

    fn try_from(text: String) -> Result<CharVocabulary, &'static str> {
        let chars: Vec<char> = text.chars().collect();
        if chars.is_empty() {
            return Err("a vocabulary needs at least one character");
        }
        if !chars.is_sorted_by(|a, b| a < b) {
            return Err("the characters of a vocabulary must be distinct and in the order of code points");
        }
        Ok(CharVocabulary(chars))
    }
}

/// See [`Tokenizer::decoder`].
pub struct PieceDecoder<'a> {
    tokenizer: &'a Tokenizer,
    /// The beginning of a character whose end is in the next piece.
    rest: Vec<u8>,
}

impl PieceDecoder<'_> {
    /// The text of the next ids, but for a last character that they only begin.
    pub fn piece(&mut self, ids: &[u32]) -> String {
        let mut bytes = std::mem::take(&mut self.rest);
        bytes.extend(self.tokenizer.bytes(ids));
        self.rest = bytes.split_off(bytes.len() - unfinished(&bytes));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// What is left when no more ids come.
    pub fn finish(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    // A character has four bytes at most, so the beginning of one has three.
    let end = &bytes[bytes.len().saturating_sub(3)..];
    let begun = end.iter().rposition(|byte| !matches!(byte, 0x80..0xC0)).map(|at| &end[at..]);
    match begun.map(std::str::from_utf8) {
        Some(Err(error)) if error.error_len().is_none() => begun.map_or(0, <[u8]>::len),
        _ => 0,
    }
}

fn bytes_of_ids<B: AsRef<[u8]>>(ids: &[u32], bytes_of: impl Fn(u32) -> Option<B>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(ids.len() * 4);
    for &id in ids {
        match bytes_of(id) {
            Some(known) => bytes.extend_from_slice(known.as_ref()),
            None => bytes.extend_from_slice(NO_TEXT.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests;

//! Tokens that were added to a tokenizer, and that are found in a text before anything else is: `<|user|>`.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, MatchKind};
use serde::{Deserialize, Serialize};

use super::{END_OF_TEXT_NAME, Tokenizer};

/// No id is as large: more rows than that has no model.
const ID_LIMIT: u32 = 1 << 24;

/// A token that was added, with Hugging Face's words for how it is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddedToken {
    pub id: u32,
    /// Its text.
    pub content: String,
    /// It steers the model, as the end of a text does, and is no text itself.
    #[serde(default)]
    pub special: bool,
    /// White space before it belongs to it.
    #[serde(default)]
    pub lstrip: bool,
    /// White space after it belongs to it.
    #[serde(default)]
    pub rstrip: bool,
    /// It is not found within a word.
    #[serde(default)]
    pub single_word: bool,
    /// It is looked for after those that are not.
    #[serde(default)]
    pub normalized: bool,
    /// It is only written, and never found in a text: a row of `vocab.json` that no merge leads to.
    #[serde(default)]
    pub only_written: bool,
}

/// What [`Extended`] consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    pub base: Tokenizer,
    /// With distinct ids and distinct texts.
    pub tokens: Vec<AddedToken>,
    /// Special tokens that are written out in a text are ordinary text.
    #[serde(default)]
    pub split_special_tokens: bool,
    /// So are those that are not special. Hugging Face's libraries have no such setting.
    #[serde(default)]
    pub split_other_tokens: bool,
    /// A text, and what follows an added token, begins with a space: one is put before it where there is none.
    #[serde(default)]
    pub add_prefix_space: bool,
    /// Tokens before every prompt.
    #[serde(default)]
    pub before: Vec<u32>,
    /// Tokens after every prompt.
    #[serde(default)]
    pub after: Vec<u32>,
}

impl AddedToken {
    /// A token that steers the model, found wherever its text stands.
    pub fn special(id: u32, content: impl Into<String>) -> Self {
        Self {
            id,
            content: content.into(),
            special: true,
            lstrip: false,
            rstrip: false,
            single_word: false,
            normalized: false,
            only_written: false,
        }
    }
}

impl Parts {
    /// Of a tokenizer whose texts may name these tokens, and that puts nothing around them.
    pub fn new(base: Tokenizer, tokens: Vec<AddedToken>) -> Self {
        Self {
            base,
            tokens,
            split_special_tokens: false,
            split_other_tokens: false,
            add_prefix_space: false,
            before: Vec::new(),
            after: Vec::new(),
        }
    }

    /// Whether this token, one of them, is read where a text writes it out.
    pub fn reads(&self, token: &AddedToken) -> bool {
        let is_split = if token.special { self.split_special_tokens } else { self.split_other_tokens };
        !(token.only_written || is_split)
    }

    /// Whether nothing was added but the base's own mark of the end of a text, as the base has it.
    pub fn add_only_own_mark(&self) -> bool {
        let is_own = |token: &AddedToken| {
            let mark = AddedToken::special(token.id, END_OF_TEXT_NAME);
            // Nothing is ever normalized, so that this changes nothing of a single token.
            let found = AddedToken { normalized: false, ..token.clone() };
            Some(token.id) == self.base.end_token() && found == mark
        };
        let has_frame = self.add_prefix_space || !self.before.is_empty() || !self.after.is_empty();
        !has_frame && self.tokens.iter().all(is_own)
    }
}

/// A tokenizer with added tokens.
///
/// # Source
/// What Hugging Face's `tokenizers` 0.23 does with `added_tokens`: leftmost match, of several the longest; first those that are not
/// normalized, then, in what lies between, the others.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "Parts", into = "Parts")]
pub struct Extended {
    parts: Parts,
    vocab_size: usize,
    passes: [Finder; 2],
}

impl PartialEq for Extended {
    fn eq(&self, other: &Self) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Extended {}

impl From<Extended> for Parts {
    fn from(extended: Extended) -> Parts {
        extended.parts
    }
}

impl TryFrom<Parts> for Extended {
    type Error = String;

    fn try_from(parts: Parts) -> Result<Extended, String> {
        if matches!(parts.base, Tokenizer::Extended(_)) {
            return Err("`base` is a tokenizer without added tokens".to_owned());
        }
        let (mut ids, mut texts) = (BTreeSet::new(), BTreeSet::new());
        for token in &parts.tokens {
            if token.content.is_empty() || token.id >= ID_LIMIT {
                return Err(format!("the added token {:?} = {} is none", token.content, token.id));
            }
            if !ids.insert(token.id) || !texts.insert(token.content.as_str()) {
                return Err(format!("the added token {:?} = {} is there twice", token.content, token.id));
            }
        }
        let last = parts.tokens.iter().map(|token| token.id as usize + 1).max();
        let vocab_size = parts.base.vocab_size().max(last.unwrap_or(0));
        if let Some(id) = parts.before.iter().chain(&parts.after).find(|&&id| id as usize >= vocab_size) {
            return Err(format!("{id} stands around texts and is no token"));
        }
        let pass = |normalized: bool| {
            let is_found = |token: &&AddedToken| token.normalized == normalized && parts.reads(token);
            Finder::new(parts.tokens.iter().filter(is_found).cloned().collect())
        };
        let passes = [pass(false)?, pass(true)?];
        Ok(Extended { parts, vocab_size, passes })
    }
}

impl Extended {
    pub fn base(&self) -> &Tokenizer {
        &self.parts.base
    }

    pub fn tokens(&self) -> &[AddedToken] {
        &self.parts.tokens
    }

    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    pub fn has(&self, id: u32) -> bool {
        (id as usize) < self.parts.base.vocab_size() || self.token(id).is_some()
    }

    fn token(&self, id: u32) -> Option<&AddedToken> {
        self.parts.tokens.iter().find(|token| token.id == id)
    }

    pub fn token_bytes(&self, id: u32) -> Option<Vec<u8>> {
        match self.token(id) {
            Some(token) => Some(token.content.clone().into_bytes()),
            None => self.parts.base.token_bytes(id),
        }
    }

    pub fn encode_prompt(&self, text: &str) -> Vec<u32> {
        let Parts { before, after, .. } = &self.parts;
        [before.as_slice(), &self.encode(text), after].concat()
    }

    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        self.each_part(text, |part| match part {
            Part::Token(id) => ids.push(id),
            Part::Text(text) if self.parts.add_prefix_space && !text.starts_with(' ') => {
                ids.extend(self.parts.base.encode(&format!(" {text}")));
            }
            Part::Text(text) => ids.extend(self.parts.base.encode(text)),
        });
        ids
    }

    pub fn unknown_chars(&self, text: &str) -> Vec<char> {
        let mut unknown = BTreeSet::new();
        self.each_part(text, |part| {
            if let Part::Text(text) = part {
                unknown.extend(self.parts.base.unknown_chars(text));
            }
        });
        unknown.into_iter().collect()
    }

    fn each_part(&self, text: &str, mut say: impl FnMut(Part<'_>)) {
        let [first, second] = &self.passes;
        first.each_part(text, &mut |part| match part {
            Part::Token(_) => say(part),
            Part::Text(text) => second.each_part(text, &mut say),
        });
    }
}

/// A piece of a text.
enum Part<'a> {
    Token(u32),
    /// Not empty.
    Text(&'a str),
}

/// Finds tokens in a text.
#[derive(Clone, Debug)]
struct Finder {
    tokens: Vec<AddedToken>,
    /// `None` where there is nothing to be found.
    automaton: Option<AhoCorasick>,
}

impl Finder {
    fn new(tokens: Vec<AddedToken>) -> Result<Finder, String> {
        let texts = tokens.iter().map(|token| &token.content);
        let automaton = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(texts);
        let automaton = automaton.map_err(|error| format!("the added tokens: {error}"))?;
        Ok(Finder { automaton: (!tokens.is_empty()).then_some(automaton), tokens })
    }

    fn each_part(&self, text: &str, say: &mut impl FnMut(Part<'_>)) {
        let mut done = 0;
        for found in self.automaton.iter().flat_map(|automaton| automaton.find_iter(text)) {
            let token = &self.tokens[found.pattern().as_usize()];
            let Some(place) = place(token, text, found.range(), done) else { continue };
            if done < place.start {
                say(Part::Text(&text[done..place.start]));
            }
            say(Part::Token(token.id));
            done = place.end;
        }
        if done < text.len() {
            say(Part::Text(&text[done..]));
        }
    }
}

/// What belongs to a token that was found: more than its text where it takes white space, nothing where it is a part of a word.
fn place(token: &AddedToken, text: &str, found: Range<usize>, done: usize) -> Option<Range<usize>> {
    let Range { mut start, mut end } = found;
    let (before, after) = (&text[..start], &text[end..]);
    if token.single_word {
        let is_word = |c: Option<char>| c.is_some_and(regex_syntax::is_word_character);
        if is_word(before.chars().next_back()) || is_word(after.chars().next()) {
            return None;
        }
    }
    if token.lstrip {
        start = before.trim_end().len().max(done);
    }
    if token.rstrip {
        end = text.len() - after.trim_start().len();
    }
    Some(start..end)
}

#[cfg(test)]
#[path = "added_tests.rs"]
mod tests;

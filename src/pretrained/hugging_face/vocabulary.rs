//! The vocabulary of a folder's tokenizer, held against those of this program.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};

use crate::data::tokenizer::spelling::{as_key, printable, spelled};
use crate::data::tokenizer::{AddedToken, END_OF_TEXT_NAME, Tokenizer};

/// The vocabulary of a folder: that of one of this program's tokenizers, which may have more.
pub struct Vocabulary {
    pub base: Tokenizer,
    pub ids: HashMap<String, u32>,
    /// What the tokenizer itself does not have.
    rest: Vec<(String, u32)>,
}

const NOT_GPT2: &str = "GPT-2's own tokenizer, with whatever tokens were added to it, and those of this program's exports can be used";

impl Vocabulary {
    /// That of a tokenizer without more.
    pub fn plain(base: Tokenizer) -> Self {
        Self { ids: spelled(&base, as_key(&base)).collect(), base, rest: Vec::new() }
    }

    /// That of `base`, and what there is beyond it.
    ///
    /// # Errors
    /// What is missing, or has another id.
    pub fn of(base: Tokenizer, vocabulary: &Map<String, Value>) -> Result<Self, String> {
        let mut known = Self::plain(base);
        for (text, &id) in &known.ids {
            let found = vocabulary.get(text);
            if found.and_then(Value::as_u64) != Some(id.into()) {
                let found = found.map_or("no id".to_owned(), |found| found.to_string());
                return Err(format!(
                    "this is not {}: {text:?} has {found} here and {id} there; {NOT_GPT2}",
                    if known.base == Tokenizer::Gpt2 {
                        "GPT-2's vocabulary"
                    } else {
                        "a vocabulary of bytes"
                    }
                ));
            }
        }
        for (text, id) in vocabulary.iter().filter(|(text, _)| !known.ids.contains_key(*text)) {
            let number = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = number.ok_or_else(|| format!("the token {text:?} has the id {id}, which is none"))?;
            known.rest.push((text.clone(), id));
        }
        known.ids.extend(known.rest.iter().cloned());
        Ok(known)
    }

    /// Looks whether words are put together as by GPT-2: each merge makes the next token. Of characters and bytes nothing is put together.
    ///
    /// # Errors
    /// The first merge that is another one.
    pub fn check_merges<'a>(&self, merges: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
        if self.base != Tokenizer::Gpt2 {
            return Ok(());
        }
        let mut tokens = spelled(&Tokenizer::Gpt2, printable).skip(256).map(|(text, _)| text);
        let mut merges = merges.map(|(first, second)| format!("{first}{second}"));
        match tokens.by_ref().zip(merges.by_ref()).find(|(token, merge)| token != merge) {
            // The last token is made by no merge.
            None if tokens.next().is_none() => Ok(()),
            None => Err(format!("its merges are fewer than GPT-2's; {NOT_GPT2}")),
            Some((token, _)) if token == END_OF_TEXT_NAME => {
                Err(format!("its merges are more than GPT-2's; {NOT_GPT2}"))
            }
            Some((token, merge)) => Err(format!(
                "its merges are not GPT-2's: one makes {merge:?} instead of {token:?}; {NOT_GPT2}"
            )),
        }
    }

    /// The added tokens, and the entries of the vocabulary that no text leads to.
    pub fn with_rest(&self, mut tokens: Vec<AddedToken>) -> Vec<AddedToken> {
        let added: BTreeSet<u32> = tokens.iter().map(|token| token.id).collect();
        let rest = self
            .rest
            .iter()
            .filter(|(text, id)| !added.contains(id) && !tokens.iter().any(|token| token.content == *text));
        let rest: Vec<AddedToken> = rest
            .map(|(text, id)| AddedToken {
                special: false,
                only_written: true,
                ..AddedToken::special(*id, text.as_str())
            })
            .collect();
        tokens.extend(rest);
        tokens
    }

    /// Whether a `tokenizer.json` puts a space before texts, if it cuts them as the tokenizer does.
    ///
    /// # Errors
    /// The part of the file that does it otherwise.
    pub fn prefix_space(&self, fast: &Map<String, Value>) -> Result<bool, String> {
        let normalizer = fast.get("normalizer").unwrap_or(&Value::Null);
        if !normalizer.is_null() {
            return Err(format!(
                "`normalizer` is {normalizer}: GPT-2's tokenizer has none, and only that can be used"
            ));
        }
        let cutter = fast.get("pre_tokenizer").unwrap_or(&Value::Null);
        if matches!(self.base, Tokenizer::Char { .. }) {
            return Ok(false);
        }
        let one = match cutter.get("pretokenizers").and_then(Value::as_array).map(Vec::as_slice) {
            Some([one]) => one,
            _ => cutter,
        };
        let cuts_words = one.get("use_regex").and_then(Value::as_bool).unwrap_or(true);
        let is_right = cuts_words == (self.base == Tokenizer::Gpt2);
        if one.get("type").and_then(Value::as_str) != Some("ByteLevel") || !is_right {
            return Err(format!(
                "`pre_tokenizer` is {cutter}: only ByteLevel can be used, with use_regex for words as GPT-2's, without it for single bytes"
            ));
        }
        Ok(one.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false))
    }
}

/// The tokenizer of a `tokenizer.json` that puts nothing together: bytes or characters, as this program exports them. Other libraries write
/// that file anew when they save a model, and leave this program's own file behind.
pub fn base_of_exported(fast: &Map<String, Value>, vocabulary: &Map<String, Value>) -> Option<Tokenizer> {
    let model = fast.get("model")?;
    let is_nothing = |value: Option<&Value>| match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(_) => false,
    };
    let other = ["unk_token", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback"];
    if model.get("type").and_then(Value::as_str) != Some("BPE")
        || merges_of(fast).next().is_some()
        || !other.iter().all(|key| is_nothing(model.get(key)))
    {
        return None;
    }
    if let Some(cutter) = fast.get("pre_tokenizer").filter(|cutter| !cutter.is_null()) {
        // With words it would be GPT-2's without its merges.
        return (cutter.get("use_regex") == Some(&Value::Bool(false))).then_some(Tokenizer::Byte);
    }
    // Added tokens come after the characters, and are longer.
    let mut characters: Vec<(u64, char)> = Vec::new();
    for (text, id) in vocabulary {
        let mut of_text = text.chars();
        if let (Some(character), None) = (of_text.next(), of_text.next()) {
            characters.push((id.as_u64()?, character));
        }
    }
    characters.sort_unstable();
    let in_order = characters.windows(2).all(|pair| pair[0].1 < pair[1].1);
    let without_gaps = characters.iter().zip(0..).all(|((id, _), place)| *id == place);
    (in_order && without_gaps && !characters.is_empty())
        .then(|| Tokenizer::of_characters(characters.into_iter().map(|(_, character)| character).collect()))
}

/// The merges of a `tokenizer.json`: texts of two parts, or pairs.
pub fn merges_of(fast: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    let merges = fast.get("model").and_then(|model| model.get("merges")?.as_array());
    merges.into_iter().flatten().map(|merge| match merge {
        Value::String(merge) => merge.split_once(' ').unwrap_or((merge, "")),
        merge => {
            let part = |place: usize| merge.get(place).and_then(Value::as_str).unwrap_or_default();
            (part(0), part(1))
        }
    })
}

//! Which tokens a folder adds to its vocabulary, and their ids.
//!
//! # Source
//! `from_pretrained` of transformers 5.24, and `add_tokens` of tokenizers 0.23. An id that a file gives only orders the tokens: what
//! the vocabulary lacks gets the next free id.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::data::tokenizer::AddedToken;

/// Attributes of a tokenizer that name a token, in the order in which they are added.
const NAMED: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// What the files say.
pub struct Files<'a> {
    /// `tokenizer.json`.
    pub fast: Option<&'a Map<String, Value>>,
    /// `tokenizer_config.json`; empty if there is none.
    pub config: &'a Map<String, Value>,
    /// `special_tokens_map.json`.
    pub special: Option<&'a Map<String, Value>>,
    /// `added_tokens.json`.
    pub added: Option<&'a Map<String, Value>>,
    /// The tokenizer is put together as `GPT2Tokenizer`; else `tokenizer.json` is taken as it is.
    pub is_gpt2_class: bool,
}

/// A token that is to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    content: String,
    special: bool,
    lstrip: bool,
    rstrip: bool,
    single_word: bool,
    /// Where nothing is said: what is special is not.
    normalized: Option<bool>,
}

impl Wanted {
    fn special(content: &str) -> Self {
        let content = content.to_owned();
        Self { content, special: true, lstrip: false, rstrip: false, single_word: false, normalized: None }
    }

    /// `{"content": "<|user|>", "lstrip": false, ...}`
    fn of(value: &Value) -> Result<Self, String> {
        let wrong = || format!("{value} is no added token: it has a `content` and flags");
        let object = value.as_object().ok_or_else(wrong)?;
        let flag = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_bool().map(Some).ok_or_else(wrong),
        };
        Ok(Self {
            content: object.get("content").and_then(Value::as_str).ok_or_else(wrong)?.to_owned(),
            special: flag("special")?.unwrap_or(false),
            lstrip: flag("lstrip")?.unwrap_or(false),
            rstrip: flag("rstrip")?.unwrap_or(false),
            single_word: flag("single_word")?.unwrap_or(false),
            normalized: flag("normalized")?,
        })
    }

    /// A text, or an object, of what is named as a special token.
    fn named(value: &Value) -> Result<Option<Self>, String> {
        match value {
            Value::Null => Ok(None),
            Value::String(content) => Ok(Some(Self::special(content))),
            value => Self::of(value).map(|token| Some(Self { special: true, ..token })),
        }
    }

    fn with_id(self, id: u32) -> AddedToken {
        let Self { content, special, lstrip, rstrip, single_word, normalized } = self;
        let normalized = normalized.unwrap_or(!special);
        AddedToken { id, content, special, lstrip, rstrip, single_word, normalized, only_written: false }
    }

    fn is(&self, token: &AddedToken) -> bool {
        self.clone().with_id(token.id) == *token
    }
}

/// The tokens of a folder.
#[derive(Debug)]
pub struct Added {
    pub tokens: Vec<AddedToken>,
    /// Tokens whose id is not the one that their file gives: their text, the id there and here.
    pub moved: Vec<(String, u64, u32)>,
    pub bos: Option<u32>,
    pub eos: Option<u32>,
}

/// Reads the tokens that the files add to a vocabulary of `size` entries, of which `id_of` knows the ids.
///
/// # Errors
/// What is no token, in words.
pub fn read(files: &Files<'_>, size: usize, id_of: &dyn Fn(&str) -> Option<u32>) -> Result<Added, String> {
    let mut declared: BTreeMap<u64, Wanted> = BTreeMap::new();
    let (mut named, mut extra) = named_in(files.config, files.is_gpt2_class)?;
    if let Some(decoder) = files.config.get("added_tokens_decoder").and_then(Value::as_object) {
        for (id, token) in decoder {
            let id = id.parse().map_err(|_| format!("{id:?} in `added_tokens_decoder` is no id"))?;
            declared.insert(id, Wanted::of(token)?);
        }
    } else {
        if let Some(special) = files.special {
            let (theirs, more) = named_in(special, false)?;
            for (key, token) in theirs {
                set(&mut named, key, token);
            }
            extra.extend(more);
        }
        for (content, id) in files.added.into_iter().flatten() {
            let id =
                id.as_u64().ok_or_else(|| format!("{content:?} in added_tokens.json has the id {id}"))?;
            let mut names = named.iter().map(|(_, token)| token).chain(&extra);
            let special = names.any(|token| token.content == *content);
            declared.insert(id, Wanted { special, ..Wanted::special(content) });
        }
        for (id, token) in fast_tokens(files)? {
            declared.insert(id, token);
        }
    }
    // A name means the token of that text, with its flags.
    for (_, token) in &mut named {
        if let Some(known) = declared.values().find(|known| known.content == token.content) {
            *token = known.clone();
        }
    }

    let mut backend = Backend { tokens: Vec::new(), size, id_of };
    if !files.is_gpt2_class {
        for (_, token) in fast_tokens(files)? {
            backend.add(token);
        }
    }
    let mut wanted: Vec<Wanted> = declared
        .values()
        .filter(|token| !backend.tokens.iter().any(|known| token.is(known)))
        .cloned()
        .collect();
    for token in named.iter().map(|(_, token)| token).chain(&extra) {
        let is_known = backend.tokens.iter().any(|known| known.content == token.content)
            || wanted.iter().any(|known| known.content == token.content);
        if !is_known {
            wanted.push(token.clone());
        }
    }
    for mut token in wanted {
        token.special |= named.iter().any(|(_, named)| named.content == token.content);
        backend.add(token);
    }

    let id = |key: &str| {
        let (_, named) = named.iter().find(|(name, _)| name == key)?;
        backend.tokens.iter().find(|token| token.content == named.content).map(|token| token.id)
    };
    let (bos, eos) = (id("bos_token"), id("eos_token"));
    let moved = declared.into_iter().filter_map(|(id, wanted)| {
        let token = backend.tokens.iter().find(|token| token.content == wanted.content)?;
        (u64::from(token.id) != id).then_some((wanted.content, id, token.id))
    });
    Ok(Added { moved: moved.collect(), bos, eos, tokens: backend.tokens })
}

/// The tokens of `tokenizer.json` in their order, with the ids that it gives them.
fn fast_tokens(files: &Files<'_>) -> Result<Vec<(u64, Wanted)>, String> {
    let tokens = files.fast.and_then(|fast| fast.get("added_tokens")).and_then(Value::as_array);
    let token = |token: &Value| {
        let id = token.get("id").and_then(Value::as_u64).ok_or_else(|| format!("{token} has no `id`"))?;
        Ok((id, Wanted::of(token)?))
    };
    tokens.into_iter().flatten().map(token).collect()
}

type Named = Vec<(String, Wanted)>;

fn set(named: &mut Named, key: String, token: Wanted) {
    match named.iter_mut().find(|(name, _)| *name == key) {
        Some((_, known)) => *known = token,
        None => named.push((key, token)),
    }
}

/// The tokens that a file names as special ones, and those of its lists of more.
fn named_in(object: &Map<String, Value>, is_gpt2_class: bool) -> Result<(Named, Vec<Wanted>), String> {
    let mut named = Named::new();
    for key in NAMED {
        let default = is_gpt2_class && ["bos_token", "eos_token", "unk_token"].contains(&key);
        match object.get(key) {
            Some(value) => named.extend(Wanted::named(value)?.map(|token| (key.to_owned(), token))),
            None if default => {
                named.push((key.to_owned(), Wanted::special(crate::data::tokenizer::END_OF_TEXT_NAME)));
            }
            None => {}
        }
    }
    let others = object.iter().filter(|(key, value)| {
        key.ends_with("_token") && !NAMED.contains(&key.as_str()) && value.is_string()
    });
    let mut more = Vec::new();
    let mut others: Vec<(&String, &Value)> = others.collect();
    // `additional_special_tokens` is the older word.
    for key in ["extra_special_tokens", "additional_special_tokens"] {
        match object.get(key) {
            Some(Value::Array(tokens)) if more.is_empty() => {
                for token in tokens {
                    more.extend(Wanted::named(token)?);
                }
            }
            Some(Value::Object(tokens)) => others.extend(tokens),
            _ => {}
        }
    }
    for (key, value) in others {
        named.extend(Wanted::named(value)?.map(|token| (key.clone(), token)));
    }
    Ok((named, more))
}

/// A tokenizer to which tokens are added.
struct Backend<'a> {
    tokens: Vec<AddedToken>,
    /// Entries of the vocabulary.
    size: usize,
    id_of: &'a dyn Fn(&str) -> Option<u32>,
}

impl Backend<'_> {
    fn add(&mut self, token: Wanted) {
        if token.content.is_empty() {
            return;
        }
        if let Some(known) = self.tokens.iter_mut().find(|known| known.content == token.content) {
            *known = token.with_id(known.id);
            return;
        }
        let last = self.tokens.iter().map(|token| token.id as usize).max();
        let next = last.map_or(self.size, |last| self.size.max(last + 1)) as u32;
        let id = (self.id_of)(&token.content).unwrap_or(next);
        self.tokens.push(token.with_id(id));
    }
}

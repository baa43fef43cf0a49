//! The tokenizer of a folder, put together from its files as transformers 5 does.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use serde_json::{Map, Value};

use super::added::{self, Files};
use super::{read_object, read_text};
use crate::data::TOKENIZER_FILE;
use crate::data::tokenizer::spelling::{printable, spelled};
use crate::data::tokenizer::{AddedToken, END_OF_TEXT_NAME, Parts, Tokenizer};
use crate::model::ModelConfig;
use crate::pretrained::PretrainedError;

/// A tokenizer, and what a person should know of how it was read.
pub struct Found {
    pub tokenizer: Tokenizer,
    pub notes: Vec<String>,
}

/// The file that says how texts are cut, and the older one with the vocabulary alone.
const FAST: &str = "tokenizer.json";
const VOCABULARY: &str = "vocab.json";
const MERGES: &str = "merges.txt";
const CONFIG: &str = "tokenizer_config.json";

/// Reads the tokenizer of `folder`. Where it has no vocabulary, it is GPT-2's. `config` is the model's `config.json`.
///
/// # Errors
/// The file with what this program's tokenizers cannot do.
pub fn read(
    folder: &Path,
    config: &Map<String, Value>,
    model: &ModelConfig,
) -> Result<Found, PretrainedError> {
    let object = |name: &str| -> Result<Option<Map<String, Value>>, PretrainedError> {
        let path = folder.join(name);
        if path.is_file() { read_object(&path).map(Some) } else { Ok(None) }
    };
    let fast = object(FAST)?;
    let tokenizer_config = object(CONFIG)?.unwrap_or_default();
    let (special, added) = (object("special_tokens_map.json")?, object("added_tokens.json")?);
    let at = |name: &'static str| {
        let path = folder.join(name);
        move |reason: String| PretrainedError::File { path, reason }
    };

    let class =
        [&tokenizer_config, config].into_iter().find_map(|object| object.get("tokenizer_class")?.as_str());
    let is_gpt2_class =
        fast.is_none() || class.is_none_or(|class| class.trim_end_matches("Fast") == "GPT2Tokenizer");
    let (vocabulary_file, vocabulary) = match &fast {
        Some(fast) => (FAST, fast.get("model").and_then(|model| model.get("vocab")?.as_object()).cloned()),
        None => (VOCABULARY, object(VOCABULARY)?),
    };
    let vocabulary = match &vocabulary {
        Some(vocabulary) => Vocabulary::of(vocabulary).map_err(at(vocabulary_file))?,
        None if fast.is_some() => {
            let reason = "it has no vocabulary of the kind BPE".to_owned();
            return Err(PretrainedError::File { path: folder.join(FAST), reason });
        }
        None if model.vocab_size < Tokenizer::Gpt2.vocab_size() => {
            let reason = format!(
                "there is no such file and no {VOCABULARY}, and vocab_size = {} is not GPT-2's; put the model's tokenizer beside it. For a \
                 vocabulary of characters that is {TOKENIZER_FILE}: {{\"kind\": \"char\", \"vocabulary\": \"\\n abc\"}} with all \
                 characters in the order of their code points, as nanoGPT has them",
                model.vocab_size
            );
            return Err(PretrainedError::File { path: folder.join(FAST), reason });
        }
        None => Vocabulary::gpt2(),
    };
    match &fast {
        Some(fast) => Vocabulary::check_merges(merges_of(fast)).map_err(at(FAST))?,
        None if folder.join(MERGES).is_file() => {
            let text = read_text(&folder.join(MERGES))?;
            let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
            Vocabulary::check_merges(lines.map(|line| line.split_once(' ').unwrap_or((line, ""))))
                .map_err(at(MERGES))?;
        }
        None => {}
    }
    let add_prefix_space = match &fast {
        Some(fast) if !is_gpt2_class => prefix_space(fast).map_err(at(FAST))?,
        _ => tokenizer_config.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false),
    };
    let files = Files {
        fast: fast.as_ref(),
        config: &tokenizer_config,
        special: special.as_ref(),
        added: added.as_ref(),
        is_gpt2_class,
    };
    let found = added::read(&files, vocabulary.ids.len(), &|text| vocabulary.ids.get(text).copied());
    let found = found.map_err(at(if tokenizer_config.is_empty() { FAST } else { CONFIG }))?;
    let is_set = |key: &str| tokenizer_config.get(key) == Some(&Value::Bool(true));
    let (before, after) = match &fast {
        Some(fast) => around(fast.get("post_processor").unwrap_or(&Value::Null)).map_err(at(FAST))?,
        None => (
            found.bos.into_iter().filter(|_| is_set("add_bos_token")).collect(),
            found.eos.into_iter().filter(|_| is_set("add_eos_token")).collect(),
        ),
    };
    let parts = Parts {
        split_special_tokens: is_set("split_special_tokens"),
        add_prefix_space,
        before,
        after,
        ..Parts::new(vocabulary.base.clone(), vocabulary.with_rest(found.tokens))
    };
    let notes = found.moved.iter().map(|(text, there, here)| {
        format!(
            "the token {text:?} has the id {there} in the folder's files, and {here} here as in transformers 5, which counts added \
             tokens from the end of the vocabulary"
        )
    });
    let notes = notes.collect();
    let tokenizer = Tokenizer::of_parts(parts).map_err(at(if fast.is_some() { FAST } else { CONFIG }))?;
    Ok(Found { tokenizer, notes })
}

/// The vocabulary of a folder, which is GPT-2's and may have more.
struct Vocabulary {
    base: Tokenizer,
    ids: HashMap<String, u32>,
    /// What GPT-2's does not have.
    rest: Vec<(String, u32)>,
}

const NOT_GPT2: &str = "GPT-2's own tokenizer, with whatever tokens were added to it, and those of this program's exports can be used";

impl Vocabulary {
    fn gpt2() -> Self {
        let base = Tokenizer::Gpt2;
        Self { ids: spelled(&base, printable).collect(), base, rest: Vec::new() }
    }

    fn of(vocabulary: &Map<String, Value>) -> Result<Self, String> {
        let mut gpt2 = Self::gpt2();
        for (text, &id) in &gpt2.ids {
            let found = vocabulary.get(text);
            if found.and_then(Value::as_u64) != Some(id.into()) {
                let found = found.map_or("no id".to_owned(), |found| found.to_string());
                return Err(format!(
                    "this is not GPT-2's vocabulary: {text:?} has {found} here and {id} there; {NOT_GPT2}"
                ));
            }
        }
        for (text, id) in vocabulary.iter().filter(|(text, _)| !gpt2.ids.contains_key(*text)) {
            let known = id.as_u64().and_then(|id| u32::try_from(id).ok());
            let id = known.ok_or_else(|| format!("the token {text:?} has the id {id}, which is none"))?;
            gpt2.rest.push((text.clone(), id));
        }
        gpt2.ids.extend(gpt2.rest.iter().cloned());
        Ok(gpt2)
    }

    /// Looks whether words are put together as by GPT-2: each merge makes the next token.
    fn check_merges<'a>(merges: impl Iterator<Item = (&'a str, &'a str)>) -> Result<(), String> {
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
    fn with_rest(&self, mut tokens: Vec<AddedToken>) -> Vec<AddedToken> {
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
}

/// The merges of a `tokenizer.json`: texts of two parts, or pairs.
fn merges_of(fast: &Map<String, Value>) -> impl Iterator<Item = (&str, &str)> {
    let merges = fast.get("model").and_then(|model| model.get("merges")?.as_array());
    merges.into_iter().flatten().map(|merge| match merge {
        Value::String(merge) => merge.split_once(' ').unwrap_or((merge, "")),
        merge => {
            let part = |place: usize| merge.get(place).and_then(Value::as_str).unwrap_or_default();
            (part(0), part(1))
        }
    })
}

/// Whether a `tokenizer.json` puts a space before texts, if it cuts them as GPT-2 does.
fn prefix_space(fast: &Map<String, Value>) -> Result<bool, String> {
    let normalizer = fast.get("normalizer").unwrap_or(&Value::Null);
    if !normalizer.is_null() {
        return Err(format!(
            "`normalizer` is {normalizer}: GPT-2's tokenizer has none, and only that can be used"
        ));
    }
    let cutter = fast.get("pre_tokenizer").unwrap_or(&Value::Null);
    let one = match cutter.get("pretokenizers").and_then(Value::as_array).map(Vec::as_slice) {
        Some([one]) => one,
        _ => cutter,
    };
    let cuts_words = one.get("use_regex").and_then(Value::as_bool).unwrap_or(true);
    if one.get("type").and_then(Value::as_str) != Some("ByteLevel") || !cuts_words {
        return Err(format!(
            "`pre_tokenizer` is {cutter}: only GPT-2's, ByteLevel with use_regex, can be used"
        ));
    }
    Ok(one.get("add_prefix_space").and_then(Value::as_bool).unwrap_or(false))
}

/// The tokens that a `post_processor` puts before and after a text.
fn around(processor: &Value) -> Result<(Vec<u32>, Vec<u32>), String> {
    let wrong = || format!("`post_processor` is {processor}, which cannot be used");
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok()).ok_or_else(wrong);
    match processor.get("type").and_then(Value::as_str) {
        None if processor.is_null() => Ok((Vec::new(), Vec::new())),
        Some("ByteLevel") => Ok((Vec::new(), Vec::new())),
        Some("BertProcessing" | "RobertaProcessing") => {
            let of = |key: &str| id(processor.get(key).and_then(|pair| pair.get(1)).ok_or_else(wrong)?);
            Ok((vec![of("cls")?], vec![of("sep")?]))
        }
        Some("TemplateProcessing") => {
            let (mut before, mut after, mut is_after) = (Vec::new(), Vec::new(), false);
            for piece in processor.get("single").and_then(Value::as_array).ok_or_else(wrong)? {
                if piece.get("Sequence").is_some() {
                    is_after = true;
                    continue;
                }
                let name = piece.get("SpecialToken").and_then(|token| token.get("id")?.as_str());
                let ids =
                    name.and_then(|name| processor.get("special_tokens")?.get(name)?.get("ids")?.as_array());
                let ids = ids.ok_or_else(wrong)?.iter().map(id).collect::<Result<Vec<u32>, _>>()?;
                if is_after { after.extend(ids) } else { before.extend(ids) }
            }
            Ok((before, after))
        }
        Some("Sequence") => {
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for one in processor.get("processors").and_then(Value::as_array).ok_or_else(wrong)? {
                let (outer, last) = around(one)?;
                before = [outer, before].concat();
                after.extend(last);
            }
            Ok((before, after))
        }
        _ => Err(wrong()),
    }
}

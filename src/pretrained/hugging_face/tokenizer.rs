//! The tokenizer of a folder, put together from its files as transformers 5 does.

use std::path::Path;

use serde_json::{Map, Value};

use super::added::{self, Files};
use super::vocabulary::{self, Vocabulary, merges_of};
use super::{read_object, read_text};
use crate::data::TOKENIZER_FILE;
use crate::data::tokenizer::{Parts, Tokenizer};
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
        Some(vocabulary) => {
            let base = fast.as_ref().and_then(|fast| vocabulary::base_of_exported(fast, vocabulary));
            Vocabulary::of(base.unwrap_or(Tokenizer::Gpt2), vocabulary).map_err(at(vocabulary_file))?
        }
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
        None => Vocabulary::plain(Tokenizer::Gpt2),
    };
    match &fast {
        Some(fast) => vocabulary.check_merges(merges_of(fast)).map_err(at(FAST))?,
        None if folder.join(MERGES).is_file() => {
            let text = read_text(&folder.join(MERGES))?;
            let lines = text.lines().filter(|line| !line.starts_with("#version") && !line.is_empty());
            let merges = lines.map(|line| line.split_once(' ').unwrap_or((line, "")));
            vocabulary.check_merges(merges).map_err(at(MERGES))?;
        }
        None => {}
    }
    let add_prefix_space = match &fast {
        Some(fast) if !is_gpt2_class => vocabulary.prefix_space(fast).map_err(at(FAST))?,
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

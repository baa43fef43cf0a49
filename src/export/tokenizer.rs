//! A tokenizer as files that Hugging Face's libraries read.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::data::tokenizer::spelling::{as_key, printable, spelled};
use crate::data::tokenizer::{AddedToken, END_OF_TEXT_NAME, Parts, Tokenizer};
use crate::data::write_tokenizer;
use crate::files::plain;

/// Writes `tokenizer.json` and `tokenizer_config.json`, for GPT-2's also `vocab.json` and `merges.txt`, and our own file, by
/// which this program knows it again. `block_size` is the longest text that the model reads, in tokens.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, tokenizer: &Tokenizer, block_size: usize) -> io::Result<()> {
    let put = |name: &str, json: &Value| plain::write_new(&folder.join(name), format!("{json:#}\n"));
    let parts = tokenizer.parts();
    let base = &parts.base;
    let mut vocab: Map<String, Value> =
        spelled(base, as_key(base)).map(|(text, id)| (text, json!(id))).collect();
    // Hugging Face counts added tokens from the end of the vocabulary, whatever ids a file gives them, but for those that it has there.
    for token in &parts.tokens {
        vocab.entry(token.content.clone()).or_insert(json!(token.id));
    }
    let fast = match base {
        Tokenizer::Gpt2 => {
            let merges = merges(base);
            put("vocab.json", &Value::Object(vocab.clone()))?;
            plain::write_new(&folder.join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n")))?;
            byte_level(vocab, merges, true, parts.add_prefix_space)
        }
        Tokenizer::Byte => byte_level(vocab, Vec::new(), false, parts.add_prefix_space),
        Tokenizer::Char { .. } | Tokenizer::Extended(_) => {
            json!({ "model": bpe(vocab, Vec::new()), "decoder": { "type": "Fuse" } })
        }
    };
    put("tokenizer.json", &whole(&fast, &parts))?;
    put("tokenizer_config.json", &config(&parts, block_size))?;
    write_tokenizer(folder, tokenizer)
}

/// GPT-2's merges in their order, which is that of the ids: the two parts of which each token of several bytes is made. They are
/// what the merges before it leave of its bytes.
fn merges(tokenizer: &Tokenizer) -> Vec<String> {
    let ids = (0..tokenizer.vocab_size() as u32).filter(|id| tokenizer.end_token() != Some(*id));
    let tokens: Vec<Vec<u8>> = ids.filter_map(|id| tokenizer.token_bytes(id)).collect();
    let ranks: HashMap<&[u8], usize> =
        tokens.iter().enumerate().map(|(rank, bytes)| (bytes.as_slice(), rank)).collect();
    let parts_of = |(rank, bytes): (usize, &Vec<u8>)| {
        // Ends of the parts.
        let mut ends: Vec<usize> = (0..=bytes.len()).collect();
        loop {
            let joined = ends.windows(3).enumerate().filter_map(|(at, ends)| {
                let joined = ranks.get(&bytes[ends[0]..ends[2]])?;
                (*joined < rank).then_some((*joined, at + 1))
            });
            match joined.min() {
                Some((_, between)) => ends.remove(between),
                None => break,
            };
        }
        match *ends.as_slice() {
            [start, middle, end] => {
                Some(format!("{} {}", printable(&bytes[start..middle]), printable(&bytes[middle..end])))
            }
            _ => None,
        }
    };
    tokens.iter().enumerate().filter_map(parts_of).collect()
}

/// The part of `tokenizer.json` that says which pieces a text has and what their ids are.
fn bpe(vocab: Map<String, Value>, merges: Vec<String>) -> Value {
    json!({
        "type": "BPE",
        "dropout": null,
        "unk_token": null,
        "continuing_subword_prefix": "",
        "end_of_word_suffix": "",
        "fuse_unk": false,
        "byte_fallback": false,
        "vocab": vocab,
        "merges": merges,
    })
}

/// Texts as bytes, in words where `words`.
fn byte_level(vocab: Map<String, Value>, merges: Vec<String>, words: bool, prefix_space: bool) -> Value {
    let bytes = json!({
        "type": "ByteLevel",
        "add_prefix_space": prefix_space,
        "trim_offsets": true,
        "use_regex": words,
    });
    json!({ "model": bpe(vocab, merges), "pre_tokenizer": bytes, "decoder": bytes })
}

/// `tokenizer.json`, with all of its keys.
fn whole(fast: &Value, parts: &Parts) -> Value {
    // Special tokens that texts do not name are still special; of others nothing is left but the entry of the vocabulary.
    let is_added = |token: &&AddedToken| parts.reads(token) || (token.special && !token.only_written);
    let added = parts.tokens.iter().filter(is_added).map(|token| {
        json!({
            "id": token.id,
            "content": token.content,
            "single_word": token.single_word,
            "lstrip": token.lstrip,
            "rstrip": token.rstrip,
            "normalized": token.normalized,
            "special": token.special,
        })
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": fast["pre_tokenizer"],
        "post_processor": around(parts),
        "decoder": fast["decoder"],
        "model": fast["model"],
    })
}

/// What puts tokens before and after a text; null where there are none.
fn around(parts: &Parts) -> Value {
    if parts.before.is_empty() && parts.after.is_empty() {
        return Value::Null;
    }
    let special = |&id: &u32| json!({ "SpecialToken": { "id": id.to_string(), "type_id": 0 } });
    let text = |name: &str, number: usize| json!({ "Sequence": { "id": name, "type_id": number } });
    let framed = |texts: Vec<Value>| {
        let before = parts.before.iter().map(special);
        before.chain(texts).chain(parts.after.iter().map(special)).collect::<Vec<Value>>()
    };
    let named = parts.before.iter().chain(&parts.after).map(|id| {
        let name = id.to_string();
        (name.clone(), json!({ "id": name, "ids": [id], "tokens": [name] }))
    });
    json!({
        "type": "TemplateProcessing",
        "single": framed(vec![text("A", 0)]),
        "pair": framed(vec![text("A", 0), text("B", 1)]),
        "special_tokens": named.collect::<Map<String, Value>>(),
    })
}

fn config(parts: &Parts, block_size: usize) -> Value {
    let mut config = json!({
        "model_max_length": block_size,
        // Texts come back as they were.
        "clean_up_tokenization_spaces": false,
        // Whether special tokens that are written out in a text are text.
        "split_special_tokens": parts.split_special_tokens,
    });
    match parts.base {
        Tokenizer::Gpt2 => {
            config["tokenizer_class"] = json!("GPT2Tokenizer");
            config["add_prefix_space"] = json!(parts.add_prefix_space);
            for key in ["bos_token", "eos_token", "unk_token"] {
                config[key] = json!(END_OF_TEXT_NAME);
            }
        }
        Tokenizer::Char { .. } | Tokenizer::Byte | Tokenizer::Extended(_) => {
            config["tokenizer_class"] = json!("PreTrainedTokenizerFast");
        }
    }
    config
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::experiment::TokenizerKind;

    #[test]
    fn the_vocabulary_of_gpt2_is_spelled_as_everywhere() {
        let vocab: HashMap<String, u32> = spelled(&Tokenizer::Gpt2, as_key(&Tokenizer::Gpt2)).collect();
        assert_eq!(vocab.len(), 50_257);
        for (text, id) in
            [("!", 0), ("\u{120}the", 262), ("\u{10a}", 198), ("hello", 31_373), (END_OF_TEXT_NAME, 50_256)]
        {
            assert_eq!(vocab[text], id, "{text}");
        }
    }

    #[test]
    fn the_merges_of_gpt2_make_each_of_its_longer_tokens() {
        let merges = merges(&Tokenizer::Gpt2);
        assert_eq!(merges.len(), 50_000);
        assert_eq!(merges[..4], ["\u{120} t", "\u{120} a", "h e", "i n"]);
        for (number, merge) in merges.iter().enumerate() {
            let made = merge.replacen(' ', "", 1);
            let token = Tokenizer::Gpt2.token_bytes(256 + number as u32).unwrap();
            assert_eq!(made, printable(&token), "merge {number}");
        }
    }

    #[test]
    fn characters_stand_for_themselves() {
        let folder = tempfile::tempdir().unwrap();
        let tokenizer = Tokenizer::build(TokenizerKind::Char, "b\na\u{e9}");
        write(folder.path(), &tokenizer, 64).unwrap();
        let json: Value =
            serde_json::from_slice(&fs::read(folder.path().join("tokenizer.json")).unwrap()).unwrap();
        assert_eq!(json["model"]["vocab"], json!({ "\n": 0, "a": 1, "b": 2, "\u{e9}": 3 }));
        assert!(json["pre_tokenizer"].is_null());
        assert!(!folder.path().join("vocab.json").exists());
        assert_eq!(crate::data::read_tokenizer(folder.path()).unwrap(), Some(tokenizer));
    }
}

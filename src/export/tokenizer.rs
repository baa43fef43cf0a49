//! A tokenizer as files that Hugging Face's libraries read.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::data::tokenizer::Tokenizer;
use crate::data::write_tokenizer;
use crate::files::plain;

/// Writes `tokenizer.json` and `tokenizer_config.json`, for GPT-2's also `vocab.json` and `merges.txt`, and our own file, by
/// which this program knows it again. `block_size` is the longest text that the model reads, in tokens.
///
/// # Errors
/// When a file cannot be written.
pub fn write(folder: &Path, tokenizer: &Tokenizer, block_size: usize) -> io::Result<()> {
    let put = |name: &str, json: &Value| plain::write_new(&folder.join(name), format!("{json:#}\n"));
    let fast = match tokenizer {
        Tokenizer::Gpt2 => {
            let (vocab, merges) = (vocabulary(tokenizer, printable), merges(tokenizer));
            put("vocab.json", &Value::Object(vocab.clone()))?;
            plain::write_new(&folder.join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n")))?;
            byte_level(vocab, merges, true)
        }
        Tokenizer::Byte => byte_level(vocabulary(tokenizer, printable), Vec::new(), false),
        Tokenizer::Char { .. } => {
            let vocab = vocabulary(tokenizer, |bytes| String::from_utf8_lossy(bytes).into_owned());
            json!({ "model": bpe(vocab, Vec::new()), "decoder": { "type": "Fuse" } })
        }
    };
    put("tokenizer.json", &whole(fast, tokenizer))?;
    put("tokenizer_config.json", &config(tokenizer, block_size))?;
    write_tokenizer(folder, tokenizer)
}

/// What GPT-2 calls the token that ends a text. It has no bytes of its own.
const END_OF_TEXT: &str = "<|endoftext|>";

/// Every token's text, as `spell` writes its bytes, and its id.
fn vocabulary(tokenizer: &Tokenizer, spell: fn(&[u8]) -> String) -> Map<String, Value> {
    let ids = 0..tokenizer.vocab_size() as u32;
    let entry = |id| {
        let text = match tokenizer.token_bytes(id) {
            Some(_) if tokenizer.end_token() == Some(id) => END_OF_TEXT.to_owned(),
            Some(bytes) => spell(&bytes),
            None => return None,
        };
        Some((text, json!(id)))
    };
    ids.filter_map(entry).collect()
}

/// Bytes as characters that can be seen and that no white space is among: those of Latin-1 that are such stand for themselves, the
/// others follow from U+0100 on.
///
/// # Source
/// Radford et al. 2019: the spelling of GPT-2's own vocabulary, and of Hugging Face's `ByteLevel`.
fn printable(bytes: &[u8]) -> String {
    let is_seen = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let char_of = |&byte: &u8| match is_seen(byte) {
        true => char::from(byte),
        false => {
            let place = (0..byte).filter(|&before| !is_seen(before)).count() as u32;
            char::from_u32(0x100 + place).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    };
    bytes.iter().map(char_of).collect()
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
fn byte_level(vocab: Map<String, Value>, merges: Vec<String>, words: bool) -> Value {
    let bytes =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": words });
    json!({ "model": bpe(vocab, merges), "pre_tokenizer": bytes, "decoder": bytes })
}

/// `tokenizer.json`, with all of its keys.
fn whole(fast: Value, tokenizer: &Tokenizer) -> Value {
    let end = tokenizer.end_token().map(|id| {
        json!({
            "id": id,
            "content": END_OF_TEXT,
            "single_word": false,
            "lstrip": false,
            "rstrip": false,
            "normalized": false,
            "special": true,
        })
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": end.into_iter().collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": fast["pre_tokenizer"],
        "post_processor": null,
        "decoder": fast["decoder"],
        "model": fast["model"],
    })
}

fn config(tokenizer: &Tokenizer, block_size: usize) -> Value {
    let mut config = json!({
        "model_max_length": block_size,
        // Texts come back as they were.
        "clean_up_tokenization_spaces": false,
    });
    match tokenizer {
        Tokenizer::Gpt2 => {
            config["tokenizer_class"] = json!("GPT2Tokenizer");
            config["add_prefix_space"] = json!(false);
            for key in ["bos_token", "eos_token", "unk_token"] {
                config[key] = json!(END_OF_TEXT);
            }
        }
        Tokenizer::Char { .. } | Tokenizer::Byte => {
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
        let vocab = vocabulary(&Tokenizer::Gpt2, printable);
        assert_eq!(vocab.len(), 50_257);
        for (text, id) in
            [("!", 0), ("\u{120}the", 262), ("\u{10a}", 198), ("hello", 31_373), (END_OF_TEXT, 50_256)]
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
    fn every_byte_has_a_character_of_its_own() {
        let spelled: std::collections::HashSet<String> = (0..=255).map(|byte| printable(&[byte])).collect();
        assert_eq!(spelled.len(), 256);
        assert!(spelled.iter().flat_map(|text| text.chars()).all(|c| !c.is_whitespace() && !c.is_control()));
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

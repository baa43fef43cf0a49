//! Probabilities of tokens, as OpenAI's interface writes them.

use serde_json::{Map, Value, json};

use crate::data::tokenizer::Tokenizer;
use crate::generate::sampler::Chance;
use crate::generate::{Piece, Scored, take_characters};

/// What stands for the logarithm of a probability of zero, which JSON has no number for. vLLM's interface has the same.
const IMPOSSIBLE: f32 = -9999.0;

/// `tokens`, `token_logprobs`, `top_logprobs` and `text_offset`: one entry for each token.
#[derive(Debug, Default)]
pub(super) struct Logprobs {
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<Value>,
}

/// How far a prompt has been gone through.
#[derive(Debug, Default)]
pub(super) struct Place {
    /// Complete characters so far.
    characters: usize,
    /// Of the character that is not complete.
    bytes: Vec<u8>,
}

impl Logprobs {
    /// `offset` is the place in the choice's text, in characters, where the token's text begins, or the character that it is a
    /// part of.
    fn push(&mut self, token: u32, chance: Option<&Chance>, tokenizer: &Tokenizer, offset: usize) {
        let number = |logprob: f32| json!(logprob.max(IMPOSSIBLE));
        self.tokens.push(json!(name(token, tokenizer)));
        self.text_offset.push(json!(offset));
        let Some(chance) = chance else {
            // The first token comes after nothing.
            self.token_logprobs.push(Value::Null);
            self.top_logprobs.push(Value::Null);
            return;
        };
        self.token_logprobs.push(number(chance.logprob));
        let mut top = Map::new();
        for &(token, logprob) in &chance.alternatives {
            let mut key = name(token, tokenizer);
            if top.contains_key(&key) {
                key = format!("token_id:{token}");
            }
            top.insert(key, number(logprob));
        }
        self.top_logprobs.push(Value::Object(top));
    }

    /// A token that was written. Nothing where its probability was not asked for.
    pub(super) fn push_piece(&mut self, piece: &Piece, tokenizer: &Tokenizer, offset: usize) {
        if let Some(chance) = &piece.chance {
            self.push(piece.token, Some(chance), tokenizer, offset);
        }
    }

    /// The next tokens of a prompt.
    pub(super) fn push_prompt(&mut self, scored: &[Scored], tokenizer: &Tokenizer, place: &mut Place) {
        for Scored { token, chance } in scored {
            self.push(*token, chance.as_ref(), tokenizer, place.characters);
            place.bytes.extend(tokenizer.token_bytes(*token).unwrap_or_default());
            place.characters += take_characters(&mut place.bytes).chars().count();
        }
    }

    pub(super) fn into_value(self) -> Value {
        let Self { tokens, token_logprobs, top_logprobs, text_offset } = self;
        json!({
            "tokens": tokens,
            "token_logprobs": token_logprobs,
            "top_logprobs": top_logprobs,
            "text_offset": text_offset,
        })
    }
}

/// What a token is called: its text, or where that is no text by itself its bytes, as in `bytes:\\xf0\\x9f`.
fn name(token: u32, tokenizer: &Tokenizer) -> String {
    match tokenizer.token_bytes(token).map(String::from_utf8) {
        Some(Ok(text)) => text,
        Some(Err(error)) => {
            let bytes = error.as_bytes().iter().map(|byte| format!("\\x{byte:02x}"));
            bytes.fold("bytes:".to_owned(), |name, byte| name + &byte)
        }
        None => format!("token_id:{token}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scored(token: u32, alternatives: &[u32]) -> Scored {
        let alternatives = alternatives.iter().map(|&id| (id, -1.0 - id as f32)).collect();
        Scored { token, chance: Some(Chance { logprob: f32::NEG_INFINITY, alternatives }) }
    }

    #[test]
    fn tokens_that_are_no_text_are_called_by_their_bytes_and_none_is_lost() {
        let mut logprobs = Logprobs::default();
        let bytes = Tokenizer::Byte;
        // The four bytes of an emoji between two letters, and one that is never a part of a character.
        let prompt: Vec<Scored> = [0x61, 0xf0, 0x9f, 0x99, 0x82, 0xff, 0x62]
            .map(|token| scored(token, &[0xf0, 0xff, 0x80, 0x61]))
            .into();
        let mut place = Place::default();
        // In two parts, as it is read.
        logprobs.push_prompt(&prompt[..3], &bytes, &mut place);
        logprobs.push_prompt(&prompt[3..], &bytes, &mut place);
        let value = logprobs.into_value();
        assert_eq!(
            value["tokens"],
            json!(["a", "bytes:\\xf0", "bytes:\\x9f", "bytes:\\x99", "bytes:\\x82", "bytes:\\xff", "b"])
        );
        assert_eq!(value["text_offset"], json!([0, 1, 1, 1, 1, 2, 3]));
        let top = value["top_logprobs"][0].as_object().unwrap();
        assert_eq!(top.keys().collect::<Vec<_>>(), ["bytes:\\xf0", "bytes:\\xff", "bytes:\\x80", "a"]);
        assert_eq!(value["token_logprobs"][0], json!(-9999.0));
    }

    #[test]
    fn gpt2s_tokens_are_called_by_what_they_are() {
        let tokenizer = Tokenizer::Gpt2;
        let ids = tokenizer.encode("\u{1f642} caf\u{e9}");
        let names: Vec<String> = ids.iter().map(|&id| name(id, &tokenizer)).collect();
        assert!(names[0].starts_with("bytes:\\xf0\\x9f"), "{names:?}");
        assert_eq!(names.last().map(String::as_str), Some(" caf\u{e9}"));
        assert_eq!(name(50_256, &tokenizer), "<|endoftext|>");
        assert_eq!(name(50_300, &tokenizer), "token_id:50300");
    }
}

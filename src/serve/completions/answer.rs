//! What an answer consists of, as OpenAI's interface writes it.

use serde_json::{Map, Value, json};

use crate::data::tokenizer::Tokenizer;
use crate::generate::Piece;
use crate::serve::App;
use crate::serve::request::Plan;

/// What all parts of an answer have in common.
#[derive(Debug)]
pub(super) struct Answer {
    id: String,
    created: i64,
    model: String,
    pub(super) tokenizer: Tokenizer,
    prompt_tokens: usize,
}

impl Answer {
    pub(super) fn new(app: &App, plan: &Plan) -> Self {
        let served = &app.served[plan.model];
        Self {
            id: format!("cmpl-{:016x}", rand::random::<u64>()),
            created: jiff::Timestamp::now().as_second(),
            model: served.name.clone(),
            tokenizer: served.model.pretrained.tokenizer.clone(),
            prompt_tokens: plan.prompts.iter().map(|(_, tokens)| tokens.len()).sum(),
        }
    }

    pub(super) fn body(&self, choices: Vec<Value>) -> Value {
        json!({
            "id": self.id,
            "object": "text_completion",
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }

    pub(super) fn usage(&self, new_tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": new_tokens,
            "total_tokens": self.prompt_tokens + new_tokens,
        })
    }
}

/// As OpenAI's interface writes them.
#[derive(Debug, Default)]
pub(super) struct Logprobs {
    tokens: Vec<Value>,
    token_logprobs: Vec<Value>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<Value>,
}

impl Logprobs {
    /// `offset` is the place of the piece's text, in characters.
    pub(super) fn push(&mut self, piece: &Piece, tokenizer: &Tokenizer, offset: usize) {
        let Some(chance) = &piece.chance else { return };
        self.tokens.push(json!(piece.text));
        self.token_logprobs.push(json!(chance.logprob));
        let mut top = Map::new();
        for &(token, logprob) in &chance.alternatives {
            // Tokens that are not whole characters can look the same: the most probable one stays.
            top.entry(tokenizer.decode(&[token])).or_insert_with(|| json!(logprob));
        }
        self.top_logprobs.push(Value::Object(top));
        self.text_offset.push(json!(offset));
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

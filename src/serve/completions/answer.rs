//! What an answer consists of, as OpenAI's interface writes it.

use serde_json::{Map, Value, json};

use super::logprobs::Logprobs;
use crate::data::tokenizer::Tokenizer;
use crate::generate::Ending;
use crate::serve::App;
use crate::serve::request::Plan;

/// What all parts of an answer have in common.
#[derive(Debug)]
pub(super) struct Answer {
    id: String,
    created: i64,
    model: String,
    pub(super) tokenizer: Tokenizer,
    /// Tokens of each prompt that are read, and those before them that were left out.
    prompts: Vec<(usize, usize)>,
    /// Of each prompt.
    samples: usize,
    /// Tokens that the model can see.
    context: usize,
}

impl Answer {
    pub(super) fn new(app: &App, plan: &Plan) -> Self {
        let served = &app.served[plan.model];
        Self {
            id: format!("cmpl-{:016x}", rand::random::<u64>()),
            created: jiff::Timestamp::now().as_second(),
            model: served.name.clone(),
            tokenizer: served.model.pretrained.tokenizer.clone(),
            prompts: plan.prompts.iter().map(|prompt| (prompt.tokens.len(), prompt.left_out)).collect(),
            samples: plan.samples,
            context: served.model.pretrained.model.block_size,
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

    /// A choice, or a part of one. With its ending comes what there is to say about all of its `new_tokens`.
    pub(super) fn choice(
        &self,
        index: usize,
        text: &str,
        logprobs: Option<Logprobs>,
        ending: Option<Ending>,
        new_tokens: usize,
    ) -> Value {
        let mut choice = json!({
            "index": index,
            "text": text,
            "logprobs": logprobs.map(Logprobs::into_value),
            "finish_reason": ending.map(Ending::name),
        });
        if let Some(remark) = ending.and_then(|_| self.remark(index, new_tokens)) {
            choice["runner"] = json!({ "remark": remark });
        }
        choice
    }

    /// What the model did not see of a text.
    fn remark(&self, index: usize, new_tokens: usize) -> Option<String> {
        let &(tokens, left_out) = self.prompts.get(index / self.samples)?;
        let mut said = Vec::new();
        if left_out > 0 {
            said.push(format!(
                "the first {left_out} tokens of the prompt were left out, as truncate_prompt_tokens asks"
            ));
        }
        // The last token is written and not read.
        if tokens + new_tokens > self.context + 1 {
            said.push(format!(
                "the text outgrew the {} tokens that the model sees: each time it went on from the last {} of them",
                self.context,
                (self.context / 2).max(1)
            ));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }

    /// The tokens that were read and written. Each prompt counts once, whatever is written after it.
    pub(super) fn usage(&self, new_tokens: usize) -> Value {
        let (read, left_out) = self
            .prompts
            .iter()
            .fold((0, 0), |(read, left_out), prompt| (read + prompt.0, left_out + prompt.1));
        let mut usage = Map::new();
        usage.insert("prompt_tokens".to_owned(), json!(read));
        usage.insert("completion_tokens".to_owned(), json!(new_tokens));
        usage.insert("total_tokens".to_owned(), json!(read + new_tokens));
        if left_out > 0 {
            usage.insert("prompt_tokens_details".to_owned(), json!({ "truncated_tokens": left_out }));
        }
        Value::Object(usage)
    }
}

//! A trained model in memory.

use super::{GenerateError, Settings};
use crate::infer::{Decoder, WeightKind};
use crate::pretrained::Pretrained;
use crate::units;

/// A model whose weights were read.
#[derive(Debug)]
pub struct Model {
    pub pretrained: Pretrained,
    pub decoder: Decoder,
    /// What its run or its folder says; common values where they say nothing.
    pub defaults: Settings,
    /// Prompts of its run.
    pub prompts: Vec<String>,
}

/// How many characters that are not known an error lists.
const LISTED: usize = 12;

impl Model {
    /// Reads the weights.
    ///
    /// # Errors
    /// When they cannot be read, or are not those of the model; when the settings that came with it are none.
    pub fn open(pretrained: Pretrained, kind: WeightKind) -> Result<Self, GenerateError> {
        let decoder = Decoder::open(&pretrained.weights, &pretrained.model, kind)?;
        let (said, common) = (&pretrained.sampling, Settings::default());
        let defaults = Settings {
            max_new_tokens: said.max_new_tokens.unwrap_or(common.max_new_tokens),
            temperature: said.temperature().unwrap_or(common.temperature),
            top_k: said.top_k.unwrap_or(common.top_k),
            top_p: said.top_p.unwrap_or(common.top_p),
            repetition_penalty: said.repetition_penalty.unwrap_or(common.repetition_penalty),
            ..common
        };
        if let Some(problem) = defaults.problem() {
            let problem = format!("the settings that came with {}: {problem}", pretrained.name);
            return Err(GenerateError::Settings { problem });
        }
        let prompts = pretrained.sampling.prompts.clone();
        Ok(Self { pretrained, decoder, defaults, prompts })
    }

    /// The tokens after which a text is over.
    pub fn end_tokens(&self) -> Vec<u32> {
        match &self.pretrained.sampling.end_tokens {
            none if none.is_empty() => self.pretrained.tokenizer.end_token().into_iter().collect(),
            said => said.clone(),
        }
    }

    /// The tokens of a prompt; an empty one is the token that begins a text.
    ///
    /// # Errors
    /// When the tokenizer does not know a character, or knows a token that the model does not.
    pub fn encode(&self, prompt: &str) -> Result<Vec<u32>, GenerateError> {
        let tokenizer = &self.pretrained.tokenizer;
        let unknown = tokenizer.unknown_chars(prompt);
        if !unknown.is_empty() {
            let listed: String = unknown.iter().take(LISTED).flat_map(|c| c.escape_debug()).collect();
            let more = if unknown.len() > LISTED { " and more" } else { "" };
            return Err(GenerateError::UnknownChars { chars: format!("{listed}{more}") });
        }
        let tokens = tokenizer.encode_prompt(prompt);
        let vocab_size = self.pretrained.model.vocab_size;
        if let Some(&id) = tokens.iter().find(|&&id| id as usize >= vocab_size) {
            let token = tokenizer.decode(&[id]);
            return Err(GenerateError::NoRow { token, id, vocab_size });
        }
        Ok(if tokens.is_empty() { vec![tokenizer.start_token()] } else { tokens })
    }

    /// What a person should know of a prompt of so many tokens; `None` if there is nothing.
    pub fn remark(&self, prompt_tokens: usize, max_new_tokens: usize) -> Option<String> {
        let block_size = self.pretrained.model.block_size;
        if prompt_tokens > block_size {
            return Some(format!(
                "the prompt has {prompt_tokens} tokens, but the context length is {block_size}: only the last {block_size} are used"
            ));
        }
        (prompt_tokens.saturating_add(max_new_tokens) > block_size).then(|| {
            format!(
                "prompt and new text may exceed the context length ({block_size}): whenever the context is full, the model \
                 continues with only the last {} as context",
                units::counted((block_size / 2).max(1) as u64, "token")
            )
        })
    }
}

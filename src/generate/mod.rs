//! Continuing a text with a model.
//!
//! A run that samples while it trains asks its engine for every token ([`continue_prompt`]). Everything else reads the weights
//! once and writes many texts at a time ([`Batch`]), or predicts a given one ([`score`]).

mod batch;
mod choices;
mod kept;
pub mod memorisation;
mod model;
mod pieces;
pub mod sampler;
mod score;
mod settings;

pub use batch::{Batch, Ending, JobId, News, Scored, What};
pub use model::Model;
pub use pieces::{Piece, take_characters};
pub use score::score;
pub use settings::Settings;

use crate::config::experiment::SamplePlan;
use crate::data::tokenizer::Tokenizer;
use crate::engine::{Engine, EngineError};
use crate::infer::InferError;

use choices::Choices;
use sampler::Sampler;

/// A text could not be continued.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    #[error(
        "the model gives no probabilities to sample from: {reason}; its weights or its training may have diverged"
    )]
    Logits { reason: String },
    #[error("computing the next token: {0}")]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Infer(#[from] InferError),
    #[error(
        "the model was trained without these characters and cannot read them: {chars}; leave them out of the prompt"
    )]
    UnknownChars { chars: String },
    #[error(
        "the prompt has the token {token:?} = {id}, for which the model has no row (vocab_size = {vocab_size}): it was added to the \
         tokenizer and not to the model; leave it out, or call resize_token_embeddings in transformers, train, and save again"
    )]
    NoRow { token: String, id: u32, vocab_size: usize },
    #[error("{problem}")]
    Settings { problem: String },
}

impl GenerateError {
    /// Whether another model or another prompt has to be given.
    pub fn is_of_the_model(&self) -> bool {
        match self {
            Self::Infer(InferError::Weights { source, .. }) => source.is_of_the_file(),
            Self::UnknownChars { .. } | Self::NoRow { .. } => true,
            _ => false,
        }
    }
}

/// The model's continuation of `prompt`, without the prompt: up to `plan.max_new_tokens` tokens, fewer when the model
/// ends the text. An empty prompt starts from [`Tokenizer::start_token`]; characters that the tokenizer does not know
/// are left out of the prompt (see [`Tokenizer::unknown_chars`]). The same seed, plan and logits give the same text.
/// `plan.seed` and `plan.prompts` are the caller's business.
///
/// # Errors
/// When the engine fails, or its logits are not numbers.
pub fn continue_prompt(
    engine: &mut dyn Engine,
    tokenizer: &Tokenizer,
    prompt: &str,
    plan: &SamplePlan,
    seed: u64,
) -> Result<String, GenerateError> {
    let mut tokens = tokenizer.encode_prompt(prompt);
    if tokens.is_empty() {
        tokens.push(tokenizer.start_token());
    }
    let prompt_tokens = tokens.len();
    let mut sampler = Sampler::new(plan.temperature, plan.top_k, plan.top_p, seed);
    let mut choices = None;
    for _ in 0..plan.max_new_tokens {
        let logits = engine.next_token_logits(&tokens)?;
        let choices = choices.get_or_insert_with(|| Choices::new(tokenizer, &[], logits.len()));
        let next = sampler.sample(&choices.of(&logits))?;
        if Some(next) == tokenizer.end_token() {
            break;
        }
        tokens.push(next);
    }
    Ok(tokenizer.decode(&tokens[prompt_tokens..]))
}

#[cfg(test)]
mod tests;

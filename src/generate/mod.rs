//! Continuing a text with a model.
//!
//! A run that samples while it trains asks its engine for every token ([`continue_prompt`]). Everything else reads the weights
//! once and writes many texts at a time ([`Batch`]), or predicts a given one ([`score`]).

mod batch;
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
pub use score::{Score, score};
pub use settings::Settings;

use crate::config::experiment::SamplePlan;
use crate::data::tokenizer::Tokenizer;
use crate::engine::{Engine, EngineError};
use crate::infer::InferError;

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
    #[error("{problem}")]
    Settings { problem: String },
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
    let mut tokens = tokenizer.encode(prompt);
    if tokens.is_empty() {
        tokens.push(tokenizer.start_token());
    }
    let prompt_tokens = tokens.len();
    let mut sampler = Sampler::new(plan.temperature, plan.top_k, plan.top_p, seed);
    for _ in 0..plan.max_new_tokens {
        let logits = engine.next_token_logits(&tokens)?;
        // A model may have more ids than its tokenizer; those mean nothing.
        let known = &logits[..logits.len().min(tokenizer.vocab_size())];
        let next = sampler.sample(known)?;
        if Some(next) == tokenizer.end_token() {
            break;
        }
        tokens.push(next);
    }
    Ok(tokenizer.decode(&tokens[prompt_tokens..]))
}

#[cfg(test)]
mod tests;

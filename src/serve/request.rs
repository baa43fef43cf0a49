//! `POST /v1/completions`: what it takes, and what is wrong with it.
//!
//! # Source
//! OpenAI's API reference, "Create completion". `top_k`, `repetition_penalty` and `truncate_prompt_tokens` are additions that other
//! servers have as well; the last one is vLLM's.

mod fields;
mod names;

use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use super::waiting::piece_cost;
use super::{Limits, Served};
use crate::generate::Settings;
use crate::units;
pub use fields::{Asked, is_field};
pub use names::find as find_model;

/// A request as it is sent. What else stands in a body is looked at by [`Asked`].
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    pub model: Option<String>,
    pub prompt: Option<Prompt>,
    pub max_tokens: Option<usize>,
    pub temperature: Option<f64>,
    pub top_p: Option<f64>,
    pub top_k: Option<usize>,
    pub repetition_penalty: Option<f64>,
    pub n: Option<usize>,
    pub best_of: Option<usize>,
    pub stream: Option<bool>,
    pub stream_options: Option<StreamOptions>,
    pub stop: Option<OneOrMany>,
    pub seed: Option<i64>,
    pub logprobs: Option<usize>,
    pub echo: Option<bool>,
    pub suffix: Option<String>,
    pub presence_penalty: Option<f64>,
    pub frequency_penalty: Option<f64>,
    pub logit_bias: Option<Value>,
    /// Only so many of a prompt's last tokens are read; -1: as many as the model can see.
    pub truncate_prompt_tokens: Option<i64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StreamOptions {
    pub include_usage: bool,
    /// OpenAI makes all events of a stream equally long with it. Nothing is sent here that hides.
    #[serde(rename = "include_obfuscation")]
    _include_obfuscation: Value,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`stop` is a text or a list of texts")]
pub enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// Texts, or token ids.
#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`prompt` is a text, a list of texts, a list of token ids or a list of such lists"
)]
pub enum Prompt {
    Text(String),
    Tokens(Vec<u32>),
    Texts(Vec<String>),
    ManyTokens(Vec<Vec<u32>>),
}

/// Text and tokens of a prompt.
#[derive(Debug)]
pub struct Read {
    pub text: String,
    pub tokens: Vec<u32>,
    /// Tokens that stood before these and were left out, as was asked for.
    pub left_out: usize,
}

/// A request that can be fulfilled.
#[derive(Debug)]
pub struct Plan {
    /// Index of the model.
    pub model: usize,
    pub prompts: Vec<Read>,
    pub settings: Settings,
    /// Of each prompt.
    pub samples: usize,
    pub stream: bool,
    pub include_usage: bool,
    pub echo: bool,
}

/// What is wrong with a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Problem {
    pub status: StatusCode,
    /// OpenAI's word for it.
    pub code: &'static str,
    /// The field that it is about, where it is about one.
    pub param: Option<String>,
    pub message: String,
}

impl Problem {
    /// A field, the one of this name, has a value that it cannot have.
    pub fn of(param: &str, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::BAD_REQUEST,
            code: "invalid_value",
            param: Some(param.to_owned()),
            message: message.into(),
        }
    }
}

/// Most alternatives that a token can be sent with: OpenAI has 5, its chat interface 20.
const MOST_LOGPROBS: usize = 20;
/// What OpenAI has where nothing is said.
const MAX_TOKENS: usize = 16;

impl Request {
    /// Holds the request against the models and limits.
    pub fn plan(self, served: &[Served], limits: &Limits) -> Result<Plan, Problem> {
        self.refuse_unknown_ways()?;
        let model = self.find_model(served)?;
        let settings = self.settings(served, model, limits)?;
        let samples = self.n.unwrap_or(1);
        let echo = self.echo.unwrap_or(false);
        let mut prompts = prompts(self.prompt.unwrap_or(Prompt::Text(String::new())), &served[model])?;
        fit(&mut prompts, self.truncate_prompt_tokens, &served[model], settings.max_new_tokens)?;
        let texts = samples.saturating_mul(prompts.len());
        if texts == 0 {
            let param = if samples == 0 { "n" } else { "prompt" };
            return Err(Problem::of(param, "n and the number of prompts must be at least 1"));
        }
        // One text each of many prompts is what evaluations ask for.
        let most = if samples == 1 { limits.samples.max(limits.prompts) } else { limits.samples };
        if texts > most {
            let message = format!(
                "n = {samples} for {} makes {}: this server writes at most {most} per request",
                units::counted(prompts.len() as u64, "prompt"),
                units::counted(texts as u64, "text"),
            );
            return Err(Problem::of(if samples == 1 { "prompt" } else { "n" }, message));
        }
        let most = limits.samples.saturating_mul(limits.new_tokens);
        if texts.saturating_mul(settings.max_new_tokens) > most {
            let message = format!(
                "{texts} texts of {} tokens are more than the {most} tokens that this server writes for a request: ask for fewer \
                 prompts at a time, or a smaller max_tokens",
                settings.max_new_tokens
            );
            return Err(Problem::of("max_tokens", message));
        }
        if self.stream != Some(true)
            && let Some(alternatives) = self.logprobs
        {
            let scored: usize = prompts.iter().map(|prompt| prompt.tokens.len()).sum();
            let scored = if settings.score_prompt { scored.saturating_mul(samples) } else { 0 };
            let tokens = texts.saturating_mul(settings.max_new_tokens).saturating_add(scored);
            let all = piece_cost(1, alternatives).saturating_mul(tokens);
            if all > limits.waiting_bytes / 2 {
                let message = format!(
                    "{tokens} tokens with {alternatives} logprobs take up to {} MiB, and this server holds {} MiB for an answer: \
                     ask for less, or for a stream",
                    all >> 20,
                    limits.waiting_bytes >> 21
                );
                return Err(Problem::of("logprobs", message));
            }
        }
        let include_usage = self.stream_options.is_some_and(|options| options.include_usage);
        let stream = self.stream.unwrap_or(false);
        Ok(Plan { model, prompts, settings, samples, stream, include_usage, echo })
    }

    /// What OpenAI's interface can, and this server cannot.
    fn refuse_unknown_ways(&self) -> Result<(), Problem> {
        let is_set = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
        for (name, penalty) in
            [("presence_penalty", self.presence_penalty), ("frequency_penalty", self.frequency_penalty)]
        {
            if is_set(penalty) {
                return Err(Problem::of(name, format!("{name} is not available: use repetition_penalty")));
            }
        }
        if self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
            return Err(Problem::of("suffix", "suffix is not available: the model only continues texts"));
        }
        if self.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|bias| !bias.is_empty())) {
            return Err(Problem::of("logit_bias", "logit_bias is not available"));
        }
        if self.best_of.is_some_and(|best_of| best_of != self.n.unwrap_or(1)) {
            return Err(Problem::of("best_of", "best_of is not available: ask for n samples"));
        }
        Ok(())
    }

    fn find_model(&self, served: &[Served]) -> Result<usize, Problem> {
        match &self.model {
            Some(name) => find_model(served, name),
            None if served.len() == 1 => Ok(0),
            None => Err(Problem::of("model", format!("model is one of {}", names::list(served.iter())))),
        }
    }

    fn settings(&self, served: &[Served], model: usize, limits: &Limits) -> Result<Settings, Problem> {
        let defaults = &served[model].model.defaults;
        let max_new_tokens = self.max_tokens.unwrap_or(MAX_TOKENS.min(limits.new_tokens));
        if max_new_tokens > limits.new_tokens {
            return Err(Problem::of(
                "max_tokens",
                format!("max_tokens is {max_new_tokens}: this server writes at most {}", limits.new_tokens),
            ));
        }
        if self.logprobs.is_some_and(|count| count > MOST_LOGPROBS) {
            return Err(Problem::of("logprobs", format!("logprobs is at most {MOST_LOGPROBS}")));
        }
        let settings = Settings {
            max_new_tokens,
            temperature: self.temperature.unwrap_or(defaults.temperature),
            top_k: self.top_k.unwrap_or(defaults.top_k),
            top_p: self.top_p.unwrap_or(defaults.top_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            stop: match &self.stop {
                None => Vec::new(),
                Some(OneOrMany::One(stop)) => vec![stop.clone()],
                Some(OneOrMany::Many(stops)) => stops.clone(),
            },
            seed: self.seed.map_or_else(rand::random, |seed| seed as u64),
            alternatives: self.logprobs,
            score_prompt: self.echo == Some(true) && self.logprobs.is_some(),
        };
        if max_new_tokens == 0 && self.echo != Some(true) {
            return Err(Problem::of(
                "max_tokens",
                "max_tokens is 0, and nothing would be written: with echo the prompt comes back",
            ));
        }
        let writes = Settings { max_new_tokens: max_new_tokens.max(1), ..settings.clone() };
        match writes.problem() {
            None => Ok(settings),
            Some(unusable) => Err(Problem::of(unusable.setting, unusable.to_string())),
        }
    }
}

fn prompts(prompt: Prompt, served: &Served) -> Result<Vec<Read>, Problem> {
    let text = |text: String| match served.model.encode(&text) {
        Ok(tokens) => Ok(Read { text, tokens, left_out: 0 }),
        Err(error) => Err(Problem::of("prompt", error.to_string())),
    };
    let found = &served.model.pretrained;
    let vocab_size = found.tokenizer.vocab_size().min(found.model.vocab_size);
    let tokens = |tokens: Vec<u32>| {
        if let Some(token) =
            tokens.iter().find(|&&token| token as usize >= vocab_size || !found.tokenizer.has(token))
        {
            return Err(Problem::of(
                "prompt",
                format!("token {token} of the prompt is not in the vocabulary of {vocab_size}"),
            ));
        }
        if tokens.is_empty() {
            return text(String::new());
        }
        Ok(Read { text: served.model.pretrained.tokenizer.decode(&tokens), tokens, left_out: 0 })
    };
    match prompt {
        Prompt::Text(one) => Ok(vec![text(one)?]),
        Prompt::Texts(many) => many.into_iter().map(text).collect(),
        Prompt::Tokens(one) => Ok(vec![tokens(one)?]),
        Prompt::ManyTokens(many) => many.into_iter().map(tokens).collect(),
    }
}

/// Leaves out what was asked to be, and refuses prompts that the model cannot see as a whole.
fn fit(
    prompts: &mut [Read],
    truncate: Option<i64>,
    served: &Served,
    max_new_tokens: usize,
) -> Result<(), Problem> {
    let context = served.model.pretrained.model.block_size;
    let wrong = || {
        let message = format!(
            "truncate_prompt_tokens is the number of a prompt's last tokens that are read, at least 1, or -1 for the {context} that the \
             model sees"
        );
        Problem::of("truncate_prompt_tokens", message)
    };
    let most = match truncate {
        None => usize::MAX,
        Some(-1) => context,
        Some(most) => usize::try_from(most).ok().filter(|&most| most > 0).ok_or_else(wrong)?,
    };
    let is_alone = prompts.len() == 1;
    for (i, prompt) in prompts.iter_mut().enumerate() {
        if prompt.tokens.len() > most {
            prompt.left_out = prompt.tokens.len() - most;
            prompt.tokens.drain(..prompt.left_out);
            prompt.text = served.model.pretrained.tokenizer.decode(&prompt.tokens);
        }
        if prompt.tokens.len() > context {
            let tokens = prompt.tokens.len();
            let name = if is_alone { "the prompt".to_owned() } else { format!("prompt {i} (from 0)") };
            let message = format!(
                "this model's maximum context length is {context} tokens, and {name} has {tokens} (max_tokens: {max_new_tokens}). \
                 Send at most {context} tokens, or set truncate_prompt_tokens to -1: then the last {context} are read"
            );
            return Err(Problem { code: "context_length_exceeded", ..Problem::of("prompt", message) });
        }
    }
    Ok(())
}

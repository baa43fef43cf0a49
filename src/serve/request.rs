//! `POST /v1/completions`: what it takes, and what is wrong with it.
//!
//! # Source
//! OpenAI's API reference, "Create completion". `top_k` and `repetition_penalty` are additions that other servers have as well.

use serde::Deserialize;
use serde_json::Value;

use super::waiting::piece_cost;
use super::{Limits, Served};
use crate::generate::Settings;
use crate::units;

/// A request as it is sent. Keys that are not here are ignored, as clients send more than they need.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
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
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct StreamOptions {
    pub include_usage: bool,
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

/// A request that can be fulfilled.
#[derive(Debug)]
pub struct Plan {
    /// Index of the model.
    pub model: usize,
    /// Text and tokens of each prompt.
    pub prompts: Vec<(String, Vec<u32>)>,
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
    /// OpenAI's word for it.
    pub code: &'static str,
    pub message: String,
}

fn problem(message: impl Into<String>) -> Problem {
    Problem { code: "invalid_value", message: message.into() }
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
        if echo && self.logprobs.is_some() {
            return Err(problem("echo together with logprobs is not available: prompts are not scored"));
        }
        let prompts = prompts(self.prompt.unwrap_or(Prompt::Text(String::new())), &served[model])?;
        let texts = samples.saturating_mul(prompts.len());
        if samples == 0 || texts == 0 {
            return Err(problem("n and the number of prompts must be at least 1"));
        }
        if texts > limits.samples {
            return Err(problem(format!(
                "n = {samples} for {} makes {}: this server writes at most {} per request",
                units::counted(prompts.len() as u64, "prompt"),
                units::counted(texts as u64, "text"),
                limits.samples
            )));
        }
        if self.stream != Some(true)
            && let Some(alternatives) = self.logprobs
        {
            let all =
                piece_cost(1, alternatives).saturating_mul(texts).saturating_mul(settings.max_new_tokens);
            if all > limits.waiting_bytes / 2 {
                return Err(problem(format!(
                    "{} of {} with logprobs = {alternatives} take up to {} MiB, and this server holds {} MiB for an answer: ask for \
                     less, or for a stream",
                    units::counted(texts as u64, "text"),
                    units::counted(settings.max_new_tokens as u64, "token"),
                    all >> 20,
                    limits.waiting_bytes >> 21
                )));
            }
        }
        let include_usage = self.stream_options.is_some_and(|options| options.include_usage);
        let stream = self.stream.unwrap_or(false);
        Ok(Plan { model, prompts, settings, samples, stream, include_usage, echo })
    }

    /// What OpenAI's interface can, and this server cannot.
    fn refuse_unknown_ways(&self) -> Result<(), Problem> {
        let is_set = |value: Option<f64>| value.is_some_and(|value| value != 0.0);
        if is_set(self.presence_penalty) || is_set(self.frequency_penalty) {
            return Err(problem(
                "presence_penalty and frequency_penalty are not available: use repetition_penalty",
            ));
        }
        if self.suffix.as_ref().is_some_and(|suffix| !suffix.is_empty()) {
            return Err(problem("suffix is not available: the model only continues texts"));
        }
        if self.logit_bias.as_ref().is_some_and(|bias| bias.as_object().is_none_or(|bias| !bias.is_empty())) {
            return Err(problem("logit_bias is not available"));
        }
        if self.best_of.is_some_and(|best_of| best_of != self.n.unwrap_or(1)) {
            return Err(problem("best_of is not available: ask for n samples"));
        }
        Ok(())
    }

    fn find_model(&self, served: &[Served]) -> Result<usize, Problem> {
        let Some(name) = &self.model else {
            return if served.len() == 1 {
                Ok(0)
            } else {
                Err(problem(format!("model is one of {}", names(served))))
            };
        };
        served.iter().position(|served| served.name == *name).ok_or_else(|| Problem {
            code: "model_not_found",
            message: format!("there is no model {name:?} here; available: {}", names(served)),
        })
    }

    fn settings(&self, served: &[Served], model: usize, limits: &Limits) -> Result<Settings, Problem> {
        let defaults = &served[model].model.defaults;
        let max_new_tokens = self.max_tokens.unwrap_or(MAX_TOKENS.min(limits.new_tokens));
        if max_new_tokens > limits.new_tokens {
            return Err(problem(format!(
                "max_tokens is {max_new_tokens}: this server writes at most {}",
                limits.new_tokens
            )));
        }
        if self.logprobs.is_some_and(|count| count > MOST_LOGPROBS) {
            return Err(problem(format!("logprobs is at most {MOST_LOGPROBS}")));
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
        };
        match settings.problem() {
            None => Ok(settings),
            Some(message) => Err(problem(message.replace("max_new_tokens", "max_tokens"))),
        }
    }
}

fn names(served: &[Served]) -> String {
    served.iter().map(|served| served.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn prompts(prompt: Prompt, served: &Served) -> Result<Vec<(String, Vec<u32>)>, Problem> {
    let text = |text: String| match served.model.encode(&text) {
        Ok(tokens) => Ok((text, tokens)),
        Err(error) => Err(problem(error.to_string())),
    };
    let found = &served.model.pretrained;
    let vocab_size = found.tokenizer.vocab_size().min(found.model.vocab_size);
    let tokens = |tokens: Vec<u32>| {
        if let Some(token) =
            tokens.iter().find(|&&token| token as usize >= vocab_size || !found.tokenizer.has(token))
        {
            return Err(problem(format!(
                "token {token} of the prompt is not in the vocabulary of {vocab_size}"
            )));
        }
        if tokens.is_empty() {
            return text(String::new());
        }
        Ok((served.model.pretrained.tokenizer.decode(&tokens), tokens))
    };
    match prompt {
        Prompt::Text(one) => Ok(vec![text(one)?]),
        Prompt::Texts(many) => many.into_iter().map(text).collect(),
        Prompt::Tokens(one) => Ok(vec![tokens(one)?]),
        Prompt::ManyTokens(many) => many.into_iter().map(tokens).collect(),
    }
}

//! How tokens are chosen, and when a text ends.

use std::fmt;

/// What a person may ask for. [`Settings::problem`] says what cannot be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    pub max_new_tokens: usize,
    /// Divides the logits. 0: always the most probable token.
    pub temperature: f64,
    /// Only so many of the most probable tokens; 0: all.
    pub top_k: usize,
    /// Only the most probable tokens that together have this probability; 1: all.
    pub top_p: f64,
    /// Makes tokens that the text has already less probable (above 1) or more (below): a logit above zero is divided by it,
    /// one below is multiplied. 1: leaves them as they are.
    ///
    /// # Source
    /// Keskar et al., "CTRL: A Conditional Transformer Language Model for Controllable Generation", 2019; as in Hugging Face's
    /// `generate`, tokens of the prompt count too.
    pub repetition_penalty: f64,
    /// The text ends before the first of these.
    pub stop: Vec<String>,
    /// Of the first sample; the next ones have the numbers after it.
    pub seed: u64,
    /// Say with every token how probable it was, and this many of the most probable ones.
    pub alternatives: Option<usize>,
    /// Say also how probable each token of the prompt was after those before it, with as many of the most probable ones.
    pub score_prompt: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_new_tokens: 100,
            temperature: 0.8,
            top_k: 50,
            top_p: 1.0,
            repetition_penalty: 1.0,
            stop: Vec::new(),
            seed: 0,
            alternatives: None,
            score_prompt: false,
        }
    }
}

/// What no one needs, and what would make each token slow to look for.
const MOST_STOPS: usize = 16;
const LONGEST_STOP: usize = 1024;

/// A setting that cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub struct Unusable {
    pub setting: &'static str,
    /// Goes on after the name: `is 0: ask for at least one token`.
    pub reason: String,
}

impl fmt::Display for Unusable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.setting, self.reason)
    }
}

impl Settings {
    /// What is wrong with them; `None` if they can be used.
    pub fn problem(&self) -> Option<Unusable> {
        let unusable = |setting, reason| Some(Unusable { setting, reason });
        let Self { max_new_tokens, temperature, top_p, repetition_penalty, stop, .. } = self;
        if *max_new_tokens == 0 {
            return unusable("max_new_tokens", "is 0: ask for at least one token".to_owned());
        }
        if !temperature.is_finite() || *temperature < 0.0 {
            return unusable(
                "temperature",
                format!("is {temperature}: it is 0 (the likeliest token) or above"),
            );
        }
        if !(*top_p > 0.0 && *top_p <= 1.0) {
            return unusable("top_p", format!("is {top_p}: it is above 0 and at most 1 (all tokens)"));
        }
        // What is further from 1 leaves the range of numbers, and then the model would get the blame.
        if !(0.01..=100.0).contains(repetition_penalty) {
            return unusable(
                "repetition_penalty",
                format!("is {repetition_penalty}: it is from 0.01 to 100, and 1 changes nothing"),
            );
        }
        if stop.len() > MOST_STOPS {
            return unusable(
                "stop",
                format!("has {} sequences: at most {MOST_STOPS} are allowed", stop.len()),
            );
        }
        if stop.iter().any(String::is_empty) {
            return unusable("stop", "has an empty sequence, which would end every text at once".to_owned());
        }
        if let Some(long) = stop.iter().find(|stop| stop.len() > LONGEST_STOP) {
            return unusable(
                "stop",
                format!("has a sequence of {} bytes: at most {LONGEST_STOP} are allowed", long.len()),
            );
        }
        None
    }
}

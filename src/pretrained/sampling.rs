//! How a model is meant to be sampled from, as its run or its folder says.

use serde_json::{Map, Value, json};

use crate::config::experiment::SamplePlan;

/// Hugging Face's file of a model's settings for generation.
pub const GENERATION_FILE: &str = "generation_config.json";
/// Key of `config.json` under which an export keeps what only this program knows. Other programs pass over it.
pub const OWN_KEY: &str = "runner";

/// What was said about sampling from a model; what was not is `None`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Prompts that suit the model.
    pub prompts: Vec<String>,
    pub max_new_tokens: Option<usize>,
    /// Whether tokens are sampled, or the likeliest always taken.
    pub do_sample: Option<bool>,
    /// 0: greedy. What is used is [`Sampling::temperature`].
    pub temperature: Option<f64>,
    /// 0: all tokens.
    pub top_k: Option<usize>,
    /// 1: all tokens.
    pub top_p: Option<f64>,
    pub repetition_penalty: Option<f64>,
    /// Tokens after which a text is over. Empty where nothing was said: the tokenizer's own then.
    pub end_tokens: Vec<u32>,
    /// Settings that were given and that this program does not have.
    pub unused: Vec<String>,
}

/// Keys of `generation_config.json` that are used here, or say nothing about which token comes next.
const KNOWN: &[&str] = &[
    "_from_model_config",
    "bos_token_id",
    "cache_implementation",
    "do_sample",
    "eos_token_id",
    "max_new_tokens",
    "output_attentions",
    "output_hidden_states",
    "output_logits",
    "output_scores",
    "pad_token_id",
    "repetition_penalty",
    "return_dict_in_generate",
    "temperature",
    "top_k",
    "top_p",
    "transformers_version",
    "use_cache",
];

/// Values of other keys with which they change nothing.
const NEUTRAL: &[(&str, f64)] = &[
    ("diversity_penalty", 0.0),
    ("encoder_no_repeat_ngram_size", 0.0),
    ("encoder_repetition_penalty", 1.0),
    ("epsilon_cutoff", 0.0),
    ("eta_cutoff", 0.0),
    ("length_penalty", 1.0),
    ("min_length", 0.0),
    ("min_new_tokens", 0.0),
    ("min_p", 0.0),
    ("no_repeat_ngram_size", 0.0),
    ("num_beam_groups", 1.0),
    ("num_beams", 1.0),
    ("num_return_sequences", 1.0),
    ("top_h", 1.0),
    ("typical_p", 1.0),
];

/// Whether a setting that this program does not have would change a text.
fn matters(key: &str, value: &Value) -> bool {
    let is_neutral = match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(items) => items.is_empty(),
        Value::Number(number) => {
            NEUTRAL.iter().any(|(name, neutral)| *name == key && number.as_f64() == Some(*neutral))
        }
        Value::Bool(true) | Value::String(_) => false,
    };
    !is_neutral && !KNOWN.contains(&key)
}

/// The tokens of `eos_token_id`: a number or a list of them, and none where it is `null` or not there.
fn end_tokens(object: &Map<String, Value>) -> Result<Vec<u32>, String> {
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let tokens = match object.get("eos_token_id") {
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(ids)) => ids.iter().map(id).collect(),
        Some(value) => id(value).map(|id| vec![id]),
    };
    tokens.ok_or_else(|| {
        let value = &object["eos_token_id"];
        format!("`eos_token_id` is {value}, which is no token and no list of tokens")
    })
}

impl Sampling {
    /// What the logits are divided by: 0 where the likeliest token is always taken, 1 where sampling was asked for and nothing said
    /// of this, and `None` where nothing was said at all.
    pub fn temperature(&self) -> Option<f64> {
        match self.do_sample {
            Some(false) => Some(0.0),
            Some(true) => Some(self.temperature.unwrap_or(1.0)),
            None => self.temperature,
        }
    }

    /// As the run sampled while it trained.
    pub fn of_plan(plan: &SamplePlan) -> Self {
        Self {
            prompts: plan.prompts.clone(),
            max_new_tokens: Some(plan.max_new_tokens.max(1)),
            do_sample: Some(plan.temperature > 0.0),
            temperature: Some(plan.temperature),
            top_k: Some(plan.top_k),
            top_p: Some(plan.top_p),
            ..Self::default()
        }
    }

    /// From the contents of `config.json` and, where there is one, of `generation_config.json`.
    ///
    /// # Errors
    /// The key whose value is none that it could have, in words.
    pub fn of_json(config: &Map<String, Value>, generation: &Map<String, Value>) -> Result<Self, String> {
        let number = |key: &str| match generation.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                value.as_f64().map(Some).ok_or_else(|| format!("`{key}` is {value}, which is no number"))
            }
        };
        let count = |key: &str| match generation.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .map(Some)
                .ok_or_else(|| format!("`{key}` is {value}, which is no number of tokens")),
        };
        let do_sample = match generation.get("do_sample") {
            None | Some(Value::Null) => None,
            Some(Value::Bool(sampled)) => Some(*sampled),
            Some(value) => return Err(format!("`do_sample` is {value}, which is neither true nor false")),
        };
        // Where only `config.json` names them they count too. (transformers 5.24 reads them there only if the other file is missing.)
        let ends = end_tokens(generation)?;
        let end_tokens = if ends.is_empty() { end_tokens(config)? } else { ends };
        let unused = generation.iter().filter(|(key, value)| matters(key, value)).map(|(key, _)| key.clone());
        let prompts = config.get(OWN_KEY).and_then(|own| own.get("prompts")).and_then(Value::as_array);
        let prompts = prompts.into_iter().flatten().filter_map(|prompt| prompt.as_str().map(str::to_owned));
        Ok(Self {
            prompts: prompts.collect(),
            max_new_tokens: count("max_new_tokens")?,
            do_sample,
            temperature: number("temperature")?,
            top_k: count("top_k")?,
            top_p: number("top_p")?,
            repetition_penalty: number("repetition_penalty")?,
            end_tokens,
            unused: unused.collect(),
        })
    }

    /// The content of `generation_config.json`.
    pub fn generation_json(&self, end_token: Option<u32>) -> Value {
        let end = match self.end_tokens.as_slice() {
            [] => json!(end_token),
            [one] => json!(one),
            several => json!(several),
        };
        let pad = self.end_tokens.first().copied().or(end_token);
        let mut json = json!({ "bos_token_id": end_token, "eos_token_id": end, "pad_token_id": pad });
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                json[key] = value;
            }
        };
        // Hugging Face knows no temperature of 0. Where nothing was said nothing is said: it then takes the likeliest token.
        let greedy = self.temperature() == Some(0.0);
        set(
            "do_sample",
            if greedy { Some(json!(false)) } else { self.do_sample.map(|sampled| json!(sampled)) },
        );
        if !greedy {
            set("temperature", self.temperature.map(|x| json!(x)));
            set("top_k", self.top_k.map(|x| json!(x)));
            set("top_p", self.top_p.map(|x| json!(x)));
        }
        set("repetition_penalty", self.repetition_penalty.map(|x| json!(x)));
        set("max_new_tokens", self.max_new_tokens.map(|x| json!(x)));
        json
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn what_is_written_for_hugging_face_is_read_back() {
        let all = Sampling {
            prompts: vec!["Maud:\n".to_owned()],
            max_new_tokens: Some(150),
            do_sample: Some(true),
            temperature: Some(0.8),
            top_k: Some(0),
            top_p: Some(0.95),
            repetition_penalty: Some(1.1),
            end_tokens: vec![50_256, 13],
            unused: Vec::new(),
        };
        let one_end = vec![50_256];
        let greedy =
            Sampling { do_sample: Some(false), temperature: None, top_k: None, top_p: None, ..all.clone() };
        let unsaid = Sampling { end_tokens: one_end, ..Sampling::default() };
        for sampling in [all, greedy, unsaid] {
            let config = object(json!({ OWN_KEY: { "prompts": sampling.prompts } }));
            let generation = object(sampling.generation_json(Some(50_256)));
            assert_eq!(generation["pad_token_id"], 50_256);
            assert_eq!(Sampling::of_json(&config, &generation), Ok(sampling));
        }
    }

    #[test]
    fn what_was_not_said_is_not_said_by_an_export() {
        let read = |value| Sampling::of_json(&Map::new(), &object(value)).unwrap();
        // Hugging Face takes the likeliest token then, and its own temperature is 1.
        for (given, temperature) in [
            (json!({}), None),
            (json!({ "do_sample": true }), Some(1.0)),
            (json!({ "do_sample": false, "temperature": 0.7 }), Some(0.0)),
            (json!({ "temperature": 0.7 }), Some(0.7)),
        ] {
            let sampling = read(given.clone());
            assert_eq!(sampling.temperature(), temperature, "{given}");
            assert_eq!(sampling.generation_json(None).get("do_sample"), given.get("do_sample"), "{given}");
        }
    }

    #[test]
    fn a_text_ends_after_any_of_the_tokens_that_a_folder_names() {
        let read = |config: Value, generation: Value| {
            Sampling::of_json(&object(config), &object(generation)).map(|sampling| sampling.end_tokens)
        };
        assert_eq!(read(json!({}), json!({ "eos_token_id": [3, 4] })), Ok(vec![3, 4]));
        assert_eq!(read(json!({ "eos_token_id": 5 }), json!({ "eos_token_id": 3 })), Ok(vec![3]));
        assert_eq!(read(json!({ "eos_token_id": 5 }), json!({})), Ok(vec![5]));
        assert_eq!(read(json!({}), json!({ "eos_token_id": null })), Ok(vec![]));
        for wrong in [json!("x"), json!(-1), json!([1, "x"]), json!(1.5)] {
            assert!(
                read(json!({}), json!({ "eos_token_id": wrong }))
                    .unwrap_err()
                    .starts_with("`eos_token_id` is ")
            );
        }
    }

    #[test]
    fn settings_that_are_not_used_are_known_by_name() {
        let given = json!({
            "no_repeat_ngram_size": 3, "num_beams": 1, "min_p": 0.05, "typical_p": 1.0, "bad_words_ids": [], "watermarking_config": null,
            "early_stopping": false, "suppress_tokens": [7], "use_cache": true, "transformers_version": "5.24.0",
        });
        let unused = Sampling::of_json(&Map::new(), &object(given)).unwrap().unused;
        assert_eq!(unused, ["no_repeat_ngram_size", "min_p", "suppress_tokens"]);
    }

    #[test]
    fn values_that_are_none_are_named() {
        let read = |value| Sampling::of_json(&Map::new(), &object(value)).unwrap_err();
        assert_eq!(read(json!({ "temperature": "hot" })), "`temperature` is \"hot\", which is no number");
        assert_eq!(read(json!({ "top_k": -1 })), "`top_k` is -1, which is no number of tokens");
        assert_eq!(
            read(json!({ "max_new_tokens": 1.5 })),
            "`max_new_tokens` is 1.5, which is no number of tokens"
        );
    }
}

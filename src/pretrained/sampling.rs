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
    /// 0: greedy.
    pub temperature: Option<f64>,
    /// 0: all tokens.
    pub top_k: Option<usize>,
    /// 1: all tokens.
    pub top_p: Option<f64>,
    pub repetition_penalty: Option<f64>,
}

impl Sampling {
    /// As the run sampled while it trained.
    pub fn of_plan(plan: &SamplePlan) -> Self {
        Self {
            prompts: plan.prompts.clone(),
            max_new_tokens: Some(plan.max_new_tokens.max(1)),
            temperature: Some(plan.temperature),
            top_k: Some(plan.top_k),
            top_p: Some(plan.top_p),
            repetition_penalty: None,
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
        let greedy = generation.get("do_sample") == Some(&Value::Bool(false));
        let prompts = config.get(OWN_KEY).and_then(|own| own.get("prompts")).and_then(Value::as_array);
        let prompts = prompts.into_iter().flatten().filter_map(|prompt| prompt.as_str().map(str::to_owned));
        Ok(Self {
            prompts: prompts.collect(),
            max_new_tokens: count("max_new_tokens")?,
            temperature: if greedy { Some(0.0) } else { number("temperature")? },
            top_k: count("top_k")?,
            top_p: number("top_p")?,
            repetition_penalty: number("repetition_penalty")?,
        })
    }

    /// The content of `generation_config.json`.
    pub fn generation_json(&self, end_token: Option<u32>) -> Value {
        let mut json =
            json!({ "bos_token_id": end_token, "eos_token_id": end_token, "pad_token_id": end_token });
        let mut set = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                json[key] = value;
            }
        };
        // Hugging Face knows no temperature of 0.
        let samples = self.temperature.is_none_or(|temperature| temperature > 0.0);
        set("do_sample", Some(json!(samples)));
        if samples {
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
            temperature: Some(0.8),
            top_k: Some(0),
            top_p: Some(0.95),
            repetition_penalty: Some(1.1),
        };
        let greedy = Sampling { temperature: Some(0.0), top_k: None, top_p: None, ..all.clone() };
        for sampling in [all, greedy, Sampling::default()] {
            let config = object(json!({ OWN_KEY: { "prompts": sampling.prompts } }));
            let generation = object(sampling.generation_json(Some(50_256)));
            assert_eq!(generation["eos_token_id"], 50_256);
            assert_eq!(Sampling::of_json(&config, &generation), Ok(sampling));
        }
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

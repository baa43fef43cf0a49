//! The fields of a request: which there are, and what to say about others. What is not understood is never left out in silence,
//! since the text would be another one than was asked for.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::{Problem, Request};

/// Those of [`Request`].
const FIELDS: [&str; 20] = [
    "model",
    "prompt",
    "max_tokens",
    "temperature",
    "top_p",
    "top_k",
    "repetition_penalty",
    "n",
    "best_of",
    "stream",
    "stream_options",
    "stop",
    "seed",
    "logprobs",
    "echo",
    "suffix",
    "presence_penalty",
    "frequency_penalty",
    "logit_bias",
    "truncate_prompt_tokens",
];

/// Fields that change no text: who asks, and how the asking is kept, sorted or paid for.
const WITHOUT_EFFECT: [&str; 11] = [
    "cache_salt",
    "metadata",
    "priority",
    "prompt_cache_key",
    "prompt_cache_retention",
    "request_id",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
    // There are no special tokens to add to a prompt of GPT-2.
    "add_special_tokens",
];

/// Fields of other servers with the value that asks for nothing. Some clients send all that they know.
const NEUTRAL: [(&str, &str); 15] = [
    ("bad_words", "[]"),
    ("do_sample", "true"),
    ("early_stopping", "false"),
    ("ignore_eos", "false"),
    ("include_stop_str_in_output", "false"),
    ("length_penalty", "1"),
    ("min_p", "0"),
    ("min_tokens", "0"),
    ("num_beams", "1"),
    ("return_token_ids", "false"),
    ("skip_special_tokens", "true"),
    ("spaces_between_special_tokens", "true"),
    ("stop_token_ids", "[]"),
    ("typical_p", "1"),
    ("use_beam_search", "false"),
];

/// What others call a field, and what it is called here.
const ALIASES: [(&str, &str); 23] = [
    ("input", "prompt"),
    ("inputs", "prompt"),
    ("max_completion_tokens", "max_tokens"),
    ("max_gen_toks", "max_tokens"),
    ("max_length", "max_tokens"),
    ("max_new_tokens", "max_tokens"),
    ("max_output_tokens", "max_tokens"),
    ("n_predict", "max_tokens"),
    ("num_predict", "max_tokens"),
    ("num_return_sequences", "n"),
    ("num_samples", "n"),
    ("prompt_logprobs", "logprobs` with `echo"),
    ("random_seed", "seed"),
    ("rep_pen", "repetition_penalty"),
    ("rep_penalty", "repetition_penalty"),
    ("repeat_penalty", "repetition_penalty"),
    ("return_full_text", "echo"),
    ("stop_sequence", "stop"),
    ("stop_sequences", "stop"),
    ("stop_strings", "stop"),
    ("text", "prompt"),
    ("top_logprobs", "logprobs"),
    ("until", "stop"),
];

/// Fields that are not understood and that an answer names. A body may have a hundred thousand of them.
const NAMED: usize = 8;

/// Whether there is a field of this name.
pub fn is_field(name: &str) -> bool {
    FIELDS.contains(&name)
}

/// A request, and what there is to say about fields that it has besides.
#[derive(Debug)]
pub struct Asked {
    pub request: Request,
    /// Names and problems of the first of those that are not understood: one more than are named.
    problems: Vec<(String, String)>,
}

impl Asked {
    /// The request, if it has no field that would have to be left out.
    ///
    /// # Errors
    /// Names each such field, and what may have been meant.
    pub fn understood(self) -> Result<Request, Problem> {
        let Some((first, _)) = self.problems.first() else { return Ok(self.request) };
        let named: Vec<&str> =
            self.problems.iter().take(NAMED).map(|(_, problem)| problem.as_str()).collect();
        let more = if self.problems.len() > NAMED { "; and more like these" } else { "" };
        let message = named.join("; ") + more;
        Err(Problem { code: "unknown_parameter", ..Problem::of(first, message) })
    }
}

fn problem_of(name: &str, value: &Value) -> Option<String> {
    if WITHOUT_EFFECT.contains(&name) {
        return None;
    }
    let shown = shortened(name);
    if let Some((_, neutral)) = NEUTRAL.iter().find(|(known, _)| *known == name) {
        let asks_for_nothing = value.is_null()
            || serde_json::from_str::<Value>(neutral).is_ok_and(|neutral| same(&neutral, value));
        return (!asks_for_nothing).then(|| match name {
            "do_sample" => {
                "`do_sample` is not available: `temperature` 0 takes the likeliest token".to_owned()
            }
            _ => format!("`{name}` is not available here (but as {neutral}, which changes nothing)"),
        });
    }
    if name == "messages" {
        return Some("`messages` is for chats: the models here continue a text, `prompt`".to_owned());
    }
    let plain = name.to_lowercase().replace('-', "_");
    if let Some((_, ours)) = ALIASES.iter().find(|(known, _)| *known == plain) {
        return Some(format!("unknown field `{shown}`: it is called `{ours}` here"));
    }
    Some(match nearest(&plain) {
        Some(near) => format!("unknown field `{shown}`: did you mean `{near}`?"),
        None => format!("unknown field `{shown}`: this server knows {}", FIELDS.join(", ")),
    })
}

fn same(neutral: &Value, value: &Value) -> bool {
    match (neutral.as_f64(), value.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => neutral == value,
    }
}

/// The field with the nearest name, if it is near.
fn nearest(name: &str) -> Option<&'static str> {
    // A name of twice the length of the longest is near to none, and long ones would take long to compare.
    if name.len() > 50 {
        return None;
    }
    FIELDS
        .iter()
        .map(|field| (strsim::normalized_damerau_levenshtein(name, field), *field))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, field)| field)
}

fn shortened(name: &str) -> String {
    let escaped: String = name.chars().take(40).flat_map(char::escape_debug).collect();
    if name.chars().count() > 40 { format!("{escaped}...") } else { escaped }
}

impl<'de> Deserialize<'de> for Asked {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Asked;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Asked, A::Error> {
        let mut problems = Vec::new();
        let known = Known { map, problems: &mut problems };
        let request = Request::deserialize(MapAccessDeserializer::new(known))?;
        Ok(Asked { request, problems })
    }
}

/// The entries whose names are fields; of the others stays what there is to say about them.
struct Known<'a, A> {
    map: A,
    problems: &'a mut Vec<(String, String)>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Known<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            if is_field(&name) {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            // Only what may be neutral is looked at.
            let value = if NEUTRAL.iter().any(|(known, _)| *known == name) {
                self.map.next_value()?
            } else {
                self.map.next_value::<de::IgnoredAny>()?;
                Value::Null
            };
            if self.problems.len() <= NAMED
                && let Some(problem) = problem_of(&name, &value)
            {
                self.problems.push((shortened(&name), problem));
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(body: Value) -> Option<String> {
        let asked: Asked = serde_json::from_value(body).unwrap();
        asked.understood().err().map(|problem| problem.message)
    }

    #[test]
    fn every_field_is_one_of_a_request() {
        let all = FIELDS.iter().map(|field| ((*field).to_owned(), Value::Null)).collect();
        assert_eq!(message(Value::Object(all)), None);
        let names = WITHOUT_EFFECT.iter().chain(NEUTRAL.iter().map(|(name, _)| name));
        for name in names.chain(ALIASES.iter().map(|(name, _)| name)) {
            assert!(!FIELDS.contains(name), "{name}");
        }
        for (_, ours) in ALIASES {
            assert!(ours.split("` with `").all(|name| FIELDS.contains(&name)), "{ours}");
        }
    }

    #[test]
    fn what_is_unknown_is_named_with_what_is_near() {
        let cases = [
            ("temperatur", "did you mean `temperature`?"),
            ("Temperature", "did you mean `temperature`?"),
            ("maxTokens", "did you mean `max_tokens`?"),
            ("max-tokens", "did you mean `max_tokens`?"),
            ("max_new_tokens", "it is called `max_tokens` here"),
            ("repeat_penalty", "it is called `repetition_penalty` here"),
            ("logprob", "did you mean `logprobs`?"),
            ("prompts", "did you mean `prompt`?"),
            ("messages", "continue a text, `prompt`"),
            ("zzz", "this server knows model, prompt, max_tokens"),
            ("", "this server knows model"),
        ];
        for (name, words) in cases {
            let found = message(json!({ "prompt": "a", name: 1 })).unwrap();
            assert!(found.contains(words) && found.contains(&format!("`{name}`")), "{found}");
        }
        let both = message(json!({ "temperatur": 1, "max_new_tokens": 2 })).unwrap();
        assert!(both.contains("temperature") && both.contains("max_tokens"), "{both}");
        let long = message(json!({ "x".repeat(100_000): 1 })).unwrap();
        assert!(long.len() < 600, "{}", long.len());
        let many = (0..1000).map(|i| (format!("a{i}"), Value::Null)).collect();
        let many = message(Value::Object(many)).unwrap();
        assert!(many.len() < 5000 && many.ends_with("and more like these"), "{many}");
    }

    #[test]
    fn what_changes_nothing_is_taken() {
        assert_eq!(
            message(json!({ "user": "me", "metadata": { "a": [1] }, "store": false, "seed": 1 })),
            None
        );
        assert_eq!(
            message(
                json!({ "min_p": 0.0, "use_beam_search": false, "length_penalty": 1, "stop_token_ids": null })
            ),
            None
        );
        assert!(message(json!({ "min_p": 0.1 })).unwrap().contains("`min_p` is not available"));
        assert!(message(json!({ "do_sample": false })).unwrap().contains("`temperature` 0"));
    }
}

//! One value against the table of keys: its type, its range, its words.

use std::ops::RangeBounds;
use std::path::Path;

use toml::Value;

use super::hint;
use super::odd;
use super::parse;
use super::run_reference;
use super::schema::{Key, Kind};
use super::value::{kind_of, shortened, value_text};
use crate::files::home;
use crate::files::{
    FOLDER_LONGEST, FOLDER_SIGNS, RUN_SIGNS, is_folder_name, is_run_name, why_no_folder_name,
};

/// Shares are what counts: no text weighs this much more than another.
const MOST_WEIGHT: f64 = 1e9;

/// Why a value does not fit its key. The place is the caller's.
#[derive(Debug)]
pub(super) struct Complaint {
    pub what: String,
    pub help: Option<String>,
}

/// The value as its key keeps it (whole numbers become floats where the key is one, paths are resolved against
/// `base`), or what is wrong with it.
pub(super) fn check(key: &'static Key, value: Value, base: &Path) -> Result<Value, Complaint> {
    let fits = match (&key.kind, &value) {
        (Kind::Integer { min, max }, Value::Integer(number)) => {
            u64::try_from(*number).is_ok_and(|number| (*min..=*max).contains(&number)).then(|| value.clone())
        }
        (Kind::Number { low, high }, Value::Integer(_) | Value::Float(_)) => {
            number(&value).filter(|number| (*low, *high).contains(number)).map(Value::Float)
        }
        (Kind::Switch, Value::Boolean(_)) => Some(value.clone()),
        (Kind::Text, Value::String(_)) => Some(value.clone()),
        (Kind::Choice(words), Value::String(word)) => words.contains(&word.as_str()).then(|| value.clone()),
        (Kind::Path | Kind::Paths, Value::String(path)) => Some(resolve(key, base, path)?),
        (Kind::Paths, Value::Array(paths)) => several(key, base, paths)?,
        (Kind::Weights, Value::Array(weights)) => {
            let weight = |value: &Value| {
                number(value).filter(|weight| *weight > 0.0 && *weight <= MOST_WEIGHT).map(Value::Float)
            };
            weights.iter().map(weight).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        (Kind::Name, Value::String(name)) => (name.is_empty() || is_folder_name(name)).then(|| value.clone()),
        (Kind::RunName, Value::String(name)) => {
            (name.is_empty() || is_run_name(name, parse::MAX_RUN_NAME)).then(|| value.clone())
        }
        (Kind::Duration, Value::String(text)) => parse::duration(text).map(|_| value.clone()),
        (Kind::Duration, Value::Integer(_) | Value::Float(_)) => {
            let text = number(&value).map(|secs| format!("{secs}s"));
            text.filter(|text| parse::duration(text).is_some()).map(Value::String)
        }
        (Kind::Device, Value::String(text)) => parse::device(text).map(|_| value.clone()),
        (Kind::Requirements, Value::Array(items)) => {
            let known = |item: &Value| item.as_str().is_some_and(|text| parse::requirement(text).is_some());
            items.iter().all(known).then(|| value.clone())
        }
        (Kind::Texts, Value::Array(items)) => items.iter().all(Value::is_str).then(|| value.clone()),
        (Kind::Curve, Value::Array(points)) => curve(points),
        (Kind::Coefficients, Value::Array(numbers)) => coefficients(numbers),
        _ => None,
    };
    fits.ok_or_else(|| complain(key, &value))
}

/// A finite number.
fn number(value: &Value) -> Option<f64> {
    let number = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))?;
    number.is_finite().then_some(number)
}

fn resolve(key: &Key, base: &Path, path: &str) -> Result<Value, Complaint> {
    if path.is_empty() {
        return Ok(path.into());
    }
    let text = |resolved: &Path| Value::String(resolved.to_string_lossy().into_owned());
    let plain = base.join(path);
    // A file may be called `$a.txt`.
    if plain.exists() {
        return Ok(text(&plain));
    }
    if key.name == "train.init_from"
        && let Some(name) = run_reference::written(path)
    {
        return Ok(name.into());
    }
    match home::expand(Path::new(path)) {
        Ok(expanded) => Ok(text(&base.join(expanded))),
        Err(error) => {
            let what = format!("`{}` is {}: {error}", key.name, value_text(&path.into()));
            Err(Complaint { what, help: None })
        }
    }
}

/// A list of paths; of a single one that path.
fn several(key: &Key, base: &Path, paths: &[Value]) -> Result<Option<Value>, Complaint> {
    let mut resolved = Vec::new();
    for value in paths {
        let Some(path) = value.as_str().filter(|path| !path.is_empty()) else { return Ok(None) };
        resolved.push(resolve(key, base, path)?);
    }
    Ok(match resolved.len() {
        0 => None,
        1 => resolved.pop(),
        _ => Some(Value::Array(resolved)),
    })
}

fn curve(points: &[Value]) -> Option<Value> {
    let mut last = None;
    let mut curve = Vec::new();
    for point in points {
        let [step, loss] = point.as_array()?.as_slice() else { return None };
        let step = step.as_integer().filter(|&step| step >= 0 && last.is_none_or(|last| step > last))?;
        let loss = number(loss).filter(|&loss| loss >= 0.0)?;
        last = Some(step);
        curve.push(Value::Array(vec![Value::Integer(step), Value::Float(loss)]));
    }
    Some(Value::Array(curve))
}

fn coefficients(list: &[Value]) -> Option<Value> {
    if list.is_empty() {
        return None;
    }
    let of_one = |numbers: &[Value]| {
        let numbers: Option<Vec<Value>> =
            numbers.iter().map(|value| number(value).filter(|x| x.is_finite()).map(Value::Float)).collect();
        numbers.filter(|numbers| numbers.len() == 3).map(Value::Array)
    };
    if let Some(one) = of_one(list) {
        return Some(one);
    }
    list.iter().map(|numbers| of_one(numbers.as_array()?)).collect::<Option<Vec<Value>>>().map(Value::Array)
}

fn complain(key: &'static Key, value: &Value) -> Complaint {
    let written = shortened(&value_text(value));
    let named = if is_simple_name(value) { written.clone() } else { format!("{} {written}", the(value)) };
    let what = format!("`{}` must be {}, not {named}", key.name, key.kind.describe());
    Complaint { what, help: help(key, value, &written) }
}

/// Words of a choice and numbers in a range need no type beside them.
fn is_simple_name(value: &Value) -> bool {
    matches!(value, Value::Integer(_) | Value::Float(_) | Value::Boolean(_))
}

fn the(value: &Value) -> String {
    kind_of(value).replacen("a ", "the ", 1)
}

fn help(key: &'static Key, value: &Value, written: &str) -> Option<String> {
    if let Value::String(text) = value
        && let Some((_, odd)) = odd::first_in(text)
    {
        return Some(format!("it has {}, which is easily overlooked: {}", odd.named(), odd.instead));
    }
    let takes_list = matches!(
        key.kind,
        Kind::Requirements | Kind::Texts | Kind::Curve | Kind::Coefficients | Kind::Paths | Kind::Weights
    );
    match (&key.kind, value) {
        (_, Value::Array(_)) if !takes_list => Some(format!(
            "a list means several runs only in a sweep:\n[sweep.grid]\n{} = {written}",
            key.name
        )),
        (Kind::Requirements | Kind::Texts, Value::String(_)) => Some(format!("write [{written}]")),
        (Kind::Integer { .. }, Value::Float(number)) if number.fract() == 0.0 && number.abs() < 1e15 => {
            Some(format!("write {number:.0}"))
        }
        (Kind::Integer { .. } | Kind::Number { .. } | Kind::Switch, Value::String(text)) => {
            let inner = text.trim().to_lowercase();
            let reads = inner.parse::<f64>().is_ok() || inner == "true" || inner == "false";
            reads.then(|| format!("leave the quotes away: {inner}"))
        }
        (Kind::Integer { min, .. }, Value::Integer(number)) if *number <= 0 => match key.zero {
            Some(meaning) => Some(format!("0 means: {meaning}")),
            None => Some(format!("the smallest is {min}")),
        },
        (Kind::Switch, Value::Integer(number)) => Some(format!("write {}", *number != 0)),
        (Kind::Choice(_) | Kind::Device, Value::Boolean(_) | Value::Integer(_)) => {
            Some("write a string in quotes".into())
        }
        (Kind::Choice(words), Value::String(word)) => word_help(key, word, words),
        (Kind::Device, Value::String(word)) => match word.as_str() {
            "mps" | "metal" | "rocm" | "xpu" | "tpu" => {
                Some(format!("{word} is not supported; \"auto\" takes what there is"))
            }
            _ => hint::for_value(key, word, &["auto", "cpu", "cuda", "scripted"]),
        },
        (Kind::Name, Value::String(name)) => Some(why_no_folder_name(name, FOLDER_SIGNS, FOLDER_LONGEST)),
        (Kind::RunName, Value::String(name)) => {
            Some(why_no_folder_name(name, RUN_SIGNS, parse::MAX_RUN_NAME))
        }
        (Kind::Duration, Value::String(_)) => Some("units are h, m and s: two days are \"48h\"".into()),
        (Kind::Requirements, Value::Array(items)) => {
            let wrong =
                items.iter().filter_map(Value::as_str).find(|text| parse::requirement(text).is_none())?;
            hint::nearest_requirement(wrong).map(did_you_mean)
        }
        (Kind::Number { .. }, Value::Float(number)) if !number.is_finite() => {
            Some("0 switches a limit off where there is one".into()).filter(|_| key.zero.is_some())
        }
        _ => None,
    }
}

fn word_help(key: &'static Key, word: &str, words: &'static [&'static str]) -> Option<String> {
    if key.name == "data.corpus" && (word.contains(['/', '\\']) || word.ends_with(".txt")) {
        return Some(format!("text of your own is named by `path = {}`", value_text(&word.into())));
    }
    hint::for_value(key, word, words)
}

fn did_you_mean(word: &str) -> String {
    format!("did you mean \"{word}\"?")
}

#[cfg(test)]
mod tests {
    use super::super::schema;
    use super::*;

    fn checked(name: &str, toml: &str) -> Result<String, String> {
        let key = schema::key(name).expect("a key");
        let table: toml::Table = format!("v = {toml}").parse().expect("TOML");
        match check(key, table["v"].clone(), Path::new("dir")) {
            Ok(value) => Ok(value_text(&value)),
            Err(complaint) => Err(format!("{} | {}", complaint.what, complaint.help.unwrap_or_default())),
        }
    }

    #[test]
    fn values_that_fit_are_kept_in_one_form() {
        assert_eq!(checked("train.batch_size", "1_6").as_deref(), Ok("16"));
        assert_eq!(checked("optimizer.grad_clip", "1").as_deref(), Ok("1.0"));
        assert_eq!(checked("train.max_time", "90").as_deref(), Ok("\"90s\""));
        assert_eq!(checked("data.path", "\"a.txt\"").as_deref(), Ok("\"dir/a.txt\""));
        assert_eq!(checked("data.path", "\"\"").as_deref(), Ok("\"\""));
        let run = "\"prompts=a+b,learning_rate=1e-5,seed=7\"";
        assert_eq!(checked("experiment.run", run).as_deref(), Ok(run));
        assert_eq!(checked("reference.curve", "[[0, 10], [5, 1.5]]").as_deref(), Ok("[[0, 10.0], [5, 1.5]]"));
    }

    #[test]
    fn each_misfit_says_the_rule_the_value_and_what_to_write() {
        let cases = [
            (
                "train.batch_size",
                "\"16\"",
                "`train.batch_size` must be a whole number from 1 to 1,000,000, not the string \"16\" | leave the quotes away: 16",
            ),
            (
                "train.batch_size",
                "0",
                "`train.batch_size` must be a whole number from 1 to 1,000,000, not 0 | the smallest is 1",
            ),
            (
                "train.max_steps",
                "1e4",
                "`train.max_steps` must be a whole number from 1 to 1,000,000,000, not 10000.0 | write 10000",
            ),
            (
                "train.eval_interval",
                "-1",
                "`train.eval_interval` must be a whole number from 0 to 1,000,000,000, not -1 | 0 means: never",
            ),
            (
                "model.n_embd",
                "1000000000000000000",
                "`model.n_embd` must be a whole number from 1 to 100,000, not 1000000000000000000 | ",
            ),
            (
                "optimizer.beta1",
                "1.0",
                "`optimizer.beta1` must be a number at least 0 and below 1, not 1.0 | ",
            ),
            (
                "optimizer.learning_rate",
                "nan",
                "`optimizer.learning_rate` must be a number above 0, not nan | ",
            ),
            (
                "optimizer.grad_clip",
                "inf",
                "`optimizer.grad_clip` must be a number at least 0, not inf | 0 switches a limit off where there is one",
            ),
            (
                "optimizer.learning_rate",
                "[1e-3, 1e-4]",
                "`optimizer.learning_rate` must be a number above 0, not the list [0.001, 0.0001] | a list means several runs only in a sweep:\n[sweep.grid]\noptimizer.learning_rate = [0.001, 0.0001]",
            ),
            ("model.bias", "1", "`model.bias` must be true or false, not 1 | write true"),
            (
                "schedule.kind",
                "\"wsd\"",
                "`schedule.kind` must be \"constant\", \"linear\", \"cosine\" or \"warmup-stable-decay\", not the string \"wsd\" | did you mean \"warmup-stable-decay\"?",
            ),
            (
                "model.preset",
                "\"gpt3\"",
                "`model.preset` must be \"gpt2\", \"gpt2-medium\", \"gpt2-large\" or \"gpt2-xl\", not the string \"gpt3\" | models are GPT-2's: \"gpt2\" and its larger ones, or sizes of your own without a preset",
            ),
            (
                "data.corpus",
                "\"my/poems.txt\"",
                "`data.corpus` must be \"salt-crown\", \"tinyshakespeare\" or \"wall-letters\", not the string \"my/poems.txt\" | text of your own is named by `path = \"my/poems.txt\"`",
            ),
            (
                "hardware.device",
                "\"gpu\"",
                "`hardware.device` must be \"auto\", \"cpu\", \"cuda\", \"cuda:N\" or \"scripted\", not the string \"gpu\" | did you mean \"cuda\"?",
            ),
            (
                "hardware.dtype",
                "\"bfloat16\"",
                "`hardware.dtype` must be \"f32\", \"bf16\" or \"f16\", not the string \"bfloat16\" | did you mean \"bf16\"?",
            ),
            (
                "hardware.requires",
                "\"cuda\"",
                "`hardware.requires` must be a list of \"cuda\", \"init_from\" and \"min_memory_gb=N\", not the string \"cuda\" | write [\"cuda\"]",
            ),
            (
                "hardware.requires",
                "[\"cudaa\"]",
                "`hardware.requires` must be a list of \"cuda\", \"init_from\" and \"min_memory_gb=N\", not the list [\"cudaa\"] | did you mean \"cuda\"?",
            ),
            (
                "train.max_time",
                "\"2d\"",
                "`train.max_time` must be a length of time such as \"90m\", \"1h 30m\", or a number of seconds, not the string \"2d\" | units are h, m and s: two days are \"48h\"",
            ),
            (
                "experiment.name",
                "\"../x\"",
                "`experiment.name` must be a string of letters, digits, `.`, `_` and `-`, up to 100 characters, not the string \"../x\" | it becomes the name of a folder, of letters from a to z, digits, `.` `_` `-`, and '/' is none of these",
            ),
            (
                "experiment.run",
                "\"sw/seed=1\"",
                "`experiment.run` must be a string of letters, digits, `.`, `_`, `-`, `=`, `,` and `+`, up to 120 characters, not the string \"sw/seed=1\" | it becomes the name of a folder, of letters from a to z, digits, `.` `_` `-` `=` `,` `+`, and '/' is none of these",
            ),
            (
                "reference.curve",
                "[[5, 1.0], [5, 2.0]]",
                "`reference.curve` must be a list of [step, loss] with rising steps, not the list [[5, 1.0], [5, 2.0]] | ",
            ),
        ];
        for (key, toml, message) in cases {
            assert_eq!(checked(key, toml), Err(message.into()));
        }
    }
}

//! `--set key=value`: the strongest layer.

use std::path::Path;

use toml::Value;
use toml::de::DeValue;

use super::check::check;
use super::error::{ConfigError, Place};
use super::hint::{self, Spelling};
use super::layers::{Layer, Setting};
use super::provenance::Origin;
use super::schema::{self, Key, Kind, SECTIONS};
use super::sections::Findings;
use super::value::{plain, value_text};

/// Reads all `--set` options. A later one of the same key wins; paths are relative to the working directory.
pub(super) fn read(options: &[String], findings: &mut Findings) -> Layer {
    let mut layer = Layer::default();
    for option in options {
        match read_one(option) {
            Ok(setting) => layer.set(setting),
            Err((key, problem)) => {
                findings.doubt(key);
                findings.add(problem);
            }
        }
    }
    if let Err(problem) = layer.close() {
        findings.add(problem);
    }
    layer
}

type Failure = (Option<&'static Key>, ConfigError);

fn read_one(option: &str) -> Result<Setting, Failure> {
    let place = Place::Set(option.to_owned());
    let Some((name, text)) = option.split_once('=') else {
        let problem = ConfigError::new(place, "`--set` needs a key, `=` and a value");
        return Err((None, problem.help("for example --set train.max_steps=100")));
    };
    let (name, text) = (name.trim(), text.trim());
    let Some(key) = schema::key(name) else { return Err(unknown_key(place, name)) };
    let fail = |what: String, help: Option<String>| {
        let mut problem = ConfigError::new(place.clone(), what).key(key.name);
        problem.help = help;
        (Some(key), problem)
    };
    let value = read_value(key, text).ok_or_else(|| {
        fail(
            format!("`{}` must be {}, and `{text}` is not a TOML value", key.name, key.kind.describe()),
            help_for(key, text),
        )
    })?;
    let value = check(key, value, Path::new("")).map_err(|complaint| fail(complaint.what, complaint.help))?;
    Ok(Setting { key, value, origin: Origin::Written(place) })
}

/// The text as TOML; for keys that take a string, quotes may be left away, since a shell eats them.
fn read_value(key: &Key, text: &str) -> Option<Value> {
    let parsed = DeValue::parse(text).ok().and_then(|value| plain(value.get_ref()).ok());
    match parsed {
        Some(value) if value.is_str() || !key.kind.is_text() => Some(value),
        _ if key.kind.is_text() => Some(Value::String(text.to_owned())),
        _ => None,
    }
}

fn help_for(key: &Key, text: &str) -> Option<String> {
    match key.kind {
        Kind::Texts | Kind::Requirements => {
            let items: Vec<Value> = text
                .trim_matches(['[', ']'])
                .split(',')
                .map(|item| Value::String(item.trim().trim_matches(['"', '\'']).to_owned()))
                .collect();
            let list = value_text(&Value::Array(items));
            Some(format!("keep the shell from eating the quotes: --set '{}={list}'", key.name))
        }
        Kind::Switch if matches!(text, "True" | "False") => Some(format!("write {}", text.to_lowercase())),
        Kind::Number { .. } if text.starts_with('.') => Some(format!("write 0{text}")),
        _ => None,
    }
}

fn unknown_key(place: Place, name: &str) -> Failure {
    let problem = ConfigError::new(place, format!("unknown key `{name}`")).key(name);
    let (section, leaf) = name.split_once('.').map_or((None, name), |(section, leaf)| (Some(section), leaf));
    if matches!(section.unwrap_or(leaf), "sweep" | "extends") {
        return (
            None,
            problem.help("`--set` gives one value to one key; sweeps and `extends` stand in files"),
        );
    }
    let hint = hint::for_key(section.filter(|section| SECTIONS.contains(section)), leaf, Spelling::Dotted);
    (hint.key, problem.help(hint.help))
}

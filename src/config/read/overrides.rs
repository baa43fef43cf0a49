//! `--set key=value`: the strongest layer.

use std::path::Path;

use toml::Value;
use toml::de::DeValue;

use super::check::check;
use super::error::{ConfigError, Place};
use super::hint;
use super::layers::{Layer, Setting};
use super::odd;
use super::provenance::Origin;
use super::schema::{self, Key, Kind};
use super::sections::Findings;
use super::sweep::Axis;
use super::value::{plain, value_text};

/// What the `--set` options say.
#[derive(Clone, Debug, Default)]
pub(in crate::config) struct Overrides {
    /// One value for a key.
    pub layer: Layer,
    /// Several values for a key: an axis of the grid.
    pub axes: Vec<Axis>,
}

/// Reads all `--set` options. A later one of the same key wins; paths are relative to the working directory.
pub(super) fn read(options: &[String], findings: &mut Findings) -> Overrides {
    let mut overrides = Overrides::default();
    for option in options {
        match read_one(option, findings) {
            Some(Given::One(setting)) => {
                overrides.axes.retain(|axis| axis.key.name != setting.key.name);
                overrides.layer.set(setting);
            }
            Some(Given::Several(axis)) => {
                overrides.axes.retain(|other| other.key.name != axis.key.name);
                overrides.layer.forget(axis.key.name);
                overrides.axes.push(axis);
            }
            None => {}
        }
    }
    if let Err(problem) = overrides.layer.close() {
        findings.add(problem);
    }
    overrides
}

enum Given {
    One(Setting),
    Several(Axis),
}

fn read_one(option: &str, findings: &mut Findings) -> Option<Given> {
    let place = Place::Set(option.to_owned());
    let Some((name, text)) = option.split_once('=') else {
        let problem = ConfigError::new(place, "`--set` needs a key, `=` and a value");
        findings.add(problem.help("for example --set train.max_steps=100"));
        return None;
    };
    let (name, text) = (name.trim(), text.trim());
    let Some(key) = schema::key(name) else {
        unknown_key(place, name, findings);
        return None;
    };
    let (what, help) = match read_value(key, text) {
        Some(value) => match check(key, value, Path::new("")) {
            Ok(value) => return Some(Given::One(Setting { key, value, origin: Origin::Written(place) })),
            Err(complaint) => (complaint.what, complaint.help),
        },
        None => (
            format!("`{}` must be {}, and `{text}` is not a TOML value", key.name, key.kind.describe()),
            help_for(key, text),
        ),
    };
    let (what, help) = match several(key, text) {
        Some(values) if key.can_be_swept() => {
            let values = values.into_iter().map(|value| (value, place.clone())).collect();
            return Some(Given::Several(Axis { key, values, place }));
        }
        Some(_) => (
            format!("`{}` cannot be swept", key.name),
            Some("it belongs to the experiment as a whole: give it one value".into()),
        ),
        None => (what, help),
    };
    findings.doubt(Some(key));
    let mut problem = ConfigError::new(place, what).key(key.name);
    problem.help = help;
    findings.add(problem);
    None
}

/// The text as TOML; for keys that take a string, quotes may be left away, since a shell eats them.
fn read_value(key: &Key, text: &str) -> Option<Value> {
    let parsed = DeValue::parse(text).ok().and_then(|value| plain(value.get_ref()).ok());
    match parsed {
        Some(value) if value.is_str() || !key.kind.is_text() => Some(value),
        Some(value) if value.is_array() && matches!(key.kind, Kind::Paths) => Some(value),
        _ if key.kind.is_text() => Some(Value::String(text.to_owned())),
        _ => None,
    }
}

/// Several values with commas between, as Hydra's and W&B's sweeps take them, or in brackets as in a file: where each is one that the
/// key takes.
fn several(key: &'static Key, text: &str) -> Option<Vec<Value>> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let parts: Vec<&str> = bare.split(',').map(str::trim).filter(|part| !part.is_empty()).collect();
    let values: Vec<Value> = parts
        .iter()
        .map(|part| check(key, read_value(key, part)?, Path::new("")).ok())
        .collect::<Option<_>>()?;
    (values.len() > 1).then_some(values)
}

fn help_for(key: &Key, text: &str) -> Option<String> {
    if let Some((_, odd)) = odd::first_in(text) {
        return Some(format!("it has {}: {}", odd.named(), odd.instead));
    }
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

fn unknown_key(place: Place, name: &str, findings: &mut Findings) {
    let problem = ConfigError::new(place, format!("unknown key `{name}`")).key(name);
    if matches!(name.split('.').next(), Some("sweep" | "extends")) {
        findings.add(problem.help(
            "`--set` sets one key, and several values make a sweep: `--set KEY=A,B`; other sweeps and `extends` stand in files",
        ));
        return;
    }
    let hint = hint::for_dotted(name);
    findings.doubt(hint.key);
    findings.add(problem.help(hint.help));
}

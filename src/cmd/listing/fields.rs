//! What a list knows of a run, by name: the fields of `ls --json` and `--csv`, and what `--where` and `--sort` are about.

use serde_json::{Value, json};

use super::{Listed, Read};
use crate::config::{self, value_text};
use crate::error::Error;
use crate::metric::{FIGURES, Figure, Metric, Statistic, Unit, metric};
use crate::report::ending::Ending;
use crate::units;

/// A field of every run: its name with its unit, what it means, and its value; `null` where it is not known.
struct Field {
    name: &'static str,
    /// As a person reads it.
    unit: Option<Unit>,
    get: fn(&Read) -> Value,
}

const fn text(name: &'static str, get: fn(&Read) -> Value) -> Field {
    Field { name, unit: None, get }
}

const fn number(name: &'static str, unit: Unit, get: fn(&Read) -> Value) -> Field {
    Field { name, unit: Some(unit), get }
}

/// In the order of the output, the figures of [`FIGURES`] behind the tokens. Names and meanings stay; new ones may be added.
static FIELDS: &[Field] = &[
    text("experiment", |run| json!(run.manifest.run.experiment)),
    text("run", |run| json!(run.manifest.run.name)),
    text("status", |run| json!(Ending::of(&run.manifest).word().replace(' ', "_"))),
    text("stop_reason", |run| json!(run.manifest.stop_reason)),
    text("tags", |run| json!(run.manifest.run.tags)),
    text("checkpoint_tags", |run| {
        json!(run.tags.iter().map(|(name, step)| format!("{name}@{step}")).collect::<Vec<_>>())
    }),
    number("seed", Unit::Ratio, |run| json!(run.manifest.run.seed)),
    number("step", Unit::Count, |run| json!(run.summary.steps)),
    number("max_steps", Unit::Count, |run| json!(run.manifest.run.max_steps)),
    number("tokens", Unit::Count, |run| json!(run.summary.tokens)),
    number("steps_to_target", Unit::Count, |run| json!(run.summary.target.map(|target| target.step))),
    number("tokens_per_sec", Unit::TokensPerSec, |run| finite(run.summary.tokens_per_sec)),
    number("step_secs", Unit::Secs, |run| finite(run.summary.step_secs)),
    number("elapsed_secs", Unit::Secs, |run| finite(run.summary.elapsed_secs)),
    number("peak_memory_bytes", Unit::Bytes, |run| {
        finite(run.summary.peak_memory_bytes.filter(|_| run.whole))
    }),
    number("parameters", Unit::Count, |run| json!(run.manifest.model.as_ref().map(|model| model.parameters))),
    number("attempts", Unit::Count, |run| json!(run.manifest.attempts.len())),
    text("started_at", |run| json!(run.manifest.started_at.to_string())),
    text("finished_at", |run| json!(run.manifest.finished_at.map(|at| at.to_string()))),
];

/// The field behind which the figures stand.
const BEFORE_FIGURES: &str = "tokens";

/// What a figure is called in a list: that of the last rows as its column, the others as in the manifest.
fn figure_name(figure: &Figure) -> &'static str {
    match figure.statistic {
        Statistic::Last => figure.column.key,
        _ => figure.key,
    }
}

fn figure(name: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure_name(figure) == name || figure.key == name)
}

/// What a figure is: what is the first or the best of all rows is known where all rows are.
fn figure_of(run: &Read, figure: &Figure) -> Option<f64> {
    let known = run.whole || figure.statistic == Statistic::Last;
    (figure.get)(&run.summary.figures).filter(|value| known && value.is_finite())
}

/// The names of all fields, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    FIELDS.iter().flat_map(|field| {
        let figures = FIGURES.iter().map(figure_name).filter(|_| field.name == BEFORE_FIGURES);
        std::iter::once(field.name).chain(figures)
    })
}

/// The fields as an object, and what a sweep set.
pub fn object(run: &Read) -> serde_json::Map<String, Value> {
    let value = |name: &str| match (field(name), figure(name)) {
        (Some(field), _) => (field.get)(run),
        (None, Some(figure)) => json!(figure_of(run, figure)),
        (None, None) => Value::Null,
    };
    let fields = names().map(|name| (name.to_owned(), value(name)));
    fields.chain([("point".to_owned(), json!(run.manifest.run.point))]).collect()
}

/// JSON has no other numbers.
fn finite(value: Option<f64>) -> Value {
    json!(value.filter(|value| value.is_finite()))
}

fn field(name: &str) -> Option<&'static Field> {
    FIELDS.iter().find(|field| field.name == name)
}

pub fn is_field(name: &str) -> bool {
    field(name).is_some() || figure(name).is_some()
}

/// Whether the last rows are needed to know it.
pub fn is_metric(name: &str) -> bool {
    !is_field(name) && metric(name).is_some()
}

/// What a run has under a name: a field, a key of its configuration (`optimizer.learning_rate`, or the last word where that is one
/// key's alone), or a metric of its newest row.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    Number(f64, Option<Unit>),
    Text(String),
}

impl Found {
    fn of_json(value: &Value, unit: Option<Unit>) -> Option<Self> {
        match value {
            Value::Null => None,
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Array(items) => {
                let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                Some(Self::Text(items.join(" ")))
            }
            other => other.as_f64().map(|number| Self::Number(number, unit)),
        }
    }

    fn of_toml(value: &toml::Value) -> Self {
        match value {
            toml::Value::Integer(number) => Self::Number(*number as f64, None),
            toml::Value::Float(number) => Self::Number(*number, None),
            toml::Value::String(text) => Self::Text(text.clone()),
            other => Self::Text(value_text(other)),
        }
    }

    /// As a person reads it.
    pub fn shown(&self) -> String {
        match self {
            Self::Number(number, Some(unit)) => units::value(*unit, *number),
            Self::Number(number, None) => units::number(*number),
            Self::Text(text) => text.clone(),
        }
    }
}

pub fn find(run: &Read, name: &str) -> Option<Found> {
    if let Some(field) = field(name) {
        return Found::of_json(&(field.get)(run), field.unit);
    }
    if let Some(figure) = figure(name) {
        return figure_of(run, figure).map(|value| Found::Number(value, Some(figure.column.unit)));
    }
    if let Some((_, value)) = run.config.iter().find(|(key, _)| key == name || leaf(key) == name) {
        return Some(Found::of_toml(value));
    }
    let metric: &Metric = metric(name)?;
    let value = run.newest.as_ref().and_then(metric.get)?;
    value.is_finite().then_some(Found::Number(value, Some(metric.unit)))
}

fn leaf(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// Looks whether each name means one thing.
pub fn check<'a>(names: impl Iterator<Item = &'a str>, listed: &[Listed]) -> Result<(), Error> {
    let runs = || listed.iter().filter_map(|run| run.run.as_ref().ok());
    for name in names.filter(|name| !is_field(name)) {
        let mut keys: Vec<&str> = Vec::new();
        for (key, _) in runs().flat_map(|run| &run.config) {
            if (key == name || leaf(key) == name) && !keys.contains(&key.as_str()) {
                keys.push(key);
            }
        }
        // Without runs nothing is known of their keys.
        let known =
            keys.contains(&name) || keys.len() == 1 || metric(name).is_some() || runs().next().is_none();
        if known {
            continue;
        }
        let instead = match keys.as_slice() {
            [] => nearest(name, runs()),
            several => Some(several.join(" or ")),
        };
        let instead = instead.map_or_else(String::new, |instead| format!("did you mean {instead}? "));
        return Err(Error::Usage(format!(
            "{name:?} is neither a key of these runs nor a number that is known of them; {instead}`runner explain` lists \
             the keys, and `runner ls --json` shows the numbers"
        )));
    }
    Ok(())
}

/// What is spelled nearly so, or the key that another program calls so. No hint is better than a wrong one.
fn nearest<'a>(name: &str, runs: impl Iterator<Item = &'a Read>) -> Option<String> {
    /// Of 1: two letters of five are wrong.
    const LEAST: f64 = 0.6;
    let keys = runs.take(1).flat_map(|run| &run.config).map(|(key, _)| key.as_str());
    let metrics = crate::metric::METRICS.iter().map(|metric| metric.key);
    let mut all: Vec<&str> = names().collect();
    all.extend(keys.chain(metrics));
    // A section that is right makes no name of it right; it decides among equals.
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(leaf(name), leaf(known));
    let whole = |known: &str| strsim::normalized_damerau_levenshtein(name, known);
    let order = |a: &&str, b: &&str| likeness(a).total_cmp(&likeness(b)).then(whole(a).total_cmp(&whole(b)));
    let spelled = all.into_iter().max_by(order).filter(|known| likeness(known) >= LEAST);
    spelled.or_else(|| config::meant_key(name).0).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_only_taken_for_one_that_is_spelled_nearly_so_or_means_the_same_elsewhere() {
        let nearest = |name| nearest(name, std::iter::empty());
        assert_eq!(nearest("val_los").as_deref(), Some("val_loss"));
        assert_eq!(nearest("lr").as_deref(), Some("optimizer.learning_rate"));
        assert_eq!(nearest("optimizer.lr").as_deref(), Some("optimizer.learning_rate"));
        assert_eq!((nearest("foo"), nearest("wandb.project")), (None, None));
    }
}

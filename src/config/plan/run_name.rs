//! Names of runs: `seed=1337`, or with a sweep `learning_rate=0.001,seed=1337`. They are names of folders too.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml::Value;

use super::experiment::RunPlan;
use super::parse::MAX_RUN_NAME as MAX_NAME;
use super::schema::{self, Kind};
use super::value::value_text;
use crate::files::sha256;

/// Longest value within a name.
const MAX_VALUE: usize = 32;

/// Names all runs of an experiment: as `experiment.run` says, which is only set where there is a single run, or else by
/// their point and seed, and by their number where that is not enough.
pub(in crate::config) fn name_all(plans: &mut [RunPlan]) {
    let mut taken = HashSet::new();
    for (index, plan) in plans.iter_mut().enumerate() {
        let seed = format!("seed={}", plan.experiment.seed);
        let swept = plan.point.iter().filter(|(key, _)| key != "experiment.seed");
        let parts: Vec<String> =
            swept.map(|(key, value)| format!("{}={}", short(key), slug(&nearest(key, value)))).collect();
        let mut name = parts.iter().chain([&seed]).cloned().collect::<Vec<_>>().join(",");
        // Without regard to case: some file systems have none.
        if name.len() > MAX_NAME || !taken.insert(name.to_lowercase()) {
            let number = format!("run={},{seed}", index + 1);
            let mut point = parts.join(",");
            point.truncate(MAX_NAME.saturating_sub(number.len() + 1));
            name = if point.is_empty() { number } else { format!("{point},{number}") };
            taken.insert(name.to_lowercase());
        }
        plan.name = plan.given_name().map_or(name, str::to_owned);
    }
}

fn short(key: &str) -> &str {
    schema::key(key).map_or(key, |key| key.short_name())
}

/// Of a path its last two parts, which tell most; the value as it is otherwise.
fn nearest(key: &str, value: &Value) -> Value {
    match (schema::key(key).map(|key| &key.kind), value) {
        (Some(Kind::Path | Kind::Paths), Value::String(path)) => {
            let mut parts: Vec<_> = Path::new(path).components().rev().take(2).collect();
            parts.reverse();
            Value::String(parts.into_iter().collect::<PathBuf>().to_string_lossy().into_owned())
        }
        (Some(Kind::Paths), Value::Array(paths)) => {
            Value::Array(paths.iter().map(|path| nearest(key, path)).collect())
        }
        _ => value.clone(),
    }
}

/// A value in characters that are safe in a folder's name, all of them ASCII. Of lists of numbers the first, how many follow, and a
/// part of their hash: cut off they would be alike.
fn slug(value: &Value) -> String {
    let whole = unabridged(value);
    match value {
        Value::Array(lists) if whole.len() > MAX_VALUE && lists.iter().all(Value::is_array) => {
            let rest = format!("+{}more-{}", lists.len() - 1, &sha256(whole.as_bytes())[..4]);
            let first = slug(&lists[0]);
            format!("{}{rest}", &first[..first.len().min(MAX_VALUE.saturating_sub(rest.len()))])
        }
        _ => whole.chars().take(MAX_VALUE).collect(),
    }
}

fn unabridged(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 1e15 => format!("{number:.0}"),
        Value::Array(items) => items.iter().map(unabridged).collect::<Vec<_>>().join("+"),
        other => value_text(other),
    };
    let safe = text.chars().map(|c| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' });
    let slug: String = safe.collect();
    if slug.is_empty() { "none".into() } else { slug }
}

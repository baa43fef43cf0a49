//! What distinguishes two plans of one run, and plans that are adapted while they are carried out.

use std::path::PathBuf;

use toml::Value;

use super::experiment::{ResolvedKey, RunPlan};
use super::freeze;
use super::schema::{self, Kind};
use super::value::value_text;
use crate::config::name_of_run;
use crate::facts::KeyChange;

/// The keys in which `now` would compute or record something else than `before`, in the order of the manual. `adapted` is
/// what was changed in `before` since its run was made; it does not count.
pub fn differences(before: &RunPlan, adapted: &[KeyChange], now: &RunPlan) -> Vec<KeyChange> {
    let before = before.resolved();
    // A run of before a key was there keeps to what it does; whether its tokens would be others now is seen in the text itself.
    let older =
        |key: &str| before.iter().any(|other| other.key == key && other.source == freeze::BEFORE_THE_KEY);
    let original = |resolved: &ResolvedKey| {
        let changed =
            adapted.iter().find(|change| change.key == resolved.key && change.now == text(resolved));
        changed.map_or_else(|| text(resolved), |change| change.before.clone())
    };
    let mut changes = Vec::new();
    let counts = |name: &str| {
        let decides = schema::key(name).is_some_and(schema::Key::decides_numbers);
        decides && now.optimizer.kind.reads_key(name) && !older(name)
    };
    for resolved in now.resolved().iter().filter(|resolved| counts(resolved.key)) {
        let now = text(resolved);
        let before = before.iter().find(|other| other.key == resolved.key).map(original);
        if before.as_ref() != Some(&now) {
            let before = before.unwrap_or_else(|| "-".to_owned());
            changes.push(KeyChange { key: resolved.key.to_owned(), before, now });
        }
    }
    changes
}

/// A path, or each of several, without regard to the working directory.
pub(in crate::config) fn absolute(value: &Value) -> Value {
    match value {
        Value::String(name) if name_of_run(name).is_some() => value.clone(),
        Value::String(path) if !path.is_empty() => {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
            Value::String(absolute.to_string_lossy().into_owned())
        }
        Value::Array(paths) => Value::Array(paths.iter().map(absolute).collect()),
        other => other.clone(),
    }
}

/// A value as it is written in TOML, paths absolute as in a frozen file.
fn text(resolved: &ResolvedKey) -> String {
    match schema::key(resolved.key).map(|key| &key.kind) {
        Some(Kind::Path | Kind::Paths) => value_text(&absolute(&resolved.value)),
        _ => value_text(&resolved.value),
    }
}

/// `plan` with another path for `key`, as it would be frozen, and the change for [`differences`] to overlook.
pub fn pinned(plan: &RunPlan, key: &str, path: &str) -> (RunPlan, Option<KeyChange>) {
    let mut plan = plan.clone();
    let as_text = |plan: &RunPlan| plan.resolved_key(key).as_ref().map(text);
    let before = as_text(&plan);
    if let Some(key) = schema::key(key) {
        plan.set(key, &Value::String(path.to_owned()), None);
    }
    let change = before.zip(as_text(&plan));
    (plan, change.map(|(before, now)| KeyChange { key: key.to_owned(), before, now }))
}

/// `plan` with other values for some keys, as it would be frozen; `source` is what is said of where they came from.
pub fn adapted(plan: &RunPlan, values: &[(&str, i64)], source: &str) -> RunPlan {
    let mut plan = plan.clone();
    for (name, value) in values {
        if let Some(key) = schema::key(name) {
            plan.set(key, &Value::Integer(*value), Some(source));
        }
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::{plan, plans_with};

    #[test]
    fn a_plan_does_not_differ_from_itself_frozen() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        for text in ["", "[data]\npath = \"some/text.txt\"\n[optimizer]\nlearning_rate = 1\n"] {
            let plan = plan(text);
            std::fs::write(&path, crate::config::render_frozen(&plan)).unwrap();
            let frozen = crate::config::read_frozen(&path, None).unwrap();
            assert_eq!(differences(&frozen, &[], &plan), []);
        }
    }

    #[test]
    fn prose_and_speed_make_no_other_run() {
        let before = plan("");
        let same = ["experiment.description=\"x\"", "hardware.threads=1", "on_failure.halve_batch=true"];
        assert_eq!(differences(&before, &[], &plans_with("", &same)[0]), []);
        let other = differences(&before, &[], &plans_with("", &["train.max_steps=7"])[0]);
        assert_eq!(other.len(), 1);
        assert_eq!((other[0].key.as_str(), other[0].now.as_str()), ("train.max_steps", "7"));
    }

    #[test]
    fn what_was_adapted_under_way_does_not_count() {
        let now = plan("[train]\nbatch_size = 8\n");
        let before = adapted(&now, &[("train.batch_size", 4)], "on_failure.halve_batch");
        assert_eq!(before.train.batch_size, 4, "a plan holds each value once");
        let change = KeyChange { key: "train.batch_size".into(), before: "8".into(), now: "4".into() };
        assert_eq!(differences(&before, std::slice::from_ref(&change), &now), []);
        assert_eq!(differences(&before, &[], &now).len(), 1);
    }
}

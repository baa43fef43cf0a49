//! `config.toml` of a run: everything that was resolved, so that the run can be understood and repeated from it alone.

use std::path::{Path, PathBuf};

use toml::Value;

use super::error::{ConfigError, ConfigErrors, Place};
use super::experiment::{ResolvedKey, RunPlan};
use super::schema::{self, Kind};
use super::value::value_text;
use super::{LoadOptions, load};

/// The plan as a file: every key with its source as a comment, paths absolute, the run's own seed, no sweep and no
/// repeats. Given to `runner` again it plans the same run under the same name.
pub fn render_frozen(plan: &RunPlan) -> String {
    let mut text = format!(
        "# Run {} of experiment {}: every key as it was resolved, and where its value came from.\n\
         # `runner --again` accepts this file like any experiment and trains the same run anew.\n",
        plan.name, plan.experiment.name
    );
    let mut section = "";
    for resolved in &plan.resolved {
        let Some(key) = schema::key(&resolved.key) else { continue };
        if key.section == "reference" && plan.reference.is_none() {
            continue;
        }
        if section != key.section {
            section = key.section;
            text.push_str(&format!("\n[{section}]\n"));
        }
        let (value, source) = match key.name {
            "experiment.run" if plan.given_name().is_none() => {
                (Value::String(plan.name.clone()), key.zero.unwrap_or(&resolved.source))
            }
            _ => (frozen_value(resolved, key), resolved.source.as_str()),
        };
        let line = format!("{} = {}", key.leaf, value_text(&value));
        text.push_str(&format!("{line:<40} # {}\n", source.replace(['\n', '\r'], " ")));
    }
    text
}

fn frozen_value(resolved: &ResolvedKey, key: &schema::Key) -> Value {
    match (&key.kind, resolved.value.as_str()) {
        (_, _) if key.name == "experiment.repeats" => Value::Integer(1),
        (Kind::Path, Some(path)) if !path.is_empty() => {
            let absolute = std::path::absolute(path).unwrap_or_else(|_| PathBuf::from(path));
            Value::String(absolute.to_string_lossy().into_owned())
        }
        _ => resolved.value.clone(),
    }
}

/// Reads a file with exactly one run, as [`render_frozen`] writes it.
///
/// # Errors
/// Whatever [`load`] finds, and a file that plans several runs.
pub fn read_frozen(path: &Path) -> Result<RunPlan, ConfigErrors> {
    let mut plans = load(&[path.to_path_buf()], &LoadOptions::default())?;
    match plans.pop() {
        Some(plan) if plans.is_empty() => Ok(plan),
        _ => {
            let what = format!("this file plans {} runs, where a single one is needed", plans.len() + 1);
            let problem = ConfigError::new(Place::File(path.to_path_buf()), what);
            Err(ConfigErrors::new(vec![problem.help("a run's `config.toml` has no sweep and repeats = 1")]))
        }
    }
}

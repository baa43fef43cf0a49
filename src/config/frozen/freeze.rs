//! `config.toml` of a run: everything that was resolved, so that the run can be understood and repeated from it alone.

use std::path::Path;

use toml::Value;

use crate::files::{self, plain};

use super::differ::absolute;
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
         # `runner --again` accepts this file like any experiment and trains the same run again.\n",
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
    match &key.kind {
        _ if key.name == "experiment.repeats" => Value::Integer(1),
        Kind::Path | Kind::Paths => absolute(&resolved.value),
        _ => resolved.value.clone(),
    }
}

/// Keys that the first configurations did not have. A run of that time goes on with their defaults, which leave it what it was.
pub(in crate::config) const ADDED_LATER: &[&str] = &[
    "experiment.run",
    "experiment.same_losses_within",
    "data.weights",
    "data.text_column",
    "data.separator",
    "data.special_tokens",
    "data.cache",
    "train.activation_checkpointing",
    "optimizer.adamw_learning_rate",
    "optimizer.nesterov",
    "optimizer.momentum_start",
    "optimizer.momentum_warmup_steps",
    "optimizer.ns_steps",
    "optimizer.ns_coefficients",
    "optimizer.adjust_lr_fn",
    "optimizer.split_qkv",
    "on_failure.retry_killed",
    "on_failure.retry_device",
    "on_failure.retry_timeout",
    "on_failure.retry_out_of_memory",
    "on_failure.retry_disk_full",
    "on_failure.retry_panic",
    "on_failure.retry_error",
    "on_failure.backoff_secs",
    "on_failure.timeout",
    "on_failure.halve_batch",
    "scripted.fail_as",
    "scripted.fits_batch_size",
    "scripted.sleep_secs",
];

/// What older runs did where today's default is another, and what stands for the source of these values.
const DONE_BEFORE: &[(&str, &str)] = &[("data.separator", "line_break"), ("data.special_tokens", "false")];
pub(in crate::config) const BEFORE_THE_KEY: &str = "what was done before there was this key";

/// No frozen configuration is as large: what is, no reader of configurations takes.
const LARGEST_BYTES: u64 = 1 << 20;

/// What a person can do about a frozen configuration that is damaged.
const PUT_BACK: &str = "put the file back as it was, then `runner retry --class config`; or train again with the experiment file and --again";

/// Reads a file with exactly one run, as [`render_frozen`] writes it: with every key, because a default is not what the run was made
/// with. `sha256` is the sum of what was written, where that is known.
///
/// # Errors
/// Another content than that of the sum, a key that is missing, whatever [`load`] finds, and a file that plans several runs.
pub fn read_frozen(path: &Path, sha256: Option<&str>) -> Result<RunPlan, ConfigErrors> {
    let here = || Place::File(path.to_path_buf());
    // Where only the first line of an error is shown, its place is not.
    let name = path.file_name().unwrap_or_default().display();
    // That there is no file, or that it cannot be read, is said by who reads it as a configuration.
    let is_small = |meta: std::fs::Metadata| meta.is_file() && meta.len() <= LARGEST_BYTES;
    let bytes = std::fs::metadata(path).is_ok_and(is_small).then(|| plain::read(path));
    let bytes = bytes.and_then(Result::ok);
    let mut problems = Vec::new();
    if let (Some(bytes), Some(before)) = (&bytes, sha256) {
        let now = files::sha256(bytes);
        if now != before {
            let what = format!(
                "{name} is not what was written when the run was made: its SHA-256 was {before} and is {now}"
            );
            let problem = ConfigError::new(here(), what).help(PUT_BACK);
            problems.push(match missing(bytes, &[]).as_slice() {
                [] => problem,
                keys => problem.note(format!("it is missing {}", listed(keys))),
            });
        }
    }
    let lacks = missing(bytes.as_deref().unwrap_or_default(), &[]);
    let before: Vec<_> = DONE_BEFORE.iter().filter(|(key, _)| lacks.contains(key)).collect();
    let set = before.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut plans = match load(&[path.to_path_buf()], &LoadOptions { set, ..LoadOptions::default() }) {
        Ok(plans) => plans,
        Err(errors) => {
            problems.extend(errors.problems);
            return Err(ConfigErrors::new(problems));
        }
    };
    if !problems.is_empty() {
        return Err(ConfigErrors::new(problems));
    }
    match plans.pop() {
        Some(mut plan) if plans.is_empty() => {
            match missing(&bytes.unwrap_or_default(), ADDED_LATER).as_slice() {
                [] => {
                    for key in &mut plan.resolved {
                        if before.iter().any(|(name, _)| *name == key.key) {
                            key.source = BEFORE_THE_KEY.to_owned();
                        }
                    }
                    Ok(plan)
                }
                keys => {
                    let what = format!(
                        "{name}, the configuration of a run, is missing {}, and the default may not be what the run was made with",
                        listed(keys)
                    );
                    Err(ConfigErrors::new(vec![ConfigError::new(here(), what).help(PUT_BACK)]))
                }
            }
        }
        _ => {
            let what = format!("this file plans {} runs, where a single one is needed", plans.len() + 1);
            let problem = ConfigError::new(here(), what);
            Err(ConfigErrors::new(vec![problem.help("a run's `config.toml` has no sweep and repeats = 1")]))
        }
    }
}

/// The keys that a file lacks, but for those that it may lack. Of a reference that it does not have none is missed.
fn missing(bytes: &[u8], may_lack: &[&str]) -> Vec<&'static str> {
    let table: toml::Table = String::from_utf8_lossy(bytes).parse().unwrap_or_default();
    let has =
        |key: &schema::Key| table.get(key.section).is_some_and(|section| section.get(key.leaf).is_some());
    let wanted = |key: &&schema::Key| key.section != "reference" && !may_lack.contains(&key.name);
    schema::KEYS.iter().filter(wanted).filter(|key| !has(key)).map(|key| key.name).collect()
}

/// `a`, `b` and 3 more.
fn listed(keys: &[&str]) -> String {
    const SHOWN: usize = 12;
    let names: Vec<String> = keys.iter().take(SHOWN).map(|key| format!("`{key}`")).collect();
    match keys.len().saturating_sub(SHOWN) {
        0 => names.join(", "),
        more => format!("{} and {more} more", names.join(", ")),
    }
}

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
    for resolved in &plan.resolved() {
        let Some(key) = schema::key(resolved.key) else { continue };
        if key.section == "reference" && plan.reference.result().is_none() {
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

/// Keys that every configuration of a run has had, from the first one on, by section. A run that lacks another key is of before that
/// key was there, and goes on with its default, which leaves it what it was: who adds a key need not come here.
const FIRST: &[(&str, &[&str])] = &[
    ("experiment", &["name", "description", "hypothesis", "tags", "seed", "repeats"]),
    ("model", &["preset", "n_layer", "n_head", "n_embd", "block_size", "vocab_size", "dropout", "bias"]),
    ("data", &["corpus", "path", "tokenizer", "val_fraction", "order"]),
    (
        "train",
        &[
            "batch_size",
            "sequence_length",
            "gradient_accumulation_steps",
            "max_steps",
            "max_time",
            "init_from",
            "eval_interval",
            "eval_batches",
            "ema_decay",
            "final_eval",
        ],
    ),
    (
        "optimizer",
        &[
            "kind",
            "learning_rate",
            "beta1",
            "beta2",
            "eps",
            "momentum",
            "weight_decay",
            "decay_all",
            "grad_clip",
        ],
    ),
    ("schedule", &["kind", "warmup_steps", "decay_steps", "min_lr"]),
    ("target", &["metric", "threshold"]),
    ("checkpoint", &["interval", "keep_last"]),
    ("sample", &["interval", "prompts", "max_new_tokens", "temperature", "top_k", "top_p", "seed"]),
    ("hardware", &["device", "requires", "dtype", "threads", "monitor_interval_secs"]),
    (
        "scripted",
        &["initial_loss", "floor_loss", "decay_steps", "noise", "step_secs", "diverge_at", "fail_at"],
    ),
];

/// Whether every configuration of a run has had this key.
pub(in crate::config) fn is_of_the_first(key: &schema::Key) -> bool {
    FIRST.iter().any(|(section, leaves)| *section == key.section && leaves.contains(&key.leaf))
}

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
            problems.push(match missing(bytes, |_| true).as_slice() {
                [] => problem,
                keys => problem.note(format!("it is missing {}", listed(keys))),
            });
        }
    }
    let lacks = missing(bytes.as_deref().unwrap_or_default(), |_| true);
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
            match missing(&bytes.unwrap_or_default(), is_of_the_first).as_slice() {
                [] => {
                    for (key, _) in before {
                        plan.set_source(key, BEFORE_THE_KEY);
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

/// The keys that a file lacks of those that it needs. Of a reference that it does not have none is missed.
fn missing(bytes: &[u8], is_needed: fn(&schema::Key) -> bool) -> Vec<&'static str> {
    let table: toml::Table = String::from_utf8_lossy(bytes).parse().unwrap_or_default();
    let has =
        |key: &schema::Key| table.get(key.section).is_some_and(|section| section.get(key.leaf).is_some());
    let wanted = |key: &&schema::Key| key.section != "reference" && is_needed(key);
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

//! Keys that were set and do nothing beside the others: a floor for a learning rate that never falls. Nothing is wrong with the run, but
//! whoever set them expects something of them.

use std::path::Path;

use toml::Value;

use super::experiment::{DeviceChoice, ScheduleKind};
use super::read::{Origin, Resolved, Setting};
use super::schema::{self, RawPlan};
use super::value::{shortened, value_text};
use crate::facts::optimizer::OptimizerKind;
use crate::units;

/// A key that has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdleKey {
    /// Dotted.
    pub key: &'static str,
    /// As in TOML; `None` where it varies from run to run.
    pub value: Option<String>,
    /// Where it was set: `a.toml:12`, also of a file that this one extends, or `--set`.
    pub place: String,
    pub why: String,
    /// What to do instead of leaving it out; empty where there is nothing.
    pub help: String,
}

/// What is told of these keys, a sentence for each reason: one switch may leave many keys of its section without effect.
pub fn idle_sentences(keys: &[IdleKey]) -> Vec<String> {
    let mut groups: Vec<Vec<&IdleKey>> = Vec::new();
    for key in keys {
        let same = |group: &&mut Vec<&IdleKey>| group[0].why == key.why && group[0].help == key.help;
        match groups.iter_mut().find(same) {
            Some(group) => group.push(key),
            None => groups.push(vec![key]),
        }
    }
    groups.iter().map(|group| sentence(group)).collect()
}

fn sentence(group: &[&IdleKey]) -> String {
    let name = |one: &&IdleKey| match &one.value {
        Some(value) => format!("`{} = {value}`", one.key),
        None => format!("`{}`", one.key),
    };
    let mut places: Vec<&str> = group.iter().map(|one| one.place.as_str()).collect();
    places.dedup();
    let Some(IdleKey { why, help, .. }) = group.first() else { return String::new() };
    let help = if help.is_empty() { String::new() } else { format!("{help}, or ") };
    let (verb, object) = if group.len() == 1 { ("has", "it") } else { ("have", "them") };
    let names = units::listed(&group.iter().map(name).collect::<Vec<_>>(), "and");
    format!("{names} ({}) {verb} no effect: {why}; {help}leave {object} out", places.join(", "))
}

/// Why keys do nothing, and what to do.
struct Reason {
    why: String,
    help: &'static str,
}

/// Keys, and when nobody reads them.
struct Rule {
    keys: &'static [&'static str],
    idle: fn(&RawPlan) -> Option<Reason>,
}

const NOTHING_ELSE: &str = "";

fn reason(idle: bool, why: impl Into<String>, help: &'static str) -> Option<Reason> {
    idle.then(|| Reason { why: why.into(), help })
}

static RULES: &[Rule] = &[
    Rule {
        keys: &["schedule.min_lr", "schedule.decay_steps"],
        idle: |raw| {
            reason(
                raw.schedule.kind == ScheduleKind::Constant,
                "`schedule.kind` is \"constant\", and the learning rate never falls",
                "set `schedule.kind` to \"linear\", \"cosine\" or \"warmup-stable-decay\"",
            )
        },
    },
    Rule {
        keys: &["target.metric"],
        idle: |raw| {
            reason(
                raw.target.threshold.is_none(),
                "there is no target: `target.threshold` is 0",
                "set the loss to reach as `target.threshold`",
            )
        },
    },
    Rule {
        keys: &["checkpoint.keep_last"],
        idle: |raw| {
            reason(
                raw.checkpoint.interval == 0,
                "`checkpoint.interval` is 0, and there are no checkpoints",
                "set `checkpoint.interval` above 0",
            )
        },
    },
    Rule {
        keys: &["train.eval_batches"],
        idle: |raw| {
            let why = match raw.data.val_fraction == 0.0 {
                true => "`data.val_fraction` is 0, and there is no text to validate on",
                false => "`train.eval_interval` is 0, and nothing is validated",
            };
            reason(raw.data.val_fraction == 0.0 || raw.train.eval_interval == 0, why, "set both above 0")
        },
    },
    Rule {
        keys: &[
            "sample.prompts",
            "sample.max_new_tokens",
            "sample.temperature",
            "sample.top_k",
            "sample.top_p",
            "sample.seed",
        ],
        idle: |raw| {
            reason(
                raw.sample.interval == 0,
                "`sample.interval` is 0, and there are no samples",
                "set `sample.interval` above 0",
            )
        },
    },
    Rule {
        keys: &["sample.top_k", "sample.top_p", "sample.seed"],
        idle: |raw| {
            reason(
                raw.sample.temperature == 0.0,
                "`sample.temperature` is 0, which always takes the likeliest token",
                "set `sample.temperature` above 0",
            )
        },
    },
    Rule {
        keys: &["sample.temperature", "sample.top_p", "sample.seed"],
        idle: |raw| {
            reason(
                raw.sample.top_k == 1,
                "`sample.top_k` is 1, which always takes the likeliest token",
                "set `sample.top_k` above 1, or to 0 for all tokens",
            )
        },
    },
    Rule {
        keys: &["optimizer.decay_all"],
        idle: |raw| {
            reason(
                raw.optimizer.weight_decay == 0.0,
                "`optimizer.weight_decay` is 0",
                "set `optimizer.weight_decay` above 0",
            )
        },
    },
    Rule {
        keys: &["optimizer.momentum_start"],
        idle: |raw| {
            reason(
                raw.optimizer.momentum_warmup_steps == 0,
                "`optimizer.momentum_warmup_steps` is 0, and momentum does not warm up",
                "set `optimizer.momentum_warmup_steps` above 0",
            )
        },
    },
    Rule {
        keys: &["data.separator"],
        idle: |raw| reason(is_one_document(raw), "the text is a single document", NOTHING_ELSE),
    },
    Rule {
        keys: &["data.text_column"],
        idle: |raw| {
            reason(
                is_one_document(raw),
                "the text is no table and has no JSON lines",
                "name a .jsonl or .parquet file as `data.path`",
            )
        },
    },
    Rule {
        keys: &["data.special_tokens"],
        idle: |raw| {
            let tokenizer = raw.data.tokenizer.name();
            reason(
                tokenizer != "gpt2",
                format!("the tokenizer {tokenizer} has no token `<|endoftext|>`"),
                "set `data.tokenizer = \"gpt2\"`",
            )
        },
    },
    Rule {
        keys: &["data.cache"],
        idle: |raw| {
            reason(
                raw.data.path.count() == 0,
                "the known corpora are small, and their tokens are made in a moment",
                NOTHING_ELSE,
            )
        },
    },
    Rule {
        keys: &["data.weights"],
        idle: |raw| {
            reason(
                raw.data.path.count() == 1,
                "there is a single text, which is all that is trained on",
                "list several as `data.path`",
            )
        },
    },
    Rule {
        keys: &["hardware.monitor_interval_secs"],
        idle: |raw| {
            reason(
                is_scripted(raw),
                "`hardware.device` is \"scripted\", which computes nothing",
                NOTHING_ELSE,
            )
        },
    },
    Rule {
        keys: &["on_failure.backoff_secs"],
        idle: |raw| {
            let on = &raw.on_failure;
            let retries = on.retry_killed
                + on.retry_device
                + on.retry_timeout
                + on.retry_out_of_memory
                + on.retry_disk_full
                + on.retry_panic
                + on.retry_error;
            reason(
                retries == 0,
                "every `retry_...` of [on_failure] is 0, and nothing is tried again",
                "set the one that is meant above 0",
            )
        },
    },
    Rule {
        keys: &["on_failure.retry_timeout"],
        idle: |raw| {
            let never = raw.on_failure.timeout.secs.is_none();
            reason(
                never,
                "`on_failure.timeout` is 0, and a run may be silent as long as it likes",
                "set `on_failure.timeout`, \"2h\" for example",
            )
        },
    },
    Rule {
        keys: &["on_failure.halve_batch"],
        idle: |raw| {
            reason(
                raw.train.batch_size == 1,
                "`train.batch_size` is 1 and cannot be halved",
                "raise `train.batch_size`",
            )
        },
    },
    Rule {
        keys: &["scripted.fail_as"],
        idle: |raw| {
            reason(
                raw.scripted.fail_at == 0,
                "`scripted.fail_at` is 0, and it does not fail",
                "set `scripted.fail_at` above 0",
            )
        },
    },
];

/// What was set in [scripted] is read by one device alone.
const SCRIPTED: &str = "scripted";

/// Whether the text is known to be one document: a known corpus, or a file whose name says so.
fn is_one_document(raw: &RawPlan) -> bool {
    let is_plain = |path: &Path| {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
        matches!(ending.as_str(), "txt" | "md" | "bin") && !path.is_dir()
    };
    match raw.data.path.0.as_slice() {
        [] => true,
        [path] => is_plain(path),
        _ => false,
    }
}

fn is_scripted(raw: &RawPlan) -> bool {
    *raw.hardware.device == DeviceChoice::Scripted
}

/// The keys of a configuration that someone set and that have no effect, in the order of the manual.
pub(super) fn idle_keys(resolved: &Resolved) -> Vec<IdleKey> {
    let told = |(_, setting): &(usize, Setting)| {
        let place = place(&setting.origin)?;
        let (why, help) = why(&resolved.raw, setting)?;
        let value = match setting.origin {
            Origin::Sweep(_) => None,
            _ => Some(shortened(&value_text(&setting.value))),
        };
        Some(IdleKey { key: setting.key.name, value, place, why, help })
    };
    resolved.settings.iter().filter_map(told).collect()
}

/// What is about several runs, in an experiment that has one.
pub(super) fn idle_alone(resolved: &Resolved) -> Option<IdleKey> {
    let (_, setting) = resolved.setting("experiment.same_losses_within")?;
    let place = place(&setting.origin).filter(|_| !says_nothing(&setting.value))?;
    Some(IdleKey {
        key: setting.key.name,
        value: Some(value_text(&setting.value)),
        place,
        why: "there is one run, with nothing to compare".to_owned(),
        help: "add a [sweep.grid], ".to_owned(),
    })
}

/// Where a person set it, if anybody did.
fn place(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Default | Origin::Usual(_) | Origin::Preset { .. } | Origin::Frozen(_) => None,
        Origin::Written(place) => Some(place.short()),
        Origin::Sweep(place) => Some(format!("swept at {}", place.short())),
    }
}

fn why(raw: &RawPlan, setting: &Setting) -> Option<(String, String)> {
    let key = setting.key;
    if key.section == "optimizer" && !raw.optimizer.kind.reads(key.leaf) {
        return Some(of_another_optimizer(raw.optimizer.kind, key));
    }
    if key.section == SCRIPTED && !is_scripted(raw) {
        let why = "[scripted] is read with `hardware.device = \"scripted\"` alone".to_owned();
        return Some((why, NOTHING_ELSE.to_owned()));
    }
    if says_nothing(&setting.value) {
        return None;
    }
    let fits = |rule: &&Rule| rule.keys.contains(&key.name);
    let reason = RULES.iter().filter(fits).find_map(|rule| (rule.idle)(raw))?;
    Some((reason.why, reason.help.to_owned()))
}

fn of_another_optimizer(kind: OptimizerKind, key: &schema::Key) -> (String, String) {
    let readers: Vec<String> =
        OptimizerKind::readers(key.leaf).map(|kind| format!("\"{}\"", kind.facts().word)).collect();
    let why = format!("`optimizer.kind` is \"{}\"", kind.facts().word);
    (why, format!("set `optimizer.kind = {}`", readers.join("` or `")))
}

/// What switches something off that is off does not disappoint anybody.
fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Integer(number) => *number == 0,
        Value::Float(number) => *number == 0.0,
        Value::Boolean(on) => !on,
        Value::String(text) => text.is_empty() || text == "0",
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

/// Of the runs of one experiment: what does nothing in some of them and something in others was set for those. What is swept is told in
/// any case: runs that differ in it alone are the same.
pub(super) fn leave_common<'a>(plans: impl Iterator<Item = &'a mut Vec<IdleKey>>) {
    let mut all: Vec<&mut Vec<IdleKey>> = plans.collect();
    let in_all = |key: &str| all.iter().all(|idle| idle.iter().any(|other| other.key == key));
    let mut seen: Vec<&str> = all.iter().flat_map(|idle| idle.iter().map(|one| one.key)).collect();
    seen.sort_unstable();
    seen.dedup();
    let common: Vec<&str> = seen.into_iter().filter(|key| in_all(key)).collect();
    for idle in &mut all {
        idle.retain(|one| one.value.is_none() || common.contains(&one.key));
    }
}

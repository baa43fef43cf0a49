//! Whether a merged configuration makes sense as a whole: the rules between keys (`rules.rs`), and what depends on where values were
//! written. What one value alone can violate was found when it was read; see `check.rs`.

use std::collections::BTreeSet;

use super::error::{ConfigError, Place};
use super::read::{Origin, Resolved, Setting};
use super::rules::{RULES, Rule, Violation};
use super::value::value_text;
use crate::facts::optimizer::OptimizerKind;

/// All violations of a merged configuration. Rules about a doubtful key are left out: its own problem comes first.
pub(in crate::config) fn violations(
    resolved: &Resolved,
    doubtful: &BTreeSet<&'static str>,
) -> Vec<ConfigError> {
    let sure = |rule: &&Rule| !rule.keys.iter().any(|key| doubtful.contains(key));
    let broken = RULES.iter().filter(sure).filter_map(|rule| Some((rule.keys, (rule.check)(&resolved.raw)?)));
    let mut problems: Vec<ConfigError> =
        broken.map(|(keys, violation)| located(resolved, keys, violation)).collect();
    if !EVALUATION.iter().any(|key| doubtful.contains(key)) {
        problems.extend(evaluation_without_text(resolved));
    }
    if !doubtful.contains(KIND) {
        problems.extend(keys_of_another_optimizer(resolved));
    }
    problems
}

const EVALUATION: &[&str] = &["train.eval_interval", "data.val_fraction"];

/// Evaluation is on by default and silently off without validation text, but who asks for it in so many words should
/// hear that there is nothing to evaluate on.
fn evaluation_without_text(resolved: &Resolved) -> Option<ConfigError> {
    let (_, interval) = resolved.setting("train.eval_interval")?;
    let asked = !interval.origin.is_default() && resolved.raw.train.eval_interval > 0;
    let violation = Violation {
        what: format!(
            "`train.eval_interval` is {}, but no text is kept for validation",
            resolved.raw.train.eval_interval
        ),
        help: Some("set `data.val_fraction` above 0, or `train.eval_interval = 0`".into()),
    };
    (asked && resolved.raw.data.val_fraction == 0.0).then(|| located(resolved, EVALUATION, violation))
}

const KIND: &str = "optimizer.kind";

/// What an experiment inherits or compares may hold keys of another optimizer, but who varies one, or sets it for this call, should
/// hear that nothing reads it.
fn keys_of_another_optimizer(resolved: &Resolved) -> Vec<ConfigError> {
    let kind = resolved.raw.optimizer.kind;
    let chosen_by = resolved.setting(KIND).map_or(0, |(layer, _)| *layer);
    // Written where the optimizer was chosen, or later. A sweep that chooses both is not meant: of its points each reads its own.
    let is_meant = |layer: usize, origin: &Origin| match origin {
        Origin::Sweep(_) => layer > chosen_by,
        Origin::Written(Place::Set(_)) => layer >= chosen_by,
        _ => false,
    };
    resolved
        .settings
        .iter()
        .filter(|(layer, setting)| is_meant(*layer, &setting.origin))
        .map(|(_, setting)| setting)
        .filter(|setting| setting.key.section == "optimizer" && !kind.reads(setting.key.leaf))
        .map(|setting| {
            let words: Vec<&str> =
                OptimizerKind::readers(setting.key.leaf).map(|reader| reader.facts().word).collect();
            let violation = Violation {
                what: format!(
                    "`{}` is read by {} alone, and `optimizer.kind` is \"{}\"",
                    setting.key.name,
                    words.join(" and "),
                    kind.facts().word
                ),
                help: Some(format!(
                    "set `optimizer.kind = \"{}\"`, or leave the key out",
                    words[words.len() - 1]
                )),
            };
            located(resolved, &[setting.key.name, KIND], violation)
        })
        .collect()
}

/// Puts a violation at the strongest setting among its keys, since that one was added last, and names the others.
fn located(resolved: &Resolved, keys: &[&str], violation: Violation) -> ConfigError {
    let settings: Vec<&(usize, Setting)> = keys.iter().filter_map(|key| resolved.setting(key)).collect();
    // `max_by_key` keeps the last of equals; reversed, that is the first key of the rule. A size that is written counts
    // more than one that a preset beside it stands for.
    let strength =
        |(layer, setting): &&&(usize, Setting)| (*layer, !matches!(setting.origin, Origin::Preset { .. }));
    let strongest = settings.iter().rev().max_by_key(strength);
    let place = strongest.map_or(Place::Default, |(_, setting)| setting.origin.place());
    let mut problem = ConfigError::new(place, violation.what);
    problem.help = violation.help;
    for (_, setting) in &settings {
        if strongest.is_some_and(|(_, strongest)| strongest.key.name == setting.key.name) {
            problem.key = Some(setting.key.name.into());
        } else {
            let value = value_text(&setting.value);
            problem = problem.note(format!("`{}` is {value} ({})", setting.key.name, described(setting)));
        }
    }
    problem
}

fn described(setting: &Setting) -> String {
    match (setting.origin.source(), setting.origin.place().short()) {
        (source, place) if source == place => source,
        (source, place) => format!("{source}, {place}"),
    }
}

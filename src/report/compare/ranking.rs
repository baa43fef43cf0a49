//! By what settings are ranked, and whether they can be.

use crate::report::summary::{OUTCOMES, Outcome, TO_TARGET};
use crate::stats::Spread;
use crate::store::manifest::TargetInfo;

use super::groups::{Comparison, Group};

/// The settings that came to a planned end, best first.
pub struct Ranking<'a> {
    pub outcome: &'static Outcome,
    /// `lowest validation loss`.
    pub words: &'static str,
    /// What reaching the target cost decides, and not a loss.
    pub by_target: bool,
    /// Groups that have the number in every counted run, with it.
    pub ranked: Vec<(&'a Group<'a>, Spread)>,
}

struct Criterion {
    /// Label of the outcome. Lower is better.
    label: &'static str,
    words: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    StepsToTarget,
    TokensToTarget,
    ValLoss,
    TrainLoss,
    /// Of text, whatever its tokens: decides between tokenizers, and only there.
    BitsPerByte,
}

/// What decides, first to last.
const CRITERIA: &[Criterion] = &[
    Criterion { label: "Steps to target", words: "fewest steps to the target", kind: Kind::StepsToTarget },
    Criterion { label: "Tokens to target", words: "fewest tokens to the target", kind: Kind::TokensToTarget },
    Criterion { label: "Val loss (best)", words: "lowest validation loss", kind: Kind::ValLoss },
    Criterion { label: "Corpus loss", words: "lowest loss over the training corpus", kind: Kind::TrainLoss },
    Criterion { label: "Train loss (smoothed)", words: "lowest smoothed train loss", kind: Kind::TrainLoss },
    Criterion { label: "Train loss (last)", words: "lowest train loss", kind: Kind::TrainLoss },
    Criterion {
        label: "Val bits/byte (best)",
        words: "lowest validation bits per byte",
        kind: Kind::BitsPerByte,
    },
    Criterion {
        label: "Corpus bits/byte",
        words: "lowest bits per byte over the training corpus",
        kind: Kind::BitsPerByte,
    },
];

/// Ranks by the first criterion that can be used. `None` when there is none, or when [`incomparable`].
pub fn ranking<'a>(comparison: &'a Comparison<'a>) -> Option<Ranking<'a>> {
    if incomparable(comparison).is_some() {
        return None;
    }
    let groups = counted_groups(comparison);
    for criterion in CRITERIA.iter().filter(|criterion| is_usable(criterion.kind, comparison)) {
        let outcome = OUTCOMES.iter().chain(TO_TARGET).find(|outcome| outcome.label == criterion.label)?;
        let mut ranked: Vec<(&Group, Spread)> =
            groups.iter().filter_map(|group| Some((*group, group.whole_spread(outcome)?))).collect();
        let by_target = matches!(criterion.kind, Kind::StepsToTarget | Kind::TokensToTarget);
        // Settings that missed the target have lost; a loss that some did not measure decides nothing.
        if ranked.is_empty() || (!by_target && ranked.len() < groups.len()) {
            continue;
        }
        ranked.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        return Some(Ranking { outcome, words: criterion.words, by_target, ranked });
    }
    None
}

fn is_usable(kind: Kind, comparison: &Comparison) -> bool {
    let target = shared_target(comparison);
    if differs(comparison, "data.tokenizer") {
        return kind == Kind::BitsPerByte;
    }
    match kind {
        Kind::BitsPerByte => false,
        // Steps of different sizes do not compare; their tokens do.
        Kind::StepsToTarget => target.is_some() && same_step_size(comparison),
        Kind::TokensToTarget => target.is_some(),
        // Who aims at the train loss does not ask how well the model does elsewhere.
        Kind::ValLoss => target.is_none_or(TargetInfo::is_of_validation),
        Kind::TrainLoss => true,
    }
}

/// What decides which tokens a loss is measured on.
const DECIDE_THE_TEXT: [&str; 8] = [
    "data.corpus",
    "data.path",
    "data.weights",
    "data.text_column",
    "data.separator",
    "data.special_tokens",
    "data.val_fraction",
    "data sha256",
];

/// Why no ranking of these settings would mean anything.
pub fn incomparable(comparison: &Comparison) -> Option<&'static str> {
    if DECIDE_THE_TEXT.into_iter().any(|key| differs(comparison, key)) {
        Some("Their data differ, and so does what a loss means: no winner is named.")
    } else if differs(comparison, "data.tokenizer") && !has_bits_per_byte(comparison) {
        Some(
            "Their tokenizers differ: a token of one holds more text than a token of another, so losses per token do not \
             compare, bits per byte were not measured for all, and no winner is named.",
        )
    } else {
        None
    }
}

/// Whether a number that does not depend on the tokenizer is known of all settings.
fn has_bits_per_byte(comparison: &Comparison) -> bool {
    let groups = counted_groups(comparison);
    CRITERIA.iter().filter(|criterion| criterion.kind == Kind::BitsPerByte).any(|criterion| {
        let outcome = OUTCOMES.iter().find(|outcome| outcome.label == criterion.label);
        outcome.is_some_and(|outcome| groups.iter().all(|group| group.whole_spread(outcome).is_some()))
    })
}

/// Whether groups that count differ in `key`. A skipped run makes nothing incomparable.
pub fn differs(comparison: &Comparison, key: &str) -> bool {
    let Some(index) = comparison.keys.iter().position(|changed| changed == key) else { return false };
    let groups = counted_groups(comparison);
    groups.windows(2).any(|pair| pair[0].values.get(index) != pair[1].values.get(index))
}

fn counted_groups<'a>(comparison: &'a Comparison<'a>) -> Vec<&'a Group<'a>> {
    comparison.groups.iter().filter(|group| group.counted().next().is_some()).collect()
}

fn same_step_size(comparison: &Comparison) -> bool {
    let counted = comparison.groups.iter().flat_map(|group| group.counted());
    let mut sizes = counted.map(|run| run.record.manifest.run.tokens_per_step);
    let first = sizes.next();
    sizes.all(|size| Some(size) == first)
}

/// The target, when all runs that count have the same one.
pub fn shared_target<'a>(comparison: &'a Comparison) -> Option<&'a TargetInfo> {
    let counted = comparison.groups.iter().flat_map(|group| group.counted());
    let mut targets = counted.map(|run| run.record.manifest.target.as_ref());
    let first = targets.next()??;
    let same = |target: Option<&TargetInfo>| {
        target.is_some_and(|target| target.metric == first.metric && target.threshold == first.threshold)
    };
    targets.all(same).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_criterion_is_an_outcome_that_is_better_when_lower() {
        for Criterion { label, .. } in CRITERIA {
            let outcome = OUTCOMES.iter().chain(TO_TARGET).find(|outcome| outcome.label == *label);
            assert_eq!(outcome.expect(label).better, crate::metric::Better::Lower);
        }
    }
}

//! The paragraph that says what differs, which setting won, by how much, and how certain that is.

use crate::metric::Unit;
use crate::report::markdown::code;
use crate::report::summary::{OUTCOMES, Outcome, TO_TARGET};
use crate::stats::{Spread, critical_t};
use crate::store::manifest::TargetInfo;
use crate::units;

use super::groups::{Comparison, Group};
use super::tables::value;

/// The first sentence stands on a line of its own: the index quotes it.
pub fn paragraph(comparison: &Comparison) -> String {
    let mut sentences = vec![verdict(comparison)];
    if let Some(ranking) = ranking(comparison) {
        sentences.extend(margin(&ranking));
    }
    sentences.extend(reached_by(comparison));
    sentences.extend(caveats(comparison));
    let first = sentences.remove(0);
    if sentences.is_empty() { first + "\n" } else { format!("{first}\n{}\n", sentences.join(" ")) }
}

/// By what the groups are ranked, best first.
struct Ranking<'a> {
    criterion: Criterion,
    /// Groups that have the number in every counted run, with it.
    ranked: Vec<(&'a Group<'a>, Spread)>,
}

#[derive(Clone, Copy)]
struct Criterion {
    outcome: &'static Outcome,
    /// `lowest best validation loss`.
    words: &'static str,
    by_target: bool,
}

fn ranking<'a>(comparison: &'a Comparison<'a>) -> Option<Ranking<'a>> {
    let groups: Vec<&Group> =
        comparison.groups.iter().filter(|group| group.counted().next().is_some()).collect();
    let outcome = |label: &str| OUTCOMES.iter().chain(TO_TARGET).find(|outcome| outcome.label == label);
    // The words go with the labels of the outcomes; a test holds that each is found.
    let criteria = CRITERIA.iter().filter_map(|&(label, words, by_target)| {
        Some(Criterion { outcome: outcome(label)?, words, by_target })
    });
    for criterion in criteria {
        let usable = match criterion.outcome.label {
            // Steps of different sizes do not compare; their tokens do.
            "Steps to target" => shared_target(comparison).is_some() && same_step_size(&groups),
            _ => !criterion.by_target || shared_target(comparison).is_some(),
        };
        if !usable {
            continue;
        }
        let mut ranked: Vec<(&Group, Spread)> = groups
            .iter()
            .filter_map(|group| Some((*group, group.whole_spread(criterion.outcome)?)))
            .collect();
        // Settings that missed the target have lost; a loss that some did not measure decides nothing.
        if ranked.is_empty() || (!criterion.by_target && ranked.len() < groups.len()) {
            continue;
        }
        ranked.sort_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
        return Some(Ranking { criterion, ranked });
    }
    None
}

/// What decides, first to last. All of these are better when lower.
const CRITERIA: &[(&str, &str, bool)] = &[
    ("Steps to target", "fewest steps to the target", true),
    ("Tokens to target", "fewest tokens to the target", true),
    ("Val loss (best)", "lowest validation loss", false),
    ("Corpus loss", "lowest loss over the training corpus", false),
    ("Train loss (smoothed)", "lowest smoothed train loss", false),
    ("Train loss (last)", "lowest train loss", false),
];

fn same_step_size(groups: &[&Group]) -> bool {
    let mut sizes =
        groups.iter().flat_map(|group| group.counted()).map(|run| run.record.manifest.run.tokens_per_step);
    let first = sizes.next();
    sizes.all(|size| Some(size) == first)
}

/// The target, when all runs have the same one.
fn shared_target<'a>(comparison: &'a Comparison) -> Option<&'a TargetInfo> {
    let mut targets =
        comparison.groups.iter().flat_map(|group| &group.runs).map(|run| run.record.manifest.target.as_ref());
    let first = targets.next()??;
    let same = |target: Option<&TargetInfo>| {
        target.is_some_and(|target| target.metric == first.metric && target.threshold == first.threshold)
    };
    targets.all(same).then_some(first)
}

/// The first sentence: what was compared and what came out best.
fn verdict(comparison: &Comparison) -> String {
    let counted: usize = comparison.groups.iter().map(|group| group.counted().count()).sum();
    match (comparison.groups.as_slice(), ranking(comparison)) {
        ([], _) => "There are no runs to compare.".to_owned(),
        ([group], ranking) => {
            let runs =
                if counted == 1 { "One run".to_owned() } else { format!("{counted} runs of one setting") };
            let result = ranking.and_then(|ranking| {
                let (_, spread) = *ranking.ranked.first()?;
                let result = value(ranking.criterion.outcome.unit, &spread, spread.n > 1);
                let name = ranking.criterion.words.split_once(' ').map_or("", |(_, name)| name);
                Some(format!(", with a {name} of {result}"))
            });
            match result {
                Some(result) if !ranking_is_of_steps(comparison) => {
                    format!("{runs} ({}){result}.", code(&group.label))
                }
                _ => format!("{runs} ({}).", code(&group.label)),
            }
        }
        (groups, None) => {
            format!(
                "{} settings of {}; none came to a planned end with a loss.",
                groups.len(),
                keys(comparison)
            )
        }
        (groups, Some(ranking)) => {
            let Some((best, spread)) = ranking.ranked.first() else { return String::new() };
            let result = value(ranking.criterion.outcome.unit, spread, spread.n > 1);
            let time =
                TO_TARGET.iter().filter(|outcome| ranking.criterion.by_target && outcome.unit == Unit::Secs);
            let time = time.filter_map(|outcome| best.whole_spread(outcome)).next();
            let time = time.map_or_else(String::new, |time| format!(" in {}", units::duration(time.mean)));
            let n = format!("n = {}", spread.n);
            format!(
                "Of {} settings of {}, {} has the {}: {result}{time} ({n}).",
                groups.len(),
                keys(comparison),
                code(&best.label),
                ranking.criterion.words
            )
        }
    }
}

fn ranking_is_of_steps(comparison: &Comparison) -> bool {
    ranking(comparison).is_some_and(|ranking| ranking.criterion.by_target)
}

/// What differs: the keys, or the experiments.
fn keys(comparison: &Comparison) -> String {
    const SHOWN: usize = 4;
    let keys = &comparison.keys;
    if keys.is_empty() {
        return "one configuration under several names".to_owned();
    }
    let mut names: Vec<String> = keys.iter().take(SHOWN).map(|key| code(key)).collect();
    if keys.len() > SHOWN {
        names.push(format!("{} more keys", keys.len() - SHOWN));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

/// By how much the best leads, and whether that is more than seeds would do.
fn margin(ranking: &Ranking) -> Vec<String> {
    let [(_, best), (next, second), ..] = ranking.ranked.as_slice() else { return Vec::new() };
    let unit = ranking.criterion.outcome.unit;
    let label = code(&next.label);
    if best.mean == second.mean {
        return vec![format!("{label} has the same.")];
    }
    let share = units::percent((second.mean - best.mean) / second.mean.abs());
    let what = if unit == Unit::Count { "fewer" } else { "lower" };
    let shown = value(unit, second, second.n > 1);
    let mut sentences =
        vec![format!("That is {share} {what} than the next, {label} with {shown} (n = {}).", second.n)];
    sentences.push(certainty(best, second));
    sentences
}

fn certainty(best: &Spread, second: &Spread) -> String {
    let fewest = best.n.min(second.n);
    if fewest < 2 {
        return "At least one of the two is a single run, so nothing says how much of the difference is chance; \
                `repeats` gives more seeds."
            .to_owned();
    }
    let Some(errors) = best.standard_errors_from(second) else {
        return "Neither spreads at all over its runs, so the difference cannot be weighed against chance."
            .to_owned();
    };
    // Welch's test with the fewest degrees of freedom it can have: careful with so few seeds.
    let needed = critical_t(fewest - 1);
    let errors_shown = format!("{errors:.1} standard errors of the seeds");
    if errors >= needed {
        format!(
            "The difference is {errors_shown}, more than the {needed:.1} that chance exceeds once in twenty times at this n."
        )
    } else {
        format!(
            "The difference is {errors_shown}; at this n chance alone exceeds {needed:.1} once in twenty times, so it is \
             no proof of a winner."
        )
    }
}

/// How many runs reached the target.
fn reached_by(comparison: &Comparison) -> Option<String> {
    let target = shared_target(comparison)?;
    let counted: Vec<_> = comparison.groups.iter().flat_map(Group::counted).collect();
    let reached = counted.iter().filter(|run| run.summary.target.is_some()).count();
    let reached = match (reached, counted.len()) {
        (_, 0) => return None,
        (1, 1) => "The run that came to a planned end".to_owned(),
        (0, 1) => "The run that came to a planned end has not".to_owned(),
        (0, all) => format!("None of the {all} runs that came to a planned end"),
        (2, 2) => "Both runs that came to a planned end".to_owned(),
        (some, all) if some == all => format!("All {all} runs that came to a planned end"),
        (some, all) => format!("{some} of the {all} runs that came to a planned end"),
    };
    let threshold = units::number(target.threshold);
    Some(format!("{reached} reached the target, {} < {threshold}.", code(&target.metric)))
}

/// What stands in the way of comparing these runs.
fn caveats(comparison: &Comparison) -> Vec<String> {
    let mut caveats = Vec::new();
    let differs = |key: &str| comparison.keys.iter().any(|changed| changed == key);
    if differs("data.tokenizer") || differs("model.vocab_size") {
        caveats.push(
            "The tokenizers differ: a token of one holds more text than a token of another, so losses per token do not \
             compare."
                .to_owned(),
        );
    }
    if ["data.corpus", "data.path", "data sha256", "data.val_fraction"].into_iter().any(differs) {
        caveats.push("The data differ, and so does what a loss on them means.".to_owned());
    }
    if differs("device") {
        caveats.push(
            "The hardware differs, so times and throughputs compare machines as well as settings.".to_owned(),
        );
    }
    let tokens = |group: &Group| group.counted().filter_map(|run| run.summary.tokens).max();
    let budgets: Vec<u64> = comparison.groups.iter().filter_map(tokens).collect();
    let by_target = ranking_is_of_steps(comparison);
    if budgets.windows(2).any(|pair| pair[0] != pair[1]) && !by_target {
        caveats
            .push("The settings did not train on equally many tokens; see the curve by tokens.".to_owned());
    }
    let out =
        comparison.run_count() - comparison.groups.iter().map(|group| group.counted().count()).sum::<usize>();
    match out {
        0 => {}
        1 => caveats.push("One run does not count; see the end of the page.".to_owned()),
        n => caveats.push(format!("{n} runs do not count; see the end of the page.")),
    }
    caveats
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_criterion_is_an_outcome_that_is_better_when_lower() {
        for (label, ..) in CRITERIA {
            let outcome = OUTCOMES.iter().chain(TO_TARGET).find(|outcome| outcome.label == *label);
            assert_eq!(outcome.expect(label).better, crate::metric::Better::Lower);
        }
    }
}

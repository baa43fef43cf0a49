//! The words that come first: which setting won, by how much, how certain that is, and what to try next.

use std::collections::{BTreeMap, BTreeSet};

use crate::metric::Unit;
use crate::report::summary::TO_TARGET;
use crate::stats::Spread;
use crate::units;

use super::agreement::Agreement;
use super::certainty;
use super::cheaper;
use super::decision::Decision;
use super::groups::{Comparison, Group};
use super::ranking::{Ranking, differs, incomparable, shared_target};
use super::style::{Style, capitalised, in_words, listed};
use super::tables::{counted_outcomes, value};
use super::trials;
use super::view::View;

/// What is said first. The first sentence stands on a line of its own: the index quotes it.
pub struct Answer {
    pub first: String,
    /// Short headings, each with its sentences.
    pub points: Vec<(&'static str, String)>,
}

impl Answer {
    /// As Markdown when it was made so.
    pub fn page(&self) -> String {
        let points = self.points.iter().map(|(head, text)| format!("- **{head}** {text}\n"));
        let points: String = points.collect();
        if points.is_empty() { format!("{}\n", self.first) } else { format!("{}\n\n{points}", self.first) }
    }

    /// Lines of plain text, when it was made so.
    pub fn lines(&self) -> String {
        let points = self.points.iter().map(|(head, text)| format!("{head} {text}"));
        std::iter::once(self.first.clone()).chain(points).collect::<Vec<_>>().join("\n")
    }
}

/// Runs that should have the same losses have no winner: whether they agree is the verdict. `left_out` is how many runs the end
/// of the page lists.
pub fn answer(view: &View, agreements: &[Agreement], left_out: usize, style: Style) -> Answer {
    let comparison = view.comparison;
    let agree: Vec<String> =
        agreements.iter().map(|agreement| format!("{}.", style.text(&agreement.sentence()))).collect();
    let promised = |group: &Group| agreements.iter().any(|one| one.experiment == group.experiment);
    let mut points: Vec<(&'static str, String)> = Vec::new();
    let mut point = |head: &'static str, sentences: Vec<String>| {
        if !sentences.is_empty() {
            points.push((head, sentences.join(" ")));
        }
    };
    let all_promised = !agree.is_empty() && comparison.groups.iter().all(promised);
    let first = if all_promised { agree.join(" ") } else { verdict(view, style) };
    if !all_promised {
        if let Some(ranking) =
            view.ranking.as_ref().filter(|ranking| ranking.ranked.len() == 1 && comparison.groups.len() > 1)
        {
            point("By how much:", vec![alone(ranking).to_owned()]);
        }
        point("No winner:", incomparable(comparison).map(str::to_owned).into_iter().collect());
        if let (Some(ranking), Some(decision)) = (&view.ranking, &view.decision) {
            point("By how much:", margin(ranking, style));
            point("Is that sure?", certainty::sentences(view, ranking, decision, style));
            point("What decides:", certainty::what_decides(view, style));
            point(
                "As good and cheaper:",
                cheaper::sentence(view, ranking, decision, style).into_iter().collect(),
            );
            point("To try next:", trials::sentences(view, ranking, decision, style));
        }
        point("Did not work:", trials::learnt_nothing(view, style));
        point("Same losses?", agree);
    }
    point("The target:", reached_by(comparison, style).into_iter().collect());
    let ranking = view.ranking.as_ref().filter(|_| !all_promised);
    point("Mind:", caveats(comparison, ranking, left_out, style));
    Answer { first, points }
}

/// The first sentence: what was compared and what came out best.
fn verdict(view: &View, style: Style) -> String {
    let comparison = view.comparison;
    let best = view.ranking.as_ref().and_then(|ranking| Some((ranking, ranking.ranked.first()?)));
    match (comparison.groups.as_slice(), best) {
        ([], _) => "There are no runs to compare.".to_owned(),
        ([group], best) => {
            let runs = match group.counted().count() {
                0 => return format!("No run of {} completed.", style.code(&group.label)),
                1 => "One run".to_owned(),
                n => format!("{n} runs of one setting"),
            };
            let result = best.map_or_else(String::new, |(ranking, (_, spread))| {
                // `lowest validation loss` is that of the only setting there is.
                let name = ranking.words.split_once(' ').map_or(ranking.words, |(_, name)| name);
                format!(", {name}: {}", result(ranking, group, spread))
            });
            format!("{runs} ({}){result}.", style.code(&group.label))
        }
        (groups, None) if incomparable(comparison).is_some() => {
            format!("{} settings of {}, which do not compare.", groups.len(), keys(comparison, style))
        }
        (groups, None) => {
            format!("{} settings of {}; none completed with a loss.", groups.len(), keys(comparison, style))
        }
        (groups, Some((ranking, (best, spread)))) if Decision::all_tied(ranking) => {
            let all = match ranking.ranked.len() {
                two if two == groups.len() && two == 2 => {
                    format!("Both settings of {} have", keys(comparison, style))
                }
                all if all == groups.len() => {
                    format!("All {all} settings of {} have", keys(comparison, style))
                }
                some => {
                    let end = if ranking.by_target { "reached the target" } else { "came to their end" };
                    format!(
                        "Of {} settings of {}, the {} that {end} have",
                        groups.len(),
                        keys(comparison, style),
                        in_words(some)
                    )
                }
            };
            // `lowest validation loss`.
            let name = ranking.words.split_once(' ').map_or(ranking.words, |(_, name)| name);
            let number = if ranking.by_target { "number of " } else { "" };
            format!("{all} the same {number}{name}: {}.", result(ranking, best, spread))
        }
        (groups, Some((ranking, (best, spread)))) => format!(
            "Of {} settings of {}, {} has the {}: {} (n = {}).",
            groups.len(),
            keys(comparison, style),
            style.winner(&best.label),
            ranking.words,
            result(ranking, best, spread),
            spread.n
        ),
    }
}

/// `1.234 ± 0.012`, or `250 in 31 min` on the way to a target.
fn result(ranking: &Ranking, group: &Group, spread: &Spread) -> String {
    let number = value(ranking.outcome.unit, spread, spread.n > 1);
    let time = TO_TARGET.iter().filter(|outcome| ranking.by_target && outcome.unit == Unit::Secs);
    match time.filter_map(|outcome| group.whole_spread(outcome)).next() {
        Some(time) => format!("{number} in {}", units::duration(time.mean)),
        None => number,
    }
}

/// What differs: the keys, or the experiments.
fn keys(comparison: &Comparison, style: Style) -> String {
    const SHOWN: usize = 4;
    let keys = &comparison.keys;
    if keys.is_empty() {
        return "one configuration under several names".to_owned();
    }
    let mut names: Vec<String> = keys.iter().take(SHOWN).map(|key| style.code(key)).collect();
    if keys.len() > SHOWN {
        let more = keys.len() - SHOWN;
        names.push(if more == 1 { "one more key".to_owned() } else { format!("{more} more keys") });
    }
    listed(&names)
}

/// Where no other setting has the number that decides.
fn alone(ranking: &Ranking) -> &'static str {
    if ranking.by_target {
        "No other setting reached the target with every seed."
    } else {
        "No other setting came to its end."
    }
}

/// A difference with two digits: `0.0033`.
fn difference(unit: Unit, value: f64) -> String {
    if unit != Unit::Nats || !(1e-5..10.0).contains(&value) {
        return units::value(unit, value);
    }
    let decimals = (1.0 - value.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

/// By how much the best leads.
fn margin(ranking: &Ranking, style: Style) -> Vec<String> {
    let [(_, best), (next, second), ..] = ranking.ranked.as_slice() else { return Vec::new() };
    let unit = ranking.outcome.unit;
    let label = style.setting(&next.label);
    match Decision::tied(ranking) {
        1 => {}
        // Said already.
        _ if Decision::all_tied(ranking) => return Vec::new(),
        2 => return vec![format!("{label} has the same.")],
        n => return vec![format!("{} others have the same.", capitalised(&in_words(n - 1)))],
    }
    let what = if unit == Unit::Count { "fewer" } else { "lower" };
    let shown = value(unit, second, second.n > 1);
    let difference = difference(unit, second.mean - best.mean);
    let of = match (unit, ranking.words.split_whitespace().nth(1)) {
        (Unit::Nats, _) => " nats per token".to_owned(),
        (Unit::Count, Some(things)) => format!(" {things}"),
        _ => String::new(),
    };
    let share = match units::percent((second.mean - best.mean) / second.mean.abs()) {
        rounded if rounded == units::percent(0.0) => "Less than 0.01 %".to_owned(),
        share => format!("{difference}{of}, which is {share}"),
    };
    vec![format!("{share} {what} than the next, {label} with {shown} (n = {}).", second.n)]
}

/// How many runs reached the target.
fn reached_by(comparison: &Comparison, style: Style) -> Option<String> {
    let target = shared_target(comparison)?;
    let counted: Vec<_> = comparison.groups.iter().flat_map(Group::counted).collect();
    let reached = counted.iter().filter(|run| run.summary.target.is_some()).count();
    let reached = match (reached, counted.len()) {
        (_, 0) => return None,
        (1, 1) => "The one completed run".to_owned(),
        (0, 1) => "The one completed run has not".to_owned(),
        (0, all) => format!("None of the {all} completed runs"),
        (2, 2) => "Both completed runs".to_owned(),
        (some, all) if some == all => format!("All {all} completed runs"),
        (some, all) => format!("{some} of the {all} completed runs"),
    };
    let threshold = units::number(target.threshold);
    Some(format!("{reached} reached the target, {} < {threshold}.", style.code(&target.metric)))
}

/// What stands in the way of comparing these runs.
fn caveats(comparison: &Comparison, ranking: Option<&Ranking>, left_out: usize, style: Style) -> Vec<String> {
    let mut caveats = Vec::new();
    if differs(comparison, "data.val_fraction") {
        caveats.push("They do not train and validate on the same parts of the data.".to_owned());
    }
    if differs(comparison, "device") {
        caveats.push(
            "The hardware differs, so times and throughputs compare machines as well as settings.".to_owned(),
        );
    }
    caveats.extend(other_kernels(comparison, style));
    let tokens = |group: &Group| group.counted().filter_map(|run| run.summary.tokens).max();
    let budgets: Vec<u64> = comparison.groups.iter().filter_map(tokens).collect();
    let by_target = ranking.is_some_and(|ranking| ranking.by_target);
    if budgets.windows(2).any(|pair| pair[0] != pair[1]) && !by_target {
        caveats.push("The settings did not train on equally many tokens; see the curves.".to_owned());
    }
    if left_out > 0 {
        let who = if left_out == 1 { "One run does".to_owned() } else { format!("{left_out} runs do") };
        caveats
            .push(format!("{who} not count ({}); see the end of the page.", outcomes(comparison, left_out)));
    }
    caveats
}

/// That runs of one number format were multiplied by different kernels, each of which sums in an order of its own.
fn other_kernels(comparison: &Comparison, style: Style) -> Option<String> {
    let mut formats: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for run in comparison.groups.iter().flat_map(Group::counted) {
        let manifest = &run.record.manifest;
        let Some(device) = &manifest.device else { continue };
        let of_attempts = manifest.attempts.iter().filter_map(|attempt| attempt.kernel.as_deref());
        formats
            .entry(&device.dtype)
            .or_default()
            .extend(device.kernel.as_deref().into_iter().chain(of_attempts));
    }
    let (format, kernels) = formats.into_iter().find(|(_, kernels)| kernels.len() > 1)?;
    let kernels = kernels.into_iter().map(|kernel| style.text(kernel)).collect::<Vec<_>>().join(", ");
    Some(format!(
        "Runs in {} did not all use the same kernel ({kernels}), and each sums in an order of its own: small differences \
         may come from that.",
        style.text(format)
    ))
}

/// What became of the runs that do not count: `1 diverged, 2 failed: out_of_memory`. Those without a record are in no group.
fn outcomes(comparison: &Comparison, left_out: usize) -> String {
    let runs = comparison.groups.iter().flat_map(|group| &group.runs);
    let counts = counted_outcomes(runs.clone().filter(|run| !run.ending.is_planned()));
    let again = runs.filter(|run| run.ending.is_planned() && run.counted_as.is_some()).count();
    let recorded: usize = counts.iter().map(|(_, count)| count).sum();
    let rest = left_out.saturating_sub(recorded + again);
    let others = [("the same as a newer run", again), ("not started or not read", rest)];
    let others = others.into_iter().filter(|(_, count)| *count > 0);
    let parts: Vec<(&str, usize)> = counts.into_iter().chain(others).collect();
    match parts.as_slice() {
        [(outcome, _)] => (*outcome).to_owned(),
        parts => {
            let parts: Vec<String> =
                parts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
            parts.join(", ")
        }
    }
}

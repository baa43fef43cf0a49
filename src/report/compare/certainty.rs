//! Whether the seeds can tell the best from the next, in words before numbers, and what decided.

use crate::units;

use super::decision::{Certainty, Decision, Test};
use super::effects::Kind;
use super::ranking::Ranking;
use super::style::{Style, capitalised, in_words, listed};
use super::view::View;

/// Names of settings that a sentence holds.
const NAMED: usize = 3;

pub fn sentences(view: &View, ranking: &Ranking, decision: &Decision, style: Style) -> Vec<String> {
    let [(_, best), (next, second), ..] = ranking.ranked.as_slice() else { return Vec::new() };
    let mut sentences = Vec::new();
    let seeds = if best.n == second.n {
        format!("{} seeds", in_words(best.n))
    } else {
        format!("{} and {}", seeds_of(best.n), seeds_of(second.n))
    };
    match &decision.certainty {
        // Said already.
        Certainty::Same => return sentences,
        Certainty::Apart(test) => {
            sentences.push(format!("Yes, {seeds} tell these two apart ({}).", numbers(test)));
        }
        Certainty::NotApart(test) => {
            sentences.push(format!(
                "No, {} cannot tell these two apart: the difference may be chance ({}).",
                if best.n == 1 && second.n == 1 { "one seed each".to_owned() } else { seeds },
                numbers(test)
            ));
        }
        Certainty::SingleRuns => sentences.push(
            "Nobody knows: at least one of the two is a single run, so the difference may be chance; set \
             `experiment.repeats` for more seeds."
                .replace('`', if style == Style::Plain { "" } else { "`" }),
        ),
        Certainty::NoSpread => sentences.push(
            "It cannot be tested: neither varies between its runs, so there is no chance to hold the difference against."
                .to_owned(),
        ),
    }
    if let Some(all) = decision.all_alike.filter(|all| all.nothing_matters()) {
        let name = listed(&view.varied.iter().map(|key| style.code(&key.name)).collect::<Vec<_>>());
        sentences.push(format!(
            "Nothing that was varied ({name}) made a difference beyond that of the seeds: all {} settings could be one \
             (analysis of variance: F = {:.2} with {} and {} degrees of freedom, p {}).",
            ranking.ranked.len(),
            all.f,
            all.above,
            all.below,
            p_value(all.p)
        ));
        return sentences;
    }
    let also: Vec<String> = decision
        .as_good
        .iter()
        .filter_map(|&place| ranking.ranked.get(place))
        .filter(|(group, _)| !std::ptr::eq(*group, *next))
        .map(|(group, _)| style.setting(&group.label))
        .collect();
    if !also.is_empty() {
        let mut named: Vec<String> = also.iter().take(NAMED).cloned().collect();
        if also.len() > NAMED {
            named.push(format!("{} more", also.len() - NAMED));
        }
        let only_first = matches!(decision.certainty, Certainty::Apart(_));
        let word = if only_first {
            "Cannot be told from the best by these seeds"
        } else {
            "Nor can they tell it from"
        };
        sentences.push(format!("{word}{} {}.", if only_first { ":" } else { "" }, listed(&named)));
    }
    sentences
}

fn seeds_of(n: usize) -> String {
    format!("{} seed{}", in_words(n), if n == 1 { "" } else { "s" })
}

/// `t = 4.12, 12 degrees of freedom, p = 0.002; t-test, variance pooled over all 12 settings`.
fn numbers(test: &Test) -> String {
    let name = match test.pooled {
        None => "Welch's t-test".to_owned(),
        Some(noise) if noise.settings == noise.of => {
            format!("t-test, the variance between seeds pooled over {} settings", noise.of)
        }
        Some(noise) => format!(
            "t-test, the variance between seeds pooled over the better {} of {} settings, as the others vary more",
            noise.settings, noise.of
        ),
    };
    let degrees = format!("{:.1}", test.degrees);
    let degrees = degrees.strip_suffix(".0").unwrap_or(&degrees);
    let noun = if degrees == "1" { "degree" } else { "degrees" };
    format!("{name}: t = {:.2}, {degrees} {noun} of freedom, p {}", test.t, p_value(test.p))
}

/// `= 0.023`, `= 0.4`; below a thousandth it says only that.
fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".to_owned(),
        p if p < 0.0995 => format!("= {p:.3}"),
        p => format!("= {p:.2}"),
    }
}

/// Which key most of the spread comes from.
pub fn what_decides(view: &View, style: Style) -> Vec<String> {
    let Some(effects) = &view.effects else { return Vec::new() };
    let percent = |share: f64| format!("{:.0} %", share * 100.0);
    let mut parts: Vec<(f64, String)> = view
        .varied
        .iter()
        .zip(&effects.keys)
        .map(|(key, share)| {
            let name = style.code(&key.name);
            let with: Vec<String> = key.with.iter().map(|name| style.code(name)).collect();
            let name = match (view.tells_experiments(key), with.as_slice()) {
                (true, _) => "the experiment".to_owned(),
                (false, []) => name,
                (false, with) => format!("{name} with {}", listed(with)),
            };
            (*share, format!("{name} for {}", percent(*share)))
        })
        .collect();
    parts.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut parts: Vec<String> = parts.into_iter().take(4).map(|(_, text)| text).collect();
    match effects.kind {
        Kind::Grid => {
            parts.push(format!("combinations for {}", percent(effects.together)));
            if effects.seeds > 0.0 {
                parts.push(format!("seeds for {}", percent(effects.seeds)));
            }
            let text = format!("{} of the spread of all runs.", listed(&parts));
            // A key stays as it is written.
            vec![if text.starts_with("the experiment") { capitalised(&text) } else { text }]
        }
        Kind::Alone => {
            vec![format!("Each key by itself explains of the spread between settings: {}.", parts.join(", "))]
        }
    }
}

/// `about 8 seeds each`.
pub fn more_seeds(ranking: &Ranking, decision: &Decision) -> Option<String> {
    let [(_, best), (_, second), ..] = ranking.ranked.as_slice() else { return None };
    if !matches!(decision.certainty, Certainty::NotApart(_)) {
        return None;
    }
    // So few that the quantiles of a normal distribution promise too much.
    let had = best.n.min(second.n) as u64;
    let needed = decision.seeds_needed(second.mean - best.mean)?.max(had + 1);
    Some(match needed {
        0..=50 => format!(
            "About {} of each would show a difference of this size four times out of five.",
            units::counted(needed, "seed")
        ),
        _ => "The difference is so small that more than 50 seeds of each would be needed to show it."
            .to_owned(),
    })
}

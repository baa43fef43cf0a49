//! A setting that is as good as the best and costs less.

use crate::metric::Unit;
use crate::units;

use super::decision::{Certainty, Decision};
use super::groups::{Group, Run};
use super::ranking::Ranking;
use super::style::{Style, listed};
use super::view::View;

/// Something that a setting costs.
struct Cost {
    /// `73 % fewer parameters`.
    words: &'static str,
    unit: Unit,
    get: fn(&Run) -> Option<f64>,
}

const COSTS: &[Cost] = &[
    Cost {
        words: "fewer parameters",
        unit: Unit::Count,
        get: |run| Some(run.record.manifest.model.as_ref()?.parameters as f64),
    },
    Cost {
        words: "less computation",
        unit: Unit::Ratio,
        get: |run| Some(run.record.manifest.cost.as_ref()?.model_flops_per_step * run.summary.steps? as f64),
    },
    Cost { words: "fewer tokens", unit: Unit::Count, get: |run| Some(run.summary.tokens? as f64) },
    Cost { words: "less time", unit: Unit::Secs, get: |run| run.summary.elapsed_secs },
    Cost { words: "less memory", unit: Unit::Bytes, get: |run| run.summary.peak_memory_bytes },
];

/// From here on less is worth a word, and more of something else spoils it.
const WORTH: f64 = 0.10;
const SPOILS: f64 = 0.05;
/// Where nothing can be tested, so close counts as equally good.
const CLOSE: f64 = 0.005;

pub fn sentence(view: &View, ranking: &Ranking, decision: &Decision, style: Style) -> Option<String> {
    let (best_group, best) = ranking.ranked.first()?;
    let untested = matches!(decision.certainty, Certainty::SingleRuns | Certainty::NoSpread);
    let as_good = |place: &usize| {
        if untested {
            let (_, spread) = &ranking.ranked[*place];
            (spread.mean - best.mean).abs() <= CLOSE * best.mean.abs()
        } else {
            decision.as_good.contains(place)
        }
    };
    let costs: Vec<&'static Cost> = COSTS.iter().filter(|cost| view.times.allow(cost.unit)).collect();
    let shares = |group: &Group| -> Vec<(f64, &'static Cost, f64, f64)> {
        let of = |cost: &'static Cost| {
            let (theirs, ours) = (mean(group, cost)?, mean(best_group, cost)?);
            (ours > 0.0).then_some((theirs / ours, cost, theirs, ours))
        };
        costs.iter().copied().filter_map(of).collect()
    };
    let cheaper = |shares: &[(f64, &Cost, f64, f64)]| {
        shares.iter().any(|share| share.0 <= 1.0 - WORTH)
            && shares.iter().all(|share| share.0 <= 1.0 + SPOILS)
    };
    let candidates = (1..ranking.ranked.len()).filter(as_good).map(|place| ranking.ranked[place].0);
    let candidates = candidates.map(|group| (group, shares(group))).filter(|(_, shares)| cheaper(shares));
    let least = |shares: &[(f64, &Cost, f64, f64)]| shares.iter().map(|share| share.0).fold(1.0, f64::min);
    let (group, shares) = candidates.min_by(|a, b| least(&a.1).total_cmp(&least(&b.1)))?;
    let words = shares.iter().filter(|share| share.0 <= 1.0 - WORTH).map(|(share, cost, theirs, ours)| {
        let less = format!("{:.0} % {}", (1.0 - share) * 100.0, cost.words);
        match cost.unit {
            Unit::Count | Unit::Secs => {
                format!(
                    "{less} ({} instead of {})",
                    units::value(cost.unit, *theirs),
                    units::value(cost.unit, *ours)
                )
            }
            _ => less,
        }
    });
    let how = if untested {
        format!("is within {:.1} % of the best", CLOSE * 100.0)
    } else {
        "is as good as these seeds can tell".to_owned()
    };
    Some(format!("{} {how}, with {}.", style.setting(&group.label), listed(&words.collect::<Vec<_>>())))
}

fn mean(group: &Group, cost: &Cost) -> Option<f64> {
    let values: Option<Vec<f64>> =
        group.counted().map(|run| (cost.get)(run).filter(|value| value.is_finite())).collect();
    crate::stats::mean(&values?)
}

//! One row per group with means and spreads, and one row per run.

use std::collections::BTreeMap;
use std::path::Path;

use crate::markdown::{Align, Table, code, escape, link, relative_url};
use crate::metric::{Better, Unit};
use crate::report::changes::adaptation;
use crate::report::ending::Ending;
use crate::report::summary::{OUTCOMES, Outcome, TO_TARGET};
use crate::stats::Spread;
use crate::units::{self, MISSING};

use super::groups::{Comparison, Group, Run};

/// With more changed keys than this, and few settings, the table lies on its side: settings are columns.
const KEYS_ACROSS: usize = 6;
const SETTINGS_ACROSS: usize = 8;

/// One row per setting: changed keys, then outcomes, the best of each column in bold.
pub fn settings(comparison: &Comparison) -> String {
    if comparison.groups.is_empty() {
        return String::new();
    }
    let spread_known = comparison.groups.iter().any(|group| group.counted().count() > 1);
    let columns: Vec<Column> = columns(comparison, spread_known);
    let on_its_side = comparison.keys.len() > KEYS_ACROSS && comparison.groups.len() <= SETTINGS_ACROSS;
    let mut table = Table::default();
    if on_its_side {
        table.column("", Align::Left);
        for group in &comparison.groups {
            table.column(code(&group.label), Align::Right);
        }
        for column in columns {
            table.row(std::iter::once(column.name).chain(column.cells));
        }
    } else {
        for column in &columns {
            table.column(column.name.clone(), column.align);
        }
        for index in 0..comparison.groups.len() {
            table.row(columns.iter().filter_map(|column| column.cells.get(index).cloned()));
        }
    }
    let notes = notes(comparison);
    if comparison.groups.iter().all(|group| group.counted().next().is_none()) {
        return table.render() + &notes;
    }
    let spread = if spread_known {
        "Means ± sample standard deviation over the n completed runs; the spread of one run is `-`. "
    } else {
        "One run each, so the spread between seeds is unknown. "
    };
    format!(
        "{}\n{spread}The best value of each outcome is bold. Losses are in nats per token.\n{notes}",
        table.render()
    )
}

/// A column of the table of settings, with a cell for every group.
struct Column {
    name: String,
    align: Align,
    cells: Vec<String>,
}

fn columns(comparison: &Comparison, spread_known: bool) -> Vec<Column> {
    let groups = &comparison.groups;
    let column = |name: String, align: Align, cell: &dyn Fn(&Group) -> String| Column {
        name,
        align,
        cells: groups.iter().map(cell).collect(),
    };
    let mut columns = Vec::new();
    if comparison.several_experiments() || comparison.keys.is_empty() {
        columns.push(column("Experiment".to_owned(), Align::Left, &|group| escape(&group.experiment)));
    }
    for (index, key) in comparison.keys.iter().enumerate() {
        let cell = |group: &Group| group.values.get(index).map_or_else(String::new, |value| code(value));
        columns.push(column(code(key), Align::Left, &cell));
    }
    columns.push(column("n".to_owned(), Align::Right, &|group| group.counted().count().to_string()));
    columns.push(column("Outcome".to_owned(), Align::Left, &endings));
    for outcome in outcomes(comparison) {
        let best = best(comparison, outcome);
        let cell = |group: &Group| {
            let text = cell(group, outcome, spread_known);
            let mean = group.whole_spread(outcome).map(|spread| units::value(outcome.unit, spread.mean));
            if mean.is_some() && mean == best { format!("**{text}**") } else { text }
        };
        columns.push(column(outcome.label.to_owned(), Align::Right, &cell));
    }
    columns
}

/// The outcomes that were measured at all.
fn outcomes(comparison: &Comparison) -> Vec<&'static Outcome> {
    let measured = |outcome: &&Outcome| comparison.groups.iter().any(|group| group.spread(outcome).is_some());
    let has_target = comparison
        .groups
        .iter()
        .flat_map(|group| &group.runs)
        .any(|run| run.record.manifest.target.is_some());
    let to_target = TO_TARGET.iter().filter(|_| has_target);
    OUTCOMES.iter().filter(measured).chain(to_target).collect()
}

/// The best mean as it is shown: a difference that cannot be seen is not marked. `None` when there is nothing to choose
/// between.
fn best(comparison: &Comparison, outcome: &Outcome) -> Option<String> {
    let means: Vec<f64> =
        comparison.groups.iter().filter_map(|group| Some(group.whole_spread(outcome)?.mean)).collect();
    let show = |mean: f64| units::value(outcome.unit, mean);
    let least = means.iter().copied().reduce(f64::min).map(show)?;
    let most = means.iter().copied().reduce(f64::max).map(show)?;
    match outcome.better {
        _ if least == most => None,
        Better::Lower => Some(least),
        Better::Higher => Some(most),
        Better::Neither => None,
    }
}

fn cell(group: &Group, outcome: &Outcome, spread_known: bool) -> String {
    let Some(spread) = group.spread(outcome) else { return MISSING.to_owned() };
    let text = value(outcome.unit, &spread, spread_known);
    let counted = group.counted().count();
    if spread.n < counted { format!("{text} ({} of {counted})", spread.n) } else { text }
}

/// `1.234 ± 0.012`; the spread of one value is `-`.
pub fn value(unit: Unit, spread: &Spread, with_spread: bool) -> String {
    if with_spread {
        units::with_deviation(unit, spread.mean, spread.standard_deviation)
    } else {
        units::value(unit, spread.mean)
    }
}

/// `target reached`, or `2 target reached, 1 failed: out_of_memory`.
fn endings(group: &Group) -> String {
    match counted_outcomes(&group.runs).as_slice() {
        [(outcome, _)] => (*outcome).to_owned(),
        several => {
            let parts: Vec<String> =
                several.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
            parts.join(", ")
        }
    }
}

/// How many of the runs came to each outcome, planned ends first.
pub fn counted_outcomes<'a>(runs: impl IntoIterator<Item = &'a Run<'a>>) -> Vec<(&'a str, usize)> {
    let mut counts: BTreeMap<(Ending, &str), usize> = BTreeMap::new();
    for run in runs {
        *counts.entry((run.ending, &run.outcome)).or_default() += 1;
    }
    counts.into_iter().map(|((_, outcome), count)| (outcome, count)).collect()
}

/// What was changed under way, and in which runs; empty without such runs.
fn notes(comparison: &Comparison) -> String {
    let mut adapted: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for run in comparison.groups.iter().flat_map(|group| &group.runs) {
        if let Some(adaptation) = adaptation(&run.record.manifest) {
            adapted.entry(adaptation).or_default().push(code(&run.record.id()));
        }
    }
    if adapted.is_empty() {
        return String::new();
    }
    let notes = adapted.into_iter().map(|(adaptation, runs)| {
        format!("The configuration was changed during {}. {adaptation}", runs.join(", "))
    });
    let notes: Vec<String> = notes.collect();
    format!(
        "\n{} The settings are shown as configured; times, throughput and memory include the change.\n",
        notes.join(" ")
    )
}

/// One row per run, linked to its report as seen from `folder`.
pub fn runs(comparison: &Comparison, folder: &Path) -> String {
    let columns = outcomes(comparison);
    let mut table = Table::new(&[("Run", Align::Left), ("Seed", Align::Right), ("Outcome", Align::Left)]);
    for column in &columns {
        table.column(column.label, Align::Right);
    }
    for run in comparison.groups.iter().flat_map(|group| &group.runs) {
        let address = relative_url(folder, &run.record.dir.report());
        let mut cells = vec![
            link(&escape(&run.record.id()), &address),
            run.record.manifest.run.seed.to_string(),
            format!("{}{}", run.outcome, attempts(run)),
        ];
        cells.extend(columns.iter().map(|column| units::optional(column.unit, (column.get)(&run.summary))));
        table.row(cells);
    }
    let several = comparison.groups.iter().flat_map(|group| &group.runs).any(|run| !attempts(run).is_empty());
    let note = if several {
        "\nThe time of a run with several attempts is that of the steps that were kept.\n"
    } else {
        ""
    };
    table.render() + note
}

/// `, 3 attempts`, where there was more than one.
fn attempts(run: &Run) -> String {
    match run.record.manifest.attempts.len() {
        0 | 1 => String::new(),
        several => format!(", {several} attempts"),
    }
}

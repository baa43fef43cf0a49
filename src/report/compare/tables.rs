//! Settings from the best to the worst, in a table that fits a page; all outcomes and the single runs in folds.

use std::collections::BTreeMap;
use std::path::Path;

use crate::markdown::{Align, Table, code, escape, link, percent_encode, relative_url};
use crate::metric::{Better, Unit};
use crate::report::changes::adaptation;
use crate::report::ending::Ending;
use crate::report::summary::{OUTCOMES, Outcome, TO_TARGET};
use crate::stats::Spread;
use crate::units::{self, MISSING};

use super::groups::{Comparison, Group, Run};
use super::ranking::{differs, incomparable};
use super::varied::Varied;
use super::view::View;

/// Columns that fit a page, and how many of them are changed keys.
const COLUMNS: usize = 8;
const KEYS: usize = 4;
/// Settings that the first table shows; all are in the fold.
const SHOWN: usize = 24;

/// With more changed keys than this, and few settings, the table of all outcomes lies on its side: settings are columns.
const KEYS_ACROSS: usize = 6;
const SETTINGS_ACROSS: usize = 8;

/// The best settings in few columns, and a fold with everything. The best of each outcome is bold.
pub fn settings(view: &View) -> String {
    let comparison = view.comparison;
    if comparison.groups.is_empty() {
        return String::new();
    }
    let spread_known = comparison.groups.iter().any(|group| group.counted().count() > 1);
    let notes = notes(comparison);
    let few = few(view, spread_known);
    let all = fold("All outcomes of all settings", &everything(view, spread_known));
    if comparison.groups.iter().all(|group| group.counted().next().is_none()) {
        return format!("{few}{notes}\n{all}");
    }
    let spread = if spread_known {
        "Means ± sample standard deviation over the n completed runs; the spread of one run is `-`. "
    } else {
        "One run each, so the spread between seeds is unknown. "
    };
    let times = view.times.why_not().map_or_else(String::new, |why| format!(" {why}"));
    let tokens = if differs(comparison, "data.tokenizer") {
        " Losses are in nats per token, which do not compare between tokenizers."
    } else {
        " Losses are in nats per token."
    };
    format!("{few}\n{spread}The best value of each outcome is bold.{tokens}{times}\n{notes}\n{all}")
}

/// `text` behind a line that opens it; nothing for nothing.
pub fn fold(title: &str, text: &str) -> String {
    if text.trim().is_empty() {
        return String::new();
    }
    format!("<details>\n<summary>{title}</summary>\n\n{}\n\n</details>\n", text.trim_end())
}

/// A column of the table of settings, with a cell for every group, from the best to the worst.
struct Column {
    name: String,
    align: Align,
    cells: Vec<String>,
}

fn few(view: &View, spread_known: bool) -> String {
    let groups = view.sorted();
    let mut columns = Vec::new();
    let several = view.comparison.several_experiments();
    if several || view.varied.is_empty() {
        columns.push(Column {
            name: "Experiment".to_owned(),
            align: Align::Left,
            cells: groups.iter().map(|group| escape(&group.experiment)).collect(),
        });
    }
    let keys = KEYS - usize::from(several);
    for key in told_keys(view, keys) {
        columns.push(Column { name: code(&key.name), align: Align::Right, cells: cells_of(view, key) });
    }
    columns.push(counts(&groups));
    let outcome = |outcome: &'static Outcome| outcome_column(view, &groups, outcome, spread_known);
    let measured = outcomes(view.comparison);
    let find = |label: &str| measured.iter().copied().find(|outcome| outcome.label == label);
    let deciding = view.ranking.as_ref().map(|ranking| ranking.outcome);
    columns.extend(deciding.map(outcome));
    let endings: Vec<String> = groups.iter().map(|group| endings(group)).collect();
    if endings.windows(2).any(|pair| pair[0] != pair[1]) || deciding.is_none() {
        columns.push(Column { name: "Outcome".to_owned(), align: Align::Left, cells: endings });
    }
    // What else a reader asks first, as far as there is room.
    let further = ["Steps to target", "Val loss (best)", "Corpus loss", "Train loss (smoothed)", "Time"];
    let mut further: Vec<&Outcome> = further.into_iter().filter_map(find).collect();
    further.retain(|outcome| deciding.is_none_or(|deciding| deciding.label != outcome.label));
    // The time has a place of its own.
    let room = COLUMNS.saturating_sub(columns.len());
    while further.len() > room.min(3) {
        let least = further.len().saturating_sub(2);
        further.remove(least);
    }
    columns.extend(further.into_iter().map(outcome));
    let shown = groups.len().min(SHOWN);
    let more = groups.len() - shown;
    let more = if more > 0 {
        format!("\nThe best {shown} of {} settings; the fold below holds all.\n", groups.len())
    } else {
        String::new()
    };
    upright(&columns, shown) + &more
}

/// The keys that explain most, in their own order.
fn told_keys<'a>(view: &'a View, most: usize) -> Vec<&'a Varied> {
    let share = |index: &usize| view.effects.as_ref().and_then(|effects| effects.keys.get(*index)).copied();
    let shown = (0..view.varied.len()).filter(|&index| view.varied[index].key != "experiment");
    let mut order: Vec<usize> = shown.collect();
    order.sort_by(|a, b| share(b).unwrap_or(0.0).total_cmp(&share(a).unwrap_or(0.0)).then(a.cmp(b)));
    order.truncate(most);
    order.sort_unstable();
    order.into_iter().map(|index| &view.varied[index]).collect()
}

fn cells_of(view: &View, key: &Varied) -> Vec<String> {
    view.order().map(|index| code(&key.words[key.at[index]])).collect()
}

fn counts(groups: &[&Group]) -> Column {
    let cells = groups.iter().map(|group| group.counted().count().to_string()).collect();
    Column { name: "n".to_owned(), align: Align::Right, cells }
}

fn outcome_column(view: &View, groups: &[&Group], outcome: &'static Outcome, spread_known: bool) -> Column {
    let best = best(view.comparison, outcome).filter(|_| view.times.allow(outcome.unit));
    let cell = |group: &&Group| {
        let text = cell(group, outcome, spread_known);
        let mean = group.whole_spread(outcome).map(|spread| units::value(outcome.unit, spread.mean));
        if mean.is_some() && mean == best { format!("**{text}**") } else { text }
    };
    Column { name: outcome.label.to_owned(), align: Align::Right, cells: groups.iter().map(cell).collect() }
}

fn upright(columns: &[Column], rows: usize) -> String {
    let mut table = Table::default();
    for column in columns {
        table.column(column.name.clone(), column.align);
    }
    for index in 0..rows {
        table.row(columns.iter().filter_map(|column| column.cells.get(index).cloned()));
    }
    table.render()
}

/// Every changed key and every outcome.
fn everything(view: &View, spread_known: bool) -> String {
    let (comparison, groups) = (view.comparison, view.sorted());
    let column = |name: String, align: Align, cell: &dyn Fn(&Group) -> String| Column {
        name,
        align,
        cells: groups.iter().map(|group| cell(group)).collect(),
    };
    let mut columns = Vec::new();
    if comparison.several_experiments() || comparison.keys.is_empty() {
        columns.push(column("Experiment".to_owned(), Align::Left, &|group| escape(&group.experiment)));
    }
    for (index, key) in comparison.keys.iter().enumerate() {
        let cell = |group: &Group| group.values.get(index).map_or_else(String::new, |value| code(value));
        columns.push(column(code(key), Align::Left, &cell));
    }
    columns.push(counts(&groups));
    columns.push(column("Outcome".to_owned(), Align::Left, &endings));
    let measured = outcomes(comparison);
    columns.extend(measured.into_iter().map(|outcome| outcome_column(view, &groups, outcome, spread_known)));
    if comparison.keys.len() <= KEYS_ACROSS || groups.len() > SETTINGS_ACROSS {
        return upright(&columns, groups.len());
    }
    let mut table = Table::default();
    table.column("", Align::Left);
    for group in &groups {
        table.column(code(&group.label), Align::Right);
    }
    for column in columns {
        table.row(std::iter::once(column.name).chain(column.cells));
    }
    table.render()
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
    let per_token = matches!(outcome.unit, Unit::Nats | Unit::Share) && differs(comparison, "data.tokenizer");
    let of_text = matches!(outcome.unit, Unit::Nats | Unit::Share | Unit::BitsPerByte);
    // A loss means something else for each: there is no best.
    if per_token || (of_text && incomparable(comparison).is_some()) {
        return None;
    }
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

/// One row per run in a fold, linked to its report as seen from `folder`, and the way to the same as `<name>.csv`.
pub fn runs(view: &View, folder: &Path, name: &str) -> String {
    let columns = outcomes(view.comparison);
    let mut table = Table::new(&[("Run", Align::Left), ("Seed", Align::Right), ("Outcome", Align::Left)]);
    for column in &columns {
        table.column(column.label, Align::Right);
    }
    let runs: Vec<&Run> = view.sorted().into_iter().flat_map(|group| &group.runs).collect();
    if runs.is_empty() {
        return String::new();
    }
    for run in &runs {
        let address = relative_url(folder, &run.record.dir.report());
        let mut cells = vec![
            link(&escape(&run.record.id()), &address),
            run.record.manifest.run.seed.to_string(),
            format!("{}{}", run.outcome, attempts(run)),
        ];
        cells.extend(columns.iter().map(|column| units::optional(column.unit, (column.get)(&run.summary))));
        table.row(cells);
    }
    let note = if runs.iter().any(|run| !attempts(run).is_empty()) {
        "\nThe time of a run with several attempts is that of the steps that were kept.\n"
    } else {
        ""
    };
    let title = if runs.len() == 1 { "The run".to_owned() } else { format!("All {} runs", runs.len()) };
    let csv = format!("{name}.csv");
    let rest = link(&code(&csv), &percent_encode(&csv));
    format!(
        "For other tools, every run with all changed keys and outcomes in full precision: {rest}.\n\n{}",
        fold(&title, &format!("{}{note}", table.render()))
    )
}

/// `, 3 attempts`, where there was more than one.
fn attempts(run: &Run) -> String {
    match run.record.manifest.attempts.len() {
        0 | 1 => String::new(),
        several => format!(", {several} attempts"),
    }
}

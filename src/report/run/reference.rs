//! The run beside a published result. Only what the publication states is compared.

use crate::facts::Reference;
use crate::markdown::{Align, Table, escape};
use crate::metric::Unit;
use crate::store::RunRecord;
use crate::units::{self, MISSING, optional};

use super::Page;

pub fn comparison(page: &Page) -> String {
    let Some(reference) = &page.record.manifest.reference else { return String::new() };
    let mut text = format!("## Beside the reference\n\n{}", introduction(reference));
    text.push_str(&numbers(page, reference));
    let curve = curve(page.record, reference);
    if !curve.is_empty() {
        text.push_str(&format!(
            "\nThe curve, step by step. The loss of a step is measured before its update, so step 0 of the reference \
             stands beside this run's first row.\n\n{curve}"
        ));
    }
    text
}

fn introduction(reference: &Reference) -> String {
    let name =
        if reference.name.is_empty() { "A published result".to_owned() } else { escape(&reference.name) };
    let source = if reference.source.is_empty() {
        String::new()
    } else {
        format!(" Source: {}", escape(&reference.source))
    };
    let source = if source.is_empty() || source.ends_with('.') { source } else { source + "." };
    format!("{name}.{source} Its numbers are its author's; numbers that it does not state are `-`.\n\n")
}

fn numbers(page: &Page, reference: &Reference) -> String {
    let summary = &page.summary;
    let columns = [
        ("", Align::Left),
        ("Reference", Align::Right),
        ("This run", Align::Right),
        ("Run / reference", Align::Right),
    ];
    let mut table = Table::new(&columns);
    let mut row = |name: &str, unit: Unit, reference: Option<f64>, run: Option<f64>| {
        let ratio = run.zip(reference).filter(|(_, reference)| *reference > 0.0);
        let ratio =
            ratio.map_or_else(|| MISSING.to_owned(), |(run, reference)| units::ratio(run / reference));
        table.row([name.to_owned(), optional(unit, reference), optional(unit, run), ratio]);
    };
    let steps = |value: Option<u64>| value.map(|steps| steps as f64);
    // A run that stopped at its target is compared at that step, and its time without the evaluation afterwards.
    let run_steps = summary.target.map(|target| target.step).or(summary.steps);
    let run_secs = summary.target.and_then(|target| target.secs).or(summary.elapsed_secs);
    let per_step = |secs: Option<f64>, steps: Option<u64>| {
        secs.zip(steps).filter(|(_, steps)| *steps > 0).map(|(secs, steps)| secs / steps as f64)
    };
    let first = reference.curve.iter().find(|(step, _)| *step <= 1).map(|(_, loss)| *loss);
    row("Train loss, first step", Unit::Nats, first, summary.initial_train_loss);
    row("Train loss, last step", Unit::Nats, reference.final_loss, summary.final_train_loss);
    row("Steps", Unit::Count, steps(reference.steps), steps(run_steps));
    row("Time", Unit::Secs, reference.secs, run_secs);
    row("Time / steps", Unit::Secs, per_step(reference.secs, reference.steps), per_step(run_secs, run_steps));
    let device = page.record.manifest.device.as_ref();
    let device = device.map(|device| if device.name.is_empty() { &device.device } else { &device.name });
    let or_missing = |text: &str| if text.is_empty() { MISSING.to_owned() } else { escape(text) };
    let hardware =
        [or_missing(&reference.hardware), device.map_or_else(|| MISSING.to_owned(), |name| escape(name))];
    let [theirs, ours] = hardware;
    table.row(["Hardware".to_owned(), theirs, ours, MISSING.to_owned()]);
    table.render()
}

fn curve(record: &RunRecord, reference: &Reference) -> String {
    let columns = [
        ("Step", Align::Right),
        ("Reference", Align::Right),
        ("This run", Align::Right),
        ("This run, smoothed", Align::Right),
        ("Run / reference", Align::Right),
    ];
    let mut table = Table::new(&columns);
    for (step, theirs) in &reference.curve {
        let wanted = (*step).max(1);
        let at = record.rows.partition_point(|row| row.step < wanted);
        let row = record.rows.get(at).filter(|row| row.step == wanted);
        let ours = row.and_then(|row| row.train_loss);
        let ratio = ours.filter(|_| *theirs > 0.0).map(|ours| units::ratio(ours / theirs));
        table.row([
            units::count(*step),
            units::loss(*theirs),
            optional(Unit::Nats, ours),
            optional(Unit::Nats, row.and_then(|row| row.train_loss_ema)),
            ratio.unwrap_or_else(|| MISSING.to_owned()),
        ]);
    }
    table.render()
}

//! Where the run's time went.

use crate::markdown::{Align, Table, escape};
use crate::metric::Unit;
use crate::units;

use super::Page;

pub fn where_it_went(page: &Page) -> String {
    let Some(time) = &page.record.manifest.time else { return String::new() };
    let beside = [
        ("Evaluations", time.evaluations_secs),
        ("Samples", time.samples_secs),
        ("Checkpoints", time.checkpoints_secs),
        ("Records and everything else", time.rest_secs),
    ];
    let whole = time.steps_secs + beside.iter().map(|(_, secs)| secs).sum::<f64>();
    if whole <= 0.0 {
        return String::new();
    }
    let columns = [("Work", Align::Left), ("Time", Align::Right), ("Share", Align::Right)];
    let mut table = Table::new(&columns);
    let mut row = |name: String, secs: f64| {
        table.row([name, units::value(Unit::Secs, secs), units::percent(secs / whole)]);
    };
    row("**Training steps**".to_owned(), time.steps_secs);
    let mut parts: Vec<_> = time.step_parts.iter().filter(|part| part.secs > 0.0).collect();
    parts.sort_by(|a, b| b.secs.total_cmp(&a.secs));
    for part in parts {
        row(format!("of these: {}", escape(&part.part)), part.secs);
    }
    for (name, secs) in beside.into_iter().filter(|(_, secs)| *secs > 0.0) {
        row(format!("**{name}**"), secs);
    }
    format!("## Where the time went\n\n{}{}", table.render(), estimate(page))
}

/// How long it was expected to take, and how that compares.
fn estimate(page: &Page) -> String {
    let manifest = &page.record.manifest;
    let Some((estimate, taken)) = manifest.estimate.as_ref().zip(page.summary.elapsed_secs) else {
        return String::new();
    };
    let expected = format!(
        "Before it started, {} were expected for all {}, from {}.",
        units::duration(estimate.secs),
        units::steps(manifest.run.max_steps),
        escape(&estimate.from)
    );
    // One that ended early was not expected to.
    let whole = page.summary.steps == Some(manifest.run.max_steps) && estimate.secs > 0.0;
    let held = whole.then(|| {
        format!(" It took {}, {} as long.", units::duration(taken), units::ratio(taken / estimate.secs))
    });
    format!("\n{expected}{}\n", held.unwrap_or_default())
}

//! The pictures of a comparison: how the outcome depends on what was varied, and the curves.

mod curves;
mod dependence;
mod effects;
mod heat;
mod parallel;

use std::path::Path;

use rayon::prelude::*;

use crate::report::ReportError;
use crate::report::plot;
use crate::report::plot::sheet::Sheet;

use super::ranking::Ranking;
use super::view::View;

pub use curves::note;

/// Where on the page a plot stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Outcome,
    Curves,
}

/// A plot that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    pub part: Part,
    pub file: &'static str,
    pub title: String,
    /// How to read it, in Markdown; may be empty.
    pub note: String,
}

/// A picture, its title and its note. The sheet carries the title too.
struct Drawing {
    sheet: Sheet,
    title: String,
    note: String,
}

type Draw = fn(&View) -> Option<Drawing>;

const PLANS: &[(Part, &str, Draw)] = &[
    (Part::Outcome, "outcome", dependence::draw),
    (Part::Outcome, "heat_map", heat::draw),
    (Part::Outcome, "parallel", parallel::draw),
    (Part::Outcome, "effects", effects::draw),
    (Part::Curves, "loss_by_step", |view| curves::draw(view, &curves::BY_STEP)),
    (Part::Curves, "val_loss_by_step", |view| curves::draw(view, &curves::VAL_BY_STEP)),
    (Part::Curves, "loss_by_tokens", |view| curves::draw(view, &curves::BY_TOKENS)),
    (Part::Curves, "loss_by_time", |view| curves::draw(view, &curves::BY_TIME)),
];

/// Draws what was measured into `folder`. What an earlier comparison drew and this one does not is removed.
pub fn draw(view: &View, folder: &Path) -> Result<Vec<Figure>, ReportError> {
    let draw = |(part, file, draw): &(Part, &'static str, Draw)| {
        let stem = folder.join(file);
        let Some(drawing) = draw(view) else { return plot::remove(&stem).map(|()| None) };
        drawing.sheet.write(&stem)?;
        Ok(Some(Figure { part: *part, file, title: drawing.title, note: drawing.note }))
    };
    let figures: Result<Vec<Option<Figure>>, ReportError> = PLANS.par_iter().map(draw).collect();
    Ok(figures?.into_iter().flatten().collect())
}

/// The plots of one part, as seen from the page beside `folder`, which is percent-encoded.
pub fn section(figures: &[Figure], part: Part, folder: &str) -> String {
    let plots = figures.iter().filter(|figure| figure.part == part).map(|figure| {
        let address = format!("{folder}/{}", figure.file);
        let title = crate::markdown::escape(&figure.title);
        let note = if figure.note.is_empty() { String::new() } else { format!("\n{}\n", figure.note) };
        format!("[![{title}]({address}.svg)]({address}.png)\n{note}")
    });
    plots.collect::<Vec<_>>().join("\n")
}

/// What the outcome is called on an axis: `Validation loss`.
fn outcome_name(ranking: &Ranking) -> String {
    let name = ranking.words.split_once(' ').map_or(ranking.words, |(_, name)| name);
    super::style::capitalised(name)
}

/// From here on an outcome is drawn on a log axis: the largest is so many times the smallest.
const LOG_FROM: f64 = 4.0;

fn scale_of(values: &[f64]) -> plot::Scale {
    let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(*v), h.max(*v)));
    if low > 0.0 && high / low >= LOG_FROM { plot::Scale::Log } else { plot::Scale::Linear }
}

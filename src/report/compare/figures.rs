//! Loss curves of all runs on one page: by step, by tokens, by time.

use std::path::Path;

use rayon::prelude::*;

use crate::metric::{MetricsRow, Unit};
use crate::report::ReportError;
use crate::report::ending::Ending;
use crate::report::plot::{self, Axis, Chart, Colour, Column, Level, Panel, Scale, Series, Stroke};
use crate::units;

use super::groups::{Comparison, Run};
use super::ranking::shared_target;

/// A plot that was drawn.
pub struct Figure {
    pub file: &'static str,
    pub title: &'static str,
}

/// So many groups have a colour and stroke of their own; the others are pale.
const NAMED: usize = 14;
const COLOURS: usize = 7;

struct Plan {
    file: &'static str,
    title: &'static str,
    x: (&'static str, Unit, Column),
    y: (&'static str, Column),
    stroke: Stroke,
}

/// The smoothed loss: raw curves of several runs would hide each other.
const TRAIN: (&str, Column) = ("Train loss, smoothed", |row| row.train_loss_ema.or(row.train_loss));
const VAL: (&str, Column) = ("Validation loss", |row| row.val_loss);
const BY_STEP: (&str, Unit, Column) = ("Step", Unit::Count, |row: &MetricsRow| Some(row.step as f64));

const PLANS: &[Plan] = &[
    Plan { file: "loss_by_step", title: "Train loss by step", x: BY_STEP, y: TRAIN, stroke: Stroke::Solid },
    Plan {
        file: "loss_by_tokens",
        title: "Train loss by tokens",
        x: ("Tokens", Unit::Count, |row| row.tokens),
        y: TRAIN,
        stroke: Stroke::Solid,
    },
    Plan {
        file: "loss_by_time",
        title: "Train loss by time",
        x: ("Time", Unit::Secs, |row| row.elapsed_secs),
        y: TRAIN,
        stroke: Stroke::Solid,
    },
    Plan {
        file: "val_loss_by_step",
        title: "Validation loss by step",
        x: BY_STEP,
        y: VAL,
        stroke: Stroke::Marked,
    },
];

/// Draws what was measured into `folder`.
pub fn draw(comparison: &Comparison, folder: &Path) -> Result<Vec<Figure>, ReportError> {
    let draw = |plan: &Plan| {
        let drawn = plot::write(&chart(comparison, plan), &folder.join(plan.file))?;
        Ok(drawn.then_some(Figure { file: plan.file, title: plan.title }))
    };
    let figures: Result<Vec<Option<Figure>>, ReportError> = PLANS.par_iter().map(draw).collect();
    Ok(figures?.into_iter().flatten().collect())
}

/// What the curves show and what they leave away.
pub fn note(comparison: &Comparison) -> String {
    if comparison.groups.len() > NAMED {
        format!(
            "\nOnly the first {NAMED} of the {} settings have their own colour.\n",
            comparison.groups.len()
        )
    } else {
        String::new()
    }
}

fn chart(comparison: &Comparison, plan: &Plan) -> Chart {
    let mut series = Vec::new();
    for (index, group) in comparison.groups.iter().enumerate() {
        let named = index < NAMED;
        let stroke = match index {
            _ if !named => Stroke::Faint,
            _ if index >= COLOURS => Stroke::Dashed,
            _ => plan.stroke,
        };
        // Runs of one group share a colour, and the first of them that is drawn stands in the legend.
        let mut label = named.then(|| group.label.clone());
        for run in group.runs.iter().filter(|run| is_drawn(run)) {
            let points = plot::points(run.record, plan.x.2, plan.y.1);
            if points.is_empty() {
                continue;
            }
            let colour = Colour(if named { index } else { COLOURS - 1 });
            series.push(Series { label: label.take(), points, colour, stroke });
        }
    }
    let (label, unit, _) = plan.x;
    Chart {
        title: plan.title.to_owned(),
        x: Axis { label: label.to_owned(), unit, scale: Scale::FromZero },
        panels: vec![Panel {
            y: Axis { label: plan.y.0.to_owned(), unit: Unit::Nats, scale: Scale::Log },
            series,
            levels: levels(comparison, plan.y.0 == VAL.0),
            height: 300,
        }],
    }
}

/// A run that diverged or failed would stretch the picture to where nothing can be told apart.
fn is_drawn(run: &Run) -> bool {
    run.ending.is_planned() || matches!(run.ending, Ending::Interrupted | Ending::Running)
}

/// The target, when it is one for all and one of this loss.
fn levels(comparison: &Comparison, is_val: bool) -> Vec<Level> {
    shared_target(comparison)
        .filter(|target| target.metric != "val_bits_per_byte" && (target.metric == "val_loss") == is_val)
        .map(|target| Level {
            label: format!("Target < {}", units::number(target.threshold)),
            value: target.threshold,
        })
        .into_iter()
        .collect()
}

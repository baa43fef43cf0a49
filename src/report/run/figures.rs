//! The plots of a run.

use std::path::Path;

use rayon::prelude::*;

use crate::metric::{Look, METRICS, Metric, MetricsRow, Plot, Trait, Unit, metric};
use crate::report::ReportError;
use crate::report::plot::{self, Axis, Chart, Colour, Level, Panel, Scale, Series, Stroke};
use crate::store::RunRecord;
use crate::store::manifest::TargetInfo;
use crate::units;

use super::Page;

/// A plot that was drawn: the name of its files and its title.
pub struct Figure {
    pub file: &'static str,
    pub title: &'static str,
}

type Panels = fn(&RunRecord) -> Vec<Panel>;
/// A plot, and what it shows.
pub type Drawing = (Figure, Panels);

pub const LOSS: Drawing = (Figure { file: "loss", title: "Loss by step" }, loss);
/// Every plot of a run. Which metrics are in it is said in their table.
pub const FIGURES: &[Drawing] = &[
    LOSS,
    (Figure { file: "accuracy", title: "Next-token accuracy by step" }, |record| {
        together(record, Plot::Accuracy, "Accuracy", Scale::FromZero)
    }),
    (Figure { file: "learning_rate", title: "Learning rate by step" }, |record| {
        together(record, Plot::LearningRate, "Learning rate", Scale::FromZero)
    }),
    (Figure { file: "grad_norm", title: "Gradient norm by step" }, grad_norm),
    (Figure { file: "throughput", title: "Throughput by step" }, |record| {
        together(record, Plot::Throughput, "Throughput", Scale::FromZero)
    }),
    (Figure { file: "resources", title: "Resources by step" }, resources),
];

/// Draws what was measured into the folder `plots`.
pub fn draw(record: &RunRecord, drawings: &[Drawing], plots: &Path) -> Result<Vec<Figure>, ReportError> {
    let draw = |&(Figure { file, title }, panels): &Drawing| {
        let x = Axis { label: "Step".to_owned(), unit: Unit::Count, scale: Scale::FromZero };
        let chart = Chart { title: title.to_owned(), x, panels: panels(record) };
        let drawn = plot::write(&chart, &plots.join(file))?;
        Ok(drawn.then_some(Figure { file, title }))
    };
    // Pictures take most of a report's time.
    let figures: Result<Vec<Option<Figure>>, ReportError> = drawings.par_iter().map(draw).collect();
    Ok(figures?.into_iter().flatten().collect())
}

pub fn show(page: &Page) -> String {
    if page.figures.is_empty() {
        return String::new();
    }
    let mut text = "## Plots\n".to_owned();
    for Figure { file, title } in &page.figures {
        text.push_str(&format!("\n[![{title}](plots/{file}.svg)](plots/{file}.png)\n"));
    }
    text
}

fn loss(record: &RunRecord) -> Vec<Panel> {
    let in_nats =
        |target: &&TargetInfo| metric(&target.metric).is_none_or(|metric| metric.unit == Unit::Nats);
    let levels = record.manifest.target.iter().filter(in_nats).map(|target| Level {
        label: format!("Target < {}", units::number(target.threshold)),
        value: target.threshold,
    });
    let levels: Vec<Level> = levels.collect();
    let mut panels = together(record, Plot::Loss, "Loss", Scale::Log);
    for panel in &mut panels {
        if let Some(reference) = &record.manifest.reference {
            let points = reference.curve.iter().map(|(step, loss)| (*step as f64, *loss)).collect();
            let name = if reference.name.is_empty() { "Reference" } else { &reference.name };
            let (label, colour) = (Some(name.to_owned()), Colour(2));
            panel.series.push(Series { label, points, colour, stroke: Stroke::Marked });
        }
        (panel.levels, panel.height) = (levels.clone(), 320);
    }
    panels
}

fn grad_norm(record: &RunRecord) -> Vec<Panel> {
    let norms: Vec<f64> = record.rows.iter().filter_map(|row| row.grad_norm).filter(|n| *n > 0.0).collect();
    let (low, high) = norms.iter().fold((f64::MAX, 0.0_f64), |(l, h), &n| (l.min(n), h.max(n)));
    // Norms that explode or vanish would flatten all else.
    let scale = if high > 20.0 * low { Scale::Log } else { Scale::FromZero };
    together(record, Plot::GradNorm, "Gradient norm", scale)
}

/// CPU and memory, and the same of the GPU where there is one: a panel for each.
fn resources(record: &RunRecord) -> Vec<Panel> {
    let panel = |(metric, name, series): (&Metric, &str, Series)| Panel {
        y: Axis { label: name.to_owned(), unit: metric.unit, scale: Scale::FromZero },
        series: vec![series],
        levels: Vec::new(),
        height: 120,
    };
    curves(record, Plot::Resources).map(panel).collect()
}

/// A panel with all curves of a plot.
fn together(record: &RunRecord, plot: Plot, label: &str, scale: Scale) -> Vec<Panel> {
    let (units, series): (Vec<Unit>, Vec<Series>) =
        curves(record, plot).map(|(metric, _, series)| (metric.unit, series)).unzip();
    let panel = |&unit: &Unit| Panel {
        y: Axis { label: label.to_owned(), unit, scale },
        series: series.clone(),
        levels: Vec::new(),
        height: 190,
    };
    units.first().map(panel).into_iter().collect()
}

/// The curves of a plot, with their metrics and names. One that was not measured has no points.
fn curves(record: &RunRecord, plot: Plot) -> impl Iterator<Item = (&'static Metric, &'static str, Series)> {
    METRICS.iter().filter_map(move |metric| {
        let (name, colour, look) = metric.traits.iter().find_map(|each| match *each {
            Trait::Curve(of, name, colour, look) if of == plot => Some((name, colour, look)),
            _ => None,
        })?;
        let stroke = match look {
            Look::Faint => Stroke::Faint,
            Look::Thin => Stroke::Thin,
            Look::Solid => Stroke::Solid,
            Look::Marked => Stroke::Marked,
        };
        let (label, points) = (Some(name.to_owned()), points(record, metric.get));
        Some((metric, name, Series { label, points, colour: Colour(colour), stroke }))
    })
}

fn points(record: &RunRecord, get: fn(&MetricsRow) -> Option<f64>) -> Vec<(f64, f64)> {
    plot::points(record, |row| Some(row.step as f64), get)
}

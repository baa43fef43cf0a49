//! The plots of a run.

use std::path::Path;

use rayon::prelude::*;

use crate::metric::{MetricsRow, Unit, metric};
use crate::report::ReportError;
use crate::report::plot::{self, Axis, Chart, Colour, Level, Panel, Scale, Series, Stroke};
use crate::store::RunRecord;
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
/// Every plot of a run.
pub const FIGURES: &[Drawing] = &[
    LOSS,
    (Figure { file: "learning_rate", title: "Learning rate by step" }, |record| {
        one(record, "learning_rate", Scale::FromZero)
    }),
    (Figure { file: "grad_norm", title: "Gradient norm by step" }, grad_norm),
    (Figure { file: "throughput", title: "Throughput by step" }, |record| {
        one(record, "tokens_per_sec", Scale::FromZero)
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
    let mut series = Vec::new();
    let mut add = |label: &str, points: Vec<(f64, f64)>, colour: usize, stroke: Stroke| {
        series.push(Series { label: Some(label.to_owned()), points, colour: Colour(colour), stroke });
    };
    add("Train loss", points(record, |row| row.train_loss), 0, Stroke::Faint);
    add("Smoothed", points(record, |row| row.train_loss_ema), 0, Stroke::Solid);
    add("Validation", points(record, |row| row.val_loss), 1, Stroke::Marked);
    if let Some(reference) = &record.manifest.reference {
        let curve = reference.curve.iter().map(|(step, loss)| (*step as f64, *loss)).collect();
        let name = if reference.name.is_empty() { "Reference" } else { &reference.name };
        add(name, curve, 2, Stroke::Marked);
    }
    let levels = record.manifest.target.iter().map(|target| Level {
        label: format!("Target < {}", units::number(target.threshold)),
        value: target.threshold,
    });
    vec![Panel {
        y: Axis { label: "Loss".to_owned(), unit: Unit::Nats, scale: Scale::Log },
        series,
        levels: levels.collect(),
        height: 320,
    }]
}

fn grad_norm(record: &RunRecord) -> Vec<Panel> {
    let norms: Vec<f64> = record.rows.iter().filter_map(|row| row.grad_norm).filter(|n| *n > 0.0).collect();
    let (low, high) = norms.iter().fold((f64::MAX, 0.0_f64), |(l, h), &n| (l.min(n), h.max(n)));
    // Norms that explode or vanish would flatten all else.
    one(record, "grad_norm", if high > 20.0 * low { Scale::Log } else { Scale::FromZero })
}

/// CPU and memory, and the same of the GPU where there is one.
fn resources(record: &RunRecord) -> Vec<Panel> {
    let keys = [
        "cpu_percent",
        "memory_bytes",
        "gpu_percent",
        "gpu_memory_bytes",
        "gpu_power_watts",
        "gpu_temperature_celsius",
    ];
    keys.iter()
        .flat_map(|key| one(record, key, Scale::FromZero))
        .map(|panel| Panel { height: 120, ..panel })
        .map(|mut panel| {
            if panel.y.unit == Unit::Percent && panel.y.label == "CPU" {
                panel.y.label.push_str(", 100 is one core");
            }
            panel
        })
        .collect()
}

/// A panel with the curve of one metric.
fn one(record: &RunRecord, key: &str, scale: Scale) -> Vec<Panel> {
    let Some(metric) = metric(key) else { return Vec::new() };
    let curve =
        Series { label: None, points: points(record, metric.get), colour: Colour(0), stroke: Stroke::Thin };
    vec![Panel { y: Axis::of(metric, scale), series: vec![curve], levels: Vec::new(), height: 190 }]
}

fn points(record: &RunRecord, get: fn(&MetricsRow) -> Option<f64>) -> Vec<(f64, f64)> {
    plot::points(record, |row| Some(row.step as f64), get)
}

//! Loss curves: a line for the mean of each setting, a band from its lowest to its highest seed.

use std::collections::BTreeMap;

use crate::metric::{MetricsRow, Unit};
use crate::report::ending::Ending;
use crate::report::plot::sheet::{DARK, Frame, Ink, PALE, Sheet, Side, Swatch, WIDE, colour, ticks};
use crate::report::plot::{Axis, Column, Range, Scale, decimate};
use crate::units;

use super::super::groups::{Group, Run};
use super::super::ranking::shared_target;
use super::super::view::View;
use super::Drawing;

/// The best settings, which have a colour and a name.
const FEW: usize = 5;
/// Stretches of x that are told apart.
const BUCKETS: usize = 380;
const OTHERS_BUCKETS: usize = 90;

pub struct Plan {
    title: &'static str,
    x: (&'static str, Unit, Column),
    y: (&'static str, Column),
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Steps,
    Tokens,
    Time,
}

/// The smoothed loss: raw curves of several runs would hide each other.
const TRAIN: (&str, Column) = ("Train loss, smoothed", |row| row.train_loss_ema.or(row.train_loss));
const VAL: (&str, Column) = ("Validation loss", |row| row.val_loss);
const STEP: (&str, Unit, Column) = ("Step", Unit::Count, |row: &MetricsRow| Some(row.step as f64));

pub const BY_STEP: Plan = Plan { title: "Train loss by step", x: STEP, y: TRAIN, kind: Kind::Steps };
pub const VAL_BY_STEP: Plan = Plan { title: "Validation loss by step", x: STEP, y: VAL, kind: Kind::Steps };
pub const BY_TOKENS: Plan = Plan {
    title: "Train loss by tokens",
    x: ("Tokens", Unit::Count, |row| row.tokens),
    y: TRAIN,
    kind: Kind::Tokens,
};
pub const BY_TIME: Plan = Plan {
    title: "Train loss by time",
    x: ("Time", Unit::Secs, |row| row.elapsed_secs),
    y: TRAIN,
    kind: Kind::Time,
};

/// How to read the curves, in Markdown; empty where there is nothing to say.
pub fn note(view: &View) -> String {
    let groups = view.comparison.groups.iter().filter(|group| group.runs.iter().any(is_drawn));
    let groups: Vec<&Group> = groups.collect();
    if groups.is_empty() {
        return String::new();
    }
    let seeds = if groups.iter().any(|group| group.runs.iter().filter(|run| is_drawn(run)).count() > 1) {
        "Lines are means over a setting's seeds; the bands reach from the lowest seed to the highest. "
    } else {
        ""
    };
    let named = if groups.len() > FEW {
        format!("The best {FEW} of {} settings have a colour, the others are grey. ", groups.len())
    } else {
        String::new()
    };
    let time =
        view.times.why_not().map_or_else(String::new, |why| format!("There is no picture by time. {why}"));
    let text = format!("{seeds}{named}{time}");
    if text.is_empty() { text } else { format!("\n{}\n", text.trim_end()) }
}

pub fn draw(view: &View, plan: &Plan) -> Option<Drawing> {
    match plan.kind {
        Kind::Tokens if same_axis(view) => return None,
        Kind::Time if view.times.why_not().is_some() => return None,
        _ => {}
    }
    let groups: Vec<&Group> = view.sorted();
    let curves: Vec<Option<Curve>> = groups.iter().map(|group| Curve::of(group, plan)).collect();
    let drawn: Vec<(usize, Curve)> =
        curves.into_iter().enumerate().filter_map(|(place, curve)| Some((place, curve?))).collect();
    let few = drawn.len().min(FEW);
    let levels: Vec<(f64, String)> = shared_target(view.comparison)
        .filter(|target| {
            target.metric != "val_bits_per_byte" && (target.metric == "val_loss") == (plan.y.0 == VAL.0)
        })
        .map(|target| (target.threshold, format!("Target < {}", units::number(target.threshold))))
        .into_iter()
        .collect();
    let points = || drawn.iter().flat_map(|(_, curve)| &curve.points);
    let lows_and_highs = points().flat_map(|point| [point.low, point.high]);
    // A target alone is no chart.
    let axis = Axis { label: plan.y.0.to_owned(), unit: Unit::Nats, scale: Scale::Log };
    Range::of(&axis, lows_and_highs.clone(), 0.0)?;
    let y = Range::of(&axis, lows_and_highs.chain(levels.iter().map(|level| level.0)), 0.05)?;
    let x = Axis { label: plan.x.0.to_owned(), unit: plan.x.1, scale: Scale::FromZero };
    let x = Range::of(&x, points().map(|point| point.x), 0.0)?;

    let mut sheet = Sheet::new(plan.title);
    let ranked = view.places.len() >= 2;
    let mut entries: Vec<(String, Ink, Swatch)> = drawn
        .iter()
        .take(few)
        .enumerate()
        .map(|(index, (place, _))| {
            let label = &groups[*place].label;
            let label = if ranked { format!("{}. {label}", place + 1) } else { label.clone() };
            (label, colour(index), Swatch::Line)
        })
        .collect();
    match drawn.len() - few {
        0 => {}
        1 => entries.push(("one more setting".to_owned(), PALE, Swatch::Line)),
        others => entries.push((format!("{others} more settings"), PALE, Swatch::Line)),
    }
    entries.extend(levels.iter().map(|(_, label)| (label.clone(), DARK, Swatch::Dashed)));
    sheet.legend(&entries);
    let top = sheet.height + 30.0;
    let frame = Frame { left: 74.0, right: WIDE - 26.0, top, bottom: top + 300.0 };
    sheet.height = frame.bottom + 54.0;
    sheet.axes(&frame, &ticks(&x, 8), &x.title(), &ticks(&y, 6), &y.title());
    let at = |point: (f64, f64)| frame.at(x.place(point.0), y.place(point.1));
    for (_, curve) in drawn.iter().skip(few).rev() {
        let line = curve.line(OTHERS_BUCKETS.min(40_000 / drawn.len()).max(12), &x, &y);
        sheet.line(line.into_iter().map(at).collect(), PALE, if drawn.len() > 60 { 0.6 } else { 1.1 });
    }
    for (index, (_, curve)) in drawn.iter().take(few).enumerate().rev() {
        if curve.seeds > 1 {
            sheet.area(curve.band(BUCKETS / 2, &x, &y).into_iter().map(at).collect(), colour(index));
        }
    }
    for (value, _) in levels.iter().filter(|level| y.shows(level.0)) {
        sheet.dashed(vec![at((x.low, *value)), at((x.high, *value))], DARK, 1.4);
    }
    for (index, (_, curve)) in drawn.iter().take(few).enumerate().rev() {
        let line: Vec<(f64, f64)> = curve.line(BUCKETS, &x, &y).into_iter().map(at).collect();
        if line.len() <= 40 {
            for point in &line {
                sheet.dot(*point, 2.6, colour(index));
            }
        }
        sheet.line(line, colour(index), if index == 0 { 2.4 } else { 1.8 });
    }
    if drawn.is_empty() {
        sheet.words("nothing was measured", frame.at(0.5, 0.5), DARK, Side::Middle);
    }
    Some(Drawing { sheet, title: plan.title.to_owned(), note: String::new() })
}

/// A run that diverged or failed would stretch the picture to where nothing can be told apart.
fn is_drawn(run: &Run) -> bool {
    run.counted_as.is_none()
        && (run.ending.is_planned() || matches!(run.ending, Ending::Interrupted | Ending::Running))
}

/// Whether a step is as many tokens in every run: then both axes show the same.
fn same_axis(view: &View) -> bool {
    let runs = view.comparison.groups.iter().flat_map(|group| &group.runs).filter(|run| is_drawn(run));
    let mut sizes = runs.map(|run| run.record.manifest.run.tokens_per_step);
    let first = sizes.next();
    sizes.all(|size| Some(size) == first)
}

/// The mean of a setting's runs, point by point.
struct Curve {
    points: Vec<Point>,
    seeds: usize,
}

#[derive(Clone, Copy)]
struct Point {
    x: f64,
    low: f64,
    mean: f64,
    high: f64,
}

impl Curve {
    /// Of the steps that most of the runs have measured: means over few and then over all would jump. `None` without one.
    fn of(group: &Group, plan: &Plan) -> Option<Curve> {
        let mut steps: BTreeMap<u64, Vec<(f64, f64)>> = BTreeMap::new();
        let mut seeds = 0;
        for run in group.runs.iter().filter(|run| is_drawn(run)) {
            let mut any = false;
            for row in &run.record.rows {
                if let (Some(x), Some(y)) = ((plan.x.2)(row), (plan.y.1)(row))
                    && x.is_finite()
                    && y.is_finite()
                    && y > 0.0
                {
                    steps.entry(row.step).or_default().push((x, y));
                    any = true;
                }
            }
            seeds += usize::from(any);
        }
        let most = steps.values().map(Vec::len).max()?;
        let points = steps.values().filter(|values| values.len() == most);
        let points = points.map(|values| {
            let mean =
                |get: fn(&(f64, f64)) -> f64| values.iter().map(get).sum::<f64>() / values.len() as f64;
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), v| (l.min(v.1), h.max(v.1)));
            Point { x: mean(|value| value.0), low, mean: mean(|value| value.1), high }
        });
        Some(Curve { points: points.collect(), seeds })
    }

    fn line(&self, buckets: usize, x: &Range, y: &Range) -> Vec<(f64, f64)> {
        self.thinned(buckets, x, y, |point| point.mean)
    }

    /// Once around: the highest from left to right, the lowest back.
    fn band(&self, buckets: usize, x: &Range, y: &Range) -> Vec<(f64, f64)> {
        let high = self.thinned(buckets, x, y, |point| point.high);
        let low = self.thinned(buckets, x, y, |point| point.low);
        high.into_iter().chain(low.into_iter().rev()).collect()
    }

    fn thinned(&self, buckets: usize, x: &Range, y: &Range, get: fn(&Point) -> f64) -> Vec<(f64, f64)> {
        let points = self.points.iter().map(|point| (point.x, get(point)));
        let points: Vec<(f64, f64)> = points.filter(|point| x.shows(point.0) && y.shows(point.1)).collect();
        decimate(&points, buckets)
    }
}

//! The outcome over each key that was varied.

use crate::metric::Unit;
use crate::report::plot::sheet::{
    DARK, Frame, Ink, PALE, QUIET, Sheet, Side, Swatch, Ticks, WIDE, colour, cut, ticks,
};
use crate::report::plot::{self, Axis, Range};
use crate::units;

use super::super::groups::Group;
use super::super::ranking::Ranking;
use super::super::varied::{Scale, Varied};
use super::super::view::View;
use super::{Drawing, outcome_name, scale_of};

/// Lines that can be told apart.
const LINES: usize = 6;
/// Keys that get a panel; more are in the table.
const PANELS: usize = 8;
const AIR: f64 = 0.06;
const ROOM: f64 = 0.12;

pub fn draw(view: &View) -> Option<Drawing> {
    let ranking = view.ranking.as_ref().filter(|ranking| ranking.ranked.len() > 1)?;
    match view.varied.as_slice() {
        [] => None,
        [key] => Some(lines(view, ranking, key, None)),
        [a, b] => {
            let (over, by) = over_and_by(a, b)?;
            Some(if by.levels.len() <= LINES && !by.is_scattered() {
                lines(view, ranking, over, Some(by))
            } else {
                panels(view, ranking)
            })
        }
        _ => Some(panels(view, ranking)),
    }
}

/// The key for the axis: numbers before words, and the more values the better.
fn over_and_by<'a>(a: &'a Varied, b: &'a Varied) -> Option<(&'a Varied, &'a Varied)> {
    let rank = |key: &Varied| (key.scale != Scale::Words, key.levels.len());
    Some(if rank(b) > rank(a) { (b, a) } else { (a, b) })
}

/// Where a level lies on the axis of its key, and its words.
pub struct Along {
    pub places: Vec<f64>,
    pub ticks: Ticks,
}

/// `room` is the axis's length in pixels.
pub fn along(key: &Varied, room: f64) -> Along {
    let evenly = || {
        let n = key.levels.len() as f64;
        let places: Vec<f64> = (0..key.levels.len()).map(|index| (index as f64 + 0.5) / n).collect();
        let most = ((room / n / 7.3) as usize).max(3);
        let words = key.words.iter().map(|level| cut(level, most));
        let ticks = places.iter().copied().zip(words).collect();
        Along { places, ticks }
    };
    if key.scale == Scale::Words {
        return evenly();
    }
    let numbers: Vec<f64> = (0..key.levels.len()).filter_map(|level| key.place(level)).collect();
    let scale = if key.scale == Scale::Log { plot::Scale::Log } else { plot::Scale::Linear };
    let axis = Axis { label: String::new(), unit: Unit::Ratio, scale };
    let Some(range) = Range::of(&axis, numbers.iter().copied(), AIR) else { return evenly() };
    let places: Vec<f64> = numbers.iter().map(|value| range.place(*value)).collect();
    // The values that were tried, unless they are too many to be read.
    let ticks = if key.levels.len() <= 12 {
        places.iter().copied().zip(key.words.iter().cloned()).collect()
    } else {
        ticks(&range, (room / 90.0) as usize)
    };
    Along { places, ticks }
}

fn values_of(ranking: &Ranking, group: &Group) -> Vec<f64> {
    let values = group.counted().filter_map(|run| (ranking.outcome.get)(&run.summary));
    values.filter(|value| value.is_finite()).collect()
}

fn range_of(ranking: &Ranking) -> Option<Range> {
    let all: Vec<f64> = ranking.ranked.iter().flat_map(|(group, _)| values_of(ranking, group)).collect();
    let axis = Axis { label: outcome_name(ranking), unit: ranking.outcome.unit, scale: scale_of(&all) };
    // Below the best there is room for its number.
    Range::of(&axis, all.iter().copied(), ROOM)
}

/// One panel: a line for each value of `by` through the means, every seed as a ring.
fn lines(view: &View, ranking: &Ranking, over: &Varied, by: Option<&Varied>) -> Drawing {
    let title = match by {
        Some(by) => format!("{} over {} for each {}", outcome_name(ranking), over.name, by.name),
        None => format!("{} over {}", outcome_name(ranking), over.name),
    };
    let mut sheet = Sheet::new(&title);
    if let Some(by) = by {
        let entry = |(index, level): (usize, &String)| {
            (
                format!("{} = {level}", by.name),
                colour(index),
                if over.scale == Scale::Words { Swatch::Dot } else { Swatch::Line },
            )
        };
        sheet.legend(&by.words.iter().enumerate().map(entry).collect::<Vec<_>>());
    }
    let top = sheet.height + 30.0;
    let frame = Frame { left: 74.0, right: WIDE - 26.0, top, bottom: top + 300.0 };
    sheet.height = frame.bottom + 54.0;
    let along = along(over, frame.right - frame.left);
    let Some(range) = range_of(ranking) else { return Drawing { sheet, title, note: String::new() } };
    let x_title =
        if over.scale == Scale::Log { format!("{} (log scale)", over.title()) } else { over.title() };
    sheet.axes(&frame, &along.ticks, &x_title, &ticks(&range, 6), &range.title());
    let groups = by.map_or(1, |by| by.levels.len());
    let mut best_at = None;
    let mut dots: Vec<(f64, f64)> = Vec::new();
    for line in 0..groups {
        let ink = colour(line);
        // Words stand side by side; so do the lines' dots there.
        let aside = if over.scale == Scale::Words && groups > 1 {
            (line as f64 - (groups - 1) as f64 / 2.0) * (24.0 / groups as f64).min(10.0)
        } else {
            0.0
        };
        let mut means = Vec::new();
        for (place, (group, spread)) in ranking.ranked.iter().enumerate() {
            let index = view.places[place];
            if by.is_some_and(|by| by.at[index] != line) {
                continue;
            }
            let at = |value: f64| {
                let (x, y) = frame.at(along.places[over.at[index]], range.place(value));
                (x + aside, y)
            };
            if spread.n > 1 {
                for value in values_of(ranking, group) {
                    sheet.ring(at(value), 3.0, ink);
                    dots.push(at(value));
                }
            }
            means.push(at(spread.mean));
            if place == 0 {
                let text = format!("best: {}", units::value(ranking.outcome.unit, spread.mean));
                best_at = Some((at(spread.mean), text));
            }
        }
        dots.extend(means.iter().copied());
        means.sort_by(|a, b| a.0.total_cmp(&b.0));
        if over.scale != Scale::Words {
            sheet.line(means.clone(), ink, 2.0);
        }
        for mean in means {
            sheet.dot(mean, 4.2, ink);
        }
    }
    if let Some((at, text)) = best_at {
        mark_best(&mut sheet, &frame, at, &dots, &text);
    }
    let seeds = if ranking.ranked.iter().any(|(_, spread)| spread.n > 1) {
        "Dots are means over seeds, and each ring is one seed. "
    } else {
        "Each dot is one run. "
    };
    let missing = missing(view);
    Drawing { sheet, title, note: format!("{seeds}{missing}").trim_end().to_owned() }
}

/// A ring around the best, and its number below all dots there.
fn mark_best(sheet: &mut Sheet, frame: &Frame, at: (f64, f64), dots: &[(f64, f64)], text: &str) {
    for width in [8.6_f64, 8.0, 7.4] {
        let circle: Vec<(f64, f64)> = (0..=48)
            .map(|step| f64::from(step) / 48.0 * std::f64::consts::TAU)
            .map(|angle| (at.0 + width * angle.cos(), at.1 + width * angle.sin()))
            .collect();
        sheet.line(circle, DARK, 0.8);
    }
    let near = dots.iter().filter(|dot| (dot.0 - at.0).abs() < 50.0).map(|dot| dot.1);
    let lowest = near.fold(at.1, f64::max);
    let y = (at.1 + 20.0).max(lowest + 14.0).min(frame.bottom - 8.0);
    let half = text.chars().count() as f64 * 3.7;
    let x = at.0.clamp(frame.left + half + 4.0, (frame.right - half).max(frame.left + half + 4.0));
    sheet.bold(text, (x, y), DARK, Side::Middle);
}

fn missing(view: &View) -> String {
    match view.comparison.groups.len() - view.places.len() {
        0 => String::new(),
        1 => "One setting has no such number and is not shown.".to_owned(),
        n => format!("{n} settings have no such number and are not shown."),
    }
}

/// A panel for each key: all settings as dots, the means over each value as a line, and the best setting.
fn panels(view: &View, ranking: &Ranking) -> Drawing {
    const BEST: Ink = Ink(213, 94, 0);
    const MEAN: Ink = Ink(0, 114, 178);
    let title = format!("{} over each key", outcome_name(ranking));
    let mut sheet = Sheet::new(&title);
    let mut order: Vec<usize> = (0..view.varied.len()).collect();
    if let Some(effects) = &view.effects {
        order.sort_by(|a, b| effects.keys[*b].total_cmp(&effects.keys[*a]).then(a.cmp(b)));
    }
    order.truncate(PANELS);
    let with_means = order.iter().any(|&key| !view.varied[key].is_scattered());
    let mut entries =
        vec![("a setting".to_owned(), PALE, Swatch::Dot), ("the best setting".to_owned(), BEST, Swatch::Dot)];
    if with_means {
        entries.insert(1, ("mean over all settings with this value".to_owned(), MEAN, Swatch::Line));
    }
    sheet.legend(&entries);
    let range = range_of(ranking);
    let start = sheet.height;
    const HEIGHT: f64 = 170.0;
    const ROW: f64 = HEIGHT + 88.0;
    for (place, &index) in order.iter().enumerate() {
        let key = &view.varied[index];
        let (row, column) = (place / 2, place % 2);
        let left = 74.0 + column as f64 * (WIDE / 2.0);
        let top = start + 30.0 + row as f64 * ROW;
        let frame = Frame { left, right: left + WIDE / 2.0 - 100.0, top, bottom: top + HEIGHT };
        sheet.height = frame.bottom + 54.0;
        let Some(range) = &range else { continue };
        let along = along(key, frame.right - frame.left);
        let share = view
            .effects
            .as_ref()
            .map_or_else(String::new, |effects| format!(", explains {:.0} %", effects.keys[index] * 100.0));
        let log = if key.scale == Scale::Log { ", log scale" } else { "" };
        let x_title = cut(&format!("{}{log}{share}", key.title()), 52);
        sheet.axes(&frame, &along.ticks, &x_title, &ticks(range, 4), &range.title());
        let at =
            |place: usize, mean: f64| frame.at(along.places[key.at[view.places[place]]], range.place(mean));
        for (place, (_, spread)) in ranking.ranked.iter().enumerate().skip(1) {
            sheet.dot(at(place, spread.mean), 3.2, PALE);
        }
        if !key.is_scattered() {
            let mean_of = |level: usize| {
                let there = ranking
                    .ranked
                    .iter()
                    .enumerate()
                    .filter(|(place, _)| key.at[view.places[*place]] == level);
                let means: Vec<f64> = there.map(|(_, (_, spread))| spread.mean).collect();
                Some((along.places[level], crate::stats::mean(&means)?))
            };
            let means = (0..key.levels.len()).filter_map(mean_of);
            let means: Vec<(f64, f64)> = means.map(|(x, mean)| frame.at(x, range.place(mean))).collect();
            if key.scale != Scale::Words {
                sheet.line(means.clone(), MEAN, 1.8);
            }
            for mean in means {
                sheet.dot(mean, 3.6, MEAN);
            }
        }
        if let Some((_, spread)) = ranking.ranked.first() {
            sheet.dot(at(0, spread.mean), 4.6, BEST);
        }
    }
    let more = view.varied.len() - order.len();
    if more > 0 {
        sheet.height += 22.0;
        let y = sheet.height - 14.0;
        sheet.words(&format!("{more} more keys are in the table."), (16.0, y), QUIET, Side::Left);
    }
    let note = format!("Every setting is a dot at its mean over seeds. {}", missing(view));
    Drawing { sheet, title, note: note.trim_end().to_owned() }
}

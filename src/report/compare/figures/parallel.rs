//! Three keys and more: each setting is a line that goes through its values to its outcome.

use crate::report::plot::sheet::{DARK, Frame, Ink, LINE, QUIET, Sheet, Side, Swatch, WIDE, cut, ticks};
use crate::report::plot::{Axis, Range};

use super::super::view::View;
use super::dependence::along;
use super::{Drawing, outcome_name, scale_of};

/// Axes that fit a page, the outcome's included.
const AXES: usize = 9;
const FEW: usize = 3;
const BEST: [Ink; FEW] = [Ink(213, 94, 0), Ink(230, 159, 0), Ink(204, 121, 167)];

pub fn draw(view: &View) -> Option<Drawing> {
    let ranking = view.ranking.as_ref().filter(|ranking| ranking.ranked.len() > 1)?;
    if view.varied.len() < 3 {
        return None;
    }
    let means: Vec<f64> = ranking.ranked.iter().map(|(_, spread)| spread.mean).collect();
    let axis = Axis { label: outcome_name(ranking), unit: ranking.outcome.unit, scale: scale_of(&means) };
    let range = Range::of(&axis, means.iter().copied(), 0.04)?;
    let title = format!("From each setting's values to its {}", outcome_name(ranking).to_lowercase());
    let mut sheet = Sheet::new(&title);
    let few = means.len().min(FEW);
    let entries: Vec<(String, Ink, Swatch)> = ranking
        .ranked
        .iter()
        .take(few)
        .zip(BEST)
        .enumerate()
        .map(|(place, ((group, _), ink))| (format!("{}. {}", place + 1, group.label), ink, Swatch::Line))
        .collect();
    sheet.legend(&entries);
    let mut keys: Vec<usize> = (0..view.varied.len()).collect();
    if let Some(effects) = &view.effects {
        keys.sort_by(|a, b| effects.keys[*b].total_cmp(&effects.keys[*a]).then(a.cmp(b)));
    }
    keys.truncate(AXES - 1);
    keys.sort_unstable();
    let top = sheet.height + 54.0;
    let frame = Frame { left: 74.0, right: WIDE - 74.0, top, bottom: top + 280.0 };
    sheet.height = frame.bottom + 22.0;
    let step = (frame.right - frame.left) / keys.len() as f64;
    // Longer names alternate between two rows.
    let (room, rows) =
        if keys.len() <= 4 { ((step / 7.3) as usize, 1) } else { ((step * 1.7 / 7.3) as usize, 2) };
    let alongs: Vec<_> = keys.iter().map(|&key| along(&view.varied[key], frame.bottom - frame.top)).collect();
    let across = |axis: usize| frame.left + axis as f64 * step;
    let path = |place: usize| -> Vec<(f64, f64)> {
        let group = view.places[place];
        let through = keys.iter().zip(&alongs).enumerate().map(|(axis, (&key, along))| {
            (across(axis), frame.at(0.0, along.places[view.varied[key].at[group]]).1)
        });
        through.chain([(across(keys.len()), frame.at(0.0, range.place(means[place])).1)]).collect()
    };
    // From the worst to the best, which lies on top.
    for place in (few..means.len()).rev() {
        let share = place as f64 / means.len() as f64;
        sheet.line(path(place), pale(share), if means.len() > 200 { 0.6 } else { 1.1 });
    }
    for place in (0..few).rev() {
        sheet.line(path(place), BEST[place], 2.6);
    }
    for (axis, (&key, along)) in keys.iter().zip(&alongs).enumerate() {
        let x = across(axis);
        sheet.line(vec![(x, frame.top), (x, frame.bottom)], LINE, 1.4);
        let row = if rows == 2 && axis % 2 == 0 { 34.0 } else { 16.0 };
        sheet.words(&cut(&view.varied[key].title(), room.max(6)), (x, frame.top - row), DARK, Side::Middle);
        let mut free = f64::INFINITY;
        for (up, label) in &along.ticks {
            let (_, y) = frame.at(0.0, *up);
            // Numbers that lie too close for their words.
            if y <= free {
                let text = cut(label, ((step - 16.0) / 7.3).max(3.0) as usize);
                let side = if axis == 0 { Side::Right } else { Side::Left };
                let aside = if axis == 0 { -8.0 } else { 7.0 };
                let wide = text.chars().count() as f64 * 6.7;
                if axis > 0 {
                    sheet.filled((x + 5.0, y - 7.0), (x + 8.0 + wide, y + 7.0), Ink(255, 255, 255));
                }
                sheet.words(&text, (x + aside, y), QUIET, side);
                free = y - 16.0;
            }
        }
    }
    let x = across(keys.len());
    sheet.line(vec![(x, frame.top), (x, frame.bottom)], DARK, 1.8);
    let row = if rows == 2 && keys.len().is_multiple_of(2) { 34.0 } else { 16.0 };
    let name = range.title();
    let room = ((step * 0.5 + 70.0) / 7.3) as usize;
    let (name, unit) = name.split_once(" (").map_or((name.as_str(), ""), |(name, unit)| (name, unit));
    let unit = unit.trim_end_matches(')');
    let lift = if unit.is_empty() { 0.0 } else { 16.0 };
    sheet.bold(&cut(name, room), (WIDE - 8.0, frame.top - row - lift), DARK, Side::Right);
    sheet.words(&cut(unit, room), (WIDE - 8.0, frame.top - row), QUIET, Side::Right);
    for (up, label) in ticks(&range, 6) {
        let (_, y) = frame.at(0.0, up);
        sheet.words(&label, (x + 8.0, y), QUIET, Side::Left);
    }
    let more = view.varied.len() - keys.len();
    let more = if more > 0 { format!(" {more} more keys have no axis.") } else { String::new() };
    Some(Drawing {
        sheet,
        title,
        note: format!(
            "Each line is a setting; the best {few} have a colour, and the bluer one of the others, the better it is.{more}"
        ),
    })
}

/// From blue for good settings to a pale grey for bad ones.
fn pale(share: f64) -> Ink {
    let mix = |good: f64, bad: f64| (good + (bad - good) * share.clamp(0.0, 1.0).sqrt()).round() as u8;
    Ink(mix(60.0, 226.0), mix(140.0, 228.0), mix(196.0, 232.0))
}

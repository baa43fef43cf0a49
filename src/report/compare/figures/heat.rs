//! Two keys as a map: the darker the better.

use crate::metric::Unit;
use crate::report::ending::Ending;
use crate::report::plot::sheet::{DARK, Frame, GRID, Ink, QUIET, Sheet, Side, WIDE, cut, shade};
use crate::report::plot::{self, Axis, Range};
use crate::units;

use super::super::varied::Varied;
use super::super::view::View;
use super::{Drawing, outcome_name, scale_of};

/// Values of a key that have room for their numbers.
const ACROSS: usize = 12;
const DOWN: usize = 24;
/// The best cell's border.
const BEST: Ink = Ink(213, 94, 0);

pub fn draw(view: &View) -> Option<Drawing> {
    let ranking = view.ranking.as_ref().filter(|ranking| ranking.ranked.len() > 1)?;
    let [a, b] = view.varied.as_slice() else { return None };
    if a.is_scattered() || b.is_scattered() || a.levels.len().min(b.levels.len()) > ACROSS {
        return None;
    }
    // The key with fewer values goes down, and the longer one across as far as there is room.
    let (across, down): (&Varied, &Varied) =
        if (a.levels.len() >= b.levels.len()) == (a.levels.len().max(b.levels.len()) <= ACROSS) {
            (a, b)
        } else {
            (b, a)
        };
    if across.levels.len() > ACROSS || down.levels.len() > DOWN {
        return None;
    }
    let cell_of = |x: usize, y: usize| {
        let groups = 0..view.comparison.groups.len();
        groups.into_iter().filter(|&group| across.at[group] == x && down.at[group] == y).collect::<Vec<_>>()
    };
    // Several settings in a cell: something else differs too.
    let twice = (0..across.levels.len()).any(|x| (0..down.levels.len()).any(|y| cell_of(x, y).len() > 1));
    if twice {
        return None;
    }
    let means: Vec<f64> = ranking.ranked.iter().map(|(_, spread)| spread.mean).collect();
    let scale = scale_of(&means);
    let range =
        Range::of(&Axis { label: String::new(), unit: Unit::Ratio, scale }, means.iter().copied(), 0.0)?;
    let title = format!("{} for each {} and {}", outcome_name(ranking), across.name, down.name);
    let mut sheet = Sheet::new(&title);
    let top = sheet.height + 30.0;
    let cell = if down.levels.len() <= 8 { 44.0 } else { 26.0 };
    let longest = down.words.iter().map(|level| level.chars().count()).max().unwrap_or(0).min(24);
    let left = (longest as f64 * 7.3 + 26.0).max(74.0);
    let wide = ((WIDE - 26.0 - left) / across.levels.len() as f64).min(150.0);
    let frame = Frame {
        left,
        right: left + wide * across.levels.len() as f64,
        top,
        bottom: top + cell * down.levels.len() as f64,
    };
    sheet.words(&down.title(), (16.0, top - 14.0), DARK, Side::Left);
    let mut best = None;
    for (y, level) in down.words.iter().enumerate() {
        // Values rise upwards, as on an axis.
        let bottom = frame.bottom - y as f64 * cell;
        let middle = bottom - cell / 2.0;
        sheet.words(&cut(level, 24), (frame.left - 8.0, middle), QUIET, Side::Right);
        for x in 0..across.levels.len() {
            let from = (frame.left + x as f64 * wide + 1.0, bottom - cell + 1.0);
            let to = (frame.left + (x + 1) as f64 * wide - 1.0, bottom - 1.0);
            let centre = ((from.0 + to.0) / 2.0, middle);
            let Some(&group) = cell_of(x, y).first() else {
                sheet.words(units::MISSING, centre, QUIET, Side::Middle);
                continue;
            };
            let Some(place) = view.places.iter().position(|&other| other == group) else {
                sheet.filled(from, to, GRID);
                let runs = &view.comparison.groups[group].runs;
                let word = runs.iter().map(|run| run.ending).max().map_or("no runs", Ending::word);
                sheet.words(&cut(word, (wide / 7.3) as usize), centre, QUIET, Side::Middle);
                continue;
            };
            let mean = ranking.ranked[place].1.mean;
            let ink = shade(range.place(mean));
            let text = units::value(ranking.outcome.unit, mean);
            sheet.filled(from, to, ink);
            if place == 0 {
                best = Some((from, to));
                sheet.bold(&text, centre, ink.opposite(), Side::Middle);
            } else {
                sheet.words(&text, centre, ink.opposite(), Side::Middle);
            }
        }
    }
    if let Some((from, to)) = best {
        let corners = vec![from, (to.0, from.1), to, (from.0, to.1), from];
        sheet.line(corners, BEST, 3.0);
    }
    for (x, level) in across.words.iter().enumerate() {
        let middle = frame.left + (x as f64 + 0.5) * wide;
        sheet.words(
            &cut(level, (wide / 7.3).max(3.0) as usize),
            (middle, frame.bottom + 14.0),
            QUIET,
            Side::Middle,
        );
    }
    sheet.words(&across.title(), ((frame.left + frame.right) / 2.0, frame.bottom + 36.0), DARK, Side::Middle);
    sheet.height = frame.bottom + 54.0;
    let log = if scale == plot::Scale::Log { ", on a log scale" } else { "" };
    Some(Drawing {
        sheet,
        title,
        note: format!("The darker a cell, the better{log}; the best has a border."),
    })
}

//! How much of the spread each key explains, as bars.

use crate::report::plot::sheet::{DARK, GRID, Ink, LINE, QUIET, Sheet, Side, WIDE, colour, cut};

use super::super::effects::Kind;
use super::super::view::View;
use super::{Drawing, outcome_name};

/// Keys that get a bar.
const BARS: usize = 12;

pub fn draw(view: &View) -> Option<Drawing> {
    let (ranking, effects) = (view.ranking.as_ref()?, view.effects.as_ref()?);
    let title =
        format!("How much of the spread of the {} each key explains", outcome_name(ranking).to_lowercase());
    let mut bars: Vec<(String, f64, Ink)> =
        view.varied.iter().zip(&effects.keys).map(|(key, share)| (key.title(), *share, colour(0))).collect();
    bars.sort_by(|a, b| b.1.total_cmp(&a.1));
    bars.truncate(BARS);
    let note = match effects.kind {
        Kind::Grid => {
            bars.push(("combinations of keys".to_owned(), effects.together, colour(4)));
            if effects.seeds > 0.0 {
                bars.push(("seeds".to_owned(), effects.seeds, colour(6)));
            }
            let over = if effects.over < effects.of {
                format!(
                    " It is over the {} of {} settings that make a whole grid; the others lack a combination.",
                    effects.over, effects.of
                )
            } else {
                String::new()
            };
            format!(
                "Main effects of an analysis of variance on the grid: the variance of the means over each key's values, as \
                 a share of the variance over all runs.{over} Bad settings weigh as much as good ones: a key can matter \
                 little here and decide among the best."
            )
        }
        Kind::Alone => "The settings make no grid, so the parts cannot be taken apart: each key is fitted by itself (a parabola \
             for numbers, a mean for each word; adjusted R²), and the shares need not add up."
            .to_owned(),
    };
    let mut sheet = Sheet::new(&title);
    let longest = bars.iter().map(|bar| bar.0.chars().count()).max().unwrap_or(0).min(40);
    let left = (longest as f64 * 7.3 + 30.0).max(120.0);
    let right = WIDE - 80.0;
    let top = sheet.height + 8.0;
    const ROW: f64 = 28.0;
    let bottom = top + ROW * bars.len() as f64;
    for tick in 0..=4 {
        let share = f64::from(tick) * 0.25;
        let x = left + share * (right - left);
        sheet.line(vec![(x, top), (x, bottom)], GRID, 1.0);
        sheet.words(&format!("{:.0} %", share * 100.0), (x, bottom + 14.0), QUIET, Side::Middle);
    }
    for (index, (name, share, ink)) in bars.iter().enumerate() {
        let middle = top + ROW * (index as f64 + 0.5);
        sheet.words(&cut(name, 40), (left - 10.0, middle), DARK, Side::Right);
        let end = left + share.clamp(0.0, 1.0) * (right - left);
        sheet.filled((left, middle - 8.0), (end.max(left + 1.0), middle + 8.0), *ink);
        let text = if *share > 0.0 && *share < 0.005 {
            "less than 1 %".to_owned()
        } else {
            format!("{:.0} %", share * 100.0)
        };
        // On paper of its own, so that no line of the grid crosses the number.
        let wide = text.chars().count() as f64 * 7.3;
        sheet.filled((end + 5.0, middle - 8.0), (end + 9.0 + wide, middle + 8.0), Ink(255, 255, 255));
        sheet.words(&text, (end + 8.0, middle), DARK, Side::Left);
    }
    sheet.line(vec![(left, top), (left, bottom)], LINE, 1.0);
    sheet.height = bottom + 32.0;
    Some(Drawing { sheet, title, note })
}

//! How much of the spread of an outcome each key explains.
//!
//! On a whole grid this is the main-effects part of a functional analysis of variance (Hutter, Hoos and Leyton-Brown, "An efficient
//! approach for assessing hyperparameter importance", 2014): the variance of the outcome over all runs is that of the means of a
//! key's values, for each key, plus what only combinations of keys explain, plus that between seeds. Off a grid the parts would
//! overlap; there each key is fitted by itself.

use crate::stats::Spread;

use super::ranking::Ranking;
use super::varied::{Scale, Varied};

pub struct Effects {
    pub kind: Kind,
    /// For each of the varied keys the share of the variance that it explains, 0 to 1.
    pub keys: Vec<f64>,
    /// On a grid: what only combinations explain, and what lies between seeds. All add up to 1.
    pub together: f64,
    pub seeds: f64,
    /// Settings that it is computed from, and settings with an outcome.
    pub over: usize,
    pub of: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// All combinations of the values: the shares add up.
    Grid,
    /// Each key fitted alone, by a parabola or by the means of its words.
    Alone,
}

/// Settings that it takes to fit keys one by one.
const ENOUGH: usize = 8;

impl Effects {
    /// `None` for less than two keys, or where the settings are too few for what was varied.
    pub fn of(ranking: &Ranking, places: &[usize], varied: &[Varied]) -> Option<Effects> {
        if varied.len() < 2 {
            return None;
        }
        let all: Vec<(Vec<usize>, Spread)> = places
            .iter()
            .zip(&ranking.ranked)
            .map(|(&group, (_, spread))| (varied.iter().map(|key| key.at[group]).collect(), *spread))
            .collect();
        let of = all.len();
        whole_grid(&all, varied.len())
            .and_then(|cells| grid(&cells, varied.len(), of))
            .or_else(|| alone(&all, varied))
    }
}

type Cell = (Vec<usize>, Spread);

/// The settings that make a whole grid: values that some combination lacks are left out, those that lack most first. At least two
/// values of each key must remain, and half of the settings.
fn whole_grid(all: &[Cell], keys: usize) -> Option<Vec<Cell>> {
    let mut cells = all.to_vec();
    loop {
        let levels: Vec<Vec<usize>> = (0..keys).map(|key| levels(&cells, key)).collect();
        if levels.iter().any(|levels| levels.len() < 2) || cells.len() * 2 < all.len() {
            return None;
        }
        // A name for several settings, as where the experiments differ in more than keys.
        let mut seen: Vec<&Vec<usize>> = cells.iter().map(|(at, _)| at).collect();
        seen.sort();
        if seen.windows(2).any(|pair| pair[0] == pair[1]) {
            return None;
        }
        let whole = levels.iter().try_fold(1_usize, |product, levels| product.checked_mul(levels.len()))?;
        // Far from a grid: leaving values out one by one would leave nothing.
        if whole > 4 * cells.len() {
            return None;
        }
        if cells.len() == whole {
            return Some(cells);
        }
        // The share of its combinations that a value has.
        let fullness = |key: usize, level: usize| {
            let there = cells.iter().filter(|(at, _)| at[key] == level).count();
            there as f64 / (whole / levels[key].len()) as f64
        };
        let candidates = (0..keys)
            .filter(|&key| levels[key].len() > 2)
            .flat_map(|key| levels[key].iter().map(move |&level| (key, level)));
        let (key, level) = candidates.min_by(|a, b| fullness(a.0, a.1).total_cmp(&fullness(b.0, b.1)))?;
        cells.retain(|(at, _)| at[key] != level);
    }
}

fn levels(cells: &[Cell], key: usize) -> Vec<usize> {
    let mut levels: Vec<usize> = cells.iter().map(|(at, _)| at[key]).collect();
    levels.sort_unstable();
    levels.dedup();
    levels
}

fn mean_of<'a>(cells: impl Iterator<Item = &'a Cell>) -> f64 {
    let (sum, n) = cells.fold((0.0, 0), |(sum, n), (_, spread)| (sum + spread.mean, n + 1));
    sum / f64::from(n.max(1))
}

fn grid(cells: &[Cell], keys: usize, of: usize) -> Option<Effects> {
    let (n, mean) = (cells.len() as f64, mean_of(cells.iter()));
    let settings = cells.iter().map(|(_, spread)| (spread.mean - mean).powi(2)).sum::<f64>() / n;
    let within = |spread: &Spread| {
        spread.standard_deviation.map_or(0.0, |s| s.powi(2) * (spread.n - 1) as f64 / spread.n as f64)
    };
    let seeds = cells.iter().map(|(_, spread)| within(spread)).sum::<f64>() / n;
    let total = settings + seeds;
    let of_key = |key: usize| {
        let parts = levels(cells, key).into_iter().map(|level| {
            let cells: Vec<&Cell> = cells.iter().filter(|(at, _)| at[key] == level).collect();
            (mean_of(cells.iter().copied()) - mean).powi(2) * cells.len() as f64
        });
        parts.sum::<f64>() / n
    };
    let of_keys: Vec<f64> = (0..keys).map(of_key).collect();
    let together = (settings - of_keys.iter().sum::<f64>()).max(0.0);
    (total > 0.0 && total.is_finite()).then(|| Effects {
        kind: Kind::Grid,
        keys: of_keys.iter().map(|part| part / total).collect(),
        together: together / total,
        seeds: seeds / total,
        over: cells.len(),
        of,
    })
}

fn alone(all: &[Cell], varied: &[Varied]) -> Option<Effects> {
    if all.len() < ENOUGH {
        return None;
    }
    let outcomes: Vec<f64> = all.iter().map(|(_, spread)| spread.mean).collect();
    let mean = outcomes.iter().sum::<f64>() / outcomes.len() as f64;
    let total: f64 = outcomes.iter().map(|y| (y - mean).powi(2)).sum();
    if !(total > 0.0 && total.is_finite()) {
        return None;
    }
    let explained = |(index, key): (usize, &Varied)| {
        let at: Vec<usize> = all.iter().map(|(at, _)| at[index]).collect();
        let (rest, terms) = match key.scale {
            Scale::Words => rest_of_words(&at, &outcomes),
            _ => {
                let place = |level: &usize| {
                    let value = key.place(*level).unwrap_or_default();
                    if key.scale == Scale::Log { value.ln() } else { value }
                };
                rest_of_parabola(&at.iter().map(place).collect::<Vec<f64>>(), &outcomes)
            }
        };
        // As much as is expected of any term by chance is taken off again.
        let (n, terms) = (outcomes.len() as f64, terms as f64);
        if n - terms - 1.0 <= 0.0 {
            0.0
        } else {
            (1.0 - rest / total * (n - 1.0) / (n - terms - 1.0)).clamp(0.0, 1.0)
        }
    };
    Some(Effects {
        kind: Kind::Alone,
        keys: varied.iter().enumerate().map(explained).collect(),
        together: 0.0,
        seeds: 0.0,
        over: all.len(),
        of: all.len(),
    })
}

/// The squares that remain around the mean of each word, and how many terms that took.
fn rest_of_words(at: &[usize], outcomes: &[f64]) -> (f64, usize) {
    let mut words = at.to_vec();
    words.sort_unstable();
    words.dedup();
    let rest = words.iter().map(|word| {
        let values: Vec<f64> =
            at.iter().zip(outcomes).filter(|(at, _)| *at == word).map(|(_, y)| *y).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        values.iter().map(|y| (y - mean).powi(2)).sum::<f64>()
    });
    (rest.sum(), words.len() - 1)
}

/// The squares that remain around a parabola of least squares.
fn rest_of_parabola(xs: &[f64], ys: &[f64]) -> (f64, usize) {
    let n = xs.len() as f64;
    let mean = |values: &[f64]| values.iter().sum::<f64>() / n;
    let width = xs.iter().fold(0.0_f64, |width, x| width.max((x - xs[0]).abs())).max(f64::MIN_POSITIVE);
    // Terms made orthogonal one after the other (Gram and Schmidt): no system of equations to solve.
    let without = |values: &[f64], basis: &[f64]| -> Vec<f64> {
        let size: f64 = basis.iter().map(|b| b * b).sum();
        if size <= 1e-12 * n {
            return values.to_vec();
        }
        let share = values.iter().zip(basis).map(|(v, b)| v * b).sum::<f64>() / size;
        values.iter().zip(basis).map(|(v, b)| v - share * b).collect()
    };
    let ones = vec![1.0; xs.len()];
    let centre = mean(xs);
    let line: Vec<f64> = xs.iter().map(|x| (x - centre) / width).collect();
    let square: Vec<f64> = line.iter().map(|x| x * x).collect();
    let square = without(&without(&square, &ones), &line);
    let rest = without(&without(&without(ys, &ones), &line), &square);
    (rest.iter().map(|y| y * y).sum(), 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(at: &[usize], values: &[f64]) -> Cell {
        (at.to_vec(), Spread::of(values).unwrap())
    }

    #[test]
    fn the_parts_of_a_grid_add_up() {
        // By hand: means 1, 2, 5, 6; the first key moves them by 2 either way, the second by a half; no combination does more.
        let cells = [
            cell(&[0, 0], &[0.9, 1.1]),
            cell(&[0, 1], &[1.9, 2.1]),
            cell(&[1, 0], &[4.9, 5.1]),
            cell(&[1, 1], &[5.9, 6.1]),
        ];
        let effects = grid(&cells, 2, 4).unwrap();
        let total = 4.0 + 0.25 + 0.01;
        for (found, expected) in
            [(effects.keys[0], 4.0), (effects.keys[1], 0.25), (effects.together, 0.0), (effects.seeds, 0.01)]
        {
            assert!((found - expected / total).abs() < 1e-9, "{found} {expected}");
        }
    }

    /// The sums of squares of nested least-squares fits on dummies, as NumPy gives them, over the whole sum.
    #[test]
    fn the_parts_of_a_grid_are_those_of_an_analysis_of_variance() {
        let cells = [
            cell(&[0, 0], &[1.50, 1.54]),
            cell(&[0, 1], &[1.30, 1.33]),
            cell(&[0, 2], &[1.42, 1.40]),
            cell(&[1, 0], &[1.45, 1.41]),
            cell(&[1, 1], &[1.10, 1.16]),
            cell(&[1, 2], &[1.38, 1.45]),
        ];
        let effects = grid(&cells, 2, 6).unwrap();
        for (found, expected) in [
            (effects.keys[0], 0.1298076923076923),
            (effects.keys[1], 0.739049145299145),
            (effects.together, 0.09642094017094029),
            (effects.seeds, 0.034722222222222224),
        ] {
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }

    #[test]
    fn values_that_lack_a_combination_are_left_out() {
        let mut cells: Vec<Cell> =
            (0..3).flat_map(|a| (0..2).map(move |b| cell(&[a, b], &[(a + b) as f64]))).collect();
        assert_eq!(whole_grid(&cells, 2).unwrap().len(), 6);
        cells.pop();
        let rest = whole_grid(&cells, 2).unwrap();
        assert!(rest.len() == 4 && rest.iter().all(|(at, _)| at[0] < 2));
        let diagonal: Vec<Cell> = (0..4).map(|a| cell(&[a, a], &[a as f64])).collect();
        assert!(whole_grid(&diagonal, 2).is_none());
    }

    #[test]
    fn a_parabola_explains_what_is_one() {
        let xs: Vec<f64> = (0..9).map(f64::from).collect();
        let bowl: Vec<f64> = xs.iter().map(|x| 3.0 + (x - 4.0).powi(2)).collect();
        assert!(rest_of_parabola(&xs, &bowl).0 < 1e-9);
        // As `numpy.polyfit` of degree 2 over the logarithm leaves them.
        let rates = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1].map(f64::ln);
        let losses = [2.1, 1.8, 1.5, 1.35, 1.3, 1.42, 1.7, 2.2];
        assert!((rest_of_parabola(&rates, &losses).0 - 0.014397313096113421).abs() < 1e-9);
        let saw: Vec<f64> = (0..9).map(|x| f64::from(x % 2)).collect();
        assert!(rest_of_parabola(&xs, &saw).0 > 1.5);
    }
}

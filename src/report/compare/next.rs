//! Where the best value of a key lies among those that were tried, and which values to try next.

use crate::report::ending::Ending;
use crate::units;

use super::varied::{Scale, Varied};
use super::view::View;

/// Where the best setting's value of one key lies.
pub struct Place<'a> {
    pub key: &'a Varied,
    pub value: String,
    pub at: At,
    /// Values to try next, in order.
    pub next: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    Lowest,
    Highest,
    Inside,
    /// What lies beyond did not come to its end: diverged, for one.
    LowestSound,
    HighestSound,
}

/// One place for each key with numbers of which the best setting could have had another.
pub fn places<'a>(view: &'a View) -> Vec<Place<'a>> {
    let Some(&best) = view.places.first() else { return Vec::new() };
    view.varied
        .iter()
        .filter(|key| key.scale != Scale::Words)
        .filter_map(|key| place(view, key, best))
        .collect()
}

fn place<'a>(view: &View, key: &'a Varied, best: usize) -> Option<Place<'a>> {
    // What was never started was not tried.
    let began = |group: &usize| {
        let runs = &view.comparison.groups[*group].runs;
        runs.iter().any(|run| !matches!(run.ending, Ending::Skipped | Ending::Queued | Ending::Running))
    };
    let groups = (0..view.comparison.groups.len()).filter(began);
    let others_as_best = |group: &usize| {
        view.varied.iter().all(|other| other.key == key.key || other.at[*group] == other.at[best])
    };
    // Along the line through the best setting on a grid, and over all settings of a random search.
    let line: Vec<usize> = groups.clone().filter(others_as_best).collect();
    let tried: Vec<usize> = if line.len() > 1 { line } else { groups.collect() };
    let levels = |only_ranked: bool| -> Vec<usize> {
        let mut levels: Vec<usize> = tried
            .iter()
            .filter(|group| !only_ranked || view.places.contains(group))
            .map(|&group| key.at[group])
            .collect();
        levels.sort_unstable();
        levels.dedup();
        levels
    };
    let (all, sound) = (levels(false), levels(true));
    if all.len() < 2 {
        return None;
    }
    let level = key.at[best];
    let (first, last) = (*all.first()?, *all.last()?);
    let at = match level {
        _ if level == first => At::Lowest,
        _ if level == last => At::Highest,
        _ if Some(&level) == sound.last() => At::HighestSound,
        _ if Some(&level) == sound.first() => At::LowestSound,
        _ => At::Inside,
    };
    let values: Vec<f64> = all.iter().filter_map(|level| key.number(*level)).collect();
    let place = all.iter().position(|other| *other == level)?;
    let shape = Shape::of(key);
    let next = match at {
        At::Lowest => shape.beyond(&values, place, 1),
        At::Highest => shape.beyond(&values, place, place - 1),
        At::Inside => {
            [shape.between(values[place - 1], values[place]), shape.between(values[place], values[place + 1])]
                .into_iter()
                .flatten()
                .collect()
        }
        At::HighestSound => shape.between(values[place], values[place + 1]).into_iter().collect(),
        At::LowestSound => shape.between(values[place - 1], values[place]).into_iter().collect(),
    };
    let tried: Vec<f64> = key.numbers();
    let next = next.into_iter().filter(|value| !tried.contains(value)).map(units::number).collect();
    Some(Place { key, value: key.words[level].clone(), at, next })
}

/// What values of a key may look like.
struct Shape {
    log: bool,
    whole: bool,
    /// A share: not above 1, and 1 itself would switch something off or never end.
    share: bool,
    /// Digits that people wrote.
    digits: usize,
}

/// Ends of keys whose values are shares.
const SHARES: [&str; 6] = ["dropout", "beta1", "beta2", "momentum", "fraction", "share"];

impl Shape {
    fn of(key: &Varied) -> Shape {
        let numbers = key.numbers();
        let digits = |value: &f64| (1..4).find(|&digits| rounded(*value, digits) == *value).unwrap_or(4);
        Shape {
            log: key.scale == Scale::Log,
            whole: numbers.iter().all(|value| value.fract() == 0.0)
                && key.levels.iter().all(|level| !level.contains(['.', 'e'])),
            share: SHARES.iter().any(|word| key.name.ends_with(word))
                && numbers.iter().all(|value| (0.0..1.0).contains(value)),
            digits: numbers.iter().map(digits).max().unwrap_or(2).clamp(1, 2),
        }
    }

    /// Two values that go on beyond `values[place]`, away from `values[neighbour]`.
    fn beyond(&self, values: &[f64], place: usize, neighbour: usize) -> Vec<f64> {
        let (edge, inner) = (values[place], values[neighbour]);
        let mut found = Vec::new();
        let mut value = edge;
        for _ in 0..2 {
            let next = if self.log { value * edge / inner } else { value + (edge - inner) };
            value = match () {
                // Half of the way to the end of what is possible, where a whole step would lead over it.
                () if next <= 0.0 && edge > 0.0 && !self.whole => value / 2.0,
                () if self.share && next >= 1.0 => 1.0 - (1.0 - value) / 2.0,
                () => next,
            };
            let shown = self.shown(value);
            let possible = shown.is_finite()
                && (shown > 0.0
                    || (shown == 0.0 && !self.log && (!self.whole || values.contains(&0.0)))
                    || edge < 0.0)
                && !(self.share && shown >= 1.0);
            if possible && shown != edge && !found.contains(&shown) {
                found.push(shown);
            }
        }
        found
    }

    /// The middle of two values, where there is room for one.
    fn between(&self, a: f64, b: f64) -> Option<f64> {
        let middle = self.shown(if self.log { (a * b).sqrt() } else { a.midpoint(b) });
        (a.min(b) < middle && middle < a.max(b)).then_some(middle)
    }

    fn shown(&self, value: f64) -> f64 {
        if self.whole {
            return value.round();
        }
        if self.share && value > 0.9 {
            return 1.0 - rounded(1.0 - value, 1);
        }
        // 0.0316 after 0.01 and 0.00316, which a person writes as 0.03.
        let short = rounded(value, 1);
        if self.digits == 1 && (short / value - 1.0).abs() < 0.12 { short } else { rounded(value, 2) }
    }
}

fn rounded(value: f64, digits: usize) -> f64 {
    format!("{value:.*e}", digits - 1).parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, levels: &[&str], scale: Scale) -> Varied {
        Varied {
            key: format!("a.{name}"),
            name: name.to_owned(),
            with: Vec::new(),
            scale,
            levels: levels.iter().map(|level| (*level).to_owned()).collect(),
            words: levels.iter().map(|level| (*level).to_owned()).collect(),
            at: (0..levels.len()).collect(),
        }
    }

    fn beyond(name: &str, levels: &[&str], scale: Scale, up: bool) -> Vec<String> {
        let key = key(name, levels, scale);
        let values = key.numbers();
        let last = values.len() - 1;
        let next = if up {
            Shape::of(&key).beyond(&values, last, last - 1)
        } else {
            Shape::of(&key).beyond(&values, 0, 1)
        };
        next.into_iter().map(units::number).collect()
    }

    #[test]
    fn a_grid_goes_on_as_it_began() {
        let rates = &["1e-3", "3e-3", "0.01"];
        assert_eq!(beyond("learning_rate", rates, Scale::Log, true), ["0.03", "0.1"]);
        assert_eq!(beyond("learning_rate", rates, Scale::Log, false), ["3e-4", "1e-4"]);
        assert_eq!(beyond("learning_rate", &["0.016", "0.032"], Scale::Log, true), ["0.064", "0.13"]);
        assert_eq!(beyond("n_embd", &["32", "64"], Scale::Log, true), ["128", "256"]);
        assert_eq!(beyond("n_layer", &["2", "3", "4"], Scale::Linear, true), ["5", "6"]);
    }

    #[test]
    fn no_value_is_named_that_cannot_be() {
        assert_eq!(beyond("n_layer", &["1", "2", "3"], Scale::Linear, false), [""; 0]);
        assert_eq!(beyond("dropout", &["0", "0.1", "0.2"], Scale::Linear, false), [""; 0]);
        assert_eq!(beyond("dropout", &["0.1", "0.2"], Scale::Linear, false), ["0.05", "0.025"]);
        assert_eq!(beyond("momentum", &["0.8", "0.9"], Scale::Linear, true), ["0.95", "0.97"]);
        assert_eq!(beyond("dropout", &["0.3", "0.6"], Scale::Linear, true), ["0.9", "0.95"]);
    }

    #[test]
    fn the_middle_of_two_values_is_named_where_there_is_one() {
        let rates = Shape::of(&key("learning_rate", &["0.01", "0.04"], Scale::Log));
        assert_eq!(rates.between(0.01, 0.04), Some(0.02));
        let layers = Shape::of(&key("n_layer", &["2", "3"], Scale::Linear));
        assert_eq!((layers.between(2.0, 3.0), layers.between(2.0, 4.0)), (None, Some(3.0)));
    }
}

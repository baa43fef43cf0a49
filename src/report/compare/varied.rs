//! What was varied: the keys that differ between settings, as axes with values in order.

use std::collections::BTreeMap;

use super::groups::{Comparison, Sorted};
use crate::units;

/// One thing that was varied: a key, or several that always change together.
pub struct Varied {
    /// The whole key, `optimizer.learning_rate`; `experiment` for what only the experiments tell apart.
    pub key: String,
    /// As short as it is clear: `learning_rate`.
    pub name: String,
    /// Short names of the keys that change whenever this one does.
    pub with: Vec<String>,
    pub scale: Scale,
    /// The values in order, as they are written.
    pub levels: Vec<String>,
    /// The same as they are shown.
    pub words: Vec<String>,
    /// For each group of the comparison its level.
    pub at: Vec<usize>,
}

/// How values of a key lie to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Names, without an order or a distance.
    Words,
    /// Numbers a step apart.
    Linear,
    /// Positive numbers a factor apart.
    Log,
}

impl Varied {
    /// The value of a level, where levels are numbers.
    pub fn number(&self, level: usize) -> Option<f64> {
        if self.scale == Scale::Words { None } else { self.levels.get(level)?.parse().ok() }
    }

    /// [`Varied::number`] on an axis: a zero among factors lies one factor below the least of them.
    pub fn place(&self, level: usize) -> Option<f64> {
        let value = self.number(level)?;
        if self.scale != Scale::Log || value > 0.0 {
            return Some(value);
        }
        let positive: Vec<f64> = self.numbers().into_iter().filter(|value| *value > 0.0).collect();
        match positive.as_slice() {
            [least, next, ..] => Some(least * least / next),
            _ => Some(value),
        }
    }

    /// The values of all levels; empty for words.
    pub fn numbers(&self) -> Vec<f64> {
        (0..self.levels.len()).filter_map(|level| self.number(level)).collect()
    }

    /// Each value stands for one group, as random search gives them: no group shares it with another.
    pub fn is_scattered(&self) -> bool {
        self.scale != Scale::Words && self.levels.len() > 4 && self.levels.len() * 4 > self.at.len() * 3
    }

    /// `learning_rate`, or `learning_rate (with n_head)`.
    pub fn title(&self) -> String {
        if self.with.is_empty() {
            self.name.clone()
        } else {
            format!("{} (with {})", self.name, self.with.join(", "))
        }
    }
}

/// What differs between the groups, in the order of the configuration. Keys that change together are one.
pub fn varied(comparison: &Comparison) -> Vec<Varied> {
    let groups = &comparison.groups;
    let leaves: Vec<&str> = comparison.keys.iter().map(|key| leaf(key)).collect();
    let mut all: Vec<Varied> = Vec::new();
    for (index, key) in comparison.keys.iter().enumerate() {
        let name = if leaves.iter().filter(|leaf| **leaf == leaves[index]).count() == 1 {
            leaves[index].to_owned()
        } else {
            key.clone()
        };
        let values = groups.iter().map(|group| of(&group.values, index)).collect();
        let mut axis = axis(key, name, values);
        for (group, level) in groups.iter().zip(&axis.at) {
            of(&group.shown, index).clone_into(&mut axis.words[*level]);
        }
        all.push(axis);
    }
    if comparison.several_experiments() {
        // Where the settings tell the experiments apart, the names say nothing more.
        let told = groups
            .windows(2)
            .all(|pair| pair[0].experiment == pair[1].experiment || pair[0].values != pair[1].values);
        let mut by_values: BTreeMap<&[String], &str> = BTreeMap::new();
        let one_each = groups
            .iter()
            .all(|group| *by_values.entry(&group.values).or_insert(&group.experiment) == group.experiment);
        if !(told && one_each) {
            let names = groups.iter().map(|group| group.experiment.as_str()).collect();
            all.insert(0, axis("experiment", "experiment".to_owned(), names));
        }
    }
    all.retain(|varied| varied.levels.len() > 1);
    // What an experiment's file varies speaks for what changes with it.
    let swept = |key: &str| {
        groups.iter().flat_map(|group| &group.runs).any(|run| run.record.manifest.run.point.contains_key(key))
    };
    all.sort_by_key(|varied| !swept(&varied.key));
    let mut kept: Vec<Varied> = Vec::new();
    for varied in all {
        match kept.iter_mut().find(|other| change_together(other, &varied)) {
            Some(other) => other.with.push(varied.name),
            None => kept.push(varied),
        }
    }
    let place = |key: &str| comparison.keys.iter().position(|other| other == key);
    kept.sort_by_key(|varied| place(&varied.key));
    kept
}

fn of(values: &[String], index: usize) -> &str {
    values.get(index).map_or(units::MISSING, String::as_str)
}

fn leaf(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

fn axis(key: &str, name: String, values: Vec<&str>) -> Varied {
    let mut levels: Vec<Sorted> = values.iter().map(|value| Sorted((*value).to_owned())).collect();
    levels.sort();
    levels.dedup();
    let at = values.iter().map(|value| levels.iter().position(|level| level.0 == *value).unwrap_or_default());
    let at = at.collect();
    let levels: Vec<String> = levels.into_iter().map(|Sorted(level)| level).collect();
    let numbers: Option<Vec<f64>> =
        levels.iter().map(|level| level.parse().ok().filter(|value: &f64| value.is_finite())).collect();
    let scale = numbers.map_or(Scale::Words, |numbers| scale_of(leaf(key), &numbers));
    Varied { key: key.to_owned(), name, with: Vec::new(), scale, words: levels.clone(), levels, at }
}

/// Words of keys whose values people choose by factors.
const BY_FACTORS: [&str; 4] = ["learning_rate", "_lr", "weight_decay", "eps"];

/// Whether `values`, in order, lie factors apart or steps.
fn scale_of(name: &str, values: &[f64]) -> Scale {
    let (Some(first), Some(last)) = (values.first(), values.last()) else { return Scale::Linear };
    // Zero switches something off, and the rest may be factors all the same.
    if *first == 0.0 && values.len() > 2 {
        return scale_of(name, &values[1..]);
    }
    if *first <= 0.0 || values.len() < 2 {
        return Scale::Linear;
    }
    let powers_of_two =
        values.iter().all(|value| value.fract() == 0.0 && *value < 1e15 && (*value as u64).is_power_of_two());
    let by_name = BY_FACTORS.iter().any(|word| name.ends_with(word)) && last / first >= 1.5;
    if last / first >= 20.0 || by_name || (powers_of_two && last / first >= 2.0) {
        return Scale::Log;
    }
    if values.len() < 3 {
        return if last / first >= 3.0 { Scale::Log } else { Scale::Linear };
    }
    let unevenness = |gaps: Vec<f64>| {
        let mean = gaps.iter().sum::<f64>() / gaps.len() as f64;
        gaps.iter().map(|gap| (gap / mean - 1.0).powi(2)).sum::<f64>()
    };
    let steps = unevenness(values.windows(2).map(|pair| pair[1] - pair[0]).collect());
    let factors = unevenness(values.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect());
    if factors < steps && last / first >= 2.0 { Scale::Log } else { Scale::Linear }
}

/// Whether one says what the other is, both ways. Where each group has values of its own, as in random search, that is so of any
/// two keys: then they must also rise or fall together.
fn change_together(a: &Varied, b: &Varied) -> bool {
    if a.levels.len() != b.levels.len() {
        return false;
    }
    let mut of_a: Vec<Option<usize>> = vec![None; a.levels.len()];
    for (&a, &b) in a.at.iter().zip(&b.at) {
        if *of_a[a].get_or_insert(b) != b {
            return false;
        }
    }
    let mut images: Vec<usize> = of_a.iter().flatten().copied().collect();
    let ordered = images.is_sorted() || images.iter().rev().is_sorted();
    images.sort_unstable();
    images.dedup();
    images.len() == a.levels.len()
        && (ordered || a.levels.len() < a.at.len() || a.levels.len() < 4 || a.scale == Scale::Words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_seen_to_lie_steps_or_factors_apart() {
        for (name, values, scale) in [
            ("learning_rate", &[1e-3, 2e-3][..], Scale::Log),
            ("learning_rate", &[1e-3, 3e-3, 1e-2], Scale::Log),
            ("n_embd", &[32.0, 64.0, 128.0], Scale::Log),
            ("n_embd", &[32.0, 64.0], Scale::Log),
            ("n_layer", &[2.0, 3.0, 4.0], Scale::Linear),
            ("dropout", &[0.0, 0.1, 0.2], Scale::Linear),
            ("dropout", &[0.1, 0.2], Scale::Linear),
            ("momentum", &[0.9, 0.95], Scale::Linear),
            ("warmup_steps", &[0.0, 10.0, 100.0], Scale::Log),
            ("weight_decay", &[0.0, 0.01, 0.03, 0.1], Scale::Log),
            ("warmup_steps", &[10.0, 100.0, 1000.0], Scale::Log),
        ] {
            assert_eq!(scale_of(name, values), scale, "{name} {values:?}");
        }
    }

    #[test]
    fn keys_that_change_together_are_one_and_those_of_a_random_search_are_not() {
        let axis = |values: &[&str]| axis("a.b", "b".to_owned(), values.to_vec());
        let rates = axis(&["0.1", "0.2", "0.1", "0.2"]);
        assert!(change_together(&rates, &axis(&["x", "y", "x", "y"])));
        assert!(!change_together(&rates, &axis(&["x", "y", "y", "x"])));
        let random = axis(&["0.1", "0.2", "0.3", "0.4", "0.5"]);
        assert!(!change_together(&random, &axis(&["7", "2", "9", "1", "8"])));
        assert!(change_together(&random, &axis(&["5", "4", "3", "2", "1"])));
        assert!(random.is_scattered() && !rates.is_scattered());
        let with_zero = axis(&["0", "0.01", "0.1"]);
        assert_eq!(with_zero.scale, Scale::Log);
        assert!((with_zero.place(0).unwrap() - 0.001).abs() < 1e-9 && with_zero.place(2) == Some(0.1));
    }
}

//! Runs of one configuration belong together, whatever their seed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::facts::optimizer::OptimizerKind;
use crate::report::ending::{self, Ending};
use crate::report::settings;
use crate::report::summary::{Outcome, Summary};
use crate::stats::Spread;
use crate::store::RunRecord;
use crate::units;

/// Runs in groups.
pub struct Comparison<'a> {
    /// The keys whose values differ between groups, in the order of the configuration.
    pub keys: Vec<String>,
    /// In order of experiment, then of the values of `keys`.
    pub groups: Vec<Group<'a>>,
}

/// The runs of one experiment with one configuration. They differ in their seed at most.
pub struct Group<'a> {
    pub experiment: String,
    /// The values of [`Comparison::keys`].
    pub values: Vec<String>,
    /// The same with no more digits than people read, where that tells them apart: `7.352e-4`.
    pub shown: Vec<String>,
    /// What the group is called: what differs, shortly.
    pub label: String,
    pub runs: Vec<Run<'a>>,
}

pub struct Run<'a> {
    pub record: &'a RunRecord,
    pub summary: Summary,
    pub ending: Ending,
    /// [`ending::outcome`].
    pub outcome: String,
    /// The directory of a newer run of the same setting and seed, which counts in its place: the same once more says nothing new.
    pub counted_as: Option<String>,
}

impl<'a> Comparison<'a> {
    pub fn of(records: &'a [RunRecord]) -> Comparison<'a> {
        let all: Vec<(&RunRecord, Vec<(String, String)>)> =
            records.iter().map(|record| (record, configuration(record))).collect();
        let keys = differing(&all);

        let mut groups: BTreeMap<(String, Vec<Sorted>), Vec<Run>> = BTreeMap::new();
        for (record, configuration) in all {
            let configuration: BTreeMap<String, String> = configuration.into_iter().collect();
            let values = keys.iter().map(|key| {
                Sorted(configuration.get(key).cloned().unwrap_or_else(|| units::MISSING.to_owned()))
            });
            let (ending, outcome) = (Ending::of(&record.manifest), ending::outcome(&record.manifest));
            let run = Run { record, summary: Summary::of(record), ending, outcome, counted_as: None };
            let experiment = record.manifest.run.experiment.clone();
            groups.entry((experiment, values.collect())).or_default().push(run);
        }
        let groups = groups.into_iter().map(|((experiment, values), mut runs)| {
            runs.sort_by(|a, b| {
                let key = |run: &Run| (run.record.manifest.run.seed, run.record.id(), run.record.dir.clone());
                key(a).cmp(&key(b))
            });
            count_once(&mut runs);
            let values: Vec<String> = values.into_iter().map(|Sorted(value)| value).collect();
            Group { experiment, label: String::new(), shown: values.clone(), values, runs }
        });
        let mut comparison = Comparison { groups: groups.collect(), keys };
        comparison.shorten();
        comparison.label();
        comparison
    }

    pub fn several_experiments(&self) -> bool {
        self.groups.windows(2).any(|pair| pair[0].experiment != pair[1].experiment)
    }

    /// When the last of the runs ended, or began.
    pub fn date(&self) -> Option<Timestamp> {
        let manifests = self.groups.iter().flat_map(|group| &group.runs).map(|run| &run.record.manifest);
        manifests.map(|manifest| manifest.finished_at.unwrap_or(manifest.started_at)).max()
    }

    /// Random search gives numbers with more digits than anybody reads.
    fn shorten(&mut self) {
        for index in 0..self.keys.len() {
            let values: BTreeSet<String> =
                self.groups.iter().map(|group| group.values[index].clone()).collect();
            for digits in 4..8 {
                let shown: BTreeMap<&String, String> =
                    values.iter().map(|value| (value, short(value, digits))).collect();
                let distinct: BTreeSet<&String> = shown.values().collect();
                if distinct.len() == shown.len() {
                    for group in &mut self.groups {
                        group.shown[index].clone_from(&shown[&group.values[index]]);
                    }
                    break;
                }
            }
        }
    }

    /// Names groups by what differs within their experiment, and by the experiment where there are several.
    fn label(&mut self) {
        let several = self.several_experiments();
        let leaf = |key: &str| key.rsplit('.').next().unwrap_or(key).to_owned();
        let mut start = 0;
        while start < self.groups.len() {
            let end = start
                + self.groups[start..].partition_point(|g| g.experiment == self.groups[start].experiment);
            let siblings = &self.groups[start..end];
            let differs = |index: &usize| {
                siblings.windows(2).any(|pair| pair[0].values[*index] != pair[1].values[*index])
            };
            let differing: Vec<usize> = (0..self.keys.len()).filter(differs).collect();
            let leaves: Vec<String> = differing.iter().map(|&index| leaf(&self.keys[index])).collect();
            let names: Vec<String> = differing
                .iter()
                .zip(&leaves)
                .map(|(&index, name)| {
                    let alone = leaves.iter().filter(|other| *other == name).count() == 1;
                    if alone { name.clone() } else { self.keys[index].clone() }
                })
                .collect();
            for group in &mut self.groups[start..end] {
                let settings: Vec<String> = names
                    .iter()
                    .zip(&differing)
                    .map(|(name, &index)| format!("{name} = {}", group.shown[index]))
                    .collect();
                group.label = match (several, settings.is_empty()) {
                    (_, true) => group.experiment.clone(),
                    (true, false) => format!("{}: {}", group.experiment, settings.join(", ")),
                    (false, false) => settings.join(", "),
                };
            }
            start = end;
        }
    }
}

impl Group<'_> {
    /// The runs that came to a planned end, of each seed the newest: the ones that count.
    pub fn counted(&self) -> impl Iterator<Item = &Run<'_>> {
        self.runs.iter().filter(|run| run.ending.is_planned() && run.counted_as.is_none())
    }

    /// An outcome over the counted runs that have it.
    pub fn spread(&self, outcome: &Outcome) -> Option<Spread> {
        let values: Vec<f64> = self.counted().filter_map(|run| (outcome.get)(&run.summary)).collect();
        Spread::of(&values)
    }

    /// [`Group::spread`] where no counted run lacks the value.
    pub fn whole_spread(&self, outcome: &Outcome) -> Option<Spread> {
        self.spread(outcome).filter(|spread| spread.n == self.counted().count())
    }
}

/// Of the runs of one setting that came to a planned end with the same seed only the newest counts.
fn count_once(runs: &mut [Run]) {
    let newest_of = |run: &Run| {
        let same = runs.iter().filter(|other| {
            other.ending.is_planned() && other.record.manifest.run.seed == run.record.manifest.run.seed
        });
        let newest = same.max_by_key(|other| (other.record.manifest.started_at, &other.record.dir))?;
        let dir = &newest.record.dir;
        (run.ending.is_planned() && *dir != run.record.dir).then(|| dir.name())
    };
    let counted_as: Vec<Option<String>> = runs.iter().map(newest_of).collect();
    for (run, newer) in runs.iter_mut().zip(counted_as) {
        run.counted_as = newer;
    }
}

/// Every key that could make runs differ, with its value as text. What is about the experiment and not the training
/// (name, seed, reference) is left away; the data's hash and the hardware's name are added. What was changed under way counts as
/// it was: the run is still one of its setting, and the page says what was changed.
fn configuration(record: &RunRecord) -> Vec<(String, String)> {
    let leaves = if record.config.is_empty() {
        // A damaged configuration: the manifest still holds the sweep point.
        record.manifest.run.point.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    } else {
        settings::flatten(&record.config)
    };
    let aside = ["experiment.", "reference.", "sweep."];
    let optimizer = optimizer(record);
    let unread = |key: &str| optimizer.is_some_and(|kind| !kind.reads_key(key));
    let mut all: Vec<(String, String)> = leaves
        .into_iter()
        .filter(|(key, _)| !aside.iter().any(|prefix| key.starts_with(prefix)) && key != "extends")
        .filter(|(key, _)| !unread(key))
        .map(|(key, value)| {
            let adapted = record.manifest.adapted.iter().find(|change| change.key == key);
            let value = adapted.map_or_else(
                || settings::display(&value),
                |change| settings::display_written(&change.before),
            );
            let value = if key == "train.init_from" { beginning(record, value) } else { value };
            (key, value)
        })
        .collect();
    if let Some(data) = &record.manifest.data {
        all.push(("data sha256".to_owned(), data.sha256.chars().take(12).collect()));
    }
    if let Some(device) = &record.manifest.device {
        let name = if device.name.is_empty() { &device.device } else { &device.name };
        all.push(("device".to_owned(), name.clone()));
    }
    all
}

/// A number with so many digits at most; whole numbers and words as they are.
fn short(value: &str, digits: usize) -> String {
    match value.parse::<f64>() {
        Ok(number) if number.is_finite() && number.fract() != 0.0 => {
            let short =
                format!("{number:.*e}", digits - 1).parse().map_or_else(|_| value.to_owned(), units::number);
            if short.len() < value.len() { short } else { value.to_owned() }
        }
        _ => value.to_owned(),
    }
}

fn optimizer(record: &RunRecord) -> Option<OptimizerKind> {
    OptimizerKind::of_word(&settings::text(&record.config, "optimizer.kind"))
}

/// What the run began from, as a person would say it; `path` is what its configuration names.
fn beginning(record: &RunRecord, path: String) -> String {
    let Some(info) = &record.manifest.init_from else {
        return if path.is_empty() { "random weights".to_owned() } else { path };
    };
    match (&info.name, info.step) {
        (Some(name), Some(step)) => format!("{name}, step {}", units::count(step)),
        (Some(name), None) => name.clone(),
        (None, _) => path,
    }
}

/// The keys that do not have one value throughout, in the order in which they first come. A key that only one optimizer reads does
/// not differ from runs with another one.
fn differing(all: &[(&RunRecord, Vec<(String, String)>)]) -> Vec<String> {
    struct Seen<'a> {
        value: &'a str,
        count: usize,
        differs: bool,
    }
    let mut order: Vec<&str> = Vec::new();
    let mut seen: BTreeMap<&str, Seen> = BTreeMap::new();
    // What a run that did not start never knew is no difference: it has no device and may have no data.
    let started = |record: &RunRecord| record.manifest.device.is_some();
    for (_, configuration) in all {
        for (key, value) in configuration {
            let first = || {
                order.push(key);
                Seen { value, count: 0, differs: false }
            };
            let entry = seen.entry(key).or_insert_with(first);
            entry.count += 1;
            entry.differs |= entry.value != value;
        }
    }
    let started = all.iter().filter(|(record, _)| started(record)).count();
    let optimizers: Vec<Option<OptimizerKind>> = all.iter().map(|(record, _)| optimizer(record)).collect();
    let expected = |key: &str| match key {
        "device" | "data sha256" => started,
        _ => optimizers.iter().filter(|kind| kind.is_none_or(|kind| kind.reads_key(key))).count(),
    };
    let differs = |key: &&str| seen.get(key).is_some_and(|seen| seen.differs || seen.count < expected(key));
    order.into_iter().filter(differs).map(str::to_owned).collect()
}

/// A value's text in the order of what it means: numbers by size, and before words.
#[derive(Clone, Debug)]
pub(super) struct Sorted(pub(super) String);

impl Ord for Sorted {
    fn cmp(&self, other: &Self) -> Ordering {
        let number = |text: &str| text.parse::<f64>().ok();
        match (number(&self.0), number(&other.0)) {
            (Some(a), Some(b)) => a.total_cmp(&b).then_with(|| self.0.cmp(&other.0)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => self.0.cmp(&other.0),
        }
    }
}

impl PartialOrd for Sorted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sorted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Sorted {}

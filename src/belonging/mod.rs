//! Which runs of an experiment belong together: those of its present plan, and others that differ from them in nothing but what is
//! swept and in their seeds. All others are of another configuration, mostly an older one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::config::{self, differences, experiment::RunPlan};
use crate::facts::{KeyChange, Status};
use crate::store::manifest::Manifest;
use crate::store::planned::{self, PlannedRun};
use crate::store::{RunDir, scan};

/// The runs of an experiment's folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Belonging {
    /// Those that are compared, in order of path, and those that cannot be read: what became of them is not passed over in silence.
    pub current: Vec<PathBuf>,
    /// Those of another configuration, each with what differs from it to the present one.
    pub older: Vec<(PathBuf, Vec<KeyChange>)>,
    /// Names of runs of the plan that were not made yet.
    pub missing: Vec<String>,
}

/// Current runs that one that may be older is held against.
const MOST_COMPARED: usize = 64;

struct Run {
    dir: RunDir,
    manifest: Manifest,
}

impl Run {
    fn frozen(&self) -> Option<RunPlan> {
        config::read_frozen(&self.dir.config(), self.manifest.config_sha256.as_deref()).ok()
    }
}

/// The runs in the folder of an experiment. `plan` is what its file plans, where there is one; otherwise the last plan that is
/// written down counts, and without that the configuration of the newest run.
pub fn of(experiment: &Path, plan: Option<&[PlannedRun]>) -> Belonging {
    let mut runs: BTreeMap<String, Run> = BTreeMap::new();
    let mut unreadable: Vec<String> = Vec::new();
    for (path, manifest) in scan::scan(experiment) {
        let dir = RunDir::open(&path);
        match manifest {
            Ok(manifest) => {
                runs.insert(dir.name(), Run { dir, manifest });
            }
            Err(_) => unreadable.push(dir.name()),
        }
    }
    let recorded = if plan.is_none() { planned::read(experiment) } else { None };
    let plan = plan.or(recorded.as_deref()).unwrap_or_default();
    let mut current: Vec<&str> =
        plan.iter().filter_map(|run| run.dir.as_deref()).filter(|dir| runs.contains_key(*dir)).collect();
    if current.is_empty() {
        // None of the plan's runs was made, or there is no plan.
        current = newest(&runs).into_iter().collect();
    }
    let mut belonging = Belonging {
        missing: plan.iter().filter(|run| run.dir.is_none()).map(|run| run.name.clone()).collect(),
        ..Belonging::default()
    };
    let mut references = References::new(&runs, &current);
    // Where nothing was trained there is nothing to compare.
    let rest: Vec<&str> = runs
        .iter()
        .filter(|(name, run)| !current.contains(&name.as_str()) && run.manifest.status != Status::Skipped)
        .map(|(name, _)| name.as_str())
        .collect();
    let mut joined: Vec<&str> = Vec::new();
    for name in rest {
        let changes = references.changes(name);
        if changes.is_empty() {
            joined.push(name);
        } else {
            belonging.older.push((runs[name].dir.path().to_owned(), changes));
        }
    }
    // In the order in which runs are listed everywhere.
    let belongs = |path: &PathBuf| {
        let name = RunDir::open(path).name();
        current.contains(&name.as_str()) || joined.contains(&name.as_str()) || unreadable.contains(&name)
    };
    belonging.current = scan::paths(experiment).into_iter().filter(belongs).collect();
    belonging
}

/// The run that was started last.
fn newest(runs: &BTreeMap<String, Run>) -> Option<&str> {
    let trained = runs.iter().filter(|(_, run)| run.manifest.status != Status::Skipped);
    trained.max_by_key(|(_, run)| run.manifest.started_at).map(|(name, _)| name.as_str())
}

/// The current runs, whose configurations are read once and only if they are asked for.
struct References<'a> {
    runs: &'a BTreeMap<String, Run>,
    current: &'a [&'a str],
    plans: BTreeMap<&'a str, Option<RunPlan>>,
}

impl<'a> References<'a> {
    fn new(runs: &'a BTreeMap<String, Run>, current: &'a [&'a str]) -> Self {
        Self { runs, current, plans: BTreeMap::new() }
    }

    /// What distinguishes a run from the current one that is most like it, beside what is swept.
    fn changes(&mut self, name: &str) -> Vec<KeyChange> {
        let run = &self.runs[name];
        let Some(before) = run.frozen() else {
            return vec![KeyChange {
                key: "config.toml".to_owned(),
                before: "unreadable".to_owned(),
                now: "-".to_owned(),
            }];
        };
        // The same point once more comes first: it says most.
        let mut candidates: Vec<&'a str> = self.current.to_vec();
        candidates.sort_by_key(|other| base(other) != base(name));
        let mut least: Option<Vec<KeyChange>> = None;
        for other in candidates.into_iter().take(MOST_COMPARED) {
            let runs = self.runs;
            let plan = self.plans.entry(other).or_insert_with(|| runs[other].frozen());
            let Some(now) = plan.as_ref() else { continue };
            let changes = unlike(run, &before, &runs[other], now);
            if least.as_ref().is_none_or(|least| changes.len() < least.len()) {
                least = Some(changes);
            }
            if least.as_ref().is_some_and(Vec::is_empty) || base(other) == base(name) {
                break;
            }
        }
        // Where no configuration can be read, none is older than another.
        least.unwrap_or_default()
    }
}

/// The name of a run without the number that it has for being trained again.
fn base(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, number)) if number.parse::<u64>().is_ok_and(|number| number > 1) => base,
        _ => name,
    }
}

/// The keys that differ and should not: what either of the runs sweeps, what follows from that, and the seed may.
fn unlike(run: &Run, before: &RunPlan, other: &Run, now: &RunPlan) -> Vec<KeyChange> {
    let mut swept: Vec<&str> = Vec::new();
    for manifest in [&run.manifest, &other.manifest] {
        swept.extend(manifest.run.point.keys().map(String::as_str));
        // Under way, to get it through.
        swept.extend(manifest.adapted.iter().map(|change| change.key.as_str()));
    }
    let may_differ = |key: &str| {
        let section = key.split('.').next().unwrap_or(key);
        // Of an optimizer, a schedule and a preset the other keys of the section are what is usual for it.
        let leads =
            |swept: &&str| matches!(swept.split_once('.'), Some((s, "kind" | "preset")) if s == section);
        key == "experiment.seed" || swept.contains(&key) || swept.iter().any(leads)
    };
    let mut changes = differences(before, &run.manifest.adapted, now);
    changes.retain(|change| !may_differ(&change.key));
    if let (Some(before), Some(now)) = (&run.manifest.data, &other.manifest.data)
        && before.sha256 != now.sha256
        && !swept.iter().any(|key| key.starts_with("data."))
    {
        let short = |sum: &str| sum.chars().take(12).collect();
        let (before, now) = (short(&before.sha256), short(&now.sha256));
        changes.push(KeyChange { key: "data sha256".to_owned(), before, now });
    }
    changes
}

#[cfg(test)]
mod tests;

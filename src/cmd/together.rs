//! What a comparison is of: all runs that belong to its experiments, and not only those that a command was about.

use std::path::{Path, PathBuf};

use super::args::{Folders, Selection};
use super::preflight::Planned;
use super::sweep::Item;
use crate::belonging::{self, Belonging};
use crate::config::{self, LoadOptions, experiment::RunPlan};
use crate::files::atomic;
use crate::launcher::again::{self, Again, Decision};
use crate::report::compare::{LeftOut, Older, name_for};
use crate::shell::quote;
use crate::store::planned::{self, PlannedRun};
use crate::store::{RunDir, scan};
use crate::terminal;

/// What a comparison shows beside the runs of a command.
#[derive(Debug, Default)]
pub struct Together {
    /// In the order in which the comparison is called after them.
    pub experiments: Vec<String>,
    /// Further runs that count.
    pub others: Vec<PathBuf>,
    /// Runs that do not count, because they were configured otherwise; those of the command may be among them.
    pub older: Vec<Older>,
    pub left_out: Vec<LeftOut>,
}

impl Together {
    /// What the comparison is called, unless a person says otherwise.
    pub fn name(&self) -> String {
        name_for(&self.experiments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// The command that makes the comparison again.
    pub fn again(&self, name: Option<&str>) -> String {
        let experiments = self.experiments.iter().map(|experiment| format!(" {}", quote(experiment)));
        let name = name.map_or_else(String::new, |name| format!(" --name {}", quote(name)));
        format!("runner compare{}{name}", experiments.collect::<String>())
    }

    /// Adds what belongs to an experiment, but for the runs of the command that `of_command` names: each is looked at there.
    pub fn add(&mut self, experiment: &str, found: Belonging, of_command: impl Fn(&str) -> Known) {
        self.experiments.push(experiment.to_owned());
        let known = |path: &Path| of_command(&RunDir::open(path).name());
        self.others.extend(found.current.into_iter().filter(|path| known(path) == Known::No));
        let older = found.older.into_iter().filter(|(path, _)| known(path) != Known::LeftOut);
        self.older.extend(older.map(|(dir, changes)| Older { dir, changes }));
        let missing = found.missing.into_iter().map(|name| LeftOut {
            run: format!("{experiment}/{name}"),
            reason: "planned by the experiment, and not started yet.".to_owned(),
        });
        self.left_out.extend(missing);
    }
}

/// What a command has to say of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    No,
    Trained,
    LeftOut,
}

/// What belongs to the experiments of the files, whose runs `items` are, in the same order as `planned`. What the files plan is
/// written down for commands that see the runs alone.
pub fn of_files(selection: &Selection, planned: &[Planned], items: &[Item], folders: &Folders) -> Together {
    let dirs: Vec<Option<String>> = items.iter().map(|item| Some(name_in(item).1)).collect();
    let mut together = Together::default();
    for (experiment, plan) in record(selection, planned, &dirs, &folders.runs_dir) {
        let found = belonging::of(&folders.runs_dir.join(&experiment), plan.as_deref());
        together.add(&experiment, found, |name| known(items, &experiment, name));
    }
    together
}

/// What belongs to the experiments that these runs are of, by what is written down.
pub fn of_items(items: &[Item], folder_of: impl Fn(&str) -> Option<PathBuf>) -> Together {
    let mut together = Together::default();
    for item in items {
        let (experiment, _) = name_in(item);
        if together.experiments.contains(&experiment) {
            continue;
        }
        let found = folder_of(&experiment).map(|folder| belonging::of(&folder, None)).unwrap_or_default();
        together.add(&experiment, found, |name| known(items, &experiment, name));
    }
    together
}

/// What belongs to the experiments of a file that is not trained now.
pub fn of_file(file: &Path, runs_dir: &Path) -> Result<Vec<(PathBuf, Belonging)>, config::ConfigErrors> {
    let plans = config::load(&[file.to_owned()], &LoadOptions::default())?;
    let mut found = Vec::new();
    for experiment in experiments(&plans) {
        let folder = runs_dir.join(&experiment);
        let plan = (!is_frozen(&plans)).then(|| looked_up(&plans, &experiment, runs_dir));
        let belonging = belonging::of(&folder, plan.as_deref());
        found.push((folder, belonging));
    }
    Ok(found)
}

/// Writes down what the files plan, all of it, whatever part of it was selected, with the directories of the runs that were. Gives the
/// plan that a comparison is of, by experiment; `None` where the files say nothing of the whole, as a run's frozen configuration.
pub fn record(
    selection: &Selection,
    planned: &[Planned],
    dirs: &[Option<String>],
    runs_dir: &Path,
) -> Vec<(String, Option<Vec<PlannedRun>>)> {
    let selected: Vec<RunPlan> = planned.iter().map(|run| run.plan.clone()).collect();
    let load = |set: &[String]| {
        config::load(&selection.files, &LoadOptions { set: set.to_vec(), only: Vec::new() }).ok()
    };
    let partial = !selection.only.is_empty();
    let all = if partial { load(&selection.set).unwrap_or_default() } else { selected.clone() };
    // A try-out with another value of a key, for some runs alone, does not take the place of what the file plans.
    let unset = if partial && !selection.set.is_empty() { load(&[]) } else { None };
    let mut plans = Vec::new();
    for experiment in experiments(&selected) {
        let of_experiment: Vec<&RunPlan> =
            all.iter().filter(|plan| plan.experiment.name == experiment).collect();
        if of_experiment.is_empty() || is_frozen(of_experiment.iter().copied()) {
            plans.push((experiment, None));
            continue;
        }
        let run = |plan: &&RunPlan| {
            let at =
                selected.iter().position(|one| one.experiment.name == experiment && one.name == plan.name);
            let dir = at.map_or_else(|| directory_of(plan, runs_dir), |at| dirs.get(at).cloned().flatten());
            PlannedRun { name: plan.name.clone(), dir }
        };
        let runs: Vec<PlannedRun> = of_experiment.iter().map(run).collect();
        let made = |runs: &[PlannedRun]| runs.iter().filter(|run| run.dir.is_some()).count();
        let by_file = unset.as_deref().map(|unset| looked_up(unset, &experiment, runs_dir));
        if let Some(by_file) = by_file.filter(|by_file| made(by_file) > made(&runs)) {
            plans.push((experiment, Some(by_file)));
            continue;
        }
        if let Err(error) = planned::write(&runs_dir.join(&experiment), &runs) {
            terminal::err(format_args!("warning: {error}; `runner compare` will go by the runs alone"));
        }
        plans.push((experiment, Some(runs)));
    }
    plans
}

/// The runs that plans mean, with the directories that they have by now.
fn looked_up(plans: &[RunPlan], experiment: &str, runs_dir: &Path) -> Vec<PlannedRun> {
    let of_experiment = plans.iter().filter(|plan| plan.experiment.name == experiment);
    let run = |plan: &RunPlan| PlannedRun { name: plan.name.clone(), dir: directory_of(plan, runs_dir) };
    of_experiment.map(run).collect()
}

/// The directory of the run that a plan means, if there is one; its corpus is not looked at.
fn directory_of(plan: &RunPlan, runs_dir: &Path) -> Option<String> {
    match again::decide(plan, runs_dir, None, Again::default()) {
        Decision::New(_) => None,
        Decision::Keep(dir, _)
        | Decision::GoOn(dir, _)
        | Decision::Busy(dir, _)
        | Decision::Unusable(dir, _) => Some(dir.name()),
    }
}

/// Names of the plans' experiments, in order.
fn experiments(plans: &[RunPlan]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for plan in plans {
        if !names.contains(&plan.experiment.name) {
            names.push(plan.experiment.name.clone());
        }
    }
    names
}

/// Whether they come from configurations of single runs, which know nothing of the experiment's others.
fn is_frozen<'a>(plans: impl IntoIterator<Item = &'a RunPlan>) -> bool {
    plans.into_iter().any(|plan| plan.experiment.run.is_some())
}

/// Experiment and directory of an item.
fn name_in(item: &Item) -> (String, String) {
    let id = match item {
        Item::Train(dir) | Item::Done(dir, ..) => scan::id_of(dir),
        Item::LeftOut(run) | Item::Broken(run) => run.run.clone(),
    };
    match id.split_once('/') {
        Some((experiment, run)) => (experiment.to_owned(), run.to_owned()),
        None => (String::new(), id),
    }
}

fn known(items: &[Item], experiment: &str, name: &str) -> Known {
    let same = |item: &&Item| {
        let (of, run) = name_in(item);
        of == experiment && run == name
    };
    match items.iter().find(same) {
        None => Known::No,
        Some(Item::Train(_) | Item::Done(..)) => Known::Trained,
        Some(Item::LeftOut(_) | Item::Broken(_)) => Known::LeftOut,
    }
}

/// The folder of the experiment that a run is of.
pub fn folder_of(run: &Path) -> PathBuf {
    atomic::folder_of(run).to_owned()
}

//! From one experiment file to the plans of its runs.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use toml::Value;

use super::build::{self, Identity};
use super::error::{ConfigError, Place, counted};
use super::experiment::RunPlan;
use super::idle;
use super::read::{self, Findings, Layer, Lineage, MAX_RUNS, Overrides, Resolved, too_many};
use super::run_name;
use super::validate;
use super::value::value_text;
use crate::files::{FOLDER_LONGEST, FOLDER_SIGNS, is_folder_name, why_no_folder_name};
use crate::units;

/// Bytes of text in all plans of an experiment. Each run has its own copy of every description and prompt.
const MAX_TEXT_BYTES: u64 = 128 << 20;
/// Problems after which the remaining points are not looked at: they repeat the same ones.
const ENOUGH_PROBLEMS: usize = 200;

/// All runs of a file, or all that is wrong with it. Rules about keys in `doubtful` are left out.
pub(in crate::config) fn expand(
    path: &Path,
    overrides: &Overrides,
    doubtful: &BTreeSet<&'static str>,
) -> Result<Vec<RunPlan>, Vec<ConfigError>> {
    let mut findings = Findings { problems: Vec::new(), doubtful: doubtful.clone() };
    let plans = read::read(path, &mut findings)
        .and_then(|lineage| expand_lineage(lineage, overrides, &mut findings))
        .unwrap_or_default();
    if findings.problems.is_empty() { Ok(plans) } else { Err(findings.problems) }
}

fn expand_lineage(lineage: Lineage, overrides: &Overrides, findings: &mut Findings) -> Option<Vec<RunPlan>> {
    let Lineage { path, layers, sweep } = lineage;
    let sweep = sweep.without(|key| overrides.layer.contains(key.name)).with(&overrides.axes);
    let place = sweep.place().cloned().unwrap_or_else(|| Place::File(path.clone()));
    let points = sweep.count().filter(|&points| points <= MAX_RUNS);
    let Some(points) = points else {
        findings.add(too_many(&place, sweep.count()));
        return None;
    };

    let mut plans = Vec::new();
    let mut text_bytes = 0;
    for index in 0..points {
        if findings.problems.len() > ENOUGH_PROBLEMS {
            break;
        }
        let settings = sweep.point(index);
        let mut point = Layer::default();
        settings.iter().cloned().for_each(|setting| point.set(setting));
        let resolved = point.close().and_then(|()| read::resolve(&layers, &point, &overrides.layer));
        let resolved = match resolved {
            Ok(resolved) => resolved,
            Err(problem) => {
                findings.add(problem);
                continue;
            }
        };
        findings.problems.extend(validate::violations(&resolved, &findings.doubtful));
        let Some(experiment) = experiment_name(&path, &resolved, findings) else { break };
        let repeats = resolved.raw.experiment.repeats;
        if points * repeats > MAX_RUNS {
            findings.add(too_many(&place, Some(points * repeats)));
            break;
        }
        if points * repeats > 1
            && let Some(problem) = one_name_for_several(&resolved, points * repeats, sweep.place())
        {
            findings.add(problem);
            break;
        }
        text_bytes += repeats * resolved.settings.iter().map(|(_, set)| bytes_of(&set.value)).sum::<u64>();
        if text_bytes > MAX_TEXT_BYTES {
            findings.add(too_much_text(&resolved, points * repeats, sweep.place()));
            break;
        }
        if findings.problems.is_empty() {
            plans.extend((0..repeats).map(|repeat| {
                let (experiment, point) = (experiment.clone(), settings.clone());
                build::build(&resolved, Identity { experiment, point, repeat })
            }));
            if let (true, Some(plan)) = (points * repeats == 1, plans.last_mut()) {
                plan.idle.splice(0..0, idle::idle_alone(&resolved));
            }
        }
    }
    if findings.problems.is_empty() {
        run_name::name_all(&mut plans);
        idle::leave_common(plans.iter_mut().map(|plan| &mut plan.idle));
        reject_equal_runs(&plans, &place, findings);
    }
    Some(plans)
}

/// Many runs with long texts, which nobody could hold in memory.
fn too_much_text(resolved: &Resolved, runs: u64, sweep: Option<&Place>) -> ConfigError {
    let longest = resolved.settings.iter().max_by_key(|(_, set)| bytes_of(&set.value));
    let what = format!("the texts of {} runs take too much memory", units::count(runs));
    let problem = match longest {
        Some((_, set)) => {
            let bytes = units::bytes(bytes_of(&set.value) as f64);
            let place = set.origin.place();
            ConfigError::new(place, format!("{what}: `{}` is {bytes} in each", set.key.name))
                .key(set.key.name)
        }
        None => ConfigError::new(Place::Default, what),
    };
    let problem = problem.help("shorten it, or have fewer runs in one file");
    match sweep {
        Some(sweep) => problem.note(format!("the sweep is at {}", sweep.short())),
        None => problem,
    }
}

/// What a value takes in memory beyond the size that all values have.
fn bytes_of(value: &Value) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(|item| size_of::<Value>() as u64 + bytes_of(item)).sum(),
        _ => 0,
    }
}

/// Several runs cannot have the one name that `experiment.run` gives.
fn one_name_for_several(resolved: &Resolved, runs: u64, sweep: Option<&Place>) -> Option<ConfigError> {
    let (_, run) = resolved.setting("experiment.run").filter(|(_, run)| run.value.as_str() != Some(""))?;
    let what = format!("{} runs cannot all be called {}", units::count(runs), value_text(&run.value));
    let mut problem = ConfigError::new(run.origin.place(), what).key(run.key.name);
    if let Some(sweep) = sweep {
        problem = problem.note(format!("the sweep is at {}", sweep.short()));
    }
    if let Some((_, repeats)) =
        resolved.setting("experiment.repeats").filter(|_| resolved.raw.experiment.repeats > 1)
    {
        let (count, place) = (resolved.raw.experiment.repeats, repeats.origin.place().short());
        problem = problem.note(format!("`experiment.repeats` is {count} ({place})"));
    }
    Some(problem.help("leave `run` empty: each run is then named after its sweep point and seed"))
}

/// The key, or else the file's stem where that can name a folder.
fn experiment_name(path: &Path, resolved: &Resolved, findings: &mut Findings) -> Option<String> {
    let name = &resolved.raw.experiment.name;
    if !name.is_empty() {
        return Some(name.clone());
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    if is_folder_name(&stem) {
        return Some(stem.into_owned());
    }
    let what = format!("the file's name \"{stem}\" cannot be the name of the experiment");
    let problem = ConfigError::new(Place::File(path.to_path_buf()), what).key("experiment.name");
    let why = why_no_folder_name(&stem, FOLDER_SIGNS, FOLDER_LONGEST);
    findings.add(problem.help(format!("{why}; set `name` in [experiment], or call the file something else")));
    None
}

/// Two runs that are the same in every key would train the same thing twice.
fn reject_equal_runs(plans: &[RunPlan], place: &Place, findings: &mut Findings) {
    let mut seen: HashMap<String, &RunPlan> = HashMap::new();
    let mut doubles = Vec::new();
    for plan in plans {
        let content: Vec<String> = plan.values().iter().map(value_text).collect();
        if let Some(first) = seen.insert(content.join("\u{1f}"), plan) {
            doubles.push(format!("{} and {}", first.name, plan.name));
        }
    }
    let Some(first) = doubles.first() else { return };
    let what = format!("the sweep has the same run more than once ({})", counted(doubles.len(), "pair"));
    let seeds = plans.iter().any(|plan| {
        plan.experiment.repeats > 1 && plan.point.iter().any(|(key, _)| key == "experiment.seed")
    });
    let problem = ConfigError::new(place.clone(), what).note(first.clone());
    findings.add(problem.help(if seeds {
        "`experiment.repeats` counts up from each swept seed: sweep the seed or repeat, not both"
    } else {
        "remove the value that is listed twice, or what overrides it (a preset in `--set` sets all sizes)"
    }));
}

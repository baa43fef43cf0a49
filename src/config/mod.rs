//! From TOML files to validated [`RunPlan`]s.
//!
//! Rooms, in the order in which a value goes through them: `keys`, the table of all keys, each a row in `keys/rows`, and what people
//! read of it (`defaults.toml`, `runner explain`, the JSON Schema); `read`, in which a file is read with the places of its values (`document`), checked key by key (`sections`, `check`), put on top of what it
//! extends (`inherit`) and merged (`layers`, which states the order of precedence); `plan`, in which it is multiplied by its sweep
//! (`expand`), checked as a whole (`validate`, `rules`) and turned into plans (`build`); `frozen`, the file that a run keeps.
//! `names` and `hint` know what other programs call things.
//! Every problem of every file is reported, and nothing is returned unless there is none.

pub mod names;

mod error;
#[cfg(test)]
mod fixture;
mod frozen;
mod hint;
mod keys;
mod plan;
mod read;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use error::{ConfigError, ConfigErrors, Line, Place};
#[cfg(test)]
pub(crate) use fixture::frozen_text;
pub use frozen::{adapted, differences, pinned, read_frozen, render_frozen};
pub use keys::{DEFAULTS, explain, explain_all, json_schema, name_of_run, schema, value_text};
pub use plan::{IdleKey, experiment, idle_sentences};
pub use read::MAX_RUNS;

use experiment::RunPlan;
use read::Findings;

/// What the command line adds to the files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// `key=value`, the strongest layer: a key that is set here is not swept in the file. `key=a,b` sweeps it, as an axis of the grid.
    pub set: Vec<String>,
    /// Names of experiments or runs to keep, with `*` for any characters; all when empty.
    pub only: Vec<String>,
}

/// Reads, expands and validates experiment files: all their runs, in the order of the files. A file that is named
/// twice counts once.
///
/// # Errors
/// Everything that is wrong with the files and the options, at once.
///
/// # Example
/// ```
/// use runner::config::{self, LoadOptions};
///
/// let folder = tempfile::tempdir()?;
/// let file = folder.path().join("rates.toml");
/// std::fs::write(&file, "[sweep.grid]\noptimizer.learning_rate = [1e-3, 3e-3]\n")?;
///
/// let plans = config::load(std::slice::from_ref(&file), &LoadOptions::default())?;
/// let rates: Vec<f64> = plans.iter().map(|plan| plan.optimizer.learning_rate).collect();
/// assert_eq!(rates, [1e-3, 3e-3]);
///
/// std::fs::write(&file, "[optimizer]\nlearning_rat = 1e-3\n")?;
/// let problems = config::load(&[file], &LoadOptions::default()).unwrap_err().to_string();
/// assert!(problems.contains("rates.toml:2") && problems.contains("learning_rate"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load(files: &[PathBuf], options: &LoadOptions) -> Result<Vec<RunPlan>, ConfigErrors> {
    if files.is_empty() {
        let problem = ConfigError::new(Place::Argument("FILES".into()), "no experiment files are given");
        return Err(ConfigErrors::new(vec![problem.help("for example: runner experiments/quickstart.toml")]));
    }
    let mut findings = Findings::default();
    let overrides = read::overrides(&options.set, &mut findings);
    let mut problems = findings.problems;
    let mut plans: Vec<RunPlan> = Vec::new();
    let mut read: Vec<PathBuf> = Vec::new();
    let mut names: Vec<Name> = Vec::new();
    for file in files {
        let identity = read::identity(file);
        if read.contains(&identity) {
            continue;
        }
        read.push(identity);
        match plan::expand(file, &overrides, &findings.doubtful) {
            Ok(runs) => {
                if let Some(run) = runs.first() {
                    let name = Name {
                        file,
                        experiment: run.experiment.name.clone(),
                        run: run.given_name().map(str::to_owned),
                    };
                    problems.extend(names.iter().find_map(|other| name.clash(other)));
                    names.push(name);
                }
                plans.extend(runs);
            }
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        match plan::select(plans, &options.only) {
            Ok(plans) => return Ok(plans),
            Err(idle) => problems = idle,
        }
    }
    Err(ConfigErrors::new(problems))
}

/// The key that a name means, this program's or another's, by its dotted name, and what to say of the difference.
pub fn meant_key(name: &str) -> (Option<&'static str>, String) {
    if let Some(key) = schema::key(name) {
        return (Some(key.name), String::new());
    }
    let hint = hint::for_dotted(name);
    let difference = match (&hint.key, hint.help.split_once("; ")) {
        (Some(_), Some((_, difference))) => difference.to_owned(),
        (Some(_), None) => String::new(),
        (None, _) => hint.help,
    };
    (hint.key.map(|key| key.name), difference)
}

/// What a file calls its experiment, and its run if it names that too.
struct Name<'a> {
    file: &'a Path,
    experiment: String,
    run: Option<String>,
}

impl Name<'_> {
    /// Two files may write to the folder of one experiment only if each has a run of its own name: a sweep's frozen
    /// runs, given together. Names are compared without regard to case, since some file systems have none.
    fn clash(&self, other: &Name) -> Option<ConfigError> {
        if !self.experiment.eq_ignore_ascii_case(&other.experiment) {
            return None;
        }
        let problem = |what: String| {
            ConfigError::new(Place::File(self.file.to_path_buf()), what)
                .note(format!("the other one is {}", other.file.display()))
        };
        let experiment = &self.experiment;
        match (&self.run, &other.run) {
            (Some(run), Some(taken)) if run.eq_ignore_ascii_case(taken) => Some(
                problem(format!("two runs are called \"{experiment}/{run}\""))
                    .key("experiment.run")
                    .help("give one of them another `run` in [experiment], or name only one of the files"),
            ),
            (Some(_), Some(_)) => None,
            _ => Some(
                problem(format!("two experiments are called \"{experiment}\""))
                    .key("experiment.name")
                    .help("they would write to one folder: give one of them another `name` in [experiment], or each a `run` of its own"),
            ),
        }
    }
}

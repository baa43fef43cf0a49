//! `plan.toml` in the folder of an experiment's runs: which runs its file planned when it was read last, and where each lies. It
//! tells what belongs together where only the runs are there.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::error::StoreError;
use crate::files::{atomic, plain};

const FILE: &str = "plan.toml";
/// Version of the format. This one and older ones are read; of a newer one nothing is known.
const FORMAT_VERSION: u32 = 1;
const HEAD: &str = "# The runs that this experiment's file planned when `runner` read it last: what its comparison is of.\n\
                    # Written anew by each start of the experiment; can be deleted.\n\n";

/// A run of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedRun {
    pub name: String,
    /// Name of the directory that it is trained in, beside this file; absent until it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Plan {
    format_version: u32,
    planned_at: Timestamp,
    #[serde(default)]
    runs: Vec<PlannedRun>,
}

/// The runs of the experiment's last plan; `None` where none is written down, or it cannot be read.
pub fn read(experiment: &Path) -> Option<Vec<PlannedRun>> {
    let text = plain::read_to_string(&path(experiment)).ok()?;
    let plan: Plan = toml::from_str(&text).ok()?;
    (plan.format_version <= FORMAT_VERSION).then_some(plan.runs).filter(|runs| !runs.is_empty())
}

/// Writes down what the experiment's file plans now. A plan that says the same already is left as it is.
///
/// # Errors
/// When it cannot be written.
pub fn write(experiment: &Path, runs: &[PlannedRun]) -> Result<(), StoreError> {
    if read(experiment).is_some_and(|before| before == runs) {
        return Ok(());
    }
    let path = path(experiment);
    let plan = Plan { format_version: FORMAT_VERSION, planned_at: Timestamp::now(), runs: runs.to_vec() };
    let write = || {
        let text = toml::to_string(&plan).map_err(io::Error::other)?;
        std::fs::create_dir_all(experiment)?;
        atomic::write(&path, format!("{HEAD}{text}").as_bytes())
    };
    write().map_err(|source| StoreError::Write { path: path.clone(), source })
}

fn path(experiment: &Path) -> PathBuf {
    experiment.join(FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_reads_back_and_a_damaged_one_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let run =
            |name: &str, dir: Option<&str>| PlannedRun { name: name.to_owned(), dir: dir.map(str::to_owned) };
        let runs = [run("lr=1,seed=1", Some("lr=1,seed=1-2")), run("lr=2,seed=1", None)];
        assert_eq!(read(folder.path()), None);
        write(folder.path(), &runs).unwrap();
        assert_eq!(read(folder.path()).unwrap(), runs);
        let path = path(folder.path());
        let text = std::fs::read_to_string(&path).unwrap();
        write(folder.path(), &runs).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        for damaged in
            [&text[..text.len() / 2], "", &text.replace("format_version = 1", "format_version = 2")]
        {
            std::fs::write(&path, damaged).unwrap();
            assert!(read(folder.path()).is_none_or(|read| read.len() < 2), "{damaged}");
        }
    }
}

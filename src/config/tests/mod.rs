//! Tests of the whole way from text to plans, through files on disk.

mod checked_in;
mod elsewhere;
mod frozen;
mod idle;
mod layering;
mod mistakes;
mod outside;
mod properties;
mod rules;
mod sweeps;

use std::path::PathBuf;

use tempfile::TempDir;

use super::experiment::RunPlan;
use super::{ConfigErrors, LoadOptions, load};

/// A folder of experiment files.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Folder {
        let folder = Folder(TempDir::new().expect("a temporary folder"));
        for (name, text) in files {
            folder.write(name, text);
        }
        folder
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("writable");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self, names: &[&str], options: &LoadOptions) -> Result<Vec<RunPlan>, ConfigErrors> {
        let files: Vec<PathBuf> = names.iter().map(|name| self.path(name)).collect();
        load(&files, options)
    }

    /// The error text with the folder's own path left away.
    fn errors(&self, names: &[&str], options: &LoadOptions) -> String {
        let errors = self.load(names, options).expect_err("an error");
        errors.to_string().replace(&format!("{}/", self.0.path().display()), "")
    }
}

/// The runs of one file.
fn plans(text: &str) -> Vec<RunPlan> {
    plans_with(text, &[])
}

pub(super) fn plans_with(text: &str, set: &[&str]) -> Vec<RunPlan> {
    let options =
        LoadOptions { set: set.iter().map(|set| set.to_string()).collect(), ..LoadOptions::default() };
    let folder = Folder::new(&[("a.toml", text)]);
    folder.load(&["a.toml"], &options).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The only run of one file.
pub(super) fn plan(text: &str) -> RunPlan {
    let mut plans = plans(text);
    assert_eq!(plans.len(), 1);
    plans.remove(0)
}

/// What is wrong with one file.
fn errors(text: &str) -> String {
    errors_with(text, &[])
}

fn errors_with(text: &str, set: &[&str]) -> String {
    let options =
        LoadOptions { set: set.iter().map(|set| set.to_string()).collect(), ..LoadOptions::default() };
    Folder::new(&[("a.toml", text)]).errors(&["a.toml"], &options)
}

/// Asserts that a file has exactly one problem, at this line, whose text has all these parts.
#[track_caller]
fn assert_problem(text: &str, line: usize, parts: &[&str]) {
    let errors = errors(text);
    assert!(errors.ends_with("1 problem in 1 file; nothing was started"), "{errors}");
    assert!(errors.contains(&format!("--> a.toml:{line}:")), "{errors}");
    for part in parts {
        assert!(errors.contains(part), "`{part}` is not in:\n{errors}");
    }
}

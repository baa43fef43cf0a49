//! Arguments that several commands have.

use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::error::Error;
use crate::files::{disk, home};

/// Reads paths, with `~` and `$HOME` at their head: a shell leaves those of `--runs-dir=~/runs` as they are.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().try_map(|text| home::expand(Path::new(&text)).map(|path| path.into_owned()))
}

/// Where runs and comparisons lie.
#[derive(Clone, Debug, Args)]
pub struct Folders {
    /// Folder of the run directories.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = path())]
    pub runs_dir: PathBuf,
    /// Folder of the comparisons and their index.
    #[arg(long, value_name = "DIR", default_value = "reports", value_parser = path())]
    pub reports_dir: PathBuf,
}

impl Folders {
    /// Looks whether something lies in the place of the folder of runs; that it is not there yet is nothing wrong.
    pub fn check_runs_dir(&self) -> Result<(), Error> {
        match disk::in_the_way(&self.runs_dir) {
            Some(obstacle) => {
                Err(Error::Usage(format!("no runs: {obstacle}, or choose another folder with --runs-dir")))
            }
            None => Ok(()),
        }
    }

    /// Makes the folder of the comparisons, before hours are spent on what would have no place in it.
    pub fn make_reports_dir(&self) -> Result<(), Error> {
        let path = &self.reports_dir;
        std::fs::create_dir_all(path).map_err(|source| Error::ReportsDir { path: path.clone(), source })
    }
}

/// Which experiments to expand, and what to change in them.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Experiment files.
    #[arg(value_name = "FILE", value_parser = path())]
    pub files: Vec<PathBuf>,
    /// Set a key in every experiment; overrides what the files set. Several values with commas between make several runs. Repeatable.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Take only experiments or runs of this name; `*` stands for anything. Repeatable.
    #[arg(long, value_name = "NAME")]
    pub only: Vec<String>,
}

impl Selection {
    /// The files, with what a pattern stands for in its place: a shell leaves one in quotes as it is, and some shells every one.
    pub fn expanded(&self) -> Vec<PathBuf> {
        self.files.iter().flat_map(|file| matching(file)).collect()
    }
}

/// The files that a pattern stands for, in the order of their names; the path itself where it is a file or fits none.
fn matching(path: &Path) -> Vec<PathBuf> {
    let is_pattern = path.to_str().filter(|text| text.contains(['*', '?', '[']) && !path.exists());
    let found = is_pattern.and_then(|pattern| glob::glob(pattern).ok()).into_iter().flatten();
    let files: Vec<PathBuf> = found.filter_map(Result::ok).filter(|file| file.is_file()).collect();
    if files.is_empty() { vec![path.to_owned()] } else { files }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_that_the_shell_left_alone_is_its_files() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", "c.txt", "[x].toml"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            let files = matching(&folder.path().join(pattern));
            files.iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert_eq!(names("[ab].toml"), ["a.toml", "b.toml"]);
        assert_eq!(names("*.txt"), ["c.txt"]);
        // A file may be called so.
        assert_eq!(names("[x].toml"), ["[x].toml"]);
        assert_eq!(names("none-*.toml"), ["none-*.toml"]);
    }
}

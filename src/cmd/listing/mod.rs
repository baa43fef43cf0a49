//! Runs as a list: found, read as far as a list needs, filtered. What `ls` shows, and how `rm` and `prune` choose.

pub mod fields;
mod filter;

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::args::Folders;
use crate::error::Error;
use crate::facts::Status;
use crate::metric::MetricsRow;
use crate::report::summary::Summary;
use crate::store::manifest::Manifest;
use crate::store::{RunDir, RunRecord, StoreError, Tail, scan, tags, tail};

pub use filter::Filter;

/// A run and what a list says of it.
pub struct Listed {
    pub path: PathBuf,
    /// `experiment/run`, from where the runs lie.
    pub name: String,
    /// What was read, or why nothing was.
    pub run: Result<Read, StoreError>,
}

/// A run that could be read.
pub struct Read {
    pub manifest: Manifest,
    /// From the manifest where it has results, and from the last rows otherwise.
    pub summary: Summary,
    /// The summary knows of all rows: the least of the last ones is not the least of all.
    pub whole: bool,
    /// Checkpoints that people gave a name: name and step.
    pub tags: Vec<(String, u64)>,
    /// The newest row, where the rows were looked at.
    pub newest: Option<MetricsRow>,
    /// The leaves of its configuration, where a filter or an order asks for one of them.
    pub config: Vec<(String, toml::Value)>,
}

/// What of each run is read beside its manifest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Depth {
    pub config: bool,
    /// The last rows of runs that have their results in the manifest too.
    pub rows: bool,
}

/// The runs that `arguments` mean, all without arguments, and that fit the filter, in order of their paths. With those that cannot be
/// read, unless there is a filter that they cannot fit.
///
/// # Errors
/// When an argument means no run, or the filter cannot be understood.
pub fn gather(
    folders: &Folders,
    arguments: &[String],
    filter: &Filter,
    further: &[&str],
) -> Result<Vec<Listed>, Error> {
    let asked = || filter.names().chain(further.iter().copied());
    let depth =
        Depth { config: asked().any(|name| !fields::is_field(name)), rows: asked().any(fields::is_metric) };
    let found: Vec<(PathBuf, Result<Manifest, StoreError>)> = match arguments {
        [] => {
            folders.check_runs_dir()?;
            scan::scan(&folders.runs_dir)
        }
        _ => {
            let read = |path: PathBuf| {
                let manifest = RunDir::open(&path).read_manifest_now();
                (path, manifest)
            };
            super::resolve(folders, arguments)?.into_par_iter().map(read).collect()
        }
    };
    let listed: Vec<Listed> = found
        .into_par_iter()
        .map(|(path, manifest)| Listed {
            name: path.strip_prefix(&folders.runs_dir).unwrap_or(&path).display().to_string(),
            run: manifest.map(|manifest| Read::of(&path, manifest, depth)),
            path,
        })
        .collect();
    fields::check(asked(), &listed)?;
    Ok(listed.into_iter().filter(|run| filter.takes(run)).collect())
}

impl Read {
    /// A run of which everything was read.
    pub fn of_record(record: &RunRecord) -> Self {
        let tags = tags::of(&record.dir).into_iter().map(|tag| (tag.name, tag.step)).collect();
        let (manifest, summary) = (record.manifest.clone(), Summary::of(record));
        Self { manifest, summary, whole: true, tags, newest: record.rows.last().cloned(), config: Vec::new() }
    }

    fn of(path: &Path, manifest: Manifest, depth: Depth) -> Self {
        let dir = RunDir::open(path);
        let unknown = manifest.results.is_none() && manifest.status != Status::Skipped;
        // Rows that cannot be read are nothing that a list could do anything about: `report` names them.
        let tail =
            if unknown || depth.rows { tail(&dir.metrics()).unwrap_or_default() } else { Tail::default() };
        let config = if depth.config { leaves(&dir) } else { Vec::new() };
        let newest = tail.rows.last().cloned();
        let tags = tags::of(&dir).into_iter().map(|tag| (tag.name, tag.step)).collect();
        let mut record = RunRecord::of_manifest(dir, manifest);
        if record.manifest.results.is_none() {
            record.rows = tail.rows;
        }
        let summary = Summary::of(&record);
        let whole = record.manifest.results.is_some() || tail.whole;
        Self { manifest: record.manifest, summary, whole, tags, newest, config }
    }
}

fn leaves(dir: &RunDir) -> Vec<(String, toml::Value)> {
    let text = crate::files::plain::read_to_string(&dir.config()).unwrap_or_default();
    crate::report::settings::flatten(&text.parse().unwrap_or_default())
}

/// Lines of columns as wide as their widest cell; those whose heading begins with a space are set to the right.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain([heading[column].trim().chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    let line = |cells: &[String]| {
        let mut text = String::new();
        for ((cell, width), heading) in cells.iter().zip(&widths).zip(heading) {
            let blank = " ".repeat(width - cell.chars().count());
            let cell = if heading.starts_with(' ') { blank + cell } else { cell.clone() + &blank };
            text = if text.is_empty() { cell } else { text + "  " + &cell };
        }
        text.trim_end().to_owned()
    };
    let heading: Vec<String> = heading.iter().map(|title| title.trim().to_owned()).collect();
    std::iter::once(line(&heading)).chain(rows.iter().map(|row| line(row))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_set_to_the_right_and_names_to_the_left() {
        let rows = [["a", "7"], ["long", "1,000"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&["RUN", " STEP"], &rows), "RUN    STEP\na         7\nlong  1,000");
    }
}

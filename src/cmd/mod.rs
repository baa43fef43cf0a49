//! One file per command, each in the same order: what it does, `Args`, `run`, then what `run` calls. The only place that
//! wires the parts of the program together.

mod args;
pub mod compare;
pub mod complete;
pub mod doctor;
pub mod eval;
pub mod exec;
pub mod explain;
pub mod export;
pub mod generate;
mod listing;
pub mod ls;
pub mod plan;
mod preflight;
pub mod prepare;
pub mod prune;
pub mod report;
pub mod reporter;
pub mod resume;
pub mod rm;
pub mod schema;
pub mod serve;
mod signals;
mod sure;
mod sweep;
pub mod tag;
mod together;
pub mod train;
pub mod verbs;
pub mod verify_resume;

use std::any::Any;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::store::{archive, scan};
use crate::terminal;
use args::Folders;

/// The run directories that the arguments mean; all runs without arguments. A run in an archive is unpacked among the others
/// first.
fn resolve(folders: &Folders, arguments: &[String]) -> Result<Vec<PathBuf>, Error> {
    if arguments.is_empty() {
        folders.check_runs_dir()?;
        return Ok(scan::scan(&folders.runs_dir).into_iter().map(|(path, _)| path).collect());
    }
    let mut paths = Vec::new();
    for argument in arguments {
        let found = match Path::new(argument) {
            file if archive::is_archive(file) => vec![unpacked(file, &folders.runs_dir)?],
            _ => scan::resolve(&folders.runs_dir, argument)?,
        };
        for path in found {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

fn unpacked(file: &Path, runs_dir: &Path) -> Result<PathBuf, Error> {
    let archive::Unpacked { dir, was_there } = archive::unpack(file, runs_dir)?;
    let (file, place) = (file.display(), dir.path().display());
    terminal::err(match was_there {
        true => format!("{file} is the run that lies in {place} already"),
        false => format!("unpacked {file} into {place}"),
    });
    Ok(dir.path().to_owned())
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

/// Left-aligned columns as wide as their widest cell.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["RUN".to_owned(), "AGE".to_owned()], ["long-name".to_owned(), "2 s".to_owned()]];
        assert_eq!(columns(&rows), "RUN        AGE\nlong-name  2 s");
    }
}

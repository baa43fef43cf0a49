//! One file per command, each in the same order: what it does, `Args`, `run`, then what `run` calls. The only place that
//! wires the parts of the program together.

pub mod compare;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod generate;
pub mod ls;
pub mod plan;
mod preflight;
pub mod prepare;
pub mod report;
pub mod resume;
pub mod schema;
pub mod serve;
mod signals;
mod sweep;
pub mod train;
pub mod verify_resume;

use std::path::PathBuf;

use crate::cli::Folders;
use crate::error::Error;
use crate::store::scan;

/// The run directories that the arguments mean; all runs without arguments.
fn resolve(folders: &Folders, arguments: &[String]) -> Result<Vec<PathBuf>, Error> {
    if arguments.is_empty() {
        return Ok(scan::scan(&folders.runs_dir).into_iter().map(|(path, _)| path).collect());
    }
    let mut paths = Vec::new();
    for argument in arguments {
        for path in scan::resolve(&folders.runs_dir, argument)? {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
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

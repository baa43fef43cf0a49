//! `extends`: a file and the files it builds on.

use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::{ConfigError, Place};
use super::layers::Layer;
use super::sections::{self, Findings};
use super::sweep::Sweep;

/// More files than this in one family are a mistake.
const MAX_FILES: usize = 100;

/// An experiment file with what it extends.
#[derive(Debug)]
pub(in crate::config) struct Lineage {
    pub path: PathBuf,
    /// Parents before children; the file itself is last.
    pub layers: Vec<Layer>,
    /// The file's own sweep. A sweep, like the name, is not inherited: a file that changes one thing of another should
    /// not start its forty runs.
    pub sweep: Sweep,
}

/// Reads a file and its parents. `None` when one of them cannot be read as TOML; the problems found are noted anyway.
pub(in crate::config) fn read(path: &Path, findings: &mut Findings) -> Option<Lineage> {
    let mut reader = Reader { findings, open: Vec::new(), files: 0 };
    let (layers, sweep) = reader.read(path, None)?;
    Some(Lineage { path: path.to_path_buf(), layers, sweep })
}

struct Reader<'a> {
    findings: &'a mut Findings,
    /// Files being read, each extended by the one before it.
    open: Vec<PathBuf>,
    files: usize,
}

impl Reader<'_> {
    fn read(&mut self, path: &Path, named_at: Option<&Place>) -> Option<(Vec<Layer>, Sweep)> {
        let document = Document::read(path, named_at).map_err(|problem| self.findings.add(problem)).ok()?;
        let table = match document.parse() {
            Ok(table) => table,
            Err(problems) => {
                self.findings.problems.extend(problems);
                return None;
            }
        };
        let own = sections::read(&document, table.get_ref(), self.findings);

        self.open.push(identity(path));
        let mut layers = Some(Vec::new());
        for (parent, place) in &own.extends {
            let parent = self.read_parent(&document.base().join(parent), place);
            layers = layers.zip(parent).map(|(mut all, more)| {
                all.extend(more);
                all
            });
        }
        self.open.pop();

        let mut layers = layers?;
        layers.push(own.layer);
        Some((layers, own.sweep))
    }

    fn read_parent(&mut self, path: &Path, place: &Place) -> Option<Vec<Layer>> {
        self.files += 1;
        if self.files > MAX_FILES {
            // Once: such a family can have any number of further members.
            if self.files > MAX_FILES + 1 {
                return None;
            }
            let what = format!("more than {MAX_FILES} files are extended, directly and through each other");
            self.findings.add(ConfigError::new(place.clone(), what).key("extends"));
            return None;
        }
        if let Some(start) = self.open.iter().position(|open| *open == identity(path)) {
            let names = self.open[start..].iter().chain([&self.open[start]]).map(|path| file_name(path));
            let circle = names.collect::<Vec<_>>().join(" -> ");
            let problem = ConfigError::new(place.clone(), format!("`extends` goes in a circle: {circle}"));
            self.findings
                .add(problem.key("extends").help("a file cannot build on itself; remove one `extends`"));
            return None;
        }
        let (mut layers, _) = self.read(path, Some(place))?;
        for layer in &mut layers {
            layer.forget("experiment.name");
            layer.forget("experiment.run");
        }
        Some(layers)
    }
}

/// One name per file, whichever way it is reached.
pub(in crate::config) fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_path_buf())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

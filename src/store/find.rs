//! Finding the directories of runs below a folder.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, DirEntry};
use std::io;
use std::path::{Path, PathBuf};

use super::run_dir::RunDir;
use super::trash;
use crate::files::atomic::TEMPORARY;

/// What cannot be looked into comes with the reason.
pub(super) type Found = Result<PathBuf, (PathBuf, io::Error)>;

pub(super) fn find(root: &Path) -> Vec<Found> {
    let mut search = Search::default();
    if is_run(root) {
        search.found.push(Ok(root.to_owned()));
    } else if root.is_dir() {
        search.below(root, 0);
    }
    search.found
}

/// Links behind links that are followed: more are no order of a person's.
const LINKS_DEEP: usize = 8;

#[derive(Default)]
struct Search {
    found: Vec<Found>,
    /// Folders whose content is found anyway, or was found, without links in their paths.
    seen: Vec<PathBuf>,
    /// Those that are being looked through: a link to what lies around one of them leads back.
    under_way: Vec<PathBuf>,
    /// Runs that were found behind links, likewise.
    behind_links: HashSet<PathBuf>,
    /// The folder that is looked through, or the last link: its path without links is only asked for where there are any.
    root: PathBuf,
}

impl Search {
    /// Looks through a folder that is no run itself. `links` is how many links led here.
    fn below(&mut self, folder: &Path, links: usize) {
        if self.under_way.is_empty() && self.root.as_os_str().is_empty() {
            self.root = folder.to_owned();
        }
        let entries =
            match fs::read_dir(folder).and_then(|entries| entries.collect::<io::Result<Vec<DirEntry>>>()) {
                Ok(entries) => entries,
                Err(error) => {
                    self.found.push(Err((folder.to_owned(), error)));
                    return;
                }
            };
        let mut entries: Vec<_> = entries.into_iter().map(|entry| (entry.file_name(), entry)).collect();
        entries.sort_by_cached_key(|(name, _)| order(&name.to_string_lossy()));
        for (name, entry) in entries {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_symlink() {
                self.behind(&path, links);
            } else if !kind.is_dir() || is_passed_over(&name) {
                // Among others what was being unpacked when its process was killed, and what a person threw away.
            } else if is_run(&path) {
                self.add(path, links > 0);
            } else {
                self.below(&path, links);
            }
        }
    }

    /// Looks behind a link, unless what lies there is found without it.
    fn behind(&mut self, link: &Path, links: usize) {
        let Ok(target) = link.canonicalize() else { return };
        if links == LINKS_DEEP || !target.is_dir() {
            return;
        }
        if self.under_way.is_empty() {
            let root = self.root.canonicalize().unwrap_or_else(|_| self.root.clone());
            self.seen.push(root.clone());
            self.under_way.push(root);
        }
        let leads_back = self.under_way.iter().any(|root| root.starts_with(&target));
        if leads_back || self.seen.iter().any(|seen| target.starts_with(seen)) {
            return;
        }
        if is_run(link) {
            self.add(link.to_owned(), true);
        } else {
            self.under_way.push(target.clone());
            self.below(link, links + 1);
            self.under_way.pop();
        }
        self.seen.push(target);
    }

    fn add(&mut self, path: PathBuf, behind_link: bool) {
        if behind_link && path.canonicalize().is_ok_and(|target| !self.behind_links.insert(target)) {
            return;
        }
        self.found.push(Ok(path));
    }
}

/// Names sort by the number at their end, the seed of a run, and then by the number that a run started again has after
/// a dash: `seed=9`, `seed=10`, `seed=10-2`, `seed=10-10`, `seed=11`.
fn order(name: &str) -> (String, Option<u64>, Option<u64>, String) {
    let (base, again) = match name.rsplit_once('-') {
        Some((base, number)) if number.parse::<u64>().is_ok() => (base, number.parse().ok()),
        _ => (name, None),
    };
    let stem = base.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), base[stem.len()..].parse().ok(), again, name.to_owned())
}

fn is_passed_over(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(TEMPORARY) || name == trash::FOLDER
}

fn is_run(path: &Path) -> bool {
    let dir = RunDir::open(path);
    dir.manifest().is_file() || dir.metrics().is_file() || dir.config().is_file()
}

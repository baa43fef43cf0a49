//! Runs that were thrown away, until the trash is emptied: `runs/.trash/<time>/<experiment>/<run>`. No command looks for runs there
//! unless it is told to, as by `--runs-dir`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::error::StoreError;
use super::run_dir::RunDir;
use super::scan;

/// The folder in that of the runs.
pub const FOLDER: &str = ".trash";

/// A run in the trash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thrown {
    /// Where it is now.
    pub path: PathBuf,
    /// Where it was.
    pub from: PathBuf,
    /// `experiment/run`, as it was called.
    pub name: String,
    /// When it was thrown away: `20261129T155012Z`.
    pub when: String,
}

/// Moves the run to the trash, and says where it is now. It is one rename, so that nothing is copied or lost: what lies on another
/// disk than `runs_dir`, behind a link, goes to a trash beside it there. Of a run that is itself a link only the link is moved.
///
/// # Errors
/// When a process writes there, or the run cannot be moved.
pub fn throw_away(runs_dir: &Path, run: &RunDir, when: Timestamp) -> Result<PathBuf, StoreError> {
    // Held until it is moved, so that nobody begins to train it meanwhile.
    let _lock = run.lock()?;
    let from = run.path();
    let when = when.strftime("%Y%m%dT%H%M%SZ").to_string();
    let parent = from.parent().unwrap_or(Path::new("."));
    let beside = (parent, from.strip_prefix(parent).unwrap_or(from));
    let places = from.strip_prefix(runs_dir).ok().map(|below| (runs_dir, below)).into_iter().chain([beside]);
    let mut failed = None;
    for (base, below) in places {
        let to = free_place(&base.join(FOLDER).join(&when), below);
        match move_to(from, &to) {
            Ok(()) => {
                // Of an experiment without runs nothing is left to look at.
                let _ = fs::remove_dir(parent);
                return Ok(to);
            }
            Err(source) => {
                let elsewhere = source.kind() == io::ErrorKind::CrossesDevices;
                remove_empty(to.parent(), base);
                failed = Some(StoreError::Move { from: from.to_owned(), to, source });
                if !elsewhere {
                    break;
                }
            }
        }
    }
    Err(failed.unwrap_or_else(|| StoreError::Gone { dir: from.to_owned() }))
}

/// The runs in the trash of `runs_dir`, and of the folders of experiments in it that are links; the latest first.
pub fn list(runs_dir: &Path) -> Vec<Thrown> {
    let mut thrown = Vec::new();
    for base in bases(runs_dir) {
        let times = fs::read_dir(base.join(FOLDER)).into_iter().flatten().flatten();
        for time in times.map(|entry| entry.path()).filter(|path| path.is_dir()) {
            for (path, _) in scan::scan(&time) {
                let Ok(below) = path.strip_prefix(&time) else { continue };
                let from = base.join(below);
                let name = from.strip_prefix(runs_dir).unwrap_or(&from).display().to_string();
                let when = time.file_name().unwrap_or_default().display().to_string();
                thrown.push(Thrown { path, from, name, when });
            }
        }
    }
    thrown.sort_by(|a, b| b.when.cmp(&a.when).then_with(|| a.name.cmp(&b.name)));
    thrown
}

/// Moves a run back to where it was.
///
/// # Errors
/// When something else is there by now, or it cannot be moved.
pub fn restore(thrown: &Thrown) -> Result<(), StoreError> {
    let Thrown { path, from, .. } = thrown;
    let failed = |source| StoreError::Move { from: path.clone(), to: from.clone(), source };
    if from.symlink_metadata().is_ok() {
        return Err(failed(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "a run is there; move or throw that away first",
        )));
    }
    move_to(path, from).map_err(failed)?;
    remove_empty(path.parent(), Path::new(""));
    Ok(())
}

/// Deletes what is in the trash for good. Other files in its folders go with it.
///
/// # Errors
/// When something cannot be deleted; the rest is still there.
pub fn empty(runs_dir: &Path) -> Result<(), StoreError> {
    for trash in bases(runs_dir).into_iter().map(|base| base.join(FOLDER)) {
        match fs::remove_dir_all(&trash) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::Write { path: trash, source });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The folders that may have a trash.
fn bases(runs_dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(runs_dir).into_iter().flatten().flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_symlink()));
    let mut bases: Vec<PathBuf> = links.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    bases.sort_unstable();
    bases.insert(0, runs_dir.to_owned());
    bases
}

/// A run may be thrown away, made again and thrown away within a second.
fn free_place(folder: &Path, below: &Path) -> PathBuf {
    let numbered = |number: u32| match number {
        1 => folder.to_owned(),
        _ => folder.with_file_name(format!("{}-{number}", folder.file_name().unwrap_or_default().display())),
    };
    let mut places = (1..).map(|number| numbered(number).join(below));
    places.find(|place| place.symlink_metadata().is_err()).unwrap_or_else(|| folder.join(below))
}

fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::rename(from, to)
}

/// Removes the folders from here upwards that are empty, below `base`.
fn remove_empty(folder: Option<&Path>, base: &Path) {
    let mut folder = folder;
    while let Some(path) = folder.filter(|path| *path != base && fs::remove_dir(path).is_ok()) {
        if path.file_name().is_some_and(|name| name == FOLDER) {
            return;
        }
        folder = path.parent();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::fixture;

    fn run(runs_dir: &Path, name: &str) -> RunDir {
        let mut manifest = fixture::manifest("exp", name);
        RunDir::create(runs_dir, "exp", name, &mut manifest, "", |_| Ok(())).unwrap()
    }

    fn now() -> Timestamp {
        "2026-11-29T15:50:12Z".parse().unwrap()
    }

    #[test]
    fn a_run_goes_to_the_trash_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let dir = run(folder.path(), "seed=1");
        let place = throw_away(folder.path(), &dir, now()).unwrap();
        assert_eq!(place, folder.path().join(".trash/20261129T155012Z/exp/seed=1"));
        assert!(!folder.path().join("exp").exists());
        // Once more within the second.
        let place = throw_away(folder.path(), &run(folder.path(), "seed=1"), now()).unwrap();
        assert!(place.ends_with("20261129T155012Z-2/exp/seed=1"), "{}", place.display());

        let thrown = list(folder.path());
        assert_eq!(thrown.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["exp/seed=1"; 2]);
        restore(&thrown[0]).unwrap();
        assert!(dir.read_manifest().is_ok());
        let error = restore(&thrown[1]).unwrap_err().to_string();
        assert!(error.contains("a run is there"), "{error}");
        empty(folder.path()).unwrap();
        assert!(list(folder.path()).is_empty() && dir.read_manifest().is_ok());
        assert!(!folder.path().join(FOLDER).exists());
    }

    #[test]
    fn a_run_that_is_written_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let dir = run(folder.path(), "seed=1");
        let _lock = dir.lock().unwrap();
        assert!(matches!(throw_away(folder.path(), &dir, now()), Err(StoreError::Locked { .. })));
        assert!(dir.read_manifest().is_ok());
    }

    #[cfg(unix)]
    #[test]
    fn the_trash_of_an_experiment_behind_a_link_is_found() {
        let (folder, disk) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        run(disk.path(), "seed=1");
        std::os::unix::fs::symlink(disk.path().join("exp"), folder.path().join("linked")).unwrap();
        // As it is thrown away where the disks differ.
        let beside = disk.path().join("exp").join(FOLDER).join("20261129T155012Z/seed=1");
        move_to(&disk.path().join("exp/seed=1"), &beside).unwrap();
        let thrown = list(folder.path());
        assert_eq!(thrown.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["linked/seed=1"]);
        restore(&thrown[0]).unwrap();
        assert!(disk.path().join("exp/seed=1/manifest.toml").is_file());
        assert!(!disk.path().join("exp").join(FOLDER).exists());
    }
}

//! Runs that were thrown away, until the trash is emptied: `runs/.trash/<time>/<experiment>/<run>`. No command looks for runs there
//! unless it is told to, as by `--runs-dir`.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

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
/// disk than `runs_dir`, behind a link, or outside of it goes to a trash beside it there. Of a run that is itself a link only the link
/// is moved.
///
/// # Errors
/// When a process writes there, or the run cannot be moved.
pub fn throw_away(runs_dir: &Path, run: &RunDir, when: Timestamp) -> Result<PathBuf, StoreError> {
    // Held until it is moved, so that nobody begins to train it meanwhile.
    let _lock = run.lock()?;
    let unread = |source| StoreError::Read { path: run.path().to_owned(), source };
    // `.` names a run too, and has no name that it could have in the trash.
    let named = match run.path().file_name() {
        Some(_) => run.path().to_owned(),
        None => run.path().canonicalize().map_err(unread)?,
    };
    let below = below(runs_dir, &named);
    let from = below.as_ref().map_or(named, |below| runs_dir.join(below));
    let when = when.strftime("%Y%m%dT%H%M%SZ").to_string();
    let parent = from.parent().unwrap_or(Path::new("."));
    let beside = (parent, from.strip_prefix(parent).unwrap_or(&from));
    let places = below.iter().map(|below| (runs_dir, below.as_path())).chain([beside]);
    let mut failed = None;
    for (base, below) in places {
        let to = free_place(&base.join(FOLDER).join(&when), below);
        match move_to(&from, &to) {
            Ok(()) => {
                // Of an experiment without runs nothing is left to look at.
                let _ = fs::remove_dir(parent);
                return Ok(to);
            }
            Err(source) => {
                let elsewhere = source.kind() == io::ErrorKind::CrossesDevices;
                remove_empty(to.parent(), base);
                failed = Some(StoreError::Move { from: from.clone(), to, source });
                if !elsewhere {
                    break;
                }
            }
        }
    }
    Err(failed.unwrap_or(StoreError::Gone { dir: from }))
}

/// The folder whose trash a run lies in.
pub fn base(place: &Path) -> Option<&Path> {
    place.ancestors().find(|folder| folder.ends_with(FOLDER))?.parent()
}

/// The path from `runs_dir` to a run in it, however the two are written: `./runs/exp/run` lies in `runs`, `runs/../run` does not.
fn below(runs_dir: &Path, run: &Path) -> Option<PathBuf> {
    let plain = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    if let Ok(below) = run.strip_prefix(runs_dir)
        && plain(below)
    {
        return Some(below.to_owned());
    }
    // Without the last part, which may be a link to a run elsewhere.
    let folder = run.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = folder.canonicalize().ok()?;
    Some(folder.strip_prefix(runs_dir.canonicalize().ok()?).ok()?.join(run.file_name()?))
}

/// The runs in the trash of `runs_dir`, and of the folders in it that lie on other disks; the latest first.
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

/// Deletes these runs for good, and in the trash whatever is no run. What was thrown away after they were listed stays.
///
/// # Errors
/// When something cannot be deleted; the rest is still there.
pub fn empty(runs_dir: &Path, thrown: &[Thrown]) -> Result<(), StoreError> {
    for Thrown { path, .. } in thrown {
        remove(path)?;
        remove_empty(path.parent(), runs_dir);
    }
    for trash in bases(runs_dir).into_iter().map(|base| base.join(FOLDER)) {
        for left in fs::read_dir(&trash).into_iter().flatten().flatten().map(|entry| entry.path()) {
            if scan::paths(&left).is_empty() {
                remove(&left)?;
            }
        }
        // Where it is not empty there is something that came meanwhile.
        let _ = fs::remove_dir(&trash);
    }
    Ok(())
}

/// Removes a file or a folder with all that is in it. Of a link, only the link.
fn remove(path: &Path) -> Result<(), StoreError> {
    let removed = match path.symlink_metadata() {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Write { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// The folders that have a trash, each once: that of the runs, and those in it on other disks, an experiment or a folder of some.
fn bases(runs_dir: &Path) -> Vec<PathBuf> {
    let experiments = folders_in(runs_dir);
    let deeper: Vec<PathBuf> = experiments.iter().flat_map(|folder| folders_in(folder)).collect();
    let mut seen = HashSet::new();
    let all = std::iter::once(runs_dir.to_owned()).chain(experiments).chain(deeper);
    all.filter(|base| base.join(FOLDER).canonicalize().is_ok_and(|trash| seen.insert(trash))).collect()
}

fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let shown = entries.filter(|entry| !entry.file_name().to_string_lossy().starts_with('.'));
    let mut folders: Vec<PathBuf> = shown.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    folders.sort_unstable();
    folders
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
        // Thrown away after somebody was asked whether those that there were may go.
        let late = throw_away(folder.path(), &run(folder.path(), "seed=2"), now()).unwrap();
        fs::write(folder.path().join(FOLDER).join("note.txt"), "mine").unwrap();
        empty(folder.path(), &thrown).unwrap();
        assert!(late.is_dir() && dir.read_manifest().is_ok());
        assert_eq!(list(folder.path()).len(), 1);
        empty(folder.path(), &list(folder.path())).unwrap();
        assert!(!folder.path().join(FOLDER).exists());
    }

    #[test]
    fn a_run_is_found_in_the_trash_however_its_path_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let runs_dir = folder.path().join("runs");
        let other = folder.path().join("other");
        for (written, base) in [("runs/./exp/seed=1", &runs_dir), ("other/../runs/exp/seed=1", &runs_dir)] {
            run(&runs_dir, "seed=1");
            fs::create_dir_all(&other).unwrap();
            let place = throw_away(&runs_dir, &RunDir::open(folder.path().join(written)), now()).unwrap();
            assert!(place.starts_with(base.join(FOLDER)), "{}", place.display());
            let thrown = list(&runs_dir);
            assert_eq!(thrown[0].name, "exp/seed=1", "{written}");
            empty(&runs_dir, &thrown).unwrap();
        }
        // What only looks as if it lay in the folder.
        run(&runs_dir, "seed=1");
        run(&other, "seed=1");
        let place =
            throw_away(&runs_dir, &RunDir::open(runs_dir.join("../other/exp/seed=1")), now()).unwrap();
        assert_eq!(place.canonicalize().unwrap(), list(&other.join("exp"))[0].path.canonicalize().unwrap());
        assert!(list(&runs_dir).is_empty() && runs_dir.join("exp/seed=1").is_dir());
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

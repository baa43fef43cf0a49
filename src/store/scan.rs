//! Finding runs: all below a folder, or those that a command-line argument means.

use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::error::StoreError;
use super::find::find;
use super::manifest::Manifest;
use super::pattern::{self, Names};
use super::run_dir::RunDir;
use super::tags;

/// Every run directory below `root` with its manifest, in order of path, where 2 comes before 10. A folder with `metrics.csv` or `config.toml`
/// but no manifest counts too, as an error, so that a damaged run is not passed over in silence. A `root` that is not there holds no
/// runs. What was moved to the trash is not looked at.
///
/// Symbolic links to folders are followed, so that runs may lie on other disks, and each run is found once, under the name that is
/// no link if it has one.
pub fn scan(root: &Path) -> Vec<(PathBuf, Result<Manifest, StoreError>)> {
    find(root)
        .into_par_iter()
        .map(|found| match found {
            Ok(path) => {
                let manifest = RunDir::open(&path).read_manifest_now();
                (path, manifest)
            }
            Err((path, source)) => (path.clone(), Err(StoreError::Read { path, source })),
        })
        .collect()
}

pub use super::pattern::is_pattern;

/// The directories that [`scan`] finds, unread.
pub fn paths(root: &Path) -> Vec<PathBuf> {
    find(root).into_iter().flatten().collect()
}

/// `experiment/run`, as the folders of a run are called.
pub fn id_of(dir: &RunDir) -> String {
    let experiment = dir.path().parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", experiment.display(), dir.name())
}

/// An argument in front of the last `@`, and what stands behind it: which of the checkpoints of a run, or of the runs of an
/// experiment. No name of a run or an experiment has an `@`; a path may, so that a path that is there is not taken apart.
pub fn split_checkpoint(argument: &str) -> Option<(&str, &str)> {
    argument
        .rsplit_once('@')
        .filter(|(run, which)| !run.is_empty() && !which.is_empty() && !which.contains('/'))
}

/// The run directories that `argument` means: the path of a run directory or of a folder of them; or in `runs_dir`
/// an `<experiment>/<run>`, an `<experiment>` (all its runs), a pattern of these (`lr/learning_rate=0.001*`, `{a,b}`), or a
/// [tag](super::tags) (the run that it is of). `@` and a checkpoint behind it change nothing: the run is the same.
///
/// # Errors
/// When it means nothing; the error offers the nearest names.
pub fn resolve(runs_dir: &Path, argument: &str) -> Result<Vec<PathBuf>, StoreError> {
    // An empty name would mean the folder of all runs.
    let places = [PathBuf::from(argument), runs_dir.join(argument)];
    for path in places.into_iter().filter(|_| !argument.is_empty()) {
        let runs = paths(&path);
        if !runs.is_empty() {
            return Ok(runs);
        }
    }
    if let Some(names) = Some(argument).filter(|text| pattern::is_pattern(text)).and_then(Names::of) {
        let runs = fitting(runs_dir, argument, &names);
        if !runs.is_empty() {
            return Ok(runs);
        }
    }
    if let Some(tag) = tags::find(runs_dir, argument) {
        return Ok(vec![tag.dir.path().to_owned()]);
    }
    if let Some((run, _)) = split_checkpoint(argument) {
        return resolve(runs_dir, run);
    }
    Err(StoreError::UnknownRun {
        argument: argument.to_owned(),
        runs_dir: runs_dir.to_owned(),
        nearest: nearest(runs_dir, argument),
    })
}

/// The runs that a pattern names: by `experiment/run`, by one of the two, or by their path.
fn fitting(runs_dir: &Path, argument: &str, names: &Names) -> Vec<PathBuf> {
    let in_runs_dir = paths(runs_dir).into_iter().filter(|path| {
        let Ok(id) = path.strip_prefix(runs_dir) else { return false };
        let (experiment, run) = (id.parent().unwrap_or(Path::new("")), id.file_name().unwrap_or_default());
        let known = [id.as_os_str(), experiment.as_os_str(), run, path.as_os_str()];
        known.iter().any(|name| !name.is_empty() && names.fit(&name.to_string_lossy()))
    });
    let found: Vec<PathBuf> = in_runs_dir.collect();
    if !found.is_empty() {
        return found;
    }
    // Below another folder: its part without a pattern is a path.
    let plain: PathBuf = Path::new(argument)
        .components()
        .take_while(|part| !pattern::is_pattern(&part.as_os_str().to_string_lossy()))
        .collect();
    if plain.as_os_str().is_empty() || plain == Path::new("/") {
        return Vec::new();
    }
    // A run, or the folder of an experiment.
    let fits = |path: &Path| names.fit(&path.to_string_lossy());
    paths(&plain).into_iter().filter(|path| fits(path) || path.parent().is_some_and(fits)).collect()
}

/// Up to three names of experiments and runs that resemble `argument`, nearest first.
fn nearest(runs_dir: &Path, argument: &str) -> Vec<String> {
    let mut names: Vec<(String, String)> = Vec::new();
    for path in find(runs_dir).into_iter().flatten() {
        let Ok(below) = path.strip_prefix(runs_dir) else { continue };
        let id = below.display().to_string();
        if let Some(parent) = below.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            names.push((parent.display().to_string(), parent.display().to_string()));
        }
        // A run is often named without its experiment.
        if let Some(last) = below.file_name() {
            names.push((last.display().to_string(), id.clone()));
        }
        names.push((id.clone(), id));
        names.extend(tags::of(&RunDir::open(&path)).into_iter().map(|tag| (tag.name.clone(), tag.name)));
    }
    // A name of more than twice the length has a likeness below one half, and a very long one would take long to compare.
    let length = argument.chars().count();
    let comparable = |name: &str| {
        let other = name.chars().count();
        length.max(other) <= 2 * length.min(other)
    };
    let mut scored: Vec<(f64, String)> = names
        .into_iter()
        .filter(|(compared, _)| comparable(compared))
        .map(|(compared, offered)| (strsim::normalized_damerau_levenshtein(argument, &compared), offered))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    let best = scored.first().map_or(0.0, |(likeness, _)| *likeness);
    let mut nearest: Vec<String> = Vec::new();
    for (likeness, name) in scored {
        // A near miss should not be drowned in everything else that looks a little like it.
        if likeness >= best - 0.15 && nearest.len() < 3 && !nearest.contains(&name) {
            nearest.push(name);
        }
    }
    nearest
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::store::{fixture, trash};

    fn runs() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (experiment, run) in
            [("quickstart", "seed=1"), ("quickstart", "seed=2"), ("sweep", "lr=0.1,seed=1")]
        {
            let mut manifest = fixture::manifest(experiment, run);
            RunDir::create(dir.path(), experiment, run, &mut manifest, "", |_| Ok(())).unwrap();
        }
        dir
    }

    fn names(root: &Path, paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.strip_prefix(root).unwrap().display().to_string()).collect()
    }

    #[test]
    fn runs_are_found_in_order_and_damaged_ones_are_named() {
        let dir = runs();
        fs::create_dir_all(dir.path().join("quickstart/torn")).unwrap();
        fs::write(dir.path().join("quickstart/torn/metrics.csv"), "step\n").unwrap();
        fs::create_dir_all(dir.path().join("quickstart/empty")).unwrap();
        fs::create_dir_all(dir.path().join(".tmp-abc/quickstart/seed=3")).unwrap();
        fs::write(dir.path().join(".tmp-abc/quickstart/seed=3/metrics.csv"), "step\n").unwrap();
        let found = scan(dir.path());
        let paths: Vec<_> = found.iter().map(|(path, _)| path.clone()).collect();
        let expected = ["quickstart/seed=1", "quickstart/seed=2", "quickstart/torn", "sweep/lr=0.1,seed=1"];
        assert_eq!(names(dir.path(), &paths), expected);
        assert!(matches!(found[2].1, Err(StoreError::NoManifest { .. })));
        assert_eq!(found[3].1.as_ref().unwrap().run.name, "lr=0.1,seed=1");
    }

    #[test]
    fn numbers_at_the_end_of_a_name_sort_as_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let sorted = [
            "learning_rate=0.0003,seed=1",
            "learning_rate=0.001,seed=1",
            "learning_rate=0.01,seed=1",
            "seed=9",
            "seed=10",
            "seed=10-2",
            "seed=10-3",
            "seed=10-10",
            "seed=11",
        ];
        for name in sorted.iter().rev() {
            RunDir::create(dir.path(), "exp", name, &mut fixture::manifest("exp", name), "", |_| Ok(()))
                .unwrap();
        }
        let paths: Vec<_> = scan(&dir.path().join("exp")).into_iter().map(|(path, _)| path).collect();
        assert_eq!(names(&dir.path().join("exp"), &paths), sorted);
    }

    #[test]
    fn an_argument_is_a_path_a_run_or_an_experiment() {
        let dir = runs();
        let resolved = |argument: &str| names(dir.path(), &resolve(dir.path(), argument).unwrap());
        assert_eq!(resolved("quickstart"), ["quickstart/seed=1", "quickstart/seed=2"]);
        assert_eq!(resolved("quickstart/seed=2"), ["quickstart/seed=2"]);
        assert!(resolve(dir.path(), "").is_err());
        assert_eq!(resolved("quick*"), ["quickstart/seed=1", "quickstart/seed=2"]);
        assert_eq!(resolved("*seed=1"), ["quickstart/seed=1", "sweep/lr=0.1,seed=1"]);
        assert_eq!(resolved("quickstart/seed=[2-9]"), ["quickstart/seed=2"]);
        assert_eq!(resolved("{quickstart,sweep}/*seed=1"), ["quickstart/seed=1", "sweep/lr=0.1,seed=1"]);
        assert_eq!(resolved("quickstart/seed=2@500"), ["quickstart/seed=2"]);
        assert_eq!(resolved(&format!("{}/quick*/seed=1", dir.path().display())), ["quickstart/seed=1"]);
        let elsewhere = tempfile::tempdir().unwrap();
        let pattern = format!("{}/quick*", dir.path().display());
        assert_eq!(resolve(elsewhere.path(), &pattern).unwrap().len(), 2);
        for nothing in ["nothing*", "@", "quickstart/@x", "[", "*nothing@5"] {
            let found = resolve(dir.path(), nothing);
            assert_eq!(found.is_err(), nothing != "quickstart/@x", "{nothing}: {found:?}");
        }
        let path = dir.path().join("sweep/lr=0.1,seed=1");
        assert_eq!(resolved(path.to_str().unwrap()), ["sweep/lr=0.1,seed=1"]);
    }

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_ones() {
        let dir = runs();
        let error = resolve(dir.path(), "quikstart").unwrap_err().to_string();
        assert!(error.ends_with("did you mean quickstart?"), "{error}");
        let error = resolve(dir.path(), "seed=2").unwrap_err().to_string();
        assert!(error.contains("did you mean quickstart/seed=2"), "{error}");
        let error = resolve(dir.path(), "zzz").unwrap_err().to_string();
        assert!(error.contains("`runner ls`"), "{error}");
    }

    #[test]
    fn a_runs_directory_that_is_not_there_holds_no_runs() {
        let dir = tempfile::tempdir().unwrap();
        assert!(scan(&dir.path().join("nowhere")).is_empty());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_that_points_upwards_does_not_go_round_for_ever() {
        let dir = runs();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("quickstart/loop")).unwrap();
        assert_eq!(scan(dir.path()).len(), 3);
        // Two folders outside, each with a link to the other.
        let outside = runs();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("outside")).unwrap();
        std::os::unix::fs::symlink(dir.path(), outside.path().join("back")).unwrap();
        assert_eq!(scan(dir.path()).len(), 6);
    }

    #[cfg(unix)]
    #[test]
    fn runs_behind_links_are_found_once_by_folder_and_by_name() {
        use std::os::unix::fs::symlink;
        let (dir, disk) = (runs(), runs());
        symlink(disk.path().join("sweep"), dir.path().join("elsewhere")).unwrap();
        symlink(disk.path().join("sweep"), dir.path().join("once-more")).unwrap();
        symlink(disk.path().join("quickstart/seed=2"), dir.path().join("quickstart/seed=7")).unwrap();
        symlink(dir.path().join("quickstart"), dir.path().join("second-name")).unwrap();
        symlink(dir.path().join("nowhere"), dir.path().join("broken")).unwrap();
        symlink("/", dir.path().join("everything")).unwrap();
        let found: Vec<PathBuf> = scan(dir.path()).into_iter().map(|(path, _)| path).collect();
        let expected = [
            "elsewhere/lr=0.1,seed=1",
            "quickstart/seed=1",
            "quickstart/seed=2",
            "quickstart/seed=7",
            "sweep/lr=0.1,seed=1",
        ];
        assert_eq!(names(dir.path(), &found), expected);
        let resolved = |argument: &str| names(dir.path(), &resolve(dir.path(), argument).unwrap());
        assert_eq!(resolved("elsewhere"), ["elsewhere/lr=0.1,seed=1"]);
        assert_eq!(resolved("quickstart/seed=7"), ["quickstart/seed=7"]);
        assert_eq!(
            resolved("second-name"),
            ["second-name/seed=1", "second-name/seed=2", "second-name/seed=7"]
        );
    }

    #[test]
    fn what_was_thrown_away_is_not_found() {
        let dir = runs();
        fs::create_dir(dir.path().join(trash::FOLDER)).unwrap();
        fs::rename(dir.path().join("sweep"), dir.path().join(trash::FOLDER).join("sweep")).unwrap();
        assert_eq!(scan(dir.path()).len(), 2);
        assert!(resolve(dir.path(), "sweep").is_err());
    }
}

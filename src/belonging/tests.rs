use super::*;
use crate::config::{LoadOptions, load};
use crate::store::fixture;

/// Makes the runs of an experiment's file, as `runner` would, and says in which directories.
fn make(runs_dir: &Path, text: &str, started_at: &str) -> Vec<PlannedRun> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rates.toml");
    std::fs::write(&file, text).unwrap();
    let plans = load(&[file], &LoadOptions::default()).unwrap_or_else(|errors| panic!("{errors}"));
    let make = |plan: &RunPlan| {
        let mut manifest = fixture::manifest("rates", &plan.name);
        manifest.status = Status::Finished;
        manifest.started_at = started_at.parse().unwrap();
        manifest.run.point = plan.point.iter().cloned().collect();
        let config = config::render_frozen(plan);
        let dir = RunDir::create(runs_dir, "rates", &plan.name, &mut manifest, &config, |_| Ok(())).unwrap();
        PlannedRun { name: plan.name.clone(), dir: Some(dir.name()) }
    };
    plans.iter().map(make).collect()
}

const SWEEP: &str = "[experiment]\nname = \"rates\"\n[sweep.grid]\noptimizer.learning_rate = [1e-3, 3e-3]\n";
const LONGER: &str = "[experiment]\nname = \"rates\"\n[train]\nmax_steps = 7\n[sweep.grid]\noptimizer.learning_rate = [1e-3, 3e-3]\n";
const MORE: &str =
    "[experiment]\nname = \"rates\"\nrepeats = 2\n[sweep.grid]\noptimizer.learning_rate = [1e-2]\n";

fn names(paths: &[PathBuf]) -> Vec<String> {
    paths.iter().map(|path| RunDir::open(path).name()).collect()
}

#[test]
fn runs_of_another_configuration_are_older_and_say_what_changed() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("rates");
    make(runs.path(), SWEEP, "2026-11-01T10:00:00Z");
    let plan = make(runs.path(), LONGER, "2026-11-02T10:00:00Z");
    let current = ["learning_rate=0.001,seed=1337-2", "learning_rate=0.003,seed=1337-2"];
    // By the file, by what is written down, and by the newest run alone.
    for step in 0..3 {
        if step == 1 {
            planned::write(&folder, &plan).unwrap();
        }
        let found = of(&folder, (step == 0).then_some(plan.as_slice()));
        assert_eq!(names(&found.current), current, "{step}");
        assert_eq!(found.older.len(), 2);
        let (path, changes) = &found.older[0];
        assert_eq!(RunDir::open(path).name(), "learning_rate=0.001,seed=1337");
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].key.as_str(), changes[0].now.as_str()), ("train.max_steps", "7"));
        if step == 1 {
            std::fs::remove_file(folder.join("plan.toml")).unwrap();
        }
    }
}

#[test]
fn other_values_of_what_is_swept_and_other_seeds_belong() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("rates");
    make(runs.path(), SWEEP, "2026-11-01T10:00:00Z");
    let plan = make(runs.path(), MORE, "2026-11-02T10:00:00Z");
    let found = of(&folder, Some(&plan));
    assert_eq!((found.current.len(), found.older.len()), (4, 0));
    assert_eq!(of(&folder, None).current.len(), 4);
}

#[test]
fn a_plan_whose_runs_are_partly_made_keeps_those_and_names_the_rest() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("rates");
    let mut plan = make(runs.path(), SWEEP, "2026-11-01T10:00:00Z");
    plan.push(PlannedRun { name: "learning_rate=0.01,seed=1337".to_owned(), dir: None });
    let found = of(&folder, Some(&plan));
    assert_eq!((found.current.len(), found.missing.len()), (2, 1));
    // The newest plan has no run yet: what there is stays together.
    let none: Vec<PlannedRun> = plan.iter().map(|run| PlannedRun { dir: None, ..run.clone() }).collect();
    assert_eq!(of(&folder, Some(&none)).current.len(), 2);
}

#[test]
fn a_run_that_cannot_be_read_stays_among_the_others_whoever_asks() {
    let runs = tempfile::tempdir().unwrap();
    let folder = runs.path().join("rates");
    let plan = make(runs.path(), SWEEP, "2026-11-01T10:00:00Z");
    std::fs::write(folder.join("learning_rate=0.003,seed=1337").join("manifest.toml"), "torn").unwrap();
    for plan in [None, Some(plan.as_slice())] {
        let found = of(&folder, plan);
        assert_eq!((found.current.len(), found.older.len()), (2, 0));
    }
}

#[test]
fn an_empty_folder_has_nothing() {
    let runs = tempfile::tempdir().unwrap();
    assert_eq!(of(&runs.path().join("nothing"), None), Belonging::default());
}

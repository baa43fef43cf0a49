use std::fs;

use rayon::prelude::*;

use super::*;
use crate::facts::StopReason;
use crate::store::fixture;
use crate::store::manifest::Results;

const HEADER: &str = "step,train_loss\n";

fn run() -> (tempfile::TempDir, RunDir) {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = fixture::manifest("exp", "seed=1");
    manifest.status = Status::Finished;
    let config = "[train]\nmax_steps = 100\n";
    let run = RunDir::create(dir.path(), "exp", "seed=1", &mut manifest, config, |_| Ok(())).unwrap();
    fs::write(run.metrics(), format!("{HEADER}1,3.5\n2,3.25\n")).unwrap();
    let log = concat!(
        r#"{"event":"step","step":1,"train_loss":3.5}"#,
        "\n",
        r#"{"event":"warning","step":1,"message":"corpus is short"}"#,
        "\n",
        r#"{"event":"sampled","step":2,"samples":[{"prompt":"First","text":" Citizen"}]}"#,
        "\n"
    );
    fs::write(run.log(), log).unwrap();
    (dir, run)
}

#[test]
fn a_whole_run_reads_back_without_damage() {
    let (_dir, run) = run();
    let record = read(run.path()).unwrap();
    assert_eq!(record.id(), "exp/seed=1");
    assert_eq!(record.damage, Vec::<String>::new());
    assert_eq!(record.rows[1].train_loss, Some(3.25));
    assert_eq!(record.config["train"]["max_steps"].as_integer(), Some(100));
    let sample = SampleText { prompt: "First".to_owned(), text: " Citizen".to_owned() };
    assert_eq!(record.samples, [(2, vec![sample])]);
    // Its log is of before that was measured.
    assert_eq!(record.memorisation, []);
    assert_eq!(record.warnings, [(1, "corpus is short".to_owned())]);
}

#[test]
fn an_existing_run_is_never_overwritten_but_numbered() {
    let (dir, first) = run();
    for expected in ["seed=1-2", "seed=1-3"] {
        let mut manifest = fixture::manifest("exp", "seed=1");
        let next = RunDir::create(dir.path(), "exp", "seed=1", &mut manifest, "", |_| Ok(())).unwrap();
        assert_eq!(manifest.run.name, expected);
        assert_eq!(next.path(), dir.path().join("exp").join(expected));
        assert_eq!(next.read_manifest().unwrap(), manifest);
    }
    assert_eq!(first.read_manifest().unwrap().status, Status::Finished);
}

#[test]
fn processes_that_start_the_same_run_get_a_directory_each() {
    let dir = tempfile::tempdir().unwrap();
    let names: std::collections::BTreeSet<String> = (0..16)
        .into_par_iter()
        .map(|_| {
            let mut manifest = fixture::manifest("exp", "run");
            RunDir::create(dir.path(), "exp", "run", &mut manifest, "", |_| Ok(())).unwrap();
            manifest.run.name
        })
        .collect();
    assert_eq!(names.len(), 16);
}

#[test]
fn an_unusable_runs_directory_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let mut manifest = fixture::manifest("exp", "run");
    let error = RunDir::create(&file, "exp", "run", &mut manifest, "", |_| Ok(())).unwrap_err().to_string();
    assert!(error.contains(&file.display().to_string()), "{error}");
    assert!(error.contains("--runs-dir"), "{error}");
}

#[test]
fn missing_and_damaged_files_are_noted_and_the_rest_is_used() {
    let (_dir, run) = run();
    fs::write(run.config(), "[train]\nmax_steps = = 3\n").unwrap();
    fs::write(run.metrics(), format!("{HEADER}1,3.5\n2,3.2")).unwrap();
    fs::write(run.log(), "{\"event\":\"samp\n").unwrap();
    let record = read(run.path()).unwrap();
    assert_eq!(record.rows.len(), 1);
    assert_eq!(record.config, toml::Table::new());
    assert_eq!(record.damage.len(), 3, "{:?}", record.damage);
    assert!(record.damage[0].starts_with("config.toml:2: "), "{:?}", record.damage);
    assert_eq!(record.damage[1], "metrics.csv:3: half-written line, left out");
    assert!(record.damage[2].starts_with("log.jsonl:1: not an event"), "{:?}", record.damage);

    fs::remove_file(run.metrics()).unwrap();
    let record = read(run.path()).unwrap();
    assert!(record.rows.is_empty());
    assert!(record.damage.contains(&"metrics.csv: not there".to_owned()));
}

#[test]
fn a_configuration_that_is_not_what_was_written_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = fixture::manifest("exp", "seed=1");
    let run =
        RunDir::create(folder.path(), "exp", "seed=1", &mut manifest, "[train]\nmax_steps = 3\n", |_| Ok(()))
            .unwrap();
    let noted =
        || read(run.path()).unwrap().damage.iter().any(|note| note.starts_with("config.toml: not what was"));
    assert!(!noted());
    fs::write(run.config(), "[train]\nmax_steps = 4\n").unwrap();
    assert!(noted());
    // The program's own change is what it wrote.
    run.replace_config("[train]\nmax_steps = 5\n", &mut manifest).unwrap();
    assert!(!noted());
    // Of a run of before no sum is known.
    manifest.config_sha256 = None;
    run.write_manifest(&manifest).unwrap();
    fs::write(run.config(), "[train]\nmax_steps = 6\n").unwrap();
    assert!(!noted());
}

#[test]
fn a_file_that_is_wrong_throughout_gives_a_few_notes_and_a_count() {
    let (_dir, run) = run();
    fs::write(run.log(), "nonsense\n".repeat(1000)).unwrap();
    let record = read(run.path()).unwrap();
    assert_eq!(record.damage.len(), 6);
    assert_eq!(record.damage[5], "log.jsonl: 995 more like these");
}

#[test]
fn rows_that_the_manifest_knows_of_and_the_file_lacks_are_noted() {
    let (_dir, run) = run();
    let mut manifest = run.read_manifest().unwrap();
    manifest.results = Some(Results { steps: 2, ..Results::default() });
    let damage = |manifest: &Manifest, metrics: &str| {
        run.write_manifest(manifest).unwrap();
        fs::write(run.metrics(), metrics).unwrap();
        read(run.path()).unwrap().damage
    };
    let (whole, cut) = (format!("{HEADER}1,3.5\n2,3.25\n"), format!("{HEADER}1,3.5\n"));
    let no_rows = ["metrics.csv: no rows, but the run ended after step 2 according to manifest.toml"];
    assert_eq!(damage(&manifest, &whole), Vec::<String>::new());
    assert_eq!(damage(&manifest, ""), no_rows);
    assert_eq!(damage(&manifest, HEADER), no_rows);
    assert_eq!(
        damage(&manifest, &cut),
        ["metrics.csv: the last row is of step 1, but the run ended after step 2 according to manifest.toml"]
    );
    fs::remove_file(run.metrics()).unwrap();
    assert_eq!(read(run.path()).unwrap().damage, ["metrics.csv: not there"]);

    manifest.status = Status::Running;
    let lock = run.lock().unwrap();
    assert_eq!(damage(&manifest, &cut), Vec::<String>::new());
    drop(lock);
    manifest.status = Status::Interrupted;
    manifest.results = Some(Results::default());
    assert_eq!(damage(&manifest, HEADER), Vec::<String>::new());
    // The row of the evaluation before the first step.
    assert_eq!(damage(&manifest, &format!("{HEADER}0,\n")), Vec::<String>::new());
}

#[test]
fn a_run_that_has_just_begun_is_not_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = fixture::manifest("exp", "run");
    let run = RunDir::create(dir.path(), "exp", "run", &mut manifest, "", |_| Ok(())).unwrap();
    let _lock = run.lock().unwrap();
    assert_eq!(read(run.path()).unwrap().damage, Vec::<String>::new());
    fs::write(run.metrics(), format!("{HEADER}1,3.5\n2,")).unwrap();
    let record = read(run.path()).unwrap();
    assert_eq!((record.rows.len(), record.damage.len()), (1, 0));
}

#[test]
fn a_run_that_is_said_to_train_is_called_killed_once_nobody_writes_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = fixture::manifest("exp", "run");
    let run = RunDir::create(dir.path(), "exp", "run", &mut manifest, "", |_| Ok(())).unwrap();
    let status = || {
        let manifest = run.read_manifest_now().unwrap();
        (manifest.status, manifest.stop_reason)
    };
    let lock = run.lock().unwrap();
    assert_eq!(status(), (Status::Running, None));
    drop(lock);
    assert_eq!(status(), (Status::Interrupted, Some(StopReason::Killed)));
    assert_eq!(run.read_manifest().unwrap().status, Status::Running, "looking changes nothing");
}

#[test]
fn a_run_that_failed_before_its_first_step_is_not_damaged() {
    let (_dir, run) = run();
    fs::remove_file(run.metrics()).unwrap();
    fs::remove_file(run.log()).unwrap();
    assert_eq!(read(run.path()).unwrap().damage.len(), 2);
    let mut manifest = run.read_manifest().unwrap();
    manifest.status = Status::Failed;
    run.write_manifest(&manifest).unwrap();
    assert_eq!(read(run.path()).unwrap().damage, Vec::<String>::new());
}

#[test]
fn a_manifest_that_cannot_be_read_is_an_error_with_file_and_line() {
    let (_dir, run) = run();
    fs::write(run.manifest(), "format_version = 1\nstatus = \"runn").unwrap();
    let error = read(run.path()).unwrap_err().to_string();
    assert!(error.contains("manifest.toml:2: "), "{error}");
    fs::write(run.manifest(), b"\xff\xfe\x00").unwrap();
    assert!(matches!(read(run.path()), Err(StoreError::BadManifest { .. })));
    fs::remove_file(run.manifest()).unwrap();
    let error = read(run.path()).unwrap_err();
    assert!(matches!(&error, StoreError::NoManifest { path } if *path == run.manifest()), "{error}");
}

#[test]
fn a_manifest_of_a_newer_format_is_refused_with_advice() {
    let (_dir, run) = run();
    fs::write(run.manifest(), "format_version = 99\n").unwrap();
    let error = read(run.path()).unwrap_err().to_string();
    assert!(error.contains("format version 99") && error.contains("update runner"), "{error}");
}

#[test]
fn a_run_directory_that_could_not_be_filled_does_not_stay() {
    let dir = tempfile::tempdir().unwrap();
    let mut manifest = fixture::manifest("exp", "run");
    let full = |path: &Path| {
        let source = std::io::Error::from(std::io::ErrorKind::StorageFull);
        Err(StoreError::Write { path: path.join("tokenizer.json"), source })
    };
    RunDir::create(dir.path(), "exp", "run", &mut manifest, "", full).unwrap_err();
    assert_eq!(std::fs::read_dir(dir.path().join("exp")).unwrap().count(), 0);
    assert!(crate::store::scan::scan(dir.path()).is_empty());
    let made = RunDir::create(dir.path(), "exp", "run", &mut manifest, "", |_| Ok(())).unwrap();
    assert_eq!(made.name(), "run");
}

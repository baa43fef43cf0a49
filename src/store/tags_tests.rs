use super::*;
use crate::store::fixture;

/// A run with checkpoints of these steps.
fn run(runs_dir: &Path, experiment: &str, name: &str, steps: &[u64]) -> RunDir {
    let mut manifest = fixture::manifest(experiment, name);
    let dir = RunDir::create(runs_dir, experiment, name, &mut manifest, "", |_| Ok(())).unwrap();
    for step in steps {
        let path = dir.checkpoints().checkpoint(*step);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(WEIGHTS), format!("weights of {experiment} {step}")).unwrap();
        fs::write(path.join("loop.json"), format!("{{\"step\": {step}}}")).unwrap();
        checksums::write(&path).unwrap();
    }
    dir
}

#[test]
fn a_tag_survives_the_checkpoint_that_it_was_made_of() {
    let runs = tempfile::tempdir().unwrap();
    let dir = run(runs.path(), "a", "seed=1", &[100, 200]);
    let tag = add(runs.path(), &dir, 100, "v1", "good enough", false).unwrap();
    fs::remove_dir_all(dir.checkpoints().checkpoint(100)).unwrap();
    assert_eq!(dir.checkpoints().steps().unwrap(), [200]);
    let found = find(runs.path(), "v1").unwrap();
    assert_eq!(found, tag);
    assert_eq!((found.step, found.note.as_str(), found.sha256.len()), (100, "good enough", 64));
    assert_eq!(fs::read(found.path().join(WEIGHTS)).unwrap(), b"weights of a 100");
    checksums::verify(&found.path()).unwrap();
    assert_eq!(of(&dir), std::slice::from_ref(&tag));
    // What the run has dropped can have a second name.
    let second = add(runs.path(), &dir, 100, "v2", "", false).unwrap();
    assert_eq!(second.sha256, tag.sha256);
    delete(&second).unwrap();
    delete(&tag).unwrap();
    assert_eq!(find(runs.path(), "v1"), None);
    assert!(!dir.checkpoints().tags().exists());
}

#[test]
fn a_name_that_means_something_else_is_refused_with_why() {
    let runs = tempfile::tempdir().unwrap();
    let dir = run(runs.path(), "sweep", "seed=1", &[5]);
    run(runs.path(), "sweep", "plain", &[]);
    let refused = |name: &str| add(runs.path(), &dir, 5, name, "", false).unwrap_err().to_string();
    for (name, why) in [
        ("sweep", "an experiment"),
        ("Sweep", "an experiment"),
        ("plain", "a run"),
        ("best", "means a checkpoint already"),
        ("step-000005", "means a checkpoint already"),
        ("17", "means a checkpoint already"),
        ("a/b", "'/' is none of these"),
        ("", "is empty"),
        ("a@b", "'@' is none of these"),
    ] {
        assert!(refused(name).contains(why), "{name}: {}", refused(name));
    }
    assert!(all(runs.path()).is_empty());
}

#[test]
fn a_name_is_of_one_checkpoint_until_it_is_moved() {
    let runs = tempfile::tempdir().unwrap();
    let (a, b) = (run(runs.path(), "a", "seed=1", &[5]), run(runs.path(), "b", "seed=1", &[7, 9]));
    add(runs.path(), &a, 5, "v1", "", false).unwrap();
    let error = add(runs.path(), &b, 7, "v1", "", false).unwrap_err().to_string();
    assert!(error.contains("a/seed=1, step 5") && error.contains("--force"), "{error}");
    add(runs.path(), &b, 7, "v1", "", true).unwrap();
    add(runs.path(), &b, 9, "v1", "newer", true).unwrap();
    let tags = all(runs.path());
    assert_eq!(tags.len(), 1);
    assert_eq!((tags[0].step, tags[0].note.as_str()), (9, "newer"));
    assert!(of(&a).is_empty());
}

#[test]
fn a_damaged_checkpoint_gets_no_name() {
    let runs = tempfile::tempdir().unwrap();
    let dir = run(runs.path(), "a", "seed=1", &[5]);
    fs::write(dir.checkpoints().checkpoint(5).join(WEIGHTS), "other weights").unwrap();
    assert!(matches!(add(runs.path(), &dir, 5, "v1", "", false), Err(TagError::Damaged { .. })));
    assert!(of(&dir).is_empty());
    assert!(fs::read_dir(dir.checkpoints().tags()).unwrap().next().is_none());
}

#[test]
fn a_tag_whose_note_is_damaged_can_be_used_all_the_same() {
    let runs = tempfile::tempdir().unwrap();
    let dir = run(runs.path(), "a", "seed=1", &[5]);
    let tag = add(runs.path(), &dir, 5, "v1", "x", false).unwrap();
    fs::write(tag.path().join(FILE), [0xff, 0]).unwrap();
    let found = find(runs.path(), "v1").unwrap();
    assert_eq!((found.step, found.sha256, found.note.as_str()), (5, tag.sha256, ""));
}

#[test]
fn two_that_ask_for_one_name_at_once_do_not_both_get_it() {
    let runs = tempfile::tempdir().unwrap();
    let dirs: Vec<RunDir> = (0..4).map(|n| run(runs.path(), &format!("e{n}"), "seed=1", &[5])).collect();
    let got = std::thread::scope(|scope| {
        let threads: Vec<_> = dirs
            .iter()
            .map(|dir| scope.spawn(|| add(runs.path(), dir, 5, "v1", "", false).is_ok()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).filter(|got| *got).count()
    });
    assert_eq!(got, 1);
    assert_eq!(all(runs.path()).len(), 1);
}

#[test]
fn an_unknown_name_is_answered_with_near_ones() {
    let runs = tempfile::tempdir().unwrap();
    let dir = run(runs.path(), "a", "seed=1", &[5]);
    add(runs.path(), &dir, 5, "paper-v1", "", false).unwrap();
    let error = existing(runs.path(), "paper-v2").unwrap_err().to_string();
    assert!(error.contains("did you mean paper-v1?"), "{error}");
}

#[test]
fn a_name_stays_with_its_checkpoint_where_it_cannot_be_moved() {
    let runs = tempfile::tempdir().unwrap();
    let dir = run(runs.path(), "a", "seed=1", &[100]);
    let tag = add(runs.path(), &dir, 100, "v1", "", false).unwrap();
    let aside = tempfile::tempdir_in(runs.path()).unwrap();
    let nothing = aside.path().join("tag");
    assert!(put_in_place(&nothing, &tag.path(), &aside.path().join("before")).is_err());
    drop(aside);
    assert_eq!(find(runs.path(), "v1"), Some(tag));
}

//! What is wrong with checkpoints and with the record behind them, and what is gone on from then.

use proptest::prelude::*;

use super::*;
use crate::store::read_rows;

/// Every way of spoiling each file of the newest checkpoint leads to the one before, and the error names the file.
#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_used() {
    type Spoil = fn(&Path);
    let ways: [(&str, Spoil); 4] = [
        ("a bit flipped", |path| {
            let mut bytes = fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        }),
        ("cut", |path| {
            let bytes = fs::read(path).unwrap();
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        }),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("deleted", |path| fs::remove_file(path).unwrap()),
    ];
    for file in ["engine.json", "loop.json", "checksums.toml"] {
        for (way, spoil) in ways {
            let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
            spoil(&dir.checkpoints().checkpoint(2).join(file));
            let (restored, checkpoints, engine) = restore(&dir);
            let note = restored.notices.join("\n");
            assert!(note.contains("step-000002 cannot be used"), "{file} {way}: {note}");
            // A list of checksums with a flipped bit may name another file or sum.
            assert!(note.contains(file) || file == "checksums.toml", "{file} {way}: {note}");
            assert_eq!(restored.go_on.unwrap().state.step, 1, "{file} {way}");
            assert_eq!(checkpoints.saved, [1]);
            assert_eq!(pointed_at(&dir.checkpoints().last()), "step-000001");
            assert!(dir.checkpoints().path().join("step-000002.damaged").is_dir());
            drop(engine);
        }
    }
}

#[test]
fn without_a_sound_checkpoint_the_run_begins_again() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    for step in [1, 2] {
        fs::write(dir.checkpoints().checkpoint(step).join("loop.json"), "{}").unwrap();
    }
    let (restored, mut checkpoints, engine) = restore(&dir);
    assert_eq!((restored.go_on.is_none(), restored.notices.len()), (true, 2));
    // A damaged one does not stand in the way of a new one of its step.
    checkpoints.save(engine.as_ref(), state(1, 2.5)).unwrap();
    assert_eq!(dir.checkpoints().steps().unwrap(), [1]);
}

#[test]
fn a_checkpoint_whose_record_was_lost_is_not_gone_on_with() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    let whole = fs::read_to_string(dir.metrics()).unwrap();
    fs::write(dir.metrics(), "step\n1\n").unwrap();
    let (restored, ..) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.step, 1);
    assert!(restored.notices[0].contains("metrics.csv has 7 bytes, and had 9"), "{:?}", restored.notices);

    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    fs::write(dir.metrics(), whole.replace("2\n", "x\n")).unwrap();
    let (restored, ..) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.step, 1);
    assert!(
        restored.notices[0].contains("the SHA-256 of its first 9 bytes differs"),
        "{:?}",
        restored.notices
    );
}

#[test]
fn rows_that_are_lost_for_all_checkpoints_cost_no_weights() {
    type Spoil = fn(&Path);
    let ways: [(&str, Spoil, &[u64]); 3] = [
        ("deleted", |path| fs::remove_file(path).unwrap(), &[3]),
        ("cut", |path| fs::write(path, "step\n1").unwrap(), &[3]),
        ("a row changed", |path| fs::write(path, "step,grad_norm\n1,9\nx,1\n3,2\n").unwrap(), &[1, 3]),
    ];
    for (way, spoil, rows) in ways {
        let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0), (3, 1.0)]);
        spoil(&dir.metrics());
        let found = fs::read(dir.metrics()).ok();
        let (restored, ..) = restore(&dir);
        let go_on = restored.go_on.unwrap();
        assert_eq!(go_on.state.step, 3, "{way}");
        // The last one is there in any case: the loop counts from it.
        assert_eq!(go_on.rows.iter().map(|row| row.step).collect::<Vec<_>>(), rows, "{way}");
        assert_eq!(dir.checkpoints().steps().unwrap(), [2, 3], "{way}");
        assert!(
            restored.notices[0].contains("resuming from step 3 although"),
            "{way}: {:?}",
            restored.notices
        );
        assert_eq!(fs::read(dir.path().join("metrics.csv.damaged")).ok(), found, "{way}");
        // What is trained from here on has its rows behind those that are left.
        let before = read_rows(&dir.metrics(), None).unwrap();
        assert!(before.iter().all(|row| rows.contains(&row.step)), "{way}");
    }
}

#[test]
fn where_rows_are_lost_for_all_the_damaged_among_them_are_still_put_aside() {
    let (_folder, dir) = run_with(&[(1, 1.0), (2, 2.0), (3, 3.0)]);
    fs::write(dir.checkpoints().checkpoint(1).join("loop.json"), "{}").unwrap();
    fs::remove_file(dir.metrics()).unwrap();
    let (restored, ..) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.step, 3);
    assert!(restored.notices[0].contains("step-000001 cannot be used"), "{:?}", restored.notices);
    assert!(restored.notices[1].contains("resuming from step 3 although"), "{:?}", restored.notices);
    assert_eq!(dir.checkpoints().steps().unwrap(), [2, 3]);
    assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000002");
}

#[test]
fn prose_that_is_lost_is_named_and_costs_no_checkpoint() {
    let (_folder, dir) = run_with(&[(1, 3.0)]);
    for path in [dir.log(), dir.samples()] {
        fs::write(path, "{}\n").unwrap();
    }
    let mut saver = Checkpoints::new(dir.checkpoints(), PLAN);
    saver.restore(&dir, engine(0).as_mut()).unwrap();
    for path in [dir.log(), dir.samples()] {
        fs::write(path, "{}\n{}\n").unwrap();
    }
    saver.save(engine(2).as_ref(), LoopState { record: record(&dir, 2), ..state(2, 2.0) }).unwrap();
    fs::remove_file(dir.samples()).unwrap();
    fs::write(dir.log(), "{}\n{").unwrap();
    let (restored, ..) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.step, 2);
    let notices = restored.notices;
    assert!(notices.len() == 2 && notices[0].contains("log.jsonl has 4 bytes"), "{notices:?}");
    assert!(notices[1].contains("samples.md has 0 bytes, and had 6"), "{notices:?}");
    assert_eq!(fs::read_to_string(dir.log()).unwrap(), "{}\n");
    assert_eq!(dir.checkpoints().steps().unwrap(), [1, 2]);
}

/// What lies in a folder: names and contents.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(content(&path));
        }
        found.push((path.clone(), fs::read(&path).unwrap_or_default()));
    }
    found.sort();
    found
}

/// Who may read everything is not refused a file; a link that leads to itself refuses everybody.
#[cfg(unix)]
#[test]
fn a_checkpoint_that_cannot_be_read_is_not_damaged_and_nothing_is_touched() {
    for file in ["engine.json", "loop.json", "checksums.toml"] {
        // Alone, and behind one that is really damaged.
        for damaged in [false, true] {
            let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
            let unreadable = if damaged { 1 } else { 2 };
            if damaged {
                fs::write(dir.checkpoints().checkpoint(2).join("loop.json"), "{}").unwrap();
            }
            let path = dir.checkpoints().checkpoint(unreadable).join(file);
            fs::remove_file(&path).unwrap();
            std::os::unix::fs::symlink(file, &path).unwrap();
            let before = content(dir.path());
            let mut checkpoints = Checkpoints::new(dir.checkpoints(), PLAN);
            let error = checkpoints.restore(&dir, engine(0).as_mut()).unwrap_err();
            assert!(
                matches!(&error, CheckpointError::Unreadable { path: named, .. } if *named == path),
                "{error}"
            );
            assert!(error.to_string().contains("no checkpoint was changed"), "{error}");
            assert_eq!(content(dir.path()), before, "{file}");
        }
    }
}

#[cfg(unix)]
#[test]
fn checkpoints_that_cannot_be_listed_are_not_none() {
    let (_folder, dir) = run_with(&[(1, 3.0)]);
    let folder = dir.checkpoints().path().to_owned();
    fs::rename(&folder, dir.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("checkpoints", &folder).unwrap();
    assert!(newest_step(&dir).unwrap_err().to_string().contains("checkpoints"));
    let (_folder, dir) = run_with(&[(1, 3.0)]);
    let step = dir.checkpoints().checkpoint(1);
    fs::remove_dir_all(&step).unwrap();
    std::os::unix::fs::symlink("step-000001", &step).unwrap();
    assert!(newest_step(&dir).unwrap_err().to_string().contains("step-000001"));
}

#[test]
fn a_checkpoint_of_a_newer_version_is_not_damaged() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    let sums = dir.checkpoints().checkpoint(2).join("checksums.toml");
    let newer = fs::read_to_string(&sums).unwrap().replace("format_version = 1", "format_version = 2");
    fs::write(&sums, newer).unwrap();
    let before = content(dir.path());
    let error = Checkpoints::new(dir.checkpoints(), PLAN).restore(&dir, engine(0).as_mut()).unwrap_err();
    assert!(error.to_string().contains("newer runner"), "{error}");
    assert_eq!(content(dir.path()), before);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Also when its checksums say that it is what was written.
    #[test]
    fn no_loop_state_makes_going_on_panic(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..6)) {
        let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
        let path = dir.checkpoints().checkpoint(2);
        let mut json = fs::read(path.join("loop.json")).unwrap();
        let at = at.index(json.len());
        json.splice(at..(at + bytes.len()).min(json.len()), bytes);
        fs::write(path.join("loop.json"), json).unwrap();
        fs::remove_file(path.join("checksums.toml")).unwrap();
        checksums::write(&path).unwrap();
        let (restored, ..) = restore(&dir);
        prop_assert!(restored.go_on.is_some_and(|go_on| [1, 2].contains(&go_on.state.step)));
    }
}

#[test]
fn a_list_of_checksums_cannot_point_out_of_its_folder() {
    let (_folder, dir) = run_with(&[(1, 3.0)]);
    let path = dir.checkpoints().checkpoint(1).join("checksums.toml");
    let text = fs::read_to_string(&path).unwrap().replace("\"engine.json\"", "\"../last\"");
    fs::write(&path, text).unwrap();
    let (restored, ..) = restore(&dir);
    assert!(restored.notices[0].contains("no file of this folder"), "{:?}", restored.notices);
}

use proptest::prelude::*;

use super::*;
use crate::config::{self, LoadOptions};
use crate::data::batches::BatchState;
use crate::engine::{self, Engine};
use crate::store::RunDir;

/// A tensor-free engine that was `step` steps far.
fn engine(step: u64) -> Box<dyn Engine> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("scripted.toml");
    fs::write(&file, "[hardware]\ndevice = \"scripted\"\n").unwrap();
    let plan = config::load(&[file], &LoadOptions::default()).unwrap().remove(0);
    let mut engine = engine::open(&plan, 65).unwrap();
    for _ in 0..step {
        engine.train_step(&[], 0.1).unwrap();
    }
    engine
}

fn state(step: u64, score: f64) -> LoopState {
    LoopState {
        step,
        tokens: step * 100,
        elapsed_secs: 0.1 * step as f64,
        batches: BatchState::Random { windows: step * 8 },
        ema: Ema::new(0.98),
        score: Some(score),
        best: None,
        skipped_steps: 0,
        sampled_at: None,
        memorisation: None,
        pending: None,
        time: None,
        peak_memory_bytes: None,
        record: RecordSizes::default(),
    }
}

/// A record whose last row is of `step`.
fn record(dir: &RunDir, step: u64) -> RecordSizes {
    let rows: String = (1..=step).map(|step| format!("{step}\n")).collect();
    fs::write(dir.metrics(), format!("step\n{rows}")).unwrap();
    RecordSizes::sync(dir).unwrap()
}

/// A run with checkpoints of these steps, each with its score, of which the last two and the best are kept.
fn run_with(checkpoints: &[(u64, f64)]) -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::open(folder.path());
    let mut saver = Checkpoints::new(dir.checkpoints(), 2);
    for &(step, score) in checkpoints {
        let record = record(&dir, step);
        saver.save(engine(step).as_ref(), LoopState { record, ..state(step, score) }).unwrap();
    }
    (folder, dir)
}

fn restore(dir: &RunDir) -> (Restored, Checkpoints, Box<dyn Engine>) {
    let mut checkpoints = Checkpoints::new(dir.checkpoints(), 2);
    let mut engine = engine(0);
    let restored = checkpoints.restore(dir, engine.as_mut()).unwrap();
    (restored, checkpoints, engine)
}

fn pointed_at(pointer: &Path) -> String {
    fs::read_to_string(pointer).unwrap().trim().to_owned()
}

#[test]
fn what_a_killed_process_left_half_written_is_deleted() {
    let (_folder, dir) = run_with(&[(500, 2.0)]);
    let partial = dir.checkpoints().path().join(".partial-a1b2c3");
    fs::create_dir_all(&partial).unwrap();
    fs::write(partial.join("model.safetensors"), "x").unwrap();
    Checkpoints::new(dir.checkpoints(), 2);
    assert!(!partial.exists());
    assert_eq!(dir.checkpoints().steps(), [500]);
}

#[test]
fn the_newest_two_and_the_best_are_kept() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 1.0), (3, 2.0), (4, 2.5), (5, 2.2)]);
    assert_eq!(dir.checkpoints().steps(), [2, 4, 5]);
    assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000002");
    assert_eq!(pointed_at(&dir.checkpoints().last()), "step-000005");
    let (restored, mut checkpoints, engine) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.best, Some((1.0, 2)));
    assert_eq!(restored.damaged, Vec::<String>::new());
    // The best one is still known to be the best, and outlives the ones that come after.
    for step in [6, 7, 8] {
        assert!(!checkpoints.save(engine.as_ref(), state(step, 1.5)).unwrap());
    }
    assert_eq!(dir.checkpoints().steps(), [2, 7, 8]);
}

#[test]
fn a_state_reads_back_to_the_last_bit() {
    let (_folder, dir) = run_with(&[]);
    let mut saver = Checkpoints::new(dir.checkpoints(), 2);
    let mut ema = Ema::new(0.98);
    for loss in [10.955, 3.3, 0.1 + 0.2] {
        ema.update(loss);
    }
    let saved = LoopState { ema, elapsed_secs: 1.0 / 3.0, record: record(&dir, 3), ..state(3, 0.1 + 0.2) };
    saver.save(engine(3).as_ref(), saved.clone()).unwrap();
    let expected = LoopState { best: Some((0.1 + 0.2, 3)), ..saved };
    assert_eq!(restore(&dir).0.go_on.unwrap().state, expected);
}

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
            let note = restored.damaged.join("\n");
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
    assert_eq!((restored.go_on.is_none(), restored.damaged.len()), (true, 2));
    // A damaged one does not stand in the way of a new one of its step.
    checkpoints.save(engine.as_ref(), state(1, 2.5)).unwrap();
    assert_eq!(dir.checkpoints().steps(), [1]);
}

#[test]
fn a_checkpoint_whose_record_was_lost_is_not_gone_on_with() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    let whole = fs::read_to_string(dir.metrics()).unwrap();
    fs::write(dir.metrics(), "step\n1\n").unwrap();
    let (restored, ..) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.step, 1);
    assert!(restored.damaged[0].contains("metrics.csv has 7 bytes, and had 9"), "{:?}", restored.damaged);

    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    fs::write(dir.metrics(), whole.replace("2\n", "x\n")).unwrap();
    let (restored, ..) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.step, 1);
    assert!(restored.damaged[0].contains("metrics.csv ends with step 1"), "{:?}", restored.damaged);
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
    assert!(restored.damaged[0].contains("no file of this folder"), "{:?}", restored.damaged);
}

#[test]
fn a_checkpoint_is_not_begun_where_it_does_not_fit() {
    let (_folder, dir) = run_with(&[(1, 3.0)]);
    let mut saver = Checkpoints::new(dir.checkpoints(), 2);
    saver.last_bytes = Some(u64::MAX / 2);
    let error = saver.save(engine(2).as_ref(), state(2, 2.0)).unwrap_err();
    assert!(error.is_disk_full());
    assert!(error.to_string().contains("earlier checkpoints are untouched"), "{error}");
    assert_eq!(dir.checkpoints().steps(), [1]);
}

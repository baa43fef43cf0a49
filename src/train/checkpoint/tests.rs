mod damaged;

use super::*;
use crate::config::{self, LoadOptions};
use crate::data::batches::BatchState;
use crate::engine::{self, Engine};

const PLAN: CheckpointPlan = CheckpointPlan { interval: 1, keep_last: 2 };

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
        by_stop: false,
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
    let mut saver = Checkpoints::new(dir.checkpoints(), PLAN);
    for &(step, score) in checkpoints {
        let record = record(&dir, step);
        saver.save(engine(step).as_ref(), LoopState { record, ..state(step, score) }).unwrap();
    }
    (folder, dir)
}

fn restore(dir: &RunDir) -> (Restored, Checkpoints, Box<dyn Engine>) {
    let mut checkpoints = Checkpoints::new(dir.checkpoints(), PLAN);
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
    Checkpoints::new(dir.checkpoints(), PLAN);
    assert!(!partial.exists());
    assert_eq!(dir.checkpoints().steps().unwrap(), [500]);
}

#[test]
fn the_newest_two_and_the_best_are_kept() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 1.0), (3, 2.0), (4, 2.5), (5, 2.2)]);
    assert_eq!(dir.checkpoints().steps().unwrap(), [2, 4, 5]);
    assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000002");
    assert_eq!(pointed_at(&dir.checkpoints().last()), "step-000005");
    let (restored, mut checkpoints, engine) = restore(&dir);
    assert_eq!(restored.go_on.unwrap().state.best, Some((1.0, 2)));
    assert_eq!(restored.notices, Vec::<String>::new());
    // The best one is still known to be the best, and outlives the ones that come after.
    for step in [6, 7, 8] {
        assert!(!checkpoints.save(engine.as_ref(), state(step, 1.5)).unwrap());
    }
    assert_eq!(dir.checkpoints().steps().unwrap(), [2, 7, 8]);
}

#[test]
fn a_state_reads_back_to_the_last_bit() {
    let (_folder, dir) = run_with(&[]);
    let mut saver = Checkpoints::new(dir.checkpoints(), PLAN);
    let mut ema = Ema::new(0.98);
    for loss in [10.955, 3.3, 0.1 + 0.2] {
        ema.update(loss);
    }
    let saved = LoopState { ema, elapsed_secs: 1.0 / 3.0, record: record(&dir, 3), ..state(3, 0.1 + 0.2) };
    saver.save(engine(3).as_ref(), saved.clone()).unwrap();
    let expected = LoopState { best: Some((0.1 + 0.2, 3)), ..saved };
    assert_eq!(restore(&dir).0.go_on.unwrap().state, expected);
}

/// A run with a checkpoint every ten steps; those between are by stops.
fn stopped_run(checkpoints: &[(u64, f64)]) -> (tempfile::TempDir, RunDir) {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::open(folder.path());
    for &(step, score) in checkpoints {
        let mut saver = every_ten(&dir);
        saver.restore(&dir, engine(0).as_mut()).unwrap();
        let by_stop = step % 10 != 0;
        let record = record(&dir, step);
        saver.save(engine(step).as_ref(), LoopState { record, by_stop, ..state(step, score) }).unwrap();
    }
    (folder, dir)
}

fn every_ten(dir: &RunDir) -> Checkpoints {
    Checkpoints::new(dir.checkpoints(), CheckpointPlan { interval: 10, keep_last: 2 })
}

#[test]
fn a_stop_s_checkpoint_is_never_the_best_and_goes_with_the_next_one() {
    let (_folder, dir) = stopped_run(&[(7, 0.5)]);
    assert!(!dir.checkpoints().best().exists());
    let (_folder, dir) = stopped_run(&[(7, 0.5), (10, 2.0), (13, 0.1), (17, 0.2)]);
    // Until the next one is there it is the newest, and takes no other's place.
    assert_eq!(dir.checkpoints().steps().unwrap(), [10, 17]);
    assert_eq!(pointed_at(&dir.checkpoints().last()), "step-000017");
    let alone = [(10, 2.0), (20, 3.0), (30, 3.0)];
    let stopped = [(7, 0.5), (10, 2.0), (13, 0.1), (20, 3.0), (29, 0.1), (30, 3.0)];
    for checkpoints in [&alone[..], &stopped] {
        let (_folder, dir) = stopped_run(checkpoints);
        assert_eq!(dir.checkpoints().steps().unwrap(), [10, 20, 30]);
        assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000010");
    }
}

#[test]
fn a_stop_does_not_thin_out_what_the_run_left_alone_would_keep() {
    let (_folder, dir) = stopped_run(&[(10, 3.0), (20, 2.0), (30, 2.5), (35, 1.0)]);
    assert_eq!(dir.checkpoints().steps().unwrap(), [20, 30, 35]);
    let (_folder, dir) = stopped_run(&[(10, 3.0), (20, 2.0), (30, 2.5), (35, 1.0), (40, 2.5)]);
    assert_eq!(dir.checkpoints().steps().unwrap(), [20, 30, 40]);
}

#[test]
fn a_score_that_is_no_number_is_never_the_best() {
    let (_folder, dir) = run_with(&[(1, f64::NAN), (2, 3.0), (3, f64::INFINITY), (4, 2.0), (5, 2.5)]);
    assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000004");
    assert_eq!(restore(&dir).0.go_on.unwrap().state.best, Some((2.0, 4)));
}

/// An engine whose weights are spoilt: they reach the disk, and it finds out.
struct Spoilt(Box<dyn Engine>);

impl Engine for Spoilt {
    fn save(&self, dir: &Path) -> Result<(), EngineError> {
        self.0.save(dir)?;
        Err(EngineError::NotFinite { tensor: "wte.weight".to_owned() })
    }
    fn device(&self) -> crate::facts::DeviceInfo {
        self.0.device()
    }
    fn model(&self) -> crate::facts::ModelInfo {
        self.0.model()
    }
    fn train_step(
        &mut self,
        batches: &[crate::data::batches::Batch],
        rate: f64,
    ) -> Result<engine::StepOutput, EngineError> {
        self.0.train_step(batches, rate)
    }
    fn step_parts(&self) -> Vec<crate::facts::StepPart> {
        self.0.step_parts()
    }
    fn predict(
        &mut self,
        batch: &crate::data::batches::Batch,
    ) -> Result<crate::engine::Predicted, EngineError> {
        self.0.predict(batch)
    }
    fn next_token_logits(&mut self, context: &[u32]) -> Result<Vec<f32>, EngineError> {
        self.0.next_token_logits(context)
    }
    fn saved_bytes(&self) -> u64 {
        self.0.saved_bytes()
    }
    fn load(&mut self, dir: &Path) -> Result<(), EngineError> {
        self.0.load(dir)
    }
}

#[test]
fn spoilt_weights_leave_the_last_sound_checkpoint_what_it_is() {
    let (_folder, dir) = run_with(&[(1, 3.0), (2, 2.0)]);
    let mut saver = Checkpoints::new(dir.checkpoints(), PLAN);
    saver.restore(&dir, engine(0).as_mut()).unwrap();
    let record = record(&dir, 3);
    let error = saver.save(&Spoilt(engine(3)), LoopState { record, ..state(3, 1.0) }).unwrap_err();
    assert!(matches!(error, CheckpointError::Engine(EngineError::NotFinite { .. })), "{error}");
    assert_eq!(dir.checkpoints().steps().unwrap(), [1, 2]);
    for pointer in [dir.checkpoints().best(), dir.checkpoints().last()] {
        assert_eq!(pointed_at(&pointer), "step-000002");
    }
    let names = fs::read_dir(dir.checkpoints().path()).unwrap();
    assert_eq!(names.count(), 4, "nothing half-written is left");
}

#[test]
fn a_best_checkpoint_of_before_that_was_a_stop_s_is_given_up_with_the_next_one() {
    let (_folder, dir) = stopped_run(&[(10, 2.0), (17, 0.5)]);
    // As it was written when a stop's checkpoint had a score.
    let path = dir.checkpoints().checkpoint(17);
    let json = fs::read_to_string(path.join(LOOP_FILE)).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&json).unwrap();
    state.as_object_mut().unwrap().remove("by_stop");
    (state["score"], state["best"]) = (0.5.into(), serde_json::json!([0.5, 17]));
    fs::write(path.join(LOOP_FILE), state.to_string()).unwrap();
    fs::remove_file(path.join("checksums.toml")).unwrap();
    checksums::write(&path).unwrap();
    let mut saver = every_ten(&dir);
    saver.restore(&dir, engine(0).as_mut()).unwrap();
    let record = record(&dir, 20);
    saver.save(engine(20).as_ref(), LoopState { record, ..self::state(20, 3.0) }).unwrap();
    assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000010");
    assert_eq!(dir.checkpoints().steps().unwrap(), [10, 20]);
}

#[test]
fn without_the_best_one_the_best_of_those_that_are_left_is_named() {
    let (_folder, dir) = run_with(&[(1, 1.0), (2, 3.0), (3, 2.0), (4, 2.5)]);
    assert_eq!(dir.checkpoints().steps().unwrap(), [1, 3, 4]);
    fs::remove_dir_all(dir.checkpoints().checkpoint(1)).unwrap();
    restore(&dir);
    assert_eq!(pointed_at(&dir.checkpoints().best()), "step-000003");
}

#[test]
fn a_checkpoint_is_not_begun_where_it_does_not_fit() {
    let (_folder, dir) = run_with(&[(1, 3.0)]);
    let mut saver = Checkpoints::new(dir.checkpoints(), PLAN);
    saver.last_bytes = Some(u64::MAX / 2);
    let error = saver.save(engine(2).as_ref(), state(2, 2.0)).unwrap_err();
    assert!(error.is_disk_full());
    assert!(error.to_string().contains("earlier checkpoints are untouched"), "{error}");
    assert_eq!(dir.checkpoints().steps().unwrap(), [1]);
}

#[test]
fn pruning_leaves_no_name_of_a_checkpoint_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = RunDir::open(folder.path());
    let checkpoints = dir.checkpoints();
    for step in [10, 20, 30] {
        std::fs::create_dir_all(checkpoints.checkpoint(step)).unwrap();
        std::fs::write(checkpoints.checkpoint(step).join("model.safetensors"), "weights").unwrap();
    }
    std::fs::write(checkpoints.best(), "step-000010\n").unwrap();
    std::fs::write(checkpoints.last(), "step-000030\n").unwrap();
    drop_all_but(&dir, &[10].into()).unwrap();
    assert_eq!(checkpoints.steps().unwrap(), [10]);
    assert_eq!((pointed(&checkpoints.best()), pointed(&checkpoints.last())), (Some(10), Some(10)));

    std::fs::create_dir_all(checkpoints.checkpoint(40)).unwrap();
    drop_all_but(&dir, &[40].into()).unwrap();
    assert_eq!((pointed(&checkpoints.best()), pointed(&checkpoints.last())), (None, Some(40)));
    let left = std::fs::read_dir(checkpoints.path()).unwrap().count();
    assert_eq!(left, 2, "the checkpoint and `last`");

    drop_all_but(&dir, &BTreeSet::new()).unwrap();
    assert_eq!(std::fs::read_dir(checkpoints.path()).unwrap().count(), 0);
}

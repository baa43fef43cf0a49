//! Memory on the GPU: it runs out without a panic, the next step works, and nothing is left behind.

use std::panic::{AssertUnwindSafe, catch_unwind};

use runner::config::{self, LoadOptions, experiment::RunPlan};
use runner::data::batches::Batch;
use runner::engine::{self, Engine, EngineError};

use super::emulator::Emulator;

const VOCABULARY: usize = 11;
const TOKENS: usize = 4;

/// As small as it can be, with everything in it.
fn plan(set: &[&str]) -> RunPlan {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("small.toml");
    let text = format!(
        "[model]\nn_layer = 1\nn_head = 2\nn_embd = 8\nblock_size = {TOKENS}\ndropout = 0.1\n\
         [data]\ntokenizer = \"char\"\n[train]\nbatch_size = 2\nsequence_length = {TOKENS}\n\
         [optimizer]\ngrad_clip = 0.1\n[hardware]\ndevice = \"cuda\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let set = set.iter().map(|set| (*set).to_owned()).collect();
    let plans = config::load(&[path], &LoadOptions { set, only: Vec::new() });
    plans.unwrap_or_else(|errors| panic!("{errors}")).remove(0)
}

fn open(plan: &RunPlan) -> Result<Box<dyn Engine>, EngineError> {
    engine::open(plan, VOCABULARY)
}

fn batch() -> Batch {
    let ids = |first: usize| (first..).take(2 * TOKENS).map(|i| (i * 7 % VOCABULARY) as u32).collect();
    Batch { batch_size: 2, sequence_length: TOKENS, inputs: ids(0), targets: ids(1) }
}

/// A batch that fits the plan.
fn batch_of(plan: &RunPlan) -> Batch {
    let (batch_size, sequence_length) = (plan.train.batch_size, plan.sequence_length());
    let ids = |first: usize| (first..).take(batch_size * sequence_length);
    let ids = |first: usize| ids(first).map(|i| (i * 7 % VOCABULARY) as u32).collect();
    Batch { batch_size, sequence_length, inputs: ids(0), targets: ids(1) }
}

/// Everything that an engine does with memory, besides opening.
fn act(engine: &mut dyn Engine) -> Result<f64, EngineError> {
    let batches = [batch(), batch()];
    let loss = engine.train_step(&batches, 1e-3)?.loss;
    engine.loss(&batch())?;
    engine.next_token_logits(&[1, 2, 3])?;
    let folder = tempfile::tempdir().unwrap();
    engine.save(folder.path())?;
    engine.load(folder.path())?;
    Ok(loss)
}

/// The kinds of run whose operations differ.
const KINDS: [&[&str]; 4] = [
    &[],
    &["train.activation_checkpointing=true", "optimizer.kind=sgd"],
    &["optimizer.kind=muon"],
    &["hardware.dtype=f16"],
];

/// That this returns, and how.
fn without_panic<R>(what: &str, act: impl FnOnce() -> R) -> R {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| panic!("{what}: a panic"))
}

fn assert_out_of_memory<R>(what: &str, result: Result<R, EngineError>) {
    match result {
        Err(EngineError::OutOfMemory { .. }) => {}
        Err(other) => panic!("{what}: another error: {other}"),
        Ok(_) => panic!("{what}: no error"),
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn opening_without_memory_is_an_error_at_each_allocation() {
    let emulator = Emulator::take();
    for set in KINDS {
        let plan = plan(set);
        let before = emulator.allocations();
        drop(open(&plan).unwrap());
        let allocations = emulator.allocations() - before;
        assert!(allocations > 20, "{allocations}");
        for first in 0..allocations {
            let what = format!("{set:?}, allocation {first}");
            emulator.fail_allocations(first, u64::MAX);
            let opened = without_panic(&what, || open(&plan));
            emulator.fail_allocations(0, 0);
            assert_out_of_memory(&what, opened);
            assert_eq!(emulator.left_blocks(), 0, "{what}");
        }
        assert!(open(&plan).is_ok());
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_step_without_memory_is_an_error_at_each_allocation_and_the_next_works() {
    let emulator = Emulator::take();
    for set in KINDS {
        let mut engine = open(&plan(set)).unwrap();
        let mut first = 0;
        loop {
            let what = format!("{set:?}, allocation {first}");
            emulator.fail_allocations(first, u64::MAX);
            let before = emulator.allocations();
            let result = without_panic(&what, || act(engine.as_mut()));
            let made = emulator.allocations() - before;
            emulator.fail_allocations(0, 0);
            if result.is_ok() {
                assert!(made <= first, "{what}: {made} allocations were made");
                break;
            }
            assert_out_of_memory(&what, result);
            first += 1;
        }
        assert!(first > 50, "{set:?}: only {first} allocations");
        let loss = without_panic("after all", || act(engine.as_mut())).unwrap();
        assert!(loss.is_finite());
        drop(engine);
        assert_eq!(emulator.left_blocks(), 0, "{set:?}");
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn an_engine_whose_first_step_found_no_memory_leaves_none_behind() {
    let emulator = Emulator::take();
    // With Muon the update takes memory, too, when updates of other parameters were asked for already.
    for set in [&["optimizer.kind=muon"][..], &["hardware.dtype=f16"]] {
        let plan = plan(set);
        let step = |engine: &mut dyn Engine| engine.train_step(&[batch()], 1e-3);
        let mut engine = open(&plan).unwrap();
        let before = emulator.allocations();
        step(engine.as_mut()).unwrap();
        let made = emulator.allocations() - before;
        drop(engine);
        // The last ones each, where the update is.
        for first in (0..made).filter(|first| first % 9 == 0 || first + 6 > made) {
            let mut engine = open(&plan).unwrap();
            emulator.fail_allocations(first, u64::MAX);
            let result = step(engine.as_mut());
            emulator.fail_allocations(0, 0);
            assert_out_of_memory(&format!("{set:?}, allocation {first}"), result);
            drop(engine);
            assert_eq!(emulator.left_blocks(), 0, "{set:?}, allocation {first}");
        }
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn an_update_by_muon_may_have_the_memory_in_which_the_passes_worked() {
    let emulator = Emulator::take();
    let plan = plan(&["optimizer.kind=muon", "train.batch_size=128", "model.dropout=0.0"]);
    let step = |failing: Option<u64>| {
        let mut engine = open(&plan).unwrap();
        let before = emulator.allocations();
        if let Some(failing) = failing {
            emulator.fail_allocations(failing, 1);
        }
        engine.train_step(&[batch_of(&plan)], 1e-3).unwrap();
        emulator.fail_allocations(0, 0);
        (emulator.allocations() - before, emulator.live_bytes())
    };
    let (made, without) = step(None);
    // The last allocation is the update's.
    let (_, with) = step(Some(made - 1));
    // What a layer keeps for its backward pass, of 8 numbers for each position.
    let activations = 12 * 8 * 4 * (128 * TOKENS) as u64;
    assert!(with + activations < without, "{with} + {activations} where {without} were left alone");
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn memory_that_is_short_once_changes_no_loss() {
    let emulator = Emulator::take();
    for set in KINDS {
        let (mut disturbed, mut quiet) = (open(&plan(set)).unwrap(), open(&plan(set)).unwrap());
        let mut first = 0;
        loop {
            let what = format!("{set:?}, allocation {first}");
            let expected = act(quiet.as_mut()).unwrap();
            emulator.fail_allocations(first, 1);
            let before = emulator.allocations();
            let result = without_panic(&what, || act(disturbed.as_mut()));
            let made = emulator.allocations() - before;
            emulator.fail_allocations(0, 0);
            let found = result.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert!((found - expected).abs() <= 1e-6 * expected, "{what}: {found} instead of {expected}");
            if made <= first {
                break;
            }
            // Every seventh: one step for each would take long, and the test before tried each.
            first += 7;
        }
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_step_waits_for_the_device_once_for_loss_and_norm() {
    let emulator = Emulator::take();
    for set in KINDS {
        let mut engine = open(&plan(set)).unwrap();
        let mut copies = |batches: &[Batch]| {
            let before = emulator.copies_to_host();
            engine.train_step(batches, 1e-3).unwrap();
            emulator.copies_to_host() - before
        };
        copies(&[batch()]);
        // The loss of each batch, and the gradient's norm, all at the end of the step.
        assert_eq!([copies(&[batch()]), copies(&[batch(), batch()])], [2, 3], "{set:?}");
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn memory_does_not_grow_with_the_steps_and_none_is_left() {
    let emulator = Emulator::take();
    for set in KINDS {
        let mut engine = open(&plan(set)).unwrap();
        for _ in 0..12 {
            act(engine.as_mut()).unwrap();
        }
        let before = emulator.live_bytes();
        for _ in 0..5 {
            act(engine.as_mut()).unwrap();
        }
        assert_eq!(emulator.live_bytes(), before, "{set:?}");
        drop(engine);
        assert_eq!(emulator.left_blocks(), 0, "{set:?}");
    }
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn the_estimate_is_what_three_steps_take() {
    let emulator = Emulator::take();
    // Shapes in which another part is the largest each.
    let parameters = ["model.n_layer=3", "model.n_embd=64", "train.sequence_length=4", "train.batch_size=1"];
    let activations =
        ["model.n_layer=3", "model.n_embd=16", "train.batch_size=16", "train.sequence_length=8"];
    let scores = ["model.n_layer=1", "model.n_head=8", "train.batch_size=2", "train.sequence_length=32"];
    let logits =
        ["model.n_layer=1", "model.vocab_size=2000", "train.batch_size=8", "train.sequence_length=8"];
    for shape in [parameters, activations, scores, logits] {
        for more in [
            &["optimizer.kind=adamw"][..],
            &["optimizer.kind=sgd", "train.activation_checkpointing=true"],
            &["hardware.dtype=f16"],
        ] {
            let block = ["model.block_size=64", "model.dropout=0.0"];
            let set: Vec<&str> = [&shape[..], more, &block].concat();
            let plan = plan(&set);
            let mut engine = open(&plan).unwrap();
            // Until no gradient overflows, and every size has been asked for.
            for _ in 0..6 {
                engine.train_step(&[batch_of(&plan)], 1e-3).unwrap();
            }
            let found = emulator.live_bytes() as f64;
            let cost = engine::cost::cost(&plan, plan.model.vocab_size.unwrap_or(VOCABULARY), 0).unwrap();
            let estimate = cost.memory.estimate();
            let ratio = estimate.bytes() / found;
            assert!((0.95..1.05).contains(&ratio), "{set:?}: {ratio} of {found}: {estimate:#?}");
        }
    }
}

//! What training holds on to from step to step. A program of its own: memory is counted for a whole process.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use runner::config::{self, LoadOptions};
use runner::data::batches::Batch;
use runner::engine::{self, Engine};
use runner::monitor::{Monitor, PeakMemory};

/// What may come and go without reason: the kernel counts in batches for each core, and an allocator's heaps are not packed
/// the same way twice. One of the model's larger activations is 512 KiB, so a step that loses it is found out.
const SLACK_BYTES: f64 = 3.0 * 1024.0 * 1024.0;

const TOKENS: usize = 64;
const VOCABULARY: u32 = 256;

/// The kernel keeps one count for the whole process: tests take turns.
static MEMORY: Mutex<()> = Mutex::new(());

fn open(checkpointing: bool, dtype: &str) -> Box<dyn Engine> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/step.toml");
    let set = [
        "model.n_layer=2".to_owned(),
        "model.n_head=2".to_owned(),
        "model.n_embd=64".to_owned(),
        "model.dropout=0.1".to_owned(),
        format!("model.block_size={TOKENS}"),
        format!("model.vocab_size={VOCABULARY}"),
        format!("train.sequence_length={TOKENS}"),
        "train.batch_size=8".to_owned(),
        format!("train.activation_checkpointing={checkpointing}"),
        format!("hardware.dtype={dtype}"),
        "data.tokenizer=byte".to_owned(),
    ];
    let plans = config::load(&[file], &LoadOptions { set: set.to_vec(), only: Vec::new() });
    let plans = plans.unwrap_or_else(|errors| panic!("{errors}"));
    engine::open(&plans[0], VOCABULARY as usize).unwrap()
}

fn batch() -> Batch {
    let ids = |first: u32| (first..).take(8 * TOKENS).map(|i| i.wrapping_mul(77) % VOCABULARY).collect();
    Batch { batch_size: 8, sequence_length: TOKENS, inputs: ids(0), targets: ids(1) }
}

/// The most memory that is resident during `work`, or where the kernel does not tell, at its end.
fn peak_bytes(work: &mut impl FnMut(), times: usize) -> f64 {
    let peak = PeakMemory::begin();
    (0..times).for_each(|_| work());
    let monitor = Monitor::start(3600.0, None, peak);
    monitor.peak_memory_bytes().expect("Linux tells a process its memory")
}

/// Does `work` until everything has its place, then many times more.
fn assert_memory_stays(name: &str, warm_up: usize, times: usize, mut work: impl FnMut()) {
    let settled = peak_bytes(&mut work, warm_up);
    let later = peak_bytes(&mut work, times);
    let grown = later - settled;
    assert!(
        grown < SLACK_BYTES,
        "{name}: {grown} bytes more than the {settled} of the first {warm_up} times"
    );
}

#[test]
fn steps_take_no_more_memory_than_the_first_ones() {
    let _turn = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    for (checkpointing, dtype) in [(false, "f32"), (true, "f32"), (false, "bf16"), (true, "bf16")] {
        let (mut engine, batch) = (open(checkpointing, dtype), batch());
        assert_memory_stays(&format!("{dtype}, checkpointing {checkpointing}"), 3, 24, || {
            engine.train_step(&[batch.clone(), batch.clone()], 1e-3).unwrap();
        });
    }
}

#[test]
fn samples_and_evaluations_between_steps_do_not_pile_up() {
    let _turn = MEMORY.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut engine, batch) = (open(false, "f32"), batch());
    // Texts that grow to the end of the context and beyond: a length of its own for each token.
    assert_memory_stays("sampling", 2, 6, || {
        engine.train_step(std::slice::from_ref(&batch), 1e-3).unwrap();
        engine.loss(&batch).unwrap();
        for length in 1..TOKENS + 8 {
            engine.next_token_logits(&batch.inputs[..length]).unwrap();
        }
    });
}

//! What one training step asks of a GPU: a launch costs it and its driver some microseconds each, whatever is computed.

use runner::config::{self, LoadOptions};
use runner::data::batches::Batch;
use runner::engine;

use super::emulator::{Asked, Emulator};

const VOCABULARY: usize = 65;
const TOKENS: usize = 16;

/// GPT-2 with its 12 layers and small everything else, which launches depend on no more than they do at 124M.
fn step_of(set: &[&str], batches: usize) -> Asked {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.toml");
    let text = format!(
        "[model]\nn_layer = 12\nn_head = 2\nn_embd = 24\nblock_size = {TOKENS}\n[data]\ntokenizer = \"char\"\n\
         [train]\nbatch_size = 2\nsequence_length = {TOKENS}\n[optimizer]\nkind = \"adamw\"\ngrad_clip = 1.0\n\
         [hardware]\ndevice = \"cuda\"\n"
    );
    std::fs::write(&path, text).unwrap();
    let set = set.iter().map(|set| (*set).to_owned()).collect();
    let plans = config::load(&[path], &LoadOptions { set, only: Vec::new() });
    let plan = plans.unwrap_or_else(|errors| panic!("{errors}")).remove(0);

    let ids = |first: usize| (first..).take(2 * TOKENS).map(|i| (i * 7 % VOCABULARY) as u32).collect();
    let batch = Batch { batch_size: 2, sequence_length: TOKENS, inputs: ids(0), targets: ids(1) };
    let batches = vec![batch; batches];
    let emulator = Emulator::take();
    let mut engine = engine::open(&plan, VOCABULARY).unwrap();
    // Until no gradient overflows and nothing is asked for that is kept.
    for _ in 0..6 {
        engine.train_step(&batches, 1e-3).unwrap();
    }
    let before = emulator.asked();
    engine.train_step(&batches, 1e-3).unwrap();
    emulator.asked() - before
}

#[test]
#[cfg_attr(not(cuda_emulator), ignore = "needs the emulator in the driver's place: .ci/cuda-emulated")]
fn a_step_launches_no_more_than_it_did() {
    // Format, dropout, batches that are accumulated; kernels, products, memory cleared and copied within the device. The last count of all
    // before there were kernels of our own: 2764, 5314, 3378, 6384.
    for (dtype, dropout, batches, most) in [
        ("f32", "0.0", 1, [241, 219, 43, 0]),
        ("f32", "0.1", 2, [510, 438, 94, 2]),
        ("f16", "0.0", 1, [245, 219, 46, 0]),
        ("f16", "0.1", 2, [512, 438, 96, 0]),
    ] {
        let set = [format!("hardware.dtype={dtype}"), format!("model.dropout={dropout}")];
        let asked = step_of(&set.each_ref().map(String::as_str), batches);
        let found = [asked.kernels, asked.products, asked.memsets, asked.copies_on_device];
        let is_within = found.iter().zip(most).all(|(found, most)| *found <= most);
        assert!(is_within, "{set:?}, {batches}: {found:?}, where {most:?} were enough");
        // Losses and the gradient's norm.
        assert_eq!((asked.copies_to_host, asked.bytes_to_host), (batches as u64 + 1, 4 * batches as u64 + 8));
        // Tokens and where each occurs, targets, and the 1 with which dfdx begins each way back: nothing that grows with the model.
        assert!(asked.copies_to_device <= 3 * batches as u64, "{asked:?}");
        let tokens = (batches * 2 * TOKENS) as u64;
        assert!(asked.bytes_to_device <= 4 * (5 * tokens + 2 * batches as u64), "{asked:?}");
        assert_eq!((asked.waits, asked.allocations), (0, 0), "{asked:?}");
    }
}

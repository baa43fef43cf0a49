use super::host::{GPT2_TOKENIZER_BYTES, PROGRAM_BYTES, THREAD_BYTES};
use super::*;
use crate::model::params::layout;

const GPT2: ModelConfig =
    ModelConfig { n_layer: 12, n_head: 12, n_embd: 768, block_size: 1024, vocab_size: 50257, bias: true };
const PARAMETERS: f64 = 124_439_808.0;

const WORKLOAD: Workload = Workload {
    batch_size: 16,
    sequence_length: 128,
    optimizer: OptimizerKind::Adamw,
    activation_checkpointing: false,
    drops: false,
    dtype: DtypeKind::F32,
    widens: false,
    threads: 2,
    tokenizer: TokenizerKind::Gpt2,
    saves: false,
    corpus_tokens: 338_025,
};

fn estimate(config: &ModelConfig, workload: &Workload) -> MemoryEstimate {
    MemoryNeed { config: *config, workload: *workload, place: Place::Host }.estimate()
}

/// f32 numbers of one part, or bytes where the part is not made of f32 numbers.
fn part(config: &ModelConfig, workload: &Workload, name: &str) -> f64 {
    let estimate = estimate(config, workload);
    let found = estimate.parts.iter().find(|part| part.name == name);
    let bytes = found.unwrap_or_else(|| panic!("no part {name} in {estimate:?}")).bytes;
    if ["corpus", "program and tokenizer", "working memory of the threads"].contains(&name) {
        bytes
    } else {
        bytes / 4.0
    }
}

#[test]
fn every_parameter_has_a_gradient_and_the_moments_of_its_optimizer() {
    let sgd = Workload { optimizer: OptimizerKind::Sgd, ..WORKLOAD };
    assert_eq!(part(&GPT2, &WORKLOAD, "parameters"), PARAMETERS);
    assert_eq!(part(&GPT2, &WORKLOAD, "gradients"), PARAMETERS);
    assert_eq!(part(&GPT2, &WORKLOAD, "optimizer's moments"), 2.0 * PARAMETERS);
    assert_eq!(part(&GPT2, &sgd, "optimizer's moments"), PARAMETERS);
}

#[test]
fn muon_keeps_one_number_of_each_matrix_and_works_on_the_largest() {
    let muon = Workload { optimizer: OptimizerKind::Muon, ..WORKLOAD };
    let matrices = 12.0 * 12.0 * 768.0 * 768.0;
    assert_eq!(part(&GPT2, &muon, "optimizer's moments"), 2.0 * PARAMETERS - matrices);
    let name = "optimizer's working memory";
    let beside = part(&GPT2, &muon, name) - part(&GPT2, &WORKLOAD, name);
    assert_eq!(beside, (2.0 * 4.0 + 4.0) * 768.0 * 768.0);
}

#[test]
fn the_optimizer_works_on_the_largest_tensor() {
    let name = "optimizer's working memory";
    assert_eq!(part(&GPT2, &WORKLOAD, name), 50_257.0 * 768.0);
    let bytes = ModelConfig { vocab_size: 256, ..GPT2 };
    assert_eq!(part(&bytes, &WORKLOAD, name), 3072.0 * 768.0, "an MLP's matrix is larger than the embedding");
}

#[test]
fn a_layer_keeps_ten_widths_and_its_statistics_for_each_token() {
    let name = "activations kept for the backward pass";
    let per_token = 12.0 * (10.0 * 768.0 + 12.0 + 4.0) + 2.0 * 768.0;
    assert_eq!(part(&GPT2, &WORKLOAD, name), 2048.0 * per_token);
}

#[test]
fn with_checkpointing_a_layer_keeps_its_input_and_one_layer_all() {
    let checkpointing = Workload { activation_checkpointing: true, ..WORKLOAD };
    let name = "activations kept for the backward pass";
    let per_token = 12.0 * 768.0 + (10.0 * 768.0 + 12.0 + 4.0) + 2.0 * 768.0;
    assert_eq!(part(&GPT2, &checkpointing, name), 2048.0 * per_token);
}

#[test]
fn one_blocks_weights_and_the_heads_are_held_twice() {
    let name = "weights in the order of the products";
    let block: f64 = layout(&GPT2)
        .iter()
        .filter(|parameter| parameter.is_matrix() && parameter.name.starts_with("h.0."))
        .map(|parameter| parameter.len() as f64)
        .sum();
    assert_eq!(part(&GPT2, &WORKLOAD, name), block + 50_257.0 * 768.0);
}

#[test]
fn layers_share_fifteen_widths_of_working_memory_for_each_token() {
    assert_eq!(part(&GPT2, &WORKLOAD, "working memory of the layers"), 2048.0 * 15.0 * 768.0);
    let deeper = ModelConfig { n_layer: 48, ..GPT2 };
    assert_eq!(part(&deeper, &WORKLOAD, "working memory of the layers"), 2048.0 * 15.0 * 768.0);
}

#[test]
fn logits_are_alive_for_512_rows_at_most() {
    let name = "logits of a chunk";
    assert_eq!(part(&GPT2, &WORKLOAD, name), 512.0 * 50_257.0);
    let small = Workload { batch_size: 2, sequence_length: 100, ..WORKLOAD };
    assert_eq!(part(&GPT2, &small, name), 200.0 * 50_257.0);
    assert_eq!(part(&GPT2, &small, "head's gradient"), 50_257.0 * 768.0);
}

#[test]
fn a_checkpoint_holds_its_largest_tensor_twice() {
    let saving = Workload { saves: true, ..WORKLOAD };
    assert_eq!(part(&GPT2, &saving, "tensor being saved"), 2.0 * 50_257.0 * 768.0);
    assert!(estimate(&GPT2, &WORKLOAD).parts.iter().all(|part| part.name != "tensor being saved"));
}

#[test]
fn a_token_of_the_corpus_takes_two_bytes() {
    assert_eq!(part(&GPT2, &WORKLOAD, "corpus"), 2.0 * 338_025.0);
}

#[test]
fn each_thread_packs_operands() {
    let threads = |threads| part(&GPT2, &Workload { threads, ..WORKLOAD }, "working memory of the threads");
    assert_eq!([1, 64].map(threads), [THREAD_BYTES, 64.0 * THREAD_BYTES]);
}

#[test]
fn a_kernel_that_widens_holds_three_hidden_layers_and_the_heads_operands_in_f32() {
    let widening = Workload { dtype: DtypeKind::Bf16, widens: true, ..WORKLOAD };
    assert_eq!(part(&GPT2, &widening, "activations in f32"), 2048.0 * (3.0 * 4.0 + 1.0) * 768.0);
    assert_eq!(part(&GPT2, &widening, "weights in f32"), 50_257.0 * 768.0);
}

#[test]
fn only_gpt2s_tokenizer_takes_memory_to_speak_of() {
    let program = |tokenizer| part(&GPT2, &Workload { tokenizer, ..WORKLOAD }, "program and tokenizer");
    assert_eq!(program(TokenizerKind::Byte), PROGRAM_BYTES);
    assert_eq!(program(TokenizerKind::Char), PROGRAM_BYTES);
    assert_eq!(program(TokenizerKind::Gpt2), PROGRAM_BYTES + GPT2_TOKENIZER_BYTES);
}

#[test]
fn what_grows_with_the_batch_is_said_to() {
    let one = Workload { batch_size: 1, ..WORKLOAD };
    let (large, small) = (estimate(&GPT2, &WORKLOAD), estimate(&GPT2, &one));
    for (large, small) in large.parts.iter().zip(&small.parts) {
        assert_eq!(large.bytes > small.bytes, large.grows_with_batch, "{}", large.name);
    }
    assert_eq!(large.bytes_at_any_batch(), small.bytes_at_any_batch());
    assert!(small.bytes() > small.bytes_at_any_batch());
}

#[test]
fn the_parts_of_gpt2_add_up_to_a_good_three_gib() {
    let estimate = estimate(&GPT2, &WORKLOAD);
    let gib = estimate.bytes() / 1024.0_f64.powi(3);
    assert!((3.0..3.6).contains(&gib), "{gib} GiB: {estimate:?}");
}

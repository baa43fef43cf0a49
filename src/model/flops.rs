//! What a training step costs in arithmetic, counted from the model's sizes: 6 FLOPs per weight and token, forward and backward, and
//! attention over the pairs that a causal model has; with Muon also its iterations as they are defined.
//!
//! # Source
//! Kaplan et al. 2020; Chowdhery et al. 2022, appendix B.

use super::ModelConfig;
use super::params::{Part, layout};
use crate::config::experiment::OptimizerPlan;
use crate::facts::optimizer::{Role, Sides};

/// FLOPs of one optimizer step, of its matrix products alone: layer norms, GELU, softmax and the update of a parameter are
/// passes over memory, and a hundredth of the arithmetic. A multiplication and an addition count as two. Floating point,
/// because integers are outgrown by sizes that a file can ask for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepFlops {
    /// Forward and backward pass. Divided by the seconds of a step this is what others call achieved model FLOP/s, and
    /// divided again by the machine's peak, model FLOPs utilization (MFU).
    pub model: f64,
    /// What activation checkpointing computes a second time, which model FLOPs leave out by definition.
    pub recomputed: f64,
    /// The optimizer's products, as its algorithm is defined; none but Muon has any.
    pub optimizer: f64,
}

impl StepFlops {
    /// Everything that the machine computes.
    pub fn total(&self) -> f64 {
        self.model + self.recomputed + self.optimizer
    }
}

/// FLOPs of an optimizer step over `sequences` sequences of `tokens` tokens, those of all accumulated batches together.
///
/// With N the parameters of the matrices, the head among them, L layers, width C and T tokens per sequence, the forward
/// pass costs
///
/// > 2 N per token, and 4 L C for each pair of a query and a key that it sees,
///
/// namely C multiplications and additions for the pair's score and C for its share of the values. A causal sequence has
/// T (T + 1) / 2 pairs: half of T x T, and the diagonal. The backward pass costs twice as much, once for the gradient of each
/// product's input and once for that of its weights, which makes 6 N per token. The embeddings of tokens and positions are
/// looked up, not multiplied; the tied head multiplies by the same weights that the tokens are looked up in. Activation
/// checkpointing computes the forward pass of the blocks, but not of the head, once more.
///
/// # Source
/// Kaplan et al., "Scaling Laws for Neural Language Models", 2020, section 2.1 and table 1 (2 N per token and the factor of
/// three); Chowdhery et al., "PaLM", 2022, appendix B (6 N + 12 L H Q T per token, the attention of scores and values, and
/// that what is computed twice does not count). PaLM's 12 L H Q T is that of all T x T pairs, of which this counts the half
/// that a causal model has.
pub fn step_flops(
    config: &ModelConfig,
    sequences: usize,
    tokens: usize,
    activation_checkpointing: bool,
) -> StepFlops {
    let weights = |wanted: fn(Part) -> bool| -> f64 {
        let matrices = layout(config).into_iter().filter(|p| p.is_matrix() && wanted(p.part));
        matrices.map(|matrix| matrix.len() as f64).sum()
    };
    let block_weights = weights(|part| matches!(part, Part::Attention | Part::Mlp));
    let head_weights = weights(|part| part == Part::TokenEmbedding);
    let (sequences, tokens) = (sequences as f64, tokens as f64);
    let pairs = sequences * tokens * (tokens + 1.0) / 2.0;
    let attention = 4.0 * (config.n_layer * config.n_embd) as f64 * pairs;
    let blocks = 2.0 * block_weights * sequences * tokens + attention;
    let head = 2.0 * head_weights * sequences * tokens;
    StepFlops {
        model: 3.0 * (blocks + head),
        recomputed: if activation_checkpointing { blocks } else { 0.0 },
        optimizer: 0.0,
    }
}

/// FLOPs of an optimizer's own products in one step. Muon's iterations are counted as its authors define them, with all of a
/// symmetric result; half of that need not be computed.
pub fn optimizer_flops(config: &ModelConfig, optimizer: &OptimizerPlan) -> f64 {
    let of_parameter = optimizer.kind.facts().flops;
    let matrices = layout(config).into_iter().filter(|parameter| parameter.role() == Role::Matrix);
    matrices
        .map(|matrix| {
            let pieces = if optimizer.split_qkv { matrix.matrices() } else { 1 };
            let sides = Sides { inputs: matrix.shape[0], outputs: matrix.shape[1], pieces };
            of_parameter(Role::Matrix, sides, optimizer.ns_steps)
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::facts::optimizer::OptimizerKind;

    const GPT2: ModelConfig =
        ModelConfig { n_layer: 12, n_head: 12, n_embd: 768, block_size: 1024, vocab_size: 50257, bias: true };

    #[test]
    fn a_step_of_gpt2_costs_what_its_matrices_and_its_attention_cost() {
        // 12 x 768 x 768 weights in each block and 50,257 x 768 in the head; 128 x 129 / 2 pairs in each sequence.
        let products = 6.0 * (12.0 * 12.0 * 768.0 * 768.0 + 50_257.0 * 768.0) * 2048.0;
        let attention = 3.0 * 4.0 * 12.0 * 768.0 * 16.0 * 8256.0;
        let flops = step_flops(&GPT2, 16, 128, false);
        assert_eq!(flops, StepFlops { model: products + attention, recomputed: 0.0, optimizer: 0.0 });
        assert!((flops.total() / 1.5326e12 - 1.0).abs() < 1e-4, "{}", flops.total());
    }

    #[test]
    fn palms_formula_gives_nearly_the_same_where_attention_is_a_small_part() {
        let per_token = |config: &ModelConfig, tokens: f64| {
            let weights = 12.0 * (config.n_layer * config.n_embd * config.n_embd) as f64
                + (config.vocab_size * config.n_embd) as f64;
            // Half of 12 L H Q T: the causal pairs.
            6.0 * weights + 6.0 * (config.n_layer * config.n_embd) as f64 * tokens
        };
        let ours = step_flops(&GPT2, 1, 1024, false).model / 1024.0;
        assert!((ours / per_token(&GPT2, 1024.0) - 1.0).abs() < 1e-4);
    }

    #[test]
    fn muon_at_2048_tokens_costs_about_as_much_as_the_passes() {
        let optimizer = OptimizerPlan { kind: OptimizerKind::Muon, ..OptimizerPlan::default() };
        // Per layer four squares of 768 and two matrices of 768 x 3072.
        let flops = optimizer_flops(&GPT2, &optimizer);
        assert_eq!(flops, 12.0 * 5.0 * (4.0 * 6.0 + 2.0 * 18.0) * 768.0_f64.powi(3));
        assert!((flops / 1.63e12 - 1.0).abs() < 1e-2);
        assert_eq!(optimizer_flops(&GPT2, &OptimizerPlan { kind: OptimizerKind::Adamw, ..optimizer }), 0.0);
    }

    #[test]
    fn biases_norms_and_positions_cost_no_product() {
        let smaller = ModelConfig { bias: false, block_size: 128, ..GPT2 };
        assert_eq!(step_flops(&smaller, 16, 128, false), step_flops(&GPT2, 16, 128, false));
    }

    #[test]
    fn checkpointing_computes_the_forward_pass_of_the_blocks_again_and_is_no_model_flop() {
        let (without, with) = (step_flops(&GPT2, 16, 128, false), step_flops(&GPT2, 16, 128, true));
        assert_eq!(with.model, without.model);
        let head = step_flops(&ModelConfig { n_layer: 0, ..GPT2 }, 16, 128, false).model;
        assert_eq!(with.recomputed, (without.model - head) / 3.0);
        assert_eq!(with.total(), with.model + with.recomputed);
    }

    proptest! {
        #[test]
        fn sequences_cost_the_same_whether_in_one_batch_or_accumulated(
            n_layer in 1..9_usize, n_embd in 1..65_usize, vocab_size in 1..300_usize,
            sequences in 1..20_usize, tokens in 1..65_usize, checkpointing: bool,
        ) {
            let config = ModelConfig { n_layer, n_embd, vocab_size, ..GPT2 };
            let one = step_flops(&config, 1, tokens, checkpointing);
            let all = step_flops(&config, sequences, tokens, checkpointing);
            prop_assert_eq!(all.total(), sequences as f64 * one.total());
        }
    }
}

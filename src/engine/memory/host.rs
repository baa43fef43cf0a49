//! The memory of the process that trains on the processor.

use super::{MemoryPart, Workload};
use crate::config::experiment::{DtypeKind, TokenizerKind};
use crate::facts::optimizer::{OptimizerKind, Role, Sides};
use crate::model::ModelConfig;
use crate::model::params::layout;

/// Widths (`n_embd` numbers per token) that a layer keeps for its backward pass: its input, queries, keys and values
/// together, attention's output, the residual stream after attention, and the MLP's hidden layer before GELU.
const KEPT_WIDTHS: f64 = 1.0 + 3.0 + 1.0 + 1.0 + 4.0;
/// Numbers per token that a layer keeps beside these and the softmax's denominator of each head: mean and deviation of
/// two layer norms.
const KEPT_STATISTICS: f64 = 4.0;
/// Widths kept outside the layers: the input and the output of the last layer norm.
const KEPT_OUTSIDE: f64 = 2.0;
/// Widths of the buffers that layers share, forwards and backwards: two of the hidden layer's, one of queries, keys and
/// values, four of the residual stream's.
const SCRATCH_WIDTHS: f64 = 2.0 * 4.0 + 3.0 + 4.0;
/// `n_embd` x `n_embd` matrices that a block's weights amount to.
const BLOCK_MATRICES: f64 = 12.0;
/// Rows of logits that are alive at once.
const HEAD_ROWS: f64 = 512.0;
/// Of a number in bf16.
const BF16_BYTES: f64 = 2.0;
/// With products of bf16, of [`KEPT_WIDTHS`] those in bf16, queries, keys, values, attention's output and the hidden layer, and
/// those in f32, the layer's input and the residual stream after attention.
const KEPT_ROUNDED_WIDTHS: f64 = 3.0 + 1.0 + 4.0;
const KEPT_SINGLE_WIDTHS: f64 = 2.0;
/// And of the buffers that layers share: two of the hidden layer's, queries, keys and values, two of norms and a rounded
/// gradient; four of the residual stream's in f32.
const SCRATCH_ROUNDED_WIDTHS: f64 = 2.0 * 4.0 + 3.0 + 3.0;
const SCRATCH_SINGLE_WIDTHS: f64 = 4.0;
/// What rows in bf16 take with the gaps that keep them from competing for the same sets of a cache: a line on 12 to 16.
const ROUNDED_GAPS: f64 = 1.07;
/// Positions whose exponentials are alive at once.
const BF16_HEAD_ROWS: f64 = 2048.0;
/// Copies of a tensor while it is written to a checkpoint: its values, and these as bytes.
const SAVED_COPIES: f64 = 2.0;
/// Of a number in f32.
const NUMBER_BYTES: f64 = 4.0;
/// A token id of the corpus, which is held as a whole.
const TOKEN_BYTES: f64 = 2.0;
/// What a thread packs operands in, which is kept: 0.6 to 1.1 MiB, measured with 1 to 8 threads on cores with a second cache of
/// 1 MiB each.
pub(super) const THREAD_BYTES: f64 = MIB;
/// The program itself and its records: the peak of a run of a few thousand parameters, measured on Linux.
pub(super) const PROGRAM_BYTES: f64 = 13.0 * MIB;
/// GPT-2's vocabulary and merges in memory, measured in the same way. Characters and bytes need no table to speak of.
pub(super) const GPT2_TOKENIZER_BYTES: f64 = 17.0 * MIB;
const MIB: f64 = 1024.0 * 1024.0;

/// The parts of the peak of training this model so on the processor. Loading a corpus holds its text and tokens twice for a
/// moment, before there is a model; that counts only for texts larger than the model, and is left out.
pub fn parts(config: &ModelConfig, workload: &Workload) -> Vec<MemoryPart> {
    let sizes = layout(config);
    let parameters: f64 = sizes.iter().map(|parameter| parameter.len() as f64).sum();
    let largest = sizes.iter().map(|parameter| parameter.len() as f64).fold(0.0, f64::max);
    let moments = super::optimizer_numbers(config, workload.optimizer);
    let tokenizer = match workload.tokenizer {
        TokenizerKind::Gpt2 => GPT2_TOKENIZER_BYTES,
        TokenizerKind::Char | TokenizerKind::Byte => 0.0,
    };
    let sizes = Sizes {
        layers: config.n_layer as f64,
        width: config.n_embd as f64,
        heads: config.n_head as f64,
        vocabulary: config.vocab_size as f64,
        tokens: workload.batch_size as f64 * workload.sequence_length as f64,
        recompute: workload.activation_checkpointing,
    };
    let part =
        |name, numbers: f64| MemoryPart { name, bytes: numbers * NUMBER_BYTES, grows_with_batch: false };
    let bytes = |name, bytes| MemoryPart { name, bytes, grows_with_batch: false };
    let mut parts = vec![
        part("parameters", parameters),
        part("gradients", parameters),
        part("optimizer's moments", moments),
        part("optimizer's working memory", largest + optimizer_working(config, workload.optimizer)),
    ];
    parts.extend(match workload.dtype {
        DtypeKind::Bf16 => sizes.of_passes_in_bf16(workload.widens),
        DtypeKind::F32 | DtypeKind::F16 => sizes.of_passes(),
    });
    parts.extend([
        part("head's gradient", sizes.head()),
        part("tensor being saved", if workload.saves { SAVED_COPIES * largest } else { 0.0 }),
        bytes("working memory of the threads", workload.threads as f64 * THREAD_BYTES),
        bytes("corpus", workload.corpus_tokens as f64 * TOKEN_BYTES),
        bytes("program and tokenizer", PROGRAM_BYTES + tokenizer),
    ]);
    parts
}

/// Numbers that the optimizer works in for the matrix that takes most of them.
fn optimizer_working(config: &ModelConfig, optimizer: OptimizerKind) -> f64 {
    let of_parameter = optimizer.facts().working;
    let matrices = layout(config).into_iter().filter(|parameter| parameter.role() == Role::Matrix);
    let numbers = matrices.map(|matrix| {
        let sides = Sides { inputs: matrix.shape[0], outputs: matrix.shape[1], pieces: matrix.matrices() };
        of_parameter(matrix.role(), sides)
    });
    numbers.fold(0.0, f64::max)
}

/// What the memory of a pass through the model depends on.
struct Sizes {
    layers: f64,
    width: f64,
    heads: f64,
    vocabulary: f64,
    tokens: f64,
    recompute: bool,
}

impl Sizes {
    /// Numbers of the token embedding.
    fn head(&self) -> f64 {
        self.vocabulary * self.width
    }

    /// Bytes kept for the backward pass, where a layer keeps so many for each token.
    fn kept(&self, of_layer: f64) -> f64 {
        let input = NUMBER_BYTES * self.width;
        let of_layers = if self.recompute { self.layers * input + of_layer } else { self.layers * of_layer };
        self.tokens * (of_layers + KEPT_OUTSIDE * input)
    }

    fn of_passes(&self) -> Vec<MemoryPart> {
        let &Self { width, heads, vocabulary, tokens, .. } = self;
        let of_layer = NUMBER_BYTES * (KEPT_WIDTHS * width + heads + KEPT_STATISTICS);
        let part = |name, bytes, grows_with_batch| MemoryPart { name, bytes, grows_with_batch };
        let copies = BLOCK_MATRICES * width * width + self.head();
        vec![
            part("weights in the order of the products", NUMBER_BYTES * copies, false),
            part("activations kept for the backward pass", self.kept(of_layer), true),
            part("working memory of the layers", NUMBER_BYTES * tokens * SCRATCH_WIDTHS * width, true),
            part("logits of a chunk", NUMBER_BYTES * tokens.min(HEAD_ROWS) * vocabulary, true),
        ]
    }

    /// With products of bf16, by a kernel that widens them or by one that does not.
    fn of_passes_in_bf16(&self, widens: bool) -> Vec<MemoryPart> {
        let &Self { layers, width, heads, vocabulary, tokens, .. } = self;
        let in_rows = BF16_BYTES * ROUNDED_GAPS;
        let of_layer = in_rows * KEPT_ROUNDED_WIDTHS * width
            + NUMBER_BYTES * (KEPT_SINGLE_WIDTHS * width + heads + KEPT_STATISTICS);
        let copies = layers * BLOCK_MATRICES * width * width + self.head();
        let scratch = in_rows * SCRATCH_ROUNDED_WIDTHS + NUMBER_BYTES * SCRATCH_SINGLE_WIDTHS;
        let part = |name, bytes, grows_with_batch| MemoryPart { name, bytes, grows_with_batch };
        let mut parts = vec![
            part("weights in bf16", BF16_BYTES * copies, false),
            part("activations kept for the backward pass", self.kept(of_layer), true),
            part("working memory of the layers", tokens * scratch * width, true),
        ];
        if widens {
            // Each side and the result of some product is the hidden layer of the whole batch; the right-hand side of others is
            // a weight. The head's operands have memory of their own.
            let right = 4.0 * width * tokens.max(width);
            let activations = 2.0 * 4.0 * width * tokens + right + width * tokens;
            parts.push(part("activations in f32", NUMBER_BYTES * activations, true));
            parts.push(part("weights in f32", NUMBER_BYTES * self.head(), false));
            parts.push(part("logits of a chunk", NUMBER_BYTES * tokens.min(HEAD_ROWS) * vocabulary, true));
        } else {
            let positions = tokens.min(BF16_HEAD_ROWS);
            parts.push(part("exponentials of a chunk's logits", BF16_BYTES * positions * vocabulary, true));
        }
        parts
    }
}

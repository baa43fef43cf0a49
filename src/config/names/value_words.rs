//! What a value from elsewhere says by what it is made of: `paged_adamw_8bit` is an AdamW, `gpt2_345m` a medium GPT-2.

use super::squashed;
use super::values::{GPT2_ALONE, NO_SUCH_OPTIMIZER, NO_SUCH_SHAPE, NO_WORDS, NOTHING_SMALLER, OWN_TEXT};

/// Pieces of which the value, squashed, has one.
struct Value {
    pieces: &'static str,
    /// A piece that it has besides, or empty.
    and: &'static str,
    /// The word here, or empty where there is none.
    ours: &'static str,
    note: &'static str,
}

const fn is(pieces: &'static str, ours: &'static str, note: &'static str) -> Value {
    Value { pieces, and: "", ours, note }
}

const fn both(pieces: &'static str, and: &'static str, ours: &'static str, note: &'static str) -> Value {
    Value { pieces, and, ours, note }
}

const FULL_STATE: &str = "its state is in full precision";
const POWER: &str = "perplexity is e to its power: aim at the logarithm";
const ONE_BPE: &str = "the only byte-pair encoding here, of 50,257 tokens";

/// For each key, in the order in which they are tried.
const VALUES: &[(&str, &[Value])] = &[
    (
        "optimizer.kind",
        &[
            is(
                "galore apollo schedulefree grokadam adammini ademamix adamax adan radam nadam stableadam sophia shampoo soap lamb lars \
                 adafactor adagrad adadelta rmsprop lbfgs prodigy dadapt lomo mars psgd kron sm3 madgrad yogi adabelief novograd tiger dion came rprop ftrl \
                 lion",
                "",
                NO_SUCH_OPTIMIZER,
            ),
            is("muon", "muon", ""),
            both("adam", "8bit 4bit paged offload onebit bnb", "adamw", FULL_STATE),
            both("adam", "amsgrad", "adamw", "without AMSGrad"),
            is("adam", "adamw", ""),
            both("sgd", "nesterov", "sgd", "its momentum is plain here, not Nesterov's"),
            is("sgd stochasticgradient", "sgd", ""),
        ],
    ),
    (
        "schedule.kind",
        &[
            is(
                "plateau noam inverse invsqrt rsqrt exponential multistep steplr stepdecay piecewise lambda",
                "",
                NO_SUCH_SHAPE,
            ),
            is("wsd stabledecay trapez cooldown warmdown infinite", "warmup-stable-decay", ""),
            both("cos", "restart cycl sgdr", "cosine", "it falls once, without restarts"),
            is("cyclic triangular", "", NO_SUCH_SHAPE),
            both("cos", "warmup", "cosine", "with `warmup_steps`"),
            both("cos", "min", "cosine", "with `min_lr`"),
            is("cos", "cosine", ""),
            is("poly", "linear", "which is the polynomial of power 1, the only one"),
            both("linear", "warmup", "linear", "with `warmup_steps`"),
            is("linear", "linear", ""),
            both("const", "warmup", "constant", "with `warmup_steps`"),
            is("const flat fixed", "constant", ""),
        ],
    ),
    (
        "hardware.dtype",
        &[
            is("fp8 float8 int8 4bit 8bit fp4", "", NOTHING_SMALLER),
            is("bf16 bfloat16", "bf16", ""),
            is("float64 fp64 double", "", "there is no double precision: \"f32\" is the most exact"),
            is("fp16 float16 f16 half 16bit", "f16", ""),
            is("fp32 float32 f32 single full 32bit", "f32", ""),
            is("mixed amp", "f16", "on a GPU; \"bf16\" on the processor"),
        ],
    ),
    (
        "model.preset",
        &[
            is(
                "llama mistral mixtral qwen gemma pythia neox gptj gptneo gpt3 bert bloom falcon mpt opt olmo phi t5 mamba rwkv smollm deepseek",
                "",
                GPT2_ALONE,
            ),
            both("gpt2", "xl 1558m 1542m 15b", "gpt2-xl", ""),
            both("gpt2", "large 774m 762m", "gpt2-large", ""),
            both("gpt2", "medium 355m 345m 350m", "gpt2-medium", ""),
            both("gpt2", "small base 124m 117m 125m", "gpt2", ""),
            is(
                "nano micro mini tiny distil",
                "",
                "there is no such preset: sizes of your own are `n_layer`, `n_head` and `n_embd`",
            ),
        ],
    ),
    (
        "data.tokenizer",
        &[
            is("gpt2 tiktoken r50k p50k 50257", "gpt2", ""),
            is("char", "char", ""),
            both("byte", "bpe pair", "gpt2", ""),
            is("byte utf8 ascii", "byte", ""),
            is(
                "bpe sentencepiece spm unigram cl100k o200k llama bert t5 neox wordpiece qwen mistral gemma",
                "gpt2",
                ONE_BPE,
            ),
            is("word space", "", NO_WORDS),
        ],
    ),
    (
        "data.order",
        &[
            is("chunk fixed block", "fixed_windows", ""),
            both("without", "replacement", "shuffled_epochs", ""),
            is("replacement uniform bootstrap anywhere", "random", ""),
            is("shuffl permut randomsampler", "shuffled_epochs", ""),
            is("random", "random", ""),
            is("sequen inorder linear ordered asis", "sequential", ""),
        ],
    ),
    (
        "target.metric",
        &[
            is("accuracy acc f1 bleu rouge", "", "there is no such target: a run ends early by a loss"),
            is("perplexity ppl", "val_loss", POWER),
            is("bpb bitsper bpc", "val_bits_per_byte", ""),
            both("loss entropy nll", "val eval test dev heldout", "val_loss", ""),
            both("loss", "ema smooth avg average moving", "train_loss_ema", ""),
            is("loss entropy nll", "train_loss", ""),
        ],
    ),
    ("data.corpus", &[both("shakespeare", "tiny char", "tinyshakespeare", "")]),
];

/// The word of ours for a value (empty: there is none), and what to say of it.
pub(super) fn meant(key: &str, word: &str) -> Option<(&'static str, &'static str)> {
    let (plain, wanted) = (word.to_lowercase(), squashed(word));
    let has = |pieces: &str| pieces.split(' ').any(|piece| wanted.contains(piece) || plain.contains(piece));
    let (_, values) = VALUES.iter().find(|(name, _)| *name == key)?;
    values
        .iter()
        .find(|value| has(value.pieces) && (value.and.is_empty() || has(value.and)))
        .map(|value| (value.ours, value.note))
}

/// What to say of any other word for this key.
pub(super) fn any_other(key: &str) -> Option<&'static str> {
    match key {
        "optimizer.kind" => Some(NO_SUCH_OPTIMIZER),
        "schedule.kind" => Some(NO_SUCH_SHAPE),
        "model.preset" => Some(GPT2_ALONE),
        "data.corpus" => Some(OWN_TEXT),
        "hardware.device" => Some("a run computes on one device: \"cuda:1\" is the second GPU"),
        _ => None,
    }
}

/// The keys and words of the table, for its tests.
#[cfg(test)]
pub(super) fn all() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    VALUES.iter().flat_map(|(key, values)| values.iter().map(|value| (*key, value.ours, value.note)))
}

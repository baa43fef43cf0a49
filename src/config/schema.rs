//! The one table of keys: section, name, Rust type and what values are allowed. Type checks, `runner explain`, the
//! JSON Schema and the sections that Figment fills are all made from it.

use std::ops::Bound::{self, Excluded, Included, Unbounded};

use serde::Deserialize;

use super::experiment::{
    DtypeKind, ScheduleKind, ScriptedFailure, Separator, TargetMetric, TokenizerKind, WindowOrder,
};
use crate::facts::optimizer::{AdjustLr, OptimizerKind};
use crate::units;

/// A key of the configuration.
#[derive(Debug)]
pub struct Key {
    pub section: &'static str,
    /// The name within its section: `learning_rate`.
    pub leaf: &'static str,
    /// Section and name: `optimizer.learning_rate`.
    pub name: &'static str,
    pub kind: Kind,
    /// What 0, or the empty string, stands for where it is not an ordinary value. The key's comment in `defaults.toml`
    /// ends with the same words.
    pub zero: Option<&'static str>,
}

/// What values a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A whole number from `min` to `max`, both included.
    Integer {
        min: u64,
        max: u64,
    },
    /// A finite number between two bounds.
    Number {
        low: Bound<f64>,
        high: Bound<f64>,
    },
    Switch,
    Text,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A file or folder, resolved against the folder of the file that names it.
    Path,
    /// One of them, or a list.
    Paths,
    /// A list of numbers above 0.
    Weights,
    /// A name that is also safe as the name of a folder.
    Name,
    /// The same for a run, whose name may also have the signs that a sweep point is written with.
    RunName,
    /// A length of time: `90m`, `1h 30m`, or a number of seconds.
    Duration,
    /// `auto`, `cpu`, `cuda`, `cuda:N` or `scripted`.
    Device,
    /// A list of what a machine must have.
    Requirements,
    /// A list of strings.
    Texts,
    /// A list of [step, loss].
    Curve,
    /// Three numbers, or a list of such lists.
    Coefficients,
}

struct Spec {
    kind: Kind,
    zero: Option<&'static str>,
}

impl Spec {
    /// States what 0 or the empty string stands for.
    const fn zero(self, meaning: &'static str) -> Spec {
        Spec { kind: self.kind, zero: Some(meaning) }
    }
}

const fn of(kind: Kind) -> Spec {
    Spec { kind, zero: None }
}

const fn int(min: u64, max: u64) -> Spec {
    of(Kind::Integer { min, max })
}

const fn num(low: Bound<f64>, high: Bound<f64>) -> Spec {
    of(Kind::Number { low, high })
}

const fn choice(words: &'static [&'static str]) -> Spec {
    of(Kind::Choice(words))
}

const ZERO_OR_MORE: Spec = num(Included(0.0), Unbounded);
const ABOVE_ZERO: Spec = num(Excluded(0.0), Unbounded);
/// A share that may be 0 but not 1: fractions, decay rates, dropout.
const BELOW_ONE: Spec = num(Included(0.0), Excluded(1.0));

/// Largest count of steps. Generous, and small enough that steps x tokens per step fits 64 bits.
const MAX_STEPS: u64 = 1_000_000_000;
/// Largest seed: the largest whole number that every tool reading JSON or CSV keeps exact.
const MAX_SEED: u64 = 1 << 53;

/// The coefficients of all Newton-Schulz iterations, or of each.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Coefficients {
    Same([f64; 3]),
    Each(Vec<[f64; 3]>),
}

impl Coefficients {
    /// As a list, of which the last serves those that follow.
    pub fn each(&self) -> &[[f64; 3]] {
        match self {
            Self::Same(same) => std::slice::from_ref(same),
            Self::Each(each) => each,
        }
    }
}

/// A path, or several.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Paths {
    One(String),
    Several(Vec<String>),
}

impl Paths {
    pub fn count(&self) -> usize {
        match self {
            Self::One(path) => usize::from(!path.is_empty()),
            Self::Several(paths) => paths.len(),
        }
    }
}

macro_rules! sections {
    ($( $section:ident: $Section:ident { $( $leaf:ident: $type:ty = $spec:expr; )* } )*) => {
        /// A merged configuration as written, each value checked on its own but not yet against the others.
        #[derive(Clone, Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct RawPlan {
            $( pub $section: $Section, )*
        }

        $(
            #[derive(Clone, Debug, Deserialize)]
            #[serde(deny_unknown_fields)]
            pub(super) struct $Section {
                $( pub $leaf: $type, )*
            }
        )*

        /// Names of the sections, in the order of `defaults.toml`.
        pub static SECTIONS: &[&str] = &[$( stringify!($section), )*];

        /// All keys, in the order of `defaults.toml`.
        pub static KEYS: &[Key] = &[
            $($({
                const SPEC: Spec = $spec;
                Key {
                    section: stringify!($section),
                    leaf: stringify!($leaf),
                    name: concat!(stringify!($section), ".", stringify!($leaf)),
                    kind: SPEC.kind,
                    zero: SPEC.zero,
                }
            },)*)*
        ];
    };
}

sections! {
    experiment: ExperimentSection {
        name: String = of(Kind::Name).zero("the name of the file without `.toml`");
        run: String = of(Kind::RunName).zero("made from the sweep point and the seed");
        description: String = of(Kind::Text);
        hypothesis: String = of(Kind::Text);
        tags: Vec<String> = of(Kind::Texts);
        seed: u64 = int(0, MAX_SEED);
        repeats: u64 = int(1, 1_000);
        same_losses_within: f64 = num(Included(0.0), Included(1.0)).zero("losses are not held against each other");
    }
    model: ModelSection {
        preset: String = choice(&["gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", ""]).zero("no preset");
        n_layer: usize = int(1, 1_000);
        n_head: usize = int(1, 1_000);
        n_embd: usize = int(1, 100_000);
        block_size: usize = int(1, 1_000_000);
        vocab_size: usize = int(0, 10_000_000).zero("as many as the tokenizer has");
        dropout: f64 = BELOW_ONE;
        bias: bool = of(Kind::Switch);
    }
    data: DataSection {
        corpus: String = choice(&["salt-crown", "tinyshakespeare", "wall-letters", ""]).zero("none, `data.path` says what to read");
        path: Paths = of(Kind::Paths).zero("none, `data.corpus` says what to read");
        weights: Vec<f64> = of(Kind::Weights);
        text_column: String = of(Kind::Text);
        separator: Separator = choice(&["auto", "end_of_text", "line_break", "none"]);
        special_tokens: bool = of(Kind::Switch);
        cache: bool = of(Kind::Switch);
        tokenizer: TokenizerKind = choice(&["gpt2", "char", "byte"]);
        val_fraction: f64 = BELOW_ONE.zero("no validation, the model trains on the whole text");
        order: WindowOrder = choice(&["random", "shuffled_epochs", "fixed_windows", "sequential"]);
    }
    train: TrainSection {
        batch_size: usize = int(1, 1_000_000);
        sequence_length: usize = int(0, 1_000_000).zero("as long as `model.block_size`");
        gradient_accumulation_steps: usize = int(1, 1_000_000);
        activation_checkpointing: bool = of(Kind::Switch);
        max_steps: u64 = int(1, MAX_STEPS);
        max_time: String = of(Kind::Duration).zero("no limit");
        init_from: String = of(Kind::Path).zero("random weights");
        eval_interval: u64 = int(0, MAX_STEPS).zero("never");
        eval_batches: usize = int(1, 1_000_000);
        ema_decay: f64 = BELOW_ONE.zero("no smoothing");
        final_eval: bool = of(Kind::Switch);
    }
    optimizer: OptimizerSection {
        kind: OptimizerKind = choice(OptimizerKind::WORDS);
        learning_rate: f64 = ABOVE_ZERO;
        beta1: f64 = BELOW_ONE;
        beta2: f64 = BELOW_ONE;
        eps: f64 = ABOVE_ZERO;
        momentum: f64 = BELOW_ONE;
        weight_decay: f64 = ZERO_OR_MORE;
        decay_all: bool = of(Kind::Switch);
        grad_clip: f64 = ZERO_OR_MORE.zero("no clipping");
        adamw_learning_rate: f64 = ZERO_OR_MORE.zero("as `optimizer.learning_rate`");
        nesterov: bool = of(Kind::Switch);
        momentum_start: f64 = BELOW_ONE;
        momentum_warmup_steps: u64 = int(0, MAX_STEPS).zero("no warm-up");
        ns_steps: usize = int(1, 99);
        ns_coefficients: Coefficients = of(Kind::Coefficients);
        adjust_lr_fn: AdjustLr = choice(AdjustLr::WORDS);
        split_qkv: bool = of(Kind::Switch);
    }
    schedule: ScheduleSection {
        kind: ScheduleKind = choice(&["constant", "linear", "cosine", "warmup-stable-decay"]);
        warmup_steps: u64 = int(0, MAX_STEPS).zero("no warm-up");
        decay_steps: u64 = int(0, MAX_STEPS)
            .zero("`train.max_steps`; for warmup-stable-decay the last tenth of the steps");
        min_lr: f64 = ZERO_OR_MORE;
    }
    target: TargetSection {
        metric: TargetMetric = choice(&["train_loss", "train_loss_ema", "val_loss", "val_bits_per_byte"]);
        threshold: f64 = ZERO_OR_MORE.zero("no target");
    }
    checkpoint: CheckpointSection {
        interval: u64 = int(0, MAX_STEPS).zero("no checkpoints at all, not even at the end");
        keep_last: usize = int(2, 1_000_000);
    }
    sample: SampleSection {
        interval: u64 = int(0, MAX_STEPS).zero("no samples at all, not even at the end");
        prompts: Vec<String> = of(Kind::Texts);
        max_new_tokens: usize = int(1, 1_000_000);
        temperature: f64 = ZERO_OR_MORE.zero("always the likeliest token");
        top_k: usize = int(0, 10_000_000).zero("all tokens");
        top_p: f64 = num(Excluded(0.0), Included(1.0));
        seed: u64 = int(0, MAX_SEED);
    }
    hardware: HardwareSection {
        device: String = of(Kind::Device);
        requires: Vec<String> = of(Kind::Requirements);
        dtype: DtypeKind = choice(&["f32", "bf16", "f16"]);
        threads: usize = int(0, 4_096).zero("all cores");
        monitor_interval_secs: f64 = num(Included(0.0), Included(86_400.0)).zero("no measurements");
    }
    on_failure: OnFailureSection {
        retry_killed: u64 = int(0, 1_000).zero("none");
        retry_device: u64 = int(0, 1_000).zero("none");
        retry_timeout: u64 = int(0, 1_000).zero("none");
        retry_out_of_memory: u64 = int(0, 1_000).zero("none");
        retry_disk_full: u64 = int(0, 1_000).zero("none");
        retry_panic: u64 = int(0, 1_000).zero("none");
        retry_error: u64 = int(0, 1_000).zero("none");
        backoff_secs: f64 = num(Included(0.0), Included(86_400.0)).zero("at once");
        timeout: String = of(Kind::Duration).zero("never");
        halve_batch: bool = of(Kind::Switch);
    }
    scripted: ScriptedSection {
        initial_loss: f64 = ZERO_OR_MORE;
        floor_loss: f64 = ZERO_OR_MORE;
        decay_steps: f64 = ABOVE_ZERO;
        noise: f64 = ZERO_OR_MORE;
        step_secs: f64 = num(Excluded(0.0), Included(86_400.0));
        diverge_at: u64 = int(0, MAX_STEPS).zero("never");
        fail_at: u64 = int(0, MAX_STEPS).zero("never");
        fail_as: ScriptedFailure = choice(&["error", "panic", "abort", "kill", "out_of_memory", "hang"]);
        fits_batch_size: usize = int(0, 1_000_000).zero("any");
        sleep_secs: f64 = num(Included(0.0), Included(60.0)).zero("as fast as it can");
    }
    reference: ReferenceSection {
        name: String = of(Kind::Text);
        source: String = of(Kind::Text);
        hardware: String = of(Kind::Text);
        final_loss: f64 = ZERO_OR_MORE.zero("not stated");
        steps: u64 = int(0, MAX_STEPS).zero("not stated");
        secs: f64 = ZERO_OR_MORE.zero("not stated");
        curve: Vec<(u64, f64)> = of(Kind::Curve);
    }
}

/// The key with this dotted name.
pub fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// The keys of a section; empty when there is no such section.
pub fn keys_of(section: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.section == section)
}

impl Key {
    /// Whether several runs may differ in it. What names or describes the experiment as a whole may not vary.
    pub fn can_be_swept(&self) -> bool {
        !matches!(self.section, "experiment" | "reference") || self.name == "experiment.seed"
    }

    /// The shortest name that means this key alone: its leaf, or with its section where the leaf occurs twice.
    pub fn short_name(&self) -> &'static str {
        let shared = KEYS.iter().filter(|key| key.leaf == self.leaf).count() > 1;
        if shared { self.name } else { self.leaf }
    }
}

impl Kind {
    /// Whether a value of this kind is written as a string.
    pub fn is_text(&self) -> bool {
        use Kind::*;
        matches!(self, Text | Choice(_) | Path | Paths | Name | RunName | Duration | Device)
    }

    /// The values in words: `a whole number from 1 to 1,000`.
    pub fn describe(&self) -> String {
        match self {
            Kind::Integer { min, max } => {
                format!("a whole number from {} to {}", units::count(*min), units::count(*max))
            }
            Kind::Number { low, high } => {
                let low = match low {
                    Included(low) => Some(format!("at least {low}")),
                    Excluded(low) => Some(format!("above {low}")),
                    Unbounded => None,
                };
                let high = match high {
                    Included(high) => Some(format!("at most {high}")),
                    Excluded(high) => Some(format!("below {high}")),
                    Unbounded => None,
                };
                let bounds: Vec<String> = low.into_iter().chain(high).collect();
                if bounds.is_empty() {
                    "a number".into()
                } else {
                    format!("a number {}", bounds.join(" and "))
                }
            }
            Kind::Switch => "true or false".into(),
            Kind::Text => "a string".into(),
            Kind::Choice(words) => one_of(words),
            Kind::Path => "a path as a string".into(),
            Kind::Paths => "a path as a string, or a list of paths".into(),
            Kind::Weights => "a list of numbers above 0".into(),
            Kind::Name => "a string of letters, digits, `.`, `_` and `-`, up to 100 characters".into(),
            Kind::RunName => {
                "a string of letters, digits, `.`, `_`, `-`, `=`, `,` and `+`, up to 120 characters".into()
            }
            Kind::Duration => "a length of time such as \"90m\", \"1h 30m\", or a number of seconds".into(),
            Kind::Device => "\"auto\", \"cpu\", \"cuda\", \"cuda:N\" or \"scripted\"".into(),
            Kind::Requirements => "a list of \"cuda\", \"init_from\" and \"min_memory_gb=N\"".into(),
            Kind::Texts => "a list of strings".into(),
            Kind::Curve => "a list of [step, loss] with rising steps".into(),
            Kind::Coefficients => "three numbers [a, b, c], or a list of such lists".into(),
        }
    }
}

/// `"a", "b" or "c"`; the empty word is left out, since what it means is said elsewhere.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<String> =
        words.iter().filter(|word| !word.is_empty()).map(|word| format!("\"{word}\"")).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
        _ => quoted.concat(),
    }
}

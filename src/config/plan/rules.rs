//! Rules between keys.

use super::experiment::{DeviceChoice, DtypeKind, ScheduleKind, Separator, TokenizerKind};
use super::schema::{OptimizerPlan, RawPlan};
use crate::facts::optimizer::OptimizerKind;
use crate::units;

/// A rule, the keys it is about (the one to change first comes first), and its check.
pub(super) struct Rule {
    pub keys: &'static [&'static str],
    pub check: fn(&RawPlan) -> Option<Violation>,
}

pub(super) struct Violation {
    pub what: String,
    pub help: Option<String>,
}

fn violation(what: impl Into<String>, help: impl Into<String>) -> Option<Violation> {
    Some(Violation { what: what.into(), help: Some(help.into()) })
}

/// More parameters than this are a slip of the keyboard; it also keeps all arithmetic on sizes within 64 bits.
const MAX_PARAMETERS: u64 = 100_000_000_000;
const MAX_TOKENS_PER_STEP: u64 = 1_000_000_000;

/// What Newton-Schulz iterations make of singular values from 0 to 1 at most; infinity where it is no number.
fn largest_singular_value(optimizer: &OptimizerPlan) -> f64 {
    let coefficients = optimizer.coefficients();
    let ends = (1..=1000).map(|thousandths| {
        let start = f64::from(thousandths) / 1000.0;
        coefficients.iter().fold(start, |x, [a, b, c]| a * x + b * x.powi(3) + c * x.powi(5)).abs()
    });
    ends.fold(0.0, |largest, end| if end.is_nan() { f64::INFINITY } else { end.max(largest) })
}

fn counted_paths(paths: usize) -> String {
    match paths {
        0 => "none".to_owned(),
        1 => "one file or folder".to_owned(),
        more => format!("{more} files or folders"),
    }
}

pub(super) static RULES: &[Rule] = &[
    Rule {
        keys: &["data.weights", "data.path"],
        check: |raw| {
            let (weights, paths) = (raw.data.weights.len(), raw.data.path.count());
            if weights == 0 || weights == paths {
                return None;
            }
            violation(
                format!(
                    "`data.weights` has {weights} of them, and `data.path` names {}",
                    counted_paths(paths)
                ),
                "give one weight for each path of the list, or `weights = []` to have them joined",
            )
        },
    },
    Rule {
        keys: &["data.separator", "data.tokenizer"],
        check: |raw| {
            let has_it = raw.data.tokenizer == TokenizerKind::Gpt2;
            if raw.data.separator != Separator::EndOfText || has_it {
                return None;
            }
            violation(
                format!("the tokenizer {} has no token `<|endoftext|>`", raw.data.tokenizer.name()),
                "set `data.separator = \"line_break\"`, or `data.tokenizer = \"gpt2\"`",
            )
        },
    },
    Rule {
        keys: &["data.text_column"],
        check: |raw| {
            if !raw.data.text_column.is_empty() {
                return None;
            }
            violation(
                "`data.text_column` is empty",
                "name the key that holds the text: `text_column = \"text\"`",
            )
        },
    },
    Rule {
        keys: &["hardware.dtype", "hardware.device"],
        check: |raw| match (raw.hardware.dtype, &*raw.hardware.device) {
            (DtypeKind::F16, DeviceChoice::Cpu) => violation(
                "f16 is mixed precision on NVIDIA GPUs, and `hardware.device` is the processor",
                "set `hardware.dtype = \"bf16\"`, which is mixed precision there, or \"f32\", or `hardware.device = \"cuda\"`",
            ),
            (DtypeKind::Bf16, DeviceChoice::Cuda(_)) => violation(
                "bf16 is for the processor: dfdx 0.13 has no bf16 on GPUs",
                "set `hardware.dtype = \"f16\"`, which is mixed precision there, or \"f32\", or `hardware.device = \"cpu\"`",
            ),
            _ => None,
        },
    },
    Rule {
        keys: &["experiment.run", "experiment.seed"],
        check: |raw| {
            let (run, seed) = (raw.experiment.run.as_ref()?, raw.experiment.seed);
            let told = run.split(',').find_map(|part| part.strip_prefix("seed="))?;
            if told == seed.to_string() {
                return None;
            }
            violation(
                format!("the run is called \"{run}\", but its seed is {seed}"),
                "leave the name empty to have it made from the seed: `run = \"\"` in [experiment], or --set experiment.run=",
            )
        },
    },
    Rule {
        keys: &["model.n_embd", "model.n_head"],
        check: |raw| {
            let (n_embd, n_head) = (raw.model.n_embd, raw.model.n_head);
            if n_embd.is_multiple_of(n_head) {
                return None;
            }
            let below = n_embd / n_head * n_head;
            let near = if below == 0 { n_head.to_string() } else { format!("{below} or {}", below + n_head) };
            violation(
                format!(
                    "`model.n_embd` = {n_embd} cannot be shared evenly by `model.n_head` = {n_head} heads"
                ),
                format!("with {n_head} heads, n_embd = {near} would do"),
            )
        },
    },
    Rule {
        keys: &["model.n_embd", "model.n_layer", "model.vocab_size", "model.block_size"],
        check: |raw| {
            let [n_embd, n_layer, vocab, block] = [
                raw.model.n_embd,
                raw.model.n_layer,
                raw.model.vocab_size.unwrap_or(0),
                raw.model.block_size,
            ]
            .map(|size| size as u64);
            let parameters = 12 * n_layer * n_embd * n_embd + (vocab + block) * n_embd;
            (parameters > MAX_PARAMETERS).then(|| Violation {
                what: format!("these sizes make a model of {} parameters", units::count(parameters)),
                help: Some(format!("at most {} are allowed", units::count(MAX_PARAMETERS))),
            })
        },
    },
    Rule {
        keys: &["train.sequence_length", "model.block_size"],
        check: |raw| {
            let (length, block) = (raw.train.length(&raw.model), raw.model.block_size);
            if length <= block {
                return None;
            }
            violation(
                format!("`train.sequence_length` = {length} is longer than `model.block_size` = {block}"),
                format!("the model has no positions beyond its block size: use at most {block}, or raise it"),
            )
        },
    },
    Rule {
        keys: &[
            "train.batch_size",
            "train.sequence_length",
            "train.gradient_accumulation_steps",
            "model.block_size",
        ],
        check: |raw| {
            let sizes =
                [raw.train.batch_size, raw.train.length(&raw.model), raw.train.gradient_accumulation_steps];
            let tokens: u64 = sizes.iter().map(|&size| size as u64).product();
            (tokens > MAX_TOKENS_PER_STEP).then(|| Violation {
                what: format!("a step of {} tokens is too large", units::count(tokens)),
                help: Some(format!(
                    "batch_size x sequence_length x gradient_accumulation_steps may be {} at most",
                    units::count(MAX_TOKENS_PER_STEP)
                )),
            })
        },
    },
    Rule {
        keys: &["model.vocab_size", "data.tokenizer"],
        check: |raw| {
            let (name, needed) = match raw.data.tokenizer {
                TokenizerKind::Gpt2 => ("gpt2", 50_257),
                TokenizerKind::Byte => ("byte", 256),
                // Known only once the corpus is read.
                TokenizerKind::Char => return None,
            };
            let size = raw.model.vocab_size.filter(|size| *size < needed)?;
            violation(
                format!(
                    "`model.vocab_size` = {} is smaller than the {} tokens of the tokenizer \"{name}\"",
                    units::count(size as u64),
                    units::count(needed as u64)
                ),
                format!("use 0 (as many as the tokenizer has) or at least {needed}"),
            )
        },
    },
    Rule {
        keys: &["data.corpus", "data.path"],
        check: |raw| {
            if raw.data.corpus.is_some() || raw.data.path.count() > 0 {
                return None;
            }
            violation(
                "there is no text: `data.corpus` and `data.path` are both empty",
                "name a known corpus, `corpus = \"salt-crown\"`, or a file or folder of your own, `path = \"my.txt\"`",
            )
        },
    },
    Rule {
        keys: &["schedule.warmup_steps", "train.max_steps"],
        check: |raw| {
            let (warmup, steps) = (raw.schedule.warmup_steps, raw.train.max_steps);
            if warmup <= steps {
                return None;
            }
            violation(
                format!(
                    "`schedule.warmup_steps` = {warmup} is longer than the training, `train.max_steps` = {steps}"
                ),
                "the peak learning rate would never be reached: warm up over less, or train longer",
            )
        },
    },
    Rule {
        keys: &["optimizer.momentum_warmup_steps", "train.max_steps", "optimizer.kind"],
        check: |raw| {
            let (warmup, steps) = (raw.optimizer.momentum_warmup_steps, raw.train.max_steps);
            if raw.optimizer.kind != OptimizerKind::Muon || warmup <= steps {
                return None;
            }
            violation(
                format!(
                    "`optimizer.momentum_warmup_steps` = {warmup} is longer than the training, `train.max_steps` = {steps}"
                ),
                "`optimizer.momentum` would never be reached: warm up over less, or train longer",
            )
        },
    },
    Rule {
        keys: &["schedule.decay_steps", "schedule.warmup_steps", "train.max_steps", "schedule.kind"],
        check: |raw| {
            let (warmup, steps, decay) = (
                raw.schedule.warmup_steps,
                raw.train.max_steps,
                raw.schedule.decays_over(raw.train.max_steps),
            );
            // A warm-up longer than the training has its own rule.
            if warmup > steps {
                return None;
            }
            match raw.schedule.kind {
                ScheduleKind::Linear | ScheduleKind::Cosine if decay <= warmup => violation(
                    format!(
                        "the learning rate would have decayed by step {decay}, before its warm-up of {} ends",
                        units::steps(warmup)
                    ),
                    "`schedule.decay_steps` counts from step 0 and must be above `schedule.warmup_steps`; 0 is `train.max_steps`",
                ),
                ScheduleKind::WarmupStableDecay if warmup + decay > steps => violation(
                    format!(
                        "a warm-up of {} and a decay of {} do not fit into {}",
                        units::steps(warmup),
                        units::steps(decay),
                        units::steps(steps)
                    ),
                    "for warmup-stable-decay, `schedule.decay_steps` is how many of the last steps decay",
                ),
                _ => None,
            }
        },
    },
    Rule {
        keys: &["schedule.min_lr", "optimizer.learning_rate", "schedule.kind"],
        check: |raw| {
            let (min, peak) = (raw.schedule.min_lr, raw.optimizer.learning_rate);
            if raw.schedule.kind == ScheduleKind::Constant || min <= peak {
                return None;
            }
            violation(
                format!(
                    "`schedule.min_lr` = {min:?} is above the peak, `optimizer.learning_rate` = {peak:?}"
                ),
                "the learning rate decays from the peak to min_lr; a tenth of the peak is usual",
            )
        },
    },
    Rule {
        keys: &["optimizer.ns_coefficients", "optimizer.ns_steps"],
        check: |raw| {
            let largest = largest_singular_value(&raw.optimizer);
            if raw.optimizer.kind != OptimizerKind::Muon || (1e-6..=1e3).contains(&largest) {
                return None;
            }
            violation(
                format!(
                    "with these coefficients and `optimizer.ns_steps` = {} every update would {}",
                    raw.optimizer.ns_steps,
                    if largest < 1e-6 { "be zero" } else { "explode" }
                ),
                "an iteration makes a x + b x^3 + c x^5 of each singular value x from 0 to 1; it has to stay near 1, as with [3.4445, -4.775, 2.0315]",
            )
        },
    },
    Rule {
        keys: &["target.metric", "data.val_fraction"],
        check: |raw| {
            if !targets_validation(raw) || raw.data.val_fraction > 0.0 {
                return None;
            }
            violation(
                "the target is a validation loss, but no text is kept for validation",
                "set `data.val_fraction` above 0, or aim at \"train_loss\"",
            )
        },
    },
    Rule {
        keys: &["target.metric", "train.eval_interval"],
        check: |raw| {
            if !targets_validation(raw) || raw.train.eval_interval > 0 {
                return None;
            }
            violation(
                "the target is a validation loss, but it is never measured",
                "set `train.eval_interval` above 0, or aim at \"train_loss\"",
            )
        },
    },
    Rule {
        keys: &["sample.prompts", "sample.interval"],
        check: |raw| {
            if raw.sample.interval == 0 {
                return None;
            }
            if raw.sample.prompts.is_empty() {
                return violation(
                    "samples are on, but there are no prompts to continue",
                    "give a prompt, `prompts = [\"\\n\"]` for a new line, or set `sample.interval = 0`",
                );
            }
            if raw.sample.prompts.iter().any(String::is_empty) {
                return violation(
                    "a prompt is empty",
                    "the model continues a text: give it at least a new line, \"\\n\"",
                );
            }
            None
        },
    },
    Rule {
        keys: &[
            "reference.name",
            "reference.curve",
            "reference.final_loss",
            "reference.steps",
            "reference.secs",
        ],
        check: |raw| {
            let reference = &raw.reference;
            let numbers = !reference.curve.is_empty()
                || reference.final_loss.is_some()
                || reference.steps.is_some()
                || reference.secs.is_some();
            if !reference.name.is_empty() || !numbers {
                return None;
            }
            violation("the reference has no name", "say in [reference] what it is called: name = \"...\"")
        },
    },
];

fn targets_validation(raw: &RawPlan) -> bool {
    raw.target.metric.is_of_validation() && raw.target.threshold.is_some()
}

//! What a name says by its words, where no table has it as it stands: `train_num_iters_max` has the words of `max_steps` and no other.
//!
//! A rule names a key by groups of words. It fits a name that has a word of each group, and no word that the rule does not know: what is
//! left over may change the meaning, and a wrong hint is worse than none. Section headers count as words that may fill a group.

mod absent;
mod first;
mod parts;
mod things;
mod training;

use absent::{ABSENT, SUBJECTS, TOPICS};
use first::FIRST;
pub(in crate::config) use parts::parts;
use parts::{join, split};
use things::THINGS;
use training::TRAINING;

/// Words that mean a key.
pub(in crate::config) struct Rule {
    /// Groups of alternatives, parted by spaces; the name has a word of each.
    pub all: &'static [&'static str],
    /// Further words that change nothing.
    pub may: &'static str,
    /// The dotted key.
    pub key: &'static str,
    /// Where the meaning differs; empty where it does not.
    pub note: &'static str,
}

/// Words of which any tells that there is no such key, and why.
pub(in crate::config) struct Absent {
    /// Groups as in [`Rule`]; other words do not matter.
    pub all: &'static [&'static str],
    pub why: &'static str,
}

/// Words that are written in many ways, each in one. Of several words, the parts stand together.
const SAME: &[(&str, &str)] = &[
    ("not", "not no without disable disabled skip omit"),
    ("lr", "lr lr0 lrate learningrate"),
    ("steps", "step steps iter iters iteration iterations update updates"),
    (
        "eval",
        "eval evals evaluation evaluations evaluate evaluating val valid validation validations validate dev test testing evaluator evaluators",
    ),
    (
        "checkpoint",
        "checkpoint checkpoints checkpointing checkpointer checkpointers ckpt ckpts chkpt snapshot snapshots",
    ),
    ("save", "save saves saving saved"),
    ("load", "load loads loading loaded reload"),
    ("interval", "interval intervals freq frequency every each period per cadence"),
    ("max", "max maximum"),
    ("min", "min minimum"),
    ("warmup", "warmup warmups rampup ramp"),
    ("decay", "decay decays decaying anneal annealing cooldown"),
    ("clip", "clip clipping clipped clipper clipgrad clipnorm gradclip"),
    ("grad", "grad grads gradient gradients"),
    ("embed", "embd embed emb embedding embeddings embeds wte"),
    ("unembed", "unembed unembedding lmhead"),
    ("attention", "attn attention att"),
    ("seq", "seq sequence sequences"),
    ("length", "len length lengths"),
    ("seqlen", "seqlen seqlength maxlen"),
    ("context", "ctx context"),
    ("dropout", "dropout dropouts pdrop dropatt dropemb dropouti dropoute"),
    ("optimizer", "opt optim optimizer optimiser optimizers optimization"),
    ("schedule", "sched scheduler schedule schedulers schedules"),
    ("tokenizer", "tokenizer tokeniser tokenization tok"),
    (
        "sample",
        "sample predict prediction predictions sampling sampler generate generation generations generating gen inference infer decoding",
    ),
    (
        "log",
        "log logs logging logged logger loggers report reports reporting print printing display verbose verbosity",
    ),
    ("accumulate", "acc accum accumulation accumulate accumulations gacc"),
    ("batch", "batch bs bsz batchsize minibatch"),
    ("microbatch", "microbatch microbatches mbs"),
    ("batches", "batches"),
    ("layers", "layer layers block blocks depth"),
    ("heads", "head heads nhead nheads"),
    ("dim", "dim dims dimension dimensions d width size sz units channels features"),
    ("hidden", "hidden model residual resid"),
    ("vocab", "vocab vocabulary"),
    ("data", "data dataset datasets corpus corpora text texts"),
    (
        "path",
        "path paths file files filename filenames dir dirs directory folder root prefix location url urls uri uris glob pattern",
    ),
    ("fraction", "fraction fract frac ratio share percent percentage pct proportion portion perc"),
    (
        "quota",
        "fraction fract frac ratio share factor scale multiplier mult percent percentage pct rate proportion",
    ),
    (
        "kind",
        "kind type name class cls policy strategy style algorithm algo function fn method mode impl identifier id",
    ),
    ("train", "train training trainer pretrain pretraining fit"),
    ("adamw", "adam adamw"),
    ("eps", "eps epsilon"),
    ("wd", "wd weightdecay l2"),
    ("norm", "norm norms normalization normalisation"),
    ("layernorm", "layernorm rmsnorm ln rms lnorm"),
    (
        "init",
        "init initial initialize initialization initialisation initializer initialise start starting begin",
    ),
    ("keep", "keep retain keeping kept retention"),
    ("last", "last latest recent newest"),
    ("tokens", "token tokens"),
    ("epochs", "epoch epochs ep"),
    ("temperature", "temperature temp"),
    ("seed", "seed seeds"),
    ("device", "device accel accelerator hardware platform"),
    ("gpus", "gpus devices nodes ngpu ngpus nproc"),
    (
        "dtype",
        "dtype dtypes precision prec fp16 bf16 fp32 f16 f32 float16 bfloat16 float32 amp autocast mixed half",
    ),
    ("threads", "threads thread cpus cpu cores core"),
    ("time", "time hours hour minutes minute mins secs seconds walltime wallclock wall clock hrs"),
    ("retries", "retries retry attempts restarts restart requeue requeues failures resubmit"),
    ("prompt", "prompt prompts"),
    ("weights", "weights weight probs probabilities proportions ratios mixture"),
    ("position", "pos position positions positional wpe"),
    ("resume", "resume resuming continue continuing autoresume resumed"),
    ("activation", "activation activations act nonlinearity"),
    ("bias", "bias biases"),
    ("cosine", "cos cosine"),
    ("split", "split splits"),
    ("mlp", "mlp ffn ff feedforward intermediate inner"),
];

/// Words that say nothing.
const EMPTY: &[&str] = &[
    "num",
    "n",
    "nb",
    "number",
    "no",
    "of",
    "or",
    "and",
    "the",
    "a",
    "an",
    "to",
    "for",
    "in",
    "on",
    "at",
    "config",
    "cfg",
    "conf",
    "args",
    "arg",
    "arguments",
    "value",
    "param",
    "params",
    "parameter",
    "hparam",
    "hparams",
    "option",
    "options",
    "opts",
    "setting",
    "settings",
    "use",
    "enable",
    "enabled",
    "is",
    "should",
    "with",
    "do",
    "default",
    "kwargs",
    "count",
    "gpt",
    "gpt2",
    "lm",
    "llm",
    "megatron",
    "my",
    "desired",
];

/// The words of a name that say something, each with its usual forms.
#[derive(Debug)]
pub(in crate::config) struct Words(Vec<(String, Vec<&'static str>)>);

impl Words {
    pub fn of(name: &str) -> Words {
        let mut parts = parts(name);
        // `no_of_layers` counts, `no_shuffle` denies.
        if let Some(index) = denial(&parts) {
            parts[index] = "not".to_owned();
        }
        split(&mut parts);
        join(&mut parts);
        parts.retain(|part| !EMPTY.contains(&part.as_str()));
        Words(parts.into_iter().map(|part| (part.clone(), senses(&part).collect())).collect())
    }

    fn has(&self, group: &str) -> bool {
        group.split(' ').any(|word| self.0.iter().any(|part| says(part, word)))
    }
}

/// Whether the word stands for what a part of a name says, in any of its senses.
fn says((part, senses): &(String, Vec<&'static str>), word: &str) -> bool {
    part == word || senses.contains(&word)
}

/// The usual forms of one part of a name.
fn senses(part: &str) -> impl Iterator<Item = &'static str> {
    SAME.iter().filter(move |(_, forms)| forms.split(' ').any(|form| form == part)).map(|(word, _)| *word)
}

/// Of what there is not; the first that fits is taken.
pub(in crate::config) fn absences() -> impl Iterator<Item = &'static Absent> {
    FIRST.iter().chain(ABSENT)
}

/// All rules; the first that fits is taken.
pub(super) fn rules() -> impl Iterator<Item = &'static Rule> {
    TRAINING.iter().chain(THINGS)
}

/// The rule that fits a name. The words of the header above it count for keys of that section.
pub(in crate::config) fn rule(name: &Words, section: Option<&str>, written: &Words) -> Option<&'static Rule> {
    let none = Words(Vec::new());
    let around = |rule: &Rule| {
        let own = rule.key.split_once('.').is_some_and(|(own, _)| Some(own) == section);
        if own { written } else { &none }
    };
    rules().find(|rule| rule.fits(name, around(rule)))
}

impl Rule {
    fn fits(&self, name: &Words, section: &Words) -> bool {
        let known = |part: &(String, Vec<&'static str>)| {
            self.all.iter().chain([&self.may]).any(|group| group.split(' ').any(|word| says(part, word)))
        };
        self.all.iter().all(|group| name.has(group) || section.has(group))
            && self.all.iter().any(|group| name.has(group))
            && name.0.iter().all(known)
    }
}

/// Why there is nothing of the kind that a name speaks of.
pub(in crate::config) fn absent(name: &Words) -> Option<&'static str> {
    absent_in(name, &Words(Vec::new()))
}

/// As [`absent`], under a header whose words may say a part: `async_mode` in `[checkpoint]`.
pub(in crate::config) fn absent_in(name: &Words, header: &Words) -> Option<&'static str> {
    let fits = |absent: &&Absent| {
        absent.all.iter().all(|group| name.has(group) || header.has(group))
            && absent.all.iter().any(|group| name.has(group))
    };
    // What the name says by itself is surer.
    let alone = absences().find(|absent| absent.all.iter().all(|group| name.has(group)));
    alone.or_else(|| absences().find(fits)).map(|absent| absent.why)
}

/// The keys about what a name speaks of.
pub(in crate::config) fn topic(name: &Words) -> Option<&'static str> {
    TOPICS.iter().find(|(group, _)| name.has(group)).map(|(_, keys)| *keys)
}

/// As [`topic`], less near.
pub(in crate::config) fn subject(name: &Words) -> Option<&'static str> {
    SUBJECTS.iter().find(|(group, _)| name.has(group)).map(|(_, keys)| *keys)
}

/// A name without the word that denies it: `disable_shuffling`, `no_checkpoints`, `skip_eval`.
pub(in crate::config) fn without_denial(name: &str) -> Option<String> {
    let mut parts = parts(name);
    // What is skipped may be another thing: special tokens in what is written, rows in what is read.
    let denies = |first: &String| matches!(first.as_str(), "no" | "not" | "disable" | "disabled" | "without");
    let index = if parts.first().is_some_and(denies) { Some(0) } else { None }.or_else(|| denial(&parts))?;
    parts.remove(index);
    let denied = !parts.is_empty() && parts.first().is_none_or(|first| index > 0 || first != "of");
    denied.then(|| parts.join("_"))
}

/// Where a name denies: `no_shuffle`, `transformer-no-bias`, and not `no_of_layers`.
fn denial(parts: &[String]) -> Option<usize> {
    let next = |index: usize| parts.get(index + 1);
    (0..parts.len()).find(|index| {
        matches!(parts[*index].as_str(), "no" | "without") && next(*index).is_some_and(|next| next != "of")
    })
}

/// Whether a part of a name is a word with a meaning here, so that it is hardly a slip of the keyboard.
pub(in crate::config) fn is_known(part: &str) -> bool {
    let in_groups = |groups: &[&str]| groups.iter().any(|group| group.split(' ').any(|word| word == part));
    EMPTY.contains(&part)
        || senses(part).next().is_some()
        || rules().any(|rule| in_groups(rule.all) || in_groups(&[rule.may]))
        || absences().any(|absent| in_groups(absent.all))
        || OTHERS.contains(&part)
}

/// Words of this field that lie near others.
const OTHERS: &[&str] = &[
    "best", "test", "rest", "total", "large", "small", "lower", "higher", "learning", "rate", "mean", "base",
    "case", "catch", "patch", "match", "watch", "taken", "later", "stops", "mask", "task", "page", "note",
    "mode", "node", "code", "load", "loss",
];

/// Every word that a slip of the keyboard may have meant.
fn vocabulary() -> impl Iterator<Item = &'static str> {
    SAME.iter().flat_map(|(_, forms)| forms.split(' ')).filter(|word| word.len() >= 5)
}

/// The name with each unknown word that differs by one slip from a known one put right; `None` when there is none.
pub(in crate::config) fn respelled(name: &str) -> Option<String> {
    let mut changed = false;
    let right: Vec<String> = parts(name)
        .into_iter()
        .map(|part| {
            if part.len() < 5 || is_known(&part) {
                return part;
            }
            let near = vocabulary().find(|word| strsim::damerau_levenshtein(word, &part) == 1);
            changed |= near.is_some();
            near.map_or(part, str::to_owned)
        })
        .collect();
    changed.then(|| right.join("_"))
}

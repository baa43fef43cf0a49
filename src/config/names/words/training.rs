//! Words that mean a key of training: how much, how long, how fast.

use super::Rule;
use crate::config::names::notes::*;

pub(super) const fn rule(all: &'static [&'static str], may: &'static str, key: &'static str) -> Rule {
    Rule { all, may, key, note: "" }
}

pub(super) const fn noted(
    all: &'static [&'static str],
    may: &'static str,
    key: &'static str,
    note: &'static str,
) -> Rule {
    Rule { all, may, key, note }
}

pub(super) const TRAINING: &[Rule] = &[
    // What is computed again.
    rule(
        &["grad activation recompute remat", "checkpoint recompute remat recomputation rematerialization"],
        "full layers layer block recomputation rematerialization",
        "train.activation_checkpointing",
    ),
    rule(&["recompute remat recomputation rematerialization"], "layers", "train.activation_checkpointing"),
    rule(&["memory", "saving efficient", "grad"], "", "train.activation_checkpointing"),
    // What is switched off.
    noted(&["not", "checkpoint save"], "model models train", "checkpoint.interval", ZERO_IS_OFF),
    noted(&["not", "eval"], "train", "train.eval_interval", ZERO_IS_OFF),
    noted(&["not", "sample"], "text", "sample.interval", ZERO_IS_OFF),
    // Validation.
    rule(&["eval", "max limit total", "steps"], "train", "train.eval_batches"),
    rule(&["eval", "interval"], "steps train model loss during run min max set", "train.eval_interval"),
    rule(&["eval", "steps"], "train run between per", "train.eval_interval"),
    noted(&["eval", "epochs"], "per interval train", "train.eval_interval", EPOCHS_BETWEEN),
    noted(&["eval", "interval steps", "epochs"], "train", "train.eval_interval", EPOCHS_BETWEEN),
    noted(&["eval", "kind"], "train", "train.eval_interval", "steps between validations; 0 is \"no\""),
    rule(
        &["eval", "batches microbatch"],
        "max limit subset train run per steps total loss",
        "train.eval_batches",
    ),
    noted(
        &["eval", "examples samples sequences tokens"],
        "max limit subset",
        "train.eval_batches",
        "a number of batches here, each of batch_size x sequence_length tokens",
    ),
    noted(
        &["eval", "fraction"],
        "data set holdout hold train test",
        "data.val_fraction",
        "a share from 0 to 1",
    ),
    noted(
        &["eval holdout", "split dim"],
        "data set train",
        "data.val_fraction",
        "a share of the text from 0 to 1, cut from its end",
    ),
    rule(&["holdout"], "fraction data", "data.val_fraction"),
    noted(
        &["train", "split fraction"],
        "data set dim",
        "data.val_fraction",
        "give the share for validation: 1 - the share for training",
    ),
    noted(
        &["split"],
        "data string fraction set train eval dim proportions",
        "data.val_fraction",
        "only the share for validation is given",
    ),
    noted(
        &["eval", "data path set"],
        "bin set txt jsonl json name train file parquet",
        "data.val_fraction",
        "there is no file for validation alone: its text is cut from the end of the corpus",
    ),
    // Checkpoints.
    rule(
        &["keep", "last checkpoint save max total"],
        "steps models recent k limit latest most by age",
        "checkpoint.keep_last",
    ),
    noted(
        &["keep last", "epochs"],
        "keep checkpoint save models",
        "checkpoint.keep_last",
        "the latest checkpoints, whatever epochs they are of",
    ),
    rule(
        &["max total limit", "checkpoint save", "keep limit total max"],
        "models last stored",
        "checkpoint.keep_last",
    ),
    rule(&["max", "checkpoint"], "models stored saved", "checkpoint.keep_last"),
    rule(&["keep", "checkpoint"], "max", "checkpoint.keep_last"),
    rule(&["keep save", "topk", "checkpoint keep save"], "models", "checkpoint.keep_last"),
    noted(
        &["keep", "interval steps"],
        "save checkpoint models",
        "checkpoint.keep_last",
        "so many of the latest are kept, and none for good but the best and tagged ones",
    ),
    rule(&["keep last", "checkpoint", "last keep k limit"], "max", "checkpoint.keep_last"),
    rule(
        &["save checkpoint", "interval"],
        "steps model models state train weights save between min max batches k last permanent",
        "checkpoint.interval",
    ),
    rule(&["save checkpoint", "steps"], "model train between per", "checkpoint.interval"),
    noted(
        &["save checkpoint", "interval steps", "epochs"],
        "model train k",
        "checkpoint.interval",
        EPOCHS_BETWEEN,
    ),
    noted(
        &["save checkpoint", "kind"],
        "model",
        "checkpoint.interval",
        "steps between checkpoints; 0 is \"no\"",
    ),
    noted(
        &["save checkpoint", "interval", "time"],
        "model train",
        "checkpoint.interval",
        "steps here, not a time",
    ),
    // Samples.
    rule(&["sample", "interval steps"], "text train print between model per", "sample.interval"),
    rule(&["sample", "seed"], "text", "sample.seed"),
    rule(&["prompt"], "sample text start initial input list", "sample.prompts"),
    noted(&["prompt", "path"], "sample text", "sample.prompts", "the texts themselves: prompts = [\"...\"]"),
    rule(&["new", "tokens"], "max sample length", "sample.max_new_tokens"),
    rule(
        &["sample output response completion", "tokens length seqlen"],
        "max new text",
        "sample.max_new_tokens",
    ),
    rule(&["temperature"], "sample softmax text decode random", "sample.temperature"),
    rule(&["topk"], "random sample text filter filtering tokens logits", "sample.top_k"),
    rule(&["topp nucleus"], "random sample text filter filtering p", "sample.top_p"),
    // Warm-up and what follows it.
    noted(&["warmup", "fraction"], "steps lr linear schedule train", "schedule.warmup_steps", RATIO),
    noted(&["warmup", "epochs"], "lr linear schedule", "schedule.warmup_steps", EPOCHS),
    noted(&["warmup", "tokens"], "lr linear schedule max", "schedule.warmup_steps", TOKENS),
    noted(&["warmup", "samples examples"], "lr", "schedule.warmup_steps", SEQUENCES),
    noted(
        &["momentum", "schedule"],
        "muon kind",
        "optimizer.momentum_warmup_steps",
        "Muon's momentum alone changes, linearly from momentum_start",
    ),
    rule(&["momentum", "warmup"], "steps muon interval", "optimizer.momentum_warmup_steps"),
    rule(&["momentum", "init"], "muon warmup", "optimizer.momentum_start"),
    rule(
        &["warmup", "steps length duration period interval"],
        "lr linear schedule train batches max",
        "schedule.warmup_steps",
    ),
    rule(&["warmup"], "linear schedule train", "schedule.warmup_steps"),
    noted(
        &["decay stable", "fraction"],
        "steps lr linear schedule length wsd cosine",
        "schedule.decay_steps",
        RATIO,
    ),
    noted(&["decay", "epochs"], "lr linear schedule cosine", "schedule.decay_steps", EPOCHS),
    noted(&["decay", "tokens"], "lr linear schedule", "schedule.decay_steps", TOKENS),
    noted(&["decay", "samples examples"], "lr", "schedule.decay_steps", SEQUENCES),
    noted(
        &["decay", "init after"],
        "lr steps schedule wsd",
        "schedule.decay_steps",
        "linear and cosine fall from the end of the warm-up on; for \"warmup-stable-decay\" it is how many of the last steps decay",
    ),
    noted(&["decay", "end"], "lr steps schedule wsd", "schedule.decay_steps", DECAY_STEPS),
    noted(&["stable", "steps"], "lr phase warmup wsd", "schedule.decay_steps", DECAY_STEPS),
    noted(
        &["decay cosine cos", "steps"],
        "lr max linear schedule length total end wsd train cosine duration decay cycle",
        "schedule.decay_steps",
        DECAY_STEPS,
    ),
    noted(&["lr schedule", "steps length"], "max total schedule", "schedule.decay_steps", DECAY_STEPS),
    noted(
        &["min final end floor lowest target", "lr", "quota"],
        "peak max schedule decay value cosine wsd polynomial linear",
        "schedule.min_lr",
        LR_SHARE,
    ),
    rule(
        &["min final end floor lowest last", "lr"],
        "schedule decay value absolute cosine limit wsd polynomial linear power",
        "schedule.min_lr",
    ),
    noted(&["schedule", "min final end", "quota"], "lr", "schedule.min_lr", LR_SHARE),
    rule(&["lr decay", "schedule kind"], "lr schedule shape curve decay wsd stable", "schedule.kind"),
    rule(&["schedule"], "kind lr shape curve decay", "schedule.kind"),
    noted(
        &["lr", "decay"],
        "",
        "schedule.kind",
        "which way it falls: \"linear\", \"cosine\" or \"warmup-stable-decay\"",
    ),
    // Rates of the optimizer.
    noted(
        &["embed unembed head lmhead scalar vector norm nonmuon", "lr"],
        "adamw muon layers optimizer",
        "optimizer.adamw_learning_rate",
        "with kind = \"muon\" one rate for embeddings, layer norms and biases together; otherwise all have `learning_rate`",
    ),
    noted(
        &["adamw", "lr", "fraction"],
        "optimizer muon",
        "optimizer.adamw_learning_rate",
        "a share of Muon's rate there, a learning rate here",
    ),
    rule(&["adamw", "lr"], "optimizer muon max peak", "optimizer.adamw_learning_rate"),
    rule(
        &["lr"],
        "max peak base init optimizer train muon matrix matrices model sgd global constant initial gpt",
        "optimizer.learning_rate",
    ),
    rule(&["beta1 b1"], "adamw optimizer", "optimizer.beta1"),
    rule(&["beta2 b2"], "adamw optimizer", "optimizer.beta2"),
    noted(&["betas"], "adamw optimizer", "optimizer.beta1", BETAS),
    rule(&["eps"], "adamw optimizer denominator numerical stability", "optimizer.eps"),
    rule(&["nesterov"], "momentum sgd muon optimizer", "optimizer.nesterov"),
    rule(&["momentum"], "sgd muon optimizer beta factor coefficient coef mu", "optimizer.momentum"),
    rule(&["ns newton backend", "steps"], "schulz newtonschulz muon iterations", "optimizer.ns_steps"),
    rule(&["ns newton", "coefficients coeffs coefs"], "schulz muon", "optimizer.ns_coefficients"),
    noted(
        &["bias norm layernorm embed exclude skip", "wd decay"],
        "from no apply decay layers parameters names grouping",
        "optimizer.decay_all",
        DECAY_ALL,
    ),
    noted(
        &["no not", "wd decay"],
        "bias norm layernorm embed names parameters",
        "optimizer.decay_all",
        DECAY_ALL,
    ),
    rule(
        &["wd"],
        "adamw optimizer coefficient coef coeff lambda rate muon penalty regularization regularizer reg matrix weights train model decay l2",
        "optimizer.weight_decay",
    ),
    noted(&["clip", "value"], "grad max", "optimizer.grad_clip", CLIP_VALUE),
    rule(
        &["clip"],
        "grad norm max threshold global optimizer l2 by total norms limit train",
        "optimizer.grad_clip",
    ),
    rule(&["grad max", "norm"], "max l2 total limit threshold global clip", "optimizer.grad_clip"),
    rule(&["grad", "max limit threshold"], "norm", "optimizer.grad_clip"),
    rule(&["optimizer"], "kind choice train model", "optimizer.kind"),
    noted(&["muon adamw sgd"], "optimizer", "optimizer.kind", "\"adamw\", \"sgd\" or \"muon\""),
    // How much text at a time.
    rule(
        &["grad batch microbatch batches", "accumulate"],
        "steps batches size interval factor microbatch device train",
        "train.gradient_accumulation_steps",
    ),
    rule(
        &["accumulate"],
        "steps batches batch interval factor per replica device",
        "train.gradient_accumulation_steps",
    ),
    noted(
        &["microbatch", "steps interval"],
        "batch grad global",
        "train.gradient_accumulation_steps",
        "forward and backward passes per step",
    ),
    noted(
        &["tokens", "fwdbwd forward fwd microbatch micro pass"],
        "per batch interval backward device",
        "train.batch_size",
        "in sequences here: tokens / sequence_length",
    ),
    noted(
        &["batch steps", "tokens"],
        "per interval size global total train target dim max min",
        "train.gradient_accumulation_steps",
        TOKENS_PER_STEP,
    ),
    noted(
        &["global total effective macro virtual logical", "batch"],
        "size train samples target sequences dim",
        "train.gradient_accumulation_steps",
        GLOBAL_BATCH,
    ),
    rule(&["microbatches"], "per steps grad train", "train.gradient_accumulation_steps"),
    noted(
        &["microbatch micro"],
        "batch size train dim per device gpu rank local cpu interval gpus core",
        "train.batch_size",
        BATCH_NOTE,
    ),
    noted(
        &["batch", "device gpu rank local core replica gpus"],
        "train per size micro mini dim interval",
        "train.batch_size",
        BATCH_NOTE,
    ),
    rule(
        &["batch sequences"],
        "mini size train dim sequences seq samples examples interval model data",
        "train.batch_size",
    ),
    // How long.
    noted(
        &["train total max", "tokens"],
        "train max total end budget limit billions consumed seen target",
        "train.max_steps",
        TOKENS,
    ),
    noted(&["tokens", "fraction"], "train target", "train.max_steps", TOKENS),
    noted(&["train total", "samples examples sequences"], "end seen", "train.max_steps", SEQUENCES),
    noted(&["epochs"], "max train total end stop limit", "train.max_steps", EPOCHS),
    rule(
        &["steps"],
        "max total train optimizer end stop run limit target global maximum grad budget batches loop planned required needed duration length",
        "train.max_steps",
    ),
    rule(&["batches"], "max total train limit per subset", "train.max_steps"),
    rule(&["max total limit budget", "time"], "train run limit runtime total job", "train.max_time"),
    rule(&["runtime walltime wallclock"], "max limit time total", "train.max_time"),
    rule(&["time", "limit budget"], "max run job", "train.max_time"),
    rule(&["time"], "train run job", "train.max_time"),
    // Lengths of text.
    rule(
        &["context position", "length dim max window"],
        "max size model layers learned tokens length seqlen embed window",
        "model.block_size",
    ),
    rule(&["context"], "max model train", "model.block_size"),
    noted(
        &["model", "seqlen"],
        "max min length",
        "model.block_size",
        "the longest context; the length that is trained on is `train.sequence_length`",
    ),
    rule(
        &["seqlen"],
        "max train model tokenizer tokens data input dim window length target",
        "train.sequence_length",
    ),
    rule(
        &["seq window chunk input tokens", "length dim"],
        "max train data model context",
        "train.sequence_length",
    ),
    rule(&["length"], "max tokens input cutoff train", "train.sequence_length"),
];

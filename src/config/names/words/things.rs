//! Words that mean a key of what is trained, on what, and where.

use super::Rule;
use super::training::{noted, rule};
use crate::config::names::notes::*;

pub(super) const THINGS: &[Rule] = &[
    // Sizes of the model.
    noted(&["heads", "dim"], "attention per key value qk kv interval", "model.n_head", HEAD_DIM),
    rule(&["heads"], "attention query q model transformer decoder self", "model.n_head"),
    rule(&["layers"], "hidden decoder transformer model total encoder stack", "model.n_layer"),
    rule(
        &["hidden embed width stream", "dim width channels units"],
        "model hidden embed transformer residual layers token stream width decoder",
        "model.n_embd",
    ),
    rule(&["width channels embed"], "model", "model.n_embd"),
    rule(&["vocab"], "size tokens padded meta model dim tokenizer total length", "model.vocab_size"),
    noted(
        &["vocab", "divisible multiple pad"],
        "make dim by size to",
        "model.vocab_size",
        "the padded size itself: 50304 for the tokenizer gpt2",
    ),
    noted(&["spm sentencepiece bpe merges"], "model path vocab prefix codes", "data.tokenizer", BUILT_IN),
    noted(
        &["vocab merges merge", "path"],
        "tokenizer json bpe",
        "data.tokenizer",
        "the tokenizers are built in: \"gpt2\", \"char\", \"byte\"",
    ),
    rule(
        &["dropout"],
        "rate prob p probability res attention activation relu act prepost module hidden embed mlp model layers transformer train classifier summary first drop residual heads final output weights softmax",
        "model.dropout",
    ),
    noted(
        &["not", "bias"],
        "linear mlp attention layers norm layernorm all terms qkv proj transformer",
        "model.bias",
        OTHER_WAY,
    ),
    rule(
        &["bias"],
        "linear mlp attention layers norm layernorm all add include terms transformer qkv proj model projection dense weights head key query",
        "model.bias",
    ),
    rule(
        &["model gpt preset", "kind preset variant flavor flavour dim"],
        "base variant architecture arch model",
        "model.preset",
    ),
    rule(&["architecture arch preset variant flavor"], "model kind", "model.preset"),
    // The text.
    rule(
        &["seed"],
        "random shuffle everything state data global torch train model init rng manual numpy np base world dataset run python master cuda",
        "experiment.seed",
    ),
    rule(&["random sequential fixed", "windows chunks"], "data train order", "data.order"),
    noted(
        &["not", "shuffle shuffling"],
        "data train samples examples buffer",
        "data.order",
        "true there is \"sequential\" here, false \"fixed_windows\"",
    ),
    noted(
        &["shuffle shuffling"],
        "data train samples examples merged before merging buffer interval epochs each first dim windows indices sequences chunks documents",
        "data.order",
        "true is \"fixed_windows\", false is \"sequential\"",
    ),
    rule(
        &["data content document", "key column field"],
        "name kind data train text content jsonl",
        "data.text_column",
    ),
    rule(
        &[
            "data source corpus sources mix mixing mixer blend domain",
            "weights mixture mixing mixer blend sampling",
        ],
        "sample interleave train rates corpora",
        "data.weights",
    ),
    rule(&["json jsonl parquet csv txt", "data path"], "train input", "data.path"),
    rule(&["cached"], "data tokens tokenized", "data.cache"),
    rule(&["encoding encoder"], "kind model data path", "data.tokenizer"),
    rule(&["separator delimiter"], "document doc data tokens string", "data.separator"),
    rule(&["append add insert", "eos eod"], "tokens document end", "data.separator"),
    rule(&["tokenizer"], "kind path model vocab bpe hf input kwargs json", "data.tokenizer"),
    rule(
        &["data input documents document docs", "path"],
        "train input local jsonl txt raw prefix bin json list source remote prepared preprocessed processed tokenized",
        "data.path",
    ),
    rule(&["train", "path data files"], "bin txt jsonl input set index", "data.path"),
    rule(&["data"], "kind train source set hf input", "data.corpus"),
    // The machine.
    noted(
        &["gpu device cuda", "id ids index ordinal number"],
        "visible main",
        "hardware.device",
        "\"cuda:1\" is the second GPU",
    ),
    noted(
        &["gpu cuda"],
        "device train run on",
        "hardware.device",
        "\"cuda\", \"cpu\", or \"auto\" for what there is",
    ),
    rule(&["device"], "kind train compute cuda map", "hardware.device"),
    noted(&["not", "dtype"], "train mixed", "hardware.dtype", "\"f32\" is single precision throughout"),
    noted(
        &["dtype"],
        "train model weights activation downcast compute kind param mixed torch parameter half full pure opt level scaler grad pt bits default backend memory efficient eval apex backbone",
        "hardware.dtype",
        MIXED,
    ),
    rule(&["threads"], "torch omp intra op interop num per task process max run openmp", "hardware.threads"),
    rule(
        &["monitor resource gpu memory stats usage", "interval"],
        "log sample time s stats metrics resource util utilization",
        "hardware.monitor_interval_secs",
    ),
    noted(
        &["requires require required requirements needs"],
        "gpu cuda memory hardware resources machine",
        "hardware.requires",
        "a list of \"cuda\", \"min_memory_gb=N\", \"init_from\"",
    ),
    rule(
        &["loss", "ema smoothing smooth"],
        "train beta alpha decay factor weights coefficient",
        "train.ema_decay",
    ),
    rule(&["smoothing", "factor alpha beta weights decay"], "ema", "train.ema_decay"),
    // The experiment.
    rule(
        &["experiment exp project study group job", "name id title group"],
        "run kind experiment group base",
        "experiment.name",
    ),
    noted(
        &["group project"],
        "run experiment",
        "experiment.name",
        "the runs of one experiment are a group; `tags` marks further ones",
    ),
    rule(&["run", "name id title label"], "kind suffix", "experiment.run"),
    rule(
        &["hypothesis expectation expectations expected prediction"],
        "data experiment note result outcome",
        "experiment.hypothesis",
    ),
    rule(
        &["description desc notes note comment comments about summary"],
        "run experiment job project data",
        "experiment.description",
    ),
    rule(&["tags tag labels keywords"], "run experiment", "experiment.tags"),
    noted(
        &[
            "repeats repeat replicates replications repetitions trials seeds",
            "repeats repeat replicates replications repetitions trials runs seeds",
        ],
        "max per runs each",
        "experiment.repeats",
        REPEATS,
    ),
    // Failures.
    rule(
        &["retries", "delay backoff wait sleep interval time"],
        "initial on base",
        "on_failure.backoff_secs",
    ),
    rule(&["backoff"], "time initial base factor", "on_failure.backoff_secs"),
    rule(&["retries", "oom memory"], "on out of max", "on_failure.retry_out_of_memory"),
    rule(&["retries", "timeout"], "on max", "on_failure.retry_timeout"),
    rule(&["retries", "killed kill preemption preempted"], "on max", "on_failure.retry_killed"),
    noted(&["retries"], "max limit on failure error auto run times job", "on_failure.retry_error", RETRIES),
    noted(
        &["timeout"],
        "time heartbeat stall hang watchdog job run process",
        "on_failure.timeout",
        "how long a run may say nothing; `train.max_time` ends the training",
    ),
    noted(
        &["auto oom halve", "batch oom"],
        "find size scale halve reduce on",
        "on_failure.halve_batch",
        "true halves `train.batch_size` when memory runs out, with twice the accumulation",
    ),
    // Beginning and end.
    rule(
        &[
            "pretrained init initial start warmstart finetune from base",
            "from weights path model checkpoint pretrained",
        ],
        "load hf model or restore with base huggingface initial start checkpoint weights name id",
        "train.init_from",
    ),
    rule(
        &["load restore", "weights pretrained model"],
        "from model path init initial only checkpoint",
        "train.init_from",
    ),
    rule(&["warm"], "init from path model checkpoint", "train.init_from"),
    rule(&["pretrained warmstart"], "model weights from", "train.init_from"),
    rule(
        &["loss eval target stop ppl", "threshold target goal"],
        "loss value eval train at metric stop stopping perplexity",
        "target.threshold",
    ),
    rule(&["target goal stop", "loss"], "eval train value at below stop final threshold", "target.threshold"),
    rule(&["threshold"], "target stop", "target.threshold"),
    noted(&["metric monitor objective"], "target name key eval kind primary main", "target.metric", MONITOR),
];

//! What other programs call things. Only errors and `runner explain` read this table: other names are never accepted,
//! they are answered with the key that is meant. Edit distance alone would answer `lr` with `min_lr`.

/// A name from elsewhere.
#[derive(Debug)]
pub struct ForeignName {
    pub name: &'static str,
    /// The dotted key meant; empty when there is none.
    pub key: &'static str,
    /// Who says so.
    pub used_by: &'static str,
    /// Where the meaning differs, or why there is no such key. Empty when it is the same thing.
    pub note: &'static str,
}

const fn same(name: &'static str, key: &'static str, used_by: &'static str) -> ForeignName {
    ForeignName { name, key, used_by, note: "" }
}

const fn differs(
    name: &'static str,
    key: &'static str,
    used_by: &'static str,
    note: &'static str,
) -> ForeignName {
    ForeignName { name, key, used_by, note }
}

const fn none(name: &'static str, used_by: &'static str, note: &'static str) -> ForeignName {
    ForeignName { name, key: "", used_by, note }
}

const NANOGPT: &str = "nanoGPT";
const HF: &str = "Hugging Face";
const TORCH: &str = "PyTorch";
const LIGHTNING: &str = "Lightning";
const KERAS: &str = "Keras";
const MEGATRON: &str = "Megatron";
const DEEPSPEED: &str = "DeepSpeed";
pub(super) const COMMON: &str = "common usage";

const RATIO: &str = "it is a share of all steps there and a number of steps here";
const BATCH_NOTE: &str = "it counts sequences of one forward pass, not of a whole step";
const GLOBAL_BATCH: &str =
    "it counts sequences of a whole step there: batch_size x gradient_accumulation_steps here";
const EPOCHS: &str =
    "training is counted in steps here: epochs x training tokens / (batch_size x sequence_length)";
const NO_MIXED: &str = "only `hardware.dtype = \"f32\"` exists for now";
const KEEP: &str = "probability of dropping, not of keeping";

/// All foreign names, lower case.
pub static FOREIGN: &[ForeignName] = &[
    // The model.
    same("hidden_size", "model.n_embd", HF),
    same("d_model", "model.n_embd", TORCH),
    same("model_dim", "model.n_embd", COMMON),
    same("embed_dim", "model.n_embd", TORCH),
    same("embedding_dim", "model.n_embd", KERAS),
    same("emb_dim", "model.n_embd", COMMON),
    same("dim", "model.n_embd", COMMON),
    same("width", "model.n_embd", COMMON),
    same("num_hidden_layers", "model.n_layer", HF),
    same("num_layers", "model.n_layer", MEGATRON),
    same("n_layers", "model.n_layer", COMMON),
    same("layers", "model.n_layer", COMMON),
    same("depth", "model.n_layer", COMMON),
    same("num_attention_heads", "model.n_head", HF),
    same("num_heads", "model.n_head", KERAS),
    same("n_heads", "model.n_head", COMMON),
    same("nhead", "model.n_head", TORCH),
    same("heads", "model.n_head", COMMON),
    same("n_positions", "model.block_size", HF),
    same("n_ctx", "model.block_size", HF),
    same("max_position_embeddings", "model.block_size", HF),
    same("context_length", "model.block_size", COMMON),
    same("context_size", "model.block_size", COMMON),
    same("ctx_len", "model.block_size", COMMON),
    same("max_context", "model.block_size", COMMON),
    same("n_vocab", "model.vocab_size", "OpenAI"),
    same("padded_vocab_size", "model.vocab_size", MEGATRON),
    differs("attention_dropout", "model.dropout", MEGATRON, "one rate serves all places here"),
    differs("hidden_dropout", "model.dropout", MEGATRON, "one rate serves all places here"),
    differs("attn_pdrop", "model.dropout", HF, "one rate serves all places here"),
    differs("resid_pdrop", "model.dropout", HF, "one rate serves all places here"),
    differs("embd_pdrop", "model.dropout", HF, "one rate serves all places here"),
    same("dropout_rate", "model.dropout", KERAS),
    differs("keep_prob", "model.dropout", "TensorFlow", KEEP),
    same("use_bias", "model.bias", KERAS),
    same("model_type", "model.preset", NANOGPT),
    same("model_name", "model.preset", COMMON),
    differs("model_name_or_path", "model.preset", HF, "weights are named by `train.init_from`"),
    none("n_inner", HF, "the MLP is always 4 x n_embd wide, as in GPT-2"),
    none("ffn_hidden_size", MEGATRON, "the MLP is always 4 x n_embd wide, as in GPT-2"),
    none("dim_feedforward", TORCH, "the MLP is always 4 x n_embd wide, as in GPT-2"),
    none("layer_norm_epsilon", HF, "it is 1e-5, as in GPT-2"),
    none("activation_function", HF, "it is GELU with tanh, as in GPT-2"),
    none("tie_word_embeddings", HF, "embedding and head are always tied, as in GPT-2"),
    // The data.
    same("dataset", "data.corpus", NANOGPT),
    same("dataset_name", "data.corpus", HF),
    same("data_path", "data.path", MEGATRON),
    same("train_file", "data.path", HF),
    same("data_dir", "data.path", COMMON),
    same("file", "data.path", COMMON),
    same("tokenizer_name", "data.tokenizer", HF),
    same("tokenizer_type", "data.tokenizer", MEGATRON),
    same("encoding", "data.tokenizer", "tiktoken"),
    same("validation_split", "data.val_fraction", KERAS),
    differs(
        "validation_split_percentage",
        "data.val_fraction",
        HF,
        "a share from 0 to 1 here, not a percentage",
    ),
    same("val_split", "data.val_fraction", COMMON),
    same("val_size", "data.val_fraction", COMMON),
    same("test_size", "data.val_fraction", "scikit-learn"),
    differs("split", "data.val_fraction", MEGATRON, "only the share for validation is given"),
    differs("train_split", "data.val_fraction", COMMON, "give the share for validation: 1 - train_split"),
    differs("shuffle", "data.order", TORCH, "true is \"shuffled_epochs\", false is \"sequential\""),
    none("num_workers", TORCH, "the text is in memory and needs no loading workers"),
    none("dataloader_num_workers", HF, "the text is in memory and needs no loading workers"),
    // Training.
    same("max_iters", "train.max_steps", NANOGPT),
    same("num_iterations", "train.max_steps", "llm.c"),
    same("train_iters", "train.max_steps", MEGATRON),
    same("max_train_steps", "train.max_steps", HF),
    same("total_steps", "train.max_steps", TORCH),
    same("num_training_steps", "train.max_steps", HF),
    same("num_steps", "train.max_steps", COMMON),
    same("n_steps", "train.max_steps", COMMON),
    same("steps", "train.max_steps", COMMON),
    same("iterations", "train.max_steps", COMMON),
    differs("num_train_epochs", "train.max_steps", HF, EPOCHS),
    differs("max_epochs", "train.max_steps", LIGHTNING, EPOCHS),
    differs("num_epochs", "train.max_steps", COMMON, EPOCHS),
    differs("epochs", "train.max_steps", KERAS, EPOCHS),
    differs("micro_batch_size", "train.batch_size", MEGATRON, BATCH_NOTE),
    differs("train_micro_batch_size_per_gpu", "train.batch_size", DEEPSPEED, BATCH_NOTE),
    differs("per_device_train_batch_size", "train.batch_size", HF, BATCH_NOTE),
    differs("device_batch_size", "train.batch_size", "nanochat", BATCH_NOTE),
    same("train_batch_size", "train.batch_size", HF),
    same("bs", "train.batch_size", "fastai"),
    differs("global_batch_size", "train.gradient_accumulation_steps", MEGATRON, GLOBAL_BATCH),
    differs("total_batch_size", "train.gradient_accumulation_steps", "nanochat", GLOBAL_BATCH),
    same("grad_accum_steps", "train.gradient_accumulation_steps", COMMON),
    same("grad_accum", "train.gradient_accumulation_steps", COMMON),
    same("accumulation_steps", "train.gradient_accumulation_steps", COMMON),
    same("accumulate_grad_batches", "train.gradient_accumulation_steps", LIGHTNING),
    same("seq_len", "train.sequence_length", COMMON),
    same("seq_length", "train.sequence_length", MEGATRON),
    same("max_seq_len", "train.sequence_length", COMMON),
    same("max_seq_length", "train.sequence_length", HF),
    same("max_length", "train.sequence_length", HF),
    same("seqlen", "train.sequence_length", COMMON),
    same("eval_steps", "train.eval_interval", HF),
    same("val_check_interval", "train.eval_interval", LIGHTNING),
    same("eval_every", "train.eval_interval", COMMON),
    same("eval_freq", "train.eval_interval", COMMON),
    same("eval_iters", "train.eval_batches", NANOGPT),
    same("limit_val_batches", "train.eval_batches", LIGHTNING),
    same("validation_steps", "train.eval_batches", KERAS),
    same("time_limit", "train.max_time", COMMON),
    same("max_duration", "train.max_time", "Composer"),
    same("init_checkpoint", "train.init_from", COMMON),
    same("resume_from", "train.init_from", COMMON),
    same("resume_from_checkpoint", "train.init_from", HF),
    same("pretrained", "train.init_from", COMMON),
    none("log_interval", NANOGPT, "every step is recorded"),
    none("logging_steps", HF, "every step is recorded"),
    none("log_every_n_steps", LIGHTNING, "every step is recorded"),
    none("wandb_log", NANOGPT, "metrics are written to `metrics.csv` and `log.jsonl` in the run's folder"),
    none("wandb_project", NANOGPT, "the name of the experiment groups its runs"),
    none("report_to", HF, "metrics are written to `metrics.csv` and `log.jsonl` in the run's folder"),
    none("compile", NANOGPT, "there is nothing to compile at run time"),
    none("out_dir", NANOGPT, "give `--runs-dir` on the command line"),
    none("output_dir", HF, "give `--runs-dir` on the command line"),
    none("default_root_dir", LIGHTNING, "give `--runs-dir` on the command line"),
    // The optimizer.
    same("lr", "optimizer.learning_rate", TORCH),
    same("max_lr", "optimizer.learning_rate", TORCH),
    same("peak_lr", "optimizer.learning_rate", COMMON),
    same("base_lr", "optimizer.learning_rate", COMMON),
    same("init_lr", "optimizer.learning_rate", COMMON),
    same("adam_beta1", "optimizer.beta1", HF),
    same("adam_beta2", "optimizer.beta2", HF),
    same("beta_1", "optimizer.beta1", KERAS),
    same("beta_2", "optimizer.beta2", KERAS),
    same("b1", "optimizer.beta1", "Optax"),
    same("b2", "optimizer.beta2", "Optax"),
    differs("betas", "optimizer.beta1", TORCH, "a pair there, two keys here: `beta1` and `beta2`"),
    same("adam_eps", "optimizer.eps", MEGATRON),
    same("adam_epsilon", "optimizer.eps", HF),
    same("epsilon", "optimizer.eps", KERAS),
    same("sgd_momentum", "optimizer.momentum", MEGATRON),
    same("wd", "optimizer.weight_decay", "fastai"),
    same("l2", "optimizer.weight_decay", COMMON),
    same("max_grad_norm", "optimizer.grad_clip", HF),
    same("clip_grad", "optimizer.grad_clip", MEGATRON),
    same("clip_grad_norm", "optimizer.grad_clip", TORCH),
    same("gradient_clipping", "optimizer.grad_clip", DEEPSPEED),
    same("gradient_clip_val", "optimizer.grad_clip", LIGHTNING),
    same("global_clipnorm", "optimizer.grad_clip", KERAS),
    differs("clipnorm", "optimizer.grad_clip", KERAS, "the norm of all gradients together is clipped here"),
    same("optim", "optimizer.kind", HF),
    same("optimizer_type", "optimizer.kind", COMMON),
    same("optimizer_name", "optimizer.kind", COMMON),
    none("nesterov", TORCH, "SGD is with plain momentum"),
    none("amsgrad", TORCH, "AdamW is without AMSGrad"),
    // The schedule.
    same("lr_scheduler_type", "schedule.kind", HF),
    same("lr_decay_style", "schedule.kind", MEGATRON),
    same("lr_scheduler", "schedule.kind", COMMON),
    same("lr_schedule", "schedule.kind", COMMON),
    same("scheduler", "schedule.kind", COMMON),
    differs("decay_lr", "schedule.kind", NANOGPT, "true is \"cosine\", false is \"constant\""),
    same("warmup_iters", "schedule.warmup_steps", NANOGPT),
    same("lr_warmup_iters", "schedule.warmup_steps", MEGATRON),
    same("num_warmup_steps", "schedule.warmup_steps", HF),
    same("warmup_num_steps", "schedule.warmup_steps", DEEPSPEED),
    same("warmup", "schedule.warmup_steps", COMMON),
    differs("warmup_ratio", "schedule.warmup_steps", HF, RATIO),
    differs("warmup_fraction", "schedule.warmup_steps", MEGATRON, RATIO),
    differs("lr_warmup_fraction", "schedule.warmup_steps", MEGATRON, RATIO),
    same("lr_decay_iters", "schedule.decay_steps", NANOGPT),
    same("num_decay_steps", "schedule.decay_steps", HF),
    same("t_max", "schedule.decay_steps", TORCH),
    same("lr_wsd_decay_iters", "schedule.decay_steps", MEGATRON),
    same("eta_min", "schedule.min_lr", TORCH),
    same("end_lr", "schedule.min_lr", COMMON),
    same("final_lr", "schedule.min_lr", COMMON),
    same("warmup_max_lr", "optimizer.learning_rate", DEEPSPEED),
    differs("min_lr_ratio", "schedule.min_lr", COMMON, "a share of the peak there, a learning rate here"),
    differs("min_lr_rate", "schedule.min_lr", HF, "a share of the peak there, a learning rate here"),
    // Target, checkpoints, samples.
    same("target_loss", "target.threshold", COMMON),
    same("stop_loss", "target.threshold", COMMON),
    same("loss_threshold", "target.threshold", COMMON),
    same("stopping_threshold", "target.threshold", LIGHTNING),
    same("monitor", "target.metric", LIGHTNING),
    same("metric_for_best_model", "target.metric", HF),
    same("save_steps", "checkpoint.interval", HF),
    same("save_interval", "checkpoint.interval", MEGATRON),
    same("save_every", "checkpoint.interval", COMMON),
    same("checkpoint_interval", "checkpoint.interval", COMMON),
    same("every_n_train_steps", "checkpoint.interval", LIGHTNING),
    same("always_save_checkpoint", "checkpoint.interval", NANOGPT),
    differs("save_total_limit", "checkpoint.keep_last", HF, "the best one is kept besides"),
    differs("save_top_k", "checkpoint.keep_last", LIGHTNING, "the latest are kept, and the best one besides"),
    same("max_to_keep", "checkpoint.keep_last", "Orbax"),
    same("sample_interval", "sample.interval", COMMON),
    same("sample_every", "sample.interval", COMMON),
    same("start", "sample.prompts", NANOGPT),
    same("prompt", "sample.prompts", COMMON),
    same("max_tokens", "sample.max_new_tokens", "OpenAI"),
    same("num_tokens", "sample.max_new_tokens", COMMON),
    same("temp", "sample.temperature", COMMON),
    same("nucleus", "sample.top_p", COMMON),
    // Hardware and the experiment.
    same("accelerator", "hardware.device", LIGHTNING),
    same("use_cuda", "hardware.device", COMMON),
    same("gpu", "hardware.device", COMMON),
    same("gpus", "hardware.device", LIGHTNING),
    same("no_cuda", "hardware.device", HF),
    same("num_threads", "hardware.threads", TORCH),
    same("n_threads", "hardware.threads", COMMON),
    differs("precision", "hardware.dtype", LIGHTNING, NO_MIXED),
    differs("torch_dtype", "hardware.dtype", HF, NO_MIXED),
    differs("fp16", "hardware.dtype", HF, NO_MIXED),
    differs("bf16", "hardware.dtype", HF, NO_MIXED),
    differs("amp", "hardware.dtype", COMMON, NO_MIXED),
    same("run_name", "experiment.name", HF),
    same("experiment_name", "experiment.name", "MLflow"),
    same("wandb_run_name", "experiment.name", NANOGPT),
    same("notes", "experiment.description", "W&B"),
    same("random_seed", "experiment.seed", COMMON),
    same("random_state", "experiment.seed", "scikit-learn"),
    same("manual_seed", "experiment.seed", TORCH),
    same("num_seeds", "experiment.repeats", COMMON),
    same("n_seeds", "experiment.repeats", COMMON),
    same("seeds", "experiment.repeats", COMMON),
];

/// Other names of the sections.
pub static FOREIGN_SECTIONS: &[(&str, &str)] = &[
    ("run", "experiment"),
    ("meta", "experiment"),
    ("project", "experiment"),
    ("gpt", "model"),
    ("network", "model"),
    ("architecture", "model"),
    ("model_args", "model"),
    ("dataset", "data"),
    ("corpus", "data"),
    ("training", "train"),
    ("trainer", "train"),
    ("training_args", "train"),
    ("train_args", "train"),
    ("optim", "optimizer"),
    ("optimiser", "optimizer"),
    ("adamw", "optimizer"),
    ("opt", "optimizer"),
    ("scheduler", "schedule"),
    ("lr_scheduler", "schedule"),
    ("lr_schedule", "schedule"),
    ("lr", "schedule"),
    ("goal", "target"),
    ("early_stopping", "target"),
    ("checkpoints", "checkpoint"),
    ("checkpointing", "checkpoint"),
    ("save", "checkpoint"),
    ("sampling", "sample"),
    ("samples", "sample"),
    ("generate", "sample"),
    ("generation", "sample"),
    ("device", "hardware"),
    ("system", "hardware"),
    ("compute", "hardware"),
    ("resources", "hardware"),
    ("grid", "sweep.grid"),
    ("zip", "sweep.zip"),
    ("hparams", "sweep.grid"),
    ("parameters", "sweep.grid"),
];

/// Other names of values: key, word from elsewhere, word here.
pub static FOREIGN_VALUES: &[(&str, &str, &str)] = &[
    ("optimizer.kind", "adam", "adamw"),
    ("optimizer.kind", "adamw_torch", "adamw"),
    ("optimizer.kind", "adamw_torch_fused", "adamw"),
    ("optimizer.kind", "momentum", "sgd"),
    ("schedule.kind", "wsd", "warmup-stable-decay"),
    ("schedule.kind", "warmup_stable_decay", "warmup-stable-decay"),
    ("schedule.kind", "trapezoidal", "warmup-stable-decay"),
    ("schedule.kind", "constant_with_warmup", "constant"),
    ("schedule.kind", "none", "constant"),
    ("schedule.kind", "cosine_with_min_lr", "cosine"),
    ("schedule.kind", "cosine_annealing", "cosine"),
    ("model.preset", "gpt2-small", "gpt2"),
    ("model.preset", "gpt2-124m", "gpt2"),
    ("model.preset", "gpt2-124M", "gpt2"),
    ("model.preset", "openai-community/gpt2", "gpt2"),
    ("data.tokenizer", "bpe", "gpt2"),
    ("data.tokenizer", "tiktoken", "gpt2"),
    ("data.tokenizer", "gpt-2", "gpt2"),
    ("data.tokenizer", "character", "char"),
    ("data.tokenizer", "chars", "char"),
    ("data.tokenizer", "bytes", "byte"),
    ("data.corpus", "shakespeare", "tinyshakespeare"),
    ("data.corpus", "shakespeare_char", "tinyshakespeare"),
    ("data.corpus", "tiny_shakespeare", "tinyshakespeare"),
    ("data.order", "shuffle", "shuffled_epochs"),
    ("data.order", "shuffled", "shuffled_epochs"),
    ("target.metric", "loss", "train_loss"),
    ("target.metric", "eval_loss", "val_loss"),
    ("target.metric", "validation_loss", "val_loss"),
    ("hardware.dtype", "float32", "f32"),
    ("hardware.dtype", "fp32", "f32"),
    ("hardware.device", "gpu", "cuda"),
];

/// What other programs call `key`.
pub fn foreign_names_of(key: &str) -> impl Iterator<Item = &'static ForeignName> {
    FOREIGN.iter().filter(move |foreign| foreign.key == key)
}

/// The entry of a name from elsewhere.
pub fn foreign_name(name: &str) -> Option<&'static ForeignName> {
    FOREIGN.iter().find(|foreign| foreign.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::{self, Kind};

    #[test]
    fn every_foreign_name_leads_to_a_key_or_says_why_not() {
        for (index, foreign) in FOREIGN.iter().enumerate() {
            let name = foreign.name;
            assert!(
                schema::key(foreign.key).is_some() || foreign.key.is_empty(),
                "{name} -> {}",
                foreign.key
            );
            assert!(!(foreign.key.is_empty() && foreign.note.is_empty()), "{name} leads nowhere");
            assert!(FOREIGN[..index].iter().all(|other| other.name != name), "{name} stands there twice");
            assert!(
                schema::KEYS.iter().all(|key| key.leaf != name || key.section == "reference"),
                "{name} is ours"
            );
        }
    }

    #[test]
    fn every_foreign_section_and_value_leads_to_one_of_ours() {
        for (name, section) in FOREIGN_SECTIONS {
            assert!(
                schema::SECTIONS.contains(section) || section.starts_with("sweep."),
                "{name} -> {section}"
            );
            assert!(!schema::SECTIONS.contains(name), "{name} is a section");
        }
        for (key, word, ours) in FOREIGN_VALUES {
            match schema::key(key).expect(key).kind {
                Kind::Choice(words) => {
                    assert!(words.contains(ours) && !words.contains(word), "{key} = {word}")
                }
                Kind::Device => assert_eq!(*ours, "cuda"),
                kind => panic!("{key} is {kind:?}"),
            }
        }
    }
}

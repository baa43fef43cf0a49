//! Names that mean something else in each section.

use super::ForeignName;
use super::keys::*;
use super::notes::*;

/// A name in these sections, ours or other programs', parted by spaces.
const fn within(within: &'static str, name: &'static str, key: &'static str) -> ForeignName {
    ForeignName { within, name, key, used_by: COMMON, note: "" }
}

const fn noted(
    within: &'static str,
    name: &'static str,
    key: &'static str,
    note: &'static str,
) -> ForeignName {
    ForeignName { within, name, key, used_by: COMMON, note }
}

const EVAL: &str = "eval evaluation evaluate val valid validation";
const MODEL_LENGTH: &str = "the longest context; the length that is trained on is `train.sequence_length`";
const PROMPT_TOO: &str = "without the prompt, which Hugging Face counts too";
const ONE_EACH: &str = "each prompt is continued once: list it several times for several samples";
const OFF: &str = "0 switches them off";
const MEMORY: &str = "write requires = [\"min_memory_gb=16\"]";

/// Names with spaces between them that mean one thing in these sections.
pub(super) static CONTEXTS: &[ForeignName] = &[
    // What kind of thing it is.
    within(
        "optimizer schedule",
        "type name class cls algorithm algo strategy method _target_ optimizer scheduler policy style mode",
        "kind",
    ),
    within(
        "model",
        "type name kind size variant flavor model model_name _target_ base architecture",
        "model.preset",
    ),
    within("tokenizer", "type name kind path model identifier class _target_ file dir", "data.tokenizer"),
    within("data", "type name kind _target_ dataset_type id identifier name_or_path", "data.corpus"),
    within("target", "type name kind monitor on what", "target.metric"),
    within("hardware", "type name kind backend platform target", "hardware.device"),
    noted("sample", "type name kind method strategy mode early_stopping", "", SAMPLING),
    noted(
        "model",
        "summary_type summary_use_proj summary_activation summary_proj_to_labels",
        "",
        "the model predicts the next token and nothing else: it has no head that sums a text up",
    ),
    noted(
        "checkpoint",
        "type name kind format mode method strategy",
        "",
        "a checkpoint holds all that a run needs to go on; `runner export` writes other formats",
    ),
    noted("train", "type kind mode _target_", "", ONE_WAY),
    noted("train", "strategy", "", ONE_DEVICE),
    within("train", "name", "experiment.name"),
    within("train", "input inputs input_file input_files text texts json_input", "data.path"),
    noted("train", "loss loss_fn loss_function criterion", "", LOSS),
    noted("train", "task stage recipe recipe_name", "", ONE_WAY),
    noted("data", "skip offset start_offset max_size take", "", WHOLE_TEXT),
    within("target", "metrics", "target.metric"),
    noted("target", "start_from_epoch cooldown restore_best_weights", "", PATIENCE),
    within("sweep", "study_name experiment_name sweep_name", "experiment.name"),
    noted("sweep", "max_failures max_restarts", "on_failure.retry_error", RETRIES),
    noted("sweep", "multivariate group seed n_startup_trials n_ei_candidates", "", NO_SEARCH),
    // The optimizer and its schedule.
    within("optimizer", "step_size rate", "optimizer.learning_rate"),
    within("optimizer", "decay", "optimizer.weight_decay"),
    within("optimizer", "mu", "optimizer.momentum"),
    noted(
        "optimizer",
        "rho",
        "",
        "the optimizers are AdamW, SGD with momentum and Muon: no key of theirs is called so",
    ),
    within("optimizer", "threshold clipping_threshold", "optimizer.grad_clip"),
    noted("gradient_clipping", "enabled enable", "optimizer.grad_clip", "a number here; 0 switches it off"),
    noted("schedule", "step_size factor div_factor gamma power rate_decay", "", SHAPES),
    noted(
        "schedule",
        "steps step total_steps total_iters num_steps max_steps duration length total max_iters num_training_steps t_initial",
        "schedule.decay_steps",
        DECAY_STEPS,
    ),
    noted(
        "schedule",
        "final_div_factor div_final final_div",
        "schedule.min_lr",
        "a divisor of the first rate there, a learning rate here",
    ),
    noted("schedule", "cooldown warmdown decay anneal", "schedule.decay_steps", DECAY_STEPS),
    noted("schedule", "last_epoch last_step initial_step", "", RESUME),
    within("schedule", "min end floor final end_value min_value eta_min bottom", "schedule.min_lr"),
    within(
        "schedule",
        "max peak base peak_value max_value init initial rate value",
        "optimizer.learning_rate",
    ),
    noted("schedule", "alpha end_factor min_ratio final_ratio end_ratio", "schedule.min_lr", LR_SHARE),
    noted("schedule", "start_factor init_value start", "", WARMUP_SHAPE),
    noted("schedule", "ratio fraction", "schedule.decay_steps", RATIO),
    noted("warmup", "steps iters duration length num_steps", "schedule.warmup_steps", ""),
    noted("warmup", "ratio fraction", "schedule.warmup_steps", RATIO),
    noted("warmup", "kind type", "", WARMUP_SHAPE),
    noted("optimizer train", "norm_type", "", L2),
    // Sizes.
    noted(
        "model",
        "seq max_length max_len max_seq max_seq_len max_seq_length seq_len maximum_length seq_length length max_sequence_length seqlen window_size window",
        "model.block_size",
        MODEL_LENGTH,
    ),
    within("model", "hidden embed embd embedding emb embeddings d features channels units", "model.n_embd"),
    within(
        "model",
        "pretrained from_pretrained checkpoint weights path load init load_from pretrained_path checkpoint_path ckpt",
        "train.init_from",
    ),
    within(
        "model attention",
        "drop p p_drop drop_rate drop_prob drop_p attn_drop attention_drop resid_drop emb_drop embd_drop embed_drop mlp_drop ffn_drop proj_drop",
        "model.dropout",
    ),
    within("attention", "num n heads count", "model.n_head"),
    // The text.
    within(
        "data",
        "train train_path training text input source location dir folder directory root glob txt prefix local files",
        "data.path",
    ),
    noted(
        "data",
        "val valid validation test val_path valid_path test_path dev eval",
        "data.val_fraction",
        "a share of the text, cut from its end: there is no file for validation alone",
    ),
    within("data", "column field key text_key text_name", "data.text_column"),
    noted("data", "format ext extension file_format", "", FORM),
    within(
        "data",
        "max_length max_len length max_seq_len window block_len block_length window_size chunk_size context",
        "train.sequence_length",
    ),
    within("data", "probabilities probs ratios proportions mix mixture sampling", "data.weights"),
    within("data", "sep delimiter eos join", "data.separator"),
    within("data", "sampler sampling_order ordering", "data.order"),
    within(
        "train model data schedule optimizer hardware checkpoint target on_failure",
        "seed random_seed rng_seed",
        "experiment.seed",
    ),
    // Validation, in sections of its own.
    within(
        EVAL,
        "interval every freq frequency steps period every_n_steps eval_every n_steps",
        "train.eval_interval",
    ),
    within(
        EVAL,
        "batches iters max_iters num_batches n_batches max_batches limit limit_batches num_steps max_steps iterations",
        "train.eval_batches",
    ),
    within(EVAL, "fraction split ratio size share percent val_split", "data.val_fraction"),
    noted(EVAL, "enabled enable do_eval strategy", "train.eval_interval", OFF),
    noted(
        EVAL,
        "path file data dataset",
        "data.val_fraction",
        "a share of the text, cut from its end: there is no file for validation alone",
    ),
    noted(
        EVAL,
        "metric metrics",
        "",
        "what is measured is the loss; `runner eval` gives perplexity, bits per byte and accuracy besides",
    ),
    // Training.
    noted(
        "train",
        "max_tokens tokens total_tokens n_tokens num_tokens token_budget",
        "train.max_steps",
        TOKENS,
    ),
    within("train", "interval every frequency freq", "train.eval_interval"),
    within("train", "length max_length max_len window", "train.sequence_length"),
    within("train", "optimizer", "optimizer.kind"),
    within("train", "model", "model.preset"),
    within("train", "corpus dataset", "data.corpus"),
    within("train", "target", "target.threshold"),
    within("train", "time duration", "train.max_time"),
    within("train", "checkpoint_path weights", "train.init_from"),
    noted("train", "precision", "hardware.dtype", MIXED),
    noted(
        "activation_checkpoint activation_checkpointing gradient_checkpointing recompute remat",
        "mode enabled enable type kind method policy granularity selective full ac_freq option",
        "train.activation_checkpointing",
        "true or false here; true computes whole layers again",
    ),
    noted(
        "train",
        "finetune fine_tune finetuning",
        "train.init_from",
        "the model to go on from: a run's name, or a folder",
    ),
    noted("hardware", "max_wait keep_alive volume_size priority", "", CLUSTER),
    noted("hardware", "memory_limit max_memory memory_fraction", "", MEMORY_FREED),
    // A sweep as other programs write it.
    noted(
        "sweep",
        "method strategy search search_alg searcher algorithm sampler pruner scheduler early_terminate run_cap max_trials n_trials num_samples budget \
         iterations count num_trials stop eta reduction_factor grace_period max_t min_iter max_iter brackets s strict early_stopping \
         early_stopping_type max_jobs warm_start prior initial_points bayes random hyperband",
        "",
        NO_SEARCH,
    ),
    noted(
        "sweep",
        "metric goal objective direction mode",
        "",
        "the comparison of a sweep goes by the validation loss, or without validation by the train loss; `metric` and `threshold` in [target] end a run early",
    ),
    noted(
        "sweep",
        "parameters params space values choices hyperparameters search_space grid_search config",
        "",
        "keys to vary stand in [sweep.grid], each with a list of its values: optimizer.learning_rate = [1e-3, 3e-3]",
    ),
    noted(
        "sweep",
        "program command entity project",
        "",
        "`runner FILE` trains all that the file's [sweep.grid] says",
    ),
    noted(
        "sweep",
        "n_jobs jobs parallel workers max_parallel max_parallel_jobs max_concurrent max_concurrent_trials concurrency num_workers",
        "",
        JOBS,
    ),
    noted(
        "sweep",
        "min max low high lower upper distribution mu sigma q log log_scale uniform log_uniform log_uniform_values loguniform normal \
         int_uniform categorical constant choice probabilities value",
        "",
        LISTED,
    ),
    noted(
        "sweep",
        "timeout time_budget time_budget_s max_time time_limit",
        "train.max_time",
        "of each run: a sweep as a whole has none",
    ),
    noted("sweep", "dir subdir folder output_dir storage_path local_dir", "", FOLDERS),
    noted("sweep", "name", "experiment.name", ""),
    noted("sweep", "seeds repeats repetitions num_seeds", "experiment.repeats", REPEATS),
    // Checkpoints.
    within(
        "checkpoint",
        "every frequency freq period steps step every_n_steps n_steps save_every save",
        "checkpoint.interval",
    ),
    within(
        "checkpoint",
        "keep max limit total num number count n retain max_to_keep keep_n top_k history last keep_latest latest",
        "checkpoint.keep_last",
    ),
    noted("checkpoint", "enabled enable enable_checkpoint enable_checkpointing", "checkpoint.interval", OFF),
    noted("checkpoint", "best metric monitor", "", BEST),
    noted("checkpoint", "path file dir folder directory filename filepath dirpath location out", "", FOLDERS),
    noted("checkpoint", "load from restore initial_load_path", "", RESUME),
    // Samples.
    within(
        "sample",
        "every frequency freq period steps step every_n_steps n_steps sample_every",
        "sample.interval",
    ),
    noted("sample", "enabled enable", "sample.interval", OFF),
    noted("sample", "max_length max_len", "sample.max_new_tokens", PROMPT_TOO),
    within(
        "sample",
        "max_tokens num_tokens n_tokens tokens length size max_gen_len",
        "sample.max_new_tokens",
    ),
    noted(
        "sample",
        "num_samples n count num num_return n_samples number batch_size",
        "sample.prompts",
        ONE_EACH,
    ),
    within(
        "sample",
        "start_text start_string starting_text initial_text begin primer context_text start text input prefix input_text seed_text context prompt_text",
        "sample.prompts",
    ),
    noted("sample", "stream streaming", "", SAMPLES_FILE),
    noted(
        "sample",
        "eos_token_id eos_token eos pad_token_id bos_token_id end_token stop_token_id",
        "",
        "a text has at most `max_new_tokens` tokens; other ends are for `runner generate --stop`",
    ),
    within("sample", "n_predict num_predict n_gen gen_len", "sample.max_new_tokens"),
    noted("sample", "best_of n_best", "", ONE_EACH),
    within("sample", "k", "sample.top_k"),
    within("sample", "p", "sample.top_p"),
    noted(
        "sample",
        "path file dir folder directory out destination_path output_path out_path output_file",
        "",
        SAMPLES_FILE,
    ),
    within("sample", "random_seed rng_seed", "sample.seed"),
    noted("sample", "min_length min_tokens min_new_tokens", "", SAMPLING),
    within("model", "num_tokens n_tokens", "model.vocab_size"),
    noted("schedule", "restart_interval restart_period restarts", "", SHAPES),
    // The machine.
    within("hardware", "cpus cpu cores num_cpus n_cpus cpu_count workers num_workers", "hardware.threads"),
    noted(
        "hardware",
        "memory ram mem memory_gb min_memory gpu_memory gpu_memory_gb vram vram_gb ram_gb min_ram min_ram_gb min_vram mem_gb required_memory",
        "hardware.requires",
        MEMORY,
    ),
    noted(
        "precision amp fp16 bf16 mixed_precision",
        "enabled enable type kind mode",
        "hardware.dtype",
        MIXED,
    ),
    noted("hardware", "mp mixed_precision_policy precision_policy", "hardware.dtype", MIXED),
    noted(
        "on_failure hardware",
        "requeue requeues preemption preemptible spot",
        "on_failure.retry_killed",
        "a run that is told to stop saves, ends with code 75 and goes on with `runner resume`",
    ),
    // The experiment and its end.
    within("experiment", "rng rng_state randomness", "experiment.seed"),
    within("experiment", "title id project group experiment", "experiment.name"),
    within("experiment", "note text comment goal purpose why", "experiment.description"),
    within("experiment", "trials runs n count seeds num_runs", "experiment.repeats"),
    noted("target", "mode direction goal_type", "", SMALLER),
    within("target", "baseline value loss goal below max_loss level limit target max", "target.threshold"),
    noted(
        "on_failure",
        "restart restarts retry retries max_retries attempts times",
        "on_failure.retry_error",
        RETRIES,
    ),
    within("on_failure", "wait delay sleep backoff", "on_failure.backoff_secs"),
    within("reference", "loss value val_loss train_loss", "reference.final_loss"),
    within("reference", "url link paper cite citation", "reference.source"),
    within("reference", "losses points values data", "reference.curve"),
    within("reference", "time duration seconds elapsed_secs", "reference.secs"),
    within("reference", "device machine gpu", "reference.hardware"),
    within("reference", "title label", "reference.name"),
];

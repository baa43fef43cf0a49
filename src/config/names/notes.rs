//! What is said again and again.

pub(super) const RATIO: &str = "a share of all steps there, a number of steps here";
pub(super) const BATCH_NOTE: &str = "it counts sequences of one forward pass, not of a whole step";
pub(super) const GLOBAL_BATCH: &str =
    "it counts sequences of a whole step there: batch_size x gradient_accumulation_steps here";
pub(super) const TOKENS_PER_STEP: &str =
    "the tokens of a step are batch_size x sequence_length x gradient_accumulation_steps";
pub(super) const EPOCHS: &str =
    "training is counted in steps here: epochs x training tokens / (batch_size x sequence_length)";
pub(super) const EPOCHS_BETWEEN: &str =
    "in steps here: one epoch is training tokens / (batch_size x sequence_length) of them";
pub(super) const TOKENS: &str =
    "in steps here: tokens / (batch_size x sequence_length x gradient_accumulation_steps)";
pub(super) const SEQUENCES: &str = "in steps here: sequences / (batch_size x gradient_accumulation_steps)";
pub(super) const MIXED: &str =
    "`hardware.dtype` is \"f32\", or for mixed precision \"bf16\" on the processor and \"f16\" on a GPU";
pub(super) const RESUME: &str = "a run is resumed by `runner resume`, or by the same command again, with optimizer, data order and step; a new run begins from \
                                 another one's weights by `train.init_from`";
pub(super) const BEST: &str = "the best checkpoint is always kept beside the last ones: that with the lowest validation loss, or without validation the lowest \
                               smoothed train loss";
pub(super) const ONE_DEVICE: &str = "a run computes on one device, `hardware.device`; the option `--jobs` spreads the runs of a sweep over several";
pub(super) const KEEP: &str = "probability of dropping, not of keeping";
pub(super) const DECAY_STEPS: &str = "the step where linear and cosine end, warm-up included; for \"warmup-stable-decay\" how many of the last steps decay";
pub(super) const LR_SHARE: &str = "a share of the peak there, a learning rate here";
pub(super) const BETAS: &str = "a pair there, two keys here: `beta1` and `beta2`";
pub(super) const DECAY_ALL: &str = "false leaves biases and layer norms without decay, true decays all";
pub(super) const CLIP_VALUE: &str = "the norm of all gradients together is clipped here, not each number";
pub(super) const HEAD_DIM: &str = "the width of a head is n_embd / n_head";
pub(super) const REPEATS: &str =
    "so many seeds for each setting; the settings themselves are listed in [sweep.grid]";
pub(super) const RETRIES: &str = "each kind of failure has its own: retry_killed, retry_device, retry_timeout, retry_out_of_memory, retry_disk_full, \
                                  retry_panic, retry_error";
pub(super) const MONITOR: &str =
    "it ends the run here, at `target.threshold`; the best checkpoint does not depend on it";
pub(super) const LOGGED: &str =
    "every step is recorded, in `metrics.csv` and `log.jsonl` in the run's folder, and drawn in its report";
pub(super) const SERVICE: &str = "nothing is sent to a service: metrics are in `metrics.csv` and `log.jsonl` in the run's folder, pictures in its `report.md`";
pub(super) const ONLY_GPT2: &str = "models are GPT-2's: sizes of your own, or a `model.preset`";
pub(super) const CHECKPOINTS: &str = "a checkpoint holds all that a run needs to go on, at each `checkpoint.interval`, at the end and when it is stopped; \
                                      `runner export` writes the weights alone";
pub(super) const NO_HOOKS: &str = "there are no hooks: what a run does is in its file alone";
pub(super) const EACH_FOR_ITSELF: &str =
    "settings are keys of their sections, each for itself; `runner explain` lists them";
pub(super) const MUONS_SHARE: &str =
    "with kind = \"muon\" the blocks' matrices are Muon's, and embeddings, layer norms and biases AdamW's";
pub(super) const ORDERED: &str = "which window comes when is told by `data.order` and `experiment.seed`";
pub(super) const RUNNER_FILE: &str = "`runner FILE` trains what its file says, and no other program";
pub(super) const ONE_WAY: &str = "there is one way to train: the next token of the text";
pub(super) const COUNTED: &str = "steps are counted by the program; `train.max_steps` says when a run ends";
pub(super) const L2: &str = "it is the L2 norm of all gradients together that is clipped";
pub(super) const EVAL_COMMAND: &str = "`runner eval RUN` measures a trained model on a text";
pub(super) const EVAL_LENGTH: &str =
    "validation has the sequence length of training, `train.sequence_length`";
pub(super) const SAMPLES_FILE: &str = "samples are in the run's `samples.jsonl` and in its report";
pub(super) const DECODER: &str = "the model is a decoder, GPT-2";
pub(super) const EXPORT: &str = "`runner export RUN` writes a trained model for other programs";
pub(super) const NOTED: &str =
    "the version of the program, the machine and the whole configuration are noted with each run";
pub(super) const WHOLE_LAYERS: &str =
    "whole layers are computed again: `train.activation_checkpointing` is true or false";
pub(super) const NO_HUB_TEXT: &str = "no text is fetched from a hub: a file or folder of your own is named by `data.path` (.txt, .jsonl, .parquet)";
pub(super) const AT_THE_LATEST: &str =
    "a run ends at `train.max_steps`, or earlier at its target or `train.max_time`";
pub(super) const SIGNAL: &str =
    "a run that is told to stop (SIGTERM, Ctrl-C) writes a checkpoint first, and the same command resumes it";
pub(super) const SCRATCH: &str =
    "random weights are the default; `train.init_from` names a model to begin from";
pub(in crate::config) const OTHER_WAY: &str = "the other way round: true there is false here";
pub(in crate::config) const ZERO_IS_OFF: &str = "0 switches it off";
pub(super) const SCREEN: &str = "the terminal shows progress by itself, in plain lines where it is no terminal; the option `--quiet` shows none";
pub(super) const KEPT: &str = "generation keeps keys and values by itself";
pub(super) const JOBS: &str = "the option `--jobs N` says how many runs train at the same time";
pub(super) const TAGS: &str = "`runner tag RUN NAME` gives a checkpoint a name that every command takes; `experiment.tags` are words to find an experiment by";
pub(super) const THE_FILE: &str = "settings stand in the file itself, each under its section; extends = \"parent.toml\" at its head builds on another";
pub(super) const GENERATE: &str = "`runner generate RUN \"TEXT\"` lets a trained model write";
pub(super) const LISTED: &str = "the values of a key are listed, each to be trained: optimizer.learning_rate = [1e-3, 3e-3] in [sweep.grid]";
pub(super) const FOLDERS: &str =
    "where things are written is said on the command line: `--runs-dir` and `--reports-dir`";
pub(super) const MLP: &str = "the MLP is always 4 x n_embd wide, as in GPT-2";
pub(super) const LAYER_NORM: &str =
    "layer norms stand before each half of a block and at the end, with 1e-5 in the denominator, as in GPT-2";
pub(super) const GELU: &str = "the activation is GELU with tanh, as in GPT-2";
pub(super) const TIED: &str = "embedding and head are always tied, as in GPT-2";
pub(super) const POSITIONS: &str =
    "positions are learned embeddings, `model.block_size` of them, as in GPT-2";
pub(super) const PLAIN_HEADS: &str =
    "each head has queries, keys and values of its own, as in GPT-2: `n_head` counts all three";
pub(super) const ATTENTION: &str =
    "attention is causal over the whole sequence, as in GPT-2; how it is computed is chosen by the program";
pub(super) const IN_MEMORY: &str =
    "the text is tokenized once and read from memory or a mapped file: there are no loading workers";
pub(super) const NO_COMPILE: &str =
    "there is nothing to compile or to choose at run time: the fastest kernel for the machine is taken";
pub(super) const PATIENCE: &str = "a run ends at `target.threshold`, `train.max_steps` or `train.max_time`, not by patience; the best checkpoint is kept in any case";
pub(super) const WHOLE_MODEL: &str =
    "all weights are trained, in full precision: no adapters, no quantisation, nothing frozen";
pub(super) const WARMUP_SHAPE: &str =
    "warm-up is linear, from nothing to `optimizer.learning_rate` in `schedule.warmup_steps`";
pub(super) const SHAPES: &str = "the learning rate is constant or falls once, linear, cosine or at the end (\"warmup-stable-decay\"): see `schedule.kind`";
pub(super) const ONE_RATE: &str =
    "all parameters have one rate, but for those that Muon leaves to AdamW (`optimizer.adamw_learning_rate`)";
pub(super) const SAMPLING: &str = "samples are drawn by `temperature`, `top_k` and `top_p` in [sample] alone";
pub(super) const VALIDATES: &str = "the model is validated before the first step, each `train.eval_interval`, with every checkpoint and at the end, with `train.batch_size`";
pub(super) const EMA: &str = "weights are not averaged; `train.ema_decay` smooths the shown train loss alone";
pub(super) const SPECIAL: &str = "the tokenizers' tokens are fixed: `data.separator` says what stands between documents, `data.special_tokens` whether \
                                  `<|endoftext|>` is read as one";
pub(super) const INITIAL: &str =
    "initial weights are drawn as in GPT-2: normal with 0.02, smaller before residual additions";
pub(super) const CLUSTER: &str = "`runner prepare` makes the runs' folders and prints them, and a job of the cluster runs `runner exec FOLDER`";
pub(super) const HUB: &str =
    "nothing is uploaded: `runner export RUN --format hf --out FOLDER` writes a folder to upload";
pub(super) const LOSS: &str = "the loss is the cross-entropy of the next token, in nats";
pub(super) const DRY: &str = "`runner plan FILE` shows what would be run, and trains nothing";
pub(super) const PROFILE: &str =
    "the report shows where the time of a step goes, and `runner doctor` what the machine has";
pub(super) const SEEDED: &str = "the same seed, machine and version give the same numbers without a switch";
pub(super) const WHOLE_TEXT: &str = "the whole text is used: name a shorter file as `data.path`, or train for fewer steps (`train.max_steps`)";
pub(super) const NO_SEARCH: &str = "each setting of [sweep.grid] and [[sweep.zip]] is trained to its end: nothing is searched, drawn or stopped early; \
                                    the comparison says which is best and what to try next";
pub(super) const MEMORY_FREED: &str = "memory is given back as a run goes; less is needed with `train.activation_checkpointing`, or a smaller `train.batch_size` and more \
                                       `train.gradient_accumulation_steps`";
pub(super) const NOT_A_NUMBER: &str =
    "every step's loss is looked at: a run whose loss is NaN or infinite ends as diverged";
pub(super) const TEXT_ALONE: &str = "text alone is read, and the next token is what is learned: there are no labels or further columns (`data.text_column` names the one of the text)";
pub(super) const AS_IT_IS: &str = "the text is taken as it is, and tokenized as a whole: prepare it before";
pub(super) const FULL_WINDOWS: &str =
    "every sequence is a full window of the text: nothing is padded, and several short documents share one";
pub(super) const PLAIN_TEXT: &str = "models are trained on plain text: the next token of a corpus";
pub(super) const MEASURED: &str = "what is measured is the loss on the text; `runner eval` gives perplexity, bits per byte and accuracy besides";
pub(super) const STEPS_ALONE: &str = "a run is counted in steps alone: `train.max_steps`";
pub(super) const SCALED: &str =
    "in half precision the loss is scaled by itself, as `hardware.dtype = \"f16\"` needs it";
pub(super) const NOT_LOADED: &str =
    "nothing is loaded by code or from a hub: a folder with a model's files is named by `train.init_from`";
pub(super) const BUILT_IN: &str =
    "the tokenizers are built in: `data.tokenizer` is \"gpt2\", \"char\" or \"byte\"";
pub(super) const OPTIMIZERS: &str =
    "the optimizers are AdamW, SGD with momentum and Muon, without further variants: see `optimizer.kind`";
pub(super) const SINGLE_PRECISION: &str =
    "weights, gradients and the optimizer's state are in single precision";
pub(super) const NO_MUP: &str =
    "rates and initial weights do not depend on the width: a rate found for one width need not fit another";
pub(super) const OVERFIT: &str =
    "to see a model learn a little by heart, name a short file as `data.path`, with `data.val_fraction = 0`";
pub(super) const SMALLER: &str =
    "a loss is better when it is smaller: the run ends when it falls below `target.threshold`";
pub(super) const MONITORED: &str =
    "CPU, memory and GPU are measured each `hardware.monitor_interval_secs`, and the report shows them";
pub(super) const GPT2_BLOCKS: &str = "the model is GPT-2, without further paths from layer to layer";
pub(super) const FORM: &str =
    "the form of a file is recognised: text, JSON lines, Parquet, token ids (.bin), packed or not";

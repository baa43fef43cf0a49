//! Words of what there is not, with the reason or with what there is instead. The first that fits is taken.

use super::Absent;
use crate::config::names::notes::*;

pub(super) const fn no(all: &'static [&'static str], why: &'static str) -> Absent {
    Absent { all, why }
}

pub(in crate::config) const ABSENT: &[Absent] = &[
    no(
        &["summary"],
        "`runner plan FILE` shows the model's parameters and the work of a run, `ls RUN` what it did",
    ),
    no(&["suppress suppressed forced guidance watermark renormalize processor processors"], SAMPLING),
    no(&["bad", "words tokens"], SAMPLING),
    no(&["bad", "epochs steps"], PATIENCE),
    no(
        &["bad skip invalid corrupt malformed empty", "lines rows records documents examples inputs"],
        AS_IT_IS,
    ),
    no(&["wd", "kind schedule incr init final end cosine linear"], "weight decay is the same at every step"),
    no(&["epsilon eta eps", "cutoff"], SAMPLING),
    no(&["lr schedule decay", "lambda lambdas"], SHAPES),
    no(&["query key qk", "scaling scale"], ATTENTION),
    no(&["skip", "connection connections residual"], GPT2_BLOCKS),
    no(&["direction directions minimize"], SMALLER),
    no(
        &[
            "wandb tensorboard tb mlflow tracker trackers neptune comet comet_ml clearml aim swanlab trackio visdom entity telemetry webhook slack discord",
        ],
        SERVICE,
    ),
    no(
        &["slurm sbatch qos ntasks nodelist mail reservation submitit pbs lsf kubernetes k8s job gres"],
        CLUSTER,
    ),
    no(&["hub huggingface push upload"], HUB),
    no(&["early patience earlystopping"], PATIENCE),
    no(&["delta", "min"], PATIENCE),
    no(&["stop", "train condition criterion"], PATIENCE),
    no(
        &[
            "lora loraplus qlora dora peft adapter adapters quantization quantize quantized quant bnb 4bit 8bit gptq awq int8 int4 fp8 fp4 float8 nf4 freeze frozen unfreeze trainable prune pruning distill distillation teacher merge",
        ],
        WHOLE_MODEL,
    ),
    no(
        &["moe expert experts router routing capacity aux"],
        "there are no experts: every block has one MLP, as in GPT-2",
    ),
    no(
        &["parallel sequential", "attention residual block mlp layers"],
        "attention and MLP follow each other in a block, each added to what it is given, as in GPT-2",
    ),
    no(&["logit logits", "softcap cap soft scale softcapping"], LOSS),
    no(&["ignore", "index"], LOSS),
    no(&["decode decoding sample", "strategy method kind"], SAMPLING),
    no(&["data sequences samples examples documents", "max limit subset"], WHOLE_TEXT),
    no(
        &[
            "ddp fsdp fsdp2 replicas replica prescale predivide postdivide zero zero1 zero2 zero3 distributed deepspeed dp pp tp cp sp hsdp parallel parallelism parallelize shard shards sharding sharded unsharded nccl gloo mpi rank ranks world node nodes master gpus horovod pipeline pipe offload nproc launcher torchrun tpu tpus allreduce allgather reduce processes comm communication hostfile elastic ngpu replicate",
        ],
        ONE_DEVICE,
    ),
    no(&["resume autoresume"], RESUME),
    no(&["restart", "from checkpoint path"], RESUME),
    no(&["load restore", "checkpoint optimizer schedule state rng path step strict from"], RESUME),
    no(&["ignore skip", "data", "resume skip"], RESUME),
    no(&["best"], BEST),
    no(&["greater", "better"], BEST),
    no(
        &[
            "workers worker proc prefetch pin persistent dataloader dataloaders loader mmap preload multiprocessing",
        ],
        IN_MEMORY,
    ),
    no(&["stream streaming"], IN_MEMORY),
    no(
        &[
            "attention",
            "window sliding softcap sink sinks implementation impl flash sdpa kernel backend mask scale global local sparse soft logit bias",
        ],
        ATTENTION,
    ),
    no(&["sliding sdpa xformers"], ATTENTION),
    no(&["scale softmax reorder", "attention upcast"], ATTENTION),
    no(&["rope rotary alibi xpos nope partial_rotary theta sinusoidal sinu yarn cope rpe pose"], POSITIONS),
    no(&["relative rel", "position bias buckets attention embed distance positions"], POSITIONS),
    no(&["position", "kind embed encoding bias scaling learned"], POSITIONS),
    no(&["kv gqa mqa mla mha latent kvheads multiquery"], PLAIN_HEADS),
    no(&["query", "group grouped multi groups"], PLAIN_HEADS),
    no(&["key", "heads"], PLAIN_HEADS),
    no(&["pack packing packed pad padding bucket bucketing truncation truncate"], FULL_WINDOWS),
    no(
        &["cache"],
        "tokens of large texts are kept by `data.cache`; generation keeps keys and values by itself",
    ),
    no(&["swiglu geglu glu gated gelu relu silu swish"], GELU),
    no(&["activation", "checkpoint offload offloading"], WHOLE_LAYERS),
    no(&["activation"], GELU),
    no(&["mlp expansion multiple_of"], MLP),
    no(&["multiple", "of"], MLP),
    no(&["clip", "kind"], CLIP_VALUE),
    no(&["tie tied tying untie"], TIED),
    no(&["share shared", "embed input output weights layers"], TIED),
    no(&["initializer std xavier kaiming glorot lecun orthogonal sigma stddev"], INITIAL),
    no(&["init", "kernel dense kind method fn range scale gain device cpu weight std"], INITIAL),
    no(&["layernorm prenorm postnorm"], LAYER_NORM),
    no(&["qk", "norm"], LAYER_NORM),
    no(&["norm", "kind eps affine pre post first position bias qk embed final"], LAYER_NORM),
    no(
        &["layerdrop droppath stochastic"],
        "there is dropout of activations alone, `model.dropout`: whole layers are never dropped",
    ),
    no(
        &["drop", "path layers layer"],
        "there is dropout of activations alone, `model.dropout`: whole layers are never dropped",
    ),
    no(&["bos eos eot pad unk sep cls mask special added", "tokens id ids token"], SPECIAL),
    no(
        &["chat template instruction conversation messages system_prompt sft reward dpo rlhf ppo grpo"],
        PLAIN_TEXT,
    ),
    no(&["is", "decoder encoder"], DECODER),
    no(
        &[
            "compile compiled dynamo inductor cudagraph cudagraphs graph graphs jit triton fused foreach capturable kernel kernels tf32 cudnn benchmark bottleneck xla tensorcores fusion autotune liger apex",
        ],
        NO_COMPILE,
    ),
    no(&["deterministic determinism full_determinism"], SEEDED),
    no(&["ema swa averaging swap polyak lookahead"], EMA),
    no(&["warmup", "init kind lr value bias factor"], WARMUP_SHAPE),
    no(
        &[
            "plateau gamma milestones restarts restart cycle cycles cycling cyclic onecycle polynomial power exponential anneal stepsize stepsizes",
        ],
        SHAPES,
    ),
    no(&["lr schedule decay", "factor rate gamma step div mode power start cycles last interval"], SHAPES),
    no(
        &["lr", "group groups layerwise multiplier mult scale scaling find finder auto suggest layer"],
        ONE_RATE,
    ),
    no(&["layerwise llrd layers", "decay lr"], ONE_RATE),
    no(
        &[
            "trust preconditioner precondition preconditioning decouple decoupling amsgrad maximize dampening differentiable decoupled centered rho sam adafactor lion sophia shampoo soap adagrad rmsprop adadelta lamb lars galore",
        ],
        OPTIMIZERS,
    ),
    no(
        &[
            "penalty penalties repetition typical min_p minp ngram ngrams stop_words diversity contrastive epsilon_cutoff bad_words logprobs mirostat frequency_penalty presence_penalty",
        ],
        SAMPLING,
    ),
    no(&["min", "new p"], SAMPLING),
    no(&["stop eos", "tokens sequence sequences strings words"], SAMPLING),
    no(
        &["return", "sequences"],
        "each prompt is continued once: list it several times in `sample.prompts` for several samples",
    ),
    no(&["log", "path"], FOLDERS),
    no(
        &[
            "output out save checkpoint cache run runs artifact dump results result workspace work home export log",
            "path",
        ],
        FOLDERS,
    ),
    no(&["output outdir workdir logdir savedir rundir overwrite"], FOLDERS),
    no(&["log logger disp progress bar tqdm rich console print wall histogram track mfu throughput"], LOGGED),
    no(&["speed flops flop tflops mfu"], LOGGED),
    no(&["tokens samples steps", "second"], LOGGED),
    no(
        &["hydra defaults_list override"],
        "files build on each other by `extends`, and `--set KEY=VALUE` changes a key for one call",
    ),
    no(&["dry fast_dev smoke sanity debug fastdev"], DRY),
    no(&["label", "smoothing smooth"], LOSS),
    no(&["smoothing"], LOSS),
    no(
        &["loss criterion", "fn function kind type weight scale weighting z reduction average chunk chunked"],
        LOSS,
    ),
    no(&["hysteresis"], SCALED),
    no(&["callbacks callback cbs plugins plugin hooks hook handler handlers"], NO_HOOKS),
    no(&["env environment conda docker container venv pythonpath pip"], CLUSTER),
    no(&["test tests"], EVAL_COMMAND),
    no(&["eval", "batch accumulation accumulate loader device"], VALIDATES),
    no(&["eval", "before first init start begin end final last sanity"], VALIDATES),
    no(&["eval", "only"], EVAL_COMMAND),
    no(&["eval", "tasks task metrics metric harness"], MEASURED),
    no(&["compute", "metrics"], MEASURED),
    no(
        &["curriculum difficulty annealing_data"],
        "the text comes in one order from the first step to the last: `data.order`",
    ),
    no(
        &["augment augmentation mask mlm masking noise fim"],
        "models are trained on the next token of the text as it is",
    ),
    no(
        &["save", "only async weights_only safetensors format end final exit optimizer state rng"],
        CHECKPOINTS,
    ),
    no(&["checkpoint", "async format kind only end final exit save"], CHECKPOINTS),
    no(
        &[
            "anomaly anomalies nan nans inf nonfinite finite isfinite divergence diverged diverge spike spikes",
        ],
        NOT_A_NUMBER,
    ),
    no(&["label labels"], TEXT_ALONE),
    no(&["memory gpu cpu resource", "metrics stats tracking usage monitor monitoring"], MONITORED),
    no(&["state states mu nu moment moments momentum exp_avg", "dtype bits"], SINGLE_PRECISION),
    no(&["buffer buffers"], IN_MEMORY),
    no(
        &["grad", "norm"],
        "of gradients there is `optimizer.grad_clip`; their norm is in `metrics.csv` at each step",
    ),
    no(&["norm"], LAYER_NORM),
    no(&["average averaged avg moving"], EMA),
    no(&["code"], NO_HOOKS),
    no(&["rng"], SEEDED),
    no(&["train", "kind"], ONE_WAY),
    no(&["softmax flash fa2 fa3"], ATTENTION),
    no(&["word words"], BUILT_IN),
    no(&["impl implementation backend library"], NO_COMPILE),
    no(&["cross encoder seq2seq rnn lstm gru cnn bidir bidirectional"], DECODER),
    no(&["llama mistral mixtral qwen falcon gemma bloom roberta"], ONLY_GPT2),
    no(&["adaptive layerscale deepnorm macaron sandwich unet hyperconnections talking"], GPT2_BLOCKS),
    no(&["axis axes mesh partitions partitioner partitioning elasticity ssh offloading"], ONE_DEVICE),
    no(&["missing unexpected strict universal partial", "load keys params weights"], NOT_LOADED),
    no(&["reset", "state states meters trainer counters steps loop"], RESUME),
    no(&["consumed"], RESUME),
    no(&["overflow underflow"], SCALED),
    no(&["download"], NOT_LOADED),
    no(&["export onnx torchscript gguf"], EXPORT),
    no(&["objective"], ONE_WAY),
    no(&["initialization initialisation initializations"], INITIAL),
    no(&["keys key", "ignore load missing extra"], NOT_LOADED),
    no(&["init offset", "epochs steps"], RESUME),
    no(&["bench"], MEASURED),
    no(&["flush csv tkps tps dump"], LOGGED),
    no(&["metadata git commit"], NOTED),
    no(&["classes image images img media patch vision pixel audio video"], TEXT_ALONE),
    no(&["shared", "fs file filesystem"], FOLDERS),
    no(&["trial trials startup liar"], NO_SEARCH),
];

/// What there is about a subject, for names that say something else of it.
pub(in crate::config) const TOPICS: &[(&str, &str)] = &[
    ("eval", "of validation there are `train.eval_interval`, `train.eval_batches` and `data.val_fraction`"),
    ("checkpoint save", "of checkpoints there are `checkpoint.interval` and `checkpoint.keep_last`"),
    (
        "sample",
        "of samples there are `interval`, `prompts`, `max_new_tokens`, `temperature`, `top_k`, `top_p` and `seed` in [sample]",
    ),
    (
        "warmup schedule lr decay",
        "of the learning rate there are `optimizer.learning_rate`, and `kind`, `warmup_steps`, `decay_steps` and `min_lr` in [schedule]",
    ),
    ("batch microbatch", "of batches there are `train.batch_size` and `train.gradient_accumulation_steps`"),
    ("tokenizer vocab", "of tokens there are `data.tokenizer` and `model.vocab_size`"),
    (
        "data",
        "of the text there are `corpus`, `path`, `weights`, `text_column`, `separator`, `val_fraction` and `order` in [data]",
    ),
    ("attention", ATTENTION),
    ("heads", "of attention there are `model.n_head` and `model.dropout`"),
];

/// As [`TOPICS`], where a section has no reason of its own.
pub(in crate::config) const SUBJECTS: &[(&str, &str)] = &[
    (
        "optimizer momentum adamw muon sgd betas beta1 beta2 wd nesterov",
        "of the optimizer there are `kind`, `learning_rate`, `beta1`, `beta2`, `eps`, `momentum`, `weight_decay` and `grad_clip` in [optimizer], and more for Muon",
    ),
    (
        "retries timeout failure failures fault faults crash",
        "of failures there are, in [on_failure], further attempts for each kind (`retry_killed` and others) and `timeout`",
    ),
    ("log metric metrics", LOGGED),
    ("loss losses", LOSS),
    (
        "layers embed context",
        "of the model's sizes there are `n_layer`, `n_head`, `n_embd`, `block_size` and `vocab_size` in [model]",
    ),
    (
        "device gpu cuda dtype threads",
        "of the machine there are `device`, `dtype` and `threads` in [hardware]",
    ),
    ("seed random", "of chance there are `experiment.seed` and `sample.seed`"),
    (
        "seq seqlen length tokens",
        "of lengths there are `model.block_size`, `train.sequence_length` and `sample.max_new_tokens`",
    ),
    ("steps epochs time duration", "a run ends at `train.max_steps`, `train.max_time` or `target.threshold`"),
    (
        "run runs experiment project",
        "of names there are `name`, `run`, `description` and `tags` in [experiment]",
    ),
];

//! `[train]`: how much is trained.

use std::path::PathBuf;

use super::ModelPlan;
use crate::config::keys::kind::{BELOW_ONE, MAX_STEPS, int};
use crate::config::keys::row::section;
use crate::config::keys::types::{TimeLimit, Written};

section! {
    /// How much is trained at a time, for how long, and how it is measured. A step is one update of the parameters.
    train: TrainPlan {
        /// Sequences per forward pass.
        batch_size: usize = 16, int(1, 1_000_000);
        /// Tokens per sequence, at most `model.block_size`. 0: as long as `model.block_size`.
        sequence_length: Option<usize> = 0, int(0, 1_000_000);
        /// Forward and backward passes per step, whose gradients are averaged: the effect of a batch that many times larger
        /// in the memory of one.
        gradient_accumulation_steps: usize = 1, int(1, 1_000_000);
        /// Keep only the input of each layer for the backward pass and compute the rest again when it is needed: much less memory
        /// for about a third more work. The numbers stay the same.
        activation_checkpointing: bool = false;
        /// Steps after which the run ends, if its target or `max_time` does not end it before.
        max_steps: u64 = 1000, int(1, MAX_STEPS);
        /// Time after which the run ends, as `90m`, `1h 30m` or a number of seconds. The step under way is finished first.
        /// 0: no limit.
        max_time: Written<TimeLimit> = "0";
        /// A trained model to begin from instead of random weights: the directory of a run, of which its best checkpoint is meant, or of
        /// one of its checkpoints (`runs/quickstart/seed=1337/checkpoints/step-002000`), a Hugging Face GPT-2 folder, or a
        /// `model.safetensors` in that layout alone. Relative to the file that says so. Or a name among the runs, as commands take it: a run
        /// (`quickstart/seed=1337`), a tag (`runner tag`), `lr-sweep --best` for the best run of an experiment; `@500`, `@last` or `@tag` behind a
        /// run, by name or path, names the checkpoint. The sizes in [model] must be those of the model;
        /// only `block_size` may be smaller, and then the first positions are taken. `data.tokenizer` must be the model's too. With `char` the
        /// model's characters stay the vocabulary: others are left out of the text, with a warning, and refused if they are more than one
        /// in a hundred. (A file alone has no tokenizer and no number of heads beside it: then these are yours to get right.) Which weights
        /// are meant is decided when the run is made, and stays so when the other run goes on. Empty: random weights.
        init_from: Option<PathBuf> = "";
        /// Steps between validations. Besides, the model is validated before the first step, with every checkpoint
        /// (`checkpoint.interval`), so that the best one is chosen by its own loss, and at the end of the run, whatever ends it but
        /// a stop or a failure. Without validation text (`data.val_fraction = 0`) there are none. 0: never.
        eval_interval: u64 = 100, int(0, MAX_STEPS);
        /// Batches per validation, wherever one is made (see `eval_interval`): more give a steadier validation loss and take longer. Fewer are used when the validation
        /// text is shorter.
        eval_batches: usize = 20, int(1, 1_000_000);
        /// How much of the past the smoothed train loss (`train_loss_ema`) remembers: 0.95 averages over roughly the last 20 steps.
        /// 0: no smoothing.
        ema_decay: f64 = 0.95, BELOW_ONE;
        /// Measure the loss over the whole training text once, after the last step, which tells real memorising from a lucky batch. A run that
        /// is stopped, fails or diverges is not measured so. This is beside the validations of `eval_interval`, and takes one forward pass over the text.
        final_eval: bool = true;
    }
}

impl TrainPlan {
    /// Tokens of one sequence.
    pub fn length(&self, model: &ModelPlan) -> usize {
        self.sequence_length.unwrap_or(model.block_size)
    }
}

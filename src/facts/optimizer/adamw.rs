//! Adam with decoupled weight decay.

use super::Facts;

pub const FACTS: Facts = Facts {
    word: "adamw",
    other_words: &["adam", "adamw_torch", "adamw_torch_fused"],
    state: |_| &["exp_avg", "exp_avg_sq"],
    keys: &["beta1", "beta2", "eps"],
    usual: |_| &[],
    flops: |_, _, _| 0.0,
    working: |_, _| 0.0,
    describe: |key| {
        format!(
            "AdamW, learning rate {}, betas ({}, {}), eps {}",
            key("learning_rate"),
            key("beta1"),
            key("beta2"),
            key("eps")
        )
    },
};

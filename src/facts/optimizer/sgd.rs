//! Gradient descent with momentum.

use super::Facts;

pub const FACTS: Facts = Facts {
    word: "sgd",
    other_words: &["momentum"],
    state: |_| &["momentum_buffer"],
    keys: &["momentum"],
    usual: |_| &[],
    flops: |_, _, _| 0.0,
    working: |_, _| 0.0,
    describe: |key| format!("SGD, learning rate {}, momentum {}", key("learning_rate"), key("momentum")),
};

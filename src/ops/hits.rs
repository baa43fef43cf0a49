//! How many predictions came true.

use std::cell::Cell;

/// Counts, of the tokens that a pass predicts, those that it held for the likeliest: no logit is above theirs. Operations add to it where
/// they have the logits at hand, and leave it alone where counting would take another pass over them.
#[derive(Debug, Default)]
pub struct Hits {
    right: Cell<u64>,
    counted: Cell<u64>,
}

impl Hits {
    /// Of so many tokens so many were right.
    pub fn add(&self, right: usize, of: usize) {
        self.right.set(self.right.get() + right as u64);
        self.counted.set(self.counted.get() + of as u64);
    }

    /// How many of a pass's tokens were right; `None` unless all were counted.
    pub fn of(&self, tokens: usize) -> Option<u64> {
        (self.counted.get() == tokens as u64).then(|| self.right.get())
    }
}

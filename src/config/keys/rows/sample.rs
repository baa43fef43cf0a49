//! `[sample]`: text that the model writes while it trains.

use std::ops::Bound::{Excluded, Included};

use crate::config::keys::kind::{MAX_SEED, MAX_STEPS, ZERO_OR_MORE, int, num};
use crate::config::keys::row::section;

section! {
    /// Text that the model writes while it trains, so that progress can be read and not only plotted. How much of it is copied from
    /// the training text is measured each time, on the continuations without their prompts.
    sample: SamplePlan {
        /// Steps between samples. There are also some at the end of the run. 0: no samples at all, not even at the end.
        interval: u64 = 500, int(0, MAX_STEPS);
        /// Beginnings that the model continues. Each must be something the tokenizer knows.
        prompts: Vec<String> = ["\n"];
        /// Tokens written per prompt.
        max_new_tokens: usize = 100, int(1, 1_000_000);
        /// Divides the logits: below 1 safer, above 1 wilder. 0: always the likeliest token.
        temperature: f64 = 0.8, ZERO_OR_MORE;
        /// Choose among this many likeliest tokens. 0: all tokens.
        top_k: usize = 50, int(0, 10_000_000);
        /// Choose among the likeliest tokens that together have this probability. 1: all tokens.
        top_p: f64 = 1.0, num(Excluded(0.0), Included(1.0));
        /// Seed of the choices. It is separate from the run's, so that samples of different runs can be compared.
        seed: u64 = 1337, int(0, MAX_SEED);
    }
}

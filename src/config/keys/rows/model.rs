//! `[model]`: sizes of the GPT-2.

use crate::config::keys::kind::{BELOW_ONE, int};
use crate::config::keys::row::section;
use crate::facts::words::words;

section! {
    /// Sizes of the GPT-2. The default is a model of about 0.8 million parameters for first tries on a CPU.
    model: ModelPlan {
        /// Sizes by name: gpt2 (124M), gpt2-medium (355M), gpt2-large (774M) or gpt2-xl (1.5B). It acts as if those sizes
        /// were written at the top of the layer that names it, so sizes written beside it or in a stronger layer win.
        /// Empty: no preset.
        preset: Option<Preset> = "";
        /// Transformer blocks.
        n_layer: usize = 4, int(1, 1_000);
        /// Attention heads per block. They share n_embd evenly.
        n_head: usize = 4, int(1, 1_000);
        /// Width of the residual stream. A multiple of n_head.
        n_embd: usize = 128, int(1, 100_000);
        /// Longest context in tokens, and so the number of learned position embeddings.
        block_size: usize = 128, int(1, 1_000_000);
        /// Rows of the token embedding, which is also the output head (the two are tied). Larger than the tokenizer's
        /// vocabulary is allowed, smaller is not. 0: as many as the tokenizer has.
        vocab_size: Option<usize> = 0, int(0, 10_000_000);
        /// Probability with which activations are zeroed while training: after the embeddings, on the attention weights
        /// and before each residual addition. Helps when the model sees the same text many times and should generalise;
        /// keep it at 0 for memorising.
        dropout: f64 = 0.0, BELOW_ONE;
        /// Bias terms in linear layers and layer norms, as GPT-2 has them.
        bias: bool = true;
    }
}

words! {
    /// Sizes by name.
    Preset {
        Gpt2 = "gpt2",
        Gpt2Medium = "gpt2-medium",
        Gpt2Large = "gpt2-large",
        Gpt2Xl = "gpt2-xl",
    }
}

impl Preset {
    /// Layers, heads and width.
    ///
    /// # Source
    /// Radford et al., "Language Models are Unsupervised Multitask Learners" (2019), table 2, with the head counts of the
    /// released checkpoints.
    pub fn sizes(self) -> (usize, usize, usize) {
        match self {
            Self::Gpt2 => (12, 12, 768),
            Self::Gpt2Medium => (24, 16, 1024),
            Self::Gpt2Large => (36, 20, 1280),
            Self::Gpt2Xl => (48, 25, 1600),
        }
    }
}

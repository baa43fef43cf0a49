//! What is known of each optimizer: its word in a configuration, what it keeps and computes for a parameter, and what is said
//! of it. What it does is in [`optim`](crate::optim).

use serde::{Deserialize, Serialize};

use super::words::{Words, words};

mod adamw;
mod muon;
mod sgd;

/// What a parameter is to an optimizer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A weight that activations are multiplied by, in a block.
    Matrix,
    /// A table with a row for each token or position; the head is tied to one.
    Embedding,
    /// A bias, or a layer norm's scale.
    Vector,
}

/// Inputs and outputs of a matrix, and into how many matrices beside each other its outputs are cut for an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sides {
    pub inputs: usize,
    pub outputs: usize,
    pub pieces: usize,
}

/// Values of a configuration by their keys in `[optimizer]`, as they are written in TOML, strings without quotes.
pub type Numbers<'a> = &'a dyn Fn(&str) -> String;

/// An optimizer without its numbers.
#[derive(Debug)]
pub struct Facts {
    /// As `optimizer.kind` has it.
    pub word: &'static str,
    /// What other programs call it.
    pub other_words: &'static [&'static str],
    /// What it keeps of a parameter from step to step, each as large as the parameter, by PyTorch's names.
    pub state: fn(Role) -> &'static [&'static str],
    /// Keys of `[optimizer]` that it reads and that not every optimizer does.
    pub keys: &'static [&'static str],
    /// What keys of `[optimizer]` are where a configuration does not set them; the others are as `defaults.toml` has them. The
    /// argument gives those that decide it.
    pub usual: fn(Numbers<'_>) -> &'static [(&'static str, f64)],
    /// FLOPs of a step that grow faster than the parameters, for a matrix of such sides that is updated in so many pieces side
    /// by side, with so many iterations.
    pub flops: fn(Role, Sides, usize) -> f64,
    /// Numbers of its working memory while it updates a matrix of such sides on the processor, beside one as large as the matrix.
    pub working: fn(Role, Sides) -> f64,
    /// One sentence's part with its numbers, of which the argument gives each by its key: `AdamW, learning rate 0.001, ...`.
    pub describe: fn(Numbers<'_>) -> String,
}

macro_rules! optimizers {
    ($( $(#[doc = $doc:literal])* $Kind:ident: $module:ident, )*) => {
        /// `optimizer.kind`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum OptimizerKind {
            $( $(#[doc = $doc])* $Kind, )*
        }

        impl OptimizerKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$( Self::$Kind, )*];
            /// Their words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$( $module::FACTS.word, )*];

            /// What is known of it.
            pub const fn facts(self) -> &'static Facts {
                match self {
                    $( Self::$Kind => &$module::FACTS, )*
                }
            }
        }

        impl Words for OptimizerKind {
            const VARIANTS: &'static [Self] = Self::ALL;
            const WORDS: &'static [&'static str] = Self::WORDS;
            const WORDS_OR_NONE: &'static [&'static str] = &[$( $module::FACTS.word, )* ""];
        }
    };
}

optimizers! {
    /// Adam with decoupled weight decay.
    Adamw: adamw,
    /// Gradient descent with momentum.
    Sgd: sgd,
    /// Momentum made orthogonal for matrices, AdamW for the rest.
    Muon: muon,
}

impl OptimizerKind {
    /// The optimizer of this word.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::read(word)
    }

    /// Whether it reads this key of `[optimizer]`.
    pub fn reads(self, leaf: &str) -> bool {
        self.facts().keys.contains(&leaf) || Self::readers(leaf).next().is_none()
    }

    /// Whether it reads this key of any section, by its dotted name.
    pub fn reads_key(self, name: &str) -> bool {
        name.strip_prefix("optimizer.").is_none_or(|leaf| self.reads(leaf))
    }

    /// The optimizers that read this key of `[optimizer]`; none where all do.
    pub fn readers(leaf: &str) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |kind| kind.facts().keys.contains(&leaf))
    }
}

words! {
    /// `optimizer.adjust_lr_fn`: how the size of a matrix scales Muon's learning rate, by PyTorch's words.
    AdjustLr {
        Original = "original",
        MatchRmsAdamw = "match_rms_adamw",
        SpectralUnclamped = "spectral_unclamped",
    }
}

impl AdjustLr {
    /// The factor for a matrix of such sides.
    pub fn factor(self, inputs: usize, outputs: usize) -> f64 {
        let (inputs, outputs) = (inputs as f64, outputs as f64);
        match self {
            Self::Original => (outputs / inputs).max(1.0).sqrt(),
            Self::MatchRmsAdamw => 0.2 * inputs.max(outputs).sqrt(),
            Self::SpectralUnclamped => (outputs / inputs).sqrt(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_one_that_a_configuration_is_read_by() {
        for (kind, word) in OptimizerKind::ALL.iter().zip(OptimizerKind::WORDS) {
            assert_eq!(serde_json::from_str::<OptimizerKind>(&format!("\"{word}\"")).unwrap(), *kind);
            assert_eq!(OptimizerKind::of_word(word), Some(*kind));
            assert!(kind.facts().other_words.iter().all(|other| OptimizerKind::of_word(other).is_none()));
        }
    }

    #[test]
    fn every_optimizer_says_its_learning_rate() {
        for kind in OptimizerKind::ALL {
            let text = (kind.facts().describe)(&|key| format!("<{key}>"));
            assert!(text.contains("<learning_rate>"), "{text}");
        }
    }

    #[test]
    fn an_optimizer_sets_only_what_it_reads() {
        for kind in OptimizerKind::ALL {
            for adjust in AdjustLr::WORDS {
                let usual = (kind.facts().usual)(&|_| (*adjust).to_owned());
                assert!(usual.iter().all(|(leaf, _)| kind.reads(leaf)), "{kind:?}");
            }
        }
        let usual = |adjust: &'static str| (OptimizerKind::Muon.facts().usual)(&|_| adjust.to_owned());
        assert!(usual("original").contains(&("adamw_learning_rate", 3e-3)));
        assert_eq!(usual("match_rms_adamw"), [("momentum", 0.95)]);
    }

    #[test]
    fn what_an_optimizer_says_of_itself_it_reads() {
        use std::cell::RefCell;
        for kind in OptimizerKind::ALL {
            let asked = RefCell::new(Vec::new());
            let _ = (kind.facts().describe)(&|key| {
                asked.borrow_mut().push(key.to_owned());
                "1".to_owned()
            });
            assert!(asked.borrow().iter().all(|key| kind.reads(key)), "{kind:?}: {asked:?}");
        }
        assert!(OptimizerKind::Sgd.reads("weight_decay") && OptimizerKind::Sgd.reads("momentum"));
        assert!(!OptimizerKind::Sgd.reads("beta1") && !OptimizerKind::Adamw.reads("momentum"));
        assert_eq!(
            OptimizerKind::readers("momentum").collect::<Vec<_>>(),
            [OptimizerKind::Sgd, OptimizerKind::Muon]
        );
    }

    #[test]
    fn muon_says_what_differs_from_the_usual() {
        let said = |changes: &[(&str, &str)]| {
            let value =
                |key: &str| changes.iter().find(|(name, _)| *name == key).map_or("1", |(_, value)| value);
            (OptimizerKind::Muon.facts().describe)(&|key| value(key).to_owned())
        };
        let usual = said(&[
            ("learning_rate", "0.02"),
            ("adamw_learning_rate", "0.0"),
            ("split_qkv", "true"),
            ("momentum_warmup_steps", "0"),
            ("ns_coefficients", "[3.4445, -4.775, 2.0315]"),
        ]);
        assert!(
            usual.contains(
                "momentum 1 (Nesterov), 1 Newton-Schulz iteration, queries, keys and values separately"
            ),
            "{usual}"
        );
        assert!(usual.contains("by AdamW, learning rate 0.02,"), "{usual}");
        let other = said(&[
            ("nesterov", "false"),
            ("split_qkv", "false"),
            ("adamw_learning_rate", "3e-3"),
            ("momentum_start", "0.85"),
            ("momentum_warmup_steps", "30"),
        ]);
        assert!(
            other.contains("momentum 0.85 to 1 over 30 steps, 1 Newton-Schulz iteration with custom coefficients; embeddings"),
            "{other}"
        );
        assert!(other.contains("by AdamW, learning rate 3e-3,"), "{other}");
    }

    #[test]
    fn an_iteration_costs_two_long_products_and_a_square_one() {
        let flops = |inputs, outputs, pieces| {
            (OptimizerKind::Muon.facts().flops)(Role::Matrix, Sides { inputs, outputs, pieces }, 5)
        };
        let cube = 768.0_f64.powi(3);
        assert_eq!(flops(768, 768, 1), 5.0 * 6.0 * cube);
        assert_eq!(flops(768, 3072, 1), 5.0 * 18.0 * cube);
        assert_eq!(flops(3072, 768, 1), flops(768, 3072, 1));
        assert_eq!(flops(768, 2304, 3), 3.0 * flops(768, 768, 1));
    }

    #[test]
    fn muon_works_on_two_copies_of_a_piece_and_four_squares() {
        let working = |inputs, outputs, pieces| {
            (OptimizerKind::Muon.facts().working)(Role::Matrix, Sides { inputs, outputs, pieces })
        };
        assert_eq!(working(10, 40, 1), 2.0 * 400.0 + 4.0 * 100.0);
        assert_eq!(working(40, 10, 1), working(10, 40, 1));
        assert_eq!(working(10, 30, 3), 2.0 * 100.0 + 4.0 * 100.0);
    }

    #[test]
    fn a_larger_side_of_outputs_raises_the_rate() {
        assert_eq!(AdjustLr::Original.factor(100, 400), 2.0);
        assert_eq!(AdjustLr::Original.factor(400, 100), 1.0);
        assert_eq!(AdjustLr::SpectralUnclamped.factor(100, 400), 2.0);
        assert_eq!(AdjustLr::SpectralUnclamped.factor(400, 100), 0.5);
        assert!((AdjustLr::MatchRmsAdamw.factor(400, 100) - 4.0).abs() < 1e-12);
    }
}

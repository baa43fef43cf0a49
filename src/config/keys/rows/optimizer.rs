//! `[optimizer]`: how gradients change the parameters.

use crate::config::keys::kind::{ABOVE_ZERO, BELOW_ONE, MAX_STEPS, ZERO_OR_MORE, int};
use crate::config::keys::row::section;
use crate::config::keys::types::Coefficients;
use crate::facts::optimizer::{AdjustLr, OptimizerKind};

section! {
    /// How gradients change the parameters. The defaults are those usual for GPT pre-training (GPT-3, nanoGPT), not
    /// PyTorch's: beta2 is 0.95 and not 0.999, weight decay 0.1 and not 0.01, and gradients are clipped.
    optimizer: OptimizerPlan {
        /// adamw (Adam with decoupled weight decay), sgd (with momentum), or muon: the blocks' matrices by Muon, which makes each
        /// update's singular values nearly equal, and embeddings, layer norms and biases by AdamW.
        kind: OptimizerKind = "adamw";
        /// Peak learning rate, before the schedule shapes it. The key that is most worth a sweep. Muon's is 0.02 unless it is set, but with
        /// adjust_lr_fn = "match_rms_adamw", where AdamW's rates fit.
        learning_rate: f64 = 3e-4, ABOVE_ZERO;
        /// AdamW's memory of the gradient.
        beta1: f64 = 0.9, BELOW_ONE;
        /// AdamW's memory of the squared gradient. Smaller reacts faster to a change in gradient size.
        beta2: f64 = 0.95, BELOW_ONE;
        /// Added to AdamW's denominator so that it is never zero.
        eps: f64 = 1e-8, ABOVE_ZERO;
        /// SGD's and Muon's memory of past gradients. AdamW does not read it. Muon's is 0.95 unless it is set.
        momentum: f64 = 0.9, BELOW_ONE;
        /// Shrinks the weights by learning_rate x weight_decay per step.
        weight_decay: f64 = 0.1, ZERO_OR_MORE;
        /// Decay biases and layer norms too, as `torch.optim.AdamW(model.parameters())` does. Otherwise only matrices and
        /// embeddings decay.
        decay_all: bool = false;
        /// Largest global L2 norm of the gradient; a longer one is scaled down to it. 0: no clipping.
        grad_clip: f64 = 1.0, ZERO_OR_MORE;
        /// Muon: peak learning rate of the parameters that it leaves to AdamW, under the same schedule, so that it ends at the same share of its
        /// peak. The token embedding is among them, which is also the head: wide models want less. It is 3e-3 unless it is set, but with
        /// adjust_lr_fn = "match_rms_adamw", where it is 0. 0: as `optimizer.learning_rate`.
        adamw_learning_rate: Option<f64> = 0.0, ZERO_OR_MORE;
        /// Muon: look one update ahead, as PyTorch's does. SGD's momentum is plain here.
        nesterov: bool = true;
        /// Muon: momentum of the first step, where it warms up. A short memory suits gradients that turn fast, as the first ones do.
        momentum_start: f64 = 0.85, BELOW_ONE;
        /// Muon: steps over which momentum goes linearly from momentum_start to `momentum`. 0: no warm-up.
        momentum_warmup_steps: u64 = 0, int(0, MAX_STEPS);
        /// Muon: Newton-Schulz iterations of each update. Fewer are faster, and leave the singular values further apart.
        ns_steps: usize = 5, int(1, 99);
        /// Muon: a, b and c of an iteration, which maps a singular value s to a s + b s^3 + c s^5; or a list of such lists, one for each
        /// iteration, of which the last serves those that follow. Those of iterations beyond ns_steps are not used.
        ns_coefficients: Coefficients = [3.4445, -4.775, 2.0315];
        /// Muon: how a matrix's size scales its learning rate. original: sqrt(outputs / inputs), where that is above 1;
        /// spectral_unclamped: the same, also where it is below 1; match_rms_adamw: 0.2 sqrt(larger side), which makes updates as large as
        /// AdamW's, so that its learning rates fit.
        adjust_lr_fn: AdjustLr = "original";
        /// Muon: queries, keys and values each for itself, and not their one matrix as a whole.
        split_qkv: bool = true;
    }
}

impl OptimizerPlan {
    /// Peak learning rate of the parameters that Muon leaves to AdamW.
    pub fn rate_of_adamw(&self) -> f64 {
        self.adamw_learning_rate.unwrap_or(self.learning_rate)
    }

    /// a, b and c of each of Muon's iterations.
    pub fn coefficients(&self) -> Vec<[f64; 3]> {
        let given = self.ns_coefficients.each();
        let of_step = |step: usize| given.get(step).or(given.last()).copied();
        (0..self.ns_steps).filter_map(of_step).collect()
    }
}

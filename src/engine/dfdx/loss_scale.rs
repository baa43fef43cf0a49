//! Dynamic loss scaling: gradients are computed of a multiple of the loss, so that small ones do not vanish in half precision.
//!
//! # Source
//! Micikevicius et al., "Mixed Precision Training", 2018; the constants are those of PyTorch's `GradScaler`.

use serde::{Deserialize, Serialize};

const INITIAL: f64 = 65_536.0;
const GROWTH: f64 = 2.0;
const BACKOFF: f64 = 0.5;
/// Steps in a row with a finite gradient after which a larger scale is tried.
const GROWTH_INTERVAL: u32 = 2000;
/// Below this, gradients that are not finite are not the scale's fault.
const LEAST: f64 = 1.0;

/// The factor and how long it has been good for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossScale {
    scale: f64,
    good_steps: u32,
}

/// What to do with a gradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Apply,
    /// It overflowed: leave the weights as they are and go on with a smaller scale.
    Skip,
    /// It is not finite whatever the scale.
    GiveUp,
}

impl Default for LossScale {
    fn default() -> Self {
        Self { scale: INITIAL, good_steps: 0 }
    }
}

impl LossScale {
    pub fn get(&self) -> f64 {
        self.scale
    }

    /// Whether a run can have come to it; a file can say anything.
    pub fn is_sound(&self) -> bool {
        self.scale.is_finite() && self.scale >= LEAST && self.good_steps < GROWTH_INTERVAL
    }

    /// Adapts the scale to a gradient of this norm that was computed with it.
    pub fn judge(&mut self, norm: f64) -> Judgement {
        if norm.is_finite() {
            self.good_steps += 1;
            if self.good_steps == GROWTH_INTERVAL {
                *self = Self { scale: self.scale * GROWTH, good_steps: 0 };
            }
            return Judgement::Apply;
        }
        let smaller = self.scale * BACKOFF;
        if smaller < LEAST {
            return Judgement::GiveUp;
        }
        *self = Self { scale: smaller, good_steps: 0 };
        Judgement::Skip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_halves_with_each_overflow_until_the_scale_cannot_be_the_cause() {
        let mut scale = LossScale::default();
        for halvings in 1..=16 {
            assert_eq!(scale.judge(f64::INFINITY), Judgement::Skip);
            assert_eq!(scale.get(), 65_536.0 / 2f64.powi(halvings));
        }
        assert_eq!(scale.get(), 1.0);
        assert_eq!(scale.judge(f64::NAN), Judgement::GiveUp);
    }

    #[test]
    fn a_scale_that_no_run_comes_to_is_not_sound() {
        assert!(LossScale::default().is_sound());
        for (scale, good_steps) in [(f64::NAN, 0), (f64::INFINITY, 0), (0.5, 0), (-2.0, 0), (2.0, 2000)] {
            assert!(!LossScale { scale, good_steps }.is_sound(), "{scale}, {good_steps}");
        }
    }

    #[test]
    fn it_doubles_after_enough_good_steps_in_a_row() {
        let mut scale = LossScale::default();
        let good = |scale: &mut LossScale, steps| {
            for _ in 0..steps {
                assert_eq!(scale.judge(1.0), Judgement::Apply);
            }
        };
        good(&mut scale, 1999);
        assert_eq!(scale.judge(f64::INFINITY), Judgement::Skip);
        good(&mut scale, 1999);
        assert_eq!(scale.get(), 32_768.0);
        good(&mut scale, 1);
        assert_eq!(scale.get(), 65_536.0);
    }
}

//! The target, and the smoothed loss it may be about.

use serde::{Deserialize, Serialize};

use crate::config::experiment::{TargetMetric, TargetPlan};
use crate::metric::{MetricsRow, metric};

/// Bias-corrected exponential moving average, as Adam corrects its moments: the first value counts in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    decay: f64,
    sum: f64,
    weight: f64,
}

impl Ema {
    /// `decay` is the weight of the past: 0 <= decay < 1.
    pub fn new(decay: f64) -> Self {
        Self { decay, sum: 0.0, weight: 0.0 }
    }

    /// Takes a value in and returns the average so far.
    pub fn update(&mut self, value: f64) -> f64 {
        self.sum = self.decay * self.sum + (1.0 - self.decay) * value;
        self.weight = self.decay * self.weight + (1.0 - self.decay);
        self.sum / self.weight
    }
}

impl TargetMetric {
    /// The metric's column name.
    pub fn key(self) -> &'static str {
        self.word()
    }

    /// The metric's value in a row, where it was measured.
    pub fn value(self, row: &MetricsRow) -> Option<f64> {
        metric(self.key()).and_then(|metric| (metric.get)(row))
    }
}

/// The value that reached the target in this row: measured and strictly below the threshold.
pub fn reached(target: &TargetPlan, row: &MetricsRow) -> Option<f64> {
    let threshold = target.threshold?;
    target.metric.value(row).filter(|value| *value < threshold)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: TargetPlan = TargetPlan { metric: TargetMetric::TrainLoss, threshold: Some(0.0999999) };

    fn row(train_loss: f64) -> MetricsRow {
        MetricsRow { train_loss: Some(train_loss), ..MetricsRow::default() }
    }

    #[test]
    fn a_value_equal_to_the_threshold_does_not_reach_it() {
        assert_eq!(reached(&TARGET, &row(0.0999999)), None);
        assert_eq!(reached(&TARGET, &row(0.0999998)), Some(0.0999998));
    }

    #[test]
    fn every_target_is_a_metric_that_is_better_when_lower() {
        let all = [
            TargetMetric::TrainLoss,
            TargetMetric::TrainLossEma,
            TargetMetric::ValLoss,
            TargetMetric::ValBitsPerByte,
        ];
        for target in all {
            let metric = metric(target.key()).unwrap();
            assert_eq!(metric.better, crate::metric::Better::Lower);
            assert_eq!(metric.is_of_validation(), target.is_of_validation());
        }
    }

    #[test]
    fn nan_and_unmeasured_values_do_not_reach_a_target() {
        assert_eq!(reached(&TARGET, &row(f64::NAN)), None);
        assert_eq!(reached(&TARGET, &MetricsRow::default()), None);
        assert_eq!(reached(&TargetPlan { threshold: None, ..TARGET }, &row(0.0)), None);
    }

    #[test]
    fn the_first_smoothed_value_is_the_first_value() {
        assert_eq!(Ema::new(0.98).update(10.955), 10.955);
    }

    #[test]
    fn a_constant_stays_constant_under_smoothing() {
        let mut ema = Ema::new(0.9);
        for _ in 0..50 {
            assert!((ema.update(3.0) - 3.0).abs() < 1e-12);
        }
    }

    #[test]
    fn without_decay_the_average_follows_the_value() {
        let mut ema = Ema::new(0.0);
        ema.update(5.0);
        assert_eq!(ema.update(2.0), 2.0);
    }
}

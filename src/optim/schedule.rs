//! The learning rate as a pure function of the step.

use crate::config::experiment::{ScheduleKind, SchedulePlan};

/// Learning rate of optimizer step `step`, counted from 1, of `max_steps`.
///
/// It rises linearly to `peak`, which step `warmup_steps` is the first to use. After that it stays (constant), falls to
/// `min_lr` at step `decay_steps` and stays there (linear, cosine), or stays until the last `decay_steps` steps and
/// falls linearly to `min_lr` at step `max_steps` (warmup-stable-decay).
///
/// # Example
/// ```
/// use runner::config::experiment::{ScheduleKind, SchedulePlan};
/// use runner::optim::learning_rate;
///
/// let plan = SchedulePlan { kind: ScheduleKind::Linear, warmup_steps: 10, decay_steps: Some(100), min_lr: 0.0 };
/// let at = |step| learning_rate(&plan, 0.02, 100, step);
/// assert_eq!((at(5), at(10), at(100)), (0.01, 0.02, 0.0));
/// ```
pub fn learning_rate(plan: &SchedulePlan, peak: f64, max_steps: u64, step: u64) -> f64 {
    if step < plan.warmup_steps {
        return peak * step as f64 / plan.warmup_steps as f64;
    }
    let fall = |share: f64| plan.min_lr + (peak - plan.min_lr) * share;
    let decay_steps = plan.decays_over(max_steps);
    match plan.kind {
        ScheduleKind::Constant => peak,
        ScheduleKind::Linear => fall(1.0 - progress(plan.warmup_steps, decay_steps, step)),
        ScheduleKind::Cosine => {
            let progress = progress(plan.warmup_steps, decay_steps, step);
            fall(0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
        }
        ScheduleKind::WarmupStableDecay => {
            let start = max_steps.saturating_sub(decay_steps).max(plan.warmup_steps);
            fall(1.0 - progress(start, max_steps, step))
        }
    }
}

/// Share of the way from step `start` to step `end`: 0 up to `start`, 1 from `end` on.
fn progress(start: u64, end: u64, step: u64) -> f64 {
    if step >= end {
        return 1.0;
    }
    step.saturating_sub(start) as f64 / (end - start.min(end)).max(1) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KINDS: [ScheduleKind; 4] =
        [ScheduleKind::Constant, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::WarmupStableDecay];

    fn plan(kind: ScheduleKind, warmup_steps: u64, decay_steps: u64) -> SchedulePlan {
        SchedulePlan { kind, warmup_steps, decay_steps: Some(decay_steps), min_lr: 0.1 }
    }

    #[test]
    fn known_points_of_each_schedule() {
        let rate = |kind, step| learning_rate(&plan(kind, 10, 110), 1.0, 200, step);
        for kind in KINDS {
            assert_eq!(rate(kind, 1), 0.1);
            assert_eq!(rate(kind, 10), 1.0);
        }
        assert_eq!(rate(ScheduleKind::Constant, 200), 1.0);
        assert!((rate(ScheduleKind::Linear, 60) - 0.55).abs() < 1e-12);
        assert!((rate(ScheduleKind::Cosine, 60) - 0.55).abs() < 1e-12);
        assert!((rate(ScheduleKind::Cosine, 35) - (0.1 + 0.9 * 0.853_553_390_593)).abs() < 1e-9);
        assert_eq!(rate(ScheduleKind::Linear, 110), 0.1);
        assert_eq!(rate(ScheduleKind::Cosine, 150), 0.1);
        let stable = |step| learning_rate(&plan(ScheduleKind::WarmupStableDecay, 10, 50), 1.0, 200, step);
        assert_eq!([stable(10), stable(150)], [1.0, 1.0]);
        assert!((stable(175) - 0.55).abs() < 1e-12);
        assert_eq!(stable(200), 0.1);
    }

    proptest! {
        #[test]
        fn rates_rise_through_warmup_then_never_rise_and_stay_within_bounds(
            kind in 0..4usize, warmup in 0..50u64, decay in 1..300u64, max_steps in 1..300u64,
        ) {
            let plan = plan(KINDS[kind], warmup, decay);
            let rates: Vec<f64> =
                (1..=max_steps).map(|step| learning_rate(&plan, 1.0, max_steps, step)).collect();
            for (i, pair) in rates.windows(2).enumerate() {
                let step = i as u64 + 2;
                if step < warmup {
                    prop_assert!(pair[1] > pair[0]);
                } else if step > warmup {
                    prop_assert!(pair[1] <= pair[0] || step == warmup + 1);
                }
            }
            prop_assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= 1.0));
        }

        #[test]
        fn a_schedule_whose_decay_ends_with_training_ends_at_its_minimum(
            kind in 1..4usize, warmup in 0..50u64, rest in 1..300u64,
        ) {
            let max_steps = warmup + rest;
            let decay = if KINDS[kind] == ScheduleKind::WarmupStableDecay { rest } else { max_steps };
            let rate = learning_rate(&plan(KINDS[kind], warmup, decay), 1.0, max_steps, max_steps);
            prop_assert!((rate - 0.1).abs() < 1e-12);
        }
    }
}

//! The learning rate as a pure function of the step.

use crate::config::experiment::{ScheduleKind, SchedulePlan};

/// Learning rate of optimizer step `step`, counted from 1, of `max_steps`.
///
/// It rises linearly to `peak`, which step `warmup_steps` is the first to use. After that it stays (constant), falls to
/// `min_lr` at step `decay_steps` and stays there (linear, cosine), or stays until the last `decay_steps` steps and
/// falls linearly to `min_lr` at step `max_steps` (warmup-stable-decay).
pub fn learning_rate(plan: &SchedulePlan, peak: f64, max_steps: u64, step: u64) -> f64 {
    if step < plan.warmup_steps {
        return peak * step as f64 / plan.warmup_steps as f64;
    }
    let fall = |share: f64| plan.min_lr + (peak - plan.min_lr) * share;
    match plan.kind {
        ScheduleKind::Constant => peak,
        ScheduleKind::Linear => fall(1.0 - progress(plan.warmup_steps, plan.decay_steps, step)),
        ScheduleKind::Cosine => {
            let progress = progress(plan.warmup_steps, plan.decay_steps, step);
            fall(0.5 * (1.0 + (std::f64::consts::PI * progress).cos()))
        }
        ScheduleKind::WarmupStableDecay => {
            let start = max_steps.saturating_sub(plan.decay_steps).max(plan.warmup_steps);
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

//! How a run comes to its end by itself.

use super::target;
use crate::config::experiment::RunPlan;
use crate::facts::{Status, StopReason};
use crate::metric::MetricsRow;
use crate::units;

/// How a run ended.
#[derive(Clone, Debug, PartialEq)]
pub struct Ending {
    pub status: Status,
    pub reason: StopReason,
    pub message: String,
}

/// Target, last step, time limit: in this order, so that a target reached at the last step counts as reached.
pub fn planned(plan: &RunPlan, row: &MetricsRow, elapsed_secs: f64) -> Option<Ending> {
    let finished = |reason, message| Some(Ending { status: Status::Finished, reason, message });
    if let (Some(threshold), Some(value)) = (plan.target.threshold, target::reached(&plan.target, row)) {
        let message = format!(
            "{} {} is below the target {} after {}",
            plan.target.metric.key(),
            units::loss_below(value, threshold),
            units::number(threshold),
            units::steps(row.step)
        );
        return finished(StopReason::TargetReached, message);
    }
    if row.step >= plan.train.max_steps {
        return finished(StopReason::MaxSteps, format!("max_steps was reached: {}", units::steps(row.step)));
    }
    let limit = plan.train.max_time.secs.filter(|&limit| elapsed_secs >= limit)?;
    let message =
        format!("the time limit of {} was reached after {}", units::duration(limit), units::steps(row.step));
    finished(StopReason::MaxTime, message)
}

/// The end of a run that was asked to stop after `step`.
pub fn interrupted(step: u64) -> Ending {
    let message = format!("stopped by request after {}", units::steps(step));
    Ending { status: Status::Interrupted, reason: StopReason::Interrupted, message }
}

/// Guessing costs ln(vocabulary), about 11 nats; no run comes back from this loss.
const LOST_NATS: f64 = 1e6;

/// The end of a run whose weights of `step` are no model any more: `tensor` holds what is not finite.
pub fn spoilt(step: u64, tensor: &str) -> Ending {
    let message = format!(
        "the weights were no longer finite after {} ({tensor}), and no checkpoint was made of them",
        units::steps(step)
    );
    Ending { status: Status::Diverged, reason: StopReason::Diverged, message }
}

/// The end of a run whose weights are of no use: their loss on `what` is none that a model has.
pub fn lost(loss: Option<f64>, what: &str) -> Option<Ending> {
    let message = match loss {
        Some(loss) if !loss.is_finite() => format!("the loss on {what} was no longer a finite number"),
        Some(loss) if loss > LOST_NATS => {
            format!("the loss on {what} had grown to {} nats", units::loss(loss))
        }
        _ => return None,
    };
    Some(Ending { status: Status::Diverged, reason: StopReason::Diverged, message })
}

/// The end of a run whose step cannot be gone on from. A gradient that is not finite has spoilt the weights even where the
/// loss before it was still a number; a step without a norm left them as they were.
pub fn diverged(row: &MetricsRow) -> Option<Ending> {
    let finite = |value: Option<f64>| value.filter(|value| value.is_finite());
    let message = match (finite(row.train_loss), row.grad_norm) {
        (None, _) => "the train loss was no longer a finite number".to_owned(),
        (Some(loss), _) if loss > LOST_NATS => {
            format!("the train loss had grown to {} nats", units::loss(loss))
        }
        (_, Some(norm)) if !norm.is_finite() => "the gradient was no longer finite".to_owned(),
        _ => return None,
    };
    Some(Ending { status: Status::Diverged, reason: StopReason::Diverged, message })
}

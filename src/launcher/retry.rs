//! What is done about a failed run: `[on_failure]`.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::experiment::{OnFailurePlan, RunPlan};
use crate::config::{self, ConfigErrors};
use crate::facts::{KeyChange, Status, StopReason};
use crate::store::manifest::Manifest;
use crate::store::{RunDir, StoreError};

/// Longest wait between two attempts.
const LONGEST_BACKOFF_SECS: f64 = 600.0;

/// The attempts of one run, by the class of failure that each ended with.
#[derive(Debug, Default)]
pub struct Tries(BTreeMap<StopReason, u64>);

/// Another attempt.
#[derive(Debug, PartialEq)]
pub struct Retry {
    pub wait: Duration,
    /// Whether the batch is to be halved first.
    pub halve_batch: bool,
}

impl Tries {
    /// Of a run that an earlier call left while it waited for another attempt: those that it had count.
    pub fn of(manifest: &Manifest) -> Self {
        let mut tries = Self::default();
        if manifest.retry_at.is_some() {
            for class in manifest.attempts.iter().filter_map(|attempt| attempt.stop_reason) {
                *tries.0.entry(class).or_insert(0) += 1;
            }
        }
        tries
    }

    /// Whether a run that ended with `class` is tried again.
    pub fn after(&mut self, class: StopReason, policy: &OnFailurePlan, batch_size: usize) -> Option<Retry> {
        let failures = self.0.entry(class).or_insert(0);
        *failures += 1;
        let halve_batch = class == StopReason::OutOfMemory && policy.halve_batch && batch_size > 1;
        // Waiting does not make a batch fit.
        if halve_batch {
            return Some(Retry { wait: Duration::ZERO, halve_batch });
        }
        if *failures > policy.retries(class) {
            return None;
        }
        let before = self.0.values().sum::<u64>() - 1;
        let doublings = i32::try_from(before.min(30)).unwrap_or(30);
        let secs =
            (policy.backoff_secs * 2f64.powi(doublings)).min(LONGEST_BACKOFF_SECS.max(policy.backoff_secs));
        Some(Retry { wait: Duration::from_secs_f64(secs), halve_batch })
    }
}

/// Whether a failed run's record says that its policy asks for another attempt. The process that would have started it may be
/// gone.
pub fn is_owed(manifest: &Manifest, plan: &RunPlan) -> bool {
    let (Status::Failed, Some(class)) = (manifest.status, manifest.stop_reason) else { return false };
    let halves = class == StopReason::OutOfMemory && plan.on_failure.halve_batch && plan.train.batch_size > 1;
    let failures =
        manifest.attempts.iter().filter(|attempt| attempt.stop_reason == Some(class)).count() as u64;
    manifest.waits_for_retry() || halves || (failures > 0 && failures <= plan.on_failure.retries(class))
}

/// A run's configuration could not be adapted.
#[derive(Debug, thiserror::Error)]
pub enum AdaptError {
    #[error(transparent)]
    Config(#[from] ConfigErrors),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Has the run in `dir` go on with a smaller batch and as much more accumulation, so that a step keeps its tokens: half of it, or
/// for odd sizes the largest part. Evaluations keep their windows too. Says in the manifest what was changed, and returns it.
pub fn halve_batch(dir: &RunDir, manifest: &mut Manifest) -> Result<Vec<KeyChange>, AdaptError> {
    let plan = config::read_frozen(&dir.config(), manifest.config_sha256.as_deref())?;
    let changes = halved(&plan);
    let values: Vec<(&str, i64)> =
        changes.iter().map(|(key, _, now)| (*key, i64::try_from(*now).unwrap_or(i64::MAX))).collect();
    let adapted = config::adapted(&plan, &values, "on_failure.halve_batch");
    let mut noted = Vec::new();
    for (key, before, now) in changes {
        let change = KeyChange { key: key.to_owned(), before: before.to_string(), now: now.to_string() };
        match manifest.adapted.iter_mut().find(|earlier| earlier.key == key) {
            // The first value stays what it was before everything.
            Some(earlier) => earlier.now.clone_from(&change.now),
            None => manifest.adapted.push(change.clone()),
        }
        noted.push(change);
    }
    dir.replace_config(&config::render_frozen(&adapted), manifest)?;
    Ok(noted)
}

/// Key, value, new value.
fn halved(plan: &RunPlan) -> Vec<(&'static str, usize, usize)> {
    let train = &plan.train;
    let factor = (2..=train.batch_size).find(|factor| train.batch_size.is_multiple_of(*factor)).unwrap_or(1);
    let (accumulation, evaluated) = (train.gradient_accumulation_steps, train.eval_batches);
    vec![
        ("train.batch_size", train.batch_size, train.batch_size / factor),
        ("train.gradient_accumulation_steps", accumulation, accumulation.saturating_mul(factor)),
        ("train.eval_batches", evaluated, evaluated.saturating_mul(factor)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(halve_batch: bool) -> OnFailurePlan {
        OnFailurePlan { retry_killed: 3, halve_batch, ..OnFailurePlan::default() }
    }

    #[test]
    fn each_class_has_its_retries_and_waits_grow() {
        let mut tries = Tries::default();
        let mut wait = |class| tries.after(class, &policy(false), 8).map(|retry| retry.wait.as_secs());
        assert_eq!(wait(StopReason::Killed), Some(10));
        assert_eq!(wait(StopReason::Killed), Some(20));
        assert_eq!(wait(StopReason::Device), Some(40));
        assert_eq!(wait(StopReason::Device), None);
        assert_eq!(wait(StopReason::Panic), None);
        assert_eq!(wait(StopReason::Diverged), None);
    }

    #[test]
    fn waits_do_not_grow_without_end() {
        let many = OnFailurePlan { retry_killed: 1_000, ..policy(false) };
        let mut tries = Tries::default();
        for _ in 0..200 {
            assert!(tries.after(StopReason::Killed, &many, 8).unwrap().wait <= Duration::from_secs(600));
        }
    }

    #[test]
    fn a_batch_is_halved_as_often_as_it_can_be() {
        let mut tries = Tries::default();
        let halving = Some(Retry { wait: Duration::ZERO, halve_batch: true });
        assert_eq!(tries.after(StopReason::OutOfMemory, &policy(true), 8), halving);
        assert_eq!(tries.after(StopReason::OutOfMemory, &policy(true), 4), halving);
        assert_eq!(tries.after(StopReason::OutOfMemory, &policy(true), 1), None);
        assert_eq!(tries.after(StopReason::OutOfMemory, &policy(false), 8), None);
    }
}

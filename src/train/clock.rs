//! The run's clock: the wall's, or the one that a scripted engine pretends.

use std::time::{Duration, Instant};

use crate::facts::StepPart;
use crate::store::manifest::TimeInfo;

/// Seconds of training, of the attempts before this one too as far as their steps were kept.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// What the kept steps of earlier attempts took.
    before_secs: f64,
    /// The sum of pretended step times, once the engine pretends.
    virtual_secs: Option<f64>,
}

impl Clock {
    /// Starts, or goes on from `before_secs`.
    pub fn resume(before_secs: f64) -> Self {
        Self { started: Instant::now(), before_secs, virtual_secs: None }
    }

    /// Switches to pretended time and moves it on.
    pub fn advance(&mut self, secs: f64) {
        *self.virtual_secs.get_or_insert(self.before_secs) += secs;
    }

    pub fn elapsed_secs(&self) -> f64 {
        self.virtual_secs.unwrap_or_else(|| self.before_secs + self.started.elapsed().as_secs_f64())
    }

    /// Where the time of this attempt went until now; nothing to say when it is pretended.
    pub fn account(&self, steps_secs: f64, step_parts: Vec<StepPart>, spent: &Spent) -> Option<TimeInfo> {
        if self.virtual_secs.is_some() {
            return None;
        }
        let [evaluations_secs, samples_secs, checkpoints_secs] =
            [spent.evaluations, spent.samples, spent.checkpoints].map(|time| time.as_secs_f64());
        let named = steps_secs + evaluations_secs + samples_secs + checkpoints_secs;
        let rest_secs = (self.started.elapsed().as_secs_f64() - named).max(0.0);
        Some(TimeInfo { steps_secs, evaluations_secs, samples_secs, checkpoints_secs, rest_secs, step_parts })
    }
}

/// What a run spends beside its steps.
#[derive(Debug, Default)]
pub struct Spent {
    pub evaluations: Duration,
    pub samples: Duration,
    pub checkpoints: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretended_time_is_the_sum_of_pretended_steps() {
        let mut clock = Clock::resume(0.0);
        clock.advance(0.25);
        clock.advance(0.5);
        assert_eq!(clock.elapsed_secs(), 0.75);
        assert_eq!(clock.account(0.75, Vec::new(), &Spent::default()), None);
    }

    #[test]
    fn a_resumed_clock_goes_on_where_it_was() {
        assert!(Clock::resume(30.0).elapsed_secs() >= 30.0);
        let mut pretending = Clock::resume(30.0);
        pretending.advance(0.5);
        assert_eq!(pretending.elapsed_secs(), 30.5);
    }

    #[test]
    fn the_parts_of_an_account_are_the_whole() {
        let clock = Clock::resume(0.0);
        std::thread::sleep(Duration::from_millis(5));
        let spent = Spent { evaluations: Duration::from_millis(1), ..Spent::default() };
        let before = clock.elapsed_secs();
        let account = clock.account(0.002, Vec::new(), &spent).unwrap();
        let whole = 0.002 + account.evaluations_secs + account.rest_secs;
        assert!((before..=clock.elapsed_secs()).contains(&whole), "{before} {whole}");
    }
}

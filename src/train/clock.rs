//! The run's clock: the wall's, or the one that a scripted engine pretends.

use std::time::Instant;

/// Seconds since training began.
#[derive(Debug)]
pub struct Clock {
    started: Instant,
    /// The sum of pretended step times, once the engine pretends.
    virtual_secs: Option<f64>,
}

impl Clock {
    pub fn start() -> Self {
        Self { started: Instant::now(), virtual_secs: None }
    }

    /// Switches to pretended time and moves it on.
    pub fn advance(&mut self, secs: f64) {
        *self.virtual_secs.get_or_insert(0.0) += secs;
    }

    pub fn elapsed_secs(&self) -> f64 {
        self.virtual_secs.unwrap_or_else(|| self.started.elapsed().as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pretended_time_is_the_sum_of_pretended_steps() {
        let mut clock = Clock::start();
        clock.advance(0.25);
        clock.advance(0.5);
        assert_eq!(clock.elapsed_secs(), 0.75);
    }
}

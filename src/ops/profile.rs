//! Where the time of a step goes, by kind of work: a clock on the thread that computes the step, which operations tell what
//! they are at. The other threads of the pool only ever help with that.

use std::cell::Cell;
use std::ops::AddAssign;
use std::time::{Duration, Instant};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Products with weights, forward and backward, those of the head among them.
    Products,
    /// Scores, softmax and weighted sums with their own products, forward and backward.
    Attention,
    LayerNorms,
    Gelu,
    /// The softmax of the head and its gradient.
    CrossEntropy,
    /// Biases, residual additions and dropout.
    Elementwise,
    Embeddings,
    /// Weights and activations out of tensors: dfdx gives no view of them.
    Copies,
    /// The gradient's norm, clipping, moments and update.
    Optimizer,
    /// Muon's products.
    Orthogonalisation,
    /// All that nobody claimed.
    Other,
}

impl Part {
    /// Every kind, in the order of a report.
    pub const ALL: [Self; 11] = [
        Self::Products,
        Self::Attention,
        Self::LayerNorms,
        Self::Gelu,
        Self::CrossEntropy,
        Self::Elementwise,
        Self::Embeddings,
        Self::Copies,
        Self::Optimizer,
        Self::Orthogonalisation,
        Self::Other,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Products => "matrix products",
            Self::Attention => "attention",
            Self::LayerNorms => "layer norms",
            Self::Gelu => "GELU",
            Self::CrossEntropy => "cross entropy",
            Self::Elementwise => "biases, residuals, dropout",
            Self::Embeddings => "embeddings",
            Self::Copies => "copies of weights and activations",
            Self::Optimizer => "optimizer",
            Self::Orthogonalisation => "Muon's orthogonalisation",
            Self::Other => "other",
        }
    }
}

/// Time by kind of work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Profile([Duration; Part::ALL.len()]);

impl Profile {
    pub fn get(&self, part: Part) -> Duration {
        self.0[part as usize]
    }

    /// Whether an operation said anything. On devices whose operations do not, all is [`Part::Other`].
    pub fn is_telling(&self) -> bool {
        let silent = [Part::Other, Part::Optimizer, Part::Orthogonalisation];
        Part::ALL.iter().any(|&part| !silent.contains(&part) && !self.get(part).is_zero())
    }
}

impl AddAssign for Profile {
    fn add_assign(&mut self, other: Self) {
        self.0.iter_mut().zip(other.0).for_each(|(sum, time)| *sum += time);
    }
}

#[derive(Clone, Copy)]
struct Clock {
    part: Part,
    since: Instant,
    spent: Profile,
}

thread_local! {
    static CLOCK: Cell<Option<Clock>> = const { Cell::new(None) };
}

/// Books the time until now and goes on with `part`; returns what this thread was at, or nothing when nobody measures.
fn switch(part: Part) -> Option<Part> {
    let mut clock = CLOCK.get()?;
    let (now, before) = (Instant::now(), clock.part);
    clock.spent.0[before as usize] += now - clock.since;
    (clock.part, clock.since) = (part, now);
    CLOCK.set(Some(clock));
    Some(before)
}

/// Measures what this thread does from [`Stopwatch::start`] to [`Stopwatch::stop`]. One at a time per thread.
#[derive(Debug)]
pub struct Stopwatch(());

impl Stopwatch {
    pub fn start() -> Self {
        CLOCK.set(Some(Clock { part: Part::Other, since: Instant::now(), spent: Profile::default() }));
        Self(())
    }

    pub fn stop(self) -> Profile {
        switch(Part::Other);
        CLOCK.get().map_or_else(Profile::default, |clock| clock.spent)
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        CLOCK.set(None);
    }
}

/// Until it is dropped this thread is at its part of the work; then at what it was before.
#[derive(Debug)]
pub struct Timed(Option<Part>);

/// This thread is at `part` as long as the result lives: work within work counts for the inner one alone.
#[must_use = "it measures as long as it lives"]
pub fn timed(part: Part) -> Timed {
    Timed(switch(part))
}

impl Drop for Timed {
    fn drop(&mut self) {
        if let Some(before) = self.0 {
            switch(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn work() {
        std::thread::sleep(Duration::from_millis(2));
    }

    #[test]
    fn work_within_work_counts_once() {
        let whole = Instant::now();
        let stopwatch = Stopwatch::start();
        {
            let _timed = timed(Part::CrossEntropy);
            work();
            {
                let _timed = timed(Part::Products);
                work();
            }
            work();
        }
        work();
        let profile = stopwatch.stop();
        let whole = whole.elapsed();
        let at_least = |part, times| assert!(profile.get(part) >= Duration::from_millis(2) * times);
        at_least(Part::CrossEntropy, 2);
        at_least(Part::Products, 1);
        at_least(Part::Other, 1);
        assert_eq!(profile.get(Part::Gelu), Duration::ZERO);
        assert!(Part::ALL.iter().map(|&part| profile.get(part)).sum::<Duration>() <= whole);
    }

    #[test]
    fn nothing_is_measured_without_a_stopwatch() {
        let stopwatch = Stopwatch::start();
        drop(stopwatch);
        drop(timed(Part::Gelu));
        assert!(CLOCK.get().is_none());
        assert!(!Stopwatch::start().stop().is_telling());
    }

    #[test]
    fn parts_are_in_the_order_of_their_list() {
        for (index, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, index);
        }
    }
}

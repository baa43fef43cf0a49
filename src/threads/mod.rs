//! Threads that compute, and what they do with the smallest numbers.
//!
//! A softmax that is sure of itself leaves weights below 1e-38 for everything else. Numbers so small are *subnormal*, and each
//! operation on one takes many processors a hundred cycles or more where it else takes a few: the time of a step would depend on
//! what the model has learnt. So whatever computes takes them for zeros, as TensorFlow and XLA do.
//!
//! That is a mode of a thread, and hence a matter of who computes:
//!
//! - The threads of a [`Pool`] do nothing else, and have the mode as long as they live.
//! - What is handed to [`Pool::install`] runs on one of them, but also writes files and starts threads, which inherit the mode of
//!   their parent. It has the mode while it holds what [`flush`] returns. Each step of an engine and each pass of a decoder does.
//! - Other threads never have it, not even while they call an engine. The rayon pool that helps them belongs to somebody else, who
//!   does not expect its arithmetic to change; and it would have to change in all of its threads, or the bits of a result would
//!   depend on who took part. To reach all of them is to wait for whatever else they are at, which may be for ever.

use std::cell::Cell;
use std::marker::PhantomData;

use rayon::{ThreadPool, ThreadPoolBuildError, ThreadPoolBuilder};

use register::Mode;

mod register;

#[cfg(test)]
mod tests;

thread_local! {
    /// Whether this is a thread of a [`Pool`].
    static COMPUTES: Cell<bool> = const { Cell::new(false) };
}

/// A rayon pool whose threads take subnormal numbers for zeros.
#[derive(Debug)]
pub struct Pool(ThreadPool);

impl Pool {
    /// A pool of this many threads (0: as many as rayon takes by itself), which are called `name-0`, `name-1` and so on.
    ///
    /// # Errors
    /// When the system gives no more threads.
    pub fn new(threads: usize, name: &'static str) -> Result<Self, ThreadPoolBuildError> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(move |index| format!("{name}-{index}"))
            .start_handler(|_| {
                COMPUTES.set(true);
                Mode::FLUSHING.set();
            })
            .build()?;
        Ok(Self(pool))
    }

    /// Runs `f` on a thread of the pool, and what `f` leaves to rayon on all of them. `f` itself flushes only where it calls
    /// [`flush`].
    pub fn install<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        self.0.install(|| {
            let _usual = Stay::in_mode(Mode::USUAL);
            f()
        })
    }
}

/// On a thread of a [`Pool`], subnormal numbers are zeros as long as the result lives. Elsewhere nothing changes.
#[must_use = "the mode lasts as long as it lives"]
pub fn flush() -> Flushing {
    Flushing { _stay: COMPUTES.get().then(|| Stay::in_mode(Mode::FLUSHING)) }
}

/// See [`flush`].
#[derive(Debug)]
pub struct Flushing {
    _stay: Option<Stay>,
}

/// This thread is in a mode; then again in the one before.
#[derive(Debug)]
struct Stay {
    before: Mode,
    /// It ends on the thread where it began.
    _not_send: PhantomData<*const ()>,
}

impl Stay {
    fn in_mode(mode: Mode) -> Self {
        let before = Mode::current();
        change(before, mode);
        Self { before, _not_send: PhantomData }
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        change(Mode::current(), self.before);
    }
}

/// Writing the register stalls the processor for a moment, reading it does not.
fn change(from: Mode, to: Mode) {
    if from != to {
        to.set();
    }
}

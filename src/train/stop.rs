//! How a run is asked to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Shared between the signal handler, the launcher and the loop, which looks at it between steps.
#[derive(Clone, Debug, Default)]
pub struct StopFlag(Arc<AtomicU8>);

const NOT_REQUESTED: u8 = 0;
const REQUESTED: u8 = 1;
const REQUESTED_BY_PERSON: u8 = 2;

impl StopFlag {
    /// Asks every run that holds this flag to finish its step, save, and end as interrupted.
    pub fn request(&self) {
        self.set(REQUESTED);
    }

    /// The same, from a person at the terminal.
    pub fn request_by_person(&self) {
        self.set(REQUESTED_BY_PERSON);
    }

    pub fn is_requested(&self) -> bool {
        self.0.load(Ordering::SeqCst) != NOT_REQUESTED
    }

    /// Whether a person was the first to ask.
    pub fn is_requested_by_person(&self) -> bool {
        self.0.load(Ordering::SeqCst) == REQUESTED_BY_PERSON
    }

    /// Who asked first stays the one who asked.
    fn set(&self, by: u8) {
        let _ = self.0.compare_exchange(NOT_REQUESTED, by, Ordering::SeqCst, Ordering::SeqCst);
    }
}

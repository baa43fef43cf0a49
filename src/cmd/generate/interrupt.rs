//! Ctrl-C while texts are written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering::SeqCst};

use crate::cmd::signals::{self, Asked};
use crate::error::{Error, Exit};

const IDLE: u8 = 0;
const WORKING: u8 = 1;
const STOPPED: u8 = 2;

/// The first Ctrl-C ends the text that is being written, and the program where none is; so does the second, and any other signal.
#[derive(Clone, Debug, Default)]
pub struct Interrupt(Arc<AtomicU8>);

impl Interrupt {
    /// Catches the signal from now on.
    pub fn catch() -> Result<Self, Error> {
        let interrupt = Self::default();
        let state = interrupt.0.clone();
        signals::each(move |asked| {
            if asked != Asked::ByPerson || state.compare_exchange(WORKING, STOPPED, SeqCst, SeqCst).is_err() {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
        })?;
        Ok(interrupt)
    }

    /// A text is being written until the answer is dropped.
    pub fn begin(&self) -> Working {
        self.0.store(WORKING, SeqCst);
        Working(self.0.clone())
    }
}

#[derive(Debug)]
pub struct Working(Arc<AtomicU8>);

impl Working {
    pub fn is_stopped(&self) -> bool {
        self.0.load(SeqCst) == STOPPED
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.store(IDLE, SeqCst);
    }
}

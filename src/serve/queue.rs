//! Orders that wait for the worker.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::waiting::{Hold, Outbox};
use crate::generate::{GenerateError, Settings, What};

/// Samples of one prompt for one client.
#[derive(Debug)]
pub struct Order {
    /// Index of the model.
    pub model: usize,
    pub prompt: Vec<u32>,
    pub settings: Settings,
    pub samples: usize,
    pub deadline: Instant,
    /// Number of the first sample among those of the request.
    pub first: usize,
    /// Where the texts go. A closed one means that the client is gone.
    pub to: Outbox,
    /// The prompt's place in memory.
    pub _held: Hold,
}

/// What the worker tells a client.
#[derive(Debug)]
pub enum Delivery {
    News {
        sample: usize,
        what: What,
    },
    /// The time is over.
    TimedOut,
    /// The server stops.
    Closing,
    /// Too much waits for the client to read it.
    Slow,
    Failed(GenerateError),
}

/// Why an order was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Full,
    Closing,
}

/// First come, first served, up to a depth.
#[derive(Debug)]
pub struct Queue {
    depth: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Order>,
    closing: Option<Instant>,
}

impl State {
    /// Requests of which nothing has been taken up. Their orders follow each other, and only the first request's can have been
    /// taken up in part.
    fn requests(&self) -> usize {
        self.waiting.iter().filter(|order| order.first == 0).count()
    }
}

impl Queue {
    pub fn new(depth: usize) -> Self {
        Self { depth, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Takes the orders of a request, all or none.
    pub fn submit(&self, orders: Vec<Order>) -> Result<(), Refusal> {
        let mut state = self.lock();
        if state.closing.is_some() {
            return Err(Refusal::Closing);
        }
        if state.requests() >= self.depth {
            // Clients that are gone need no place.
            state.waiting.retain(|order| !order.to.is_closed());
        }
        if state.requests() >= self.depth {
            return Err(Refusal::Full);
        }
        state.waiting.extend(orders);
        self.changed.notify_all();
        Ok(())
    }

    /// The orders that come next and have `room` texts at most together; the first one in any case if `is_idle`. Waits for one
    /// if `is_idle`. `None` when the queue is closed and nothing waits.
    pub fn take(&self, room: usize, is_idle: bool) -> Option<Vec<Order>> {
        let mut state = self.lock();
        while is_idle && state.waiting.is_empty() {
            if state.closing.is_some() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let mut taken: Vec<Order> = Vec::new();
        let mut texts = 0;
        while let Some(order) = state.waiting.front() {
            let must = is_idle && taken.is_empty();
            if texts + order.samples > room && !must {
                break;
            }
            texts += order.samples;
            taken.extend(state.waiting.pop_front());
        }
        Some(taken)
    }

    /// Takes no more orders.
    pub fn close(&self) {
        let mut state = self.lock();
        state.closing.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Since when no more orders are taken.
    pub fn closing_since(&self) -> Option<Instant> {
        self.lock().closing
    }

    /// Orders that wait.
    pub fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

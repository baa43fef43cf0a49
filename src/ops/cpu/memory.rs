//! Buffers that are used again. A step needs the same sizes as the one before it, and on most systems a large fresh
//! allocation is mapped, zeroed page by page at first touch, and unmapped again. Sizes that are nearly the same share their
//! buffers, because a text that grows while it is sampled needs every size once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use dfdx::prelude::CpuError;

/// A size that was not asked for during this many requests is given back to the system. A training step of GPT-2 124M makes
/// some hundreds.
const PATIENCE: u64 = 4096;

#[derive(Default)]
struct Pool {
    /// By [`capacity`].
    free: BTreeMap<usize, Shelf>,
    requests: u64,
}

/// What a buffer of this length is made for: up to a quarter more. Pages that are never touched take no memory.
fn capacity(len: usize) -> usize {
    len.checked_next_power_of_two().map_or(len, |power| len.next_multiple_of((power / 8).max(1)))
}

#[derive(Default)]
struct Shelf {
    buffers: Vec<Vec<f32>>,
    last_request: u64,
}

thread_local! {
    /// A run trains on one thread; the workers that help it do not take buffers. The memory goes with the thread.
    static POOL: RefCell<Pool> = RefCell::default();
}

impl Pool {
    fn take(&mut self, len: usize) -> Option<Vec<f32>> {
        self.requests += 1;
        let requests = self.requests;
        if requests.is_multiple_of(PATIENCE / 8) {
            self.free.retain(|_, shelf| shelf.last_request + PATIENCE > requests);
        }
        let shelf = self.free.entry(capacity(len)).or_default();
        shelf.last_request = requests;
        shelf.buffers.pop()
    }
}

/// Working memory of a fixed length. It goes back to its thread's pool when it is dropped.
#[derive(Debug)]
pub struct Buffer(Vec<f32>);

impl Buffer {
    /// A buffer whose content is unspecified: zeros, or what was last written to it.
    pub fn try_take(len: usize) -> Result<Self, CpuError> {
        let mut buffer = POOL.with_borrow_mut(|pool| pool.take(len)).unwrap_or_default();
        if buffer.capacity() < len {
            // What it held is of no interest, so it need not be moved.
            buffer = Vec::new();
            buffer.try_reserve_exact(capacity(len)).map_err(|_| CpuError::OutOfMemory)?;
        }
        buffer.resize(len, 0.0);
        Ok(Self(buffer))
    }

    /// The memory itself, which then does not return to the pool.
    pub fn into_vec(mut self) -> Vec<f32> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.is_empty() {
            return;
        }
        // A thread that ends has no pool any more; then the memory is freed.
        let _ = POOL.try_with(|pool| {
            if let Ok(mut pool) = pool.try_borrow_mut() {
                pool.free.entry(capacity(buffer.len())).or_default().buffers.push(buffer);
            }
        });
    }
}

impl Deref for Buffer {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.0
    }
}

/// Takes a gradient out of its storage, which is empty afterwards.
pub fn take(storage: &mut Vec<f32>) -> Buffer {
    Buffer(std::mem::take(storage))
}

/// Moves a gradient into storage of the same length, whatever that held.
pub fn put(storage: &mut Vec<f32>, mut gradient: Buffer) {
    std::mem::swap(storage, &mut gradient.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_by_lengths_that_are_nearly_the_same() {
        let buffer = Buffer::try_take(1001).unwrap();
        let address = buffer.as_ptr();
        drop(buffer);
        let other = Buffer::try_take(2002).unwrap();
        assert_ne!(other.as_ptr(), address);
        for len in [1001, 1024, 897] {
            let buffer = Buffer::try_take(len).unwrap();
            assert_eq!((buffer.as_ptr(), buffer.len()), (address, len));
        }
    }

    #[test]
    fn a_buffer_has_room_for_a_quarter_more_at_most() {
        for len in [1, 2, 3, 7, 8, 9, 1000, 1025, 1_000_003, usize::MAX / 2, usize::MAX - 1] {
            let capacity = capacity(len);
            assert!(capacity >= len && capacity - len <= len / 4, "{len}: {capacity}");
        }
    }

    #[test]
    fn memory_that_came_from_elsewhere_grows_where_it_must() {
        drop(Buffer(vec![1.0; 900]));
        assert_eq!(Buffer::try_take(1024).unwrap().len(), 1024);
    }

    #[test]
    fn lengths_that_nobody_asks_for_any_more_are_given_back() {
        drop(Buffer::try_take(123).unwrap());
        for _ in 0..2 * PATIENCE {
            drop(Buffer::try_take(7).unwrap());
        }
        POOL.with_borrow(|pool| assert_eq!(pool.free.keys().copied().collect::<Vec<_>>(), [capacity(7)]));
    }

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        assert!(matches!(Buffer::try_take(usize::MAX / 8), Err(CpuError::OutOfMemory)));
    }
}

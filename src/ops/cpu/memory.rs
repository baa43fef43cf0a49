//! Buffers that are used again. A step needs the same sizes as the one before it, and on most systems a large fresh
//! allocation is mapped, zeroed page by page at first touch, and unmapped again. Sizes that are nearly the same share their
//! buffers, because a text that grows while it is sampled needs every size once.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};

use dfdx::prelude::CpuError;

use super::bf16::{Bf16, LINE, Line};

/// A size that was not asked for during this many requests is given back to the system. A training step of GPT-2 124M makes
/// some hundreds.
const PATIENCE: u64 = 4096;

pub struct Pool<T> {
    /// By [`capacity`].
    free: BTreeMap<usize, Shelf<T>>,
    requests: u64,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self { free: BTreeMap::new(), requests: 0 }
    }
}

/// What a buffer of this length is made for: up to a quarter more. Pages that are never touched take no memory.
fn capacity(len: usize) -> usize {
    len.checked_next_power_of_two().map_or(len, |power| len.next_multiple_of((power / 8).max(1)))
}

pub struct Shelf<T> {
    buffers: Vec<Vec<T>>,
    last_request: u64,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { buffers: Vec::new(), last_request: 0 }
    }
}

/// What buffers are made of: each has pools of its own, one for each thread. A run trains on one thread; the workers that help
/// it do not take buffers. The memory goes with the thread.
pub trait Pooled: Copy + 'static {
    const ZERO: Self;
    /// Whether large buffers ask for huge pages.
    const HUGE_PAGES: bool;

    /// Runs `act` with this thread's pool; `None` when the thread ends and has none any more.
    fn with_pool<R>(act: impl FnOnce(&mut Pool<Self>) -> R) -> Option<R>;
}

macro_rules! pooled {
    ($type:ty, $zero:expr, $huge_pages:expr) => {
        impl Pooled for $type {
            const ZERO: Self = $zero;
            const HUGE_PAGES: bool = $huge_pages;

            fn with_pool<R>(act: impl FnOnce(&mut Pool<Self>) -> R) -> Option<R> {
                thread_local! {
                    static POOL: RefCell<Pool<$type>> = RefCell::default();
                }
                POOL.try_with(|pool| pool.try_borrow_mut().ok().map(|mut pool| act(&mut pool))).ok().flatten()
            }
        }
    };
}

// In f32 huge pages gained nothing: products copy what they read.
pooled!(f32, 0.0, false);
// Tiles are read as they lie, sixteen rows at a time, each on a page of its own.
pooled!(Line, Line([Bf16::ZERO; LINE]), true);

impl<T> Pool<T> {
    fn take(&mut self, len: usize) -> Option<Vec<T>> {
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
pub struct Buffer<T: Pooled = f32>(Vec<T>);

impl<T: Pooled> Buffer<T> {
    /// A buffer whose content is unspecified: zeros, or what was last written to it.
    pub fn try_take(len: usize) -> Result<Self, CpuError> {
        let mut buffer = T::with_pool(|pool| pool.take(len)).flatten().unwrap_or_default();
        if buffer.capacity() < len {
            // What it held is of no interest, so it need not be moved.
            buffer = Vec::new();
            buffer.try_reserve_exact(capacity(len)).map_err(|_| CpuError::OutOfMemory)?;
            if T::HUGE_PAGES {
                ask_for_huge_pages(&mut buffer);
            }
        }
        buffer.resize(len, T::ZERO);
        Ok(Self(buffer))
    }

    /// The memory itself, which then does not return to the pool.
    pub fn into_vec(mut self) -> Vec<T> {
        std::mem::take(&mut self.0)
    }
}

impl<T: Pooled> Drop for Buffer<T> {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        if buffer.is_empty() {
            return;
        }
        // Without a pool the memory is freed.
        T::with_pool(|pool| pool.free.entry(capacity(buffer.len())).or_default().buffers.push(buffer));
    }
}

impl<T: Pooled> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: Pooled> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.0
    }
}

/// The first `len` numbers of working memory that only grows. What they hold is unspecified.
pub fn room(work: &mut Vec<f32>, len: usize) -> &mut [f32] {
    if work.len() < len {
        // What it held is of no interest: freed first, it is neither moved nor held beside the new memory.
        *work = Vec::new();
        *work = vec![0.0; len];
    }
    &mut work[..len]
}

/// Tells the system, before the memory is touched, that it may come in pages of 2 MiB. A wish: nothing depends on it.
fn ask_for_huge_pages<T>(memory: &mut Vec<T>) {
    const HUGE_PAGE: usize = 2 << 20;
    #[cfg(target_os = "linux")]
    {
        use nix::sys::mman::{MmapAdvise, madvise};
        let start = memory.as_mut_ptr() as usize;
        let first = start.next_multiple_of(HUGE_PAGE);
        let end = (start + memory.capacity() * size_of::<T>()) / HUGE_PAGE * HUGE_PAGE;
        if let Some(first) = std::ptr::NonNull::new(first as *mut std::ffi::c_void)
            && (first.as_ptr() as usize) < end
        {
            let len = end - first.as_ptr() as usize;
            // SAFETY: the range lies inside memory that this vector owns, and this advice changes no content.
            let _ = unsafe { madvise(first, len, MmapAdvise::MADV_HUGEPAGE) };
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (memory, HUGE_PAGE);
}

/// Working memory for bf16 numbers, at an address that is a multiple of a cache line.
#[derive(Debug)]
pub struct Bf16Buffer {
    lines: Buffer<Line>,
    len: usize,
}

impl Bf16Buffer {
    /// See [`Buffer::try_take`].
    pub fn try_take(len: usize) -> Result<Self, CpuError> {
        Ok(Self { lines: Buffer::try_take(len.div_ceil(LINE))?, len })
    }
}

impl Deref for Bf16Buffer {
    type Target = [Bf16];
    fn deref(&self) -> &[Bf16] {
        &Line::flatten(&self.lines)[..self.len]
    }
}

impl DerefMut for Bf16Buffer {
    fn deref_mut(&mut self) -> &mut [Bf16] {
        &mut Line::flatten_mut(&mut self.lines)[..self.len]
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
        let buffer = Buffer::<f32>::try_take(1001).unwrap();
        let address = buffer.as_ptr();
        drop(buffer);
        let other = Buffer::<f32>::try_take(2002).unwrap();
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
        assert_eq!(Buffer::<f32>::try_take(1024).unwrap().len(), 1024);
    }

    #[test]
    fn lengths_that_nobody_asks_for_any_more_are_given_back() {
        drop(Buffer::<f32>::try_take(123).unwrap());
        for _ in 0..2 * PATIENCE {
            drop(Buffer::<f32>::try_take(7).unwrap());
        }
        let lengths = f32::with_pool(|pool| pool.free.keys().copied().collect::<Vec<_>>());
        assert_eq!(lengths, Some(vec![capacity(7)]));
    }

    #[test]
    fn working_memory_grows_to_the_largest_size_and_stays() {
        let mut work = Vec::new();
        for (len, held) in [(3, 3), (1000, 1000), (10, 1000)] {
            assert_eq!(room(&mut work, len).len(), len);
            assert_eq!((work.len(), work.capacity()), (held, held));
        }
    }

    #[test]
    fn more_memory_than_there_is_is_an_error() {
        assert!(matches!(Buffer::<f32>::try_take(usize::MAX / 8), Err(CpuError::OutOfMemory)));
    }
}

//! Counts what each thread allocates, so that tests that run side by side do not count each other's memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// What a piece of work allocated, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allocated {
    live: i64,
    /// The most that was held at once, beyond what was held before.
    pub peak: i64,
    /// The largest single block that was asked for.
    pub largest: i64,
}

thread_local! {
    static COUNT: Cell<Allocated> = const { Cell::new(Allocated { live: 0, peak: 0, largest: 0 }) };
}

/// Does `work` and counts what this thread allocated meanwhile.
pub fn counted<T>(work: impl FnOnce() -> T) -> (T, Allocated) {
    COUNT.set(Allocated::default());
    let result = work();
    (result, COUNT.get())
}

/// The system's allocator, with a count.
pub struct Counting;

impl Counting {
    fn add(bytes: usize) {
        // Fails while a thread ends, when nobody counts any more.
        let _ = COUNT.try_with(|count| {
            let mut now = count.get();
            now.live += bytes as i64;
            now.peak = now.peak.max(now.live);
            now.largest = now.largest.max(bytes as i64);
            count.set(now);
        });
    }

    fn remove(bytes: usize) {
        let _ = COUNT.try_with(|count| {
            let now = count.get();
            count.set(Allocated { live: now.live - bytes as i64, ..now });
        });
    }
}

// SAFETY: every call is passed on to the system's allocator as it came; counting touches no memory that is handed out, and
// the counter is a constant-initialised thread local, which allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: the caller keeps the contract of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Counting::add(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        Counting::add(new_size);
        Counting::remove(layout.size());
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, new_size) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        Counting::remove(layout.size());
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[test]
fn the_count_sees_the_peak_and_the_largest_block() {
    let (kept, allocated) = counted(|| {
        drop(vec![0_u8; 3 << 20]);
        vec![1_u8; 1 << 20]
    });
    assert_eq!((allocated.peak, allocated.largest), (3 << 20, 3 << 20));
    assert_eq!(allocated.live, kept.len() as i64);
}

//! Working memory of one thread for what it packs.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};

use super::{Bf16, Line};

const HUGE_PAGE: usize = 2 << 20;

/// Lines that grow on demand and are kept. Much memory comes in huge pages where the system grants them.
pub struct Pages {
    data: *mut Line,
    len: usize,
}

impl Default for Pages {
    fn default() -> Self {
        Self { data: std::ptr::null_mut(), len: 0 }
    }
}

impl Pages {
    /// The first `len` lines, which hold zeros or what was last written to them; growing forgets that.
    pub fn lines(&mut self, len: usize) -> &mut [Line] {
        if self.len < len {
            *self = Self::zeroed(len);
        }
        if len == 0 {
            return &mut [];
        }
        // SAFETY: there are as many lines, they were written when they were allocated, and `self` is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.data, len) }
    }

    fn zeroed(len: usize) -> Self {
        let len = len.next_multiple_of(if is_huge(len) { HUGE_PAGE / size_of::<Line>() } else { 64 });
        let layout = layout(len);
        // SAFETY: the layout is not empty.
        let data = unsafe { alloc(layout) }.cast::<Line>();
        if data.is_null() {
            handle_alloc_error(layout);
        }
        // The wish must come before the first touch. If it is refused, pages are small: slower, and nothing else.
        #[cfg(target_os = "linux")]
        if is_huge(len) {
            // SAFETY: these are whole pages that nobody else uses, and the advice changes no content.
            unsafe { nix::libc::madvise(data.cast(), layout.size(), nix::libc::MADV_HUGEPAGE) };
        }
        // SAFETY: the memory is that large.
        (0..len).for_each(|i| unsafe { data.add(i).write(Line([Bf16::ZERO; 32])) });
        Self { data, len }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: it was allocated so.
            unsafe { dealloc(self.data.cast(), layout(self.len)) }
        }
    }
}

fn is_huge(len: usize) -> bool {
    len * size_of::<Line>() >= HUGE_PAGE / 4
}

fn layout(len: usize) -> Layout {
    let align = if is_huge(len) { HUGE_PAGE } else { 4096 };
    Layout::from_size_align(len * size_of::<Line>(), align).expect("no product needs that much")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_kept_until_more_are_wanted() {
        let mut pages = Pages::default();
        for len in [0, 1, 100, 20_000, 40_000] {
            let lines = pages.lines(len);
            assert!(lines.len() == len && lines.iter().all(|line| line.0 == [Bf16::ZERO; 32]));
            assert!(lines.as_ptr().is_aligned());
        }
        pages.lines(7)[6].0[3] = Bf16(1);
        assert_eq!(pages.lines(39_999)[6].0[3], Bf16(1));
    }
}

//! The bits of the calling thread's control register that make subnormal numbers zeros: `FTZ` (of results) and `DAZ` (of
//! operands) in MXCSR on x86-64, `FZ` (both) in FPCR on aarch64. Other processors stay as they are, and are only slower.
//!
//! Rust leaves no room for this: its floating-point operations are those of IEEE 754, and code that runs with these bits set is
//! undefined behaviour by the letter. What the compiler makes of that today is to compute constants itself, which flushes
//! nothing, and to move operations on registers across a change of the mode. So a subnormal number may now and then survive, or
//! be flushed a little too early or too late, and nothing here asks whether a number is one. It moves nothing across that is a
//! call or reads memory which the other code writes. TensorFlow and XLA compute in this mode on the terms of C++, which are the
//! same; without it the time of a step has no bound that is worth naming.

#[cfg(target_arch = "x86_64")]
mod processor {
    use std::arch::asm;

    /// `FTZ` and `DAZ`, which every x86-64 processor has.
    pub const FLUSH: u64 = 1 << 15 | 1 << 6;

    // The intrinsics for this, `_mm_getcsr` and `_mm_setcsr`, are deprecated in favour of these instructions.

    pub fn read() -> u64 {
        let mut mxcsr: u32 = 0;
        // SAFETY: it writes four bytes to where the pointer points, which is a variable of four bytes.
        unsafe { asm!("stmxcsr [{}]", in(reg) &raw mut mxcsr, options(nostack, preserves_flags)) };
        u64::from(mxcsr)
    }

    pub fn write(value: u64) {
        let mxcsr = value as u32;
        // SAFETY: it reads four bytes from a variable of four bytes. The value is what the register held but for `FLUSH`, so no
        // bit is set that the processor refuses, and neither rounding nor exceptions change. That later operations flush is
        // against the language's rules; the head of this file says what can come of it.
        unsafe { asm!("ldmxcsr [{}]", in(reg) &raw const mxcsr, options(nostack, preserves_flags)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod processor {
    use std::arch::asm;

    /// `FZ`.
    pub const FLUSH: u64 = 1 << 24;

    pub fn read() -> u64 {
        let fpcr: u64;
        // SAFETY: it reads a register that every program may read.
        unsafe { asm!("mrs {}, fpcr", out(reg) fpcr, options(nostack, preserves_flags)) };
        fpcr
    }

    pub fn write(value: u64) {
        // SAFETY: every program may write this register, and the value is what it held but for `FLUSH`, so neither rounding nor
        // exceptions change. That later operations flush is against the language's rules; the head of this file says what can
        // come of it.
        unsafe { asm!("msr fpcr, {}", in(reg) value, options(nostack, preserves_flags)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod processor {
    pub const FLUSH: u64 = 0;

    pub fn read() -> u64 {
        0
    }

    pub fn write(_: u64) {}
}

use processor::{FLUSH, read, write};

/// What a thread does with subnormal numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(u64);

impl Mode {
    /// They are numbers as others, as in every thread that nobody changed.
    pub const USUAL: Self = Self(0);
    /// They are zeros.
    pub const FLUSHING: Self = Self(FLUSH);

    /// The calling thread's.
    pub fn current() -> Self {
        Self(read() & FLUSH)
    }

    /// Makes it the calling thread's.
    pub fn set(self) {
        write(read() & !FLUSH | self.0);
    }
}

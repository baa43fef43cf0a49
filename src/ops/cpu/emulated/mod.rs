//! Instructions for bf16 and for bytes on processors that lack them, for tests: where one of them ends in SIGILL, it is decoded
//! and done in plain Rust, after the rules of [`twin`](super::bf16::twin) and [`whole`]. All other instructions of a kernel run
//! on the processor.
//!
//! What the kernel then shows is that it computes the right products out of the right elements. That the processor does what
//! the twin says has to be tried on one that has the instructions: there these tests run on them.

use std::arch::x86_64::{__cpuid_count, _xgetbv};
use std::ffi::{c_int, c_void};
use std::io::Write as _;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::libc::{SA_SIGINFO, SIGILL, sigaction, siginfo_t, ucontext_t};

use crate::ops::cpu::bf16::{Kernel, amx, avx512};

mod decode;
mod execute;
mod registers;
mod tests;
mod tiles;
mod whole;

/// Instructions that a kernel needs and not every processor has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extension {
    Amx,
    Avx512Bf16,
    Avx512Vnni,
    AvxVnni,
}

impl From<Kernel> for Extension {
    fn from(kernel: Kernel) -> Self {
        match kernel {
            Kernel::Amx => Self::Amx,
            Kernel::Avx512 => Self::Avx512Bf16,
            Kernel::Widened => panic!("any processor has what this kernel needs"),
        }
    }
}

impl Extension {
    fn is_available(self) -> bool {
        match self {
            Self::Amx => amx::is_available(),
            Self::Avx512Bf16 => avx512::is_available(),
            Self::Avx512Vnni => is_x86_feature_detected!("avx512vnni"),
            Self::AvxVnni => is_x86_feature_detected!("avxvnni"),
        }
    }
}

/// The means by which a test runs a kernel, as long as this lives.
#[derive(Debug)]
pub enum Means {
    Processor,
    Emulation(Emulation),
}

/// A part of the process in which the instructions are emulated.
#[derive(Debug)]
pub struct Emulation(());

static EMULATIONS: AtomicUsize = AtomicUsize::new(0);
static BEFORE: OnceLock<sigaction> = OnceLock::new();

/// Whether anybody asked for emulation and still needs it.
pub fn is_on() -> bool {
    EMULATIONS.load(Ordering::SeqCst) > 0
}

impl Means {
    /// The best means for a kernel, which it tells the reader of the test's output; none where not even the emulation works.
    pub fn find(needed: impl Into<Extension>) -> Option<Self> {
        let needed = needed.into();
        if needed.is_available() {
            say(needed, "ON THE PROCESSOR");
            return Some(Self::Processor);
        }
        if !is_x86_feature_detected!("avx512f") || !is_x86_feature_detected!("avx512bw") {
            say(needed, "SKIPPED, the emulation needs AVX-512F and AVX-512BW");
            return None;
        }
        if needed == Extension::Amx && has_forbidden_tiles() {
            say(needed, "SKIPPED, the system does not let this process use the processor's tiles");
            return None;
        }
        say(needed, "EMULATED, this processor does not have it");
        Some(Self::Emulation(Emulation::start()))
    }
}

/// Past the test harness, which keeps what tests print to itself if they pass.
fn say(needed: Extension, means: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "{needed:?} in {test}: {means}");
}

/// Then `ldtilecfg` succeeds, and only later instructions would be emulated, which know of no configuration.
fn has_forbidden_tiles() -> bool {
    // SAFETY: whoever shows AVX-512 has switched on `xgetbv`.
    __cpuid_count(7, 0).edx & 1 << 24 != 0 && unsafe { _xgetbv(0) } & 1 << 17 != 0
}

impl Emulation {
    fn start() -> Self {
        registers::learn_offsets();
        BEFORE.get_or_init(|| {
            let mut before = MaybeUninit::<sigaction>::uninit();
            // SAFETY: the handler is a function of the kind that the flags say, and all of `sigaction` may be zero.
            unsafe {
                let mut action = std::mem::zeroed::<sigaction>();
                action.sa_sigaction = handle as *const () as usize;
                action.sa_flags = SA_SIGINFO;
                assert_eq!(nix::libc::sigaction(SIGILL, &action, before.as_mut_ptr()), 0);
                before.assume_init()
            }
        });
        EMULATIONS.fetch_add(1, Ordering::SeqCst);
        Self(())
    }
}

impl Drop for Emulation {
    fn drop(&mut self) {
        EMULATIONS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Does the instructions at which the thread stopped, and lets it go on behind them. The way here costs more than most of them.
extern "C" fn handle(_signal: c_int, _info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the system passes the thread's registers, which nobody else uses while it stands still.
    let context = unsafe { &mut *context.cast::<ucontext_t>() };
    let mut done = 0;
    while is_on() && execute::next_instruction(context) {
        done += 1;
    }
    if done == 0 {
        // Not ours. The thread meets the instruction again, and what was there before takes care of it.
        let before = BEFORE.get().expect("whoever set this handler kept the one before");
        // SAFETY: that one was set before.
        unsafe { nix::libc::sigaction(SIGILL, before, std::ptr::null_mut()) };
    }
}

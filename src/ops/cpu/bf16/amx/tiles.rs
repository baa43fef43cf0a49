//! Whether there are tiles, and what they look like.

use std::arch::asm;
use std::arch::x86_64::{__cpuid, __cpuid_count, _xgetbv};
use std::marker::PhantomData;
use std::sync::LazyLock;

use crate::ops::cpu::bf16::Presence;

/// Whether the processor has AMX with bf16 numbers, and the operating system lets this process use it, for which it is asked
/// once.
pub fn presence() -> Presence {
    static PRESENCE: LazyLock<Presence> = LazyLock::new(|| match has_instructions() {
        false => Presence::Absent,
        true if is_switched_on() && is_permitted() => Presence::There,
        true => Presence::Refused,
    });
    *PRESENCE
}

/// Whether tiles can be used.
pub fn is_available() -> bool {
    presence() == Presence::There
}

fn has_instructions() -> bool {
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    // A processor that does not know the leaf would answer with another one's.
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & (AMX_BF16 | AMX_TILE) == AMX_BF16 | AMX_TILE
}

/// Whether the system has what the kernel executes beside tiles, and saves tiles.
fn is_switched_on() -> bool {
    /// States that the operating system saves when it switches threads: configuration and data of tiles.
    const SAVED: u64 = 1 << 17 | 1 << 18;
    let vectors = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
        && is_x86_feature_detected!("xsave");
    // SAFETY: the processor has `xgetbv`, and a system that has not switched it on shows no AVX-512.
    vectors && unsafe { _xgetbv(0) } & SAVED == SAVED
}

/// Tiles are large, so Linux keeps them for processes that ask. It holds for all threads, those that are there included.
#[cfg(target_os = "linux")]
fn is_permitted() -> bool {
    use nix::libc::{SYS_arch_prctl, syscall};
    const ARCH_GET_XCOMP_PERM: i32 = 0x1022;
    const ARCH_REQ_XCOMP_PERM: i32 = 0x1023;
    const TILE_DATA: u32 = 18;
    let mut permitted = 0u64;
    // SAFETY: the first call changes the process's permission and nothing else, the second writes to the address it is given.
    unsafe {
        syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, TILE_DATA) == 0
            && syscall(SYS_arch_prctl, ARCH_GET_XCOMP_PERM, &raw mut permitted) == 0
            && permitted & 1 << TILE_DATA != 0
    }
}

/// Nobody asked yet how others go about it.
#[cfg(not(target_os = "linux"))]
fn is_permitted() -> bool {
    false
}

/// Operand of `ldtilecfg`.
#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_per_row: [u16; 16],
    rows: [u8; 16],
}

/// Eight tiles of 16 rows of 64 bytes, as long as this lives, on the thread that it lives on.
pub struct Tiles {
    stays_on_its_thread: PhantomData<*const ()>,
}

impl Tiles {
    /// On a processor without AMX this ends the process.
    pub fn configure() -> Self {
        let mut configuration = Configuration {
            palette: 1,
            start_row: 0,
            reserved: [0; 14],
            bytes_per_row: [0; 16],
            rows: [0; 16],
        };
        configuration.bytes_per_row[..8].fill(64);
        configuration.rows[..8].fill(16);
        // SAFETY: it reads the 64 bytes of the operand and changes nothing but tiles, which no other code uses.
        unsafe { asm!("ldtilecfg [{}]", in(reg) &raw const configuration, options(nostack, readonly)) };
        Self { stays_on_its_thread: PhantomData }
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: it changes nothing but tiles. Threads without them cost less to switch.
        unsafe { asm!("tilerelease", options(nostack, nomem)) };
    }
}

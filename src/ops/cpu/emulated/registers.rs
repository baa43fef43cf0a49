//! The registers of a thread that stopped, as the system hands them to the handler of a signal: those that it gets back.
//!
//! # Source
//! Intel's Software Developer's Manual, volume 1, "Managing State Using the XSAVE Feature Set"; Linux, `asm/sigcontext.h`.

use std::arch::x86_64::__cpuid_count;
use std::ops::Range;
use std::sync::OnceLock;

use nix::libc::*;

use super::decode::{Base, Memory};

pub type Vector = [u32; 16];

/// Numbers of the parts of a saved state.
const SSE: usize = 1;
const AVX: usize = 2;
const MASKS: usize = 5;
const UPPER_HALVES: usize = 6;
const UPPER_SIXTEEN: usize = 7;

/// Where parts begin, as the processor says; those of old are where they always were.
static OFFSETS: OnceLock<[usize; 8]> = OnceLock::new();

/// Must come before the first signal: to ask a processor takes long, under a hypervisor.
pub fn learn_offsets() {
    OFFSETS.get_or_init(|| {
        std::array::from_fn(|part| match part {
            0 => 0,
            SSE => 160,
            part => __cpuid_count(0xd, part as u32).ebx as usize,
        })
    });
}

pub struct Registers<'a>(pub &'a mut ucontext_t);

impl Registers<'_> {
    pub fn instruction(&self) -> *const u8 {
        self.0.uc_mcontext.gregs[REG_RIP as usize] as *const u8
    }

    pub fn skip(&mut self, bytes: usize) {
        self.0.uc_mcontext.gregs[REG_RIP as usize] += bytes as i64;
    }

    /// By the number that instructions give it.
    pub fn general(&self, number: u8) -> i64 {
        let order = [
            REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10,
            REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
        ];
        self.0.uc_mcontext.gregs[order[usize::from(number)] as usize]
    }

    /// The address of an operand of an instruction of `len` bytes.
    pub fn address(&self, memory: &Memory, len: usize) -> *mut u8 {
        self.row_address(memory, len).wrapping_offset(self.row_stride(memory) as isize)
    }

    /// For tiles, the index is the distance from row to row.
    pub fn row_address(&self, memory: &Memory, len: usize) -> *mut u8 {
        let base = match memory.base {
            Base::None => 0,
            Base::Register(number) => self.general(number),
            Base::NextInstruction => self.instruction() as i64 + len as i64,
        };
        base.wrapping_add(memory.displacement) as *mut u8
    }

    pub fn row_stride(&self, memory: &Memory) -> i64 {
        memory.index.map_or(0, |index| self.general(index).wrapping_mul(i64::from(memory.scale)))
    }

    /// Whether vectors were saved as this file expects.
    pub fn have_vectors(&self) -> bool {
        const MAGIC: u32 = 0x4650_5853;
        let needed = 1u64 << SSE | 1 << AVX | 1 << MASKS | 1 << UPPER_HALVES | 1 << UPPER_SIXTEEN;
        let state = self.state();
        // SAFETY: these are in the first 512 bytes, which are always there.
        unsafe {
            !state.is_null()
                && state.add(464).cast::<u32>().read() == MAGIC
                && state.add(472).cast::<u64>().read() & needed == needed
        }
    }

    pub fn vector(&self, number: u8) -> Vector {
        let mut vector = [0; 16];
        for (part, at, words) in parts(number) {
            if self.is_in_use(part) {
                let to = &mut vector[words];
                // SAFETY: the part is in the saved state.
                unsafe {
                    self.state().add(at).cast::<u32>().copy_to_nonoverlapping(to.as_mut_ptr(), to.len());
                }
            }
        }
        vector
    }

    pub fn set_vector(&mut self, number: u8, vector: &Vector) {
        for (part, at, words) in parts(number) {
            self.use_part(part);
            let from = &vector[words];
            // SAFETY: the part is in the saved state.
            unsafe {
                self.state().add(at).cast::<u32>().copy_from_nonoverlapping(from.as_ptr(), from.len());
            }
        }
    }

    /// One of those that say which elements of a vector count.
    pub fn mask(&self, number: u8) -> u64 {
        if !self.is_in_use(MASKS) {
            return 0;
        }
        // SAFETY: the part is in the saved state.
        unsafe { self.state().add(offset(MASKS)).cast::<u64>().add(usize::from(number)).read() }
    }

    fn state(&self) -> *mut u8 {
        self.0.uc_mcontext.fpregs.cast()
    }

    /// Parts that are all zero need not have been saved.
    fn used(&self) -> *mut u64 {
        self.state().wrapping_add(512).cast()
    }

    fn is_in_use(&self, part: usize) -> bool {
        // SAFETY: behind the first 512 bytes there is the header of the saved state.
        unsafe { self.used().read() & 1 << part != 0 }
    }

    fn use_part(&mut self, part: usize) {
        if self.is_in_use(part) {
            return;
        }
        let bytes = match part {
            SSE | AVX => 16 * 16,
            UPPER_HALVES => 16 * 32,
            _ => 16 * 64,
        };
        // SAFETY: the part is in the saved state, and so is its header.
        unsafe {
            self.state().add(offset(part)).write_bytes(0, bytes);
            self.used().write(self.used().read() | 1 << part);
        }
    }
}

/// Where a vector's words are: their part, the offset of the first in the saved state, and which words of the vector.
fn parts(number: u8) -> [(usize, usize, Range<usize>); 3] {
    let number = usize::from(number);
    if number < 16 {
        [
            (SSE, offset(SSE) + 16 * number, 0..4),
            (AVX, offset(AVX) + 16 * number, 4..8),
            (UPPER_HALVES, offset(UPPER_HALVES) + 32 * number, 8..16),
        ]
    } else {
        let at = offset(UPPER_SIXTEEN) + 64 * (number - 16);
        [(UPPER_SIXTEEN, at, 0..16), (UPPER_SIXTEEN, at, 0..0), (UPPER_SIXTEEN, at, 0..0)]
    }
}

fn offset(part: usize) -> usize {
    OFFSETS.get().expect("learnt before the first signal")[part]
}

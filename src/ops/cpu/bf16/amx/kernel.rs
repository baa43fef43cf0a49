//! One block of 32 x 32 sums along a piece of the common dimension, during which the sums of the block before it leave.
//!
//! A step keeps the unit for tiles busy for 64 cycles and the rest of the processor for a few, so everything else happens
//! between its instructions:
//!
//! | step | beside four products |
//! |---|---|
//! | first | the lower half of the block before is stored |
//! | the next eight, if that block is to be rounded | four of its rows in each: bias, rounding, store |
//! | others | nothing |
//! | last | the upper half of this block is stored |
//! | each | some rows of the next piece of the left-hand side are fetched into the second cache |
//!
//! The lower half stays in its tiles until the next block, or until it is [stored](store_lower).
//!
//! # Source
//! oneDNN weaves in the same way (`jit_brgemm_amx_uker`).

use std::arch::asm;
use std::mem::offset_of;

use super::block::Quarters;

/// The shortest piece: a first step, eight that round, and a last one.
pub const SHORTEST: usize = 10;

/// What is wanted in the first and the last step only. It stays in memory, because the loop needs all registers.
#[derive(Debug)]
#[repr(C)]
pub struct Ends {
    /// Where the lower half of the block before goes; of the other tiles nothing is read.
    pub before: Quarters,
    /// What the sums begin with, if they are loaded.
    pub from: Quarters,
    /// Where the upper half goes.
    pub to: Quarters,
    /// 32 numbers that are added to each row of the block before, if it is rounded.
    pub bias: *const f32,
    /// Steps that are neither the first nor the last, and round nothing.
    pub plain_steps: usize,
}

/// The operands, and what is rounded.
#[derive(Debug)]
pub struct Piece {
    /// Rows 0 to 15 and 16 to 31 of the left-hand side, bytes from row to row and from step to step.
    pub upper: *const u8,
    pub lower: *const u8,
    pub row_stride: usize,
    pub step_stride: usize,
    /// The panel.
    pub right: *const u8,
    /// Sums of the block before (four tiles), where they go as bf16, and bytes from row to row there.
    pub sums: *const u8,
    pub rounded: *mut u8,
    pub rounded_stride: usize,
    /// Rows to fetch, which need not exist.
    pub next: *const u8,
}

/// Rows that are fetched in each step.
pub const FETCHED: [usize; 4] = [3, 4, 6, 8];

/// By fetched rows (as in [`FETCHED`]), whether sums are loaded, and whether the block before is rounded.
pub static KERNELS: [[[Kernel; 2]; 2]; 4] = [kernels!(3), kernels!(4), kernels!(6), kernels!(8)];

/// # Safety
/// Tiles are configured, all addresses are valid for what is read and written there, and the steps add up to the piece.
pub type Kernel = unsafe fn(&Ends, &Piece);

macro_rules! kernels {
    ($fetched:tt) => {
        [
            [kernel!($fetched, zero, leave), kernel!($fetched, zero, round)],
            [kernel!($fetched, load, leave), kernel!($fetched, load, round)],
        ]
    };
}
use kernels;

macro_rules! kernel {
    ($fetched:tt, $begin:ident, $rounding:ident) => {{
        unsafe fn kernel(ends: &Ends, piece: &Piece) {
            // SAFETY: as promised. No tile is declared as used, on purpose: the lower half of the sums lives on until the next
            // block, and nobody else touches tiles in between.
            unsafe {
                asm!(
                    begin!($begin, 0),
                    begin!($begin, 1),
                    "tileloadd tmm4, [{upper} + {row}*1]",
                    "tileloaddt1 tmm6, [{right} + {line}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloaddt1 tmm7, [{right} + {line}*1 + 1024]",
                    "mov {t}, [{ends} + {before} + 16]",
                    "mov {n}, [{ends} + {before} + 32]",
                    "tilestored [{t} + {n}*1], tmm2",
                    begin!($begin, 2),
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{lower} + {row}*1]",
                    "mov {t}, [{ends} + {before} + 24]",
                    "mov {n}, [{ends} + {before} + 32]",
                    "tilestored [{t} + {n}*1], tmm3",
                    begin!($begin, 3),
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    fetch!($fetched),
                    advance!(),
                    rounding!($rounding, $fetched),
                    "mov {n}, [{ends} + {plain_steps}]",
                    "test {n}, {n}",
                    "jz 5f",
                    ".p2align 6",
                    "4:",
                    step!($fetched),
                    "dec {n}",
                    "jnz 4b",
                    "5:",
                    fetch!($fetched),
                    // The upper half is complete after two products, and is stored beside the other two.
                    "tileloadd tmm4, [{upper} + {row}*1]",
                    "tileloaddt1 tmm6, [{right} + {line}*1]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tileloaddt1 tmm7, [{right} + {line}*1 + 1024]",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tileloadd tmm5, [{lower} + {row}*1]",
                    "mov {t}, [{ends} + {to}]",
                    "mov {n}, [{ends} + {to} + 32]",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tilestored [{t} + {n}*1], tmm0",
                    "mov {t}, [{ends} + {to} + 8]",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "tilestored [{t} + {n}*1], tmm1",
                    upper = inout(reg) piece.upper => _,
                    lower = inout(reg) piece.lower => _,
                    right = inout(reg) piece.right => _,
                    sums = inout(reg) piece.sums => _,
                    rounded = inout(reg) piece.rounded => _,
                    next = inout(reg) piece.next => _,
                    n = out(reg) _,
                    t = out(reg) _,
                    ends = in(reg) ends,
                    row = in(reg) piece.row_stride,
                    step = in(reg) piece.step_stride,
                    line = in(reg) 64usize,
                    rounded_stride = in(reg) piece.rounded_stride,
                    before = const offset_of!(Ends, before),
                    from = const offset_of!(Ends, from),
                    to = const offset_of!(Ends, to),
                    bias = const offset_of!(Ends, bias),
                    plain_steps = const offset_of!(Ends, plain_steps),
                    out("zmm0") _,
                    out("zmm1") _,
                    out("zmm2") _,
                    out("zmm3") _,
                    options(nostack),
                )
            }
        }
        kernel as Kernel
    }};
}
use kernel;

/// The tiles of a step: sums are 0 to 3, rows of the left-hand side 4 and 5, columns of the right-hand side 6 and 7. What is
/// loaded from the right leaves no trace in the first cache, which belongs to the strip.
macro_rules! step {
    ($fetched:tt) => {
        concat!(
            fetch!($fetched),
            "tileloadd tmm4, [{upper} + {row}*1]\n",
            "tileloaddt1 tmm6, [{right} + {line}*1]\n",
            "tdpbf16ps tmm0, tmm4, tmm6\n",
            "tileloaddt1 tmm7, [{right} + {line}*1 + 1024]\n",
            "tdpbf16ps tmm1, tmm4, tmm7\n",
            "tileloadd tmm5, [{lower} + {row}*1]\n",
            "tdpbf16ps tmm2, tmm5, tmm6\n",
            "tdpbf16ps tmm3, tmm5, tmm7\n",
            advance!(),
        )
    };
}
use step;

macro_rules! advance {
    () => {
        "add {upper}, {step}\nadd {lower}, {step}\nadd {right}, 2048\n"
    };
}
use advance;

macro_rules! begin {
    (zero, $tile:literal) => {
        concat!("tilezero tmm", $tile, "\n/* {from} */")
    };
    (load, $tile:literal) => {
        concat!(
            "mov {t}, [{ends} + {from} + 8*",
            $tile,
            "]\n",
            "mov {n}, [{ends} + {from} + 32]\n",
            "tileloadd tmm",
            $tile,
            ", [{t} + {n}*1]",
        )
    };
}
use begin;

/// Rows of the tiles that the next piece wants in this step: without them each piece would begin by waiting for memory.
macro_rules! fetch {
    (3) => {
        concat!(
            "prefetcht1 [{next}]\n",
            "prefetcht1 [{next} + {row}]\n",
            "prefetcht1 [{next} + {row}*2]\n",
            "add {next}, {step}\n",
        )
    };
    (4) => {
        concat!("lea {t}, [{next} + {row}*2]\n", "prefetcht1 [{t} + {row}]\n", fetch!(3))
    };
    (6) => {
        concat!("lea {t}, [{next} + {row}*2]\n", fetch!(two), "prefetcht1 [{t} + {row}]\n", fetch!(3))
    };
    (8) => {
        concat!(
            "lea {t}, [{next} + {row}*2]\n",
            fetch!(two),
            fetch!(two),
            "prefetcht1 [{t} + {row}]\n",
            fetch!(3),
        )
    };
    (two) => {
        concat!("prefetcht1 [{t} + {row}]\n", "prefetcht1 [{t} + {row}*2]\n", "lea {t}, [{t} + {row}*2]\n",)
    };
}
use fetch;

macro_rules! rounding {
    (leave, $fetched:tt) => {
        "/* {sums} {rounded} {rounded_stride} {bias} */"
    };
    // Sixteen rows are in the upper tiles, and sixteen in the lower ones.
    (round, $fetched:tt) => {
        concat!(
            "mov {t}, [{ends} + {bias}]\n",
            "vmovups zmm2, [{t}]\n",
            "vmovups zmm3, [{t} + 64]\n",
            "mov {n:e}, 4\n",
            ".p2align 6\n",
            "2:\n",
            four_rows!($fetched),
            "jnz 2b\n",
            "add {sums}, 1024\n",
            "mov {n:e}, 4\n",
            "3:\n",
            four_rows!($fetched),
            "jnz 3b\n",
        )
    };
}
use rounding;

macro_rules! four_rows {
    ($fetched:tt) => {
        concat!(
            step!($fetched),
            row!("0", "[{rounded}]"),
            row!("64", "[{rounded} + {rounded_stride}]"),
            "lea {rounded}, [{rounded} + {rounded_stride}*2]\n",
            row!("128", "[{rounded}]"),
            row!("192", "[{rounded} + {rounded_stride}]"),
            "lea {rounded}, [{rounded} + {rounded_stride}*2]\n",
            "add {sums}, 256\n",
            "dec {n}\n",
        )
    };
}
use four_rows;

macro_rules! row {
    ($at:literal, $to:literal) => {
        concat!(
            "vaddps zmm0, zmm2, [{sums} + ",
            $at,
            "]\n",
            "vaddps zmm1, zmm3, [{sums} + 1024 + ",
            $at,
            "]\n",
            "vcvtne2ps2bf16 zmm0, zmm1, zmm0\n",
            "vmovups ",
            $to,
            ", zmm0\n",
        )
    };
}
use row;

/// Stores the lower half of the last block.
///
/// # Safety
/// Tiles are configured; the quarters are writable.
pub unsafe fn store_lower(to: &Quarters) {
    // SAFETY: as promised.
    unsafe {
        asm!(
            "tilestored [{} + {stride}*1], tmm2",
            "tilestored [{} + {stride}*1], tmm3",
            in(reg) to.at[2], in(reg) to.at[3], stride = in(reg) to.stride,
            options(nostack),
        );
    }
}

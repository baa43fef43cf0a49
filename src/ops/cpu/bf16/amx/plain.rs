//! Blocks one after the other, for products whose common dimension is too short to weave anything into.

use std::arch::asm;

use super::block::{Journey, Quarters, Scratch};
use super::tiles::Tiles;
use crate::ops::cpu::bf16::nest::{Block, Panels, Strip, Strips};
use crate::ops::cpu::bf16::pack::SIDE;
use crate::ops::cpu::bf16::pages::Pages;

/// Uses all eight tiles: 0 to 3 are sums, 4 and 5 rows of the left-hand side, 6 and 7 columns of the right-hand side.
pub struct Plain<'a> {
    scratch: *mut Scratch,
    _tiles: &'a Tiles,
}

impl<'a> Plain<'a> {
    pub fn new(tiles: &'a Tiles, scratch: &'a mut Pages) -> Self {
        let lines = scratch.lines(size_of::<Scratch>() / 64);
        Self { scratch: lines.as_mut_ptr().cast(), _tiles: tiles }
    }
}

impl Strips for Plain<'_> {
    unsafe fn multiply(&mut self, strip: &Strip, panels: &Panels, row: usize, to: &Block) {
        let mut panel = panels.data.cast::<u8>();
        for number in panels.numbers.clone() {
            // SAFETY: as promised to this function; the scratch is not in use.
            unsafe {
                let journey = Journey::new(to.part(row, number * SIDE), self.scratch);
                begin(journey.from.as_ref());
                add_product(strip, panel, panels.steps());
                store(&journey.to);
                if let Some(rest) = journey.rest {
                    rest.finish();
                }
            }
            panel = panel.wrapping_add(panels.stride * 64);
        }
    }

    unsafe fn finish(&mut self) {}
}

/// # Safety
/// Tiles are configured; the quarters are readable.
unsafe fn begin(from: Option<&Quarters>) {
    // SAFETY: as promised. Tiles are used by nobody but the functions of this file.
    unsafe {
        match from {
            None => {
                asm!(
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    options(nostack, nomem)
                );
            }
            Some(Quarters { at, stride }) => asm!(
                "tileloadd tmm0, [{0} + {4}*1]",
                "tileloadd tmm1, [{1} + {4}*1]",
                "tileloadd tmm2, [{2} + {4}*1]",
                "tileloadd tmm3, [{3} + {4}*1]",
                in(reg) at[0], in(reg) at[1], in(reg) at[2], in(reg) at[3], in(reg) *stride,
                options(nostack, readonly),
            ),
        }
    }
}

/// # Safety
/// Tiles are configured; there are that many steps of the strip and of the panel.
unsafe fn add_product(strip: &Strip, panel: *const u8, steps: usize) {
    // SAFETY: as above.
    unsafe {
        asm!(
            "2:",
            "tileloadd tmm4, [{upper} + {row}*1]",
            "tileloadd tmm6, [{panel} + {line}*1]",
            "tdpbf16ps tmm0, tmm4, tmm6",
            "tileloadd tmm7, [{panel} + {line}*1 + 1024]",
            "tdpbf16ps tmm1, tmm4, tmm7",
            "tileloadd tmm5, [{lower} + {row}*1]",
            "tdpbf16ps tmm2, tmm5, tmm6",
            "tdpbf16ps tmm3, tmm5, tmm7",
            "add {upper}, {step}",
            "add {lower}, {step}",
            "add {panel}, 2048",
            "dec {steps}",
            "jnz 2b",
            upper = inout(reg) strip.data => _,
            lower = inout(reg) strip.data.wrapping_add(16 * strip.row_stride) => _,
            panel = inout(reg) panel => _,
            steps = inout(reg) steps => _,
            row = in(reg) strip.row_stride,
            step = in(reg) strip.step_stride,
            line = in(reg) 64usize,
            options(nostack, readonly),
        );
    }
}

/// # Safety
/// Tiles are configured; the quarters are writable.
unsafe fn store(Quarters { at, stride }: &Quarters) {
    // SAFETY: as above.
    unsafe {
        asm!(
            "tilestored [{0} + {4}*1], tmm0",
            "tilestored [{1} + {4}*1], tmm1",
            "tilestored [{2} + {4}*1], tmm2",
            "tilestored [{3} + {4}*1], tmm3",
            in(reg) at[0], in(reg) at[1], in(reg) at[2], in(reg) at[3], in(reg) *stride,
            options(nostack),
        );
    }
}

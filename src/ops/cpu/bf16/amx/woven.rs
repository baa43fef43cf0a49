//! Products whose common dimension is long: the sums of each block leave while the next one is multiplied.

use super::block::{Journey, Quarters, Rest, Scratch};
use super::kernel::{self, Ends, FETCHED, KERNELS, Piece};
use super::tiles::Tiles;
use crate::ops::cpu::bf16::nest::{Block, GROUP, Panels, Place, Strip, Strips};
use crate::ops::cpu::bf16::pack::{SIDE, STEP};
use crate::ops::cpu::bf16::pages::Pages;

/// Steps below which [`super::plain`] takes over.
pub const SHORTEST: usize = kernel::SHORTEST;
/// Steps of a piece: 32 KiB of the strip, which leaves room in a first cache of 48 KiB.
const PIECE: usize = 16;
/// Steps up to which the common dimension is one piece: two would be too short.
const ONE_PIECE: usize = 2 * SHORTEST - 1;

/// What is added to sums without a bias: it changes nothing, not even the sign of a zero.
static NO_BIAS: [f32; SIDE] = [-0.0; SIDE];

pub struct Woven<'a> {
    memory: *mut Memory,
    ends: Ends,
    /// What is left to do for the block before.
    rest: Option<Rest>,
    /// The scratch that is not in use.
    free: usize,
    _tiles: &'a Tiles,
}

#[repr(C)]
struct Memory {
    /// Sums between two pieces.
    partial: [Scratch; GROUP],
    /// For blocks that do not go home directly: one is under way while the other is filled.
    scratches: [Scratch; 2],
    /// For the lower half of the block before the first.
    nowhere: Scratch,
}

impl<'a> Woven<'a> {
    pub fn new(tiles: &'a Tiles, scratch: &'a mut Pages) -> Self {
        let memory: *mut Memory = scratch.lines(size_of::<Memory>() / 64).as_mut_ptr().cast();
        // SAFETY: the memory is that large.
        let nowhere = Quarters::of_scratch(unsafe { &raw mut (*memory).nowhere });
        let ends =
            Ends { before: nowhere, from: nowhere, to: nowhere, bias: NO_BIAS.as_ptr(), plain_steps: 0 };
        Self { memory, ends, rest: None, free: 0, _tiles: tiles }
    }

    /// # Safety
    /// As for [`Strips::multiply`]; there are `steps` steps, and at least [`SHORTEST`], of what `piece` begins with.
    unsafe fn multiply_block(&mut self, journey: Journey, mut piece: Piece, fetched: usize, steps: usize) {
        let before = self.rest.take();
        let woven = before.filter(|rest| rest.block.is_whole());
        let woven = woven.and_then(|rest| match rest.block.place {
            Place::Rounded { to, stride, bias } => Some((rest.scratch, to, stride, bias)),
            Place::Single { .. } => None,
        });
        self.ends.plain_steps = steps - 2;
        if let Some((scratch, to, stride, bias)) = woven {
            (piece.sums, piece.rounded, piece.rounded_stride) = (scratch.cast(), to.cast(), 2 * stride);
            self.ends.bias = bias.unwrap_or(NO_BIAS.as_ptr());
            self.ends.plain_steps -= 8;
        }
        self.ends.to = journey.to;
        self.ends.from = journey.from.unwrap_or(journey.to);
        let kernel = KERNELS[fetched][usize::from(journey.from.is_some())][usize::from(woven.is_some())];
        // SAFETY: as promised; the block before is still there, since nobody has brought it home.
        unsafe {
            kernel(&self.ends, &piece);
            if let (Some(before), None) = (before, woven) {
                before.finish();
            }
        }
        (self.ends.before, self.rest) = (journey.to, journey.rest);
    }

    /// The way of a block's sums in one of several pieces.
    ///
    /// # Safety
    /// As for [`Journey::new`]; `panel` is the block's number in its group.
    unsafe fn journey(&mut self, block: Block, panel: usize, is_first: bool, is_last: bool) -> Journey {
        // SAFETY: the memory is there, and the scratch is free.
        let (partial, scratch) = unsafe {
            let memory = self.memory;
            (Quarters::of_scratch(&raw mut (*memory).partial[panel]), &raw mut (*memory).scratches[self.free])
        };
        if !is_first && !is_last {
            return Journey { from: Some(partial), to: partial, rest: None };
        }
        // SAFETY: as promised.
        let whole = unsafe { Journey::new(block, scratch) };
        let journey = Journey {
            from: if is_first { whole.from } else { Some(partial) },
            to: if is_last { whole.to } else { partial },
            rest: whole.rest.filter(|_| is_last),
        };
        if journey.rest.is_some() {
            self.free = 1 - self.free;
        }
        journey
    }
}

impl Strips for Woven<'_> {
    unsafe fn multiply(&mut self, strip: &Strip, panels: &Panels, row: usize, to: &Block) {
        let steps = panels.steps();
        let pieces = if steps <= ONE_PIECE { 1 } else { steps.div_ceil(PIECE) };
        // All panels together fetch the 32 rows of the next piece.
        let fetched = match panels.numbers.len() {
            11.. => 0,
            8.. => 1,
            6.. => 2,
            _ => 3,
        };
        for number in 0..pieces {
            let (start, end) = (steps * number / pieces, steps * (number + 1) / pieces);
            let at = |step: usize| strip.data.wrapping_add(step * strip.step_stride);
            let next = if end < steps { at(end) } else { strip.next };
            for (i, panel) in panels.numbers.clone().enumerate() {
                let block = to.part(row, panel * SIDE);
                let piece = Piece {
                    upper: at(start),
                    lower: at(start).wrapping_add(16 * strip.row_stride),
                    row_stride: strip.row_stride,
                    step_stride: strip.step_stride,
                    right: panels.data.wrapping_add(i * panels.stride + start * STEP).cast(),
                    sums: std::ptr::null(),
                    rounded: std::ptr::null_mut(),
                    rounded_stride: 0,
                    next: next.wrapping_add(i * FETCHED[fetched] % 32 * strip.row_stride),
                };
                // SAFETY: as promised to this function.
                unsafe {
                    let journey = self.journey(block, i, number == 0, number + 1 == pieces);
                    self.multiply_block(journey, piece, fetched, end - start);
                }
            }
        }
    }

    unsafe fn finish(&mut self) {
        // SAFETY: as promised; the lower half of the last block is still in its tiles.
        unsafe {
            kernel::store_lower(&self.ends.before);
            if let Some(rest) = self.rest.take() {
                rest.finish();
            }
            self.ends.before = Quarters::of_scratch(&raw mut (*self.memory).nowhere);
        }
    }
}

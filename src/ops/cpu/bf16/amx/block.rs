//! A block of 32 x 32 sums in memory: four tiles, upper left, upper right, lower left and lower right.

use std::arch::x86_64::*;

use crate::ops::cpu::bf16::nest::{Block, Place};

/// Sums that cannot go where they belong as they are: they are to be rounded, or part of the block is outside of the matrix.
#[repr(C, align(64))]
pub struct Scratch([f32; 4 * TILE]);

/// Elements of a tile.
const TILE: usize = 256;

/// Where the four tiles of a block are.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct Quarters {
    pub at: [*mut f32; 4],
    /// Bytes from row to row of a tile.
    pub stride: usize,
}

impl Quarters {
    fn of_matrix(data: *mut f32, stride: usize) -> Self {
        let at = [(0, 0), (0, 16), (16, 0), (16, 16)].map(|(i, j)| data.wrapping_add(i * stride + j));
        Self { at, stride: stride * size_of::<f32>() }
    }

    pub fn of_scratch(scratch: *mut Scratch) -> Self {
        let at = [0, 1, 2, 3].map(|tile| scratch.cast::<f32>().wrapping_add(tile * TILE));
        Self { at, stride: 16 * size_of::<f32>() }
    }
}

/// How the sums of a block travel.
#[derive(Clone, Copy, Debug)]
pub struct Journey {
    /// What they begin with; zero if there is nothing.
    pub from: Option<Quarters>,
    pub to: Quarters,
    /// What is left to do after they have arrived there.
    pub rest: Option<Rest>,
}

impl Journey {
    /// If they begin with what is in the matrix, and cannot be loaded from there, this copies it to the scratch.
    ///
    /// # Safety
    /// The block is a matrix that is borrowed exclusively, the scratch is not in use, and the processor has AVX-512.
    pub unsafe fn new(block: Block, scratch: *mut Scratch) -> Self {
        match block.place {
            Place::Single { to, stride, add } if block.is_whole() => {
                let to = Quarters::of_matrix(to, stride);
                Self { from: add.then_some(to), to, rest: None }
            }
            Place::Single { to, stride, add } => {
                let quarters = Quarters::of_scratch(scratch);
                if add {
                    // SAFETY: as promised.
                    unsafe { copy_in(to, stride, &block, scratch) };
                }
                Self { from: add.then_some(quarters), to: quarters, rest: Some(Rest { scratch, block }) }
            }
            Place::Rounded { .. } => {
                let to = Quarters::of_scratch(scratch);
                Self { from: None, to, rest: Some(Rest { scratch, block }) }
            }
        }
    }
}

/// Sums in a scratch, and where they belong.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    pub scratch: *const Scratch,
    pub block: Block,
}

impl Rest {
    /// # Safety
    /// All sums are in the scratch, the block is a matrix that is borrowed exclusively, and the processor has AVX512-BF16.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub unsafe fn finish(&self) {
        let Block { place, rows, .. } = self.block;
        let (left, right) = halves(self.block.mask());
        let scratch = self.scratch.cast::<f32>();
        // SAFETY: as promised; elements that a mask leaves out are neither read nor written.
        unsafe {
            match place {
                Place::Single { to, stride, .. } => {
                    for row in 0..rows {
                        let (from, to) = (scratch.add(offset(row)), to.add(row * stride));
                        _mm512_mask_storeu_ps(to, left, _mm512_load_ps(from));
                        _mm512_mask_storeu_ps(to.wrapping_add(16), right, _mm512_load_ps(from.add(TILE)));
                    }
                }
                Place::Rounded { to, stride, bias } => {
                    // Adding -0 changes nothing, not even the sign of a zero.
                    let none = _mm512_set1_ps(-0.0);
                    let (left, right) = bias.map_or((none, none), |bias| {
                        (
                            _mm512_maskz_loadu_ps(left, bias),
                            _mm512_maskz_loadu_ps(right, bias.wrapping_add(16)),
                        )
                    });
                    let mask = self.block.mask();
                    for row in 0..rows {
                        let from = scratch.add(offset(row));
                        let left = _mm512_add_ps(left, _mm512_load_ps(from));
                        let right = _mm512_add_ps(right, _mm512_load_ps(from.add(TILE)));
                        // This order of the operands puts the left half first.
                        let rounded = _mm512_cvtne2ps_pbh(right, left);
                        let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
                        _mm512_mask_storeu_epi16(to.add(row * stride).cast(), mask, rounded);
                    }
                }
            }
        }
    }
}

/// # Safety
/// As for [`Journey::new`].
#[target_feature(enable = "avx512f")]
unsafe fn copy_in(from: *const f32, stride: usize, block: &Block, scratch: *mut Scratch) {
    let (left, right) = halves(block.mask());
    for row in 0..block.rows {
        // SAFETY: as promised; elements that a mask leaves out are not read.
        unsafe {
            let (from, to) = (from.add(row * stride), scratch.cast::<f32>().add(offset(row)));
            _mm512_store_ps(to, _mm512_maskz_loadu_ps(left, from));
            _mm512_store_ps(to.add(TILE), _mm512_maskz_loadu_ps(right, from.wrapping_add(16)));
        }
    }
}

/// Of a row in the scratch, the element where its left half begins.
fn offset(row: usize) -> usize {
    row / 16 * 2 * TILE + row % 16 * 16
}

fn halves(mask: u32) -> (__mmask16, __mmask16) {
    (mask as u16, (mask >> 16) as u16)
}

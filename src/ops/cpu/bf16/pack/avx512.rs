//! Packing of blocks with AVX-512: two rows are interleaved, or 16 x 16 pairs transposed, in registers.

use std::arch::x86_64::*;

use super::{Operand, SIDE, STEP};
use crate::ops::cpu::bf16::{Bf16, Line};
use crate::ops::cpu::view::View;

/// Steps between the fetch of a row that lies across memory and its use.
const AHEAD: usize = 6;

pub fn is_available() -> bool {
    is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw")
}

/// Up to 32 rows of up to 32 elements that lie side by side.
struct Source {
    data: *const Bf16,
    stride: usize,
    rows: usize,
    /// The columns that there are.
    columns: __mmask32,
}

impl Source {
    /// The block of `matrix` that begins at (row, column), which are in the matrix; rows lie side by side.
    fn new(matrix: View<'_, Bf16>, row: usize, column: usize) -> Self {
        let (rows, columns) = (matrix.rows - row, (matrix.columns - column).min(SIDE));
        let data = matrix.data[row * matrix.row_stride + column..].as_ptr();
        Self { data, stride: matrix.row_stride, rows: rows.min(SIDE), columns: u32::MAX >> (SIDE - columns) }
    }

    fn is_whole(&self) -> bool {
        self.rows == SIDE && self.columns == u32::MAX
    }

    /// A row; zeros where there is none.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn row<const WHOLE: bool>(&self, row: usize) -> __m512i {
        if !WHOLE && row >= self.rows {
            return _mm512_setzero_si512();
        }
        // SAFETY: the row is inside the matrix, and elements that the mask leaves out are not read.
        unsafe {
            let row = self.data.add(row * self.stride).cast();
            if WHOLE { _mm512_loadu_epi16(row) } else { _mm512_maskz_loadu_epi16(self.columns, row) }
        }
    }

    /// Asks for rows that are wanted some steps later.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw")]
    fn fetch_ahead(&self) {
        for row in 0..self.rows {
            // The address may lie beyond the matrix: a wish does no harm.
            let wanted = self.data.wrapping_add(row * self.stride + AHEAD * SIDE);
            _mm_prefetch::<_MM_HINT_T0>(wanted.cast());
        }
    }
}

/// As `pack_block` above, for a matrix whose rows or columns lie side by side.
#[target_feature(enable = "avx512f,avx512bw")]
pub fn pack_block(
    operand: Operand,
    matrix: View<'_, Bf16>,
    row: usize,
    column: usize,
    block: &mut [Line; STEP],
) {
    let by_rows = matrix.column_stride == 1;
    let source = if by_rows {
        Source::new(matrix, row, column)
    } else {
        Source::new(matrix.transposed(), column, row)
    };
    if source.is_whole() {
        pack::<true>(operand, by_rows, &source, block);
    } else {
        pack::<false>(operand, by_rows, &source, block);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn pack<const WHOLE: bool>(operand: Operand, by_rows: bool, source: &Source, block: &mut [Line; STEP]) {
    match (operand, by_rows) {
        (Operand::Left, true) => {
            for (i, line) in block.iter_mut().enumerate() {
                store(source.row::<WHOLE>(i), line);
            }
        }
        (Operand::Right, true) => interleave::<WHOLE>(source, block),
        (Operand::Right, false) => {
            source.fetch_ahead();
            for tile in 0..2 {
                let mut rows = [_mm512_setzero_si512(); 16];
                for (i, row) in rows.iter_mut().enumerate() {
                    *row = source.row::<WHOLE>(16 * tile + i);
                }
                transpose(rows, tile, block);
            }
        }
        (Operand::Left, false) => {
            let mut pairs = [super::ZERO; STEP];
            interleave::<WHOLE>(source, &mut pairs);
            for tile in 0..2 {
                let mut rows = [_mm512_setzero_si512(); 16];
                for (row, pairs) in rows.iter_mut().zip(&pairs[16 * tile..]) {
                    *row = load(pairs);
                }
                transpose(rows, tile, block);
            }
        }
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes at a multiple of 64.
    unsafe { _mm512_load_si512(std::ptr::from_ref(line).cast()) }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn store(x: __m512i, line: &mut Line) {
    // SAFETY: as in `load`, and the borrow is exclusive.
    unsafe { _mm512_store_si512(std::ptr::from_mut(line).cast(), x) }
}

/// 32 rows of 32 elements -> two tiles of 16 pairs of rows x 16 columns.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn interleave<const WHOLE: bool>(source: &Source, block: &mut [Line; STEP]) {
    // Unpacking works inside quarters of a register: these are put where the halves of a quarter are wanted.
    let quarters = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
    for pair in 0..16 {
        let upper = _mm512_permutexvar_epi64(quarters, source.row::<WHOLE>(2 * pair));
        let lower = _mm512_permutexvar_epi64(quarters, source.row::<WHOLE>(2 * pair + 1));
        store(_mm512_unpacklo_epi16(upper, lower), &mut block[pair]);
        store(_mm512_unpackhi_epi16(upper, lower), &mut block[16 + pair]);
    }
}

/// 16 rows of 16 pairs of elements -> one tile of 16 columns of pairs.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn transpose(mut rows: [__m512i; 16], tile: usize, block: &mut [Line; STEP]) {
    let mut turned = rows;
    // Within quarters of a register: first 2 x 2 pairs, then 4 x 4.
    for i in (0..16).step_by(2) {
        turned[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        turned[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for i in (0..16).step_by(4) {
        rows[i] = _mm512_unpacklo_epi64(turned[i], turned[i + 2]);
        rows[i + 1] = _mm512_unpackhi_epi64(turned[i], turned[i + 2]);
        rows[i + 2] = _mm512_unpacklo_epi64(turned[i + 1], turned[i + 3]);
        rows[i + 3] = _mm512_unpackhi_epi64(turned[i + 1], turned[i + 3]);
    }
    // Whole quarters: those with even numbers, and those with odd ones.
    for i in 0..4 {
        turned[i] = _mm512_shuffle_i32x4::<0x88>(rows[i], rows[4 + i]);
        turned[4 + i] = _mm512_shuffle_i32x4::<0xdd>(rows[i], rows[4 + i]);
        turned[8 + i] = _mm512_shuffle_i32x4::<0x88>(rows[8 + i], rows[12 + i]);
        turned[12 + i] = _mm512_shuffle_i32x4::<0xdd>(rows[8 + i], rows[12 + i]);
    }
    for i in 0..8 {
        store(_mm512_shuffle_i32x4::<0x88>(turned[i], turned[8 + i]), &mut block[16 * tile + i]);
        store(_mm512_shuffle_i32x4::<0xdd>(turned[i], turned[8 + i]), &mut block[16 * tile + 8 + i]);
    }
}

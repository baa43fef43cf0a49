//! bf16 products for processors that have nothing of their own for them: the numbers are widened and multiplied in f32.

use std::cell::RefCell;

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::Bf16;
use super::number::{round_all, widen_all};
use crate::ops::cpu::matmul::{self, Workers, Write};
use crate::ops::cpu::memory::{Buffer, room};
use crate::ops::cpu::operand::Destination;
use crate::ops::cpu::rows::{ELEMENTS, ROWS};
use crate::ops::cpu::simd::vectorised;
use crate::ops::cpu::view::{View, ViewMut};
use crate::ops::profile::{Part, timed};

thread_local! {
    /// Operands and result of the last products, in f32. They grow to the largest of them: a block of the head, or the hidden
    /// layer of a whole batch.
    static WORK: RefCell<[Vec<f32>; 3]> = RefCell::default();
}

/// `destination (+)= lhs * rhs`.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n)
pub fn multiply(destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: View<'_, Bf16>, workers: Workers) {
    // A worker that waits for others may begin another product meanwhile.
    let [mut left, mut right, mut result] = WORK.with_borrow_mut(std::mem::take);
    let (m, n) = (lhs.rows, rhs.columns);
    let lhs = widen(lhs, &mut left, workers);
    let rhs = widen(rhs, &mut right, workers);
    match destination {
        Destination::Sums { to, write } => matmul::multiply(to, lhs, rhs, write, workers),
        Destination::Operand { mut to, bias } => {
            let sums = room(&mut result, m * n);
            matmul::multiply(ViewMut::new(sums, n), lhs, rhs, Write::Over, workers);
            let finish = |sums: &mut [f32], to: &mut [Bf16]| {
                if let Some(bias) = bias {
                    sums.iter_mut().zip(bias).for_each(|(sum, bias)| *sum += bias);
                }
                round_all(sums, to);
            };
            let rows = |sums: &mut [f32], mut to: ViewMut<'_, Bf16>| {
                vectorised(
                    #[inline(always)]
                    || {
                        for (i, sums) in sums.chunks_exact_mut(n).enumerate() {
                            finish(sums, to.row(i));
                        }
                    },
                );
            };
            match workers {
                Workers::One => rows(sums, to.rows(0, m)),
                Workers::All => {
                    let pieces = to.cut(true, ROWS).into_par_iter();
                    pieces.zip(sums.par_chunks_mut(ROWS * n)).for_each(|(to, sums)| rows(sums, to));
                }
            }
        }
    }
    WORK.with_borrow_mut(|work| *work = [left, right, result]);
}

/// Runs `act` with the same matrix in f32, by this thread alone.
pub fn with_wide<R>(matrix: View<'_, Bf16>, act: impl FnOnce(View<'_>) -> R) -> R {
    let [mut left, right, result] = WORK.with_borrow_mut(std::mem::take);
    let done = act(widen(matrix, &mut left, Workers::One));
    WORK.with_borrow_mut(|work| *work = [left, right, result]);
    done
}

/// Writes the matrix to `wide` (rows, columns), on all threads.
pub fn widen_rows(matrix: View<'_, Bf16>, wide: &mut [f32]) {
    let columns = matrix.columns;
    wide.par_chunks_mut(ROWS * columns).enumerate().for_each(|(piece, wide)| {
        for (i, wide) in (piece * ROWS..).zip(wide.chunks_exact_mut(columns)) {
            if matrix.column_stride == 1 {
                widen_all(matrix.row(i), wide);
            } else {
                wide.iter_mut().enumerate().for_each(|(j, wide)| *wide = matrix.get(i, j).widen());
            }
        }
    });
}

/// What bf16 makes of the numbers, in f32.
pub fn widened(x: &[f32]) -> Result<Buffer, CpuError> {
    let mut wide = Buffer::try_take(x.len())?;
    x.par_chunks(ELEMENTS).zip(wide.par_chunks_mut(ELEMENTS)).for_each(|(x, wide)| {
        vectorised(
            #[inline(always)]
            || wide.iter_mut().zip(x).for_each(|(wide, &x)| *wide = Bf16::round(x).widen()),
        );
    });
    Ok(wide)
}

/// The numbers in f32.
pub fn widened_again(x: &[Bf16]) -> Result<Buffer, CpuError> {
    let _timed = timed(Part::Copies);
    let mut wide = Buffer::try_take(x.len())?;
    x.par_chunks(ELEMENTS).zip(wide.par_chunks_mut(ELEMENTS)).for_each(|(x, wide)| {
        vectorised(
            #[inline(always)]
            || widen_all(x, wide),
        );
    });
    Ok(wide)
}

/// The same matrix in f32, in `work`, without gaps.
fn widen<'a>(matrix: View<'_, Bf16>, work: &'a mut Vec<f32>, workers: Workers) -> View<'a> {
    let transposed = matrix.column_stride != 1;
    let by_rows = if transposed { matrix.transposed() } else { matrix };
    let (rows, columns) = (by_rows.rows, by_rows.columns);
    let wide = room(work, rows * columns);
    let widen = |i: usize, wide: &mut [f32]| {
        vectorised(
            #[inline(always)]
            || {
                for (i, wide) in (i..).zip(wide.chunks_exact_mut(columns)) {
                    widen_all(by_rows.row(i), wide);
                }
            },
        );
    };
    match workers {
        Workers::One => widen(0, wide),
        Workers::All => {
            let pieces = wide.par_chunks_mut(ROWS * columns).enumerate();
            pieces.for_each(|(piece, wide)| widen(piece * ROWS, wide));
        }
    }
    let wide = View::new(wide, columns);
    if transposed { wide.transposed() } else { wide }
}

/// Gives this thread's working memory back.
pub fn forget() {
    WORK.take();
}

/// Bytes of this thread's working memory.
#[cfg(test)]
pub fn held_bytes() -> usize {
    WORK.with_borrow(|work| work.iter().map(|numbers| size_of::<f32>() * numbers.capacity()).sum())
}

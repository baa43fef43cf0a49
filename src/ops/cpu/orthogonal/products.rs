//! Products in pieces of fixed size, so that no number of threads changes a bit; of a symmetric result the half on and below
//! the diagonal is computed, and mirrored.

use rayon::prelude::*;

use crate::ops::cpu::matmul::{Workers, Write};
use crate::ops::cpu::operand::{Destination, Operand};
use crate::ops::cpu::view::{View, ViewMut};

/// Rows of a strip of a symmetric result, which is computed up to its last row's diagonal.
const STRIP: usize = 128;
/// Rows, or columns, of a piece of another result.
const PIECE: usize = 192;
/// Side of the squares that are mirrored at a time.
const TILE: usize = 16;

/// `to = lhs * rhs` where the result is known to be symmetric, as f32; rows follow each other.
pub fn symmetric<T: Operand>(kernel: T::Kernel, to: &mut [f32], lhs: View<'_, T>, rhs: View<'_, T>) {
    let side = lhs.rows;
    lower(to, side, side, |columns, to| {
        let lhs = lhs.rows(columns - to.rows, columns);
        let to = Destination::Sums { to, write: Write::Over };
        T::multiply(kernel, to, lhs, rhs.columns(0, columns), Workers::One);
    });
    mirror(to, side, side);
}

/// As [`symmetric`], as an operand of other products.
pub fn symmetric_operand<T: Operand>(kernel: T::Kernel, to: &mut [T], lhs: View<'_, T>, rhs: View<'_, T>) {
    let (side, stride) = (lhs.rows, T::stride(lhs.rows));
    lower(to, side, stride, |columns, to| {
        let lhs = lhs.rows(columns - to.rows, columns);
        let to = Destination::Operand { to, bias: None };
        T::multiply(kernel, to, lhs, rhs.columns(0, columns), Workers::One);
    });
    mirror(to, side, stride);
}

/// `to = lhs * rhs`, as f32.
pub fn product<T: Operand>(kernel: T::Kernel, to: ViewMut<'_>, lhs: View<'_, T>, rhs: View<'_, T>) {
    let by_rows = to.rows >= to.columns;
    to.cut(by_rows, PIECE).into_par_iter().enumerate().with_max_len(1).for_each(|(i, to)| {
        let start = i * PIECE;
        let (lhs, rhs) = match by_rows {
            true => (lhs.rows(start, start + to.rows), rhs),
            false => (lhs, rhs.columns(start, start + to.columns)),
        };
        T::multiply(kernel, Destination::Sums { to, write: Write::Over }, lhs, rhs, Workers::One);
    });
}

/// Gives `compute` each strip of rows up to the diagonal's end, with the number of its columns, the longest first.
fn lower<T: Copy + Send + Sync>(
    to: &mut [T],
    side: usize,
    stride: usize,
    compute: impl Fn(usize, ViewMut<'_, T>) + Sync,
) {
    let strips = ViewMut::strided(to, side, stride).cut(true, STRIP);
    let mut strips: Vec<_> = strips.into_iter().enumerate().collect();
    strips.reverse();
    strips.into_par_iter().with_max_len(1).for_each(|(i, strip)| {
        let columns = i * STRIP + strip.rows;
        if let Some(strip) = strip.cut(false, columns).into_iter().next() {
            compute(columns, strip);
        }
    });
}

/// Copies what is below the diagonal to above it.
pub(super) fn mirror<T: Copy + Send + Sync>(data: &mut [T], side: usize, stride: usize) {
    if side <= TILE {
        for i in 0..side {
            for j in i + 1..side {
                data[i * stride + j] = data[j * stride + i];
            }
        }
        return;
    }
    let half = (side / 2).next_multiple_of(TILE);
    let (top, bottom) = data.split_at_mut(half * stride);
    top.par_chunks_mut(TILE * stride).enumerate().for_each(|(i, rows)| {
        for start in (half..side).step_by(TILE) {
            let end = (start + TILE).min(side);
            for (k, row) in rows.chunks_mut(stride).enumerate() {
                let from = i * TILE + k;
                for (j, to) in row[start..end].iter_mut().enumerate() {
                    *to = bottom[(start - half + j) * stride + from];
                }
            }
        }
    });
    rayon::join(|| mirror(top, half, stride), || mirror(&mut bottom[half..], side - half, stride));
}

//! Loops over the rows of an activation, in parallel, in chunks whose size does not depend on the number of threads: so
//! sums have the same order, and results the same bits, on any number of them.

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::memory::Buffer;
use super::operand::Operand;
use super::simd::vectorised;
use crate::ops::Dropout;
use crate::ops::profile::{Part, timed};

/// Rows per task. Some tens of thousands of elements at GPT-2's widths: enough to be worth a task, and in cache.
pub const ROWS: usize = 32;

/// Elements per task where rows do not matter.
pub const ELEMENTS: usize = 1 << 14;

/// Copies `row` into every row of `x`.
pub fn fill(x: &mut [f32], row: &[f32]) {
    let _timed = timed(Part::Elementwise);
    x.par_chunks_mut(ROWS * row.len())
        .for_each(|x| x.chunks_exact_mut(row.len()).for_each(|x| x.copy_from_slice(row)));
}

/// Zeroes and scales elements as `dropout` says.
pub fn drop_elements(x: &mut [f32], dropout: Dropout) {
    let _timed = timed(Part::Elementwise);
    x.par_chunks_mut(ELEMENTS).enumerate().for_each(|(i, x)| {
        let mut factors = [0.0; ELEMENTS];
        let factors = &mut factors[..x.len()];
        dropout.fill(i * ELEMENTS, factors);
        x.iter_mut().zip(&*factors).for_each(|(x, factor)| *x *= factor);
    });
}

/// A copy of `x` after dropout; `None` when nothing is dropped.
pub fn dropped(x: &[f32], dropout: Option<Dropout>) -> Result<Option<Buffer>, CpuError> {
    let Some(dropout) = dropout else { return Ok(None) };
    let mut y = Buffer::try_take(x.len())?;
    copy_plus_row(&mut y, x, None);
    drop_elements(&mut y, dropout);
    Ok(Some(y))
}

/// `x = y + row` in every row.
pub fn copy_plus_row(x: &mut [f32], y: &[f32], row: Option<&[f32]>) {
    let _timed = timed(Part::Elementwise);
    let Some(row) = row else {
        return x
            .par_chunks_mut(ELEMENTS)
            .zip(y.par_chunks(ELEMENTS))
            .for_each(|(x, y)| x.copy_from_slice(y));
    };
    let chunk = ROWS * row.len();
    x.par_chunks_mut(chunk).zip(y.par_chunks(chunk)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact_mut(row.len()).zip(y.chunks_exact(row.len())) {
                    for ((x, y), row) in x.iter_mut().zip(y).zip(row) {
                        *x = y + row;
                    }
                }
            },
        );
    });
}

/// `x += scale * y`.
pub fn add_scaled(x: &mut [f32], y: &[f32], scale: f32) {
    let _timed = timed(Part::Elementwise);
    x.par_chunks_mut(ELEMENTS).zip(y.par_chunks(ELEMENTS)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || x.iter_mut().zip(y).for_each(|(x, y)| *x += scale * y),
        );
    });
}

/// `x *= y`.
pub fn multiply<T: Operand>(x: &mut [T], y: &[T]) {
    let _timed = timed(Part::Elementwise);
    x.par_chunks_mut(ELEMENTS).zip(y.par_chunks(ELEMENTS)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || x.iter_mut().zip(y).for_each(|(x, y)| *x = T::narrow(x.widen() * y.widen())),
        );
    });
}

/// Adds the sum of each column of `x` to `sums`: what the gradient of a bias is.
pub fn add_column_sums<T: Operand>(sums: &mut [f32], x: &[T]) {
    let _timed = timed(Part::Elementwise);
    let columns = sums.len();
    let stride = T::stride(columns);
    let partial = |x: &[T]| {
        let mut partial = vec![0.0; columns];
        vectorised(
            #[inline(always)]
            || {
                for row in x.chunks_exact(stride) {
                    partial.iter_mut().zip(row).for_each(|(sum, x)| *sum += x.widen());
                }
            },
        );
        partial
    };
    let partials: Vec<Vec<f32>> = x.par_chunks(ROWS * stride).map(partial).collect();
    partials.iter().for_each(|partial| add(sums, partial));
}

/// `x += y` for a single row.
pub fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

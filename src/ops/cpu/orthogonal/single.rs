//! All in f32.

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::{Coefficients, ROWS, products, rows, scale};
use crate::ops::cpu::memory::Buffer;
use crate::ops::cpu::simd::vectorised;
use crate::ops::cpu::view::{View, ViewMut};

/// How many times as long as wide X is where its steps are made on A = X X^T alone: shorter ones gain nothing by it.
const LONG: usize = 2;
/// Steps on A before X is multiplied. Each loses more of the small singular values: after five of the usual ones the error is
/// some 5e-4 of the result, where products of bf16 have 1e-2; steeper ones cost up to that.
const STEPS: usize = 5;

pub fn try_orthogonalise(mut matrix: ViewMut<'_>, coefficients: &[Coefficients]) -> Result<(), CpuError> {
    let (down, across) = (matrix.rows, matrix.columns);
    let is_wide = down <= across;
    let side = down.min(across);
    let period = if down.max(across) >= LONG * side { STEPS } else { 1 };
    let mut x = Buffer::try_take(down * across)?;
    let mut next = Buffer::try_take(down * across)?;
    let mut steps = Steps::try_new(side)?;

    let scale = scale(&mut matrix);
    rows(&mut matrix, &mut x, across, |from, x| {
        x.iter_mut().zip(from).for_each(|(x, from)| *x = *from * scale);
    });
    for coefficients in coefficients.chunks(period) {
        let view = View::new(&x, across);
        let (lhs, rhs) = if is_wide { (view, view.transposed()) } else { (view.transposed(), view) };
        products::symmetric((), &mut steps.gram, lhs, rhs);
        let product = steps.product(coefficients);
        let (lhs, rhs) = if is_wide { (product, view) } else { (view, product) };
        products::product((), ViewMut::new(&mut next, across), lhs, rhs);
        std::mem::swap(&mut x, &mut next);
    }
    rows(&mut matrix, &mut x, across, |to, x| to.copy_from_slice(x));
    Ok(())
}

/// Symmetric matrices of one size that all commute, being polynomials of the same A.
struct Steps {
    side: usize,
    /// A, as the steps so far have made it.
    gram: Buffer,
    /// The polynomial of a step.
    step: Buffer,
    /// The product of all steps.
    total: Buffer,
    spare: Buffer,
}

impl Steps {
    fn try_new(side: usize) -> Result<Self, CpuError> {
        let buffer = || Buffer::try_take(side * side);
        Ok(Self { side, gram: buffer()?, step: buffer()?, total: buffer()?, spare: buffer()? })
    }

    /// What steps with these coefficients multiply X by, from the A of that X.
    fn product(&mut self, coefficients: &[Coefficients]) -> View<'_> {
        let Self { side, gram, step, total, spare } = self;
        let side = *side;
        let multiply = |to: &mut Buffer, lhs: &Buffer, rhs: &Buffer| {
            products::symmetric((), to, View::new(lhs, side), View::new(rhs, side));
        };
        for (i, numbers) in coefficients.iter().enumerate() {
            multiply(step, gram, gram);
            polynomial(gram, step, side, numbers);
            if i + 1 < coefficients.len() {
                multiply(spare, step, gram);
                multiply(gram, spare, step);
            }
            if i == 0 {
                std::mem::swap(step, total);
            } else {
                multiply(spare, step, total);
                std::mem::swap(spare, total);
            }
        }
        View::new(total, side)
    }
}

/// `square = a + b A + c A^2`, where it was A^2.
fn polynomial(gram: &[f32], square: &mut [f32], side: usize, numbers: &Coefficients) {
    let [a, b, c] = numbers.map(|number| number as f32);
    let chunk = ROWS * side;
    square.par_chunks_mut(chunk).zip(gram.par_chunks(chunk)).enumerate().for_each(|(i, (square, gram))| {
        vectorised(
            #[inline(always)]
            || square.iter_mut().zip(gram).for_each(|(square, gram)| *square = b * gram + c * *square),
        );
        for (k, row) in square.chunks_mut(side).enumerate() {
            row[i * ROWS + k] += a;
        }
    });
}

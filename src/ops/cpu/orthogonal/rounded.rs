//! Products of bf16, sums of f32.

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::{Coefficients, ROWS, products, rows, scale};
use crate::ops::cpu::bf16::{Bf16, Kernel};
use crate::ops::cpu::memory::{Bf16Buffer, Buffer};
use crate::ops::cpu::operand::{Operand, view};
use crate::ops::cpu::simd::vectorised;
use crate::ops::cpu::view::ViewMut;

pub fn try_orthogonalise(
    mut matrix: ViewMut<'_>,
    kernel: Kernel,
    coefficients: &[Coefficients],
) -> Result<(), CpuError> {
    let (down, across) = (matrix.rows, matrix.columns);
    let is_wide = down <= across;
    let side = down.min(across);
    let (stride, of_square) = (Bf16::stride(across), Bf16::stride(side));
    let mut x = Bf16Buffer::try_take(down * stride)?;
    let mut sums = Buffer::try_take(down * across)?;
    let mut gram = Bf16Buffer::try_take(side * of_square)?;
    let mut step = Bf16Buffer::try_take(side * of_square)?;
    let mut square = Buffer::try_take(side * side)?;

    let scale = scale(&mut matrix);
    rows(&mut matrix, &mut x, stride, |from, x| {
        x.iter_mut().zip(from).for_each(|(x, from)| *x = Bf16::round(*from * scale));
    });
    for &[a, b, c] in coefficients {
        let (a, b, c) = (a as f32, b as f32, c as f32);
        let from = view(&x, across);
        let (lhs, rhs) = if is_wide { (from, from.transposed()) } else { (from.transposed(), from) };
        products::symmetric_operand(kernel, &mut gram, lhs, rhs);
        products::symmetric(kernel, &mut square, view(&gram, side), view(&gram, side));
        let chunk = ROWS * of_square;
        let (squares, grams) = (square.par_chunks(ROWS * side), gram.par_chunks(chunk));
        step.par_chunks_mut(chunk).zip(squares).zip(grams).for_each(|((step, square), gram)| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = square.chunks(side).zip(gram.chunks(of_square));
                    for (step, (square, gram)) in step.chunks_mut(of_square).zip(rows) {
                        for ((step, square), gram) in step.iter_mut().zip(square).zip(gram) {
                            *step = Bf16::round(b * gram.widen() + c * square);
                        }
                    }
                },
            );
        });
        let product = view(&step, side);
        let (lhs, rhs) = if is_wide { (product, from) } else { (from, product) };
        products::product(kernel, ViewMut::new(&mut sums, across), lhs, rhs);
        rows(&mut ViewMut::new(&mut sums, across), &mut x, stride, |sums, x| {
            x.iter_mut().zip(sums).for_each(|(x, sum)| *x = Bf16::round(a * x.widen() + *sum));
        });
    }
    rows(&mut matrix, &mut x, stride, |to, x| {
        to.iter_mut().zip(x).for_each(|(to, x)| *to = x.widen());
    });
    Ok(())
}

//! A matrix brought close to the nearest one whose singular values are all 1, by an iteration that only multiplies.
//!
//! Each step maps every singular value s to a s + b s^3 + c s^5, from a matrix X whose Frobenius norm is 1: with A = X X^T it
//! is X <- (a + b A + c A^2) X. Most of it is products whose result is symmetric, of which half is computed.
//!
//! # Source
//! Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024, with the numbers of PyTorch's
//! `torch.optim.Muon`; Dao-AI Lab, "Gram Newton-Schulz", 2026, for several steps on A alone where X is much longer than wide.

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::bf16::Kernel;
use super::simd::vectorised;
use super::view::ViewMut;

mod products;
mod rounded;
mod single;

#[cfg(test)]
mod tests;

/// The numbers a, b and c of a step.
pub type Coefficients = [f64; 3];

/// Norms below this one count as this one, so that a matrix of zeros stays one.
pub const EPS: f64 = 1e-7;

/// Rows of a task that reads or writes a matrix.
const ROWS: usize = 16;
/// Numbers that are summed side by side.
const LANES: usize = 16;

/// Replaces a matrix by what as many steps as there are coefficients make of it, on all threads of the current pool. With a
/// kernel for bf16 that has instructions of its own the products take bf16 and sum in f32, as PyTorch's do; else all is f32.
pub fn try_orthogonalise(
    matrix: ViewMut<'_>,
    kernel: Option<Kernel>,
    coefficients: &[Coefficients],
) -> Result<(), CpuError> {
    if matrix.rows == 0 || matrix.columns == 0 {
        return Ok(());
    }
    match kernel {
        Some(kernel) if kernel != Kernel::Widened => rounded::try_orthogonalise(matrix, kernel, coefficients),
        _ => single::try_orthogonalise(matrix, coefficients),
    }
}

/// What to multiply a matrix by so that its Frobenius norm is 1.
fn scale(matrix: &mut ViewMut<'_>) -> f32 {
    let strips = matrix.rows(0, matrix.rows).cut(true, ROWS).into_par_iter();
    let sums: Vec<f64> =
        strips.map(|mut strip| (0..strip.rows).map(|i| squares(strip.row(i))).sum()).collect();
    (1.0 / sums.iter().sum::<f64>().sqrt().max(EPS)) as f32
}

fn squares(row: &[f32]) -> f64 {
    vectorised(
        #[inline(always)]
        || {
            let (groups, rest) = row.as_chunks::<LANES>();
            let mut sums = [0.0; LANES];
            for group in groups {
                for (sum, &x) in sums.iter_mut().zip(group) {
                    *sum += f64::from(x) * f64::from(x);
                }
            }
            for (sum, &x) in sums.iter_mut().zip(rest) {
                *sum += f64::from(x) * f64::from(x);
            }
            sums.iter().sum()
        },
    )
}

/// Runs `act` on each row of the matrix and the row of `data` that belongs to it; these begin `stride` apart.
fn rows<T: Send>(
    matrix: &mut ViewMut<'_>,
    data: &mut [T],
    stride: usize,
    act: impl Fn(&mut [f32], &mut [T]) + Sync,
) {
    let strips = matrix.rows(0, matrix.rows).cut(true, ROWS);
    strips.into_par_iter().zip(data.par_chunks_mut(ROWS * stride)).for_each(|(mut strip, data)| {
        vectorised(
            #[inline(always)]
            || {
                for (i, data) in data.chunks_mut(stride).enumerate() {
                    act(strip.row(i), data);
                }
            },
        );
    });
}

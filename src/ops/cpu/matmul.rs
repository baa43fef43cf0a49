//! Matrix products by the `gemm` crate, on views into slices.
//!
//! `gemm` chooses AVX-512 or AVX2 at run time. On older x86-64 processors the version that dfdx uses takes its place: it still
//! has kernels for AVX and SSE.

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::simd::has_complete_sets;
use super::view::{View, ViewMut};
use crate::ops::profile::{Part, timed};

/// What becomes of the numbers in the destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// They are replaced, and need not have had a meaning.
    Over,
    /// The product is added to them.
    Add,
}

/// Who computes a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workers {
    /// This thread alone: for products of which many are computed at once.
    One,
    /// All threads of the current pool.
    All,
}

/// `destination (+)= lhs * rhs`, on the widest vector instructions of the processor.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n); anything else is a bug and panics.
pub fn multiply(destination: ViewMut<'_>, lhs: View<'_>, rhs: View<'_>, write: Write, workers: Workers) {
    let (m, k, n) = (lhs.rows, lhs.columns, rhs.columns);
    assert!(rhs.rows == k && destination.rows == m && destination.columns == n, "the shapes do not agree");
    let threads = match workers {
        Workers::One => 1,
        Workers::All => rayon::current_num_threads(),
    };
    // A product by one thread is part of something larger.
    let _timed = (workers == Workers::All).then(|| timed(Part::Products));
    if threads == 1 {
        return product(destination, lhs, rhs, write, 1);
    }
    // A piece of the product for each thread, which then works in its own caches, is faster than threads that share one
    // product, as long as the pieces are large. An operand that lies across memory is packed by each thread: cut it too.
    let by_rows = lhs.column_stride != 1 && m >= n;
    let piece = if by_rows { m } else { n }.div_ceil(threads).next_multiple_of(PIECE_UNIT);
    if piece < MIN_PIECE {
        return product(destination, lhs, rhs, write, threads);
    }
    let pieces = destination.cut(by_rows, piece);
    pieces.into_par_iter().with_max_len(1).enumerate().for_each(|(i, destination)| {
        let start = i * piece;
        let (lhs, rhs) = if by_rows {
            (lhs.rows(start, start + destination.rows), rhs)
        } else {
            (lhs, rhs.columns(start, start + destination.columns))
        };
        product(destination, lhs, rhs, write, 1);
    });
}

/// Rows or columns of a product below which threads work on one product together.
const MIN_PIECE: usize = 192;
/// Pieces are whole multiples of the largest block that `gemm` holds in registers.
const PIECE_UNIT: usize = 64;

fn product(destination: ViewMut<'_>, lhs: View<'_>, rhs: View<'_>, write: Write, threads: usize) {
    // `gemm` has nothing fast for a processor without FMA. Where there is FMA without AVX2 (AMD's Piledriver), or AVX-512F
    // without its companions (Xeon Phi), it takes kernels that need more than the processor has, and panics.
    #[cfg(target_arch = "x86_64")]
    if !has_complete_sets() {
        use gemm_before_avx2::{Parallelism, gemm};
        let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
        return run(gemm, destination, lhs, rhs, write, parallelism);
    }
    use gemm::{Parallelism, gemm};
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    run(gemm, destination, lhs, rhs, write, parallelism);
}

/// The function `gemm` of any version of the crate, for its own type of parallelism.
type Gemm<P> = unsafe fn(
    usize,
    usize,
    usize,
    *mut f32,
    isize,
    isize,
    bool,
    *const f32,
    isize,
    isize,
    *const f32,
    isize,
    isize,
    f32,
    f32,
    bool,
    bool,
    bool,
    P,
);

fn run<P>(
    gemm: Gemm<P>,
    destination: ViewMut<'_>,
    lhs: View<'_>,
    rhs: View<'_>,
    write: Write,
    parallelism: P,
) {
    // SAFETY: the views were checked against their slices when they were made, the caller has checked that their shapes
    // agree, strides are positive, and `destination` is borrowed exclusively, so it does not overlap with the operands.
    // With `Write::Over` it is not read.
    unsafe {
        gemm(
            lhs.rows,
            rhs.columns,
            lhs.columns,
            destination.data,
            1,
            destination.row_stride as isize,
            write == Write::Add,
            lhs.data.as_ptr(),
            lhs.column_stride as isize,
            lhs.row_stride as isize,
            rhs.data.as_ptr(),
            rhs.column_stride as isize,
            rhs.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `destination (+)= lhs * rhs` for whole matrices, by all threads; `destination` is row-major.
pub fn matmul(destination: &mut [f32], lhs: View<'_>, rhs: View<'_>, write: Write) {
    multiply(ViewMut::new(destination, rhs.columns), lhs, rhs, write, Workers::All);
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn products_for_processors_without_avx2_are_the_same() {
        use gemm_before_avx2::{Parallelism, gemm};
        for (m, k, n) in [(1, 1, 1), (3, 5, 7), (17, 33, 1), (1, 64, 65), (70, 129, 40)] {
            let values =
                |len: usize, step: f32| (0..len).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
            let (lhs, rhs) = (values(m * k, 0.7), values(k * n, 1.3));
            let (lhs, rhs) = (View::new(&lhs, m).transposed(), View::new(&rhs, n));
            for (write, before) in [(Write::Over, f32::NAN), (Write::Add, 2.0)] {
                for parallelism in [Parallelism::None, Parallelism::Rayon(2)] {
                    let [mut expected, mut found] = [vec![before; m * n], vec![before; m * n]];
                    multiply(ViewMut::new(&mut expected, n), lhs, rhs, write, Workers::One);
                    run(gemm, ViewMut::new(&mut found, n), lhs, rhs, write, parallelism);
                    for (expected, found) in expected.iter().zip(&found) {
                        assert!(
                            (expected - found).abs() < 1e-4,
                            "{m} x {k} x {n}: {found} is not {expected}"
                        );
                    }
                }
            }
        }
    }
}

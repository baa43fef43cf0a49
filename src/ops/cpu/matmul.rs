//! Matrix products by the `gemm` crate, on views into slices. Everything `unsafe` of the fused operations is in this file.
//!
//! `gemm` chooses AVX-512 or AVX2 at run time. On older x86-64 processors the version that dfdx uses takes its place: it still
//! has kernels for AVX and SSE.

use std::marker::PhantomData;

use rayon::prelude::*;

#[cfg(target_arch = "x86_64")]
use super::simd::has_complete_sets;
use crate::ops::profile::{Part, timed};

/// A matrix inside a slice: element (i, j) lies at i * `row_stride` + j * `column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> View<'a> {
    /// All of `data` as rows of `columns` elements.
    pub fn new(data: &'a [f32], columns: usize) -> Self {
        Self::strided(data, data.len() / columns, columns, columns)
    }

    /// `rows` x `columns` elements from the start of `data`, with rows that begin `row_stride` apart.
    pub fn strided(data: &'a [f32], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "the matrix does not fit its slice");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The rows from `start` to `end`.
    fn rows(self, start: usize, end: usize) -> Self {
        assert!(start <= end && end <= self.rows, "the rows are not in the matrix");
        let data = if start < end { &self.data[start * self.row_stride..] } else { &[] };
        Self { data, rows: end - start, ..self }
    }

    pub fn transposed(self) -> Self {
        let Self { data, rows, columns, row_stride, column_stride } = self;
        Self { data, rows: columns, columns: rows, row_stride: column_stride, column_stride: row_stride }
    }
}

/// A matrix that is written to, with columns that lie side by side.
#[derive(Debug)]
pub struct ViewMut<'a> {
    data: *mut f32,
    rows: usize,
    columns: usize,
    row_stride: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: a `ViewMut` is an exclusive borrow of its elements, as `&mut [f32]` is, and f32 may be sent.
unsafe impl Send for ViewMut<'_> {}

impl<'a> ViewMut<'a> {
    /// All of `data` as rows of `columns` elements.
    pub fn new(data: &'a mut [f32], columns: usize) -> Self {
        let (rows, row_stride) = (data.len() / columns, columns);
        assert!(fits(data.len(), rows, columns, row_stride), "the matrix does not fit its slice");
        Self { data: data.as_mut_ptr(), rows, columns, row_stride, borrow: PhantomData }
    }

    /// Cuts rows of `width` elements into tiles of `rows` x `columns`, which must go into the matrix evenly; tiles of the
    /// same rows follow each other.
    pub fn tiles(data: &'a mut [f32], width: usize, rows: usize, columns: usize) -> Vec<Self> {
        assert!(
            width.is_multiple_of(columns) && data.len().is_multiple_of(width * rows),
            "the tiles are uneven"
        );
        let (down, across) = (data.len() / (width * rows), width / columns);
        let data = data.as_mut_ptr();
        let tile = |i: usize, j: usize| {
            // SAFETY: by the check above tile (i, j) lies inside the slice.
            let data = unsafe { data.add(i * rows * width + j * columns) };
            // No two tiles share an element, so each may be borrowed exclusively for as long as the slice is.
            Self { data, rows, columns, row_stride: width, borrow: PhantomData }
        };
        (0..down).flat_map(|i| (0..across).map(move |j| (i, j))).map(|(i, j)| tile(i, j)).collect()
    }

    /// Cuts the matrix into pieces of `piece` rows, or columns; the last has what is left.
    fn cut(self, by_rows: bool, piece: usize) -> Vec<Self> {
        let Self { data, rows, columns, row_stride, borrow } = self;
        let whole = if by_rows { rows } else { columns };
        let starts = (0..whole).step_by(piece);
        let cut = |start: usize| {
            let len = piece.min(whole - start);
            // SAFETY: `start` is a row, or column, of the matrix.
            let data = unsafe { data.add(if by_rows { start * row_stride } else { start }) };
            // No two pieces share an element, and the matrix they come from is gone.
            let (rows, columns) = if by_rows { (len, columns) } else { (rows, len) };
            Self { data, rows, columns, row_stride, borrow }
        };
        starts.map(cut).collect()
    }

    /// The rows from `start` to `end`.
    pub fn rows(&mut self, start: usize, end: usize) -> ViewMut<'_> {
        assert!(start <= end && end <= self.rows, "the rows are not in the matrix");
        // SAFETY: row `start` begins inside the matrix, or one past its end if no rows are asked for.
        let data = unsafe { self.data.add(start.min(self.rows.saturating_sub(1)) * self.row_stride) };
        ViewMut { data, rows: end - start, borrow: PhantomData, ..*self }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (columns <= row_stride && (rows - 1) * row_stride + columns <= len)
}

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

/// `destination (+)= scale * lhs * rhs`, on the widest vector instructions of the processor.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n); anything else is a bug and panics.
pub fn multiply(
    destination: ViewMut<'_>,
    lhs: View<'_>,
    rhs: View<'_>,
    scale: f32,
    write: Write,
    workers: Workers,
) {
    let (m, k, n) = (lhs.rows, lhs.columns, rhs.columns);
    assert!(rhs.rows == k && destination.rows == m && destination.columns == n, "the shapes do not agree");
    let threads = match workers {
        Workers::One => 1,
        Workers::All => rayon::current_num_threads(),
    };
    // A product by one thread is part of something larger.
    let _timed = (workers == Workers::All).then(|| timed(Part::Products));
    if threads == 1 {
        return product(destination, lhs, rhs, scale, write, 1);
    }
    // A piece of the product for each thread, which then works in its own caches, is faster than threads that share one
    // product, as long as the pieces are large. An operand that lies across memory is packed by each thread: cut it too.
    let by_rows = lhs.column_stride != 1 && m >= n;
    let piece = if by_rows { m } else { n }.div_ceil(threads).next_multiple_of(PIECE_UNIT);
    if piece < MIN_PIECE {
        return product(destination, lhs, rhs, scale, write, threads);
    }
    let pieces = destination.cut(by_rows, piece);
    pieces.into_par_iter().with_max_len(1).enumerate().for_each(|(i, destination)| {
        let start = i * piece;
        let (lhs, rhs) = if by_rows {
            (lhs.rows(start, start + destination.rows), rhs)
        } else {
            (lhs, rhs.transposed().rows(start, start + destination.columns).transposed())
        };
        product(destination, lhs, rhs, scale, write, 1);
    });
}

/// Rows or columns of a product below which threads work on one product together.
const MIN_PIECE: usize = 192;
/// Pieces are whole multiples of the largest block that `gemm` holds in registers.
const PIECE_UNIT: usize = 64;

fn product(destination: ViewMut<'_>, lhs: View<'_>, rhs: View<'_>, scale: f32, write: Write, threads: usize) {
    // `gemm` has nothing fast for a processor without FMA. Where there is FMA without AVX2 (AMD's Piledriver), or AVX-512F
    // without its companions (Xeon Phi), it takes kernels that need more than the processor has, and panics.
    #[cfg(target_arch = "x86_64")]
    if !has_complete_sets() {
        use gemm_before_avx2::{Parallelism, gemm};
        let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
        return run(gemm, destination, lhs, rhs, scale, write, parallelism);
    }
    use gemm::{Parallelism, gemm};
    let parallelism = if threads == 1 { Parallelism::None } else { Parallelism::Rayon(threads) };
    run(gemm, destination, lhs, rhs, scale, write, parallelism);
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
    scale: f32,
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
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `destination (+)= lhs * rhs` for whole matrices, by all threads; `destination` is row-major.
pub fn matmul(destination: &mut [f32], lhs: View<'_>, rhs: View<'_>, write: Write) {
    multiply(ViewMut::new(destination, rhs.columns), lhs, rhs, 1.0, write, Workers::All);
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
                    multiply(ViewMut::new(&mut expected, n), lhs, rhs, 0.5, write, Workers::One);
                    run(gemm, ViewMut::new(&mut found, n), lhs, rhs, 0.5, write, parallelism);
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

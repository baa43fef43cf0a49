//! Matrix products by the `gemm` crate, on views into slices. Everything `unsafe` of the fused operations is in this file.

use std::marker::PhantomData;

use gemm::Parallelism;

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
    let parallelism = match workers {
        Workers::One => Parallelism::None,
        Workers::All => Parallelism::Rayon(0),
    };
    // SAFETY: the views were checked against their slices when they were made, the shapes agree, strides are positive, and
    // `destination` is borrowed exclusively, so it does not overlap with the operands. With `Write::Over` it is not read.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
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

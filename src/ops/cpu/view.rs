//! Matrices inside slices: what the products of the fused operations read and write. Which parts of a slice may be borrowed
//! exclusively at the same time is decided here, so that the code on top needs no `unsafe`.

use std::marker::PhantomData;

/// A matrix inside a slice: element (i, j) lies at i * `row_stride` + j * `column_stride`.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T = f32> {
    pub(super) data: &'a [T],
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    pub(super) column_stride: usize,
}

impl<'a, T: Copy> View<'a, T> {
    /// All of `data` as rows of `columns` elements.
    pub fn new(data: &'a [T], columns: usize) -> Self {
        Self::strided(data, data.len() / columns, columns, columns)
    }

    /// `rows` x `columns` elements from the start of `data`, with rows that begin `row_stride` apart.
    pub fn strided(data: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        assert!(fits(data.len(), rows, columns, row_stride), "the matrix does not fit its slice");
        Self { data, rows, columns, row_stride, column_stride: 1 }
    }

    /// The rows from `start` to `end`.
    pub fn rows(self, start: usize, end: usize) -> Self {
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
pub struct ViewMut<'a, T = f32> {
    pub(super) data: *mut T,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) row_stride: usize,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: a `ViewMut` is an exclusive borrow of its elements, as `&mut [T]` is.
unsafe impl<T: Send> Send for ViewMut<'_, T> {}

impl<'a, T: Copy> ViewMut<'a, T> {
    /// All of `data` as rows of `columns` elements.
    pub fn new(data: &'a mut [T], columns: usize) -> Self {
        let (rows, row_stride) = (data.len() / columns, columns);
        assert!(fits(data.len(), rows, columns, row_stride), "the matrix does not fit its slice");
        Self { data: data.as_mut_ptr(), rows, columns, row_stride, borrow: PhantomData }
    }

    /// Cuts rows of `width` elements into tiles of `rows` x `columns`, which must go into the matrix evenly; tiles of the
    /// same rows follow each other.
    pub fn tiles(data: &'a mut [T], width: usize, rows: usize, columns: usize) -> Vec<Self> {
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
    pub fn cut(self, by_rows: bool, piece: usize) -> Vec<Self> {
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
    pub fn rows(&mut self, start: usize, end: usize) -> ViewMut<'_, T> {
        assert!(start <= end && end <= self.rows, "the rows are not in the matrix");
        // SAFETY: row `start` begins inside the matrix, or one past its end if no rows are asked for.
        let data = unsafe { self.data.add(start.min(self.rows.saturating_sub(1)) * self.row_stride) };
        ViewMut { data, rows: end - start, borrow: PhantomData, ..*self }
    }

    /// The elements of one row.
    pub fn row(&mut self, row: usize) -> &mut [T] {
        assert!(row < self.rows, "the row is not in the matrix");
        // SAFETY: the row lies inside the matrix, which is borrowed exclusively.
        unsafe { std::slice::from_raw_parts_mut(self.data.add(row * self.row_stride), self.columns) }
    }
}

fn fits(len: usize, rows: usize, columns: usize, row_stride: usize) -> bool {
    rows == 0 || columns == 0 || (columns <= row_stride && (rows - 1) * row_stride + columns <= len)
}

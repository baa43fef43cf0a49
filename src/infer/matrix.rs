//! Weight matrices in panels, in single precision or smaller. How rows are multiplied with one is decided when it is packed, and
//! not by their number, so that a row has the same bits alone and among others.

use rayon::prelude::*;

use super::int8;
use super::panels::{Element, Lanes, Line, STREAMS, WIDTH, add_products};
use crate::ops::cpu::bf16::{Bf16, Kernel, Packed};
use crate::ops::cpu::operand::{Operand, round_rows};

/// How the weights are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightKind {
    /// As they were trained.
    #[default]
    F32,
    /// Rounded to the upper half of an f32: half of the memory. Multiplied in bf16 where the processor is faster at that, else
    /// in f32.
    Bf16,
    /// Rounded to 8 bits, with a scale for each 128 weights of an output: a quarter of the memory. Multiplied by rows that are
    /// rounded in the same way.
    Int8,
}

impl WeightKind {
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::Int8];

    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

/// Weights that are read in less time than it takes to hand them to another thread.
const SMALL_TASK: usize = 1 << 15;

/// A matrix of `rows` x `columns` that rows are multiplied with from the left.
#[derive(Clone, Debug)]
pub struct Matrix {
    rows: usize,
    columns: usize,
    weights: Weights,
}

#[derive(Clone, Debug)]
enum Weights {
    F32(Vec<Line<f32>>),
    Bf16(Vec<Line<Bf16>>),
    /// In panels as the kernel for bf16 reads them.
    Bf16Packed(Kernel, Vec<Packed>),
    Int8(int8::Weights),
}

/// Where element (i, j) of a matrix lies in a slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Rows follow each other.
    RowMajor,
    /// Columns follow each other: the transposed matrix by rows.
    ColumnMajor,
}

impl Matrix {
    /// Packs `values`, which are `rows` * `columns`.
    pub fn pack(values: &[f32], rows: usize, columns: usize, order: Order, kind: WeightKind) -> Self {
        // Only bf16 has a choice of kernels, and to make it takes a probe.
        let kernel = if kind == WeightKind::Bf16 { Kernel::choose() } else { Kernel::Widened };
        Self::pack_for(values, rows, columns, order, kind, kernel)
    }

    /// As [`Matrix::pack`], with the kernel that is to multiply bf16.
    pub(super) fn pack_for(
        values: &[f32],
        rows: usize,
        columns: usize,
        order: Order,
        kind: WeightKind,
        kernel: Kernel,
    ) -> Self {
        assert_eq!(values.len(), rows * columns, "the values are not those of the matrix");
        let at = |i: usize, j: usize| match order {
            Order::RowMajor => values[i * columns + j],
            Order::ColumnMajor => values[j * rows + i],
        };
        // Columns beyond the last one are zeros.
        let line = |panel: usize, i: usize| -> Lanes {
            std::array::from_fn(|lane| {
                let j = panel * WIDTH + lane;
                if j < columns { at(i, j) } else { 0.0 }
            })
        };
        let panels = columns.div_ceil(WIDTH);
        let weights = match kind {
            WeightKind::F32 => Weights::F32(fill(panels, rows, Line([0.0; WIDTH]), |p, i| Line(line(p, i)))),
            WeightKind::Bf16 if kernel != Kernel::Widened => {
                let panel = |p| {
                    let rounded: Vec<Bf16> = (0..rows).flat_map(|i| line(p, i).map(Bf16::round)).collect();
                    Packed::of_rows(&rounded, WIDTH)
                };
                Weights::Bf16Packed(kernel, (0..panels).into_par_iter().map(panel).collect())
            }
            WeightKind::Bf16 => {
                let zeros = Line([Bf16::default(); WIDTH]);
                Weights::Bf16(fill(panels, rows, zeros, |p, i| Line(line(p, i).map(Bf16::round))))
            }
            WeightKind::Int8 => Weights::Int8(int8::Weights::pack(panels, rows, line)),
        };
        Self { rows, columns, weights }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Of memory.
    pub fn bytes(&self) -> usize {
        match &self.weights {
            Weights::F32(lines) => size_of_val(lines.as_slice()),
            Weights::Bf16(lines) => size_of_val(lines.as_slice()),
            Weights::Bf16Packed(_, panels) => {
                panels.iter().map(|panel| size_of_val(panel.data.as_slice())).sum()
            }
            Weights::Int8(weights) => weights.bytes(),
        }
    }

    /// Column `j`, `rows` numbers.
    pub fn copy_column(&self, j: usize, column: &mut [f32]) {
        let (start, lane) = (j / WIDTH * self.rows, j % WIDTH);
        for (i, x) in column.iter_mut().enumerate() {
            *x = match &self.weights {
                Weights::F32(lines) => lines[start + i].0[lane],
                Weights::Bf16(lines) => lines[start + i].0[lane].widen(),
                Weights::Bf16Packed(_, panels) => panels[j / WIDTH].get(i, lane).widen(),
                Weights::Int8(weights) => weights.at(i, j),
            };
        }
    }

    /// `y = x * self + bias`.
    ///
    /// # Shapes
    /// (m, rows) -> (m, columns); the bias is in panels, see [`in_panels`].
    pub fn multiply(&self, x: &[f32], bias: Option<&[Lanes]>, y: &mut [f32]) {
        let m = x.len() / self.rows;
        let mut sums = vec![[0.0; WIDTH]; self.columns.div_ceil(WIDTH) * m];
        if let Some(bias) = bias {
            sums.chunks_exact_mut(m).zip(bias).for_each(|(sums, bias)| sums.fill(*bias));
        }
        match &self.weights {
            Weights::F32(lines) => self.run(x, lines, &mut sums),
            Weights::Bf16(lines) => self.run(x, lines, &mut sums),
            Weights::Bf16Packed(kernel, panels) => {
                let mut rows = vec![Bf16::default(); m * Bf16::stride(self.rows)];
                round_rows(x, self.rows, &mut rows);
                self.share_out(&mut sums, m, |first, sums| {
                    for (panel, sums) in panels[first..].iter().zip(sums.chunks_exact_mut(m)) {
                        panel.add_product(*kernel, &rows, sums.as_flattened_mut());
                    }
                });
            }
            Weights::Int8(weights) => {
                let rows = int8::Rows::round(x, self.rows);
                self.share_out(&mut sums, m, |first, sums| weights.add_products(&rows, first, sums));
            }
        }
        // From panel by panel to row by row.
        for (i, y) in y.chunks_exact_mut(self.columns).enumerate() {
            for (y, sums) in y.chunks_mut(WIDTH).zip(sums.chunks_exact(m)) {
                y.copy_from_slice(&sums[i][..y.len()]);
            }
        }
    }

    fn run<T: Element>(&self, x: &[f32], lines: &[Line<T>], sums: &mut [Lanes]) {
        let rows: Vec<&[f32]> = x.chunks_exact(self.rows).collect();
        self.share_out(sums, rows.len(), |first, sums| {
            let panels = sums.len() / rows.len();
            add_products(&rows, &lines[first * self.rows..][..panels * self.rows], sums);
        });
    }

    /// Calls `product` with the sums of some panels, on several threads where that pays, and the number of the first panel.
    fn share_out(&self, sums: &mut [Lanes], m: usize, product: impl Fn(usize, &mut [Lanes]) + Sync) {
        let work = self.rows * WIDTH * STREAMS * m.div_ceil(8);
        let pieces = self.columns.div_ceil(WIDTH).div_ceil(STREAMS);
        let together = SMALL_TASK.div_ceil(work).max(pieces / (8 * rayon::current_num_threads()));
        let run = |(piece, sums): (usize, &mut [Lanes])| product(piece * STREAMS, sums);
        if together >= pieces {
            return sums.chunks_mut(STREAMS * m).enumerate().for_each(run);
        }
        sums.par_chunks_mut(STREAMS * m).with_min_len(together).enumerate().for_each(run);
    }
}

/// Panels of `rows` lines, each made from the numbers of its panel and its row.
fn fill<T: Copy + Send>(
    panels: usize,
    rows: usize,
    empty: Line<T>,
    make: impl Fn(usize, usize) -> Line<T> + Sync,
) -> Vec<Line<T>> {
    let mut lines = vec![empty; panels * rows];
    lines.par_chunks_exact_mut(rows).enumerate().for_each(|(p, lines)| {
        lines.iter_mut().enumerate().for_each(|(i, line)| *line = make(p, i));
    });
    lines
}

/// A row of a matrix cut into panels, with zeros beyond its end.
pub fn in_panels(row: &[f32]) -> Vec<Lanes> {
    let lanes = |piece: &[f32]| std::array::from_fn(|lane| piece.get(lane).copied().unwrap_or(0.0));
    row.chunks(WIDTH).map(lanes).collect()
}

//! Weight matrices in panels, in single precision or smaller.

use rayon::prelude::*;

use super::panels::{Bf16, Element, Lanes, Line, STREAMS, Scales, WIDTH, add_products};

/// How the weights are held. Everything is computed in f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum WeightKind {
    /// As they were trained.
    #[default]
    F32,
    /// Rounded to the upper half of an f32: half of the memory.
    Bf16,
    /// Rounded to 8 bits, with a scale for each 128 weights of an output: a quarter of the memory.
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

/// Rows that share a scale.
const GROUP: usize = 128;
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
    Int8 { lines: Vec<Line<i8>>, scales: Vec<Line<f32>> },
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
            WeightKind::Bf16 => {
                let zeros = Line([Bf16::default(); WIDTH]);
                Weights::Bf16(fill(panels, rows, zeros, |p, i| Line(line(p, i).map(Bf16::round))))
            }
            WeightKind::Int8 => {
                let groups = rows.div_ceil(GROUP);
                let scales = fill(panels, groups, Line([0.0; WIDTH]), |p, g| {
                    scale_of((g * GROUP..rows.min((g + 1) * GROUP)).map(|i| line(p, i)))
                });
                let lines = fill(panels, rows, Line([0; WIDTH]), |p, i| {
                    quantise(&line(p, i), &scales[p * groups + i / GROUP].0)
                });
                Weights::Int8 { lines, scales }
            }
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
            Weights::Int8 { lines, scales } => size_of_val(lines.as_slice()) + size_of_val(scales.as_slice()),
        }
    }

    /// Column `j`, `rows` numbers.
    pub fn copy_column(&self, j: usize, column: &mut [f32]) {
        let (start, lane) = (j / WIDTH * self.rows, j % WIDTH);
        for (i, x) in column.iter_mut().enumerate() {
            *x = match &self.weights {
                Weights::F32(lines) => lines[start + i].0[lane],
                Weights::Bf16(lines) => f32::from_bits(u32::from(lines[start + i].0[lane].0) << 16),
                Weights::Int8 { lines, scales } => {
                    let scale = scales[j / WIDTH * self.rows.div_ceil(GROUP) + i / GROUP].0[lane];
                    f32::from(lines[start + i].0[lane]) * scale
                }
            };
        }
    }

    /// `y = x * self + bias`.
    ///
    /// # Shapes
    /// (m, rows) -> (m, columns); the bias is in panels, see [`in_panels`].
    pub fn multiply(&self, x: &[f32], bias: Option<&[Lanes]>, y: &mut [f32]) {
        let rows: Vec<&[f32]> = x.chunks_exact(self.rows).collect();
        let m = rows.len();
        let mut sums = vec![[0.0; WIDTH]; self.columns.div_ceil(WIDTH) * m];
        if let Some(bias) = bias {
            sums.chunks_exact_mut(m).zip(bias).for_each(|(sums, bias)| sums.fill(*bias));
        }
        match &self.weights {
            Weights::F32(lines) => self.run(&rows, lines, None, &mut sums),
            Weights::Bf16(lines) => self.run(&rows, lines, None, &mut sums),
            Weights::Int8 { lines, scales } => self.run(&rows, lines, Some(scales), &mut sums),
        }
        // From panel by panel to row by row.
        for (i, y) in y.chunks_exact_mut(self.columns).enumerate() {
            for (y, sums) in y.chunks_mut(WIDTH).zip(sums.chunks_exact(m)) {
                y.copy_from_slice(&sums[i][..y.len()]);
            }
        }
    }

    fn run<T: Element>(
        &self,
        rows: &[&[f32]],
        lines: &[Line<T>],
        scales: Option<&[Line<f32>]>,
        sums: &mut [Lanes],
    ) {
        let groups = self.rows.div_ceil(GROUP);
        let product = |piece: usize, sums: &mut [Lanes]| {
            let (first, count) = (piece * STREAMS, sums.len() / rows.len());
            let lines = &lines[first * self.rows..][..count * self.rows];
            let scales =
                scales.map(|all| Scales { lines: &all[first * groups..][..count * groups], rows: GROUP });
            add_products(rows, lines, scales, sums);
        };
        let len = STREAMS * rows.len();
        let work = self.rows * WIDTH * STREAMS * rows.len().div_ceil(8);
        let pieces = self.columns.div_ceil(WIDTH).div_ceil(STREAMS);
        let together = SMALL_TASK.div_ceil(work).max(pieces / (8 * rayon::current_num_threads()));
        if together >= pieces {
            return sums.chunks_mut(len).enumerate().for_each(|(piece, sums)| product(piece, sums));
        }
        let tasks = sums.par_chunks_mut(len).with_min_len(together).enumerate();
        tasks.for_each(|(piece, sums)| product(piece, sums));
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

/// The largest absolute value of each column becomes 127.
fn scale_of(lines: impl Iterator<Item = Lanes>) -> Line<f32> {
    let mut largest = [0.0f32; WIDTH];
    for line in lines {
        // A NaN stays: it must not become a number on the way.
        largest.iter_mut().zip(line).for_each(|(max, x)| {
            if x.is_nan() || x.abs() > *max {
                *max = x.abs();
            }
        });
    }
    Line(largest.map(|max| max / 127.0))
}

fn quantise(line: &Lanes, scales: &Lanes) -> Line<i8> {
    let mut rounded = [0; WIDTH];
    for ((rounded, x), scale) in rounded.iter_mut().zip(line).zip(scales) {
        // A column of zeros has no scale. The cast stays within the range of i8.
        *rounded = if *scale > 0.0 { (x / scale).round_ties_even() as i8 } else { 0 };
    }
    Line(rounded)
}

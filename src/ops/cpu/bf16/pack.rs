//! Operands brought into the order in which kernels read them, with zeros beyond the matrix.
//!
//! | operand | order of the numbers |
//! |---|---|
//! | right | panel of 32 columns, step of 32 rows, tile of 16 columns, pair of rows, column, row of the pair |
//! | left | strip of 32 rows, step of 32 columns, tile of 16 rows, row, column |
//!
//! A step is 32 [lines](Line) in both.

use std::ops::Range;

use rayon::prelude::*;

use super::{Bf16, Line, Packed};
use crate::ops::cpu::view::View;

#[cfg(target_arch = "x86_64")]
mod avx512;

/// Rows of a strip, columns of a panel, and what both have of the other dimension in a step.
pub const SIDE: usize = 32;
/// Lines of a step.
pub const STEP: usize = 32;
/// Panels that a thread packs at once: rows of the source are then read along.
const TOGETHER: usize = 12;

const ZERO: Line = Line([Bf16::ZERO; SIDE]);

impl Packed {
    /// Packs a right-hand side (k, n), on all threads.
    pub fn pack(rhs: View<'_, Bf16>) -> Self {
        let mut packed = Self { rows: 0, columns: 0, data: Vec::new() };
        packed.pack_again(rhs);
        packed
    }

    /// Replaces what is packed, in the same memory if it is enough.
    pub fn pack_again(&mut self, rhs: View<'_, Bf16>) {
        let (stride, panels) = (rhs.rows.div_ceil(SIDE) * STEP, rhs.columns.div_ceil(SIDE));
        (self.rows, self.columns) = (rhs.rows, rhs.columns);
        self.data.resize(stride * panels, ZERO);
        let together = panels.div_ceil(rayon::current_num_threads()).clamp(1, TOGETHER);
        let tasks = self.data.par_chunks_mut((stride * together).max(1)).enumerate();
        tasks.for_each(|(i, lines)| {
            let first = i * together;
            pack_panels(rhs, first..(first + together).min(panels), stride, lines);
        });
    }
}

/// Packs panels of a right-hand side (k, n); each begins `stride` lines after the one before.
pub fn pack_panels(rhs: View<'_, Bf16>, panels: Range<usize>, stride: usize, lines: &mut [Line]) {
    let along_depth = rhs.row_stride == 1;
    each_block(panels, rhs.rows, along_depth, |i, panel, step| {
        let block = block(&mut lines[i * stride + step * STEP..]);
        pack_block(Operand::Right, rhs, SIDE * step, SIDE * panel, block);
    });
}

/// Packs strips of a left-hand side (m, k); each begins `stride` lines after the one before.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only kernels of x86-64 take strips"))]
pub fn pack_strips(lhs: View<'_, Bf16>, strips: Range<usize>, stride: usize, lines: &mut [Line]) {
    let along_depth = lhs.column_stride == 1;
    each_block(strips, lhs.columns, along_depth, |i, strip, step| {
        let block = block(&mut lines[i * stride + step * STEP..]);
        pack_block(Operand::Left, lhs, SIDE * strip, SIDE * step, block);
    });
}

fn block(lines: &mut [Line]) -> &mut [Line; STEP] {
    lines.first_chunk_mut().expect("the lines are too few for what is packed")
}

/// Calls `act` with the number of a band among `bands`, the band (a panel or a strip) and a step, in the order in which the
/// source is read along.
fn each_block(
    bands: Range<usize>,
    depth: usize,
    along_depth: bool,
    mut act: impl FnMut(usize, usize, usize),
) {
    let steps = depth.div_ceil(SIDE);
    if along_depth {
        bands.enumerate().for_each(|(i, band)| (0..steps).for_each(|step| act(i, band, step)));
    } else {
        (0..steps).for_each(|step| bands.clone().enumerate().for_each(|(i, band)| act(i, band, step)));
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operand {
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "only kernels of x86-64 take strips"))]
    Left,
    Right,
}

/// Packs up to 32 x 32 elements that begin at (row, column).
fn pack_block(operand: Operand, matrix: View<'_, Bf16>, row: usize, column: usize, block: &mut [Line; STEP]) {
    #[cfg(target_arch = "x86_64")]
    if avx512::is_available() && (matrix.column_stride == 1 || matrix.row_stride == 1) {
        // SAFETY: the processor has the instructions.
        return unsafe { avx512::pack_block(operand, matrix, row, column, block) };
    }
    pack_block_plainly(operand, matrix, row, column, block);
}

fn pack_block_plainly(
    operand: Operand,
    matrix: View<'_, Bf16>,
    row: usize,
    column: usize,
    block: &mut [Line; STEP],
) {
    let element = |i: usize, j: usize| {
        let (i, j) = (row + i, column + j);
        let inside = i < matrix.rows && j < matrix.columns;
        if inside { matrix.data[i * matrix.row_stride + j * matrix.column_stride] } else { Bf16::ZERO }
    };
    for (i, line) in block.iter_mut().enumerate() {
        let (tile, pair) = (i / 16, i % 16);
        line.0 = match operand {
            Operand::Left => std::array::from_fn(|j| element(i, j)),
            Operand::Right => std::array::from_fn(|j| element(2 * pair + j % 2, 16 * tile + j / 2)),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(len: usize) -> Vec<Bf16> {
        (1..=len).map(|i| Bf16(i as u16)).collect()
    }

    /// The same numbers (rows, columns) in memory by rows, by columns, and with gaps.
    fn orientations(rows: usize, columns: usize, test: impl Fn(View<'_, Bf16>)) {
        test(View::new(&matrix(rows * columns), columns));
        test(View::new(&matrix(rows * columns), rows).transposed());
        test(View::strided(&matrix(rows * (columns + 7)), rows, columns, columns + 7));
        let apart = matrix(6 * rows * columns);
        test(View { data: &apart, rows, columns, row_stride: 3 * columns, column_stride: 3 });
    }

    #[test]
    fn elements_are_where_the_layout_says_and_zeros_beyond() {
        for (rows, columns) in [(1, 1), (2, 3), (31, 33), (32, 64), (33, 31), (65, 100), (100, 65), (64, 1)] {
            orientations(rows, columns, |view| {
                let at = |i: usize, j: usize| {
                    let inside = i < rows && j < columns;
                    if inside { view.data[i * view.row_stride + j * view.column_stride] } else { Bf16::ZERO }
                };
                let (down, across) = (rows.div_ceil(32), columns.div_ceil(32));
                let right = Packed::pack(view);
                assert_eq!(
                    (right.rows, right.columns, right.data.len()),
                    (rows, columns, down * across * 32)
                );
                let stride = (across | 1) * 32;
                let mut left = vec![Line([Bf16(0xffff); 32]); down * stride];
                pack_strips(view, 0..down, stride, &mut left);
                for i in 0..down * 32 {
                    for j in 0..across * 32 {
                        let (panel, step, tile, pair) = (j / 32, i / 32, j % 32 / 16, i % 32 / 2);
                        let line = ((panel * down + step) * 2 + tile) * 16 + pair;
                        assert_eq!(right.data[line].0[j % 16 * 2 + i % 2], at(i, j), "({i}, {j}) right");
                        let line = i / 32 * stride + j / 32 * 32 + i % 32;
                        assert_eq!(left[line].0[j % 32], at(i, j), "({i}, {j}) left");
                    }
                }
            });
        }
    }

    #[test]
    fn vector_instructions_pack_as_plain_loops_do() {
        for (rows, columns) in [(32, 32), (64, 96), (17, 40), (50, 5), (1, 70), (33, 63)] {
            orientations(rows, columns, |view| {
                for operand in [Operand::Left, Operand::Right] {
                    for (row, column) in (0..rows).step_by(32).zip((0..columns).step_by(32)) {
                        let [mut expected, mut found] = [[Line([Bf16(0xffff); 32]); 32]; 2];
                        pack_block_plainly(operand, view, row, column, &mut expected);
                        pack_block(operand, view, row, column, &mut found);
                        assert_eq!(expected.map(|line| line.0), found.map(|line| line.0));
                    }
                }
            });
        }
    }
}

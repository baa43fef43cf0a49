//! A product cut into pieces for the threads of the current pool. The sum of an element is made by one thread in one order, so
//! the pieces change no bit.

use rayon::prelude::*;

use super::{Bf16, Kernel, Rhs};
use crate::ops::cpu::operand::Destination;
use crate::ops::cpu::view::View;

/// Rows of a piece below which packing the right-hand side for each of them costs too much: then columns are cut too. A tile
/// of it takes some 30 to 60 cycles to pack, and is multiplied with 16 rows in 16.
const MIN_ROWS: usize = 512;
/// Pieces are whole multiples of the largest block that a kernel holds in registers.
const UNIT: usize = 32;
/// Multiplications below which a second thread does not pay.
const SMALL: usize = 1 << 18;

/// `destination (+)= lhs * rhs` by all threads of the current pool.
pub fn multiply(kernel: Kernel, destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: View<'_, Bf16>) {
    let threads = rayon::current_num_threads();
    let (m, k, n) = (lhs.rows, lhs.columns, rhs.columns);
    if threads == 1 || m * n * k < SMALL {
        return kernel.multiply(destination, lhs, Rhs::Plain(rhs));
    }
    let (down, across) = grid(m, n, threads);
    let (rows, columns) = (piece(m, down), piece(n, across));
    let mut pieces = Vec::with_capacity(down * across);
    for (i, strip) in destination.cut(true, rows).into_iter().enumerate() {
        let lhs = lhs.rows(i * rows, m.min((i + 1) * rows));
        for (j, to) in strip.cut(false, columns).into_iter().enumerate() {
            pieces.push((to, lhs, rhs.columns(j * columns, n.min((j + 1) * columns))));
        }
    }
    pieces
        .into_par_iter()
        .with_max_len(1)
        .for_each(|(to, lhs, rhs)| kernel.multiply(to, lhs, Rhs::Plain(rhs)));
}

/// Into how many strips of rows, and each of these into how many pieces.
fn grid(m: usize, n: usize, threads: usize) -> (usize, usize) {
    // A matrix of few rows that are long is cut the other way round, for the same reason.
    let most_down = (m / MIN_ROWS).max(1);
    let down = if n < 2 * UNIT { threads } else { threads.min(most_down) };
    let across = threads.div_ceil(down).min(n.div_ceil(UNIT));
    (down.min(m.div_ceil(UNIT)), across)
}

fn piece(len: usize, pieces: usize) -> usize {
    len.div_ceil(pieces).next_multiple_of(UNIT)
}

impl<'a> Destination<'a> {
    /// As [`ViewMut::cut`](crate::ops::cpu::view::ViewMut::cut).
    fn cut(self, by_rows: bool, piece: usize) -> Vec<Destination<'a>> {
        match self {
            Self::Sums { to, write } => {
                to.cut(by_rows, piece).into_iter().map(|to| Self::Sums { to, write }).collect()
            }
            Self::Operand { to, bias } => {
                let bias = |i: usize, columns: usize| match by_rows {
                    true => bias,
                    false => bias.map(|bias| &bias[i * piece..][..columns]),
                };
                let pieces = to.cut(by_rows, piece).into_iter().enumerate();
                pieces.map(|(i, to)| Self::Operand { bias: bias(i, to.columns), to }).collect()
            }
        }
    }
}

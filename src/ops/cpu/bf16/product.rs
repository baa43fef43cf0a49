//! What a product of bf16 matrices is, whoever computes it.

use super::{Bf16, widened};
use crate::ops::cpu::matmul::Workers;
use crate::ops::cpu::operand::Destination;
use crate::ops::cpu::view::View;

/// Who multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    Amx,
    Avx512,
    Widened,
}

impl Kernel {
    pub fn is_available(self) -> bool {
        self == Self::Widened
    }

    /// `destination (+)= lhs * rhs`, by this thread alone.
    pub(super) fn multiply(self, destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: Rhs<'_>) {
        match (self, rhs) {
            (Self::Widened, Rhs::Plain(rhs)) => widened::multiply(destination, lhs, rhs, Workers::One),
            _ => unreachable!("merged later"),
        }
    }
}

/// The right-hand side of a product, (k, n).
#[derive(Clone, Copy, Debug)]
pub enum Rhs<'a> {
    /// Packed as the product goes along.
    Plain(View<'a, Bf16>),
    /// Packed before, for several products.
    Packed(&'a Packed),
}

/// A right-hand side as tiles want it: panels of 32 columns, each of steps of 32 rows, each of two tiles of 16 columns, each of
/// 16 pairs of rows; beyond the matrix are zeros.
#[derive(Debug)]
pub struct Packed {
    pub rows: usize,
    pub columns: usize,
    /// [panel][step][tile][pair of rows][column][row of the pair], at a multiple of 64 bytes.
    pub data: Vec<Line>,
}

impl Packed {
    pub fn pack(_m: View<'_, Bf16>) -> Self {
        unimplemented!()
    }
}
/// Numbers of a line.
pub const LINE: usize = 32;

/// A row of a tile, which is a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [Bf16; LINE]);

impl Line {
    /// The numbers of lines that follow each other.
    pub fn flatten(lines: &[Self]) -> &[Bf16] {
        // SAFETY: a line is its numbers and nothing else, and lines lie without gaps.
        unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * LINE) }
    }

    /// As [`Line::flatten`].
    pub fn flatten_mut(lines: &mut [Self]) -> &mut [Bf16] {
        // SAFETY: as there, and the borrow is exclusive.
        unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), lines.len() * LINE) }
    }
}

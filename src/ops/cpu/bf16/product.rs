//! What a product of bf16 matrices is, whoever computes it.

use super::{Bf16, widened};
#[cfg(target_arch = "x86_64")]
use super::{amx, avx512};
use crate::ops::cpu::matmul::{Workers, Write};
use crate::ops::cpu::operand::{Destination, view};
use crate::ops::cpu::view::{View, ViewMut};

/// Who multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    Amx,
    Avx512,
    Widened,
}

/// Whether a machine has a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The processor has not got the instructions.
    Absent,
    /// It has, and the operating system does not let this process use them.
    Refused,
    There,
}

impl Kernel {
    /// Whether this machine has it, and if not, why.
    pub fn presence(self) -> Presence {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Amx => amx::presence(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => avx512::presence(),
            Self::Widened => Presence::There,
            #[cfg(not(target_arch = "x86_64"))]
            Self::Amx | Self::Avx512 => Presence::Absent,
        }
    }

    /// Whether this machine has it.
    pub fn is_available(self) -> bool {
        self.presence() == Presence::There
    }

    /// `destination (+)= lhs * rhs`, by this thread alone.
    pub(super) fn multiply(self, destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: Rhs<'_>) {
        match (self, rhs) {
            #[cfg(target_arch = "x86_64")]
            (Self::Amx, rhs) => amx::multiply(destination, lhs, rhs),
            #[cfg(target_arch = "x86_64")]
            (Self::Avx512, rhs) => avx512::multiply(destination, lhs, rhs),
            (Self::Widened, Rhs::Plain(rhs)) => widened::multiply(destination, lhs, rhs, Workers::One),
            (kernel, Rhs::Packed(_)) => unreachable!("{kernel:?} does not take packed operands"),
            #[cfg(not(target_arch = "x86_64"))]
            (kernel, _) => unreachable!("this processor has no {kernel:?}"),
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
#[derive(Clone, Debug)]
pub struct Packed {
    pub rows: usize,
    pub columns: usize,
    /// By panel, step, tile, pair of rows, column and row of the pair, at a multiple of 64 bytes.
    pub data: Vec<Line>,
}

impl Packed {
    /// Packs rows (k, n) without gaps.
    pub fn of_rows(rows: &[Bf16], columns: usize) -> Self {
        Self::pack(View::new(rows, columns))
    }

    /// Element (i, j).
    pub fn get(&self, i: usize, j: usize) -> Bf16 {
        assert!(i < self.rows && j < self.columns, "the element is not in the matrix");
        let (steps, tile, pair) = (self.rows.div_ceil(LINE), j % LINE / 16, i % LINE / 2);
        let line = ((j / LINE * steps + i / LINE) * 2 + tile) * 16 + pair;
        self.data[line].0[j % 16 * 2 + i % 2]
    }

    /// `to (m, n) += rows * self`, by this thread alone; the rows (m, k) are an operand's.
    pub fn add_product(&self, kernel: Kernel, rows: &[Bf16], to: &mut [f32]) {
        let to = Destination::Sums { to: ViewMut::new(to, self.columns), write: Write::Add };
        kernel.multiply(to, view(rows, self.rows), Rhs::Packed(self));
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

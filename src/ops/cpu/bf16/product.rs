//! What a product of bf16 matrices is, whoever computes it.

use super::Bf16;
use crate::ops::cpu::matmul::Write;
use crate::ops::cpu::view::{View, ViewMut};

/// Who multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    Amx,
    Avx512,
    Widened,
}

/// Where a product goes.
#[derive(Debug)]
pub enum Destination<'a> {
    /// Sums as they are.
    Single { to: ViewMut<'a>, write: Write },
    /// Sums plus the bias of their column, rounded.
    Rounded { to: ViewMut<'a, Bf16>, bias: Option<&'a [f32]> },
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

/// A row of a tile, which is a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Line(pub [Bf16; 32]);

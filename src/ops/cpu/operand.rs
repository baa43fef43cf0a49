//! What products are made of: f32, or bf16 with sums in f32. The operations are written once for both. Residual stream,
//! statistics of norms, softmax and gradients of parameters are f32 in either case; queries, keys, values, hidden layers and
//! their gradients are operands.

use std::fmt::Debug;
use std::ops::DerefMut;

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::bf16::number::round_all;
use super::bf16::{self, Bf16, LINE};
use super::matmul::{self, Workers, Write};
use super::memory::{Bf16Buffer, Buffer};
use super::rows::{self, ROWS};
use super::simd::vectorised;
use super::view::{View, ViewMut};
use crate::ops::Dropout;
use crate::ops::profile::{Part, timed};

/// Where a product goes.
#[derive(Debug)]
pub enum Destination<'a, T = Bf16> {
    /// Sums as they are.
    Sums { to: ViewMut<'a>, write: Write },
    /// An operand of other products: sums plus the bias of their column, rounded if the operand is.
    Operand { to: ViewMut<'a, T>, bias: Option<&'a [f32]> },
}

impl<T: Copy> Destination<'_, T> {
    /// Rows and columns.
    pub fn shape(&self) -> (usize, usize) {
        match self {
            Self::Sums { to, .. } => (to.rows, to.columns),
            Self::Operand { to, .. } => (to.rows, to.columns),
        }
    }
}

/// A number that products take.
pub trait Operand: Copy + Default + Debug + Send + Sync + 'static {
    /// Who multiplies.
    type Kernel: Copy + Debug + Send + Sync + 'static;
    /// Working memory.
    type Memory: DerefMut<Target = [Self]> + Debug;

    /// Memory whose content is unspecified.
    fn try_take(len: usize) -> Result<Self::Memory, CpuError>;

    fn narrow(x: f32) -> Self;

    fn widen(self) -> f32;

    /// Elements from the beginning of a row of so many to that of the next. What lies between is not read.
    fn stride(columns: usize) -> usize;

    /// `destination (+)= lhs * rhs`.
    ///
    /// # Shapes
    /// (m, k), (k, n) -> (m, n); anything else is a bug and panics.
    fn multiply(
        kernel: Self::Kernel,
        destination: Destination<'_, Self>,
        lhs: View<'_, Self>,
        rhs: View<'_, Self>,
        workers: Workers,
    );

    /// `x` (m, c) after dropout as an operand: itself where that is possible, else a copy in `memory`.
    fn try_operand<'a>(
        x: &'a [f32],
        columns: usize,
        dropout: Option<Dropout>,
        memory: &'a mut Option<Self::Memory>,
    ) -> Result<&'a [Self], CpuError>;

    /// Memory of a task for `rows` rows to be narrowed into, if they need any.
    fn scratch(rows: usize, columns: usize) -> Vec<Self>;

    /// Rows of f32 that follow each other as an operand, by way of `scratch`.
    fn narrowed<'a>(x: &'a [f32], columns: usize, scratch: &'a mut [Self]) -> &'a [Self];
}

/// All of `data` as rows of so many operands.
pub fn view<T: Operand>(data: &[T], columns: usize) -> View<'_, T> {
    let stride = T::stride(columns);
    View::strided(data, data.len() / stride, columns, stride)
}

/// As [`view`], to be written to.
pub fn view_mut<T: Operand>(data: &mut [T], columns: usize) -> ViewMut<'_, T> {
    ViewMut::strided(data, columns, T::stride(columns))
}

impl Operand for f32 {
    type Kernel = ();
    type Memory = Buffer;

    fn try_take(len: usize) -> Result<Buffer, CpuError> {
        Buffer::try_take(len)
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        x
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self
    }

    fn stride(columns: usize) -> usize {
        columns
    }

    fn multiply(
        (): (),
        destination: Destination<'_, Self>,
        lhs: View<'_, Self>,
        rhs: View<'_, Self>,
        workers: Workers,
    ) {
        match destination {
            Destination::Sums { to, write } => matmul::multiply(to, lhs, rhs, write, workers),
            Destination::Operand { to, bias: None } => {
                matmul::multiply(to, lhs, rhs, Write::Over, workers);
            }
            Destination::Operand { mut to, bias: Some(bias) } => {
                rows::fill(to.as_slice(), bias);
                matmul::multiply(to, lhs, rhs, Write::Add, workers);
            }
        }
    }

    fn try_operand<'a>(
        x: &'a [f32],
        _columns: usize,
        dropout: Option<Dropout>,
        memory: &'a mut Option<Buffer>,
    ) -> Result<&'a [f32], CpuError> {
        *memory = rows::dropped(x, dropout)?;
        Ok(memory.as_deref().unwrap_or(x))
    }

    fn scratch(_rows: usize, _columns: usize) -> Vec<f32> {
        Vec::new()
    }

    fn narrowed<'a>(x: &'a [f32], _columns: usize, _scratch: &'a mut [f32]) -> &'a [f32] {
        x
    }
}

impl Operand for Bf16 {
    type Kernel = bf16::Kernel;
    type Memory = Bf16Buffer;

    fn try_take(len: usize) -> Result<Bf16Buffer, CpuError> {
        Bf16Buffer::try_take(len)
    }

    #[inline(always)]
    fn narrow(x: f32) -> Self {
        Self::round(x)
    }

    #[inline(always)]
    fn widen(self) -> f32 {
        self.widen()
    }

    /// Whole cache lines, and of longer rows an odd number of them: sixteen rows that a tile reads at the same place would
    /// otherwise compete for a few sets of the cache.
    fn stride(columns: usize) -> usize {
        let lines = columns.div_ceil(LINE);
        LINE * if lines > 4 { lines | 1 } else { lines }
    }

    fn multiply(
        kernel: bf16::Kernel,
        destination: Destination<'_>,
        lhs: View<'_, Self>,
        rhs: View<'_, Self>,
        workers: Workers,
    ) {
        bf16::multiply(kernel, destination, lhs, rhs, workers);
    }

    fn try_operand<'a>(
        x: &'a [f32],
        columns: usize,
        dropout: Option<Dropout>,
        memory: &'a mut Option<Bf16Buffer>,
    ) -> Result<&'a [Self], CpuError> {
        let dropped = rows::dropped(x, dropout)?;
        let x = dropped.as_deref().unwrap_or(x);
        let rounded = memory.insert(Bf16Buffer::try_take(x.len() / columns * Self::stride(columns))?);
        round_rows(x, columns, rounded);
        Ok(rounded)
    }

    fn scratch(rows: usize, columns: usize) -> Vec<Self> {
        vec![Self::ZERO; rows * Self::stride(columns)]
    }

    fn narrowed<'a>(x: &'a [f32], columns: usize, scratch: &'a mut [Self]) -> &'a [Self] {
        let stride = Self::stride(columns);
        let rounded = &mut scratch[..x.len() / columns * stride];
        vectorised(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(columns).zip(rounded.chunks_exact_mut(stride)) {
                    round_all(x, y);
                }
            },
        );
        rounded
    }
}

/// Rounds rows of f32 (m, c), on all threads.
pub fn round_rows(x: &[f32], columns: usize, y: &mut [Bf16]) {
    let _timed = timed(Part::Elementwise);
    let stride = Bf16::stride(columns);
    x.par_chunks(ROWS * columns).zip(y.par_chunks_mut(ROWS * stride)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || {
                for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact_mut(stride)) {
                    round_all(x, y);
                }
            },
        );
    });
}

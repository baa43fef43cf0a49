//! Gradients of biases and of norms' parameters: sums down columns, in shares that are added up together at the end.

use std::rc::Rc;

use dfdx::prelude::*;

use super::context::{Context, Memory};
use super::kernels::{self, Grid};
use super::masks::Bits;
use super::norm::Normed;
use super::number::Number;
use super::structures::{AddColumns, Columns, VECTORS};

/// As in `columns.cu`.
const ACROSS: usize = 32;
const DOWN: usize = 8;
/// Shares of a sum at most, and rows of a share at least.
const MOST_SHARES: usize = 64;
const LEAST_ROWS: usize = 32;

/// The sums of vectors that belong to one part of the model.
#[derive(Debug)]
pub struct ColumnSums {
    rows: usize,
    rows_per_share: usize,
    shares: usize,
    /// Where each vector begins in a row of shares, and the end of the last.
    starts: Vec<usize>,
    memory: Memory,
}

/// What is done to a gradient while its columns are added up.
#[derive(Clone, Copy, Debug, Default)]
pub struct Also<'a> {
    /// The argument of GELU, of whose result the gradient is; see `columns.cu`. 0: none.
    pub hidden: u64,
    /// Elements to be dropped, and where the gradient goes then.
    pub dropped: Option<(&'a Bits, u64)>,
}

impl ColumnSums {
    /// For gradients of so many rows, and vectors of these lengths, eight at most.
    pub fn try_new(context: &Rc<Context>, rows: usize, lens: &[usize]) -> Result<Self, CudaError> {
        let rows_per_share = rows.div_ceil(MOST_SHARES).max(LEAST_ROWS);
        let shares = rows.div_ceil(rows_per_share);
        let mut starts = vec![0];
        starts.extend(lens.iter().scan(0, |end, len| {
            *end += len;
            Some(*end)
        }));
        let memory = context.try_take::<f32>(shares * starts[lens.len()])?;
        Ok(Self { rows, rows_per_share, shares, starts, memory })
    }

    fn stride(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    fn columns(&self, vector: usize) -> usize {
        self.starts[vector + 1] - self.starts[vector]
    }

    /// # Safety
    /// As for [`Self::try_bias`].
    unsafe fn try_columns<E: Number>(&self, context: &Context, parameters: Columns) -> Result<(), CudaError> {
        let blocks = (parameters.columns.div_ceil(ACROSS) as u32, self.shares as u32);
        let grid = Grid { blocks, threads: (ACROSS as u32, DOWN as u32) };
        // SAFETY: the caller's promise.
        unsafe { context.launch(kernels::COLUMNS.of::<E>(), grid, parameters) }
    }

    /// The gradient of the bias that is this vector, from that of what it was added to.
    ///
    /// # Safety
    /// `x`, and what is named besides it, are as many rows of this vector's length on the context's device.
    pub unsafe fn try_bias<E: Number>(
        &mut self,
        context: &Context,
        vector: usize,
        x: u64,
        also: Also<'_>,
    ) -> Result<(), CudaError> {
        let parameters = Columns {
            rows: self.rows,
            columns: self.columns(vector),
            rows_per_block: self.rows_per_share,
            x,
            hidden: also.hidden,
            bits: also.dropped.map_or(0, |(bits, _)| bits.address()),
            out: also.dropped.map_or(0, |(_, out)| out),
            factors: 0,
            plain: self.memory.at::<f32>(self.starts[vector]),
            weighted: 0,
            stride: self.stride(),
            kept: also.dropped.map_or(1.0, |(bits, _)| bits.kept),
            padding: 0,
        };
        // SAFETY: the caller's promise, and there is room for each share.
        unsafe { self.try_columns::<E>(context, parameters) }
    }

    /// The gradients of a norm's weight and bias, which are these vectors, from that of its result.
    ///
    /// # Safety
    /// As for [`Self::try_bias`].
    pub unsafe fn try_norm<E: Number>(
        &mut self,
        context: &Context,
        [weight, bias]: [usize; 2],
        dy: u64,
        normed: &Normed,
    ) -> Result<(), CudaError> {
        let parameters = Columns {
            rows: self.rows,
            columns: self.columns(weight),
            rows_per_block: self.rows_per_share,
            x: dy,
            hidden: 0,
            bits: 0,
            out: 0,
            factors: normed.rows.address(),
            plain: self.memory.at::<f32>(self.starts[bias]),
            weighted: self.memory.at::<f32>(self.starts[weight]),
            stride: self.stride(),
            kept: 1.0,
            padding: 0,
        };
        // SAFETY: the caller's promise, and there is room for each share.
        unsafe { self.try_columns::<E>(context, parameters) }
    }

    /// Adds all sums to the gradients at these addresses; 0: nobody wants them.
    ///
    /// # Safety
    /// Each is the address of a gradient of its vector's length on the context's device. The sum of each that is not 0 was asked for.
    pub unsafe fn try_add<E: Number>(self, context: &Context, to: &[u64]) -> Result<(), CudaError> {
        let mut parameters = AddColumns {
            shares: self.shares,
            stride: self.stride(),
            from: self.memory.address(),
            starts: [self.stride(); VECTORS + 1],
            to: [0; VECTORS],
        };
        parameters.starts[..self.starts.len()].copy_from_slice(&self.starts);
        parameters.to[..to.len()].copy_from_slice(to);
        // SAFETY: the caller's promise.
        unsafe { context.launch(kernels::ADD_COLUMNS.of::<E>(), Grid::elements(self.stride()), parameters) }
    }
}

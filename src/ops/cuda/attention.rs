//! Causal self-attention between its two products with weights.

use std::rc::Rc;

use dfdx::prelude::*;

use super::context::{Context, Memory};
use super::kernels::{self, Grid};
use super::masks::{self, Bits};
use super::number::Number;
use super::product::{Product, Side};
use super::structures;
use crate::ops::AttentionShape;
use crate::ops::composed::sequences_at_a_time;

/// The sizes of one pass.
#[derive(Clone, Copy, Debug)]
pub struct Sizes {
    pub shape: AttentionShape,
    /// Of a head.
    pub width: usize,
    /// Scores that may exist at the same time.
    pub max_scores: usize,
}

/// Which way numbers go between positions (m, parts * c) and heads (parts, b, h, t, d).
#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// A bias is added; 0: none.
    ToHeads {
        bias: u64,
    },
    ToPositions,
}

impl Sizes {
    fn scores_of_sequence(&self) -> usize {
        self.shape.heads * self.shape.tokens * self.shape.tokens
    }

    /// All scores of the batch.
    pub fn scores(&self) -> usize {
        self.shape.batch * self.scores_of_sequence()
    }

    /// Numbers of a (m, c).
    fn elements(&self) -> usize {
        self.shape.batch * self.shape.tokens * self.shape.heads * self.width
    }

    /// Sequences that are computed at a time.
    fn at_a_time(&self) -> usize {
        sequences_at_a_time(self.shape.batch, self.scores_of_sequence(), self.max_scores)
    }

    /// Whether the backward pass can have the weights: all exist at once.
    pub fn keeps_weights(&self) -> bool {
        self.at_a_time() == self.shape.batch
    }

    fn scale(&self) -> f32 {
        (self.width as f64).powf(-0.5) as f32
    }

    /// The first sequences of all that are computed at a time.
    fn groups(&self) -> impl Iterator<Item = Group> {
        let sizes = *self;
        (0..self.shape.batch).step_by(self.at_a_time()).map(move |first| Group { sizes, first })
    }

    /// Moves numbers between positions and heads.
    ///
    /// # Safety
    /// Both are of that shape on the context's device, the bias is as long as a row of positions.
    pub unsafe fn try_move<E: Number>(
        &self,
        context: &Context,
        parts: usize,
        positions: u64,
        by_head: u64,
        way: Way,
    ) -> Result<(), CudaError> {
        let AttentionShape { batch, tokens, heads } = self.shape;
        let (bias, to_heads) = match way {
            Way::ToHeads { bias } => (bias, 1),
            Way::ToPositions => (0, 0),
        };
        let width = self.width;
        let parameters =
            structures::Heads { batch, tokens, heads, width, parts, positions, by_head, bias, to_heads };
        let grid = Grid::rows(batch * tokens, parts * heads * width);
        // SAFETY: the caller's promise.
        unsafe { context.launch(kernels::HEADS.of::<E>(), grid, parameters) }
    }

    /// Attention's result by head, at `y`, and its weights if they are to be kept.
    ///
    /// # Safety
    /// `qkv` is (3, b, h, t, d) and `y` (b, h, t, d) on the context's device; the bits are of all scores.
    pub unsafe fn try_forward<E: Number>(
        &self,
        context: &Rc<Context>,
        qkv: u64,
        bits: Option<&Bits>,
        y: u64,
    ) -> Result<Option<Memory>, CudaError> {
        let mut kept = None;
        for group in self.groups() {
            // SAFETY: the caller's promise; a group is a part of the batch.
            unsafe {
                let weights = group.try_scores::<E>(context, qkv)?;
                let dropped = bits.map(|_| context.try_take::<E>(group.scores())).transpose()?;
                group.try_softmax::<E>(context, &weights, bits.zip(dropped.as_ref()))?;
                let after = dropped.as_ref().unwrap_or(&weights);
                group.try_values::<E>(context, after, qkv, y)?;
                kept = Some(weights);
            }
        }
        Ok(kept.filter(|_| self.keeps_weights()))
    }

    /// The gradients of queries, keys and values, at `dqkv`, from that of the result by head.
    ///
    /// # Safety
    /// As for [`Self::try_forward`], which kept the weights.
    pub unsafe fn try_backward<E: Number>(
        &self,
        context: &Rc<Context>,
        [qkv, dy, dqkv]: [u64; 3],
        bits: Option<&Bits>,
        mut weights: Option<Memory>,
    ) -> Result<(), CudaError> {
        for group in self.groups() {
            // SAFETY: the caller's promise; a group is a part of the batch.
            unsafe {
                let weights = match weights.take() {
                    Some(weights) => weights,
                    None => {
                        let weights = group.try_scores::<E>(context, qkv)?;
                        group.try_softmax::<E>(context, &weights, None)?;
                        weights
                    }
                };
                group.try_backward::<E>(context, [qkv, dy, dqkv], bits, &weights)?;
            }
        }
        Ok(())
    }
}

/// Sequences that are computed at a time.
#[derive(Clone, Copy, Debug)]
struct Group {
    sizes: Sizes,
    first: usize,
}

impl Group {
    fn scores(&self) -> usize {
        self.sizes.at_a_time() * self.sizes.scores_of_sequence()
    }

    /// Where this group's queries (0), keys (1) or values (2) lie.
    fn part<E>(&self, qkv: u64, part: usize) -> u64 {
        let elements = self.sizes.elements();
        let before = part * elements + self.first * (elements / self.sizes.shape.batch);
        qkv + (before * size_of::<E>()) as u64
    }

    fn product(&self, [m, k, n]: [usize; 3], lhs: Side, rhs: Side, factor: f32, to: u64) -> Product {
        let count = self.sizes.at_a_time() * self.sizes.shape.heads;
        Product { count, m, k, n, lhs, rhs, factor, adds: false, to }
    }

    /// Queries times keys.
    ///
    /// # Safety
    /// As for [`Sizes::try_forward`].
    unsafe fn try_scores<E: Number>(&self, context: &Rc<Context>, qkv: u64) -> Result<Memory, CudaError> {
        let scores = context.try_take::<E>(self.scores())?;
        let (tokens, width) = (self.sizes.shape.tokens, self.sizes.width);
        let (q, k) = (Side::plain(self.part::<E>(qkv, 0)), Side::transposed(self.part::<E>(qkv, 1)));
        let product = self.product([tokens, width, tokens], q, k, self.sizes.scale(), scores.address());
        // SAFETY: the caller's promise, and there is room for the scores.
        unsafe { product.try_on::<E>(context) }?;
        Ok(scores)
    }

    /// Scores to weights, and those after dropout.
    ///
    /// # Safety
    /// Both are of this group's scores.
    unsafe fn try_softmax<E: Number>(
        &self,
        context: &Context,
        scores: &Memory,
        dropped: Option<(&Bits, &Memory)>,
    ) -> Result<(), CudaError> {
        let tokens = self.sizes.shape.tokens;
        let rows = self.scores() / tokens;
        let (bits, kept) = masks::parts(dropped.map(|(bits, _)| bits));
        let parameters = structures::Softmax {
            rows,
            tokens,
            scores: scores.address(),
            out: dropped.map_or(0, |(_, out)| out.address()),
            bits,
            first: self.first * self.sizes.scores_of_sequence(),
            kept,
            padding: 0,
        };
        // SAFETY: the caller's promise.
        unsafe { context.launch(kernels::SOFTMAX.of::<E>(), Grid::rows(rows, tokens), parameters) }
    }

    /// Weights times values.
    ///
    /// # Safety
    /// As for [`Sizes::try_forward`]; the weights are this group's.
    unsafe fn try_values<E: Number>(
        &self,
        context: &Context,
        weights: &Memory,
        qkv: u64,
        y: u64,
    ) -> Result<(), CudaError> {
        let (tokens, width) = (self.sizes.shape.tokens, self.sizes.width);
        let (weights, v) = (Side::plain(weights.address()), Side::plain(self.part::<E>(qkv, 2)));
        let product = self.product([tokens, tokens, width], weights, v, 1.0, self.part::<E>(y, 0));
        // SAFETY: the caller's promise.
        unsafe { product.try_on::<E>(context) }
    }

    /// # Safety
    /// As for [`Sizes::try_backward`]; the weights are this group's.
    unsafe fn try_backward<E: Number>(
        &self,
        context: &Rc<Context>,
        [qkv, dy, dqkv]: [u64; 3],
        bits: Option<&Bits>,
        weights: &Memory,
    ) -> Result<(), CudaError> {
        let (tokens, width, scale) = (self.sizes.shape.tokens, self.sizes.width, self.sizes.scale());
        let part = |qkv, i| self.part::<E>(qkv, i);
        let dy = self.part::<E>(dy, 0);
        let gradient = context.try_take::<E>(self.scores())?;
        let dropped = bits.map(|_| context.try_take::<E>(self.scores())).transpose()?;
        let after = dropped.as_ref().unwrap_or(weights).address();
        let rows = self.scores() / tokens;
        let (bits, kept) = masks::parts(bits);
        let parameters = structures::SoftmaxBackward {
            rows,
            tokens,
            weights: weights.address(),
            gradient: gradient.address(),
            out: dropped.as_ref().map_or(0, Memory::address),
            bits,
            first: self.first * self.sizes.scores_of_sequence(),
            kept,
            padding: 0,
        };
        let of_scores = gradient.address();
        let (inner, outer) = ([tokens, width, tokens], [tokens, tokens, width]);
        let plain = |address| Side::plain(address);
        let products = [
            self.product(outer, Side::transposed(after), plain(dy), 1.0, part(dqkv, 2)),
            self.product(outer, plain(of_scores), plain(part(qkv, 1)), scale, part(dqkv, 0)),
            self.product(outer, Side::transposed(of_scores), plain(part(qkv, 0)), scale, part(dqkv, 1)),
        ];
        // SAFETY: the caller's promise, and there is room for the scores and their gradient.
        unsafe {
            let of_weights = Side::transposed(part(qkv, 2));
            self.product(inner, plain(dy), of_weights, 1.0, of_scores).try_on::<E>(context)?;
            context.launch(kernels::SOFTMAX_BACKWARD.of::<E>(), Grid::rows(rows, tokens), parameters)?;
            products.into_iter().try_for_each(|product| product.try_on::<E>(context))
        }
    }
}

//! Causal attention on slices, a task for each head of each sequence. Queries are taken a block at a time with the keys up
//! to the block's end, so nothing is computed above the diagonal but the rest of a block on it. Of the weights (t, t) only
//! the logarithm of each row's sum is kept; the backward pass computes them again.
//!
//! # Source
//! Dao et al., "FlashAttention", 2022, for the recomputation and for the row sums of the backward pass.

use rayon::prelude::*;

use super::matmul::{Workers, Write, multiply};
use super::simd::{exp, exp_and_sum, max, sum_of_two, vectorised};
use super::view::{View, ViewMut};
use crate::ops::profile::{Part, timed};
use crate::ops::{AttentionShape, Dropout};

/// Queries per block: small enough to waste little above the diagonal, large enough for the products to be fast.
const BLOCK: usize = 64;

/// One head of one sequence: where its numbers lie in (m, 3c) and (m, c).
#[derive(Clone, Copy)]
struct Head<'a> {
    qkv: &'a [f32],
    shape: AttentionShape,
    width: usize,
    head_width: usize,
    /// b * heads + h
    index: usize,
    dropout: Option<Dropout>,
}

impl<'a> Head<'a> {
    fn scale(self) -> f32 {
        (self.head_width as f32).powf(-0.5)
    }

    /// Rows `start..end` of queries (0), keys (1) or values (2).
    fn rows(self, third: usize, start: usize, end: usize) -> View<'a> {
        let (sequence, head) = (self.index / self.shape.heads, self.index % self.shape.heads);
        let row = sequence * self.shape.tokens + start;
        let first = row * 3 * self.width + third * self.width + head * self.head_width;
        View::strided(&self.qkv[first..], end - start, self.head_width, 3 * self.width)
    }

    /// The head's part of row `row` of a matrix (m, c).
    fn row_of(self, matrix: &[f32], row: usize) -> &[f32] {
        let (sequence, head) = (self.index / self.shape.heads, self.index % self.shape.heads);
        let first = (sequence * self.shape.tokens + row) * self.width + head * self.head_width;
        &matrix[first..first + self.head_width]
    }

    /// The head's part of rows `start..end` of a matrix (m, c).
    fn rows_of(self, matrix: &'a [f32], start: usize, end: usize) -> View<'a> {
        let (sequence, head) = (self.index / self.shape.heads, self.index % self.shape.heads);
        let first = (sequence * self.shape.tokens + start) * self.width + head * self.head_width;
        View::strided(&matrix[first..], end - start, self.head_width, self.width)
    }

    /// Writes the scores of queries `start..end` against all keys before `end`.
    fn score(self, start: usize, end: usize, scores: &mut [f32]) {
        let (q, k) = (self.rows(0, start, end), self.rows(1, 0, end));
        multiply(ViewMut::new(scores, end), q, k.transposed(), self.scale(), Write::Over, Workers::One);
    }

    /// Writes the dropout factors of queries `start..end` against all keys before `end`.
    fn drop_factors(self, dropout: Dropout, start: usize, end: usize, factors: &mut [f32]) {
        let tokens = self.shape.tokens;
        for (row, factors) in (start..end).zip(factors.chunks_exact_mut(end)) {
            dropout.fill((self.index * tokens + row) * tokens, factors);
        }
    }
}

/// Blocks of `0..tokens` as (start, end).
fn blocks(tokens: usize) -> impl DoubleEndedIterator<Item = (usize, usize)> {
    (0..tokens.div_ceil(BLOCK)).map(move |i| (i * BLOCK, tokens.min((i + 1) * BLOCK)))
}

/// Working memory of a task: `count` matrices of a block's scores.
fn scratch<const N: usize>(tokens: usize) -> [Vec<f32>; N] {
    std::array::from_fn(|_| vec![0.0; BLOCK.min(tokens) * tokens])
}

/// Attention of (m, 3c) into `y` (m, c). `log_sums` (b * h, t) takes the logarithm of each row's sum of exponentials.
pub fn forward(
    qkv: &[f32],
    shape: AttentionShape,
    dropout: Option<Dropout>,
    y: &mut [f32],
    log_sums: &mut [f32],
) {
    let _timed = timed(Part::Attention);
    let width = y.len() / (shape.batch * shape.tokens);
    let head_width = width / shape.heads;
    let tiles = ViewMut::tiles(y, width, shape.tokens, head_width);
    let tasks = tiles.into_par_iter().zip(log_sums.par_chunks_mut(shape.tokens)).enumerate();
    tasks.for_each_init(
        || scratch(shape.tokens),
        |[weights, factors], (index, (mut y, log_sums))| {
            let head = Head { qkv, shape, width, head_width, index, dropout };
            for (start, end) in blocks(shape.tokens) {
                let weights = &mut weights[..(end - start) * end];
                head.score(start, end, weights);
                vectorised(
                    #[inline(always)]
                    || {
                        let rows = weights.chunks_exact_mut(end).zip(&mut log_sums[start..end]);
                        for ((row, log_sum), seen) in rows.zip(start + 1..) {
                            let (past, future) = row.split_at_mut(seen);
                            let max = max(past);
                            let total = exp_and_sum(past, max);
                            past.iter_mut().for_each(|x| *x *= 1.0 / total);
                            future.fill(0.0);
                            *log_sum = max + total.ln();
                        }
                    },
                );
                if let Some(dropout) = head.dropout {
                    let factors = &mut factors[..weights.len()];
                    head.drop_factors(dropout, start, end, factors);
                    weights.iter_mut().zip(&*factors).for_each(|(x, factor)| *x *= factor);
                }
                let (weights, v) = (View::new(weights, end), head.rows(2, 0, end));
                multiply(y.rows(start, end), weights, v, 1.0, Write::Over, Workers::One);
            }
        },
    );
}

/// What the backward pass knows of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    pub qkv: &'a [f32],
    pub y: &'a [f32],
    pub log_sums: &'a [f32],
    pub shape: AttentionShape,
    pub dropout: Option<Dropout>,
}

/// The gradient of attention's input, from that of its result: (m, c) -> (m, 3c).
pub fn backward(past: Past<'_>, dy: &[f32], dqkv: &mut [f32]) {
    let _timed = timed(Part::Attention);
    let Past { qkv, y, log_sums, shape, dropout } = past;
    let (tokens, heads) = (shape.tokens, shape.heads);
    let width = dy.len() / (shape.batch * tokens);
    let head_width = width / heads;
    // Tiles come as queries, keys and values of all heads of a sequence.
    let mut tiles: Vec<Option<ViewMut<'_>>> =
        ViewMut::tiles(dqkv, 3 * width, tokens, head_width).into_iter().map(Some).collect();
    let thirds: Vec<[ViewMut<'_>; 3]> = tiles
        .chunks_exact_mut(3 * heads)
        .flat_map(|tiles| {
            let mut third =
                |i: usize, head: usize| tiles[i * heads + head].take().expect("each tile is taken once");
            (0..heads).map(|head| [third(0, head), third(1, head), third(2, head)]).collect::<Vec<_>>()
        })
        .collect();
    let tasks = thirds.into_par_iter().zip(log_sums.par_chunks(tokens)).enumerate();
    tasks.for_each_init(
        || scratch(tokens),
        |[weights, dweights, factors], (index, ([mut dq, mut dk, mut dv], log_sums))| {
            let head = Head { qkv, shape, width, head_width, index, dropout };
            // From the end, where a block meets every key: the first products write all of dk and dv.
            for (start, end) in blocks(tokens).rev() {
                let write = if end == tokens { Write::Over } else { Write::Add };
                let len = (end - start) * end;
                let (weights, dweights, factors) =
                    (&mut weights[..len], &mut dweights[..len], &mut factors[..len]);
                let dy_rows = head.rows_of(dy, start, end);
                head.score(start, end, weights);
                multiply(
                    ViewMut::new(dweights, end),
                    dy_rows,
                    head.rows(2, 0, end).transposed(),
                    1.0,
                    Write::Over,
                    Workers::One,
                );
                if let Some(dropout) = head.dropout {
                    head.drop_factors(dropout, start, end, factors);
                    dweights.iter_mut().zip(&*factors).for_each(|(x, factor)| *x *= factor);
                }
                vectorised(
                    #[inline(always)]
                    || {
                        let rows = weights.chunks_exact_mut(end).zip(dweights.chunks_exact_mut(end));
                        for ((row, drow), i) in rows.zip(start..) {
                            // The sum over keys of weight times its gradient.
                            let shift = sum_of_two(head.row_of(y, i), head.row_of(dy, i), |y, dy| y * dy);
                            let (past, future) = row.split_at_mut(i + 1);
                            let (dpast, dfuture) = drow.split_at_mut(i + 1);
                            for (x, dx) in past.iter_mut().zip(&mut *dpast) {
                                *x = exp(*x - log_sums[i]);
                                *dx = *x * (*dx - shift);
                            }
                            future.fill(0.0);
                            dfuture.fill(0.0);
                        }
                    },
                );
                let dscores = View::new(dweights, end);
                let (q, k) = (head.rows(0, start, end), head.rows(1, 0, end));
                multiply(dq.rows(start, end), dscores, k, head.scale(), Write::Over, Workers::One);
                multiply(dk.rows(0, end), dscores.transposed(), q, head.scale(), write, Workers::One);
                if head.dropout.is_some() {
                    weights.iter_mut().zip(&*factors).for_each(|(x, factor)| *x *= factor);
                }
                let weights = View::new(weights, end).transposed();
                multiply(dv.rows(0, end), weights, dy_rows, 1.0, write, Workers::One);
            }
        },
    );
}

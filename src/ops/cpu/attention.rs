//! Causal attention on slices, a task for each head of each sequence. Queries are taken a block at a time with the keys up
//! to the block's end, so nothing is computed above the diagonal but the rest of a block on it. Of the weights (t, t) only
//! the logarithm of each row's sum is kept; the backward pass computes them again.
//!
//! # Source
//! Dao et al., "FlashAttention", 2022, for the recomputation and for the row sums of the backward pass.

use rayon::prelude::*;

use super::matmul::{Workers, Write};
use super::operand::{Destination, Operand, view};
use super::simd::{exp, max, sum, sum_of_two, vectorised};
use super::view::{View, ViewMut};
use crate::ops::profile::{Part, timed};
use crate::ops::{AttentionShape, Dropout};

/// Queries per block: small enough to waste little above the diagonal, large enough for the products to be fast.
const BLOCK: usize = 64;

/// One head of one sequence: where its numbers lie in (m, 3c) and (m, c).
#[derive(Clone, Copy)]
struct Head<'a, T: Operand> {
    kernel: T::Kernel,
    qkv: &'a [T],
    shape: AttentionShape,
    width: usize,
    head_width: usize,
    /// b * heads + h
    index: usize,
    dropout: Option<Dropout>,
}

impl<'a, T: Operand> Head<'a, T> {
    fn scale(self) -> f32 {
        (self.head_width as f32).powf(-0.5)
    }

    /// Rows `start..end` of queries (0), keys (1) or values (2).
    fn rows(self, third: usize, start: usize, end: usize) -> View<'a, T> {
        let (sequence, head) = (self.index / self.shape.heads, self.index % self.shape.heads);
        let row = sequence * self.shape.tokens + start;
        let stride = T::stride(3 * self.width);
        let first = row * stride + third * self.width + head * self.head_width;
        View::strided(&self.qkv[first..], end - start, self.head_width, stride)
    }

    /// The head's part of row `row` of a matrix (m, c).
    fn row_of(self, matrix: &[T], row: usize) -> &[T] {
        let (sequence, head) = (self.index / self.shape.heads, self.index % self.shape.heads);
        let first = (sequence * self.shape.tokens + row) * T::stride(self.width) + head * self.head_width;
        &matrix[first..first + self.head_width]
    }

    /// The head's part of rows `start..end` of a matrix (m, c).
    fn rows_of(self, matrix: &'a [T], start: usize, end: usize) -> View<'a, T> {
        let (sequence, head) = (self.index / self.shape.heads, self.index % self.shape.heads);
        let stride = T::stride(self.width);
        let first = (sequence * self.shape.tokens + start) * stride + head * self.head_width;
        View::strided(&matrix[first..], end - start, self.head_width, stride)
    }

    /// Writes the scores of queries `start..end` against all keys before `end`, not yet scaled.
    fn score(self, start: usize, end: usize, scores: &mut [f32]) {
        let (q, k) = (self.rows(0, start, end), self.rows(1, 0, end));
        self.multiply_into(ViewMut::new(scores, end), Write::Over, q, k.transposed());
    }

    fn multiply_into(self, to: ViewMut<'_>, write: Write, lhs: View<'_, T>, rhs: View<'_, T>) {
        T::multiply(self.kernel, Destination::Sums { to, write }, lhs, rhs, Workers::One);
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

/// Working memory of a task: matrices of a block's scores.
fn scratch<const N: usize>(tokens: usize) -> [Vec<f32>; N] {
    std::array::from_fn(|_| vec![0.0; BLOCK.min(tokens) * tokens])
}

/// As [`scratch`], for scores as operands.
fn operands<T: Operand, const N: usize>(tokens: usize) -> [Vec<T>; N] {
    std::array::from_fn(|_| T::scratch(BLOCK.min(tokens), tokens))
}

/// Attention of (m, 3c) into `y` (m, c). `log_sums` (b * h, t) takes the logarithm of each row's sum of exponentials.
pub fn forward<T: Operand>(
    kernel: T::Kernel,
    qkv: &[T],
    width: usize,
    shape: AttentionShape,
    dropout: Option<Dropout>,
    y: &mut [T],
    log_sums: &mut [f32],
) {
    let _timed = timed(Part::Attention);
    let head_width = width / shape.heads;
    let tiles = ViewMut::tiles(y, width, T::stride(width), shape.tokens, head_width);
    let tasks = tiles.into_par_iter().zip(log_sums.par_chunks_mut(shape.tokens)).enumerate();
    tasks.for_each_init(
        || (scratch(shape.tokens), operands(shape.tokens)),
        |([weights, factors], [narrow]), (index, (mut y, log_sums))| {
            let head = Head { kernel, qkv, shape, width, head_width, index, dropout };
            let scale = head.scale();
            for (start, end) in blocks(shape.tokens) {
                let weights = &mut weights[..(end - start) * end];
                head.score(start, end, weights);
                vectorised(
                    #[inline(always)]
                    || {
                        let rows = weights.chunks_exact_mut(end).zip(&mut log_sums[start..end]);
                        for ((row, log_sum), seen) in rows.zip(start + 1..) {
                            let (past, future) = row.split_at_mut(seen);
                            let shift = scale * max(past);
                            past.iter_mut().for_each(|x| *x = exp(scale * *x - shift));
                            let total = sum(past, |x| x);
                            past.iter_mut().for_each(|x| *x *= 1.0 / total);
                            future.fill(0.0);
                            *log_sum = shift + total.ln();
                        }
                    },
                );
                if let Some(dropout) = head.dropout {
                    let factors = &mut factors[..weights.len()];
                    head.drop_factors(dropout, start, end, factors);
                    weights.iter_mut().zip(&*factors).for_each(|(x, factor)| *x *= factor);
                }
                let weights = view(T::narrowed(weights, end, narrow), end);
                let y = Destination::Operand { to: y.rows(start, end), bias: None };
                T::multiply(kernel, y, weights, head.rows(2, 0, end), Workers::One);
            }
        },
    );
}

/// What the backward pass knows of the forward pass.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a, T> {
    pub qkv: &'a [T],
    pub y: &'a [T],
    pub log_sums: &'a [f32],
    pub width: usize,
    pub shape: AttentionShape,
    pub dropout: Option<Dropout>,
}

/// The gradient of attention's input, from that of its result: (m, c) -> (m, 3c).
pub fn backward<T: Operand>(kernel: T::Kernel, past: Past<'_, T>, dy: &[T], dqkv: &mut [T]) {
    let _timed = timed(Part::Attention);
    let Past { qkv, y, log_sums, width, shape, dropout } = past;
    let (tokens, heads) = (shape.tokens, shape.heads);
    let head_width = width / heads;
    // Tiles come as queries, keys and values of all heads of a sequence.
    let tiles = ViewMut::tiles(dqkv, 3 * width, T::stride(3 * width), tokens, head_width);
    let mut tiles: Vec<Option<ViewMut<'_, T>>> = tiles.into_iter().map(Some).collect();
    let thirds: Vec<[ViewMut<'_, T>; 3]> = tiles
        .chunks_exact_mut(3 * heads)
        .flat_map(|tiles| {
            let mut third =
                |i: usize, head: usize| tiles[i * heads + head].take().expect("each tile is taken once");
            (0..heads).map(|head| [third(0, head), third(1, head), third(2, head)]).collect::<Vec<_>>()
        })
        .collect();
    let tasks = thirds.into_par_iter().zip(log_sums.par_chunks(tokens)).enumerate();
    tasks.for_each_init(
        || (scratch(tokens), operands(tokens), [(); 2].map(|()| vec![0.0; tokens * head_width])),
        |([weights, dweights, factors], [narrow, dnarrow], [dk, dv]),
         (index, ([mut dq, dk_to, dv_to], log_sums))| {
            let head = Head { kernel, qkv, shape, width, head_width, index, dropout };
            let scale = head.scale();
            // From the end, where a block meets every key: the first products write all of dk and dv.
            for (start, end) in blocks(tokens).rev() {
                let write = if end == tokens { Write::Over } else { Write::Add };
                let len = (end - start) * end;
                let (weights, dweights, factors) =
                    (&mut weights[..len], &mut dweights[..len], &mut factors[..len]);
                let dy_rows = head.rows_of(dy, start, end);
                head.score(start, end, weights);
                let v = head.rows(2, 0, end).transposed();
                head.multiply_into(ViewMut::new(dweights, end), Write::Over, dy_rows, v);
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
                            let (y, dy) = (head.row_of(y, i), head.row_of(dy, i));
                            let shift = sum_of_two(y, dy, |y, dy| y.widen() * dy.widen());
                            let (past, future) = row.split_at_mut(i + 1);
                            let (dpast, dfuture) = drow.split_at_mut(i + 1);
                            for (x, dx) in past.iter_mut().zip(&mut *dpast) {
                                *x = exp(scale * *x - log_sums[i]);
                                *dx = scale * (*x * (*dx - shift));
                            }
                            future.fill(0.0);
                            dfuture.fill(0.0);
                        }
                    },
                );
                if head.dropout.is_some() {
                    weights.iter_mut().zip(&*factors).for_each(|(x, factor)| *x *= factor);
                }
                let dscores = view(T::narrowed(dweights, end, dnarrow), end);
                let weights = view(T::narrowed(weights, end, narrow), end);
                let (q, k) = (head.rows(0, start, end), head.rows(1, 0, end));
                let to = Destination::Operand { to: dq.rows(start, end), bias: None };
                T::multiply(kernel, to, dscores, k, Workers::One);
                let seen = end * head_width;
                head.multiply_into(ViewMut::new(&mut dk[..seen], head_width), write, dscores.transposed(), q);
                head.multiply_into(
                    ViewMut::new(&mut dv[..seen], head_width),
                    write,
                    weights.transposed(),
                    dy_rows,
                );
            }
            // Their sums went over all blocks in f32.
            for (sums, mut to) in [(dk, dk_to), (dv, dv_to)] {
                vectorised(
                    #[inline(always)]
                    || {
                        for (i, sums) in sums.chunks_exact(head_width).enumerate() {
                            to.row(i).iter_mut().zip(sums).for_each(|(to, &sum)| *to = T::narrow(sum));
                        }
                    },
                );
            }
        },
    );
}

//! Layer norm on slices. The normalised rows are not kept for the backward pass: mean and deviation give them again.

use rayon::prelude::*;

use super::operand::Operand;
use super::rows::{ROWS, add};
use super::simd::{sum, sum_of_two, vectorised};
use crate::ops::LAYER_NORM_EPS;
use crate::ops::profile::{Part, timed};

/// Scale and shift of a norm: c elements each.
#[derive(Clone, Copy, Debug)]
pub struct Affine<'a> {
    pub weight: &'a [f32],
    pub bias: Option<&'a [f32]>,
}

/// Writes mean and reciprocal standard deviation of each row of `x` (m, c) to `stats` (m, 2).
pub fn measure(x: &[f32], columns: usize, stats: &mut [f32]) {
    let _timed = timed(Part::LayerNorms);
    x.par_chunks(ROWS * columns).zip(stats.par_chunks_mut(2 * ROWS)).for_each(|(x, stats)| {
        vectorised(
            #[inline(always)]
            || {
                for (x, stats) in x.chunks_exact(columns).zip(stats.chunks_exact_mut(2)) {
                    let mean = sum(x, |x| x) / columns as f32;
                    let variance = sum(x, |x| (x - mean) * (x - mean)) / columns as f32;
                    stats.copy_from_slice(&[mean, 1.0 / (variance + LAYER_NORM_EPS as f32).sqrt()]);
                }
            },
        );
    });
}

/// The norm of rows whose statistics are known: (m, c) -> (m, c).
pub fn normalise<T: Operand>(x: &[f32], stats: &[f32], affine: Affine<'_>, y: &mut [T]) {
    let _timed = timed(Part::LayerNorms);
    let columns = affine.weight.len();
    let stride = T::stride(columns);
    let chunks = x.par_chunks(ROWS * columns).zip(y.par_chunks_mut(ROWS * stride));
    let rows = chunks.zip(stats.par_chunks(2 * ROWS));
    rows.for_each(|((x, y), stats)| {
        vectorised(
            #[inline(always)]
            || {
                let rows = x.chunks_exact(columns).zip(y.chunks_exact_mut(stride)).zip(stats.chunks_exact(2));
                for ((x, y), stats) in rows {
                    let (mean, scale) = (stats[0], stats[1]);
                    let row = y.iter_mut().zip(x).zip(affine.weight);
                    match affine.bias {
                        Some(bias) => row.zip(bias).for_each(|(((y, x), weight), bias)| {
                            *y = T::narrow((x - mean) * scale * weight + bias);
                        }),
                        None => {
                            row.for_each(|((y, x), weight)| *y = T::narrow((x - mean) * scale * weight));
                        }
                    }
                }
            },
        );
    });
}

/// Adds the gradient of the norm's input to `dx` (m, c) and returns those of weight and bias (c each).
pub fn backward<T: Operand>(
    dy: &[T],
    x: &[f32],
    stats: &[f32],
    weight: &[f32],
    dx: &mut [f32],
) -> [Vec<f32>; 2] {
    let _timed = timed(Part::LayerNorms);
    let columns = weight.len();
    let chunk = ROWS * columns;
    let stride = T::stride(columns);
    let chunks = dy.par_chunks(ROWS * stride).zip(x.par_chunks(chunk)).zip(dx.par_chunks_mut(chunk));
    let chunks = chunks.zip(stats.par_chunks(2 * ROWS));
    let partials = chunks.map(|(((dy, x), dx), stats)| {
        let (mut dweight, mut dbias) = (vec![0.0; columns], vec![0.0; columns]);
        let (mut x_hat, mut dx_hat) = (vec![0.0; columns], vec![0.0; columns]);
        vectorised(
            #[inline(always)]
            || {
                let rows = dy.chunks_exact(stride).zip(x.chunks_exact(columns));
                let rows = rows.zip(dx.chunks_exact_mut(columns)).zip(stats.chunks_exact(2));
                for (((dy, x), dx), stats) in rows {
                    let (mean, scale) = (stats[0], stats[1]);
                    x_hat.iter_mut().zip(x).for_each(|(x_hat, x)| *x_hat = (x - mean) * scale);
                    dx_hat
                        .iter_mut()
                        .zip(dy)
                        .zip(weight)
                        .for_each(|((dx_hat, dy), w)| *dx_hat = dy.widen() * w);
                    dweight
                        .iter_mut()
                        .zip(dy)
                        .zip(&x_hat)
                        .for_each(|((dw, dy), x_hat)| *dw += dy.widen() * x_hat);
                    dbias.iter_mut().zip(dy).for_each(|(db, dy)| *db += dy.widen());
                    // The mean and the deviation depend on every element of the row.
                    let through_mean = sum(&dx_hat, |dx_hat| dx_hat) / columns as f32;
                    let through_scale = sum_of_two(&dx_hat, &x_hat, |d, x| d * x) / columns as f32;
                    for ((dx, dx_hat), x_hat) in dx.iter_mut().zip(&dx_hat).zip(&x_hat) {
                        *dx += (dx_hat - through_mean - x_hat * through_scale) * scale;
                    }
                }
            },
        );
        (dweight, dbias)
    });
    let partials: Vec<(Vec<f32>, Vec<f32>)> = partials.collect();
    let mut sums = [vec![0.0; columns], vec![0.0; columns]];
    for (dweight, dbias) in &partials {
        add(&mut sums[0], dweight);
        add(&mut sums[1], dbias);
    }
    sums
}

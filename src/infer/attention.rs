//! Attention of a few new tokens to those in a cache.

use rayon::prelude::*;

use super::cache::LayerCache;
use super::panels::{Lanes, WIDTH, add_products};
use crate::ops::cpu::simd::{exp_and_sum, max, vectorised};

/// New tokens of one text: their queries lie in rows of `stride` numbers, heads side by side.
#[derive(Clone, Copy, Debug)]
pub struct Queries<'a> {
    pub rows: &'a [f32],
    pub stride: usize,
    /// Position of the first of them. Their keys and values are in the cache.
    pub start: usize,
    pub cache: &'a LayerCache,
}

/// Rows that are computed together.
const TOGETHER: usize = 8;
/// Products below which a second thread does not pay.
const SMALL: usize = 1 << 16;

/// `y` = attention of all heads.
///
/// # Shapes
/// Queries (m, stride) -> (m, c), c being heads * head width.
pub fn attend(texts: &[Queries<'_>], heads: usize, head_width: usize, y: &mut [f32]) {
    let width = heads * head_width;
    let tasks: Vec<(&Queries<'_>, usize)> =
        texts.iter().flat_map(|text| (0..heads).map(move |head| (text, head))).collect();
    let run = |&(text, head): &(&Queries<'_>, usize)| attend_head(text, head, head_width);
    let work: usize =
        texts.iter().map(|text| (text.start + 1) * (text.rows.len() / text.stride) * width).sum();
    let results: Vec<Vec<f32>> = if work < SMALL || rayon::current_num_threads() == 1 {
        tasks.iter().map(run).collect()
    } else {
        tasks.par_iter().map(run).collect()
    };
    // From head by head to row by row.
    let mut first = 0;
    for (text, results) in texts.iter().zip(results.chunks_exact(heads)) {
        let rows = text.rows.len() / text.stride;
        for (head, result) in results.iter().enumerate() {
            for (i, result) in result.chunks_exact(head_width).enumerate() {
                y[(first + i) * width + head * head_width..][..head_width].copy_from_slice(result);
            }
        }
        first += rows;
    }
}

/// One head's results for the new tokens of one text: (tokens, head width).
fn attend_head(text: &Queries<'_>, head: usize, head_width: usize) -> Vec<f32> {
    let rows: Vec<&[f32]> =
        text.rows.chunks_exact(text.stride).map(|row| &row[head * head_width..][..head_width]).collect();
    let scale = 1.0 / (head_width as f32).sqrt();
    let mut result = vec![0.0; rows.len() * head_width];
    let mut scores = Vec::new();
    let mut sums = [[0.0; WIDTH]; TOGETHER];
    for (first, rows) in (0..).step_by(TOGETHER).zip(rows.chunks(TOGETHER)) {
        // How many tokens the last of these rows sees.
        let seen = text.start + first + rows.len();
        let room = seen.next_multiple_of(WIDTH);
        scores.resize(rows.len() * room, 0.0);
        for (p, panel) in text.cache.keys(head).take(room / WIDTH).enumerate() {
            let sums: &mut [Lanes] = &mut sums[..rows.len()];
            sums.fill([0.0; WIDTH]);
            add_products(rows, panel, sums);
            for (scores, sums) in scores.chunks_exact_mut(room).zip(sums) {
                scores[p * WIDTH..][..WIDTH].copy_from_slice(sums);
            }
        }
        for (i, scores) in scores.chunks_exact_mut(room).enumerate() {
            soften(scores, text.start + first + i + 1, scale);
        }
        let weights: Vec<&[f32]> = scores.chunks_exact(room).map(|scores| &scores[..seen]).collect();
        for (p, panel) in text.cache.values(head).enumerate() {
            let sums: &mut [Lanes] = &mut sums[..rows.len()];
            sums.fill([0.0; WIDTH]);
            add_products(&weights, &panel[..seen], sums);
            let columns = WIDTH.min(head_width - p * WIDTH);
            for (i, sums) in sums.iter().enumerate() {
                let row = &mut result[(first + i) * head_width..][..head_width];
                row[p * WIDTH..][..columns].copy_from_slice(&sums[..columns]);
            }
        }
    }
    result
}

/// Softmax over the first `seen` scores times `scale`; zeros for the others.
fn soften(scores: &mut [f32], seen: usize, scale: f32) {
    vectorised(
        #[inline(always)]
        || {
            let (past, future) = scores.split_at_mut(seen);
            past.iter_mut().for_each(|x| *x *= scale);
            let max = max(past);
            let total = exp_and_sum(past, max);
            past.iter_mut().for_each(|x| *x *= 1.0 / total);
            future.fill(0.0);
        },
    );
}

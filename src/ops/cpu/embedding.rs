//! Token and position embeddings on slices.

use rayon::prelude::*;

use super::rows::add;
use crate::ops::profile::{Part, timed};

/// Writes `token(id) + position(t)` to each row of `x` (m, c); `row` copies the embedding of an id.
pub fn forward(
    wpe: &[f32],
    token_ids: &[u32],
    tokens: usize,
    x: &mut [f32],
    row: impl Fn(usize, &mut [f32]) + Sync,
) {
    let _timed = timed(Part::Embeddings);
    let columns = x.len() / token_ids.len();
    x.par_chunks_mut(columns).zip(token_ids).enumerate().for_each(|(i, (x, &id))| {
        row(id as usize, x);
        let position = i % tokens;
        add(x, &wpe[position * columns..(position + 1) * columns]);
    });
}

/// Adds the rows of `dx` (m, c) to those of their tokens.
pub fn backward_tokens(dx: &[f32], token_ids: &[u32], columns: usize, dwte: &mut [f32]) {
    let _timed = timed(Part::Embeddings);
    // Serial: two positions may have the same token, and the rows are few.
    for (dx, &id) in dx.chunks_exact(columns).zip(token_ids) {
        let first = id as usize * columns;
        add(&mut dwte[first..first + columns], dx);
    }
}

/// Adds the rows of `dx` (m, c) to those of their positions.
pub fn backward_positions(dx: &[f32], tokens: usize, columns: usize, dwpe: &mut [f32]) {
    let _timed = timed(Part::Embeddings);
    dwpe[..tokens * columns].par_chunks_mut(columns).enumerate().for_each(|(position, dwpe)| {
        for sequence in dx.chunks_exact(tokens * columns) {
            add(dwpe, &sequence[position * columns..(position + 1) * columns]);
        }
    });
}

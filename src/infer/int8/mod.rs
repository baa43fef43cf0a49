//! Products in whole numbers: weights are rounded to 8 bits when they are packed, rows when they are multiplied, and 128 products
//! at a time are summed exactly before they are scaled.
//!
//! | | numbers | scale |
//! |---|---|---|
//! | rows | -127 to 127, held plus 127 and so without a sign | for each 128 numbers of a row |
//! | weights | -127 to 127, of which two neighbours of a column have 129 at most, their signs left out | for each 128 of a column |
//!
//! The instructions multiply numbers without a sign by numbers with one. What the 127 add to a sum is known when the weights
//! are packed: sums begin with it, taken away. Those of AVX2 and AVX-512 without VNNI add up two products in 16 bits, where
//! 254 * 129 = 32,766 has room and 254 * 254 has not; hence the rule for neighbours, which makes steps a third larger than
//! they had to be.
//!
//! Sums of whole numbers are the same in any order, and the few steps in f32 are the same everywhere. So a product has the same
//! bits on every processor, whatever instructions it has and however many rows are multiplied.
//!
//! Scales for parts of a row instead of whole rows are there for the sake of the few large activations that GPT-2 is known for
//! (Dettmers et al., "LLM.int8()", 2022): one of them makes the steps of its 128 neighbours larger and no others.

mod kernel;
mod rows;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use rayon::prelude::*;

pub use kernel::Kernel;
pub use rows::Rows;

use super::panels::{Lanes, WIDTH};
use crate::ops::cpu::simd::vectorised;

/// Rows of the matrix that are summed exactly, and share a scale.
pub const GROUP: usize = 128;
/// Rows that an instruction sums.
pub const QUAD: usize = 4;
/// Added to the numbers of a row so that none is below zero.
const SHIFT: i32 = 127;

/// Four rows of a panel: of each column the four weights, side by side.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Quad(pub [[i8; QUAD]; WIDTH]);

/// What 128 rows of a panel have in common.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct Group {
    scales: Lanes,
    /// What the sums begin with.
    starts: [i32; WIDTH],
}

/// A matrix in panels of 32 columns.
#[derive(Clone, Debug)]
pub struct Weights {
    rows: usize,
    kernel: Kernel,
    /// Panel by panel, each of `rows` / 4 rounded up.
    quads: Vec<Quad>,
    /// Panel by panel, each of `rows` / 128 rounded up.
    groups: Vec<Group>,
}

impl Weights {
    /// `line` gives a row of a panel.
    pub fn pack(panels: usize, rows: usize, line: impl Fn(usize, usize) -> Lanes + Sync) -> Self {
        let mut quads = vec![Quad([[0; QUAD]; WIDTH]); panels * rows.div_ceil(QUAD)];
        let mut groups =
            vec![Group { scales: [0.0; WIDTH], starts: [0; WIDTH] }; panels * rows.div_ceil(GROUP)];
        let panels = quads.par_chunks_exact_mut(rows.div_ceil(QUAD).max(1));
        let panels = panels.zip(groups.par_chunks_exact_mut(rows.div_ceil(GROUP).max(1)));
        panels.enumerate().for_each(|(p, (quads, groups))| {
            for (g, (quads, group)) in quads.chunks_mut(GROUP / QUAD).zip(groups).enumerate() {
                let lines: Vec<Lanes> = (g * GROUP..rows.min((g + 1) * GROUP)).map(|i| line(p, i)).collect();
                vectorised(
                    #[inline(always)]
                    || *group = quantise(&lines, quads),
                );
            }
        });
        Self { rows, kernel: Kernel::best(), quads, groups }
    }

    /// Of memory.
    pub fn bytes(&self) -> usize {
        size_of_val(self.quads.as_slice()) + size_of_val(self.groups.as_slice())
    }

    /// Element (i, j).
    pub fn at(&self, i: usize, j: usize) -> f32 {
        let (panel, lane) = (j / WIDTH, j % WIDTH);
        let weight = self.quads[panel * self.rows.div_ceil(QUAD) + i / QUAD].0[lane][i % QUAD];
        f32::from(weight) * self.groups[panel * self.rows.div_ceil(GROUP) + i / GROUP].scales[lane]
    }

    /// `sums[p][i] += rows[i] * panels[p]` for some panels, the first of which is `first`.
    ///
    /// # Shapes
    /// (m, k), (panels, k, 32) -> (panels, m, 32).
    pub fn add_products(&self, rows: &Rows, first: usize, sums: &mut [Lanes]) {
        let panels = sums.len() / rows.count().max(1);
        let (quads, groups) = (self.rows.div_ceil(QUAD), self.rows.div_ceil(GROUP));
        let quads = &self.quads[first * quads..][..panels * quads];
        let groups = &self.groups[first * groups..][..panels * groups];
        self.kernel.run(kernel::Products { rows, quads, groups, sums });
    }
}

/// Rounds the rows of a group.
#[inline(always)]
fn quantise(lines: &[Lanes], quads: &mut [Quad]) -> Group {
    let scales = scales(lines);
    let mut starts = [0; WIDTH];
    for (i, line) in lines.iter().enumerate() {
        let mut rounded = [0; WIDTH];
        for ((rounded, x), scale) in rounded.iter_mut().zip(line).zip(&scales) {
            // Zeros have no scale, and one that is subnormal is too coarse for what is said of neighbours.
            let quotient = if *scale >= f32::MIN_POSITIVE { x / scale } else { 0.0 };
            *rounded = nearest(quotient);
        }
        for ((start, weights), rounded) in starts.iter_mut().zip(&mut quads[i / QUAD].0).zip(&rounded) {
            *start -= SHIFT * rounded;
            weights[i % QUAD] = *rounded as i8;
        }
    }
    Group { scales, starts }
}

/// The smallest ones with which a weight is at most 127, and two neighbours are at most 128 before they are rounded. A NaN
/// stays: it must not become a number on the way.
#[inline(always)]
fn scales(lines: &[Lanes]) -> Lanes {
    let mut largest = [0; WIDTH];
    for pair in lines.chunks(2) {
        let first = &pair[0];
        let second = pair.get(1).unwrap_or(&[0.0; WIDTH]);
        for ((largest, a), b) in largest.iter_mut().zip(first).zip(second) {
            let (a, b) = (a.abs(), b.abs());
            // The bits of numbers without a sign are in the order of the numbers, and those of a NaN come last.
            let bits = [a / 127.0, b / 127.0, a / 128.0 + b / 128.0].map(|x| x.to_bits() & 0x7fff_ffff);
            *largest = bits.into_iter().fold(*largest, u32::max);
        }
    }
    largest.map(f32::from_bits)
}

/// The nearest whole number from -127 to 127, of two equally near the even one; something for a NaN.
#[inline(always)]
fn nearest(x: f32) -> i32 {
    // 1.5 * 2^23: adding it leaves the whole number in the low bits.
    const ROUND: f32 = 12_582_912.0;
    i32::from((x.clamp(-127.0, 127.0) + ROUND).to_bits() as i8)
}

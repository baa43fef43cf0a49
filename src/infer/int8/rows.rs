//! Rounding of rows.

use super::{GROUP, QUAD, SHIFT, nearest};
use crate::ops::cpu::simd::vectorised;

/// Rows that were rounded to 8 bits.
#[derive(Clone, Debug)]
pub struct Rows {
    width: usize,
    /// Row by row; each is the memory of four numbers plus [`SHIFT`], zeros beyond the end.
    quads: Vec<i32>,
    /// Row by row, for each 128 numbers.
    scales: Vec<f32>,
}

impl Rows {
    /// # Shapes
    /// (m, width)
    pub fn round(x: &[f32], width: usize) -> Self {
        let mut quads = Vec::with_capacity(x.len() / width * width.div_ceil(QUAD));
        let mut scales = Vec::with_capacity(x.len() / width * width.div_ceil(GROUP));
        vectorised(
            #[inline(always)]
            || {
                for group in x.chunks_exact(width).flat_map(|row| row.chunks(GROUP)) {
                    let mut bytes = [0; GROUP];
                    scales.push(round_group(group, &mut bytes));
                    let (fours, _) = bytes.as_chunks::<QUAD>();
                    quads.extend(
                        fours[..group.len().div_ceil(QUAD)].iter().map(|four| i32::from_ne_bytes(*four)),
                    );
                }
            },
        );
        Self { width, quads, scales }
    }

    pub fn count(&self) -> usize {
        self.quads.len() / self.width.div_ceil(QUAD)
    }

    /// All of row `i`.
    pub fn quads(&self, i: usize) -> &[i32] {
        let len = self.width.div_ceil(QUAD);
        &self.quads[i * len..][..len]
    }

    /// All of row `i`.
    pub fn scales(&self, i: usize) -> &[f32] {
        let len = self.width.div_ceil(GROUP);
        &self.scales[i * len..][..len]
    }
}

/// The largest absolute value becomes 127. Gives the scale, which is not finite where a number is not.
#[inline(always)]
fn round_group(x: &[f32], bytes: &mut [u8; GROUP]) -> f32 {
    // The bits of numbers without a sign are in the order of the numbers, and those of a NaN come last.
    let largest = x.iter().map(|x| x.to_bits() & 0x7fff_ffff).fold(0, u32::max);
    let scale = f32::from_bits(largest) / 127.0;
    // Zeros have no scale. Tiny numbers have one with so few bits that quotients can be above 127, which `nearest` gives.
    let divisor = if scale > 0.0 { scale } else { 1.0 };
    for (byte, x) in bytes.iter_mut().zip(x) {
        *byte = (nearest(x / divisor) + SHIFT) as u8;
    }
    scale
}

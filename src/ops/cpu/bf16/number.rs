//! bfloat16: the upper half of an f32. Numbers are rounded as the processors' own instructions round them, so that results do
//! not depend on which of them did it.

use rayon::prelude::*;

use crate::ops::cpu::rows::ELEMENTS;
use crate::ops::cpu::simd::vectorised;

/// Sign, eight bits of exponent as in f32, and seven bits of fraction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Bf16 {
    pub const ZERO: Self = Self(0);

    /// The nearest one; of two equally near the even one. Subnormal numbers become a zero of their sign, a NaN stays one, and
    /// what is too large becomes infinite.
    ///
    /// # Source
    /// `VCVTNEPS2BF16` in Intel's Software Developer's Manual.
    #[inline(always)]
    pub fn round(x: f32) -> Self {
        let bits = x.to_bits();
        let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        let magnitude = bits & 0x7fff_ffff;
        let rounded = if magnitude < 0x0080_0000 { bits >> 16 & 0x8000 } else { rounded };
        Self(if magnitude > 0x7f80_0000 { bits >> 16 | 0x40 } else { rounded } as u16)
    }

    /// The same number as an f32.
    #[inline(always)]
    pub fn widen(self) -> f32 {
        f32::from_bits(u32::from(self.0) << 16)
    }
}

/// Rounds each element of a slice that is at hand, as part of a larger task.
#[inline(always)]
pub fn round_all(x: &[f32], y: &mut [Bf16]) {
    y.iter_mut().zip(x).for_each(|(y, &x)| *y = Bf16::round(x));
}

/// Widens each element of a slice that is at hand, as part of a larger task.
#[inline(always)]
pub fn widen_all(x: &[Bf16], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y = x.widen());
}

/// Rounds a large slice, on all threads.
pub fn round(x: &[f32], y: &mut [Bf16]) {
    x.par_chunks(ELEMENTS).zip(y.par_chunks_mut(ELEMENTS)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || round_all(x, y),
        );
    });
}

//! Products with the vector instructions of AVX512-BF16, whose bits are those of [`Rule::Avx512`](super::twin::Rule).
//!
//! The sums of some rows x 32 columns stay in registers while the common dimension is gone through: each pair of elements of a
//! row is multiplied by the pairs of 32 columns.

use std::arch::x86_64::*;

use super::nest::{self, Block, Panels, Place, Strip, Strips};
use super::pack::{SIDE, STEP};
use super::{Bf16, Destination, Presence, Rhs};
use crate::ops::cpu::view::View;

/// Rows whose sums are held at the same time, in 24 of 32 registers: more chains than the instruction takes cycles.
const ROWS: usize = 12;
/// Pairs of elements in a step.
const PAIRS: usize = 16;

/// Whether the processor has the instructions, and the operating system saves their registers.
pub fn presence() -> Presence {
    const AVX512_BF16: u32 = 1 << 5;
    if is_available() {
        return Presence::There;
    }
    // Leaves that a processor does not know are not asked for: it would answer with those of another one.
    let has_bit =
        __cpuid(0).eax >= 7 && __cpuid_count(7, 0).eax >= 1 && __cpuid_count(7, 1).eax & AVX512_BF16 != 0;
    if has_bit { Presence::Refused } else { Presence::Absent }
}

pub fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512bf16")
}

/// `destination (+)= lhs * rhs` by this thread alone.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n), all at least 1; anything else is a bug and panics, and so is a processor that
/// [is not able to](is_available).
pub fn multiply(destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: Rhs<'_>) {
    assert!(is_usable(), "no AVX512-BF16 here");
    // SAFETY: the processor has the instructions.
    unsafe { nest::multiply(&mut Vectors, destination, lhs, rhs) };
}

/// Whether the instructions can be executed, by the processor or by the emulation of tests.
fn is_usable() -> bool {
    #[cfg(all(test, target_os = "linux"))]
    if crate::ops::cpu::emulated::is_on() {
        return true;
    }
    is_available()
}

struct Vectors;

impl Strips for Vectors {
    unsafe fn multiply(&mut self, strip: &Strip, panels: &Panels, row: usize, to: &Block) {
        // Parts of nearly the same height: a low one would wait for its few chains.
        let parts = strip.rows.div_ceil(ROWS);
        for part in 0..parts {
            let (start, end) = (strip.rows * part / parts, strip.rows * (part + 1) / parts);
            let left = strip.data.wrapping_add(start * strip.row_stride);
            for (i, panel) in panels.numbers.clone().enumerate() {
                let right = panels.data.wrapping_add(i * panels.stride).cast();
                let block = Block { rows: end - start, ..to.part(row + start, panel * SIDE) };
                // SAFETY: as promised to this function.
                unsafe { multiply_block(left, strip, right, panels.depth, &block) };
            }
        }
    }

    unsafe fn finish(&mut self) {}
}

/// # Safety
/// As for [`Strips::multiply`]; `left` is the first row of the strip that counts.
unsafe fn multiply_block(left: *const u8, strip: &Strip, right: *const __m512i, depth: usize, to: &Block) {
    macro_rules! by_rows {
        ($($rows:literal)*) => {
            match to.rows {
                // SAFETY: as promised.
                $($rows => unsafe { rows::<$rows>(left, strip, right, depth, to) },)*
                _ => unreachable!("more rows than registers"),
            }
        };
    }
    by_rows!(1 2 3 4 5 6 7 8 9 10 11 12);
}

type Sums<const N: usize> = [[__m512; 2]; N];

/// # Safety
/// As above, and the block has `N` rows.
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn rows<const N: usize>(
    mut left: *const u8,
    strip: &Strip,
    mut right: *const __m512i,
    depth: usize,
    to: &Block,
) {
    // SAFETY: as promised; what a mask leaves out is not touched.
    unsafe {
        let mut sums = begin::<N>(to);
        let mut pairs = depth.div_ceil(2);
        while pairs > 0 {
            let in_step = pairs.min(PAIRS);
            for pair in 0..in_step {
                let columns = [right.add(pair).read(), right.add(PAIRS + pair).read()];
                for (row, sums) in sums.iter_mut().enumerate() {
                    let element = left.add(row * strip.row_stride + pair * 4).cast::<i32>().read_unaligned();
                    let element = as_bf16(_mm512_set1_epi32(element));
                    sums[0] = _mm512_dpbf16_ps(sums[0], element, as_bf16(columns[0]));
                    sums[1] = _mm512_dpbf16_ps(sums[1], element, as_bf16(columns[1]));
                }
            }
            pairs -= in_step;
            (left, right) = (left.wrapping_add(strip.step_stride), right.wrapping_add(STEP));
        }
        store(&sums, to);
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn as_bf16(x: __m512i) -> __m512bh {
    // SAFETY: both are 512 bits without further meaning.
    unsafe { std::mem::transmute(x) }
}

/// # Safety
/// The block is a matrix of `N` rows.
#[inline]
#[target_feature(enable = "avx512f")]
unsafe fn begin<const N: usize>(block: &Block) -> Sums<N> {
    let mut sums = [[_mm512_setzero_ps(); 2]; N];
    if let Place::Single { to, stride, add: true } = block.place {
        let (left, right) = (block.mask() as u16, (block.mask() >> 16) as u16);
        for (row, sums) in sums.iter_mut().enumerate() {
            let from = to.wrapping_add(row * stride);
            // SAFETY: as promised; elements that the mask leaves out are not read.
            *sums = unsafe {
                [_mm512_maskz_loadu_ps(left, from), _mm512_maskz_loadu_ps(right, from.wrapping_add(16))]
            };
        }
    }
    sums
}

/// # Safety
/// The block is a matrix of `N` rows that is borrowed exclusively.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
unsafe fn store<const N: usize>(sums: &Sums<N>, block: &Block) {
    let mask = block.mask();
    let (left, right) = (mask as u16, (mask >> 16) as u16);
    // SAFETY: as promised; elements that a mask leaves out are neither read nor written.
    unsafe {
        match block.place {
            Place::Single { to, stride, .. } => {
                for (row, sums) in sums.iter().enumerate() {
                    let to = to.wrapping_add(row * stride);
                    _mm512_mask_storeu_ps(to, left, sums[0]);
                    _mm512_mask_storeu_ps(to.wrapping_add(16), right, sums[1]);
                }
            }
            Place::Rounded { to, stride, bias } => {
                // Adding -0 changes nothing, not even the sign of a zero.
                let none = _mm512_set1_ps(-0.0);
                let bias = bias.map_or([none; 2], |bias| {
                    [_mm512_maskz_loadu_ps(left, bias), _mm512_maskz_loadu_ps(right, bias.wrapping_add(16))]
                });
                for (row, sums) in sums.iter().enumerate() {
                    let [left, right] = [_mm512_add_ps(sums[0], bias[0]), _mm512_add_ps(sums[1], bias[1])];
                    // This order of the operands puts the left half first.
                    let rounded = _mm512_cvtne2ps_pbh(right, left);
                    let rounded = std::mem::transmute::<__m512bh, __m512i>(rounded);
                    _mm512_mask_storeu_epi16(to.wrapping_add(row * stride).cast(), mask, rounded);
                }
            }
        }
    }
}

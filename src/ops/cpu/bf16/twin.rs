//! What the bf16 instructions of processors compute, to the last bit, in plain Rust: what kernels are held against.
//!
//! # Source
//! The operations `TDPBF16PS` and `VDPBF16PS` in Intel's Software Developer's Manual, which agree with the processors that were
//! tried. It does not say from where on a result counts as subnormal, nor which NaN comes out of a tile's product when there
//! are several: both were found by trying, on one Intel Xeon.

use super::{Bf16, Destination};
use crate::ops::cpu::matmul::Write;
use crate::ops::cpu::view::{View, ViewMut};

/// Pairs of elements that one `tdpbf16ps` sums apart from those before.
const TILE_PAIRS: usize = 16;

/// Which instruction sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Amx,
    Avx512,
}

impl Rule {
    /// A whole row times a whole column, added to `sum`. If their length is no multiple of what one instruction takes, zeros
    /// follow: 32 elements with AMX, 2 with AVX-512.
    pub fn sum(self, sum: f32, row: &[Bf16], column: &[Bf16]) -> f32 {
        match self {
            Self::Amx => row
                .chunks(2 * TILE_PAIRS)
                .zip(column.chunks(2 * TILE_PAIRS))
                .fold(sum, |sum, (a, b)| amx(sum, &pairs::<TILE_PAIRS>(a), &pairs::<TILE_PAIRS>(b))),
            Self::Avx512 => row.chunks(2).zip(column.chunks(2)).fold(sum, |sum, (a, b)| {
                let ([a], [b]) = (pairs(a), pairs(b));
                vdp(sum, a, b)
            }),
        }
    }
}

/// Up to 2 N elements, and zeros.
fn pairs<const N: usize>(elements: &[Bf16]) -> [[Bf16; 2]; N] {
    let mut pairs = [[Bf16::ZERO; 2]; N];
    pairs.as_flattened_mut()[..elements.len()].copy_from_slice(elements);
    pairs
}

/// One element of `tdpbf16ps`: what it adds to `sum`, with two sums of the even and of the odd elements on the way.
pub fn amx(sum: f32, a: &[[Bf16; 2]], b: &[[Bf16; 2]]) -> f32 {
    let (mut even, mut odd) = (0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        even = multiply_add(a[0], b[0], even);
        odd = multiply_add(a[1], b[1], odd);
    }
    add(sum, add(even, odd))
}

/// One element of `vdpbf16ps`: the odd element goes first, straight onto the sum.
pub fn vdp(sum: f32, a: [Bf16; 2], b: [Bf16; 2]) -> f32 {
    multiply_add(a[0], b[0], multiply_add(a[1], b[1], sum))
}

/// a * b + c, rounded once. Products of two bf16 are exact in f64, and so is the sum wherever it lies near the middle between
/// two f32, so that rounding it again to f32 is right.
#[inline(always)]
fn multiply_add(a: Bf16, b: Bf16, c: f32) -> f32 {
    let (a, b, c) = (without_subnormal(a.widen()), without_subnormal(b.widen()), without_subnormal(c));
    let sum = f64::from(a) * f64::from(b) + f64::from(c);
    if sum.is_nan() { nan(&[a, b, c]) } else { round(sum) }
}

fn add(a: f32, b: f32) -> f32 {
    let (a, b) = (without_subnormal(a), without_subnormal(b));
    let sum = f64::from(a) + f64::from(b);
    if sum.is_nan() { nan(&[a, b]) } else { round(sum) }
}

#[inline(always)]
fn without_subnormal(x: f32) -> f32 {
    const EXPONENT: u32 = 0x7f80_0000;
    if x.to_bits() & EXPONENT == 0 { f32::from_bits(x.to_bits() & 0x8000_0000) } else { x }
}

/// To the nearest f32, where what is subnormal becomes a zero of its sign. A number counts as subnormal if it were one after
/// rounding to 24 bits with an exponent of any size.
#[inline(always)]
fn round(x: f64) -> f32 {
    /// 2^-126 - 2^-151.
    const NORMAL: f64 = f32::MIN_POSITIVE as f64 * (1.0 - 1.0 / (1 << 25) as f64);
    if x.abs() < NORMAL { 0f64.copysign(x) as f32 } else { x as f32 }
}

/// The first NaN among the operands, made quiet; without one the NaN that stands for an operation without a result.
fn nan(operands: &[f32]) -> f32 {
    let first = operands.iter().find(|x| x.is_nan());
    f32::from_bits(first.map_or(0xffc0_0000, |x| x.to_bits() | 0x0040_0000))
}

/// The product of whole matrices, slowly.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n)
pub fn multiply(rule: Rule, destination: Destination<'_>, lhs: View<'_, Bf16>, rhs: View<'_, Bf16>) {
    match destination {
        Destination::Sums { mut to, write } => each_sum(&mut to, lhs, rhs, |_, row, column, to| {
            *to = rule.sum(if write == Write::Add { *to } else { 0.0 }, row, column);
        }),
        Destination::Operand { mut to, bias } => each_sum(&mut to, lhs, rhs, |j, row, column, to| {
            let sum = rule.sum(0.0, row, column);
            *to = Bf16::round(bias.map_or(sum, |bias| sum + bias[j]));
        }),
    }
}

/// Calls `act` with a column's number, a row of `lhs`, the column of `rhs`, and the element of `to` where they meet.
fn each_sum<T: Copy>(
    to: &mut ViewMut<'_, T>,
    lhs: View<'_, Bf16>,
    rhs: View<'_, Bf16>,
    act: impl Fn(usize, &[Bf16], &[Bf16], &mut T),
) {
    let columns: Vec<_> = (0..rhs.columns).map(|j| row(rhs.transposed(), j)).collect();
    for i in 0..lhs.rows {
        let row = row(lhs, i);
        for (j, (column, to)) in columns.iter().zip(to.row(i)).enumerate() {
            act(j, &row, column, to);
        }
    }
}

fn row(matrix: View<'_, Bf16>, row: usize) -> Vec<Bf16> {
    (0..matrix.columns).map(|j| matrix.data[row * matrix.row_stride + j * matrix.column_stride]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers<const N: usize>(values: [f32; N]) -> [Bf16; N] {
        values.map(|value| {
            let number = Bf16((value.to_bits() >> 16) as u16);
            assert!(value.is_nan() || number.widen() == value, "{value} is no bf16 number");
            number
        })
    }

    fn both(sum: f32, row: &[Bf16], column: &[Bf16]) -> [u32; 2] {
        [Rule::Amx, Rule::Avx512].map(|rule| rule.sum(sum, row, column).to_bits())
    }

    #[test]
    fn sums_of_small_integers_are_exact() {
        let (row, column) = (numbers([1.0, 2.0, 3.0, 4.0, 5.0]), numbers([6.0, -7.0, 8.0, 9.0, 10.0]));
        assert_eq!(both(0.5, &row, &column), [102.5f32.to_bits(); 2]);
    }

    #[test]
    fn amx_sums_even_and_odd_elements_apart_and_avx512_straight_on() {
        // 2^24 + 1 is no f32. By AVX-512 each 1 is lost beside 2^24; the two odd ones of AMX meet first.
        let (row, column) = (numbers([4096.0, 1.0, 0.0, 1.0]), numbers([4096.0, 1.0, 0.0, 1.0]));
        assert_eq!(both(0.0, &row, &column), [16_777_218f32.to_bits(), 16_777_216f32.to_bits()]);
        // Here the odd one of AVX-512 comes before the even one that would swallow it.
        let (row, column) = (numbers([4096.0, 1.0]), numbers([4096.0, 1.0]));
        assert_eq!(both(1.0, &row, &column), [16_777_216f32.to_bits(), 16_777_218f32.to_bits()]);
    }

    #[test]
    fn each_32_elements_of_amx_begin_from_zero() {
        let mut row = [Bf16::ZERO; 34];
        let one = numbers([1.0])[0];
        (row[0], row[2], row[32]) = (numbers([16_777_216.0])[0], one, one);
        let column = [one; 34];
        assert_eq!(Rule::Amx.sum(0.0, &row, &column), 16_777_216.0);
        // In one block the two ones meet in the odd sum; in two blocks each comes alone.
        (row[2], row[32], row[1], row[33]) = (Bf16::ZERO, Bf16::ZERO, one, one);
        assert_eq!(Rule::Amx.sum(0.0, &row, &column), 16_777_216.0);
        (row[33], row[31]) = (Bf16::ZERO, one);
        assert_eq!(Rule::Amx.sum(0.0, &row, &column), 16_777_218.0);
    }

    #[test]
    fn subnormal_numbers_are_zeros_of_their_sign() {
        let least = f32::MIN_POSITIVE;
        let [tiny, one] = [Bf16(0x007f), numbers([1.0])[0]];
        assert_eq!(both(0.0, &[tiny], &[one]), [0; 2]);
        assert_eq!(vdp(-1e-40, [Bf16(0x8001); 2], [one; 2]).to_bits(), 0x8000_0000);
        // A subnormal times infinity is zero times infinity.
        assert_eq!(both(1.0, &[tiny], &numbers([f32::INFINITY])), [0xffc0_0000; 2]);
        // Half of the least normal number is a result that vanishes.
        let [half] = numbers([0.5]);
        assert_eq!(vdp(0.0, [numbers([least])[0], Bf16(0)], [half; 2]).to_bits(), 0);
        assert_eq!(vdp(-0.0, [numbers([-least])[0], Bf16(0x8000)], [half; 2]).to_bits(), 0x8000_0000);
    }

    #[test]
    fn a_result_is_subnormal_if_it_were_after_rounding_to_24_bits() {
        let least = f32::MIN_POSITIVE;
        // 2^-126 less 2^-150 is a number of 24 bits. A fused instruction that keeps subnormal numbers would give 2^-126, the even
        // one of two neighbours 2^-149 apart.
        let below = |power: i32| {
            let b = numbers([-f32::powi(2.0, -75), 0.0]);
            vdp(least, numbers([f32::powi(2.0, power + 75), 0.0]), b)
        };
        assert_eq!(below(-150), 0.0);
        assert_eq!(below(-151), least);
        assert_eq!(add(-least, f32::powi(2.0, -126)).to_bits(), 0);
        assert_eq!(round(f64::powi(2.0, -150) - f64::from(least)).to_bits(), 0x8000_0000);
    }

    #[test]
    fn the_first_nan_comes_out_quiet() {
        let [one] = numbers([1.0]);
        let (signalling, quiet) = (Bf16(0x7f81), Bf16(0xffc3));
        assert_eq!(vdp(0.0, [signalling, one], [one, one]).to_bits(), 0x7fc1_0000);
        assert_eq!(vdp(0.0, [signalling, quiet], [one, one]).to_bits(), 0x7fc1_0000);
        assert_eq!(vdp(0.0, [one, quiet], [quiet, signalling]).to_bits(), 0xffc3_0000);
        assert_eq!(vdp(f32::from_bits(0x7f80_0001), [one; 2], [one; 2]).to_bits(), 0x7fc0_0001);
        // In tiles the even elements come before the odd ones, and what was there before both.
        assert_eq!(amx(0.0, &[[one, signalling]], &[[one; 2]]).to_bits(), 0x7fc1_0000);
        assert_eq!(amx(0.0, &[[quiet, signalling]], &[[one; 2]]).to_bits(), 0xffc3_0000);
        assert_eq!(
            amx(f32::from_bits(0x7fc0_0005), &[[quiet, signalling]], &[[one; 2]]).to_bits(),
            0x7fc0_0005
        );
        let [infinity] = numbers([f32::INFINITY]);
        assert_eq!(both(f32::NEG_INFINITY, &[infinity], &[one]), [0xffc0_0000; 2]);
    }

    #[test]
    fn zeros_that_fill_a_block_turn_minus_zero_into_zero() {
        let [minus] = numbers([-1.0]);
        assert_eq!(both(-0.0, &[Bf16::ZERO], &[minus]), [0; 2]);
        assert_eq!(vdp(-0.0, [Bf16::ZERO; 2], [minus; 2]).to_bits(), 0x8000_0000);
    }

    #[test]
    fn matrices_are_multiplied_row_by_column() {
        let (a, b) = (numbers([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), numbers([1.0, 10.0, 100.0]));
        let (a, b) = (View::new(&a, 3), View::new(&b, 1));
        for rule in [Rule::Amx, Rule::Avx512] {
            let mut sums = [1.0, 2.0];
            for (write, expected) in [(Write::Add, [322.0, 656.0]), (Write::Over, [321.0, 654.0])] {
                let to = ViewMut::new(&mut sums, 1);
                multiply(rule, Destination::Sums { to, write }, a, b);
                assert_eq!(sums, expected);
            }
            let mut rounded = [Bf16::ZERO; 3];
            let to = ViewMut::new(&mut rounded, 3);
            let column = numbers([1.0, 1.0]);
            let bias = Some(&[0.5, -5.0, 1000.0][..]);
            multiply(rule, Destination::Operand { to, bias }, View::new(&column, 2), a);
            assert_eq!(rounded.map(Bf16::widen), [5.5, 2.0, 1008.0]);
        }
    }
}

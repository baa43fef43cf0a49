//! Products of a few rows with a matrix that is read once from memory: what writing a text token by token consists of.
//!
//! The matrix lies in *panels* of 32 columns, each from its first row to its last without gaps, so that it is read in the order
//! in which it lies. A row's result has the same bits whatever other rows there are, so a text does not depend on which others
//! are written at the same time.

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

/// Columns of a panel.
pub const WIDTH: usize = 32;

/// One row of a panel of f32.
pub type Lanes = [f32; WIDTH];

/// One row of a panel, not across cache lines more than need be.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub struct Line<T>(pub [T; WIDTH]);

/// What a matrix can consist of.
pub trait Element: Copy + Send + Sync + 'static {
    /// The numbers as f32.
    fn widen(line: &Line<Self>) -> Lanes;
}

impl Element for f32 {
    #[inline(always)]
    fn widen(line: &Line<Self>) -> Lanes {
        line.0
    }
}

/// The upper half of an f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Bf16(pub u16);

impl Bf16 {
    /// The nearest one; of two equally near the even one. A NaN stays one.
    pub fn round(x: f32) -> Self {
        Self(half::bf16::from_f32(x).to_bits())
    }
}

impl Element for Bf16 {
    #[inline(always)]
    fn widen(line: &Line<Self>) -> Lanes {
        // Plain loops over arrays of a known size become vector instructions; `map` on arrays of this size does not.
        let mut wide = [0.0; WIDTH];
        for (wide, x) in wide.iter_mut().zip(&line.0) {
            *wide = f32::from_bits(u32::from(x.0) << 16);
        }
        wide
    }
}

impl Element for i8 {
    #[inline(always)]
    fn widen(line: &Line<Self>) -> Lanes {
        let mut wide = [0.0; WIDTH];
        for (wide, x) in wide.iter_mut().zip(&line.0) {
            *wide = f32::from(*x);
        }
        wide
    }
}

/// Scales of a panel's columns, each for some of its rows.
#[derive(Clone, Copy, Debug)]
pub struct Scales<'a> {
    /// For the first `rows` rows of the panel, for the next `rows`, ...
    pub lines: &'a [Line<f32>],
    pub rows: usize,
}

/// `sums[i] += rows[i] * panel`.
///
/// # Shapes
/// (k), (k, 32) -> (32) for each row; a row shorter than the panel meets its first rows only.
pub fn add_product<T: Element>(
    rows: &[&[f32]],
    panel: &[Line<T>],
    scales: Option<Scales<'_>>,
    sums: &mut [Lanes],
) {
    Arch::new().dispatch(Product { rows, panel, scales, sums });
}

/// Panels that are read at the same time for a single row: as many places in memory are then on their way.
pub const STREAMS: usize = 4;

/// As [`add_product`] for a single row and [`STREAMS`] panels that follow each other, to the same bits: `sums[p] += row * panels[p]`.
/// So are their scales.
pub fn add_products<T: Element>(
    row: &[f32],
    panels: &[Line<T>],
    scales: Option<Scales<'_>>,
    sums: &mut [Lanes],
) {
    Arch::new().dispatch(Products { row, panels, scales, sums });
}

struct Products<'a, T> {
    row: &'a [f32],
    panels: &'a [Line<T>],
    scales: Option<Scales<'a>>,
    sums: &'a mut [Lanes],
}

impl<T: Element> WithSimd for Products<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { row, panels, scales, sums } = self;
        // Elsewhere there are too few registers.
        if S::F32_LANES == 16
            && let Ok(sums) = <&mut [Lanes; STREAMS]>::try_from(&mut *sums)
        {
            return simd.vectorize(Streams::<T, S, 2> { simd, row, panels, scales, sums });
        }
        let groups = scales.map_or(1, |scales| scales.lines.len() / sums.len()).max(1);
        for (p, (panel, sums)) in panels.chunks(row.len()).zip(sums.chunks_mut(1)).enumerate() {
            let scales =
                scales.map(|all| Scales { lines: &all.lines[p * groups..][..groups], rows: all.rows });
            Product { rows: &[row], panel, scales, sums }.with_simd(simd);
        }
    }
}

struct Streams<'a, T, S, const N: usize> {
    simd: S,
    row: &'a [f32],
    panels: &'a [Line<T>],
    scales: Option<Scales<'a>>,
    sums: &'a mut [Lanes; STREAMS],
}

impl<T: Element, S: Simd, const N: usize> NullaryFnOnce for Streams<'_, T, S, N> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, row, panels, scales, sums } = self;
        let zero = simd.splat_f32s(0.0);
        let one = [1.0; WIDTH];
        let group = scales.map_or(row.len(), |scales| scales.rows).max(1);
        let groups = row.len().div_ceil(group);
        for (g, xs) in row.chunks(group).enumerate() {
            let lines = |p: usize| panels[p * row.len() + g * group..][..xs.len()].iter();
            let mut totals = [[zero; N]; STREAMS];
            for ((((x, a), b), c), d) in xs.iter().zip(lines(0)).zip(lines(1)).zip(lines(2)).zip(lines(3)) {
                let x = simd.splat_f32s(*x);
                for (line, totals) in [a, b, c, d].into_iter().zip(&mut totals) {
                    let wide = T::widen(line);
                    let (wide, _) = S::as_simd_f32s(&wide);
                    for (total, wide) in totals.iter_mut().zip(wide) {
                        *total = simd.mul_add_e_f32s(x, *wide, *total);
                    }
                }
            }
            for (p, (sums, totals)) in sums.iter_mut().zip(totals).enumerate() {
                let scale =
                    scales.and_then(|scales| scales.lines.get(p * groups + g)).map_or(&one, |line| &line.0);
                let (scale, _) = S::as_simd_f32s(scale);
                let (sums, _) = S::as_mut_simd_f32s(sums);
                for ((sum, total), scale) in sums.iter_mut().zip(totals).zip(scale) {
                    *sum = simd.mul_add_e_f32s(total, *scale, *sum);
                }
            }
        }
    }
}

struct Product<'a, T> {
    rows: &'a [&'a [f32]],
    panel: &'a [Line<T>],
    scales: Option<Scales<'a>>,
    sums: &'a mut [Lanes],
}

impl<T: Element> WithSimd for Product<'_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The second number is how many vectors a line has.
        match S::F32_LANES {
            16 => self.run::<S, 2>(simd),
            8 => self.run::<S, 4>(simd),
            4 => self.run::<S, 8>(simd),
            _ => self.run::<S, 32>(simd),
        }
    }
}

impl<T: Element> Product<'_, T> {
    /// Rows are taken together as far as their sums fit the registers: a vector of the panel is then loaded, and widened,
    /// once for all of them.
    #[inline(always)]
    fn run<S: Simd, const N: usize>(self, simd: S) {
        let Self { mut rows, panel, scales, mut sums } = self;
        while !rows.is_empty() {
            let together = match (N, rows.len()) {
                (2, 8..) => 8,
                (2, 4..) => 4,
                (2 | 4, 2..) => 2,
                _ => 1,
            };
            let (first, others) = rows.split_at(together);
            let (first_sums, other_sums) = sums.split_at_mut(together);
            match together {
                8 => block::<T, S, N, 8>(simd, first, panel, scales, first_sums),
                4 => block::<T, S, N, 4>(simd, first, panel, scales, first_sums),
                2 => block::<T, S, N, 2>(simd, first, panel, scales, first_sums),
                _ => block::<T, S, N, 1>(simd, first, panel, scales, first_sums),
            }
            (rows, sums) = (others, other_sums);
        }
    }
}

/// The product for `B` rows, with `N` vectors a line.
#[inline(always)]
fn block<T: Element, S: Simd, const N: usize, const B: usize>(
    simd: S,
    rows: &[&[f32]],
    panel: &[Line<T>],
    scales: Option<Scales<'_>>,
    sums: &mut [Lanes],
) {
    let (Ok(rows), Ok(sums)) = (<&[&[f32]; B]>::try_from(rows), <&mut [Lanes; B]>::try_from(sums)) else {
        return;
    };
    // Without this the function would be compiled for the processor's baseline.
    simd.vectorize(Block::<T, S, N, B> { simd, rows, panel, scales, sums });
}

struct Block<'a, T, S, const N: usize, const B: usize> {
    simd: S,
    rows: &'a [&'a [f32]; B],
    panel: &'a [Line<T>],
    scales: Option<Scales<'a>>,
    sums: &'a mut [Lanes; B],
}

impl<T: Element, S: Simd, const N: usize, const B: usize> NullaryFnOnce for Block<'_, T, S, N, B> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, rows, panel, scales, sums } = self;
        let zero = simd.splat_f32s(0.0);
        let one = [1.0; WIDTH];
        let group = scales.map_or(panel.len(), |scales| scales.rows).max(1);
        for (g, lines) in panel.chunks(group).enumerate() {
            let start = g * group;
            let rows: [&[f32]; B] = std::array::from_fn(|b| &rows[b][start..start + lines.len()]);
            let mut totals = [[zero; N]; B];
            for (i, line) in lines.iter().enumerate() {
                let wide = T::widen(line);
                let (wide, _) = S::as_simd_f32s(&wide);
                let wide: [S::f32s; N] = std::array::from_fn(|n| wide[n]);
                for (row, totals) in rows.iter().zip(&mut totals) {
                    let x = simd.splat_f32s(row[i]);
                    for (total, wide) in totals.iter_mut().zip(wide) {
                        *total = simd.mul_add_e_f32s(x, wide, *total);
                    }
                }
            }
            let scale = scales.and_then(|scales| scales.lines.get(g)).map_or(&one, |line| &line.0);
            let (scale, _) = S::as_simd_f32s(scale);
            for (sums, totals) in sums.iter_mut().zip(totals) {
                let (sums, _) = S::as_mut_simd_f32s(sums);
                for ((sum, total), scale) in sums.iter_mut().zip(totals).zip(scale) {
                    *sum = simd.mul_add_e_f32s(total, *scale, *sum);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::fixture::noise;

    #[test]
    fn several_panels_at_a_time_give_the_bits_of_one_after_the_other() {
        let mut next = noise(3);
        let (rows, group) = (70, 32);
        let row: Vec<f32> = (0..rows).map(|_| next()).collect();
        let lines: Vec<Line<i8>> =
            (0..STREAMS * rows).map(|_| Line(std::array::from_fn(|_| (127.0 * next()) as i8))).collect();
        let scales: Vec<Line<f32>> =
            (0..STREAMS * 3).map(|_| Line(std::array::from_fn(|_| next()))).collect();
        let of = |p: usize| Some(Scales { lines: &scales[p * 3..][..3], rows: group });
        let mut expected = [[0.5; WIDTH]; STREAMS];
        for (p, sums) in expected.iter_mut().enumerate() {
            add_product(&[&row], &lines[p * rows..][..rows], of(p), std::slice::from_mut(sums));
        }
        for panels in 1..=STREAMS {
            let mut sums = vec![[0.5; WIDTH]; panels];
            let scales = Some(Scales { lines: &scales[..panels * 3], rows: group });
            add_products(&row, &lines[..panels * rows], scales, &mut sums);
            assert_eq!(sums, expected[..panels]);
            // Processors with fewer registers go another way, and may round otherwise.
            let mut sums = vec![[0.5; WIDTH]; panels];
            let products = Products { row: &row, panels: &lines[..panels * rows], scales, sums: &mut sums };
            products.with_simd(pulp::Scalar::new());
            for (found, expected) in sums.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() <= 1e-5 * expected.abs().max(100.0), "{found} {expected}");
            }
        }
    }
}

//! Products of a few rows with a matrix that is read once from memory: what writing a text token by token consists of.
//!
//! The matrix lies in *panels* of 32 columns, each from its first row to its last without gaps, so that it is read in the order
//! in which it lies. A row's result has the same bits whatever other rows there are, so a text does not depend on which others
//! are written at the same time.

use pulp::{Arch, NullaryFnOnce, Simd, WithSimd};

use crate::ops::cpu::bf16::Bf16;

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

impl Element for Bf16 {
    #[inline(always)]
    fn widen(line: &Line<Self>) -> Lanes {
        // Plain loops over arrays of a known size become vector instructions; `map` on arrays of this size does not.
        let mut wide = [0.0; WIDTH];
        for (wide, x) in wide.iter_mut().zip(&line.0) {
            *wide = x.widen();
        }
        wide
    }
}

/// Panels of a piece of work: as many are read at the same time, at most, so that several places in memory are on their way.
pub const STREAMS: usize = 4;

/// Asks the processor for the lines that come 4 KiB after this one. The products of several rows leave it no room to look far ahead
/// by itself: with 8 of them, weights from memory then come a fifth (f32) to a half (int8) faster, measured on a Skylake Xeon.
#[inline(always)]
pub fn fetch_ahead<T>(line: &T) {
    #[cfg(target_arch = "x86_64")]
    for start in (0..size_of::<T>()).step_by(64) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let place = std::ptr::from_ref(line).cast::<i8>().wrapping_add(4096 + start);
        // SAFETY: a prefetch changes nothing that the program sees, and does nothing where no memory is.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

/// `sums[p][i] += rows[i] * panels[p]` for some panels that follow each other.
///
/// # Shapes
/// (m, k), (panels, k, 32) -> (panels, m, 32).
pub fn add_products<T: Element>(rows: &[&[f32]], panels: &[Line<T>], sums: &mut [Lanes]) {
    Arch::new().dispatch(Products { rows, panels, sums });
}

struct Products<'a, T> {
    rows: &'a [&'a [f32]],
    panels: &'a [Line<T>],
    sums: &'a mut [Lanes],
}

impl<T: Element> WithSimd for Products<'_, T> {
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

impl<T: Element> Products<'_, T> {
    /// Rows and panels are taken together as far as their sums fit the registers, 16 vectors of 32 with AVX-512: a vector of a
    /// panel is loaded, and widened, once for several rows. Panels are in the outer loop, and so near for the rows that follow.
    #[inline(always)]
    fn run<S: Simd, const N: usize>(self, simd: S) {
        let m = self.rows.len();
        let mut place = Place { all: self, first_panel: 0, first_row: 0 };
        let panels = place.all.sums.len() / m.max(1);
        while place.first_panel < panels {
            let together = match (N, m, panels - place.first_panel) {
                (2, ..4, 4..) => 4,
                (2, _, 2..) => 2,
                _ => 1,
            };
            place.first_row = 0;
            while place.first_row < m {
                place.first_row += match (N, together, m - place.first_row) {
                    (2, 4, 2..) => place.block::<S, N, 2, 4>(simd),
                    (2, 4, _) => place.block::<S, N, 1, 4>(simd),
                    (2, 2, 4..) => place.block::<S, N, 4, 2>(simd),
                    (2, 2, 2..) => place.block::<S, N, 2, 2>(simd),
                    (2, 2, _) => place.block::<S, N, 1, 2>(simd),
                    (2, _, 8..) => place.block::<S, N, 8, 1>(simd),
                    (2 | 4, _, 2..) => place.block::<S, N, 2, 1>(simd),
                    _ => place.block::<S, N, 1, 1>(simd),
                };
            }
            place.first_panel += together;
        }
    }
}

/// Where the next block begins.
struct Place<'a, T> {
    all: Products<'a, T>,
    first_panel: usize,
    first_row: usize,
}

impl<T: Element> Place<'_, T> {
    /// The product of `B` rows and `P` panels, with `N` vectors a line. Gives the number of rows.
    #[inline(always)]
    fn block<S: Simd, const N: usize, const B: usize, const P: usize>(&mut self, simd: S) -> usize {
        // Without this the function would be compiled for the processor's baseline.
        simd.vectorize(Block::<T, S, N, B, P> { simd, place: self });
        B
    }
}

struct Block<'a, 'b, T, S, const N: usize, const B: usize, const P: usize> {
    simd: S,
    place: &'a mut Place<'b, T>,
}

impl<T: Element, S: Simd, const N: usize, const B: usize, const P: usize> NullaryFnOnce
    for Block<'_, '_, T, S, N, B, P>
{
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { simd, place: Place { all, first_panel, first_row } } = self;
        let Products { rows, panels, sums } = all;
        let (m, k) = (rows.len(), rows[*first_row].len());
        let rows: [&[f32]; B] = std::array::from_fn(|b| rows[*first_row + b]);
        let lines: [&[Line<T>]; P] = std::array::from_fn(|p| &panels[(*first_panel + p) * k..][..k]);
        let mut totals = [[[simd.splat_f32s(0.0); N]; B]; P];
        for i in 0..k {
            let x: [S::f32s; B] = std::array::from_fn(|b| simd.splat_f32s(rows[b][i]));
            for (lines, totals) in lines.iter().zip(&mut totals) {
                fetch_ahead(&lines[i]);
                let wide = T::widen(&lines[i]);
                let (wide, _) = S::as_simd_f32s(&wide);
                let wide: [S::f32s; N] = std::array::from_fn(|n| wide[n]);
                for (x, totals) in x.iter().zip(totals) {
                    for (total, wide) in totals.iter_mut().zip(wide) {
                        *total = simd.mul_add_e_f32s(*x, wide, *total);
                    }
                }
            }
        }
        for (p, totals) in totals.into_iter().enumerate() {
            let sums = &mut sums[(*first_panel + p) * m + *first_row..][..B];
            for (sums, totals) in sums.iter_mut().zip(totals) {
                let (sums, _) = S::as_mut_simd_f32s(sums);
                for (sum, total) in sums.iter_mut().zip(totals) {
                    *sum = simd.add_f32s(total, *sum);
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
    fn however_many_rows_and_panels_are_taken_together_no_bit_changes() {
        let mut next = noise(3);
        let k = 70;
        let rows: Vec<Vec<f32>> = (0..11).map(|_| (0..k).map(|_| next()).collect()).collect();
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let lines: Vec<Line<Bf16>> =
            (0..STREAMS * k).map(|_| Line(std::array::from_fn(|_| Bf16::round(next())))).collect();
        let one = |p: usize, row: &[f32]| {
            let mut sums = [[0.5; WIDTH]];
            add_products(&[row], &lines[p * k..][..k], &mut sums);
            sums[0]
        };
        for (m, panels) in (1..=rows.len()).flat_map(|m| (1..=STREAMS).map(move |panels| (m, panels))) {
            let expected: Vec<Lanes> = (0..panels)
                .flat_map(|p| rows[..m].iter().map(move |row| (p, *row)))
                .map(|(p, row)| one(p, row))
                .collect();
            let mut sums = vec![[0.5; WIDTH]; panels * m];
            add_products(&rows[..m], &lines[..panels * k], &mut sums);
            assert_eq!(sums, expected, "{m} rows, {panels} panels");
            // Processors with fewer registers take fewer of them together, and may round otherwise.
            let mut sums = vec![[0.5; WIDTH]; panels * m];
            Products { rows: &rows[..m], panels: &lines[..panels * k], sums: &mut sums }
                .with_simd(pulp::Scalar::new());
            for (found, expected) in sums.iter().flatten().zip(expected.iter().flatten()) {
                assert!((found - expected).abs() <= 1e-5 * expected.abs().max(1.0), "{found} {expected}");
            }
        }
    }
}

//! The loops around the instructions.

use pulp::NullaryFnOnce;
use pulp::bytemuck::Pod;

use super::super::panels::{Lanes, WIDTH, fetch_ahead};
#[cfg(target_arch = "x86_64")]
use super::x86::{Avx512Vnni, AvxVnni};
use super::{GROUP, Group, QUAD, Quad, Rows};
#[cfg(target_arch = "x86_64")]
use pulp::x86::{V3, V4};

/// Whose instructions multiply. Which of them it is changes no bit.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni(Avx512Vnni),
    #[cfg(target_arch = "x86_64")]
    Avx512(V4),
    #[cfg(target_arch = "x86_64")]
    AvxVnni(AvxVnni),
    #[cfg(target_arch = "x86_64")]
    Avx2(V3),
    Plain,
}

/// `sums[p][i] += rows[i] * panels[p]`.
#[derive(Debug)]
pub struct Products<'a> {
    pub rows: &'a Rows,
    pub quads: &'a [Quad],
    pub groups: &'a [Group],
    pub sums: &'a mut [Lanes],
}

impl Kernel {
    /// All that there are, the fastest first; `None`: not on this processor.
    pub fn all() -> Vec<(&'static str, Option<Self>)> {
        vec![
            #[cfg(target_arch = "x86_64")]
            ("AVX-512 VNNI", Avx512Vnni::try_new().map(Self::Avx512Vnni)),
            #[cfg(target_arch = "x86_64")]
            ("AVX-512", V4::try_new().map(Self::Avx512)),
            #[cfg(target_arch = "x86_64")]
            ("AVX-VNNI", AvxVnni::try_new().map(Self::AvxVnni)),
            #[cfg(target_arch = "x86_64")]
            ("AVX2", V3::try_new().map(Self::Avx2)),
            ("plain Rust", Some(Self::Plain)),
        ]
    }

    /// The fastest one that this processor has.
    pub fn best() -> Self {
        Self::all().into_iter().find_map(|(_, kernel)| kernel).unwrap_or(Self::Plain)
    }

    pub fn run(self, products: Products<'_>) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni(dots) => products.run(dots),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(dots) => products.run(dots),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni(dots) => products.run(dots),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(dots) => products.run(dots),
            Self::Plain => products.run(Plain),
        }
    }
}

/// What a kernel has of its own.
pub trait Dots: Copy {
    /// A sum for each column of a panel.
    type Sums: Pod;
    /// Four numbers of a row, as often as they are needed.
    type Four: Copy;
    /// Whether sums of 8 rows fit the registers, or of 2.
    const MANY: bool;

    fn four(self, four: i32) -> Self::Four;

    /// Adds the products of four numbers of a row with the weights of each column.
    fn add(self, sums: &mut Self::Sums, four: Self::Four, weights: &Quad);

    /// Runs `f` compiled for the instructions.
    fn vectorise(self, f: impl NullaryFnOnce<Output = ()>);
}

/// For any processor, and what the others are tested against.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl Dots for Plain {
    type Sums = [i32; WIDTH];
    type Four = [u8; QUAD];
    const MANY: bool = false;

    #[inline(always)]
    fn four(self, four: i32) -> [u8; QUAD] {
        four.to_ne_bytes()
    }

    #[inline(always)]
    fn add(self, sums: &mut [i32; WIDTH], four: [u8; QUAD], weights: &Quad) {
        for (sum, weights) in sums.iter_mut().zip(&weights.0) {
            *sum +=
                four.iter().zip(weights).map(|(x, weight)| i32::from(*x) * i32::from(*weight)).sum::<i32>();
        }
    }

    #[inline(always)]
    fn vectorise(self, f: impl NullaryFnOnce<Output = ()>) {
        f.call();
    }
}

impl Products<'_> {
    /// As many rows and panels are taken together as fit the registers: weights are loaded once for several rows, and for few
    /// rows several places in memory are on their way.
    fn run<D: Dots>(mut self, dots: D) {
        let m = self.rows.count();
        let panels = self.sums.len() / m.max(1);
        let mut panel = 0;
        while panel < panels {
            let together = match (D::MANY, m, panels - panel) {
                (true, ..4, 4..) => 4,
                (true, ..8, 2..) => 2,
                _ => 1,
            };
            let mut row = 0;
            while row < m {
                let at = (panel, row);
                row += match (D::MANY, together, m - row) {
                    (true, 4, 2..) => self.block::<D, 2, 4>(dots, at),
                    (true, 4, _) => self.block::<D, 1, 4>(dots, at),
                    (true, 2, 4..) => self.block::<D, 4, 2>(dots, at),
                    (true, 2, 2..) => self.block::<D, 2, 2>(dots, at),
                    (true, 2, _) => self.block::<D, 1, 2>(dots, at),
                    (true, _, 8..) => self.block::<D, 8, 1>(dots, at),
                    (true, _, 4..) => self.block::<D, 4, 1>(dots, at),
                    (_, _, 2..) => self.block::<D, 2, 1>(dots, at),
                    _ => self.block::<D, 1, 1>(dots, at),
                };
            }
            panel += together;
        }
    }

    /// The product of `B` rows and `P` panels. Gives the number of rows.
    fn block<D: Dots, const B: usize, const P: usize>(&mut self, dots: D, at: (usize, usize)) -> usize {
        dots.vectorise(Block::<D, B, P> { dots, at, all: self });
        B
    }
}

struct Block<'a, 'b, D, const B: usize, const P: usize> {
    dots: D,
    /// The first panel and the first row.
    at: (usize, usize),
    all: &'a mut Products<'b>,
}

impl<D: Dots, const B: usize, const P: usize> NullaryFnOnce for Block<'_, '_, D, B, P> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { dots, at: (panel, row), all: Products { rows, quads, groups, sums } } = self;
        let m = rows.count();
        let x: [&[i32]; B] = std::array::from_fn(|b| rows.quads(row + b));
        let x_scales: [&[f32]; B] = std::array::from_fn(|b| rows.scales(row + b));
        let (k, count) = (x[0].len(), x_scales[0].len());
        for g in 0..count {
            let start = g * GROUP / QUAD;
            let len = (GROUP / QUAD).min(k - start);
            let x: [&[i32]; B] = std::array::from_fn(|b| &x[b][start..][..len]);
            let weights: [&[Quad]; P] = std::array::from_fn(|p| &quads[(panel + p) * k + start..][..len]);
            let groups: [&Group; P] = std::array::from_fn(|p| &groups[(panel + p) * count + g]);
            let mut totals: [[D::Sums; B]; P] = std::array::from_fn(|p| [pulp::cast(groups[p].starts); B]);
            for i in 0..len {
                let four: [D::Four; B] = std::array::from_fn(|b| dots.four(x[b][i]));
                for (weights, totals) in weights.iter().zip(&mut totals) {
                    fetch_ahead(&weights[i]);
                    for (four, total) in four.iter().zip(totals) {
                        dots.add(total, *four, &weights[i]);
                    }
                }
            }
            for (p, totals) in totals.iter().enumerate() {
                let sums = &mut sums[(panel + p) * m + row..][..B];
                for ((sums, total), x_scales) in sums.iter_mut().zip(totals).zip(&x_scales) {
                    scale(sums, &pulp::cast(*total), &groups[p].scales, x_scales[g]);
                }
            }
        }
    }
}

/// `sums += totals * scales * x_scale`. Each step is rounded, so that it does not matter whether a processor can do two at once.
#[inline(always)]
fn scale(sums: &mut Lanes, totals: &[i32; WIDTH], scales: &Lanes, x_scale: f32) {
    for ((sum, total), scale) in sums.iter_mut().zip(totals).zip(scales) {
        *sum += *total as f32 * (scale * x_scale);
    }
}

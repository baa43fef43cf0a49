use std::io::Write as _;

use super::kernel::Products;
use super::*;
use crate::infer::fixture::noise;

fn weights(panels: usize, rows: usize, make: impl FnMut() -> f32) -> Weights {
    let mut make = make;
    let values: Vec<f32> = (0..panels * rows * WIDTH).map(|_| make()).collect();
    Weights::pack(panels, rows, |p, i| std::array::from_fn(|lane| values[(p * rows + i) * WIDTH + lane]))
}

fn products(kernel: Kernel, weights: &Weights, rows: &Rows, panels: usize) -> Vec<Lanes> {
    let quads = &weights.quads[..panels * weights.rows.div_ceil(QUAD)];
    let groups = &weights.groups[..panels * weights.rows.div_ceil(GROUP)];
    let mut sums = vec![[0.5; WIDTH]; panels * rows.count()];
    kernel.run(Products { rows, quads, groups, sums: &mut sums });
    sums
}

/// The definition, one element after the other.
fn expected(weights: &Weights, rows: &Rows, panels: usize) -> Vec<Lanes> {
    let element = |p: usize, row: usize, lane: usize| {
        let numbers: Vec<u8> = rows.quads(row).iter().flat_map(|four| four.to_ne_bytes()).collect();
        let quads = &weights.quads[p * weights.rows.div_ceil(QUAD)..][..weights.rows.div_ceil(QUAD)];
        let column: Vec<i8> = quads.iter().flat_map(|quad| quad.0[lane]).collect();
        let mut sum = 0.5;
        for (g, (numbers, column)) in numbers.chunks(GROUP).zip(column.chunks(GROUP)).enumerate() {
            let pairs = numbers.iter().zip(column);
            let total: i64 = pairs.map(|(x, weight)| (i64::from(*x) - 127) * i64::from(*weight)).sum();
            let scale = weights.groups[p * weights.rows.div_ceil(GROUP) + g].scales[lane];
            sum += total as f32 * (scale * rows.scales(row)[g]);
        }
        sum
    };
    (0..panels)
        .flat_map(|p| (0..rows.count()).map(move |row| (p, row)))
        .map(|(p, row)| std::array::from_fn(|lane| element(p, row, lane)))
        .collect()
}

/// Runs `check` with each kernel that the processor has, and with those for VNNI also where they must be emulated.
fn with_each_kernel(check: impl Fn(&str, Kernel)) {
    for (name, kernel) in Kernel::all() {
        match kernel {
            Some(kernel) => check(name, kernel),
            None => say(name, "not on this processor"),
        }
    }
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    with_each_emulated_kernel(check);
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
fn with_each_emulated_kernel(check: impl Fn(&str, Kernel)) {
    use super::x86::{Avx512Vnni, AvxVnni};
    use crate::ops::cpu::emulated::{Emulation, Extension, Means};
    type Make = fn(&Emulation) -> Option<Kernel>;
    let kernels: [(_, Make); 2] = [
        (Extension::Avx512Vnni, |emulation| Avx512Vnni::emulated(emulation).map(Kernel::Avx512Vnni)),
        (Extension::AvxVnni, |emulation| AvxVnni::emulated(emulation).map(Kernel::AvxVnni)),
    ];
    for (extension, make) in kernels {
        let Some(Means::Emulation(emulation)) = Means::find(extension) else { continue };
        match make(&emulation) {
            Some(kernel) => check(&format!("{extension:?}, emulated"), kernel),
            None => {
                say(
                    &format!("{extension:?}"),
                    "SKIPPED, the processor lacks what the kernel needs beside it",
                );
            }
        }
    }
}

/// Past the test harness, which keeps what tests print to itself if they pass.
fn say(name: &str, what: &str) {
    let _ = writeln!(std::io::stderr(), "products in int8 with {name}: {what}");
}

/// Emulated instructions take their time, hence few sizes: together they consist of blocks of all shapes.
#[test]
fn every_kernel_gives_the_bits_of_the_definition() {
    const MOST: usize = 15;
    with_each_kernel(|name, kernel| {
        for k in [1, 6, 70, 128, 129, 300] {
            let mut next = noise(3);
            let weights = weights(5, k, &mut next);
            let x: Vec<f32> = (0..MOST * k).map(|_| next()).collect();
            let expected = expected(&weights, &Rows::round(&x, k), 5);
            for m in [1, 3, 4, 7, MOST] {
                let rows = Rows::round(&x[..m * k], k);
                for panels in [1, 3, 5] {
                    let found = products(kernel, &weights, &rows, panels);
                    let expected = expected.chunks(MOST).take(panels).flat_map(|rows| &rows[..m]);
                    assert!(found.iter().eq(expected), "{name}: {m} x {k}, {panels} panels");
                }
            }
        }
    });
}

#[test]
fn the_largest_numbers_overflow_in_no_kernel() {
    // Pairs that are largest as a whole, or by one of the two; rows of which the shifted numbers are the largest.
    let patterns: [&[f32]; 5] =
        [&[1.0], &[-1.0], &[1.0, 0.0], &[-0.0, -1.0], &[0.505, 0.495, -0.505, -0.495]];
    with_each_kernel(|name, kernel| {
        for (pattern, sign) in patterns.into_iter().flat_map(|pattern| [(pattern, 1.0), (pattern, -1.0)]) {
            let values: Vec<f32> = (0..256).map(|i| pattern[i % pattern.len()]).collect();
            let weights = Weights::pack(1, 256, |_, i| [values[i]; WIDTH]);
            let rows = Rows::round(&[sign; 2 * 256], 256);
            let expected = expected(&weights, &rows, 1);
            assert!(expected[0][0].abs() < 300.0, "{pattern:?}: {}", expected[0][0]);
            assert_eq!(products(kernel, &weights, &rows, 1), expected, "{name}: {pattern:?}");
        }
    });
}

#[test]
fn two_neighbours_of_a_column_have_room_in_16_bits() {
    assert!(2 * SHIFT * 129 <= i32::from(i16::MAX));
    let mut next = noise(5);
    for (size, are_zeros) in [(1.0, false), (3e38, false), (1e-35, false), (1e-40, true), (1e-44, true)] {
        let weights = weights(40, 128, || size * next());
        let quads = weights.quads.iter().flat_map(|quad| quad.0);
        let pairs: Vec<i32> = quads
            .flat_map(|four| [[four[0], four[1]], [four[2], four[3]]])
            .map(|pair| pair.map(|x| i32::from(x).abs()).iter().sum())
            .collect();
        assert!(pairs.iter().all(|pair| *pair <= 129), "{size}: {:?}", pairs.iter().max());
        assert_eq!(!are_zeros, pairs.iter().any(|pair| *pair >= 127), "{size}: the room should be used");
    }
}

#[test]
fn each_128_numbers_of_a_row_are_rounded_for_themselves() {
    let mut x = vec![0.5; 300];
    x[..128].fill(1e30);
    x[130] = -1.0;
    x[256..].fill(0.0);
    let rows = Rows::round(&x, 300);
    assert_eq!(rows.scales(0), [1e30 / 127.0, 1.0 / 127.0, 0.0]);
    let bytes: Vec<u8> = rows.quads(0).iter().flat_map(|four| four.to_ne_bytes()).collect();
    assert_eq!((bytes[0], bytes[128], bytes[130], bytes[256]), (254, 127 + 64, 0, 127));
    // Few bits are left for the scale of tiny numbers.
    let rows = Rows::round(&[f32::from_bits(190); 4], 4);
    assert_eq!(rows.quads(0), [i32::from_ne_bytes([254; 4])]);
}

#[test]
fn a_row_that_is_broken_has_no_finite_product() {
    let weights = Weights::pack(1, 200, |_, _| [1.0; WIDTH]);
    for broken in [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut x = vec![1.0; 2 * 200];
        x[150] = broken;
        let mut sums = [[0.0; WIDTH]; 2];
        weights.add_products(&Rows::round(&x, 200), 0, &mut sums);
        assert!(!sums[0][0].is_finite() && sums[1][0].is_finite(), "{broken}: {sums:?}");
    }
}

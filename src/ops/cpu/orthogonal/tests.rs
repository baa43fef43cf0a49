use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::ops::cpu::bf16::Bf16;

/// PyTorch's.
const USUAL: Coefficients = [3.4445, -4.775, 2.0315];

fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    (0..len).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// The definition, in f64 and one number after the other; on each X as `round` leaves it.
fn expected(
    matrix: &[f32],
    columns: usize,
    coefficients: &[Coefficients],
    round: fn(f64) -> f64,
) -> Vec<f64> {
    let rows = matrix.len() / columns;
    let norm = matrix.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt().max(EPS);
    let mut x: Vec<f64> = matrix.iter().map(|&x| round(f64::from(x) / norm)).collect();
    let multiply = |a: &[f64], b: &[f64], k: usize| -> Vec<f64> {
        let (m, n) = (a.len() / k, b.len() / k);
        let element = |i: usize, j: usize| (0..k).map(|l| a[i * k + l] * b[l * n + j]).sum();
        (0..m).flat_map(|i| (0..n).map(move |j| (i, j))).map(|(i, j)| element(i, j)).collect()
    };
    let transposed = |a: &[f64], n: usize| -> Vec<f64> {
        (0..n).flat_map(|j| (0..a.len() / n).map(move |i| (i, j))).map(|(i, j)| a[i * n + j]).collect()
    };
    for &[a, b, c] in coefficients {
        let gram = multiply(&x, &transposed(&x, columns), columns);
        let square = multiply(&gram, &gram, rows);
        let step: Vec<f64> = gram.iter().zip(&square).map(|(gram, square)| b * gram + c * square).collect();
        let product = multiply(&step, &x, rows);
        x = x.iter().zip(&product).map(|(x, product)| round(a * x + product)).collect();
    }
    x
}

/// Frobenius norm of the difference as a share of what is expected.
fn error(found: &[f32], expected: &[f64]) -> f64 {
    let difference: f64 = found.iter().zip(expected).map(|(&found, x)| (f64::from(found) - x).powi(2)).sum();
    (difference / expected.iter().map(|x| x * x).sum::<f64>()).sqrt()
}

fn orthogonalised(
    matrix: &[f32],
    columns: usize,
    kernel: Option<Kernel>,
    coefficients: &[Coefficients],
) -> Vec<f32> {
    let mut found = matrix.to_vec();
    try_orthogonalise(ViewMut::new(&mut found, columns), kernel, coefficients).unwrap();
    found
}

#[test]
fn matrices_of_every_form_become_what_the_definition_says() {
    for (rows, columns) in
        [(1, 1), (1, 7), (9, 1), (16, 16), (17, 33), (40, 19), (129, 130), (20, 150), (300, 30)]
    {
        let matrix = noise(rows * columns, 3);
        for steps in [0, 1, 3, 5, 7] {
            let coefficients = vec![USUAL; steps];
            let expected = expected(&matrix, columns, &coefficients, |x| x);
            let found = orthogonalised(&matrix, columns, None, &coefficients);
            let error = error(&found, &expected);
            assert!(error < 2e-4, "{rows} x {columns}, {steps} steps: {error}");
        }
    }
}

#[test]
fn each_step_has_its_own_coefficients() {
    let coefficients = [[8.0, -20.0, 14.0], [3.9, -2.8, 0.5], [2.0, -1.5, 0.5]];
    for (rows, columns) in [(20, 30), (20, 90)] {
        let matrix = noise(rows * columns, 4);
        let expected = expected(&matrix, columns, &coefficients, |x| x);
        let error = error(&orthogonalised(&matrix, columns, None, &coefficients), &expected);
        assert!(error < 2e-4, "{error}");
    }
}

#[test]
fn products_of_bf16_stay_near_the_definition() {
    for (rows, columns) in [(1, 1), (3, 5), (33, 64), (64, 33), (65, 200), (200, 65)] {
        let matrix = noise(rows * columns, 5);
        let coefficients = [USUAL; 5];
        let expected = expected(&matrix, columns, &coefficients, |x| x);
        let mut found = matrix.clone();
        rounded::try_orthogonalise(ViewMut::new(&mut found, columns), Kernel::Widened, &coefficients)
            .unwrap();
        let error = error(&found, &expected);
        assert!(error < 4e-2, "{rows} x {columns}: {error}");
        assert!(error > 1e-4, "{rows} x {columns}: nothing was rounded");
    }
}

#[test]
fn singular_values_that_differ_a_thousandfold_come_together() {
    // The columns of a Hadamard matrix are orthogonal; the scales of the rows are then the singular values.
    let (rows, columns) = (16, 64);
    for columns in [16, columns] {
        let sign = |i: usize, j: usize| if (i & j).count_ones().is_multiple_of(2) { 1.0 } else { -1.0 };
        let scale = |i: usize| 0.001_f32.powf(i as f32 / 15.0);
        let matrix: Vec<f32> =
            (0..rows).flat_map(|i| (0..columns).map(move |j| scale(i) * sign(i, j))).collect();
        let found = orthogonalised(&matrix, columns, None, &[USUAL; 7]);
        for row in found.chunks(columns) {
            let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
            assert!((0.5..1.3).contains(&norm), "{norm}");
        }
    }
}

#[test]
fn a_matrix_without_full_rank_stays_in_its_space() {
    let (rows, columns) = (60, 200);
    let row = noise(columns, 6);
    let matrix: Vec<f32> = (0..rows).flat_map(|i| row.iter().map(move |x| x * (1.0 + i as f32))).collect();
    let found = orthogonalised(&matrix, columns, None, &[USUAL; 12]);
    let norm = found.iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!((0.6..1.3).contains(&norm), "{norm}");
    let zeros = orthogonalised(&vec![0.0; 6000], 200, None, &[USUAL; 5]);
    assert!(zeros.iter().all(|&x| x == 0.0));
}

#[test]
fn a_part_of_a_wider_matrix_is_treated_for_itself() {
    let (rows, columns) = (24, 24);
    let wide = noise(rows * 3 * columns, 7);
    let part: Vec<f32> =
        wide.chunks(3 * columns).flat_map(|row| row[columns..2 * columns].to_vec()).collect();
    let expected = orthogonalised(&part, columns, None, &[USUAL; 5]);
    let mut found = wide.clone();
    let parts = ViewMut::new(&mut found, 3 * columns).cut(false, columns);
    let part = parts.into_iter().nth(1).unwrap();
    try_orthogonalise(part, None, &[USUAL; 5]).unwrap();
    for ((found, before), expected) in found.chunks(72).zip(wide.chunks(72)).zip(expected.chunks(columns)) {
        assert_eq!(&found[columns..2 * columns], expected);
        assert_eq!((&found[..columns], &found[48..]), (&before[..columns], &before[48..]));
    }
}

#[test]
fn no_number_of_threads_changes_a_bit() {
    let matrix = noise(300 * 700, 8);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let single = orthogonalised(&matrix, 700, None, &[USUAL; 5]);
            let mut rounded = matrix.clone();
            let view = ViewMut::new(&mut rounded, 300);
            rounded::try_orthogonalise(view, Kernel::Widened, &[USUAL; 2]).unwrap();
            (single, rounded)
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn squares_are_mirrored_at_every_size() {
    for side in [1, 2, 16, 17, 31, 48, 100] {
        for stride in [side, side + 5] {
            let mut data = noise(side * stride, 9);
            let before = data.clone();
            products::mirror(&mut data, side, stride);
            for i in 0..side {
                for j in 0..side {
                    let (row, column) = (i.max(j), i.min(j));
                    assert_eq!(data[i * stride + j], before[row * stride + column], "{side}: {i}, {j}");
                }
                assert_eq!(
                    data[i * stride + side..(i + 1) * stride],
                    before[i * stride + side..(i + 1) * stride]
                );
            }
        }
    }
}

#[test]
fn the_kernel_that_only_widens_is_not_used() {
    let matrix = noise(20 * 30, 10);
    let single = orthogonalised(&matrix, 30, None, &[USUAL; 5]);
    assert_eq!(orthogonalised(&matrix, 30, Some(Kernel::Widened), &[USUAL; 5]), single);
    let rounded = |x: f32| Bf16::round(x).widen() == x;
    assert!(!single.iter().all(|&x| rounded(x)));
}

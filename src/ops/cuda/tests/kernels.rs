//! Kernels on buffers that are no tensors.

use super::*;
use crate::ops::cuda::many::SumOfSquares;

/// A buffer with these values.
fn buffer<E: Dtype>(cuda: &Cuda, values: &[E]) -> Buffer<E, Cuda>
where
    Cuda: Storage<E>,
{
    let mut buffer = Storage::<E>::try_alloc_len(cuda, values.len()).unwrap();
    Cuda::try_upload(&mut buffer, values).unwrap();
    buffer
}

/// Lengths of less than a block, a block and a bit, and more than all threads have one element of.
const LENGTHS: [usize; 4] = [1, 257, 5_000, 300_000];

/// The sum of squares of some buffers.
fn squares(buffers: &[Buffer<f32, Cuda>]) -> f64 {
    let mut squares = SumOfSquares::default();
    for buffer in buffers {
        // SAFETY: the buffers are borrowed until the sum is read.
        unsafe { squares.try_add(buffer) }.unwrap();
    }
    squares.try_read().unwrap()
}

#[test]
fn squares_are_added_up() {
    let cuda = gpu();
    for len in LENGTHS {
        let values: Vec<f32> = noise(len, 3);
        let found = squares(&[buffer(&cuda, &values), buffer(&cuda, &[3.0f32])]);
        let expected: f64 = values.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() + 9.0;
        assert!((found / expected - 1.0).abs() < 1e-6, "{len}: {found} instead of {expected}");
    }
    for bad in [f32::NAN, f32::INFINITY, 1e30] {
        assert!(!squares(&[buffer(&cuda, &[1.0, bad])]).is_finite(), "{bad}");
    }
    assert_eq!(squares(&[]), 0.0);
}

#[test]
fn more_tensors_than_one_launch_takes_are_all_seen() {
    let cuda = gpu();
    let buffers: Vec<_> =
        (0..450u16).map(|i| buffer(&cuda, &vec![f32::from(i); 1 + usize::from(i) % 3])).collect();
    let expected: f64 = (0..450u32).map(|i| f64::from(i * i) * f64::from(1 + i % 3)).sum();
    assert!((squares(&buffers) / expected - 1.0).abs() < 1e-6);
}

#[test]
fn a_buffer_is_scaled() {
    let cuda = gpu();
    for len in LENGTHS {
        let values: Vec<f32> = noise(len, 4);
        let mut scaled = buffer(&cuda, &values);
        try_scale(&mut scaled, 0.3).unwrap();
        let expected: Vec<f32> = values.iter().map(|x| x * 0.3).collect();
        assert_eq!(Cuda::try_download(&scaled).unwrap(), expected, "{len}");
    }
}

#[test]
fn both_precisions_are_converted_as_on_the_processor() {
    let cuda = gpu();
    // Rounding to even either way, the smallest and largest of half precision, and beyond.
    let hard =
        [1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 6e-8, 2e-8, -0.0, 65_504.0, 65_519.9, 65_520.0, -1e30];
    for len in LENGTHS {
        let mut values: Vec<f32> = noise(len, 5);
        values.iter_mut().zip(hard).for_each(|(x, hard)| *x = hard);
        let mut in_half = buffer(&cuda, &vec![F16::default(); len]);
        <Cuda as Mixed<F16>>::try_round(&mut in_half, &buffer(&cuda, &values), 1.0).unwrap();
        let found = Cuda::try_download(&in_half).unwrap();
        for (found, x) in found.iter().zip(&values) {
            assert_eq!(found.0.to_bits(), dfdx::dtypes::f16::from_f32(*x).to_bits(), "{x}");
        }
        let mut sum = buffer(&cuda, &vec![1.0f32; len]);
        <Cuda as Mixed<F16>>::try_add(&mut sum, &mut in_half, 0.5).unwrap();
        <Cuda as Mixed<F16>>::try_finish_additions().unwrap();
        assert!(
            Cuda::try_download(&in_half).unwrap().iter().all(|x| x.0.to_bits() == 0),
            "what was added is cleared"
        );
        for (sum, half) in Cuda::try_download(&sum).unwrap().iter().zip(&found) {
            let expected = 1.0 + 0.5 * half.0.to_f32();
            assert!((sum - expected).abs() <= 1e-6 * expected.abs() || *sum == expected, "{sum} {expected}");
        }
    }
}

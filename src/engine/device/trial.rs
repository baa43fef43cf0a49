//! A small computation on a device, held against the same on the processor: what it takes to train, in a second.

use ::dfdx::dtypes::f16;
use ::dfdx::prelude::*;

use super::driver;
use crate::ops::cuda::load_kernels;

/// Sizes that are multiples of nothing, and larger than one block of threads.
const ROWS: usize = 37;
const INNER: usize = 53;
const COLUMNS: usize = 41;

/// What is computed, and by how much the device may differ from the processor, as a share of the largest result. Sums are
/// taken in another order there; f16 has 11 bits.
const KINDS: [(&str, f64); 5] = [
    ("matrix product", 1e-5),
    ("sum", 1e-5),
    ("reshape", 0.0),
    ("conversion", 1e-3),
    ("matrix product in f16", 5e-3),
];

/// Computes each kind on the CUDA device of this ordinal. Names of the kinds, with the difference between device and
/// processor as a share of the largest result.
///
/// # Errors
/// What the device says, or the first kind that differs by too much.
///
/// # Panics
/// A driver may end the process, and dfdx may panic: call this in a process of its own.
pub fn compute(ordinal: usize) -> Result<Vec<(String, f64)>, String> {
    let device = Cuda::try_build(ordinal, 0).map_err(in_words)?;
    load_kernels(&device).map_err(|error| error.to_string())?;
    let found = results(&device).map_err(in_words)?;
    let expected = results(&Cpu::default()).map_err(|error| error.to_string())?;
    let mut differences = Vec::new();
    for (((kind, bound), found), expected) in KINDS.into_iter().zip(found).zip(expected) {
        let difference = difference(&found, &expected);
        // A NaN is not within any bound.
        if difference.is_nan() || difference > bound {
            return Err(format!(
                "{kind}: the device's result differs from the processor's by {difference:.1e}, where {bound:.0e} is allowed"
            ));
        }
        differences.push((kind.to_owned(), difference));
    }
    Ok(differences)
}

fn in_words(error: CudaError) -> String {
    match error {
        CudaError::Driver(error) => driver::unusable(error).to_string(),
        other => other.to_string(),
    }
}

fn difference(found: &[f32], expected: &[f32]) -> f64 {
    if found.len() != expected.len() {
        return f64::INFINITY;
    }
    let largest = expected.iter().fold(0.0_f32, |largest, x| largest.max(x.abs()));
    let difference = |(found, expected): (&f32, &f32)| f64::from((found - expected).abs());
    // `f64::max` would pass over a NaN.
    let worst = found.iter().zip(expected).map(difference);
    worst.fold(0.0, |worst, x| if x.is_nan() || x > worst { x } else { worst }) / f64::from(largest)
}

/// The results of all [`KINDS`], in their order.
fn results<D>(device: &D) -> Result<[Vec<f32>; 5], D::Err>
where
    D: Device<f32> + Device<f16>,
{
    let wave = |len: usize, step: f32| (0..len).map(|i| (i as f32 * step).sin()).collect::<Vec<f32>>();
    let x = device.try_tensor_from_vec(wave(ROWS * INNER, 0.37), (ROWS, INNER))?;
    let y = device.try_tensor_from_vec(wave(INNER * COLUMNS, 0.73), (INNER, COLUMNS))?;
    let product = x.clone().try_matmul(y.clone())?;
    let sum = product.clone().try_sum::<_, Axis<0>>()?;
    // Not contiguous any more, so that the elements really move.
    let reshaped =
        x.clone().try_permute::<(usize, usize), Axes2<1, 0>>()?.try_reshape_like(&(ROWS * INNER,))?;
    let x_half = x.try_to_dtype::<f16>()?;
    let converted = x_half.clone().try_to_dtype::<f32>()?;
    let product_half = x_half.try_matmul(y.try_to_dtype::<f16>()?)?.try_to_dtype::<f32>()?;
    Ok([product.as_vec(), sum.as_vec(), reshaped.as_vec(), converted.as_vec(), product_half.as_vec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_a_share_of_the_largest_result() {
        assert_eq!(difference(&[1.0, 4.0], &[2.0, -4.0]), 2.0);
        assert_eq!(difference(&[1.0], &[1.0]), 0.0);
    }

    #[test]
    fn a_result_that_is_no_number_is_seen() {
        assert!(difference(&[f32::NAN, 1.0], &[1.0, 1.0]).is_nan());
        assert!(difference(&[1.0, f32::NAN, 3.0], &[1.0, 1.0, 1.0]).is_nan());
        assert_eq!(difference(&[1.0], &[1.0, 2.0]), f64::INFINITY);
    }

    #[test]
    fn the_processor_computes_every_kind() {
        let results = results(&Cpu::default()).expect("memory for small tensors");
        assert_eq!(
            results.map(|result| result.len()),
            [ROWS * COLUMNS, COLUMNS, ROWS * INNER, ROWS * INNER, ROWS * COLUMNS]
        );
    }
}

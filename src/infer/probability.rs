//! From logits to probabilities.

use crate::ops::cpu::simd::{exp_and_sum, max, vectorised};

/// Numbers whose exponentials are summed in f32; the sums of the pieces are added in f64.
const PIECE: usize = 1024;

/// The natural logarithm of the sum of all e^logit: what a logit is above the logarithm of its token's probability. Not a number
/// where a logit is none; infinite where the largest is.
pub fn log_sum_exp(logits: &[f32]) -> f32 {
    let (largest, total) = vectorised(
        #[inline(always)]
        || {
            let largest = max(logits);
            let mut piece = [0.0; PIECE];
            let mut total = 0.0;
            let mut nan = false;
            for logits in logits.chunks(PIECE) {
                let piece = &mut piece[..logits.len()];
                piece.copy_from_slice(logits);
                nan |= piece.iter().fold(false, |nan, x| nan | x.is_nan());
                total += f64::from(exp_and_sum(piece, largest));
            }
            (largest, if nan { f64::NAN } else { total })
        },
    );
    if largest.is_finite() { (f64::from(largest) + total.ln()) as f32 } else { largest + total as f32 * 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infer::fixture::noise;

    #[test]
    fn it_is_the_sum_that_f64_gives() {
        let mut next = noise(3);
        for (len, size) in [(1, 1.0), (5, 20.0), (1023, 3.0), (1024, 8.0), (50_257, 12.0)] {
            let logits: Vec<f32> = (0..len).map(|_| size * next()).collect();
            let expected = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let found = f64::from(log_sum_exp(&logits));
            assert!((found - expected).abs() < 2e-6 * expected.abs().max(1.0), "{len}: {found}, {expected}");
        }
    }

    #[test]
    fn what_is_no_number_makes_no_number() {
        assert!(log_sum_exp(&[0.0, f32::NAN, 1.0]).is_nan());
        assert!(!log_sum_exp(&[0.0, f32::INFINITY]).is_finite());
        assert!(!log_sum_exp(&[f32::NEG_INFINITY; 3]).is_finite());
        assert_eq!(log_sum_exp(&[2.5, f32::NEG_INFINITY]), 2.5);
    }
}

//! Loops for the best vector instructions of the processor that the program finds itself on, and the functions they use.
//!
//! The functions are plain arithmetic without branches, calls or `mul_add` (a library call where the processor has no fused
//! one), so that the compiler can turn a loop over them into vector instructions of any width.

/// Numbers that are summed side by side: one register of the widest instruction set.
const LANES: usize = 16;

/// Runs `f` compiled for the instruction set found at run time (AVX-512, AVX2 with FMA, or the target's baseline). `f` should
/// be a closure over plain loops whose parts are all inlined.
#[inline(always)]
pub fn vectorised<R>(f: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(f)
}

/// Whether the processor has AVX2 and FMA with all that came beside them, and AVX-512 as a whole if it has any of it.
#[cfg(target_arch = "x86_64")]
pub fn has_complete_sets() -> bool {
    use pulp::x86::{V3, V4};
    V3::is_available() && (V4::is_available() || !is_x86_feature_detected!("avx512f"))
}

/// e^x to two units in the last place; below -87 the value at -87, above 88 that at 88.
///
/// 2^n * e^r with n = round(x / ln 2): the polynomial gives e^r, |r| <= ln 2 / 2, and n is added to its exponent's bits.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // 1.5 * 2^23: adding it leaves the nearest integer in the low bits.
    const ROUND: f32 = 12_582_912.0;
    // Two parts of ln 2, the first with so few bits that its product with n is exact.
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    let r = (x - n * LN_2_HIGH) - n * LN_2_LOW;
    // Taylor; the first term left out is 5e-9 of the value.
    let p = 1.0 / 5040.0;
    let p = p * r + 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23))
}

/// The sum of `term` over the elements, in an order that is the same on every processor.
#[inline(always)]
pub fn sum(x: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    sum_of_two(x, x, |x, _| term(x))
}

/// The sum of `term` over pairs of elements of two slices of equal length.
#[inline(always)]
pub fn sum_of_two<T: Copy>(x: &[T], y: &[T], term: impl Fn(T, T) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let (x_chunks, y_chunks) = (x.chunks_exact(LANES), y.chunks_exact(LANES));
    let rest = x_chunks.remainder().iter().zip(y_chunks.remainder());
    let rest = rest.fold(0.0, |total, (&x, &y)| total + term(x, y));
    for (x, y) in x_chunks.zip(y_chunks) {
        for ((lane, &x), &y) in lanes.iter_mut().zip(x).zip(y) {
            *lane += term(x, y);
        }
    }
    lanes.iter().fold(rest, |total, lane| total + lane)
}

/// Replaces each x by e^(x - shift) and returns the sum of the results.
#[inline(always)]
pub fn exp_and_sum(x: &mut [f32], shift: f32) -> f32 {
    x.iter_mut().for_each(|x| *x = exp(*x - shift));
    sum(x, |x| x)
}

/// The largest element; minus infinity if there is none. A NaN may be passed over.
#[inline(always)]
pub fn max(values: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = values.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (lane, &value) in lanes.iter_mut().zip(chunk) {
            *lane = larger(*lane, value);
        }
    }
    lanes.iter().chain(rest).fold(f32::NEG_INFINITY, |max, &value| larger(max, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_right_to_two_units_in_the_last_place() {
        for i in -8700..=8800 {
            let x = i as f32 / 100.0;
            let expected = f64::from(x).exp();
            let error = (f64::from(exp(x)) - expected).abs() / expected;
            assert!(error < 2.4e-7, "exp({x}) is {} instead of {expected}", exp(x));
        }
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(-1e30) < 2e-38 && exp(-1e30) >= 0.0);
        assert!(exp(1e30).is_finite());
    }

    #[test]
    fn sums_and_maxima_take_every_element() {
        for len in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f32> = (1..=len).map(|i| i as f32).collect();
            assert_eq!(vectorised(|| sum(&values, |x| x)), (len * (len + 1) / 2) as f32);
            assert_eq!(vectorised(|| sum_of_two(&values, &values, |x, y| x - y + 1.0)), len as f32);
            assert_eq!(max(&values), if len == 0 { f32::NEG_INFINITY } else { len as f32 });
        }
    }
}

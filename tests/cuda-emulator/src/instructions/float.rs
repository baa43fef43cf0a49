//! Single and double precision. The host's arithmetic is IEEE 754's, as the GPU's is without `.ftz` and `.approx`.

use super::{Row, row};

pub(super) const ROWS: &[&[Row]] = &[ARITHMETIC, EXTREMES, APPROXIMATE];

const ARITHMETIC: &[Row] = &[
    row!("Floating Point: add", "add.f32 add.rn.f32", |a: f32, b: f32| a + b),
    row!("Floating Point: add", "add.f64 add.rn.f64", |a: f64, b: f64| a + b),
    row!("Floating Point: sub", "sub.f32 sub.rn.f32", |a: f32, b: f32| a - b),
    row!("Floating Point: sub", "sub.f64 sub.rn.f64", |a: f64, b: f64| a - b),
    row!("Floating Point: mul", "mul.f32 mul.rn.f32", |a: f32, b: f32| a * b),
    row!("Floating Point: mul", "mul.f64 mul.rn.f64", |a: f64, b: f64| a * b),
    row!("Floating Point: fma", "fma.rn.f32", |a: f32, b: f32, c: f32| a.mul_add(b, c)),
    row!("Floating Point: fma", "fma.rn.f64", |a: f64, b: f64, c: f64| a.mul_add(b, c)),
    row!("Floating Point: fma", "fma.rm.f32", |a: f32, b: f32, c: f32| fma_down(a, b, c)),
    row!("Floating Point: div", "div.rn.f32", |a: f32, b: f32| a / b),
    row!("Floating Point: div", "div.rn.f64", |a: f64, b: f64| a / b),
    row!("Floating Point: rcp", "rcp.rn.f32", |a: f32| 1.0 / a),
    row!("Floating Point: rcp", "rcp.rn.f64", |a: f64| 1.0 / a),
    row!("Floating Point: sqrt", "sqrt.rn.f32", |a: f32| a.sqrt()),
    row!("Floating Point: sqrt", "sqrt.rn.f64", |a: f64| a.sqrt()),
    row!("Floating Point: abs", "abs.f32", |a: f32| a.abs()),
    row!("Floating Point: abs", "abs.f64", |a: f64| a.abs()),
    row!("Floating Point: neg", "neg.f32", |a: f32| -a),
    row!("Floating Point: neg", "neg.f64", |a: f64| -a),
    row!("Floating Point: copysign", "copysign.f32", |a: f32, b: f32| b.copysign(a)),
    row!("Floating Point: copysign", "copysign.f64", |a: f64, b: f64| b.copysign(a)),
];

/// The number if only one is NaN; -0 is less than +0.
const EXTREMES: &[Row] = &[
    row!("Floating Point: min", "min.f32", |a: f32, b: f32| {
        if a.is_nan() || b.is_nan() {
            a.min(b)
        } else if a.total_cmp(&b).is_lt() {
            a
        } else {
            b
        }
    }),
    row!("Floating Point: min", "min.f64", |a: f64, b: f64| {
        if a.is_nan() || b.is_nan() {
            a.min(b)
        } else if a.total_cmp(&b).is_lt() {
            a
        } else {
            b
        }
    }),
    row!("Floating Point: max", "max.f32", |a: f32, b: f32| {
        if a.is_nan() || b.is_nan() {
            a.max(b)
        } else if a.total_cmp(&b).is_gt() {
            a
        } else {
            b
        }
    }),
    row!("Floating Point: max", "max.f64", |a: f64, b: f64| {
        if a.is_nan() || b.is_nan() {
            a.max(b)
        } else if a.total_cmp(&b).is_gt() {
            a
        } else {
            b
        }
    }),
];

/// The GPU's error is an ulp or two; these are as exact as the type allows. With `.ftz`, subnormal sources and results
/// become zero of the same sign.
const APPROXIMATE: &[Row] = &[
    row!("Floating Point: rcp", "rcp.approx.ftz.f32", |a: f32| flush(1.0 / flush(a))),
    row!("Floating Point: rcp.approx.ftz.f64", "rcp.approx.ftz.f64", |a: f64| rough_reciprocal(a)),
    row!("Floating Point: sqrt", "sqrt.approx.ftz.f32", |a: f32| flush(flush(a).sqrt())),
    row!("Floating Point: rsqrt", "rsqrt.approx.f32", |a: f32| (1.0 / f64::from(a).sqrt()) as f32),
    row!("Floating Point: rsqrt", "rsqrt.approx.ftz.f32", |a: f32| flush(
        (1.0 / f64::from(flush(a)).sqrt()) as f32
    )),
    row!("Floating Point: ex2", "ex2.approx.f32", |a: f32| f64::from(a).exp2() as f32),
    row!("Floating Point: ex2", "ex2.approx.ftz.f32", |a: f32| flush(f64::from(flush(a)).exp2() as f32)),
    row!("Floating Point: lg2", "lg2.approx.ftz.f32", |a: f32| flush(f64::from(flush(a)).log2() as f32)),
    row!("Floating Point: tanh", "tanh.approx.f32", |a: f32| f64::from(a).tanh() as f32),
];

/// Subnormal numbers to zero, as `.ftz` asks.
pub(super) fn flush(a: f32) -> f32 {
    if a.is_subnormal() { 0f32.copysign(a) } else { a }
}

/// Only the upper half of the source's bits is looked at, and only the upper half of the result's is set.
fn rough_reciprocal(a: f64) -> f64 {
    const UPPER: u64 = 0xffff_ffff_0000_0000;
    let flush = |a: f64| if a.is_subnormal() { 0f64.copysign(a) } else { a };
    let source = flush(f64::from_bits(a.to_bits() & UPPER));
    if a.is_nan() { a } else { f64::from_bits(flush(1.0 / source).to_bits() & UPPER) }
}

/// `a * b + c` rounded once, toward minus infinity.
fn fma_down(a: f32, b: f32, c: f32) -> f32 {
    // The product of two singles is exact in double precision; the sum's error is found by Knuth's two-sum.
    let (product, c) = (f64::from(a) * f64::from(b), f64::from(c));
    let sum = product + c;
    if !sum.is_finite() {
        return sum as f32;
    }
    if sum == 0.0 {
        // An exact zero: +0 only if both are.
        return if product.is_sign_positive() && c.is_sign_positive() { 0.0 } else { -0.0 };
    }
    let rest = sum - product;
    let error = (product - (sum - rest)) + (c - rest);
    let nearest = sum as f32;
    if f64::from(nearest) > sum || (f64::from(nearest) == sum && error < 0.0) {
        nearest.next_down()
    } else {
        nearest
    }
}

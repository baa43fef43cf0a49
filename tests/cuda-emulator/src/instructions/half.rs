//! Half precision, one number to a register.

use half::f16;

use super::{Row, row};

/// Single precision has more than twice the digits, so computing there and rounding once more is exact rounding.
pub(super) const ROWS: &[&[Row]] = &[&[
    row!("Half Precision Floating Point: add", "add.f16 add.rn.f16", |a: f16, b: f16| round(
        a.to_f32() + b.to_f32()
    )),
    row!("Half Precision Floating Point: sub", "sub.f16 sub.rn.f16", |a: f16, b: f16| round(
        a.to_f32() - b.to_f32()
    )),
    row!("Half Precision Floating Point: mul", "mul.f16 mul.rn.f16", |a: f16, b: f16| round(
        a.to_f32() * b.to_f32()
    )),
    row!("Half Precision Floating Point: fma", "fma.rn.f16", |a: f16, b: f16, c: f16| fma(a, b, c)),
    row!("Half Precision Floating Point: neg", "neg.f16", |a: f16| f16::from_bits(a.to_bits() ^ 0x8000)),
    row!("Half Precision Floating Point: abs", "abs.f16", |a: f16| f16::from_bits(a.to_bits() & 0x7fff)),
    row!("Half Precision Floating Point: min", "min.f16", |a: f16, b: f16| extreme(a, b, f16::lt)),
    row!("Half Precision Floating Point: max", "max.f16", |a: f16, b: f16| extreme(a, b, f16::gt)),
    row!("Half Precision Floating Point: min", "min.NaN.f16", |a: f16, b: f16| {
        if a.is_nan() || b.is_nan() { NAN } else { extreme(a, b, f16::lt) }
    }),
    row!("Half Precision Floating Point: max", "max.NaN.f16", |a: f16, b: f16| {
        if a.is_nan() || b.is_nan() { NAN } else { extreme(a, b, f16::gt) }
    }),
]];

/// The NaN that the GPU's half precision gives.
const NAN: f16 = f16::from_bits(0x7fff);

/// To the nearest half, ties to even.
pub(super) fn round(a: f32) -> f16 {
    if a.is_nan() { NAN } else { f16::from_f32(a) }
}

/// To the nearest half, ties to even.
pub(crate) fn round_double(a: f64) -> f16 {
    // Rounding twice goes wrong at ties only. Rounding to odd first keeps a tie from looking like one that it is not.
    let near = a as f32;
    let inexact = f64::from(near) != a && near.is_finite();
    if !inexact || near.to_bits() & 1 == 1 {
        return round(near);
    }
    let toward = if f64::from(near) < a { near.next_up() } else { near.next_down() };
    round(toward)
}

/// `a * b + c` rounded once. Double precision is exact here but for summands so unlike that the smaller one does not count.
fn fma(a: f16, b: f16, c: f16) -> f16 {
    round_double(a.to_f64() * b.to_f64() + c.to_f64())
}

/// The number if only one is NaN; -0 is less than +0.
fn extreme(a: f16, b: f16, before: fn(&f16, &f16) -> bool) -> f16 {
    match (a.is_nan(), b.is_nan()) {
        (true, true) => NAN,
        (true, false) => b,
        (false, true) => a,
        _ if a == b => {
            let first_is_less = a.is_sign_negative();
            if first_is_less == before(&f16::NEG_ONE, &f16::ONE) { a } else { b }
        }
        _ if before(&a, &b) => a,
        _ => b,
    }
}

//! Comparison and choice.

use half::f16;

use super::{Row, row};

/// The six comparisons of integers.
macro_rules! integers {
    ($types:literal, $type:ty) => {
        &[
            row!("Comparison and Selection: setp", concat!("setp.eq.", $types), |a: $type, b: $type| a == b),
            row!("Comparison and Selection: setp", concat!("setp.ne.", $types), |a: $type, b: $type| a != b),
            row!("Comparison and Selection: setp", concat!("setp.lt|lo.", $types), |a: $type, b: $type| a
                < b),
            row!("Comparison and Selection: setp", concat!("setp.le|ls.", $types), |a: $type, b: $type| a
                <= b),
            row!("Comparison and Selection: setp", concat!("setp.gt|hi.", $types), |a: $type, b: $type| a
                > b),
            row!("Comparison and Selection: setp", concat!("setp.ge|hs.", $types), |a: $type, b: $type| a
                >= b),
        ]
    };
}

/// The comparisons of floats: ordered ones are false with a NaN, unordered ones (`u`) true.
macro_rules! floats {
    ($section:literal, $before:literal, $after:literal, $type:ty, $result:expr) => {
        &[
            row!($section, concat!($before, "eq", $after), |a: $type, b: $type| $result(a == b)),
            row!($section, concat!($before, "ne", $after), |a: $type, b: $type| $result(
                a != b && !unordered(a, b)
            )),
            row!($section, concat!($before, "lt", $after), |a: $type, b: $type| $result(a < b)),
            row!($section, concat!($before, "le", $after), |a: $type, b: $type| $result(a <= b)),
            row!($section, concat!($before, "gt", $after), |a: $type, b: $type| $result(a > b)),
            row!($section, concat!($before, "ge", $after), |a: $type, b: $type| $result(a >= b)),
            row!($section, concat!($before, "equ", $after), |a: $type, b: $type| $result(
                a == b || unordered(a, b)
            )),
            row!($section, concat!($before, "neu", $after), |a: $type, b: $type| $result(a != b)),
            row!($section, concat!($before, "ltu", $after), |a: $type, b: $type| $result(
                a < b || unordered(a, b)
            )),
            row!($section, concat!($before, "leu", $after), |a: $type, b: $type| $result(
                a <= b || unordered(a, b)
            )),
            row!($section, concat!($before, "gtu", $after), |a: $type, b: $type| $result(
                a > b || unordered(a, b)
            )),
            row!($section, concat!($before, "geu", $after), |a: $type, b: $type| $result(
                a >= b || unordered(a, b)
            )),
            row!($section, concat!($before, "num", $after), |a: $type, b: $type| $result(!unordered(a, b))),
            row!($section, concat!($before, "nan", $after), |a: $type, b: $type| $result(unordered(a, b))),
        ]
    };
}

pub(super) const ROWS: &[&[Row]] = &[
    integers!("b16|u16", u16),
    integers!("s16", i16),
    integers!("b32|u32", u32),
    integers!("s32", i32),
    integers!("b64|u64", u64),
    integers!("s64", i64),
    floats!("Comparison and Selection: setp", "setp.", ".f32", f32, predicate),
    floats!("Comparison and Selection: setp", "setp.", ".f64", f64, predicate),
    floats!("Half Precision Comparison: setp", "setp.", ".f16", f16, predicate),
    floats!("Half Precision Comparison: set", "set.", ".f16.f16", f16, one_or_zero),
    &[
        row!("Comparison and Selection: selp", "selp.b16|u16|s16", |a: u16, b: u16, c: bool| if c {
            a
        } else {
            b
        }),
        row!("Comparison and Selection: selp", "selp.b32|u32|s32|f32", |a: u32, b: u32, c: bool| {
            if c { a } else { b }
        }),
        row!("Comparison and Selection: selp", "selp.b64|u64|s64|f64", |a: u64, b: u64, c: bool| {
            if c { a } else { b }
        }),
    ],
];

fn predicate(truth: bool) -> bool {
    truth
}

/// What `set` gives for a half precision target.
fn one_or_zero(truth: bool) -> f16 {
    if truth { f16::ONE } else { f16::ZERO }
}

/// Whether either is NaN.
fn unordered<T: PartialOrd>(a: T, b: T) -> bool {
    a.partial_cmp(&b).is_none()
}

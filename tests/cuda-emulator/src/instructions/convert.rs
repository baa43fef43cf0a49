//! Conversion between types.

use half::f16;

use super::half::{round, round_double};
use super::{Row, row};

/// From each integer to one: bits are cut off, or added by the source's sign.
macro_rules! integers {
    ($to:literal, $type:ty) => {
        &[
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".u8"), |a: u8| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".s8"), |a: i8| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".u16"), |a: u16| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".s16"), |a: i16| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".u32"), |a: u32| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".s32"), |a: i32| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".u64"), |a: u64| a as $type),
            row!("Data Movement and Conversion: cvt", concat!("cvt.", $to, ".s64"), |a: i64| a as $type),
        ]
    };
}

/// From an integer to each float. Half precision by way of double: what is too long for that is infinite anyway.
macro_rules! from_integer {
    ($from:literal, $type:ty) => {
        &[
            row!(
                "Data Movement and Conversion: cvt",
                concat!("cvt.rn.f16.", $from),
                |a: $type| round_double(a as f64)
            ),
            row!("Data Movement and Conversion: cvt", concat!("cvt.rn.f32.", $from), |a: $type| a as f32),
            row!("Data Movement and Conversion: cvt", concat!("cvt.rn.f64.", $from), |a: $type| a as f64),
        ]
    };
}

/// From a float to an integer, by the four ways to round; what does not fit becomes the nearest number that does.
/// NaN becomes zero, except that with 64 bits on either side it is the topmost bit alone.
macro_rules! to_integer {
    ($from:literal, $float:ty, $to:literal, $type:ty, $nan:expr) => {
        &[
            row!("Data Movement and Conversion: cvt", concat!("cvt.rni.", $to, ".", $from), |a: $float| {
                if a.is_nan() { $nan } else { f64::from(a).round_ties_even() as $type }
            }),
            row!("Data Movement and Conversion: cvt", concat!("cvt.rzi.", $to, ".", $from), |a: $float| {
                if a.is_nan() { $nan } else { f64::from(a).trunc() as $type }
            }),
            row!("Data Movement and Conversion: cvt", concat!("cvt.rmi.", $to, ".", $from), |a: $float| {
                if a.is_nan() { $nan } else { f64::from(a).floor() as $type }
            }),
            row!("Data Movement and Conversion: cvt", concat!("cvt.rpi.", $to, ".", $from), |a: $float| {
                if a.is_nan() { $nan } else { f64::from(a).ceil() as $type }
            }),
        ]
    };
}

pub(super) const ROWS: &[&[Row]] = &[
    FLOATS,
    integers!("u8", u8),
    integers!("s8", i8),
    integers!("u16", u16),
    integers!("s16", i16),
    integers!("u32", u32),
    integers!("s32", i32),
    integers!("u64", u64),
    integers!("s64", i64),
    from_integer!("u8", u8),
    from_integer!("s8", i8),
    from_integer!("u16", u16),
    from_integer!("s16", i16),
    from_integer!("u32", u32),
    from_integer!("s32", i32),
    from_integer!("u64", u64),
    from_integer!("s64", i64),
    to_integer!("f16", f16, "u8", u8, 0),
    to_integer!("f16", f16, "s8", i8, 0),
    to_integer!("f16", f16, "u16", u16, 0),
    to_integer!("f16", f16, "s16", i16, 0),
    to_integer!("f16", f16, "u32", u32, 0),
    to_integer!("f16", f16, "s32", i32, 0),
    to_integer!("f16", f16, "u64", u64, 1 << 63),
    to_integer!("f16", f16, "s64", i64, i64::MIN),
    to_integer!("f32", f32, "u8", u8, 0),
    to_integer!("f32", f32, "s8", i8, 0),
    to_integer!("f32", f32, "u16", u16, 0),
    to_integer!("f32", f32, "s16", i16, 0),
    to_integer!("f32", f32, "u32", u32, 0),
    to_integer!("f32", f32, "s32", i32, 0),
    to_integer!("f32", f32, "u64", u64, 1 << 63),
    to_integer!("f32", f32, "s64", i64, i64::MIN),
    to_integer!("f64", f64, "u8", u8, 1 << 7),
    to_integer!("f64", f64, "s8", i8, i8::MIN),
    to_integer!("f64", f64, "u16", u16, 1 << 15),
    to_integer!("f64", f64, "s16", i16, i16::MIN),
    to_integer!("f64", f64, "u32", u32, 1 << 31),
    to_integer!("f64", f64, "s32", i32, i32::MIN),
    to_integer!("f64", f64, "u64", u64, 1 << 63),
    to_integer!("f64", f64, "s64", i64, i64::MIN),
];

/// Among floats: to another type, or to an integer of the same type.
const FLOATS: &[Row] = &[
    row!("Data Movement and Conversion: cvt", "cvt.f32.f16", |a: f16| a.to_f32()),
    row!("Data Movement and Conversion: cvt", "cvt.f64.f16", |a: f16| a.to_f64()),
    row!("Data Movement and Conversion: cvt", "cvt.f64.f32", |a: f32| f64::from(a)),
    row!("Data Movement and Conversion: cvt", "cvt.rn.f16.f32", |a: f32| round(a)),
    row!("Data Movement and Conversion: cvt", "cvt.rn.f16.f64", |a: f64| round_double(a)),
    row!("Data Movement and Conversion: cvt", "cvt.rn.f32.f64", |a: f64| a as f32),
    row!("Data Movement and Conversion: cvt", "cvt.rni.f32.f32", |a: f32| a.round_ties_even()),
    row!("Data Movement and Conversion: cvt", "cvt.rzi.f32.f32", |a: f32| a.trunc()),
    row!("Data Movement and Conversion: cvt", "cvt.rmi.f32.f32", |a: f32| a.floor()),
    row!("Data Movement and Conversion: cvt", "cvt.rpi.f32.f32", |a: f32| a.ceil()),
    row!("Data Movement and Conversion: cvt", "cvt.rni.f64.f64", |a: f64| a.round_ties_even()),
    row!("Data Movement and Conversion: cvt", "cvt.rzi.f64.f64", |a: f64| a.trunc()),
    row!("Data Movement and Conversion: cvt", "cvt.rmi.f64.f64", |a: f64| a.floor()),
    row!("Data Movement and Conversion: cvt", "cvt.rpi.f64.f64", |a: f64| a.ceil()),
    row!("Data Movement and Conversion: cvt", "cvt.sat.f32.f32", |a: f32| if a > 0.0 {
        a.min(1.0)
    } else {
        0.0
    }),
];

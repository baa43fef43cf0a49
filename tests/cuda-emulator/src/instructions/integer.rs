//! Integers. Where two's complement makes signed and unsigned the same, one row serves both.

use super::{Row, row};

pub(super) const ROWS: &[&[Row]] = &[SUMS, PRODUCTS, QUOTIENTS, EXTREMES, BITS];

const SUMS: &[Row] = &[
    row!("Integer Arithmetic: add", "add.s16|u16", |a: u16, b: u16| a.wrapping_add(b)),
    row!("Integer Arithmetic: add", "add.s32|u32", |a: u32, b: u32| a.wrapping_add(b)),
    row!("Integer Arithmetic: add", "add.s64|u64", |a: u64, b: u64| a.wrapping_add(b)),
    row!("Integer Arithmetic: sub", "sub.s16|u16", |a: u16, b: u16| a.wrapping_sub(b)),
    row!("Integer Arithmetic: sub", "sub.s32|u32", |a: u32, b: u32| a.wrapping_sub(b)),
    row!("Integer Arithmetic: sub", "sub.s64|u64", |a: u64, b: u64| a.wrapping_sub(b)),
    row!("Integer Arithmetic: neg", "neg.s16", |a: i16| a.wrapping_neg()),
    row!("Integer Arithmetic: neg", "neg.s32", |a: i32| a.wrapping_neg()),
    row!("Integer Arithmetic: neg", "neg.s64", |a: i64| a.wrapping_neg()),
    row!("Integer Arithmetic: abs", "abs.s32", |a: i32| a.wrapping_abs()),
    row!("Integer Arithmetic: abs", "abs.s64", |a: i64| a.wrapping_abs()),
];

const PRODUCTS: &[Row] = &[
    row!("Integer Arithmetic: mul", "mul.lo.s16|u16", |a: u16, b: u16| a.wrapping_mul(b)),
    row!("Integer Arithmetic: mul", "mul.lo.s32|u32", |a: u32, b: u32| a.wrapping_mul(b)),
    row!("Integer Arithmetic: mul", "mul.lo.s64|u64", |a: u64, b: u64| a.wrapping_mul(b)),
    row!("Integer Arithmetic: mul", "mul.hi.u32", |a: u32, b: u32| high32(a, b)),
    row!("Integer Arithmetic: mul", "mul.hi.s32", |a: i32, b: i32| ((i64::from(a) * i64::from(b)) >> 32)
        as i32),
    row!("Integer Arithmetic: mul", "mul.hi.u64", |a: u64, b: u64| ((u128::from(a) * u128::from(b)) >> 64)
        as u64),
    row!("Integer Arithmetic: mul", "mul.wide.u16", |a: u16, b: u16| u32::from(a) * u32::from(b)),
    row!("Integer Arithmetic: mul", "mul.wide.s16", |a: i16, b: i16| i32::from(a) * i32::from(b)),
    row!("Integer Arithmetic: mul", "mul.wide.u32", |a: u32, b: u32| u64::from(a) * u64::from(b)),
    row!("Integer Arithmetic: mul", "mul.wide.s32", |a: i32, b: i32| i64::from(a) * i64::from(b)),
    row!("Integer Arithmetic: mad", "mad.lo.s32|u32", |a: u32, b: u32, c: u32| a
        .wrapping_mul(b)
        .wrapping_add(c)),
    row!("Integer Arithmetic: mad", "mad.lo.s64|u64", |a: u64, b: u64, c: u64| a
        .wrapping_mul(b)
        .wrapping_add(c)),
    row!("Integer Arithmetic: mad", "mad.wide.u32", |a: u32, b: u32, c: u64| {
        (u64::from(a) * u64::from(b)).wrapping_add(c)
    }),
    row!("Integer Arithmetic: mad", "mad.wide.s32", |a: i32, b: i32, c: i64| {
        (i64::from(a) * i64::from(b)).wrapping_add(c)
    }),
];

/// The manual leaves division by zero open. NVIDIA's GPUs give all ones, and the dividend as the remainder; so do these.
const QUOTIENTS: &[Row] = &[
    row!("Integer Arithmetic: div", "div.u32", |a: u32, b: u32| a.checked_div(b).unwrap_or(u32::MAX)),
    row!("Integer Arithmetic: div", "div.u64", |a: u64, b: u64| a.checked_div(b).unwrap_or(u64::MAX)),
    row!("Integer Arithmetic: div", "div.s32", |a: i32, b: i32| if b == 0 { -1 } else { a.wrapping_div(b) }),
    row!("Integer Arithmetic: div", "div.s64", |a: i64, b: i64| if b == 0 { -1 } else { a.wrapping_div(b) }),
    row!("Integer Arithmetic: rem", "rem.u32", |a: u32, b: u32| a.checked_rem(b).unwrap_or(a)),
    row!("Integer Arithmetic: rem", "rem.u64", |a: u64, b: u64| a.checked_rem(b).unwrap_or(a)),
    row!("Integer Arithmetic: rem", "rem.s32", |a: i32, b: i32| if b == 0 { a } else { a.wrapping_rem(b) }),
    row!("Integer Arithmetic: rem", "rem.s64", |a: i64, b: i64| if b == 0 { a } else { a.wrapping_rem(b) }),
];

const EXTREMES: &[Row] = &[
    row!("Integer Arithmetic: min", "min.u32", |a: u32, b: u32| a.min(b)),
    row!("Integer Arithmetic: min", "min.u64", |a: u64, b: u64| a.min(b)),
    row!("Integer Arithmetic: min", "min.s32", |a: i32, b: i32| a.min(b)),
    row!("Integer Arithmetic: min", "min.s64", |a: i64, b: i64| a.min(b)),
    row!("Integer Arithmetic: max", "max.u32", |a: u32, b: u32| a.max(b)),
    row!("Integer Arithmetic: max", "max.u64", |a: u64, b: u64| a.max(b)),
    row!("Integer Arithmetic: max", "max.s32", |a: i32, b: i32| a.max(b)),
    row!("Integer Arithmetic: max", "max.s64", |a: i64, b: i64| a.max(b)),
];

const BITS: &[Row] = &[
    row!("Integer Arithmetic: clz", "clz.b32", |a: u32| a.leading_zeros()),
    row!("Integer Arithmetic: clz", "clz.b64", |a: u64| a.leading_zeros()),
    row!("Integer Arithmetic: popc", "popc.b32", |a: u32| a.count_ones()),
    row!("Integer Arithmetic: popc", "popc.b64", |a: u64| a.count_ones()),
    row!("Integer Arithmetic: bfi", "bfi.b32", |a: u32, b: u32, position: u32, length: u32| {
        insert(u64::from(a), u64::from(b), position, length, 32) as u32
    }),
    row!("Integer Arithmetic: bfi", "bfi.b64", |a: u64, b: u64, position: u32, length: u32| {
        insert(a, b, position, length, 64)
    }),
];

pub(super) fn high32(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

/// `b` with its `length` bits from `position` on taken from the low bits of `a`. Only the low eight bits of position and
/// length count, and what would lie above `width` is dropped.
fn insert(a: u64, b: u64, position: u32, length: u32, width: u32) -> u64 {
    let (position, length) = (position & 0xff, (length & 0xff).min(width));
    if position >= width || length == 0 {
        return b;
    }
    let mask = (u64::MAX >> (64 - length)) << position;
    (b & !mask) | ((a << position) & mask)
}

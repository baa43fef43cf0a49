//! Bits: logic and shifts.

use super::{Row, row};

pub(super) const ROWS: &[&[Row]] = &[LOGIC, SHIFTS, FUNNELS];

const LOGIC: &[Row] = &[
    row!("Logic and Shift: and", "and.pred", |a: bool, b: bool| a & b),
    row!("Logic and Shift: and", "and.b16", |a: u16, b: u16| a & b),
    row!("Logic and Shift: and", "and.b32", |a: u32, b: u32| a & b),
    row!("Logic and Shift: and", "and.b64", |a: u64, b: u64| a & b),
    row!("Logic and Shift: or", "or.pred", |a: bool, b: bool| a | b),
    row!("Logic and Shift: or", "or.b16", |a: u16, b: u16| a | b),
    row!("Logic and Shift: or", "or.b32", |a: u32, b: u32| a | b),
    row!("Logic and Shift: or", "or.b64", |a: u64, b: u64| a | b),
    row!("Logic and Shift: xor", "xor.pred", |a: bool, b: bool| a ^ b),
    row!("Logic and Shift: xor", "xor.b16", |a: u16, b: u16| a ^ b),
    row!("Logic and Shift: xor", "xor.b32", |a: u32, b: u32| a ^ b),
    row!("Logic and Shift: xor", "xor.b64", |a: u64, b: u64| a ^ b),
    row!("Logic and Shift: not", "not.pred", |a: bool| !a),
    row!("Logic and Shift: not", "not.b16", |a: u16| !a),
    row!("Logic and Shift: not", "not.b32", |a: u32| !a),
    row!("Logic and Shift: not", "not.b64", |a: u64| !a),
];

/// Two numbers side by side, the first of them the lower, shifted by up to a width; `wrap` takes the count modulo that.
const FUNNELS: &[Row] = &[
    row!("Logic and Shift: shf", "shf.l.wrap.b32", |low: u32, high: u32, n: u32| {
        ((u64::from(high) << 32 | u64::from(low)) << (n % 32) >> 32) as u32
    }),
    row!("Logic and Shift: shf", "shf.r.wrap.b32", |low: u32, high: u32, n: u32| {
        ((u64::from(high) << 32 | u64::from(low)) >> (n % 32)) as u32
    }),
];

/// A shift by the width or more moves everything out: zeros come in, or copies of a signed number's sign.
const SHIFTS: &[Row] = &[
    row!("Logic and Shift: shl", "shl.b16", |a: u16, n: u32| a.checked_shl(n).unwrap_or(0)),
    row!("Logic and Shift: shl", "shl.b32", |a: u32, n: u32| a.checked_shl(n).unwrap_or(0)),
    row!("Logic and Shift: shl", "shl.b64", |a: u64, n: u32| a.checked_shl(n).unwrap_or(0)),
    row!("Logic and Shift: shr", "shr.u16|b16", |a: u16, n: u32| a.checked_shr(n).unwrap_or(0)),
    row!("Logic and Shift: shr", "shr.u32|b32", |a: u32, n: u32| a.checked_shr(n).unwrap_or(0)),
    row!("Logic and Shift: shr", "shr.u64|b64", |a: u64, n: u32| a.checked_shr(n).unwrap_or(0)),
    row!("Logic and Shift: shr", "shr.s16", |a: i16, n: u32| a >> n.min(15)),
    row!("Logic and Shift: shr", "shr.s32", |a: i32, n: u32| a >> n.min(31)),
    row!("Logic and Shift: shr", "shr.s64", |a: i64, n: u32| a >> n.min(63)),
];

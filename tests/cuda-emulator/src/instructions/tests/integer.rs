//! Against integers of 128 bits, which hold every result.

use super::{Checked, compute, integers, low, meaning};

/// Opcode without its type, and the exact result.
type Exact = (&'static str, fn(i128, i128) -> i128);

const EXACT: &[Exact] = &[
    ("add", |a, b| a + b),
    ("sub", |a, b| a - b),
    ("mul.lo", |a, b| a.wrapping_mul(b)),
    ("div", |a, b| if b == 0 { -1 } else { a / b }),
    ("rem", |a, b| if b == 0 { a } else { a % b }),
    ("min", |a, b| if a < b { a } else { b }),
    ("max", |a, b| if a < b { b } else { a }),
];

/// Of every width, whatever the signs.
const LOGIC: &[Exact] = &[("and", |a, b| a & b), ("or", |a, b| a | b), ("xor", |a, b| a ^ b)];

pub(super) fn check() -> Checked {
    let mut checked = Checked::new();
    for (width, signed) in [(16, true), (16, false), (32, true), (32, false), (64, true), (64, false)] {
        let sign = if signed { "s" } else { "u" };
        for (name, exact) in EXACT {
            // Division and extremes of 16 bits are not in the table: nothing uses them.
            if width == 16 && !["add", "sub", "mul.lo"].contains(name) {
                continue;
            }
            pairs(&mut checked, &format!("{name}.{sign}{width}"), width, signed, *exact);
        }
        if width < 64 {
            wide(&mut checked, &format!("mul.wide.{sign}{width}"), width, signed);
        }
    }
    for width in [16, 32, 64] {
        for (name, exact) in LOGIC {
            pairs(&mut checked, &format!("{name}.b{width}"), width, false, *exact);
        }
        single(&mut checked, &format!("not.b{width}"), width, false, |a| -1 - a);
        single(&mut checked, &format!("neg.s{width}"), width, true, |a| -a);
    }
    for (name, exact) in LOGIC {
        pairs(&mut checked, &format!("{name}.pred"), 1, false, *exact);
    }
    single(&mut checked, "not.pred", 1, false, |a| 1 - a);
    for width in [32, 64] {
        single(&mut checked, &format!("abs.s{width}"), width, true, i128::abs);
        single(&mut checked, &format!("popc.b{width}"), width, false, |a| i128::from(a.count_ones()));
        let zeros = if width == 32 {
            |a: i128| i128::from(a.leading_zeros()) - 96
        } else {
            |a: i128| i128::from(a.leading_zeros()) - 64
        };
        single(&mut checked, &format!("clz.b{width}"), width, false, zeros);
        insertions(&mut checked, width);
    }
    products(&mut checked);
    shifts(&mut checked);
    funnels(&mut checked);
    checked
}

fn pairs(checked: &mut Checked, opcode: &str, width: u32, signed: bool, exact: fn(i128, i128) -> i128) {
    for a in integers(width) {
        for b in integers(width) {
            let expected = exact(meaning(a, width, signed), meaning(b, width, signed)) as u64;
            // What is above a register's width must not matter.
            let dirt = if width < 64 { 0xabcd << width } else { 0 };
            let found = compute(opcode, &[a | dirt, b | dirt]);
            assert_eq!(low(found, width), low(expected, width), "{opcode} {a:#x}, {b:#x}");
        }
    }
    checked.insert(opcode.to_owned());
}

fn single(checked: &mut Checked, opcode: &str, width: u32, signed: bool, exact: fn(i128) -> i128) {
    for a in integers(width) {
        let expected = exact(meaning(a, width, signed)) as u64;
        assert_eq!(low(compute(opcode, &[a]), width), low(expected, width), "{opcode} {a:#x}");
    }
    checked.insert(opcode.to_owned());
}

/// Results of twice the width.
fn wide(checked: &mut Checked, opcode: &str, width: u32, signed: bool) {
    for a in integers(width) {
        for b in integers(width) {
            let expected = meaning(a, width, signed) * meaning(b, width, signed);
            assert_eq!(
                low(compute(opcode, &[a, b]), 2 * width),
                low(expected as u64, 2 * width),
                "{opcode} {a:#x}, {b:#x}"
            );
        }
    }
    checked.insert(opcode.to_owned());
}

/// High halves, and sums of products.
fn products(checked: &mut Checked) {
    pairs(checked, "mul.hi.u32", 32, false, |a, b| (a * b) >> 32);
    pairs(checked, "mul.hi.s32", 32, true, |a, b| (a * b) >> 32);
    for a in integers(64) {
        for b in integers(64) {
            let expected = (u128::from(a) * u128::from(b)) >> 64;
            assert_eq!(compute("mul.hi.u64", &[a, b]), expected as u64, "mul.hi.u64 {a:#x}, {b:#x}");
        }
    }
    checked.insert("mul.hi.u64".to_owned());
    for (opcode, signed, width, result) in [
        ("mad.lo.s32", true, 32, 32),
        ("mad.lo.u32", false, 32, 32),
        ("mad.lo.s64", true, 64, 64),
        ("mad.lo.u64", false, 64, 64),
        ("mad.wide.s32", true, 32, 64),
        ("mad.wide.u32", false, 32, 64),
    ] {
        for a in integers(width) {
            for b in integers(width) {
                for c in integers(result) {
                    let product = meaning(a, width, signed).wrapping_mul(meaning(b, width, signed));
                    let expected = product.wrapping_add(meaning(c, result, signed)) as u64;
                    let found = compute(opcode, &[a, b, c]);
                    assert_eq!(low(found, result), low(expected, result), "{opcode} {a:#x}, {b:#x}, {c:#x}");
                }
            }
        }
        checked.insert(opcode.to_owned());
    }
}

fn shifts(checked: &mut Checked) {
    for width in [16, 32, 64] {
        for count in [0, 1, 5, width - 1, width, width + 1, 200, u32::MAX] {
            for a in integers(width) {
                let (unsigned, signed) = (meaning(a, width, false), meaning(a, width, true));
                let out = count >= width;
                let left = if out { 0 } else { unsigned << count };
                let right = if out { 0 } else { unsigned >> count };
                let kept = signed >> count.min(127);
                for (name, expected) in [("shl.b", left), ("shr.b", right), ("shr.u", right), ("shr.s", kept)]
                {
                    let opcode = format!("{name}{width}");
                    let found = compute(&opcode, &[a, u64::from(count)]);
                    assert_eq!(low(found, width), low(expected as u64, width), "{opcode} {a:#x}, {count}");
                    checked.insert(opcode);
                }
            }
        }
    }
}

/// Bit by bit.
fn funnels(checked: &mut Checked) {
    for (low, high) in [(0xdead_beef_u64, 0x0123_4567_u64), (1, 0x8000_0000), (0xffff_ffff, 0)] {
        let bit = |at: u64| if at < 32 { low >> at & 1 } else { high >> (at - 32) & 1 };
        for count in [0, 1, 7, 16, 31, 32, 33, 40, 255] {
            for (opcode, first) in [("shf.l.wrap.b32", 32 - count % 32), ("shf.r.wrap.b32", count % 32)] {
                let expected = (0..32).fold(0, |bits, at| bits | bit(first + at) << at);
                assert_eq!(compute(opcode, &[low, high, count]), expected, "{opcode} by {count}");
                checked.insert(opcode.to_owned());
            }
        }
    }
}

fn insertions(checked: &mut Checked, width: u32) {
    let opcode = format!("bfi.b{width}");
    for position in [0, 1, 16, 31, 32, 63, 64, 255] {
        for length in [0, 1, 8, 32, 64, 255] {
            let (a, b) = (0xfedc_ba98_7654_3210_u64, 0x0123_4567_89ab_cdef_u64);
            // Bit by bit.
            let expected = (0..width).fold(0, |bits, at| {
                let inserted = at >= position && at - position < length;
                let bit = if inserted { a >> (at - position) } else { b >> at };
                bits | (bit & 1) << at
            });
            let found =
                compute(&opcode, &[low(a, width), low(b, width), u64::from(position), u64::from(length)]);
            assert_eq!(low(found, width), expected, "{opcode} at {position}, {length} bits");
        }
    }
    checked.insert(opcode);
}

#[test]
fn integers_are_exact() {
    check();
}

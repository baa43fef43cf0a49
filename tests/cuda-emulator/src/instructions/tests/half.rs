//! Against a list of all half precision numbers.

use half::f16;

use super::{Checked, compute};

/// The nearest half by looking it up; of two as near the one whose last bit is zero.
pub(super) fn nearest(number: f64) -> u16 {
    if number.is_nan() {
        return 0x7fff;
    }
    let sign = if number.is_sign_negative() { 0x8000 } else { 0 };
    let size = number.abs();
    // Bits count in the order of the numbers. What would come after the largest number stands for infinity.
    let value = |bits: u16| if bits == 0x7c00 { 65536.0 } else { f16::from_bits(bits).to_f64() };
    let (mut below, mut above) = (0, 0x7c00);
    if size >= 65536.0 {
        return sign | 0x7c00;
    }
    while above - below > 1 {
        let middle = (below + above) / 2;
        if value(middle) <= size { below = middle } else { above = middle }
    }
    let (down, up) = (size - value(below), value(above) - size);
    sign | if down < up || (down == up && below & 1 == 0) { below } else { above }
}

/// Every 37th of all, and those with names.
fn halves() -> Vec<u16> {
    let named = [
        0, 0x8000, 1, 0x8001, 0x03ff, 0x0400, 0x3c00, 0xbc00, 0x3c01, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00,
    ];
    (0..=u16::MAX).step_by(37 * 4).chain(named).collect()
}

fn value(bits: u16) -> f64 {
    f16::from_bits(bits).to_f64()
}

type Binary = fn(f64, f64) -> f64;

pub(super) fn check() -> Checked {
    let mut checked = Checked::new();
    let exact: [(&str, Binary); 3] = [("add", |a, b| a + b), ("sub", |a, b| a - b), ("mul", |a, b| a * b)];
    for (name, exact) in exact {
        for opcode in [format!("{name}.f16"), format!("{name}.rn.f16")] {
            for a in halves() {
                for b in halves() {
                    let expected = nearest(exact(value(a), value(b)));
                    let found = compute(&opcode, &[u64::from(a), u64::from(b)]);
                    assert_eq!(found, u64::from(expected), "{opcode} {a:#x}, {b:#x}");
                }
            }
            checked.insert(opcode);
        }
    }
    for a in halves().into_iter().step_by(3) {
        for b in halves().into_iter().step_by(5) {
            for c in [0, 0x3c00, 0xbc01, 0x0001, 0x7bff, 0x5640] {
                let expected = nearest(value(a).mul_add(value(b), value(c)));
                let found = compute("fma.rn.f16", &[u64::from(a), u64::from(b), u64::from(c)]);
                assert_eq!(found, u64::from(expected), "fma.rn.f16 {a:#x}, {b:#x}, {c:#x}");
            }
        }
    }
    for a in 0..=u16::MAX {
        assert_eq!(compute("neg.f16", &[u64::from(a)]), u64::from(a ^ 0x8000));
        assert_eq!(compute("abs.f16", &[u64::from(a)]), u64::from(a & 0x7fff));
    }
    checked.extend(["fma.rn.f16", "neg.f16", "abs.f16"].map(str::to_owned));
    extremes(&mut checked);
    checked
}

fn extremes(checked: &mut Checked) {
    for (name, greater) in [("min", false), ("max", true)] {
        for a in halves() {
            for b in halves() {
                let (x, y) = (value(a), value(b));
                let expected = match (x.is_nan(), y.is_nan()) {
                    (true, true) => 0x7fff,
                    (true, false) => b,
                    (false, true) => a,
                    _ if x == y => {
                        if (a >> 15 != 0) == greater {
                            b
                        } else {
                            a
                        }
                    }
                    _ if (x > y) == greater => a,
                    _ => b,
                };
                let sources = [u64::from(a), u64::from(b)];
                assert_eq!(
                    compute(&format!("{name}.f16"), &sources),
                    u64::from(expected),
                    "{name} {a:#x}, {b:#x}"
                );
                let expected = if x.is_nan() || y.is_nan() { 0x7fff } else { expected };
                assert_eq!(
                    compute(&format!("{name}.NaN.f16"), &sources),
                    u64::from(expected),
                    "{name}.NaN {a:#x}, {b:#x}"
                );
            }
        }
        checked.extend([format!("{name}.f16"), format!("{name}.NaN.f16")]);
    }
}

#[test]
fn halves_are_rounded_to_the_nearest() {
    check();
}

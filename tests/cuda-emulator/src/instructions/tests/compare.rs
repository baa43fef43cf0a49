//! Comparisons, against the order of exact numbers.

use std::cmp::Ordering;

use half::f16;

use super::{Checked, compute, integers, meaning};

type Truth = fn(Ordering) -> bool;

/// By name: whether each order counts as true.
const ORDERS: [(&str, Truth); 6] = [
    ("eq", Ordering::is_eq),
    ("ne", Ordering::is_ne),
    ("lt", Ordering::is_lt),
    ("le", Ordering::is_le),
    ("gt", Ordering::is_gt),
    ("ge", Ordering::is_ge),
];

pub(super) fn check() -> Checked {
    let mut checked = Checked::new();
    for (types, width, signed) in [
        ("b16", 16, false),
        ("u16", 16, false),
        ("s16", 16, true),
        ("b32", 32, false),
        ("u32", 32, false),
        ("s32", 32, true),
        ("b64", 64, false),
        ("u64", 64, false),
        ("s64", 64, true),
    ] {
        for (name, truth) in ORDERS {
            let unsigned = match name {
                "lt" => "lo",
                "le" => "ls",
                "gt" => "hi",
                "ge" => "hs",
                same => same,
            };
            for opcode in [format!("setp.{name}.{types}"), format!("setp.{unsigned}.{types}")] {
                for a in integers(width) {
                    for b in integers(width) {
                        let order = meaning(a, width, signed).cmp(&meaning(b, width, signed));
                        assert_eq!(
                            compute(&opcode, &[a, b]),
                            u64::from(truth(order)),
                            "{opcode} {a:#x}, {b:#x}"
                        );
                    }
                }
                checked.insert(opcode);
            }
        }
    }
    let numbers = [0.0, -0.0, 1.0, -1.0, 1.5, 65504.0, 6e-8, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
    for a in numbers {
        for b in numbers {
            floats(&mut checked, a, b);
        }
    }
    choices(&mut checked);
    checked
}

fn floats(checked: &mut Checked, a: f64, b: f64) {
    let half = |a: f64| u64::from(f16::from_f64(a).to_bits());
    let single = |a: f64| u64::from((a as f32).to_bits());
    let order = a.partial_cmp(&b);
    let mut expect = |name: &str, truth: bool| {
        for (opcode, sources, yes) in [
            (format!("setp.{name}.f16"), [half(a), half(b)], 1),
            (format!("setp.{name}.f32"), [single(a), single(b)], 1),
            (format!("setp.{name}.f64"), [a.to_bits(), b.to_bits()], 1),
            (format!("set.{name}.f16.f16"), [half(a), half(b)], 0x3c00),
        ] {
            assert_eq!(compute(&opcode, &sources), if truth { yes } else { 0 }, "{opcode} {a}, {b}");
            checked.insert(opcode);
        }
    };
    for (name, truth) in ORDERS {
        expect(name, order.is_some_and(truth));
        expect(&format!("{name}u"), order.is_none_or(truth));
    }
    expect("num", order.is_some());
    expect("nan", order.is_none());
}

fn choices(checked: &mut Checked) {
    for types in ["b16", "u16", "s16", "b32", "u32", "s32", "f32", "b64", "u64", "s64", "f64"] {
        let opcode = format!("selp.{types}");
        assert_eq!(compute(&opcode, &[11, 22, 1]), 11, "{opcode}");
        assert_eq!(compute(&opcode, &[11, 22, 0]), 22, "{opcode}");
        checked.insert(opcode);
    }
}

#[test]
fn comparisons_know_nan() {
    check();
}

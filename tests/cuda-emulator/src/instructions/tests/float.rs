//! Single precision against double precision, which has more than twice the digits; double against the host; what is
//! approximate to within two units in the last place.

use super::{Checked, compute};

/// Zeros, ones, infinities, NaN, the largest, the smallest, subnormal, and what lies near ties.
const SINGLES: &[f32] = &[
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    3.0,
    -7.25,
    0.1,
    1e-30,
    -1e30,
    16777217.0,
    33554432.0,
    1.0000001,
    0.9999999,
    f32::MAX,
    f32::MIN,
    f32::MIN_POSITIVE,
    1e-40,
    -1e-45,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

type Unary = fn(f64) -> f64;
type Binary = fn(f64, f64) -> f64;

fn bits(a: f32) -> u64 {
    u64::from(a.to_bits())
}

fn single(opcode: &str, sources: &[f32]) -> f32 {
    let sources: Vec<u64> = sources.iter().map(|&source| bits(source)).collect();
    f32::from_bits(compute(opcode, &sources) as u32)
}

fn double(opcode: &str, sources: &[f64]) -> f64 {
    let sources: Vec<u64> = sources.iter().map(|&source| source.to_bits()).collect();
    f64::from_bits(compute(opcode, &sources))
}

/// The same number with the same sign, or both NaN.
fn same(a: f64, b: f64) -> bool {
    a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan())
}

pub(super) fn check() -> Checked {
    let mut checked = Checked::new();
    arithmetic(&mut checked);
    fused(&mut checked);
    extremes(&mut checked);
    signs(&mut checked);
    approximate(&mut checked);
    checked
}

fn arithmetic(checked: &mut Checked) {
    let exact: [(&str, Binary); 4] =
        [("add", |a, b| a + b), ("sub", |a, b| a - b), ("mul", |a, b| a * b), ("div", |a, b| a / b)];
    for (name, exact) in exact {
        for rounding in ["", ".rn"] {
            if name == "div" && rounding.is_empty() {
                continue;
            }
            let (singles, doubles) = (format!("{name}{rounding}.f32"), format!("{name}{rounding}.f64"));
            for &a in SINGLES {
                for &b in SINGLES {
                    let expected = exact(f64::from(a), f64::from(b));
                    let found = single(&singles, &[a, b]);
                    assert!(
                        same(f64::from(found), f64::from(expected as f32)),
                        "{singles} {a}, {b}: {found}"
                    );
                    let found = double(&doubles, &[f64::from(a), f64::from(b)]);
                    assert!(same(found, expected), "{doubles} {a}, {b}: {found}");
                }
            }
            checked.extend([singles, doubles]);
        }
    }
    let exact: [(&str, Unary); 2] = [("rcp.rn", |a| 1.0 / a), ("sqrt.rn", f64::sqrt)];
    for (name, exact) in exact {
        let (singles, doubles) = (format!("{name}.f32"), format!("{name}.f64"));
        for &a in SINGLES {
            let expected = exact(f64::from(a));
            assert!(same(f64::from(single(&singles, &[a])), f64::from(expected as f32)), "{singles} {a}");
            assert!(same(double(&doubles, &[f64::from(a)]), expected), "{doubles} {a}");
        }
        checked.extend([singles, doubles]);
    }
}

fn fused(checked: &mut Checked) {
    // Products and sums of numbers with few digits and near exponents are exact in double precision.
    let numbers: Vec<f32> =
        (0..40).map(|n| 1.0 + (n * 209_719 % (1 << 23)) as f32 / (1 << 23) as f32).collect();
    for &a in &numbers {
        for &b in &numbers {
            for c in [-2.5, -1.0, 0.0, 0.3, 7.0_f32] {
                let exact = f64::from(a) * f64::from(b) + f64::from(c);
                assert_eq!(single("fma.rn.f32", &[a, b, c]), exact as f32, "fma.rn.f32 {a}, {b}, {c}");
                let down = single("fma.rm.f32", &[a, b, c]);
                assert!(
                    f64::from(down) <= exact && exact < f64::from(down.next_up()),
                    "fma.rm.f32 {a}, {b}, {c}: {down}"
                );
            }
        }
    }
    // Here they are not: one rounding is not two.
    let (tiny, below_one) = (2f32.powi(-60), 1f32.next_down());
    assert_eq!(single("fma.rm.f32", &[1.0, 1.0, -tiny]), below_one);
    assert_eq!(single("fma.rm.f32", &[1.0, 1.0, tiny]), 1.0);
    assert_eq!(single("fma.rm.f32", &[f32::MAX, 2.0, 0.0]), f32::MAX);
    assert_eq!(single("fma.rm.f32", &[f32::MIN, 2.0, 0.0]), f32::NEG_INFINITY);
    assert_eq!(single("fma.rm.f32", &[1.0, 1.0, -1.0]).to_bits(), (-0f32).to_bits());
    assert!(single("fma.rm.f32", &[f32::INFINITY, 0.0, 1.0]).is_nan());
    let third = 1.0 / 3.0;
    let found = double("fma.rn.f64", &[third, 3.0, -1.0]);
    assert_eq!(found, -(2f64.powi(-54)), "the product is not rounded");
    checked.extend(["fma.rn.f32", "fma.rm.f32", "fma.rn.f64"].map(str::to_owned));
}

fn extremes(checked: &mut Checked) {
    for (name, greater) in [("min", false), ("max", true)] {
        let (singles, doubles) = (format!("{name}.f32"), format!("{name}.f64"));
        for &a in SINGLES {
            for &b in SINGLES {
                let expected = match (a.is_nan(), b.is_nan()) {
                    (true, _) => b,
                    (_, true) => a,
                    // Signs decide between zeros.
                    _ if a == b => {
                        if a.is_sign_negative() == greater {
                            b
                        } else {
                            a
                        }
                    }
                    _ if (a > b) == greater => a,
                    _ => b,
                };
                assert!(
                    same(f64::from(single(&singles, &[a, b])), f64::from(expected)),
                    "{singles} {a}, {b}"
                );
                let found = double(&doubles, &[f64::from(a), f64::from(b)]);
                assert!(same(found, f64::from(expected)), "{doubles} {a}, {b}");
            }
        }
        checked.extend([singles, doubles]);
    }
}

/// By the topmost bit.
fn signs(checked: &mut Checked) {
    for &a in SINGLES {
        let (one, two) = (bits(a), f64::from(a).to_bits());
        assert_eq!(compute("abs.f32", &[one]), one & 0x7fff_ffff);
        assert_eq!(compute("neg.f32", &[one]), one ^ 0x8000_0000);
        assert_eq!(compute("abs.f64", &[two]), two & (u64::MAX >> 1));
        assert_eq!(compute("neg.f64", &[two]), two ^ (1 << 63));
        // The sign is the first source's, the size the second's.
        assert_eq!(compute("copysign.f32", &[one, bits(3.5)]), one & 0x8000_0000 | bits(3.5));
        assert_eq!(compute("copysign.f64", &[two, 3.5f64.to_bits()]), two & 1 << 63 | 3.5f64.to_bits());
    }
    checked.extend(
        ["abs", "neg", "copysign"]
            .into_iter()
            .flat_map(|name| [format!("{name}.f32"), format!("{name}.f64")]),
    );
}

fn approximate(checked: &mut Checked) {
    let exact: [(&str, bool, Unary); 8] = [
        ("rcp.approx.ftz.f32", true, |a| 1.0 / a),
        ("sqrt.approx.ftz.f32", true, f64::sqrt),
        ("rsqrt.approx.f32", false, |a| 1.0 / a.sqrt()),
        ("rsqrt.approx.ftz.f32", true, |a| 1.0 / a.sqrt()),
        ("ex2.approx.f32", false, |a| 2f64.powf(a)),
        ("ex2.approx.ftz.f32", true, |a| 2f64.powf(a)),
        ("lg2.approx.ftz.f32", true, |a| a.ln() / std::f64::consts::LN_2),
        ("tanh.approx.f32", false, |a| 1.0 - 2.0 / ((2.0 * a).exp() + 1.0)),
    ];
    for (opcode, flushes, exact) in exact {
        for &a in SINGLES.iter().chain(&[-3.7, 12.5, -126.5, -140.0, 127.0, 1e38]) {
            let flush = |a: f32| if flushes && a.is_subnormal() { 0f32.copysign(a) } else { a };
            let (found, expected) = (single(opcode, &[a]), flush(exact(f64::from(flush(a))) as f32));
            // By way of logarithms and exponentials some digits of the expected number are lost near zero.
            let near = (found - expected).abs() <= expected.abs() * 3e-7 + 1e-13;
            assert!(
                found == expected || near || (found.is_nan() && expected.is_nan()),
                "{opcode} {a}: {found}, not {expected}"
            );
        }
        checked.insert(opcode.to_owned());
    }
    assert_eq!(single("rcp.approx.ftz.f32", &[-1e-40]), f32::NEG_INFINITY);
    assert_eq!(single("ex2.approx.ftz.f32", &[-130.0]), 0.0);
    assert_ne!(single("ex2.approx.f32", &[-130.0]), 0.0);
    for a in [3.0, -0.7, 1e300, 1.0 / 3.0] {
        let found = double("rcp.approx.ftz.f64", &[a]);
        assert_eq!(found.to_bits() as u32, 0, "only the upper half is given");
        assert!((found * a - 1.0).abs() < 3e-6, "{a}: {found}");
    }
    assert_eq!(double("rcp.approx.ftz.f64", &[-0.0]), f64::NEG_INFINITY);
    assert_eq!(double("rcp.approx.ftz.f64", &[f64::INFINITY]), 0.0);
    assert!(double("rcp.approx.ftz.f64", &[f64::NAN]).is_nan());
    checked.insert("rcp.approx.ftz.f64".to_owned());
}

#[test]
fn floats_are_rounded_once() {
    check();
}

//! Conversions, against integers of 128 bits and the list of all halves.

use half::f16;

use super::half::nearest;
use super::{Checked, compute, integers, low, meaning};

const TYPES: [(&str, u32, bool); 8] = [
    ("u8", 8, false),
    ("s8", 8, true),
    ("u16", 16, false),
    ("s16", 16, true),
    ("u32", 32, false),
    ("s32", 32, true),
    ("u64", 64, false),
    ("s64", 64, true),
];

pub(super) fn check() -> Checked {
    let mut checked = Checked::new();
    among_integers(&mut checked);
    from_integers(&mut checked);
    to_integers(&mut checked);
    among_floats(&mut checked);
    checked
}

/// The number stays if the target can hold it, and fills a wider register.
fn among_integers(checked: &mut Checked) {
    for (from, width, signed) in TYPES {
        for (to, target, target_signed) in TYPES {
            let opcode = format!("cvt.{to}.{from}");
            for a in integers(width) {
                let cut = low(meaning(a, width, signed) as u64, target);
                let expected = meaning(cut, target, target_signed) as u64;
                assert_eq!(compute(&opcode, &[a]), expected, "{opcode} {a:#x}");
            }
            checked.insert(opcode);
        }
    }
}

fn from_integers(checked: &mut Checked) {
    for (from, width, signed) in TYPES {
        for a in integers(width) {
            let number = meaning(a, width, signed);
            let single = f32::from_bits(compute(&format!("cvt.rn.f32.{from}"), &[a]) as u32);
            let double = f64::from_bits(compute(&format!("cvt.rn.f64.{from}"), &[a]));
            // No neighbour is nearer.
            let far = |float: f64| (float as i128 - number).abs();
            for (near, others) in [
                (f64::from(single), [single.next_up(), single.next_down()].map(f64::from)),
                (double, [double.next_up(), double.next_down()]),
            ] {
                assert!(others.iter().all(|&other| far(near) <= far(other)), "{from} {number}: {near}");
            }
            let half = compute(&format!("cvt.rn.f16.{from}"), &[a]);
            assert_eq!(half, u64::from(nearest(number as f64)), "cvt.rn.f16.{from} {number}");
        }
        checked.extend(["f16", "f32", "f64"].map(|to| format!("cvt.rn.{to}.{from}")));
    }
    // Ties go to even.
    for (number, expected) in
        [(16_777_217, 16_777_216.0), (16_777_219, 16_777_220.0), (u64::MAX, 18_446_744_073_709_551_616.0)]
    {
        assert_eq!(f32::from_bits(compute("cvt.rn.f32.u64", &[number]) as u32), expected);
    }
}

fn to_integers(checked: &mut Checked) {
    let numbers = [
        0.0,
        -0.0,
        0.25,
        0.5,
        0.75,
        1.5,
        2.5,
        -0.5,
        -1.5,
        -2.5,
        -0.75,
        127.5,
        128.0,
        -128.5,
        -129.0,
        255.5,
        32767.5,
        65504.0,
        1e9,
        -3e9,
        4294967295.0,
        1e15,
        1e19,
        -1e19,
        2e19,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
    ];
    for (to, width, signed) in TYPES {
        let least = if signed { -(1i128 << (width - 1)) } else { 0 };
        let most = least + (1i128 << width) - 1;
        for (from, source_width) in [("f16", 16), ("f32", 32), ("f64", 64)] {
            for number in numbers {
                let (bits, number) = match from {
                    "f16" => (u64::from(f16::from_f64(number).to_bits()), f16::from_f64(number).to_f64()),
                    "f32" => (u64::from((number as f32).to_bits()), f64::from(number as f32)),
                    _ => (number.to_bits(), number),
                };
                for (rounding, rounded) in roundings(number) {
                    let opcode = format!("cvt.{rounding}.{to}.{from}");
                    let expected = if number.is_nan() {
                        if source_width == 64 || width == 64 { 1 << (width - 1) } else { 0 }
                    } else {
                        low(rounded.clamp(least, most) as u64, width)
                    };
                    assert_eq!(low(compute(&opcode, &[bits]), width), expected, "{opcode} {number}");
                    checked.insert(opcode);
                }
            }
        }
    }
}

/// A number rounded in each way, by comparing.
fn roundings(number: f64) -> [(&'static str, i128); 4] {
    let toward_zero = number as i128;
    let floor = if (toward_zero as f64) > number { toward_zero.saturating_sub(1) } else { toward_zero };
    let ceiling = if (toward_zero as f64) < number { toward_zero.saturating_add(1) } else { toward_zero };
    let (down, up) = (number - floor as f64, ceiling as f64 - number);
    let near = if down < up || (down == up && floor % 2 == 0) { floor } else { ceiling };
    [("rzi", toward_zero), ("rmi", floor), ("rpi", ceiling), ("rni", near)]
}

fn among_floats(checked: &mut Checked) {
    for a in 0..=u16::MAX {
        let half = f16::from_bits(a);
        let (single, double) =
            (compute("cvt.f32.f16", &[u64::from(a)]), compute("cvt.f64.f16", &[u64::from(a)]));
        let (single, double) = (f32::from_bits(single as u32), f64::from_bits(double));
        assert!(half.is_nan() && single.is_nan() && double.is_nan() || f64::from(single) == double, "{a:#x}");
        let back = compute("cvt.rn.f16.f32", &[u64::from(single.to_bits())]);
        assert_eq!(back, if half.is_nan() { 0x7fff } else { u64::from(a) }, "{a:#x}");
        if half.is_finite() && a & 0x7fff < 0x7bff {
            // Half way to the next, and a little to each side: in single precision, and less in double.
            let middle = (double + f16::from_bits(a + 1).to_f64()) / 2.0;
            for near in [(middle as f32).next_down(), middle as f32, (middle as f32).next_up()] {
                let found = compute("cvt.rn.f16.f32", &[u64::from(near.to_bits())]);
                assert_eq!(found, u64::from(nearest(f64::from(near))), "{near}");
            }
            for near in [middle.next_down(), middle, middle.next_up()] {
                let found = compute("cvt.rn.f16.f64", &[near.to_bits()]);
                assert_eq!(found, u64::from(nearest(near)), "{near}");
            }
        }
    }
    checked.extend(["cvt.f32.f16", "cvt.f64.f16", "cvt.rn.f16.f32", "cvt.rn.f16.f64"].map(str::to_owned));
    let numbers = [0.0, -0.0, 0.5, 1.5, -2.5, 0.3, -0.3, 1e10, 3.4e38, 1e-40, f32::INFINITY, f32::NAN];
    for a in numbers {
        let wide = f64::from_bits(compute("cvt.f64.f32", &[u64::from(a.to_bits())]));
        assert!(wide == f64::from(a) || a.is_nan() && wide.is_nan());
        for (rounding, rounded) in roundings(f64::from(a)) {
            let single =
                f32::from_bits(compute(&format!("cvt.{rounding}.f32.f32"), &[u64::from(a.to_bits())]) as u32);
            let double =
                f64::from_bits(compute(&format!("cvt.{rounding}.f64.f64"), &[f64::from(a).to_bits()]));
            if a.is_finite() && a < 1e30 {
                assert_eq!((f64::from(single), double), (rounded as f64, rounded as f64), "{rounding} {a}");
                assert_eq!(single.is_sign_negative(), a.is_sign_negative(), "{rounding} {a} keeps its sign");
            } else {
                assert!(single == a || single.is_nan(), "{rounding} {a}");
            }
            checked.extend([format!("cvt.{rounding}.f32.f32"), format!("cvt.{rounding}.f64.f64")]);
        }
        let saturated = f32::from_bits(compute("cvt.sat.f32.f32", &[u64::from(a.to_bits())]) as u32);
        let expected = if a.is_nan() || a <= 0.0 {
            0.0
        } else if a > 1.0 {
            1.0
        } else {
            a
        };
        assert_eq!(saturated.to_bits(), expected.to_bits(), "cvt.sat.f32.f32 {a}");
    }
    for (number, expected) in
        [(0.1, 0.1f32), (1e300, f32::INFINITY), (16_777_217.0, 16_777_216.0), (1e-46, 0.0)]
    {
        assert_eq!(f32::from_bits(compute("cvt.rn.f32.f64", &[f64::to_bits(number)]) as u32), expected);
    }
    checked.extend(["cvt.f64.f32", "cvt.rn.f32.f64", "cvt.sat.f32.f32"].map(str::to_owned));
}

#[test]
fn conversions_round_and_saturate() {
    check();
}

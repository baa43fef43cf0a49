//! Moves, loads, stores and atomics, byte for byte.

use super::super::{Action, BASE, Operands, Shape, find};
use super::{Checked, compute, touch};
use crate::machine::{Memory, Spaces};

/// Type, its bytes, and whether a load extends its sign.
const TYPES: [(&str, usize, bool); 13] = [
    ("u8", 1, false),
    ("b8", 1, false),
    ("s8", 1, true),
    ("u16", 2, false),
    ("b16", 2, false),
    ("s16", 2, true),
    ("u32", 4, false),
    ("b32", 4, false),
    ("s32", 4, true),
    ("f32", 4, false),
    ("u64", 8, false),
    ("b64", 8, false),
    ("s64", 8, false),
];

/// Bytes that tell their place and have the topmost bit set.
fn pattern() -> Vec<u8> {
    (0..64).map(|byte| 0x80 | byte).collect()
}

/// Runs one row with every space full of the pattern, the base in slot 20 and the operands from slot 21 on: the registers
/// and the bytes of the space after it.
fn run(opcode: &str, sources: &[u64]) -> (Vec<u64>, Vec<u8>) {
    let mut memory = Memory::default();
    let address = memory.allocate(0, 64).expect("room");
    memory.bytes(0, address, 64).expect("allocated").copy_from_slice(&pattern());
    let [mut shared, mut local, mut params] = [pattern(), pattern(), pattern()];
    let mut registers = vec![0; 32];
    registers[21..21 + sources.len()].copy_from_slice(sources);
    let is_global = opcode.contains("global") || opcode.starts_with("atom");
    registers[20] = if is_global { address } else { 0 };
    let mut slots = [21, 22, 23, 24, 0, 0];
    slots[BASE] = 20;
    let mut spaces = Spaces {
        memory: &mut memory,
        device: 0,
        shared: &mut shared,
        local: &mut local,
        params: &mut params,
    };
    touch(opcode, &mut registers, &mut spaces, &Operands { slots, offset: 16 });
    let after = match opcode {
        _ if is_global => memory.bytes(0, address, 64).expect("allocated").to_vec(),
        _ if opcode.contains("shared") => shared,
        _ if opcode.contains("local") => local,
        _ => params,
    };
    (registers, after)
}

/// The number in the pattern.
fn number(at: usize, bytes: usize) -> u64 {
    pattern()[at..at + bytes].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

pub(super) fn check() -> Checked {
    let mut checked = Checked::new();
    let all = TYPES.into_iter().chain([("f64", 8, false)]);
    for (types, bytes, signed) in all {
        for place in ["param", "global", "global.nc", "shared", "local"] {
            for count in [1, 2, 4] {
                let vector = if count == 1 { String::new() } else { format!("v{count}.") };
                let load = format!("ld.{place}.{vector}{types}");
                if in_table(&load, Shape::Load(count)) {
                    let (registers, after) = run(&load, &[]);
                    for part in 0..count {
                        let plain = number(16 + part * bytes, bytes);
                        let ones = u64::MAX.checked_shl(8 * bytes as u32).unwrap_or(0);
                        assert_eq!(registers[21 + part], if signed { plain | ones } else { plain }, "{load}");
                    }
                    assert_eq!(after, pattern(), "{load} changes nothing");
                    checked.insert(load);
                }
                let store = format!("st.{place}.{vector}{types}");
                if in_table(&store, Shape::Store(count)) {
                    let sources = [0x1122_3344_5566_7788, 0x99aa_bbcc_ddee_ff00, 3, 4];
                    let (_, after) = run(&store, &sources[..count]);
                    let mut expected = pattern();
                    for (part, source) in sources[..count].iter().enumerate() {
                        expected[16 + part * bytes..][..bytes]
                            .copy_from_slice(&source.to_le_bytes()[..bytes]);
                    }
                    assert_eq!(after, expected, "{store}");
                    checked.insert(store);
                }
            }
        }
    }
    atomics(&mut checked);
    moves(&mut checked);
    checked
}

fn in_table(opcode: &str, shape: Shape) -> bool {
    find(opcode).iter().any(|row| row.shape == shape)
}

/// Opcode, sources, and the new value; the old one is the pattern at byte 16, or what it is in the type.
fn atomics(checked: &mut Checked) {
    let (word, long) = (number(16, 4), number(16, 8));
    let single = f32::from_bits(word as u32);
    let double = f64::from_bits(long);
    // The pattern's half is -0.0001...: half precision sums have their own test.
    let half = u64::from(super::half::nearest(half::f16::from_bits(number(16, 2) as u16).to_f64() + 1.0));
    let cases: [(&str, &[u64], u64, usize); 22] = [
        ("atom.global.add.f32", &[u64::from(1.5f32.to_bits())], u64::from((single + 1.5).to_bits()), 4),
        ("atom.add.f32", &[u64::from(1.5f32.to_bits())], u64::from((single + 1.5).to_bits()), 4),
        ("atom.global.add.f64", &[1.5f64.to_bits()], (double + 1.5).to_bits(), 8),
        ("atom.add.f64", &[1.5f64.to_bits()], (double + 1.5).to_bits(), 8),
        ("atom.global.add.noftz.f16", &[0x3c00], half, 2),
        ("atom.add.noftz.f16", &[0x3c00], half, 2),
        ("atom.global.add.u32", &[0x8000_0000], word - 0x8000_0000, 4),
        ("atom.global.add.s32", &[0x8000_0000], word - 0x8000_0000, 4),
        ("atom.global.add.u64", &[1 << 63], long - (1 << 63), 8),
        ("atom.global.max.s32", &[1], 1, 4),
        ("atom.global.max.u32", &[1], word, 4),
        ("atom.global.max.s64", &[1], 1, 8),
        ("atom.global.max.u64", &[1], long, 8),
        ("atom.global.min.s32", &[1], word, 4),
        ("atom.global.min.u32", &[1], 1, 4),
        ("atom.global.min.s64", &[1], long, 8),
        ("atom.global.min.u64", &[1], 1, 8),
        ("atom.global.exch.b32", &[9], 9, 4),
        ("atom.global.exch.b64", &[9], 9, 8),
        ("atom.global.cas.b16", &[number(16, 2), 9], 9, 2),
        ("atom.global.cas.b32", &[word, 9], 9, 4),
        ("atom.global.cas.b64", &[long, 9], 9, 8),
    ];
    for (opcode, sources, new, bytes) in cases {
        let sources: Vec<u64> = [0].iter().chain(sources).copied().collect();
        let (registers, after) = run(opcode, &sources);
        let mask = u64::MAX >> (64 - 8 * bytes);
        assert_eq!(registers[21] & mask, number(16, bytes), "{opcode} gives the old value");
        let mut expected = pattern();
        expected[16..16 + bytes].copy_from_slice(&new.to_le_bytes()[..bytes]);
        assert_eq!(after, expected, "{opcode}");
        checked.insert(opcode.to_owned());
    }
    let (_, after) = run("atom.global.cas.b32", &[0, 12345, 9]);
    assert_eq!(after, pattern(), "another value than the expected one stays");
    let (_, after) = run("atom.global.add.f32", &[0, 1]);
    assert_eq!(after[16..20], (single + 0.0).to_le_bytes(), "a subnormal summand is zero");
}

fn moves(checked: &mut Checked) {
    for (types, bytes) in [
        ("b16", 2),
        ("u16", 2),
        ("s16", 2),
        ("b32", 4),
        ("u32", 4),
        ("s32", 4),
        ("f32", 4),
        ("b64", 8),
        ("u64", 8),
        ("s64", 8),
        ("f64", 8),
    ] {
        let opcode = format!("mov.{types}");
        assert_eq!(compute(&opcode, &[number(0, 8)]), number(0, bytes), "{opcode}");
        checked.insert(opcode);
    }
    for opcode in ["cvta.global.u64", "cvta.to.global.u64"] {
        assert_eq!(compute(opcode, &[1 << 36]), 1 << 36);
        checked.insert(opcode.to_owned());
    }
    assert_eq!((compute("mov.pred", &[1]), compute("mov.pred", &[0])), (1, 0));
    checked.insert("mov.pred".to_owned());
    for (opcode, half) in [("mov.b32", 16), ("mov.b64", 32)] {
        let (low, high) = (0x7711 & ((1 << half) - 1), 0x8822);
        let row = |shape| match find(opcode).iter().find(|row| row.shape == shape).map(|row| row.action) {
            Some(Action::Compute(run)) => run,
            _ => panic!("{opcode} with {shape:?}"),
        };
        let mut registers = vec![0, 0, low, high, 0];
        row(Shape::Pack(2))(&mut registers, &Operands { slots: [4, 2, 3, 0, 0, 0], offset: 0 });
        assert_eq!(registers[4], high << half | low, "{opcode}");
        row(Shape::Unpack(2))(&mut registers, &Operands { slots: [0, 1, 4, 0, 0, 0], offset: 0 });
        assert_eq!(registers[..2], [low, high], "{opcode}");
    }
}

#[test]
fn memory_is_read_and_written_byte_for_byte() {
    check();
}

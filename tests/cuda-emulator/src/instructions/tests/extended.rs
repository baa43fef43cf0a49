//! Chains of instructions that hand on the carry, against integers of 128 bits.

use super::super::{Action, Operands, find};
use super::{Checked, integers};

/// A register file whose carry lives on between steps.
struct Chain {
    registers: Vec<u64>,
    checked: Checked,
}

impl Chain {
    fn step(&mut self, opcode: &str, target: u32, sources: [u32; 3]) {
        let [a, b, c] = sources;
        let Some(Action::Compute(run)) = find(opcode).first().map(|row| row.action) else {
            panic!("{opcode}")
        };
        run(&mut self.registers, &Operands { slots: [target, a, b, c, 0, 0], offset: 0 });
        self.checked.insert(opcode.to_owned());
    }

    fn put(&mut self, at: usize, number: u128, words: usize) {
        for word in 0..words {
            self.registers[at + word] = (number >> (32 * word)) as u32 as u64;
        }
    }

    fn take(&self, at: usize, words: usize) -> u128 {
        (0..words).rev().fold(0, |number, word| number << 32 | u128::from(self.registers[at + word] as u32))
    }
}

// Four words each; slot 50 is zero.
const A: u32 = 20;
const B: u32 = 24;
const SUM: u32 = 28;
const ZERO: u32 = 50;

pub(super) fn check() -> Checked {
    let mut chain = Chain { registers: vec![0; 64], checked: Checked::new() };
    let numbers: Vec<u128> = integers(64)
        .into_iter()
        .flat_map(|number| {
            [u128::from(number), u128::from(number) << 64 | 0xffff_ffff, u128::from(number) << 31]
        })
        .collect();
    for &a in &numbers {
        for &b in &numbers {
            chain.put(A as usize, a, 4);
            chain.put(B as usize, b, 4);
            for types in ["u32", "s32"] {
                sums(&mut chain, types);
                assert_eq!(chain.take(SUM as usize, 4), a.wrapping_add(b), "{a:#x} + {b:#x}");
                differences(&mut chain, types);
                assert_eq!(chain.take(SUM as usize, 4), a.wrapping_sub(b), "{a:#x} - {b:#x}");
                product(&mut chain, types);
                let (a, b) = (a as u64, b as u64);
                assert_eq!(chain.take(SUM as usize, 4), u128::from(a) * u128::from(b), "{a:#x} * {b:#x}");
            }
        }
    }
    chain.checked
}

fn sums(chain: &mut Chain, types: &str) {
    for (word, name) in ["add.cc", "addc.cc", "addc.cc", "addc"].into_iter().enumerate() {
        let word = word as u32;
        chain.step(&format!("{name}.{types}"), SUM + word, [A + word, B + word, 0]);
    }
}

fn differences(chain: &mut Chain, types: &str) {
    for (word, name) in ["sub.cc", "subc.cc", "subc.cc", "subc"].into_iter().enumerate() {
        let word = word as u32;
        chain.step(&format!("{name}.{types}"), SUM + word, [A + word, B + word, 0]);
    }
}

/// 64 times 64 bits, as nvcc writes it for the reduction of large angles, and once more with the first steps written
/// another way, so that every form has its turn.
fn product(chain: &mut Chain, types: &str) {
    let low = format!("mad.lo.cc.{types}");
    chain.put(SUM as usize, 0, 4);
    chain.step(&low, SUM, [A, B, ZERO]);
    chain.step("madc.hi.cc.u32", SUM + 1, [A, B, ZERO]);
    chain.step("madc.hi.u32", SUM + 2, [A, B + 1, ZERO]);
    chain.step(&low, SUM + 1, [A, B + 1, SUM + 1]);
    chain.step("madc.hi.cc.u32", SUM + 2, [A + 1, B, SUM + 2]);
    chain.step("madc.hi.u32", SUM + 3, [A + 1, B + 1, ZERO]);
    chain.step(&low, SUM + 1, [A + 1, B, SUM + 1]);
    chain.step(&format!("madc.lo.cc.{types}"), SUM + 2, [A + 1, B + 1, SUM + 2]);
    chain.step(&format!("addc.{types}"), SUM + 3, [SUM + 3, ZERO, 0]);
    // The lowest word times the lowest plus all ones carries out exactly when the exact sum does.
    let (a, b) = (chain.registers[A as usize], chain.registers[B as usize]);
    chain.registers[40] = u64::from(u32::MAX);
    chain.step("mad.hi.cc.u32", 41, [A, B, 40]);
    chain.step(&format!("madc.lo.{types}"), 42, [ZERO, ZERO, ZERO]);
    let high = (a * b) >> 32;
    assert_eq!(
        chain.take(41, 2),
        u128::from(high + u64::from(u32::MAX)),
        "the high half of {a:#x} * {b:#x} plus all ones"
    );
}

#[test]
fn carries_go_from_word_to_word() {
    check();
}

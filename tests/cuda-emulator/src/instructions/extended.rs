//! Sums and products longer than a register: the carry goes from instruction to instruction in `CC.CF`.

use super::integer::high32;
use super::{Action, Compute, Operands, Row, Shape, get, set};
use crate::machine::CARRY;

pub(super) const ROWS: &[&[Row]] = &[&[
    extended("Extended-Precision Integer Arithmetic: add.cc", "add.cc.s32|u32", 2, |r, o| {
        sum::<false, true>(r, o, a(r, o), b(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: addc", "addc.s32|u32", 2, |r, o| {
        sum::<true, false>(r, o, a(r, o), b(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: addc", "addc.cc.s32|u32", 2, |r, o| {
        sum::<true, true>(r, o, a(r, o), b(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: sub.cc", "sub.cc.s32|u32", 2, |r, o| {
        difference::<false, true>(r, o)
    }),
    extended("Extended-Precision Integer Arithmetic: subc", "subc.s32|u32", 2, |r, o| {
        difference::<true, false>(r, o)
    }),
    extended("Extended-Precision Integer Arithmetic: subc", "subc.cc.s32|u32", 2, |r, o| {
        difference::<true, true>(r, o)
    }),
    extended("Extended-Precision Integer Arithmetic: mad.cc", "mad.lo.cc.s32|u32", 3, |r, o| {
        sum::<false, true>(r, o, low(r, o), c(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: mad.cc", "mad.hi.cc.u32", 3, |r, o| {
        sum::<false, true>(r, o, high(r, o), c(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: madc", "madc.lo.s32|u32", 3, |r, o| {
        sum::<true, false>(r, o, low(r, o), c(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: madc", "madc.hi.u32", 3, |r, o| {
        sum::<true, false>(r, o, high(r, o), c(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: madc", "madc.lo.cc.s32|u32", 3, |r, o| {
        sum::<true, true>(r, o, low(r, o), c(r, o))
    }),
    extended("Extended-Precision Integer Arithmetic: madc", "madc.hi.cc.u32", 3, |r, o| {
        sum::<true, true>(r, o, high(r, o), c(r, o))
    }),
]];

const fn extended(section: &'static str, opcodes: &'static str, sources: usize, compute: Compute) -> Row {
    Row { section, opcodes, shape: Shape::Values(sources), action: Action::Compute(compute) }
}

fn a(registers: &[u64], operands: &Operands) -> u32 {
    get(registers, operands.slots[1])
}

fn b(registers: &[u64], operands: &Operands) -> u32 {
    get(registers, operands.slots[2])
}

fn c(registers: &[u64], operands: &Operands) -> u32 {
    get(registers, operands.slots[3])
}

fn low(registers: &[u64], operands: &Operands) -> u32 {
    a(registers, operands).wrapping_mul(b(registers, operands))
}

fn high(registers: &[u64], operands: &Operands) -> u32 {
    high32(a(registers, operands), b(registers, operands))
}

/// `IN`: adds the carry. `OUT`: leaves one.
fn sum<const IN: bool, const OUT: bool>(registers: &mut [u64], operands: &Operands, a: u32, b: u32) {
    let carry = u64::from(IN && get::<bool>(registers, CARRY));
    let sum = u64::from(a) + u64::from(b) + carry;
    if OUT {
        set(registers, CARRY, sum >> 32 != 0);
    }
    set(registers, operands.slots[0], sum as u32);
}

/// `IN`: subtracts the borrow. `OUT`: leaves one. Both are in the carry's place.
fn difference<const IN: bool, const OUT: bool>(registers: &mut [u64], operands: &Operands) {
    let borrow = u64::from(IN && get::<bool>(registers, CARRY));
    let (a, b) = (a(registers, operands), b(registers, operands));
    let taken = u64::from(b) + borrow;
    if OUT {
        set(registers, CARRY, u64::from(a) < taken);
    }
    set(registers, operands.slots[0], u64::from(a).wrapping_sub(taken) as u32);
}

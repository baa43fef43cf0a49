//! Each row of the table against arithmetic that is done in another way.
//!
//! A family's checks give back the opcodes that they checked, and the last test here asks that these are all there are.

mod compare;
mod convert;
mod extended;
mod float;
mod half;
mod integer;
mod memory;

use std::collections::BTreeSet;

use super::{Action, Operands, Shape, TABLE, find, opcodes};
use crate::machine::{Spaces, decode};
use crate::ptx::parse;

/// Opcodes that were checked.
type Checked = BTreeSet<String>;

/// Runs a row that computes: the bits it leaves in its target.
fn compute(opcode: &str, sources: &[u64]) -> u64 {
    let mut registers = vec![0; 32];
    registers[16..16 + sources.len()].copy_from_slice(sources);
    let row = find(opcode).iter().find(|row| row.shape == Shape::Values(sources.len()));
    let Some(Action::Compute(run)) = row.map(|row| row.action) else {
        panic!("{opcode} is not in the table")
    };
    run(&mut registers, &Operands { slots: [15, 16, 17, 18, 19, 20], offset: 0 });
    registers[15]
}

/// The low bits of a number.
fn low(bits: u64, width: u32) -> u64 {
    bits & (u64::MAX >> (64 - width))
}

/// Integers of a width that have been trouble before.
fn integers(width: u32) -> Vec<u64> {
    let ones = u64::MAX >> (64 - width);
    let top = 1 << (width - 1);
    let some = [
        0,
        1,
        2,
        3,
        7,
        10,
        0x55,
        0x7f,
        0x80,
        0xff,
        0x1234,
        0x8000,
        0xffff,
        0x1_0000,
        0xdead_beef,
        0x1_0000_0001,
    ];
    let mut all: Vec<u64> =
        some.into_iter().chain([top, top - 1, top + 1, ones, ones - 1, ones / 3]).collect();
    all.iter_mut().for_each(|number| *number &= ones);
    all
}

/// What bits of a width mean.
fn meaning(bits: u64, width: u32, signed: bool) -> i128 {
    let number = i128::from(low(bits, width));
    if signed && number >> (width - 1) != 0 { number - (1 << width) } else { number }
}

#[test]
fn every_row_is_checked() {
    let checked: Checked = [
        integer::check(),
        extended::check(),
        float::check(),
        half::check(),
        compare::check(),
        convert::check(),
        memory::check(),
    ]
    .into_iter()
    .flatten()
    .collect();
    let rows = TABLE.iter().copied().flatten().copied().flatten();
    // What threads do at branches, barriers and calls is the machine's to check.
    let rows = rows.filter(|row| matches!(row.action, Action::Compute(_) | Action::Touch(_)));
    let missing: Vec<String> = rows.flat_map(opcodes).filter(|opcode| !checked.contains(opcode)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_opcode_has_one_row_for_each_kind_of_operands() {
    for row in TABLE.iter().copied().flatten().copied().flatten() {
        for opcode in opcodes(row) {
            let alike = find(&opcode).iter().filter(|other| other.shape == row.shape).count();
            assert_eq!(alike, 1, "{opcode} {:?}", row.shape);
        }
    }
}

#[test]
fn all_instructions_of_dfdx_are_in_the_table() {
    let module = parse(include_str!("../../../fixtures/every_form.ptx")).expect("the fixture is PTX");
    let globals = [("global_variable".to_owned(), 1 << 36)].into();
    let kernels = decode(&module, &globals);
    let number = kernels.by_name["every_form"];
    assert_eq!(kernels.refusals(number), [""; 0]);
    assert!(kernels.programs[number].steps.len() > 300, "the fixture has lost its instructions");
}

#[test]
fn an_unknown_instruction_is_refused_by_name() {
    let text = ".version 9.0\n.target sm_80\n.address_size 64\n.entry k()\n{\n.reg .b32 %r<3>;\nvote.sync.any.pred %r0, %r1, 1;\n}";
    let kernels = decode(&parse(text).expect("PTX"), &[].into());
    let refusals = kernels.refusals(kernels.by_name["k"]).join("");
    assert!(refusals.contains("k, PTX line 7") && refusals.contains("vote.sync.any.pred"), "{refusals}");
}

/// Runs a row that touches memory.
fn touch(opcode: &str, registers: &mut [u64], spaces: &mut Spaces<'_>, operands: &Operands) {
    let Some(Action::Touch(run)) = find(opcode).first().map(|row| row.action) else {
        panic!("{opcode} is not in the table")
    };
    run(registers, spaces, operands).unwrap_or_else(|fault| panic!("{opcode}: {fault}"));
}

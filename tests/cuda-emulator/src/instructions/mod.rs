//! The one table of PTX instructions: what each opcode does, and where NVIDIA's manual says so.
//!
//! Each family has a file with its rows. To mend an instruction, find its row by opcode and change the expression there;
//! to add one, add a row, and a line to the tests of its family. An opcode without a row is refused when a kernel
//! that has it is launched.
//!
//! Sections are those of the "PTX ISA" manual, chapter "Instructions", by title: the numbers move between editions.

mod atomic;
mod compare;
mod control;
mod convert;
mod extended;
mod float;
mod half;
mod integer;
mod logic;
mod memory;
mod value;

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::OnceLock;

pub(crate) use half::round_double;
pub use value::{Value, get, set};

use crate::machine::{Fault, Spaces};

/// Where a thread keeps a value: an index of its register file.
pub type Slot = u32;

/// What a step works on. Which slot is what depends on the row's [`Shape`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands {
    pub slots: [Slot; 6],
    /// What an address adds to its base.
    pub offset: i64,
}

/// The slot with an address's base.
pub const BASE: usize = 5;

/// One row of the table.
pub struct Row {
    /// The manual's section.
    pub section: &'static str,
    /// Opcodes, divided by spaces; `a|b` stands for either part: `add.s32|u32`.
    pub opcodes: &'static str,
    pub shape: Shape,
    pub action: Action,
}

/// Which operands an instruction has, and the slots that they go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `target, source, ...`: slot 0, then as many from 1 on.
    Values(usize),
    /// `target, {source, ...}`: slot 0, then as many from 1 on.
    Pack(usize),
    /// `{target, ...}, source`: as many slots from 0 on, then one more.
    Unpack(usize),
    /// `target, [address]` or `{target, ...}, [address]`: as many slots from 0 on; the base is in slot [`BASE`].
    Load(usize),
    /// `[address], source` or `[address], {source, ...}`: as many slots from 0 on; the base is in slot [`BASE`].
    Store(usize),
    /// `target, [address], source, ...`: slot 0, as many from 1 on; the base is in slot [`BASE`].
    Atomic(usize),
    /// The name of a label.
    Label,
    /// The number of a barrier.
    Barrier,
    /// `(result), function, (argument, ...)`
    Call,
    Nothing,
}

/// Works on a thread's registers.
pub type Compute = fn(&mut [u64], &Operands);

/// Works on a thread's registers and memory.
pub type Touch = fn(&mut [u64], &mut Spaces<'_>, &Operands) -> Result<(), Box<Fault>>;

/// What an instruction does.
#[derive(Clone, Copy)]
pub enum Action {
    /// Registers to registers.
    Compute(Compute),
    /// Reads or writes memory.
    Touch(Touch),
    Branch,
    Barrier,
    Return,
    Call,
    Trap,
}

/// A row that computes its target from its sources.
macro_rules! row {
    ($section:literal, $opcodes:expr, |$a:ident: $A:ty| $result:expr) => {
        $crate::instructions::row!(@row $section, $opcodes, Values(1), $result, $a: $A = 1)
    };
    ($section:literal, $opcodes:expr, |$a:ident: $A:ty, $b:ident: $B:ty| $result:expr) => {
        $crate::instructions::row!(@row $section, $opcodes, Values(2), $result, $a: $A = 1, $b: $B = 2)
    };
    ($section:literal, $opcodes:expr, |$a:ident: $A:ty, $b:ident: $B:ty, $c:ident: $C:ty| $result:expr) => {
        $crate::instructions::row!(@row $section, $opcodes, Values(3), $result, $a: $A = 1, $b: $B = 2, $c: $C = 3)
    };
    ($section:literal, $opcodes:expr, |$a:ident: $A:ty, $b:ident: $B:ty, $c:ident: $C:ty, $d:ident: $D:ty| $result:expr) => {
        $crate::instructions::row!(
            @row $section, $opcodes, Values(4), $result, $a: $A = 1, $b: $B = 2, $c: $C = 3, $d: $D = 4
        )
    };
    (@row $section:literal, $opcodes:expr, $shape:ident($n:literal), $result:expr, $($name:ident: $type:ty = $at:literal),+) => {
        $crate::instructions::Row {
            section: $section,
            opcodes: $opcodes,
            shape: $crate::instructions::Shape::$shape($n),
            action: $crate::instructions::Action::Compute(|registers, operands| {
                $(let $name: $type = $crate::instructions::get(registers, operands.slots[$at]);)+
                $crate::instructions::set(registers, operands.slots[0], $result);
            }),
        }
    };
}
use row;

/// All rows, family by family.
pub const TABLE: &[&[&[Row]]] = &[
    integer::ROWS,
    extended::ROWS,
    float::ROWS,
    half::ROWS,
    compare::ROWS,
    logic::ROWS,
    convert::ROWS,
    memory::ROWS,
    atomic::ROWS,
    control::ROWS,
];

/// The rows of an opcode: one for each way to write its operands, none if it is not in the table.
pub fn find(opcode: &str) -> &'static [&'static Row] {
    static BY_OPCODE: OnceLock<HashMap<String, Vec<&'static Row>>> = OnceLock::new();
    let rows = BY_OPCODE.get_or_init(|| {
        let mut rows: HashMap<String, Vec<&'static Row>> = HashMap::new();
        for row in TABLE.iter().copied().flatten().copied().flatten() {
            for opcode in opcodes(row) {
                rows.entry(opcode).or_default().push(row);
            }
        }
        rows
    });
    rows.get(opcode).map_or(&[], Vec::as_slice)
}

/// The opcodes of a row, each alternative spelled out.
pub fn opcodes(row: &Row) -> Vec<String> {
    let mut all = Vec::new();
    for pattern in row.opcodes.split_whitespace() {
        let mut spelled = vec![String::new()];
        for (number, part) in pattern.split('.').enumerate() {
            let dot = if number == 0 { "" } else { "." };
            spelled = spelled
                .iter()
                .flat_map(|before| part.split('|').map(move |choice| format!("{before}{dot}{choice}")))
                .collect();
        }
        all.append(&mut spelled);
    }
    all
}

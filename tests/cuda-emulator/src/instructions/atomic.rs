//! Read, change and write back as one. Threads run one after the other here, so nothing can come between.

use half::f16;

use super::float::flush;
use super::half::round;
use super::memory::{Stored, address};
use super::{Action, Operands, Row, Shape, get, set};
use crate::machine::{Access, Fault, Global, Place, Spaces};

/// `atom` with a change of the old value by one source.
macro_rules! atom {
    ($opcodes:literal, |$old:ident: $type:ty, $b:ident| $new:expr) => {
        Row {
            section: SECTION,
            opcodes: $opcodes,
            shape: Shape::Atomic(1),
            action: Action::Touch(|registers, spaces, operands| {
                let $b: $type = get(registers, operands.slots[1]);
                change(registers, spaces, operands, |$old: $type| $new)
            }),
        }
    };
}

/// `atom.cas`: the second source, if the old value is the first.
macro_rules! swap {
    ($opcodes:literal, $type:ty) => {
        Row {
            section: SECTION,
            opcodes: $opcodes,
            shape: Shape::Atomic(2),
            action: Action::Touch(|registers, spaces, operands| {
                let expected: $type = get(registers, operands.slots[1]);
                let new: $type = get(registers, operands.slots[2]);
                change(registers, spaces, operands, |old: $type| if old == expected { new } else { old })
            }),
        }
    };
}

const SECTION: &str = "Parallel Synchronization and Communication: atom";

/// Without a space in the opcode the address is generic; only global memory is looked up then.
pub(super) const ROWS: &[&[Row]] = &[&[
    // In global memory this one flushes subnormal numbers, says the manual.
    atom!("atom.global.add.f32 atom.add.f32", |old: f32, b| flush(flush(old) + flush(b))),
    atom!("atom.global.add.f64 atom.add.f64", |old: f64, b| old + b),
    atom!("atom.global.add.noftz.f16 atom.add.noftz.f16", |old: f16, b| round(old.to_f32() + b.to_f32())),
    atom!("atom.global.add.u32|s32", |old: u32, b| old.wrapping_add(b)),
    atom!("atom.global.add.u64", |old: u64, b| old.wrapping_add(b)),
    atom!("atom.global.max.s32", |old: i32, b| old.max(b)),
    atom!("atom.global.max.s64", |old: i64, b| old.max(b)),
    atom!("atom.global.max.u32", |old: u32, b| old.max(b)),
    atom!("atom.global.max.u64", |old: u64, b| old.max(b)),
    atom!("atom.global.min.s32", |old: i32, b| old.min(b)),
    atom!("atom.global.min.s64", |old: i64, b| old.min(b)),
    atom!("atom.global.min.u32", |old: u32, b| old.min(b)),
    atom!("atom.global.min.u64", |old: u64, b| old.min(b)),
    atom!("atom.global.exch.b32", |_old: u32, b| b),
    atom!("atom.global.exch.b64", |_old: u64, b| b),
    swap!("atom.global.cas.b16", u16),
    swap!("atom.global.cas.b32", u32),
    swap!("atom.global.cas.b64", u64),
]];

/// Puts the old value into the target and what `new` makes of it into memory.
fn change<T: Stored>(
    registers: &mut [u64],
    spaces: &mut Spaces<'_>,
    operands: &Operands,
    new: impl FnOnce(T) -> T,
) -> Result<(), Box<Fault>> {
    let bytes = Global::bytes(spaces, address(registers, operands), T::BYTES, Access::Change)?;
    let old = T::read(bytes);
    new(old).write(bytes);
    set(registers, operands.slots[0], old);
    Ok(())
}

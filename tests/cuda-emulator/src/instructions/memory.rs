//! Moves between registers, and to and from memory.

use half::f16;

use super::{Action, BASE, Compute, Operands, Row, Shape, Touch, Value, get, row, set};
use crate::machine::{Access, Fault, Global, Local, Param, Place, Shared, Spaces};

pub(super) const ROWS: &[&[Row]] = &[
    MOVES,
    &[
        load("ld.param.u8|b8", of::<u8, Param, 1>, 1),
        load("ld.param.s8", of::<i8, Param, 1>, 1),
        load("ld.param.u16|b16", of::<u16, Param, 1>, 1),
        load("ld.param.s16", of::<i16, Param, 1>, 1),
        load("ld.param.u32|b32|f32", of::<u32, Param, 1>, 1),
        load("ld.param.s32", of::<i32, Param, 1>, 1),
        load("ld.param.u64|b64|s64|f64", of::<u64, Param, 1>, 1),
        load("ld.param.v2.u8|b8", of::<u8, Param, 2>, 2),
        load("ld.param.v2.u32|b32|f32", of::<u32, Param, 2>, 2),
        load("ld.param.v4.u32|b32|f32", of::<u32, Param, 4>, 4),
        load("ld.param.v2.u64|b64|f64", of::<u64, Param, 2>, 2),
        load("ld.global.u8|b8 ld.global.nc.u8|b8", of::<u8, Global, 1>, 1),
        load("ld.global.s8 ld.global.nc.s8", of::<i8, Global, 1>, 1),
        load("ld.global.u16|b16 ld.global.nc.u16|b16", of::<u16, Global, 1>, 1),
        load("ld.global.s16 ld.global.nc.s16", of::<i16, Global, 1>, 1),
        load("ld.global.u32|b32|f32 ld.global.nc.u32|b32|f32", of::<u32, Global, 1>, 1),
        load("ld.global.s32 ld.global.nc.s32", of::<i32, Global, 1>, 1),
        load("ld.global.u64|b64|s64|f64 ld.global.nc.u64|b64|s64|f64", of::<u64, Global, 1>, 1),
        load("ld.global.v2.f32 ld.global.nc.v2.f32", of::<u32, Global, 2>, 2),
        load("ld.global.v2.f64 ld.global.nc.v2.f64", of::<u64, Global, 2>, 2),
        load("ld.global.v4.f32 ld.global.nc.v4.f32", of::<u32, Global, 4>, 4),
        load("ld.shared.u8|b8", of::<u8, Shared, 1>, 1),
        load("ld.shared.u16|b16", of::<u16, Shared, 1>, 1),
        load("ld.shared.u32|b32|f32", of::<u32, Shared, 1>, 1),
        load("ld.shared.u64|b64|s64|f64", of::<u64, Shared, 1>, 1),
        load("ld.local.u32|b32|f32", of::<u32, Local, 1>, 1),
        load("ld.local.u64|b64|s64|f64", of::<u64, Local, 1>, 1),
    ],
    &[
        store("st.param.b8|u8", to::<u8, Param, 1>, 1),
        store("st.param.b16|u16", to::<u16, Param, 1>, 1),
        store("st.param.b32|u32|f32", to::<u32, Param, 1>, 1),
        store("st.param.b64|u64|f64", to::<u64, Param, 1>, 1),
        store("st.global.u8|b8|s8", to::<u8, Global, 1>, 1),
        store("st.global.u16|b16|s16", to::<u16, Global, 1>, 1),
        store("st.global.u32|b32|s32|f32", to::<u32, Global, 1>, 1),
        store("st.global.u64|b64|s64|f64", to::<u64, Global, 1>, 1),
        store("st.global.v2.f32", to::<u32, Global, 2>, 2),
        store("st.global.v2.f64", to::<u64, Global, 2>, 2),
        store("st.global.v4.f32", to::<u32, Global, 4>, 4),
        store("st.shared.u8|b8", to::<u8, Shared, 1>, 1),
        store("st.shared.u16|b16", to::<u16, Shared, 1>, 1),
        store("st.shared.u32|b32|f32", to::<u32, Shared, 1>, 1),
        store("st.shared.u64|b64|s64|f64", to::<u64, Shared, 1>, 1),
        store("st.local.u32|b32|f32", to::<u32, Local, 1>, 1),
        store("st.local.u64|b64|s64|f64", to::<u64, Local, 1>, 1),
    ],
];

const MOVES: &[Row] = &[
    row!("Data Movement and Conversion: mov", "mov.pred", |a: bool| a),
    row!("Data Movement and Conversion: mov", "mov.b16|u16|s16", |a: u16| a),
    row!("Data Movement and Conversion: mov", "mov.b32|u32|s32|f32", |a: u32| a),
    row!("Data Movement and Conversion: mov", "mov.b64|u64|s64|f64", |a: u64| a),
    // Global memory has the same addresses in the generic space.
    row!("Data Movement and Conversion: cvta", "cvta.global.u64 cvta.to.global.u64", |a: u64| a),
    row!(@row "Data Movement and Conversion: mov", "mov.b32", Pack(2), u32::from(low) | u32::from(high) << 16,
        low: u16 = 1, high: u16 = 2),
    row!(@row "Data Movement and Conversion: mov", "mov.b64", Pack(2), u64::from(low) | u64::from(high) << 32,
        low: u32 = 1, high: u32 = 2),
    unpack("mov.b32", |registers, operands| {
        let both: u32 = get(registers, operands.slots[2]);
        set(registers, operands.slots[0], both as u16);
        set(registers, operands.slots[1], (both >> 16) as u16);
    }),
    unpack("mov.b64", |registers, operands| {
        let both: u64 = get(registers, operands.slots[2]);
        set(registers, operands.slots[0], both as u32);
        set(registers, operands.slots[1], (both >> 32) as u32);
    }),
];

const fn unpack(opcodes: &'static str, compute: Compute) -> Row {
    let section = "Data Movement and Conversion: mov";
    Row { section, opcodes, shape: Shape::Unpack(2), action: Action::Compute(compute) }
}

const fn load(opcodes: &'static str, touch: Touch, targets: usize) -> Row {
    let section = "Data Movement and Conversion: ld, ld.global.nc";
    Row { section, opcodes, shape: Shape::Load(targets), action: Action::Touch(touch) }
}

const fn store(opcodes: &'static str, touch: Touch, sources: usize) -> Row {
    Row {
        section: "Data Movement and Conversion: st",
        opcodes,
        shape: Shape::Store(sources),
        action: Action::Touch(touch),
    }
}

/// A value as memory has it, lowest byte first.
pub(super) trait Stored: Value {
    const BYTES: usize;
    fn read(bytes: &[u8]) -> Self;
    fn write(self, bytes: &mut [u8]);
}

macro_rules! stored {
    ($($type:ty),+) => { $(
        impl Stored for $type {
            const BYTES: usize = size_of::<$type>();
            #[inline(always)]
            fn read(bytes: &[u8]) -> Self {
                bytes.first_chunk().map_or(<$type>::from_le_bytes([0; _]), |bytes| <$type>::from_le_bytes(*bytes))
            }
            #[inline(always)]
            fn write(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )+ };
}
stored!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64, f16);

/// The address of a step.
pub(super) fn address(registers: &[u64], operands: &Operands) -> u64 {
    get::<u64>(registers, operands.slots[BASE]).wrapping_add_signed(operands.offset)
}

/// Loads `N` values.
fn of<T: Stored, P: Place, const N: usize>(
    registers: &mut [u64],
    spaces: &mut Spaces<'_>,
    operands: &Operands,
) -> Result<(), Box<Fault>> {
    let address = address(registers, operands);
    let bytes = P::bytes(spaces, address, T::BYTES * N, Access::Read)?;
    for (bytes, slot) in bytes.chunks_exact(T::BYTES).zip(operands.slots) {
        set(registers, slot, T::read(bytes));
    }
    Ok(())
}

/// Stores `N` values.
fn to<T: Stored, P: Place, const N: usize>(
    registers: &mut [u64],
    spaces: &mut Spaces<'_>,
    operands: &Operands,
) -> Result<(), Box<Fault>> {
    let address = address(registers, operands);
    let bytes = P::bytes(spaces, address, T::BYTES * N, Access::Write)?;
    for (bytes, slot) in bytes.chunks_exact_mut(T::BYTES).zip(operands.slots) {
        get::<T>(registers, slot).write(bytes);
    }
    Ok(())
}

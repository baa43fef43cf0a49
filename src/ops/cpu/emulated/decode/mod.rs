//! Instructions in memory.
//!
//! # Source
//! Intel's Software Developer's Manual, volume 2: VEX and EVEX prefixes, and the pages of the instructions.

#[cfg(test)]
mod tests;

/// Where an operand is in memory: base + index * scale + displacement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub base: Base,
    pub index: Option<u8>,
    pub scale: u8,
    pub displacement: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    None,
    Register(u8),
    NextInstruction,
}

/// The last operand of a vector instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    Register(u8),
    Memory(Memory),
    /// One element for all.
    Broadcast(Memory),
}

/// The part of a vector that an instruction is about. What lies behind its words becomes zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    pub words: u8,
    pub mask: Mask,
}

impl Extent {
    pub const WHOLE: Self = Self { words: 16, mask: Mask::All };
}

/// Which words an instruction computes, by the number of the register that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mask {
    All,
    /// The others stay.
    Merge(u8),
    /// The others become zero.
    Zero(u8),
}

/// Tiles and vectors by their numbers, in the order in which assembly names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    LoadConfiguration(Memory),
    StoreConfiguration(Memory),
    Release,
    ZeroTile(u8),
    LoadTile(u8, Memory),
    StoreTile(Memory, u8),
    MultiplyTiles(u8, u8, u8),
    MultiplyVectors(u8, u8, Source),
    RoundTwo(u8, u8, Source),
    RoundOne(u8, Source),
    /// Bytes without a sign by bytes with one.
    MultiplyBytes(u8, u8, Source, Extent),
}

/// The instruction, and how many bytes it takes; `None` if it is none of these.
pub fn decode(code: &[u8]) -> Option<(Instruction, usize)> {
    match code.first()? {
        0xc4 => decode_vex(code),
        0x62 => decode_evex(code),
        _ => None,
    }
}

/// The prefix that an instruction's number includes.
const NONE: u8 = 0;
const P66: u8 = 1;
const PF3: u8 = 2;
const PF2: u8 = 3;

/// Tiles, and vectors of up to 256 bits.
fn decode_vex(code: &[u8]) -> Option<(Instruction, usize)> {
    let &[_, first, second, opcode, modrm, ..] = code else { return None };
    let (wide, long) = (second & 0x80 != 0, second & 4 != 0);
    if first & 0x1f != 2 || wide {
        return None;
    }
    let (r, x, b) = (!first >> 7 & 1, !first >> 6 & 1, !first >> 5 & 1);
    let (other, prefix) = (!second >> 3 & 15, second & 3);
    let (reg, rm) = (modrm >> 3 & 7, modrm & 7);
    if (opcode, prefix) == (0x50, P66) {
        let extent = Extent { words: if long { 8 } else { 4 }, mask: Mask::All };
        let (source, len) = if modrm >> 6 == 3 {
            (Source::Register(rm | b << 3), 1)
        } else {
            let (memory, len) = decode_memory(&code[4..], x, b, 1)?;
            (Source::Memory(memory), len)
        };
        return Some((Instruction::MultiplyBytes(reg | r << 3, other, source, extent), 4 + len));
    }
    if long {
        return None;
    }
    if modrm >> 6 == 3 {
        let instruction = match (opcode, prefix) {
            (0x49, NONE) if modrm == 0xc0 => Instruction::Release,
            (0x49, PF2) if rm == 0 => Instruction::ZeroTile(reg),
            (0x5c, PF3) => Instruction::MultiplyTiles(reg, rm, other),
            _ => return None,
        };
        return Some((instruction, 5));
    }
    let (memory, len) = decode_memory(&code[4..], x, b, 1)?;
    let instruction = match (opcode, prefix) {
        (0x49, NONE) if reg == 0 => Instruction::LoadConfiguration(memory),
        (0x49, P66) if reg == 0 => Instruction::StoreConfiguration(memory),
        (0x4b, PF2 | P66) if rm == 4 => Instruction::LoadTile(reg, memory),
        (0x4b, PF3) if rm == 4 => Instruction::StoreTile(memory, reg),
        _ => return None,
    };
    Some((instruction, 4 + len))
}

/// Vectors. Those of bf16 only whole and without masks, which is all that the kernels use.
fn decode_evex(code: &[u8]) -> Option<(Instruction, usize)> {
    let &[_, first, second, third, opcode, modrm, ..] = code else { return None };
    if first & 0x0f != 2 || second & 0x84 != 0x04 {
        return None;
    }
    let (x, b) = (!first >> 6 & 1, !first >> 5 & 1);
    let to = modrm >> 3 & 7 | (!first >> 7 & 1) << 3 | (!first >> 4 & 1) << 4;
    let other = !second >> 3 & 15 | (!third >> 3 & 1) << 4;
    let words = match third >> 5 & 3 {
        3 => return None,
        length => 4 << length,
    };
    let mask = match (third & 7, third & 0x80 != 0) {
        (0, false) => Mask::All,
        (0, true) => return None,
        (register, false) => Mask::Merge(register),
        (register, true) => Mask::Zero(register),
    };
    let extent = Extent { words, mask };
    let broadcast = third & 0x10 != 0;
    let (source, len) = if modrm >> 6 == 3 {
        if broadcast {
            return None;
        }
        (Source::Register(modrm & 7 | b << 3 | x << 4), 1)
    } else if broadcast {
        let (memory, len) = decode_memory(&code[5..], x, b, 4)?;
        (Source::Broadcast(memory), len)
    } else {
        let (memory, len) = decode_memory(&code[5..], x, b, 4 * i64::from(words))?;
        (Source::Memory(memory), len)
    };
    let instruction = match (opcode, second & 3) {
        (0x50, P66) => Instruction::MultiplyBytes(to, other, source, extent),
        _ if extent != Extent::WHOLE => return None,
        (0x52, PF3) => Instruction::MultiplyVectors(to, other, source),
        (0x72, PF2) => Instruction::RoundTwo(to, other, source),
        (0x72, PF3) if other == 0 => Instruction::RoundOne(to, source),
        _ => return None,
    };
    Some((instruction, 5 + len))
}

/// From the byte ModRM on, with the fourth bits of index and base, and the unit of a displacement of one byte.
fn decode_memory(code: &[u8], x: u8, b: u8, unit: i64) -> Option<(Memory, usize)> {
    let modrm = *code.first()?;
    let (mode, rm) = (modrm >> 6, modrm & 7);
    let mut len = 1;
    let (mut base, mut index, mut scale) = (Base::Register(rm | b << 3), None, 1);
    if rm == 4 {
        let sib = *code.get(1)?;
        len = 2;
        base = Base::Register(sib & 7 | b << 3);
        index = Some(sib >> 3 & 7 | x << 3).filter(|&index| index != 4);
        scale = 1 << (sib >> 6);
        if sib & 7 == 5 && mode == 0 {
            base = Base::None;
        }
    } else if rm == 5 && mode == 0 {
        base = Base::NextInstruction;
    }
    let displacement = match mode {
        1 => {
            let byte = *code.get(len)? as i8;
            len += 1;
            i64::from(byte) * unit
        }
        2 => four_bytes(code, &mut len)?,
        _ if matches!(base, Base::None | Base::NextInstruction) => four_bytes(code, &mut len)?,
        _ => 0,
    };
    Some((Memory { base, index, scale, displacement }, len))
}

fn four_bytes(code: &[u8], at: &mut usize) -> Option<i64> {
    let bytes = code.get(*at..)?.first_chunk()?;
    *at += 4;
    Some(i64::from(i32::from_le_bytes(*bytes)))
}

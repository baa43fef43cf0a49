//! Instructions in memory.
//!
//! # Source
//! Intel's Software Developer's Manual, volume 2: VEX and EVEX prefixes, and the pages of the instructions.

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
}

/// The instruction, and how many bytes it takes; `None` if it is none of these.
pub fn decode(code: &[u8]) -> Option<(Instruction, usize)> {
    match code.first()? {
        0xc4 => decode_tile(code),
        0x62 => decode_vector(code),
        _ => None,
    }
}

/// The prefix that an instruction's number includes.
const NONE: u8 = 0;
const P66: u8 = 1;
const PF3: u8 = 2;
const PF2: u8 = 3;

fn decode_tile(code: &[u8]) -> Option<(Instruction, usize)> {
    let &[_, first, second, opcode, modrm, ..] = code else { return None };
    let wide_or_long = second & 0x84;
    if first & 0x1f != 2 || wide_or_long != 0 {
        return None;
    }
    let (x, b) = (!first >> 6 & 1, !first >> 5 & 1);
    let (other, prefix) = (!second >> 3 & 15, second & 3);
    let (reg, rm) = (modrm >> 3 & 7, modrm & 7);
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

/// Whole vectors without masks, which is all that the kernels use.
fn decode_vector(code: &[u8]) -> Option<(Instruction, usize)> {
    let &[_, first, second, third, opcode, modrm, ..] = code else { return None };
    let length_and_mask = third & 0xe7;
    if first & 0x0f != 2 || second & 0x84 != 0x04 || length_and_mask != 0x40 {
        return None;
    }
    let (x, b) = (!first >> 6 & 1, !first >> 5 & 1);
    let to = modrm >> 3 & 7 | (!first >> 7 & 1) << 3 | (!first >> 4 & 1) << 4;
    let other = !second >> 3 & 15 | (!third >> 3 & 1) << 4;
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
        let (memory, len) = decode_memory(&code[5..], x, b, 64)?;
        (Source::Memory(memory), len)
    };
    let instruction = match (opcode, second & 3) {
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

#[cfg(test)]
mod tests {
    use super::*;

    const RAX: Memory = Memory { base: Base::Register(0), index: None, scale: 1, displacement: 0 };

    // The bytes are what GNU as 2.40 makes of the assembly above them.
    #[test]
    fn instructions_are_what_an_assembler_says() {
        use Instruction::*;
        let cases: &[(&[u8], Instruction)] = &[
            // ldtilecfg [rax]
            (&[0xc4, 0xe2, 0x78, 0x49, 0x00], LoadConfiguration(RAX)),
            // sttilecfg [rsp+8]
            (
                &[0xc4, 0xe2, 0x79, 0x49, 0x44, 0x24, 0x08],
                StoreConfiguration(Memory {
                    base: Base::Register(4),
                    index: None,
                    scale: 1,
                    displacement: 8,
                }),
            ),
            // tilerelease
            (&[0xc4, 0xe2, 0x78, 0x49, 0xc0], Release),
            // tilezero tmm3
            (&[0xc4, 0xe2, 0x7b, 0x49, 0xd8], ZeroTile(3)),
            // tileloadd tmm4, [r12 + rcx*1]
            (
                &[0xc4, 0xc2, 0x7b, 0x4b, 0x24, 0x0c],
                LoadTile(4, Memory { base: Base::Register(12), index: Some(1), scale: 1, displacement: 0 }),
            ),
            // tileloaddt1 tmm6, [r13 + r14*1 + 1024]
            (
                &[0xc4, 0x82, 0x79, 0x4b, 0xb4, 0x35, 0x00, 0x04, 0x00, 0x00],
                LoadTile(
                    6,
                    Memory { base: Base::Register(13), index: Some(14), scale: 1, displacement: 1024 },
                ),
            ),
            // tilestored [r9 + rdx*2 - 8], tmm7
            (
                &[0xc4, 0xc2, 0x7a, 0x4b, 0x7c, 0x51, 0xf8],
                StoreTile(Memory { base: Base::Register(9), index: Some(2), scale: 2, displacement: -8 }, 7),
            ),
            // tdpbf16ps tmm3, tmm5, tmm7
            (&[0xc4, 0xe2, 0x42, 0x5c, 0xdd], MultiplyTiles(3, 5, 7)),
            // vdpbf16ps zmm1, zmm2, zmm3
            (&[0x62, 0xf2, 0x6e, 0x48, 0x52, 0xcb], MultiplyVectors(1, 2, Source::Register(3))),
            // vdpbf16ps zmm17, zmm10, zmm30
            (&[0x62, 0x82, 0x2e, 0x48, 0x52, 0xce], MultiplyVectors(17, 10, Source::Register(30))),
            // vdpbf16ps zmm9, zmm24, [rsi + 128]
            (
                &[0x62, 0x72, 0x3e, 0x40, 0x52, 0x4e, 0x02],
                MultiplyVectors(
                    9,
                    24,
                    Source::Memory(Memory {
                        base: Base::Register(6),
                        index: None,
                        scale: 1,
                        displacement: 128,
                    }),
                ),
            ),
            // vdpbf16ps zmm9, zmm24, dword ptr [rsi + r8*4 + 8]{1to16}
            (
                &[0x62, 0x32, 0x3e, 0x50, 0x52, 0x4c, 0x86, 0x02],
                MultiplyVectors(
                    9,
                    24,
                    Source::Broadcast(Memory {
                        base: Base::Register(6),
                        index: Some(8),
                        scale: 4,
                        displacement: 8,
                    }),
                ),
            ),
            // vdpbf16ps zmm0, zmm1, [rip + 256]
            (
                &[0x62, 0xf2, 0x76, 0x48, 0x52, 0x05, 0x00, 0x01, 0x00, 0x00],
                MultiplyVectors(
                    0,
                    1,
                    Source::Memory(Memory {
                        base: Base::NextInstruction,
                        index: None,
                        scale: 1,
                        displacement: 256,
                    }),
                ),
            ),
            // vcvtne2ps2bf16 zmm0, zmm1, zmm0
            (&[0x62, 0xf2, 0x77, 0x48, 0x72, 0xc0], RoundTwo(0, 1, Source::Register(0))),
            // vcvtne2ps2bf16 zmm20, zmm5, [r11 + 4096]
            (
                &[0x62, 0xc2, 0x57, 0x48, 0x72, 0x63, 0x40],
                RoundTwo(
                    20,
                    5,
                    Source::Memory(Memory {
                        base: Base::Register(11),
                        index: None,
                        scale: 1,
                        displacement: 4096,
                    }),
                ),
            ),
            // vcvtneps2bf16 ymm18, zmm7
            (&[0x62, 0xe2, 0x7e, 0x48, 0x72, 0xd7], RoundOne(18, Source::Register(7))),
            // vcvtneps2bf16 ymm1, [r12 + 100]
            (
                &[0x62, 0xd2, 0x7e, 0x48, 0x72, 0x8c, 0x24, 0x64, 0x00, 0x00, 0x00],
                RoundOne(
                    1,
                    Source::Memory(Memory {
                        base: Base::Register(12),
                        index: None,
                        scale: 1,
                        displacement: 100,
                    }),
                ),
            ),
        ];
        for (code, expected) in cases {
            let mut followed = code.to_vec();
            followed.extend([0x90; 8]);
            assert_eq!(decode(&followed), Some((*expected, code.len())), "{code:02x?}");
        }
    }

    #[test]
    fn other_instructions_are_left_alone() {
        for code in [&[0x0f, 0x0b, 0, 0, 0, 0, 0, 0][..], &[0xc4], &[0x62, 0xf2], &[]] {
            assert_eq!(decode(code), None);
        }
    }
}

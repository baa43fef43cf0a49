//! What the instructions do.

use nix::libc::ucontext_t;

use super::decode::{Extent, Instruction, Mask, Source, decode};
use super::registers::{Registers, Vector};
use super::{tiles, whole};
use crate::ops::cpu::bf16::{Bf16, twin};

/// Does the instruction at which the thread stopped; false if it is none of those that are emulated, or would not be valid on
/// a processor that has it.
pub fn next_instruction(context: &mut ucontext_t) -> bool {
    let mut registers = Registers(context);
    // No instruction is longer.
    // SAFETY: the thread was about to execute it. Behind the kernels there is more code.
    let code = unsafe { std::slice::from_raw_parts(registers.instruction(), 15) };
    let Some((instruction, len)) = decode(code) else { return false };
    if execute(instruction, len, &mut registers).is_none() {
        return false;
    }
    registers.skip(len);
    true
}

fn execute(instruction: Instruction, len: usize, registers: &mut Registers<'_>) -> Option<()> {
    match instruction {
        Instruction::MultiplyVectors(..)
        | Instruction::RoundTwo(..)
        | Instruction::RoundOne(..)
        | Instruction::MultiplyBytes(..) => on_vectors(instruction, len, registers),
        _ => tiles::execute(instruction, len, registers),
    }
}

fn on_vectors(instruction: Instruction, len: usize, registers: &mut Registers<'_>) -> Option<()> {
    if !registers.have_vectors() {
        return None;
    }
    let last = |source: Source| source_vector(source, len, registers, 0xffff);
    let rounded = |x: Vector| x.map(|x| Bf16::round(f32::from_bits(x)));
    let (to, vector) = match instruction {
        Instruction::MultiplyVectors(to, a, b) => {
            let (sums, a, b) = (registers.vector(to), registers.vector(a), last(b));
            let sum = |i: usize| twin::vdp(f32::from_bits(sums[i]), pair(a[i]), pair(b[i])).to_bits();
            (to, std::array::from_fn(sum))
        }
        Instruction::RoundTwo(to, high, low) => {
            let (high, low) = (rounded(registers.vector(high)), rounded(last(low)));
            (to, words(|i| if i < 16 { low[i] } else { high[i - 16] }))
        }
        Instruction::RoundOne(to, from) => {
            let low = rounded(last(from));
            (to, words(|i| if i < 16 { low[i] } else { Bf16::ZERO }))
        }
        Instruction::MultiplyBytes(to, a, b, extent) => {
            let wanted = wanted(extent, registers);
            let b = source_vector(b, len, registers, wanted);
            let (sums, a) = (registers.vector(to), registers.vector(a));
            let others_stay = matches!(extent.mask, Mask::Merge(_));
            let word = |i: usize| match i < usize::from(extent.words) {
                true if wanted >> i & 1 == 1 => whole::dot(sums[i], a[i], b[i]),
                true if others_stay => sums[i],
                _ => 0,
            };
            (to, std::array::from_fn(word))
        }
        _ => return None,
    };
    registers.set_vector(to, &vector);
    Some(())
}

/// The words that are computed, each a bit.
fn wanted(extent: Extent, registers: &Registers<'_>) -> u16 {
    let all = u16::MAX >> (16 - extent.words);
    match extent.mask {
        Mask::All => all,
        Mask::Merge(number) | Mask::Zero(number) => all & registers.mask(number) as u16,
    }
}

/// Words of memory that are not wanted are not read: they need not be there.
fn source_vector(source: Source, len: usize, registers: &Registers<'_>, wanted: u16) -> Vector {
    let (address, step) = match source {
        Source::Register(number) => return registers.vector(number),
        Source::Memory(memory) => (registers.address(&memory, len), 4),
        Source::Broadcast(memory) => (registers.address(&memory, len), 0),
    };
    let word = |i: usize| {
        if wanted >> i & 1 == 0 {
            return 0;
        }
        // SAFETY: the instruction reads the same memory.
        unsafe { address.wrapping_add(i * step).cast::<u32>().read_unaligned() }
    };
    std::array::from_fn(word)
}

pub fn pair(word: u32) -> [Bf16; 2] {
    [Bf16(word as u16), Bf16((word >> 16) as u16)]
}

fn words(number: impl Fn(usize) -> Bf16) -> Vector {
    std::array::from_fn(|i| u32::from(number(2 * i).0) | u32::from(number(2 * i + 1).0) << 16)
}

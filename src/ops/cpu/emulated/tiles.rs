//! What the instructions on tiles do.

use std::cell::RefCell;

use super::decode::{Instruction, Memory};
use super::execute::pair;
use super::registers::Registers;
use crate::ops::cpu::bf16::twin;

/// The tiles of a thread.
struct Tiles {
    /// Bytes of a row, and rows; zero where a tile is not configured.
    shapes: [(usize, usize); 8],
    data: [[[u8; 64]; 16]; 8],
}

const RELEASED: Tiles = Tiles { shapes: [(0, 0); 8], data: [[[0; 64]; 16]; 8] };

thread_local! {
    static TILES: RefCell<Tiles> = const { RefCell::new(RELEASED) };
}

pub fn execute(instruction: Instruction, len: usize, registers: &Registers<'_>) -> Option<()> {
    TILES.with_borrow_mut(|tiles| tiles.execute(instruction, len, registers))
}

impl Tiles {
    fn execute(&mut self, instruction: Instruction, len: usize, registers: &Registers<'_>) -> Option<()> {
        match instruction {
            Instruction::LoadConfiguration(memory) => {
                // SAFETY: the instruction reads the same memory.
                let bytes = unsafe { registers.address(&memory, len).cast::<[u8; 64]>().read() };
                self.configure(&bytes)?;
            }
            Instruction::StoreConfiguration(memory) => {
                // SAFETY: the instruction writes to the same memory.
                unsafe { registers.address(&memory, len).cast::<[u8; 64]>().write(self.configuration()) };
            }
            Instruction::Release => *self = RELEASED,
            Instruction::ZeroTile(tile) => {
                self.shape(tile)?;
                self.data[usize::from(tile)] = [[0; 64]; 16];
            }
            Instruction::LoadTile(tile, memory) => {
                let (bytes, rows) = self.shape(tile)?;
                let data = &mut self.data[usize::from(tile)];
                *data = [[0; 64]; 16];
                for (i, row) in data[..rows].iter_mut().enumerate() {
                    // SAFETY: the instruction reads the same memory.
                    unsafe { row_in_memory(&memory, len, registers, i).copy_to(row.as_mut_ptr(), bytes) };
                }
            }
            Instruction::StoreTile(memory, tile) => {
                let (bytes, rows) = self.shape(tile)?;
                for (i, row) in self.data[usize::from(tile)][..rows].iter().enumerate() {
                    // SAFETY: the instruction writes to the same memory.
                    unsafe { row_in_memory(&memory, len, registers, i).copy_from(row.as_ptr(), bytes) };
                }
            }
            Instruction::MultiplyTiles(sums, a, b) => self.multiply(sums, a, b)?,
            _ => return None,
        }
        Some(())
    }

    fn configure(&mut self, bytes: &[u8; 64]) -> Option<()> {
        *self = RELEASED;
        let reserved = bytes[1..16].iter().chain(&bytes[32..48]).chain(&bytes[56..]);
        if bytes[0] > 1 || reserved.into_iter().any(|&byte| byte != 0) {
            return None;
        }
        for (tile, shape) in self.shapes.iter_mut().enumerate().filter(|_| bytes[0] == 1) {
            let width = u16::from_le_bytes([bytes[16 + 2 * tile], bytes[17 + 2 * tile]]);
            *shape = (usize::from(width), usize::from(bytes[48 + tile]));
        }
        self.shapes.iter().all(|&(bytes, rows)| bytes <= 64 && rows <= 16).then_some(())
    }

    fn configuration(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[0] = u8::from(self.shapes != RELEASED.shapes);
        for (tile, (width, rows)) in self.shapes.iter().enumerate() {
            (bytes[16 + 2 * tile], bytes[48 + tile]) = (*width as u8, *rows as u8);
        }
        bytes
    }

    fn shape(&self, tile: u8) -> Option<(usize, usize)> {
        let shape = *self.shapes.get(usize::from(tile))?;
        (shape.0 > 0 && shape.1 > 0).then_some(shape)
    }

    fn multiply(&mut self, sums: u8, a: u8, b: u8) -> Option<()> {
        let ((width, height), (depth, a_rows), (b_width, b_rows)) =
            (self.shape(sums)?, self.shape(a)?, self.shape(b)?);
        let fits = height == a_rows && width == b_width && depth == 4 * b_rows && depth.is_multiple_of(4);
        if !fits || !width.is_multiple_of(4) || sums == a || a == b || sums == b {
            return None;
        }
        let [to, a, b] = [sums, a, b].map(usize::from);
        for j in 0..width / 4 {
            let column: [_; 16] = std::array::from_fn(|k| pair(word(&self.data[b][k], j)));
            for i in 0..height {
                let row: [_; 16] = std::array::from_fn(|k| pair(word(&self.data[a][i], k)));
                let before = f32::from_bits(word(&self.data[to][i], j));
                let sum = twin::amx(before, &row[..depth / 4], &column[..depth / 4]);
                self.data[to][i][4 * j..4 * j + 4].copy_from_slice(&sum.to_bits().to_le_bytes());
            }
        }
        Some(())
    }
}

fn word(row: &[u8; 64], number: usize) -> u32 {
    u32::from_le_bytes(*row[4 * number..].first_chunk().expect("a row has sixteen words"))
}

fn row_in_memory(memory: &Memory, len: usize, registers: &Registers<'_>, row: usize) -> *mut u8 {
    let offset = registers.row_stride(memory).wrapping_mul(row as i64);
    registers.row_address(memory, len).wrapping_offset(offset as isize)
}

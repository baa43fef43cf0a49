//! The loops around the kernels, for one thread: which parts of the operands are packed, in which order they meet, and where
//! their sums go. None of it changes a bit: sums grow along the common dimension in the kernel's order, and what is stored
//! between two parts of them is f32, as in the registers.

use std::cell::RefCell;
use std::ops::Range;

use super::pack::{SIDE, STEP, pack_panels, pack_strips};
use super::pages::Pages;
use super::{Bf16, Destination, Line, Rhs};
use crate::ops::cpu::matmul::Write;
use crate::ops::cpu::memory::room;
use crate::ops::cpu::simd::vectorised;
use crate::ops::cpu::view::View;

/// Panels that lie in the second cache at the same time: well under half of the 2 MiB that processors with AMX have. With twice
/// as much the speed depended on which pages the system had given.
const GROUP_BYTES: usize = 768 << 10;
/// More than this many panels gain nothing.
pub const GROUP: usize = 12;
/// Strips that meet all panels before the next ones do.
const STRIPS: usize = 32;
/// Steps up to which the common dimension is not cut: then 4 panels fit.
const DEEP: usize = 96;
/// What it is cut into: 6 panels fit.
const CUT: usize = 64;

/// Up to 32 rows of the left-hand side. A step is a tile of 16 rows x 32 elements and, 16 rows further, another one.
#[derive(Clone, Copy, Debug)]
pub struct Strip {
    pub data: *const u8,
    /// Bytes from row to row.
    pub row_stride: usize,
    /// Bytes from step to step.
    pub step_stride: usize,
    /// Those beyond the matrix are zeros.
    pub rows: usize,
    /// The strip that comes after this one, to be asked for early; it need not exist.
    pub next: *const u8,
}

/// Panels of the right-hand side.
#[derive(Clone, Debug)]
pub struct Panels {
    pub data: *const Line,
    /// Lines from panel to panel.
    pub stride: usize,
    /// Rows of the matrix in a panel; zeros fill the last step.
    pub depth: usize,
    /// Their numbers in the whole matrix.
    pub numbers: Range<usize>,
}

impl Panels {
    pub fn steps(&self) -> usize {
        self.depth.div_ceil(SIDE)
    }
}

/// Where the sums of a block of up to 32 x 32 go.
#[derive(Clone, Copy, Debug)]
pub struct Block {
    pub place: Place,
    pub rows: usize,
    pub columns: usize,
}

/// The first element of a block, and elements from row to row.
#[derive(Clone, Copy, Debug)]
pub enum Place {
    Single {
        to: *mut f32,
        stride: usize,
        add: bool,
    },
    /// The bias begins with the block's first column.
    Rounded {
        to: *mut Bf16,
        stride: usize,
        bias: Option<*const f32>,
    },
}

impl Block {
    /// Of a matrix, the block that begins at (row, column).
    pub fn part(&self, row: usize, column: usize) -> Self {
        let place = match self.place {
            Place::Single { to, stride, add } => {
                Place::Single { to: to.wrapping_add(row * stride + column), stride, add }
            }
            Place::Rounded { to, stride, bias } => {
                let bias = bias.map(|bias| bias.wrapping_add(column));
                Place::Rounded { to: to.wrapping_add(row * stride + column), stride, bias }
            }
        };
        Self { place, rows: (self.rows - row).min(SIDE), columns: (self.columns - column).min(SIDE) }
    }

    pub fn is_whole(&self) -> bool {
        self.rows == SIDE && self.columns == SIDE
    }

    /// A bit for each column that there is.
    pub fn mask(&self) -> u32 {
        u32::MAX >> (SIDE - self.columns)
    }
}

/// A kernel as the loops see it.
pub trait Strips {
    /// Multiplies a strip, which begins at row `row` of the destination `to`, by each panel.
    ///
    /// # Safety
    /// The addresses are those of matrices of that size, `to` is borrowed exclusively, and the processor has the kernel's
    /// instructions.
    unsafe fn multiply(&mut self, strip: &Strip, panels: &Panels, row: usize, to: &Block);

    /// Brings home what is still under way.
    ///
    /// # Safety
    /// As above: the destinations are still there.
    unsafe fn finish(&mut self);
}

#[derive(Default)]
struct Memory {
    panels: Pages,
    strips: Pages,
    sums: Vec<f32>,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

/// The product by this thread alone.
///
/// # Safety
/// The processor has the instructions of the kernel.
pub unsafe fn multiply(
    kernel: &mut impl Strips,
    destination: Destination<'_>,
    lhs: View<'_, Bf16>,
    rhs: Rhs<'_>,
) {
    let (depth, columns) = match rhs {
        Rhs::Plain(view) => (view.rows, view.columns),
        Rhs::Packed(packed) => {
            let lines = packed.rows.div_ceil(SIDE) * packed.columns.div_ceil(SIDE) * STEP;
            assert_eq!(packed.data.len(), lines, "the packed matrix is incomplete");
            (packed.rows, packed.columns)
        }
    };
    let rows = lhs.rows;
    let (to_rows, to_columns) = match &destination {
        Destination::Sums { to, .. } => (to.rows, to.columns),
        Destination::Operand { to, bias } => {
            assert!(bias.is_none_or(|bias| bias.len() == columns), "the bias does not fit");
            (to.rows, to.columns)
        }
    };
    assert!(lhs.columns == depth && to_rows == rows && to_columns == columns, "the shapes do not agree");
    assert!(depth > 0, "sums of nothing");
    if rows == 0 || columns == 0 {
        return;
    }
    MEMORY.with_borrow_mut(|Memory { panels, strips, sums }| {
        let mut nest = Nest { kernel, panels, strips };
        match destination {
            Destination::Sums { to, write } => {
                let place = Place::Single { to: to.data, stride: to.row_stride, add: write == Write::Add };
                // SAFETY: the caller promises the instructions, the addresses are those of matrices whose sizes agree, and
                // the destination is borrowed exclusively.
                unsafe { nest.multiply(lhs, rhs, Block { place, rows, columns }) };
            }
            Destination::Operand { to, bias } if cuts(depth) == 1 => {
                let bias = bias.map(<[f32]>::as_ptr);
                let place = Place::Rounded { to: to.data, stride: to.row_stride, bias };
                // SAFETY: as above.
                unsafe { nest.multiply(lhs, rhs, Block { place, rows, columns }) };
            }
            // Sums that grow in several rounds wait elsewhere until they are complete.
            Destination::Operand { mut to, bias } => {
                for start in (0..rows).step_by(STRIPS * SIDE) {
                    let rows = (rows - start).min(STRIPS * SIDE);
                    let sums = room(sums, rows * columns);
                    let place = Place::Single { to: sums.as_mut_ptr(), stride: columns, add: false };
                    let lhs = lhs.rows(start, start + rows);
                    // SAFETY: as above.
                    unsafe { nest.multiply(lhs, rhs, Block { place, rows, columns }) };
                    for (i, sums) in sums.chunks(columns).enumerate() {
                        round(sums, bias, to.row(start + i));
                    }
                }
            }
        }
    });
}

fn round(sums: &[f32], bias: Option<&[f32]>, to: &mut [Bf16]) {
    vectorised(
        #[inline(always)]
        || match bias {
            None => to.iter_mut().zip(sums).for_each(|(to, &sum)| *to = Bf16::round(sum)),
            Some(bias) => {
                let sums = sums.iter().zip(bias);
                to.iter_mut().zip(sums).for_each(|(to, (sum, bias))| *to = Bf16::round(sum + bias));
            }
        },
    );
}

/// In how many rounds the common dimension is gone through.
fn cuts(depth: usize) -> usize {
    let steps = depth.div_ceil(SIDE);
    if steps <= DEEP { 1 } else { steps.div_ceil(CUT) }
}

struct Nest<'a, K> {
    kernel: &'a mut K,
    panels: &'a mut Pages,
    strips: &'a mut Pages,
}

impl<K: Strips> Nest<'_, K> {
    /// # Safety
    /// As for [`Strips::multiply`]; the shapes agree.
    unsafe fn multiply(&mut self, lhs: View<'_, Bf16>, rhs: Rhs<'_>, mut to: Block) {
        let (depth, cuts) = (lhs.columns, cuts(lhs.columns));
        let steps = depth.div_ceil(SIDE);
        for cut in 0..cuts {
            let (start, end) = (steps * cut / cuts * SIDE, (steps * (cut + 1) / cuts * SIDE).min(depth));
            // SAFETY: as promised.
            unsafe { self.round(lhs.transposed().rows(start, end).transposed(), rhs, start, &to) };
            if let Place::Single { add, .. } = &mut to.place {
                *add = true;
            }
        }
    }

    /// The part of the product in which `lhs` meets the rows of `rhs` from `start` on.
    ///
    /// # Safety
    /// As above.
    unsafe fn round(&mut self, lhs: View<'_, Bf16>, rhs: Rhs<'_>, start: usize, to: &Block) {
        let steps = lhs.columns.div_ceil(SIDE);
        let panels = to.columns.div_ceil(SIDE);
        let groups = panels.div_ceil((GROUP_BYTES / (steps * STEP * size_of::<Line>())).clamp(1, GROUP));
        let strips = to.rows.div_ceil(SIDE);
        for first in (0..strips).step_by(STRIPS) {
            let strips = first..(first + STRIPS).min(strips);
            let left = Left::new(lhs, strips.clone(), self.strips);
            for group in 0..groups {
                let numbers = panels * group / groups..panels * (group + 1) / groups;
                let keep = first > 0 && groups == 1;
                let panels = right(rhs, start, lhs.columns, numbers, keep, self.panels);
                for strip in strips.clone() {
                    // SAFETY: as promised; both operands are where `left` and `panels` say.
                    unsafe { self.kernel.multiply(&left.strip(strip), &panels, strip * SIDE, to) };
                }
            }
        }
        // SAFETY: as promised.
        unsafe { self.kernel.finish() };
    }
}

/// Panels of `depth` rows of the right-hand side from row `start` on; those that have to be packed are already if `keep`.
fn right(
    rhs: Rhs<'_>,
    start: usize,
    depth: usize,
    numbers: Range<usize>,
    keep: bool,
    memory: &mut Pages,
) -> Panels {
    match rhs {
        Rhs::Plain(view) => {
            // An even number of steps would put all panels into the same sets of a cache.
            let stride = (depth.div_ceil(SIDE) | 1) * STEP;
            let lines = memory.lines(stride * numbers.len());
            if !keep {
                pack_panels(view.rows(start, start + depth), numbers.clone(), stride, lines);
            }
            Panels { data: lines.as_ptr(), stride, depth, numbers }
        }
        Rhs::Packed(packed) => {
            let stride = packed.rows.div_ceil(SIDE) * STEP;
            let data = packed.data[numbers.start * stride + start / SIDE * STEP..].as_ptr();
            Panels { data, stride, depth, numbers }
        }
    }
}

/// Where strips of the left-hand side are.
struct Left<'a> {
    lhs: View<'a, Bf16>,
    /// Strips from this one on are packed.
    packed: usize,
    data: *const Line,
    /// Lines from strip to strip.
    stride: usize,
}

impl<'a> Left<'a> {
    /// Kernels read whole steps of whole strips that lie by rows as they are.
    fn new(lhs: View<'a, Bf16>, strips: Range<usize>, memory: &mut Pages) -> Self {
        let as_it_is = lhs.column_stride == 1 && lhs.columns.is_multiple_of(SIDE);
        let whole = if as_it_is { lhs.rows / SIDE } else { 0 };
        let packed = whole.clamp(strips.start, strips.end);
        let stride = (lhs.columns.div_ceil(SIDE) | 1) * STEP;
        let lines = memory.lines(stride * (strips.end - packed));
        pack_strips(lhs, packed..strips.end, stride, lines);
        Self { lhs, packed, data: lines.as_ptr(), stride }
    }

    fn strip(&self, strip: usize) -> Strip {
        let rows = (self.lhs.rows - strip * SIDE).min(SIDE);
        let (data, strip_stride, row_stride, step_stride) = if strip < self.packed {
            let row_stride = self.lhs.row_stride * size_of::<Bf16>();
            let data = self.lhs.data[strip * SIDE * self.lhs.row_stride..].as_ptr();
            (data.cast::<u8>(), SIDE * row_stride, row_stride, size_of::<Line>())
        } else {
            let stride = self.stride * size_of::<Line>();
            let data = self.data.cast::<u8>().wrapping_add((strip - self.packed) * stride);
            (data, stride, size_of::<Line>(), STEP * size_of::<Line>())
        };
        Strip { data, row_stride, step_stride, rows, next: data.wrapping_add(strip_stride) }
    }
}

//! Dropout: masks made on the device, the same as [`Dropout::mask`] makes.

use std::rc::Rc;

use cudarc::driver::DevicePtr;
use dfdx::prelude::*;

use super::context::{Context, Memory};
use super::kernels::{self, Grid};
use super::number::Number;
use super::structures::{DropElements, Mask, Masks};
use crate::ops::{BlockDropout, Dropout, Matrix};

/// Elements whose bits are one number.
const GROUP: usize = 16;

/// A mask's bits, and what the elements that it leaves are multiplied by.
#[derive(Debug)]
pub struct Bits {
    memory: Memory,
    pub kept: f32,
}

impl Bits {
    pub fn address(&self) -> u64 {
        self.memory.address()
    }
}

/// Where bits lie, and the factor; 0 where nothing is dropped.
pub fn parts(bits: Option<&Bits>) -> (u64, f32) {
    bits.map_or((0, 1.0), |bits| (bits.address(), bits.kept))
}

/// The masks of a block.
#[derive(Debug)]
pub struct BlockBits {
    pub attention: Option<Bits>,
    pub attention_out: Option<Bits>,
    pub mlp_out: Option<Bits>,
}

/// Makes the masks of a block whose attention has so many scores and whose activation so many elements.
pub fn try_block_bits<E: Number>(
    context: &Rc<Context>,
    dropout: BlockDropout,
    scores: usize,
    elements: usize,
) -> Result<BlockBits, CudaError> {
    let all = [(dropout.attention, scores), (dropout.attention_out, elements), (dropout.mlp_out, elements)];
    let mut of = [Mask { key: [0; 8], groups: 0, bits: 0, threshold: 0, padding: 0 }; 3];
    let mut made = [None, None, None];
    let mut most = 0;
    for (i, (dropout, len)) in all.into_iter().enumerate() {
        let Some(dropout) = dropout else { continue };
        let groups = len.div_ceil(GROUP);
        let memory = context.try_take::<u16>(groups)?;
        let (key, threshold) = (dropout.key(), dropout.threshold());
        of[i] = Mask { key, groups, bits: memory.address(), threshold, padding: 0 };
        made[i] = Some(Bits { memory, kept: kept::<E>(dropout) });
        most = most.max(groups);
    }
    if most > 0 {
        // SAFETY: there is room for the bits of all groups.
        unsafe { context.launch(kernels::MASKS, Grid::elements(most), Masks { of }) }?;
    }
    let [attention, attention_out, mlp_out] = made;
    Ok(BlockBits { attention, attention_out, mlp_out })
}

/// `y = dropout(x)` for so many elements of `E`.
///
/// # Safety
/// Both are addresses of so many elements on the context's device; they may be the same.
pub unsafe fn try_drop<E: Number>(
    context: &Context,
    dropout: Dropout,
    len: usize,
    x: u64,
    y: u64,
) -> Result<(), CudaError> {
    let (key, threshold, kept) = (dropout.key(), dropout.threshold(), kept::<E>(dropout));
    let parameters = DropElements { key, len, x, y, threshold, kept };
    let grid = Grid::elements(len.div_ceil(GROUP));
    // SAFETY: the caller's promise.
    unsafe { context.launch(kernels::DROP_ELEMENTS.of::<E>(), grid, parameters) }
}

/// As a mask in `E` would have it.
fn kept<E: Number>(dropout: Dropout) -> f32 {
    crate::ops::number::<E>(dropout.kept()).to_f32().unwrap_or(f32::NAN)
}

/// See [`crate::ops::Ops::try_dropout`].
pub fn try_dropout<E: Number, T: Tape<E, Cuda>>(
    x_mc: Matrix<E, Cuda, T>,
    dropout: Option<Dropout>,
) -> Result<Matrix<E, Cuda, T>, CudaError> {
    let Some(dropout) = dropout else { return Ok(x_mc) };
    let (x_mc, mut tape) = x_mc.split_tape();
    let len = x_mc.shape().num_elements();
    let (context, x) = Context::try_of(&x_mc)?;
    let y_mc: Matrix<E, Cuda> = ZerosTensor::<E>::try_zeros_like(x_mc.device(), &x_mc)?;
    let (_, y) = Context::try_of(&y_mc)?;
    // SAFETY: both are tensors of this length.
    unsafe { try_drop::<E>(&context, dropout, len, x, y) }?;
    let (x_ghost, y_ghost) = (x_mc.ghost(), y_mc.ghost());
    tape.add_backward_op(move |gradients| {
        let dy = *gradients.get_or_alloc_mut(&y_ghost)?.device_ptr();
        let dx = *gradients.get_or_alloc_mut(&x_ghost)?.device_ptr();
        // SAFETY: gradients are as large as what they are of.
        unsafe { try_drop::<E>(&context, dropout, len, dy, dx) }
    });
    Ok(y_mc.put_tape(tape))
}

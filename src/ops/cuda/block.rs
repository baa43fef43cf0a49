//! A transformer block: forward, keeping what the backward pass cannot compute cheaply, and backward. What is computed inside never becomes
//! a tensor.
//!
//! Kept per position are 12 widths (each norm's result twice, once before its weight and bias, queries, keys and values 3, attention's result
//! 1, the hidden layer before GELU 4), and attention's weights where all exist at once.

use std::rc::Rc;

use cudarc::driver::DevicePtr;
use dfdx::prelude::*;

use super::attention::{Sizes, Way};
use super::columns::{Also, ColumnSums};
use super::context::{Context, Memory};
use super::kernels::{self, Grid};
use super::masks::{Bits, BlockBits, try_block_bits};
use super::norm::{self, Added, Normed, To, try_add_norm};
use super::number::Number;
use super::parameters::{ATTENTION, ATTENTION_OUT, Addresses, FC, LN_1, LN_2, MLP_OUT, Targets};
use super::structures::BiasGelu;
use crate::ops::{Block, BlockPass, Matrix};

/// What the forward pass keeps.
#[derive(Debug)]
struct Kept {
    bits: BlockBits,
    norm_1: Normed,
    /// The first norm's result.
    y_1: Memory,
    /// By head.
    qkv: Memory,
    weights: Option<Memory>,
    attended: Memory,
    norm_2: Normed,
    y_2: Memory,
    hidden: Memory,
}

/// The sizes of one pass.
#[derive(Clone, Copy, Debug)]
struct Frame {
    rows: usize,
    width: usize,
    attention: Sizes,
}

impl Frame {
    fn len(&self) -> usize {
        self.rows * self.width
    }

    fn shape(&self) -> [usize; 2] {
        [self.rows, self.width]
    }

    /// Computes the block's result for `x`, at `y`, and what the backward pass needs.
    ///
    /// # Safety
    /// `x` and `y` are activations (m, c) on the context's device, and the parameters are of a block of that width.
    unsafe fn try_forward<E: Number>(
        &self,
        context: &Rc<Context>,
        block: &Addresses,
        bits: BlockBits,
        x: u64,
        y: Option<u64>,
    ) -> Result<Kept, CudaError> {
        let (rows, width, shape) = (self.rows, self.width, self.shape());
        let take = |widths: usize| context.try_take::<E>(widths * self.len());
        let (norm_1, y_1, qkv, attended) =
            (Normed::try_new::<E>(context, rows, width)?, take(1)?, take(3)?, take(1)?);
        let (norm_2, y_2, hidden) = (Normed::try_new::<E>(context, rows, width)?, take(1)?, take(4)?);
        // SAFETY: the caller's promise, and all memory is as large as what goes there.
        unsafe {
            let to = To { affine: block.ln_1, y: y_1.address(), normed: Some(&norm_1) };
            try_add_norm::<E>(context, shape, x, None, Some(to))?;
            {
                let positions = take(3)?;
                block.attn_c_attn.try_forward::<E>(context, rows, y_1.address(), positions.address())?;
                let way = Way::ToHeads { bias: block.attn_c_attn.bias };
                self.attention.try_move::<E>(context, 3, positions.address(), qkv.address(), way)?;
            }
            let by_head = take(1)?;
            let weights = self.attention.try_forward::<E>(
                context,
                qkv.address(),
                bits.attention.as_ref(),
                by_head.address(),
            )?;
            let to_positions = Way::ToPositions;
            self.attention.try_move::<E>(context, 1, attended.address(), by_head.address(), to_positions)?;
            // The memory of what went by head is free for what comes from the weights.
            let z = by_head;
            block.attn_c_proj.try_forward::<E>(context, rows, attended.address(), z.address())?;
            let middle = take(1)?;
            let added = Added {
                z: z.address(),
                bias: block.attn_c_proj.bias,
                bits: bits.attention_out.as_ref(),
                sum: middle.address(),
            };
            let to = To { affine: block.ln_2, y: y_2.address(), normed: Some(&norm_2) };
            try_add_norm::<E>(context, shape, x, Some(added), Some(to))?;
            block.mlp_c_fc.try_forward::<E>(context, rows, y_2.address(), hidden.address())?;
            let activated = take(4)?;
            let gelu = BiasGelu {
                rows,
                columns: 4 * width,
                hidden: hidden.address(),
                bias: block.mlp_c_fc.bias,
                activated: activated.address(),
            };
            // Also without a result: it adds the bias to what is kept.
            context.launch(kernels::BIAS_GELU.of::<E>(), Grid::rows(rows, 4 * width), gelu)?;
            if let Some(y) = y {
                block.mlp_c_proj.try_forward::<E>(context, rows, activated.address(), z.address())?;
                let bits = bits.mlp_out.as_ref();
                let added = Added { z: z.address(), bias: block.mlp_c_proj.bias, bits, sum: y };
                try_add_norm::<E>(context, shape, middle.address(), Some(added), None)?;
            }
            Ok(Kept { bits, norm_1, y_1, qkv, weights, attended, norm_2, y_2, hidden })
        }
    }

    /// Adds to the parameters' gradients, and writes the gradient of the block's input to `dx`, from that of its result in `dy`, which is
    /// used up.
    ///
    /// # Safety
    /// As for [`Self::try_forward`], which left `kept`; gradients are as large as what they are of.
    unsafe fn try_backward<E: Number>(
        &self,
        context: &Rc<Context>,
        block: &Addresses,
        kept: Kept,
        to: &Targets,
        dy: u64,
        dx: u64,
    ) -> Result<(), CudaError> {
        let (rows, width, shape) = (self.rows, self.width, self.shape());
        let take = |widths: usize| context.try_take::<E>(widths * self.len());
        let Kept { bits, norm_1, y_1, qkv, weights, attended, norm_2, y_2, hidden } = kept;
        let lens = [width, width, 3 * width, width, width, width, 4 * width, width];
        let mut sums = ColumnSums::try_new(context, rows, &lens)?;
        let dnormed = take(1)?;
        // SAFETY: the caller's promise, and all memory is as large as what goes there.
        unsafe {
            // The perceptron. The gradient of the residual stream passes it by.
            {
                let (dz, _memory) =
                    self.try_dropped::<E>(context, &mut sums, MLP_OUT, to, dy, bits.mlp_out.as_ref())?;
                let dhidden = take(4)?;
                block.mlp_c_proj.try_input::<E>(context, rows, dz, dhidden.address())?;
                let also = Also { hidden: hidden.address(), dropped: None };
                sums.try_bias::<E>(context, FC, dhidden.address(), also)?;
                block.mlp_c_proj.try_weight::<E>(context, rows, hidden.address(), dz, to.mlp_c_proj)?;
                block.mlp_c_fc.try_backward::<E>(
                    context,
                    rows,
                    y_2.address(),
                    dhidden.address(),
                    dnormed.address(),
                    to.mlp_c_fc,
                )?;
            }
            norm::try_backward::<E>(context, shape, dnormed.address(), &norm_2, block.ln_2.weight, dy, dy)?;
            sums.try_norm::<E>(context, LN_2, dnormed.address(), &norm_2)?;
            drop((hidden, y_2, norm_2));

            // Attention.
            let dqkv = take(3)?;
            {
                let bits_out = bits.attention_out.as_ref();
                let (dz, _memory) =
                    self.try_dropped::<E>(context, &mut sums, ATTENTION_OUT, to, dy, bits_out)?;
                let (attended, dattended) = (attended.address(), dnormed.address());
                block.attn_c_proj.try_backward::<E>(
                    context,
                    rows,
                    attended,
                    dz,
                    dattended,
                    to.attn_c_proj,
                )?;
                let by_head = take(1)?;
                let way = Way::ToHeads { bias: 0 };
                self.attention.try_move::<E>(context, 1, dattended, by_head.address(), way)?;
                let all = [qkv.address(), by_head.address(), dqkv.address()];
                self.attention.try_backward::<E>(context, all, bits.attention.as_ref(), weights)?;
            }
            // The memory of queries, keys and values is free for their gradient by position.
            let positions = qkv;
            self.attention.try_move::<E>(
                context,
                3,
                positions.address(),
                dqkv.address(),
                Way::ToPositions,
            )?;
            if to.biases[ATTENTION] != 0 {
                sums.try_bias::<E>(context, ATTENTION, positions.address(), Also::default())?;
            }
            block.attn_c_attn.try_backward::<E>(
                context,
                rows,
                y_1.address(),
                positions.address(),
                dnormed.address(),
                to.attn_c_attn,
            )?;
            norm::try_backward::<E>(context, shape, dnormed.address(), &norm_1, block.ln_1.weight, dy, dx)?;
            sums.try_norm::<E>(context, LN_1, dnormed.address(), &norm_1)?;
            sums.try_add::<E>(context, &to.biases)
        }
    }

    /// The gradient of what was added to the residual stream: where it lies, and what it lies in if not in `dy`. The sum of its columns is
    /// this vector of the sums.
    ///
    /// # Safety
    /// As for [`Self::try_backward`].
    unsafe fn try_dropped<E: Number>(
        &self,
        context: &Rc<Context>,
        sums: &mut ColumnSums,
        vector: usize,
        to: &Targets,
        dy: u64,
        bits: Option<&Bits>,
    ) -> Result<(u64, Option<Memory>), CudaError> {
        let memory = bits.map(|_| context.try_take::<E>(self.len())).transpose()?;
        let dropped = bits.zip(memory.as_ref().map(Memory::address));
        if dropped.is_some() || to.biases[vector] != 0 {
            // SAFETY: the caller's promise.
            unsafe { sums.try_bias::<E>(context, vector, dy, Also { hidden: 0, dropped }) }?;
        }
        Ok((dropped.map_or(dy, |(_, address)| address), memory))
    }
}

/// See [`crate::ops::Ops::try_block`].
pub fn try_block<E: Number, T: Tape<E, Cuda>>(
    x_mc: Matrix<E, Cuda, T>,
    block: &Block<E, Cuda>,
    pass: &BlockPass<E, Cuda>,
) -> Result<Matrix<E, Cuda, T>, CudaError> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let (rows, width) = *x_mc.shape();
    let (shape, max_scores) = (pass.shape, pass.max_scores);
    let attention = Sizes { shape, width: width / shape.heads, max_scores };
    let frame = Frame { rows, width, attention };
    let (context, x) = Context::try_of(&x_mc)?;
    let dropout = pass.dropout;
    let try_bits = {
        let context = Rc::clone(&context);
        move || try_block_bits::<E>(&context, dropout, attention.scores(), frame.len())
    };
    let y_mc: Matrix<E, Cuda> = ZerosTensor::<E>::try_zeros_like(x_mc.device(), &x_mc)?;
    let (_, y) = Context::try_of(&y_mc)?;
    let addresses = Addresses::try_of(block)?;
    // SAFETY: input and result are activations of this shape, and the block is one of their width.
    let kept = unsafe { frame.try_forward::<E>(&context, &addresses, try_bits()?, x, Some(y)) }?;
    if T::OWNS_TAPE {
        let kept = (!pass.recompute).then_some(kept);
        // Who keeps nothing else needs the input.
        let input = pass.recompute.then(|| x_mc.clone());
        let (block, device) = (block.clone(), x_mc.device().clone());
        let (x_ghost, y_ghost) = (x_mc.ghost(), y_mc.ghost());
        tape.add_backward_op(move |gradients| {
            let addresses = Addresses::try_of(&block)?;
            let kept = match (kept, input) {
                (Some(kept), _) => kept,
                (None, Some(x_mc)) => {
                    let (_, x) = Context::try_of(&x_mc)?;
                    // SAFETY: as above.
                    unsafe { frame.try_forward::<E>(&context, &addresses, try_bits()?, x, None) }?
                }
                (None, None) => unreachable!("what is not kept is computed again"),
            };
            // Something small is left in its place.
            let spent = Storage::<E>::try_alloc_len(&device, 1)?;
            let dy = std::mem::replace(gradients.get_or_alloc_mut(&y_ghost)?, spent);
            let dx = *gradients.get_or_alloc_mut(&x_ghost)?.device_ptr();
            let to = Targets::try_of(gradients, &block)?;
            // SAFETY: gradients are as large as what they are of.
            unsafe { frame.try_backward::<E>(&context, &addresses, kept, &to, *dy.device_ptr(), dx) }
        });
    }
    Ok(y_mc.put_tape(tape))
}

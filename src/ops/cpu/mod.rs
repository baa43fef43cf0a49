//! The operations on `Cpu` in f32, fused: each is one entry on dfdx's tape, and what it computes inside lies in pooled buffers,
//! not in tensors.
//!
//! The files below work on slices and know nothing of dfdx; this one takes data out of tensors, puts it back, and connects
//! both passes through the tape. dfdx gives no view of a CPU tensor's data, so weights and inputs are copied out. Gradients
//! are storage that can be used in place, and moves from one operation to the one before it.
//!
//! Work is cut into pieces of fixed size for the current rayon pool, so results do not depend on the number of threads.
//! `gemm` and `pulp` choose among AVX-512, AVX2 and the target's baseline at run time.

use dfdx::prelude::*;
use rayon::prelude::*;

use bf16::{Kernel, Rounded};

use super::{Block, BlockPass, Dropout, Hits, LayerNorm, Matrix, Ops, Scalar};

pub mod activation;
mod attention;
pub mod bf16;
mod block;
mod embedding;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
pub(crate) mod emulated;
mod head;
pub mod layer_norm;
pub mod matmul;
mod memory;
pub mod operand;
pub mod orthogonal;
mod rows;
pub mod simd;
pub mod view;
mod weights;

#[cfg(test)]
pub(crate) mod tests;

use memory::{Buffer, put, take};
use operand::Operand;
use weights::{InSingle, Parameters, WeightsOf, copy};

impl Ops<f32> for Cpu {
    const USES_CACHE: bool = false;

    fn try_embedding<T: Tape<f32, Self>>(
        mut tape: T,
        wte_vc: &Matrix<f32, Self>,
        wpe_pc: &Matrix<f32, Self>,
        token_ids: &[u32],
        tokens: usize,
    ) -> Result<Matrix<f32, Self, T>, CpuError> {
        let columns = wte_vc.shape().1;
        let mut x_mc = Buffer::try_take(token_ids.len() * columns)?;
        let wpe = copy(wpe_pc)?;
        embedding::forward(&wpe, token_ids, tokens, &mut x_mc, |id, x| {
            x.iter_mut().enumerate().for_each(|(j, x)| *x = wte_vc[[id, j]]);
        });
        let x_mc = try_tensor(wte_vc.device(), x_mc, (token_ids.len(), columns))?;
        if T::OWNS_TAPE {
            let (wte, wpe, x) = (wte_vc.ghost(), wpe_pc.ghost(), x_mc.ghost());
            let token_ids = token_ids.to_vec();
            tape.add_backward_op(move |gradients| {
                let dx = take(gradients.get_or_alloc_mut(&x)?);
                embedding::backward_tokens(&dx, &token_ids, columns, gradients.get_or_alloc_mut(&wte)?);
                embedding::backward_positions(&dx, tokens, columns, gradients.get_or_alloc_mut(&wpe)?);
                Ok(())
            });
        }
        Ok(x_mc.put_tape(tape))
    }

    fn try_dropout<T: Tape<f32, Self>>(
        x_mc: Matrix<f32, Self, T>,
        dropout: Option<Dropout>,
    ) -> Result<Matrix<f32, Self, T>, CpuError> {
        let Some(dropout) = dropout else { return Ok(x_mc) };
        let (x_mc, mut tape) = x_mc.split_tape();
        let mut y_mc = copy(&x_mc)?;
        rows::drop_elements(&mut y_mc, dropout);
        let y_mc = try_tensor(x_mc.device(), y_mc, *x_mc.shape())?;
        let (x, y) = (x_mc.ghost(), y_mc.ghost());
        tape.add_backward_op(move |gradients| {
            let mut dx = take(gradients.get_or_alloc_mut(&y)?);
            rows::drop_elements(&mut dx, dropout);
            put(gradients.get_or_alloc_mut(&x)?, dx);
            Ok(())
        });
        Ok(y_mc.put_tape(tape))
    }

    fn try_block<T: Tape<f32, Self>>(
        x_mc: Matrix<f32, Self, T>,
        block: &Block<f32, Self>,
        pass: &BlockPass<f32, Self>,
    ) -> Result<Matrix<f32, Self, T>, CpuError> {
        match &block.rounded {
            None => try_block(x_mc, block, pass, InSingle),
            Some(rounded) => try_block(x_mc, block, pass, rounded.clone()),
        }
    }

    fn try_layer_norm<T: Tape<f32, Self>>(
        x_mc: Matrix<f32, Self, T>,
        norm: &LayerNorm<f32, Self>,
    ) -> Result<Matrix<f32, Self, T>, CpuError> {
        let (x_mc, mut tape) = x_mc.split_tape();
        let columns = x_mc.shape().1;
        let x = copy(&x_mc)?;
        let weight = copy(&norm.weight_c)?;
        let bias = norm.bias_c.as_ref().map(copy).transpose()?;
        let affine = layer_norm::Affine { weight: &weight, bias: bias.as_deref() };
        let mut stats = Buffer::try_take(2 * x_mc.shape().0)?;
        let mut y_mc = Buffer::try_take(x.len())?;
        layer_norm::measure(&x, columns, &mut stats);
        layer_norm::normalise(&x, &stats, affine, &mut y_mc);
        let y_mc = try_tensor(x_mc.device(), y_mc, *x_mc.shape())?;
        if T::OWNS_TAPE {
            let (x_ghost, y_ghost) = (x_mc.ghost(), y_mc.ghost());
            let (weight_ghost, bias_ghost) =
                (norm.weight_c.ghost(), norm.bias_c.as_ref().map(|bias| bias.ghost()));
            tape.add_backward_op(move |gradients| {
                let dy = take(gradients.get_or_alloc_mut(&y_ghost)?);
                let mut dx = Buffer::try_take(dy.len())?;
                dx.fill(0.0);
                let [dweight, dbias] = layer_norm::backward(&dy, &x, &stats, &weight, &mut dx);
                rows::add(gradients.get_or_alloc_mut(&weight_ghost)?, &dweight);
                if let Some(bias) = &bias_ghost {
                    rows::add(gradients.get_or_alloc_mut(bias)?, &dbias);
                }
                put(gradients.get_or_alloc_mut(&x_ghost)?, dx);
                Ok(())
            });
        }
        Ok(y_mc.put_tape(tape))
    }

    fn try_head<T: Tape<f32, Self>>(
        x_mc: Matrix<f32, Self, T>,
        wte_vc: &Matrix<f32, Self>,
    ) -> Result<Matrix<f32, Self, T>, CpuError> {
        super::composed::try_head(x_mc, wte_vc)
    }

    fn try_head_loss<T: Tape<f32, Self>>(
        x_mc: Matrix<f32, Self, T>,
        wte_vc: &Matrix<f32, Self>,
        rounded: Option<&Rounded>,
        targets: &[u32],
        hits: &Hits,
    ) -> Result<Scalar<f32, Self, T>, CpuError> {
        let (x_mc, mut tape) = x_mc.split_tape();
        let x = copy(&x_mc)?;
        let try_find = |gradients: Option<head::Gradients<'_>>| match rounded {
            None => head::loss(&x, &copy(wte_vc)?, targets, head::Numbers::Single, gradients),
            // In f32 the order of the exact head is the faster one.
            Some(w) if w.kernel() == Kernel::Widened => {
                let (x, w) = (bf16::widened(&x)?, bf16::widened_again(&w.try_read(wte_vc)?)?);
                head::loss(&x, &w, targets, head::Numbers::Rounded, gradients)
            }
            Some(w) => head::transposed::loss(w.kernel(), &x, &w.try_read(wte_vc)?, targets, gradients),
        };
        let try_loss = |gradients: Option<head::Gradients<'_>>| -> Result<f64, CpuError> {
            let found = try_find(gradients)?;
            hits.add(found.right, targets.len());
            Ok(found.loss)
        };
        let device = x_mc.device();
        let loss = if T::OWNS_TAPE {
            let mut dx = Buffer::try_take(x.len())?;
            let mut dw = Buffer::try_take(wte_vc.shape().num_elements())?;
            let loss = try_loss(Some(head::Gradients { dx: &mut dx, dw: &mut dw }))?;
            let loss = try_scalar(device, loss)?;
            let (x_ghost, w_ghost, loss_ghost) = (x_mc.ghost(), wte_vc.ghost(), loss.ghost());
            tape.add_backward_op(move |gradients| {
                let scale = gradients.get_or_alloc_mut(&loss_ghost)?[0];
                dx.par_chunks_mut(rows::ELEMENTS).for_each(|dx| dx.iter_mut().for_each(|dx| *dx *= scale));
                rows::add_scaled(gradients.get_or_alloc_mut(&w_ghost)?, &dw, scale);
                put(gradients.get_or_alloc_mut(&x_ghost)?, dx);
                Ok(())
            });
            loss
        } else {
            try_scalar(device, try_loss(None)?)?
        };
        Ok(loss.put_tape(tape))
    }
}

/// A block with products of `O`, whose weights `read` gives in either pass.
fn try_block<T: Tape<f32, Cpu>, O: Operand>(
    x_mc: Matrix<f32, Cpu, T>,
    block: &Block<f32, Cpu>,
    pass: &BlockPass<f32, Cpu>,
    weights: impl WeightsOf<O>,
) -> Result<Matrix<f32, Cpu, T>, CpuError> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let (shape, dropout) = (pass.shape, pass.dropout);
    let x = copy(&x_mc)?;
    let (y_mc, kept) = weights.try_with(block, |weights| block::forward(&x, weights, shape, dropout))?;
    let y_mc = try_tensor(x_mc.device(), y_mc, *x_mc.shape())?;
    if T::OWNS_TAPE {
        let kept = (!pass.recompute).then_some(kept);
        let block = block.clone();
        let y_ghost = y_mc.ghost();
        tape.add_backward_op(move |gradients| {
            let mut gradient = take(gradients.get_or_alloc_mut(&y_ghost)?);
            let x = copy(&x_mc)?;
            let mut parameters = Parameters { block: &block, gradients };
            weights.try_with(&block, |weights| {
                let kept = match kept {
                    Some(kept) => kept,
                    None => block::forward_to_hidden(&x, weights, shape, dropout)?,
                };
                block::backward(&x, kept, weights, shape, dropout, &mut gradient, &mut parameters)
            })?;
            put(gradients.get_or_alloc_mut(&x_mc)?, gradient);
            Ok(())
        });
    }
    Ok(y_mc.put_tape(tape))
}

/// A tensor that takes over the buffer's memory.
fn try_tensor<S: Shape>(device: &Cpu, data: Buffer, shape: S) -> Result<Tensor<S, f32, Cpu>, CpuError> {
    TensorFromVec::<f32>::try_tensor_from_vec(device, data.into_vec(), shape)
}

fn try_scalar(device: &Cpu, value: f64) -> Result<Scalar<f32, Cpu>, CpuError> {
    TensorFromVec::<f32>::try_tensor_from_vec(device, vec![value as f32], ())
}

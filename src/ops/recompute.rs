//! Activation checkpointing on any dfdx device: a block's input is kept, and the block computed again when its gradient
//! is needed.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::prelude::*;

use super::{AttentionShape, Block, BlockDropout, CausalMask, Matrix, Scalar, composed};

/// As [`composed::try_block`], whose tape lives only while its gradients are computed.
pub fn try_block<E: Dtype, D: Device<E>, T: Tape<E, D>>(
    x_mc: Matrix<E, D, T>,
    block: &Block<E, D>,
    shape: AttentionShape,
    mask: &CausalMask<E, D>,
    dropout: BlockDropout,
) -> Result<Matrix<E, D, T>, D::Err> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let y_mc = composed::try_block(x_mc.clone(), block, shape, mask, dropout)?;
    let y_ghost = y_mc.ghost();
    let (block, mask) = (block.clone(), mask.clone());
    tape.add_backward_op(move |gradients| {
        gradients.try_alloc_for(&y_ghost)?;
        let dy_mc = gradients.get(&y_ghost);
        let mut inner = try_tape(std::mem::replace(gradients, Gradients::leaky()), x_mc.device())?;

        // The first operation on a tape is the last of its backward pass, after which dfdx drops every gradient that is not
        // a parameter's.
        let x_ghost = x_mc.ghost();
        let dx_mc = Rc::new(RefCell::new(None));
        let kept = Rc::clone(&dx_mc);
        let device = x_mc.device().clone();
        inner.add_backward_op(move |gradients| {
            let spent = Storage::<E>::try_alloc_len(&device, 0)?;
            *kept.borrow_mut() = Some(std::mem::replace(gradients.get_or_alloc_mut(&x_ghost)?, spent));
            Ok(())
        });

        let y_mc = composed::try_block(x_mc.clone().put_tape(inner), &block, shape, &mask, dropout)?;
        // The gradient of sum(y * dy) by y is dy.
        *gradients = y_mc.try_mul(dy_mc)?.try_sum::<Rank0, _>()?.try_backward()?;
        if let Some(dx_mc) = dx_mc.take() {
            *gradients.get_or_alloc_mut(&x_mc)? = dx_mc;
        }
        Ok(())
    });
    Ok(y_mc.put_tape(tape))
}

/// A tape that adds to these gradients.
pub fn try_tape<E: Dtype, D: Device<E>>(
    gradients: Gradients<E, D>,
    device: &D,
) -> Result<OwnedTape<E, D>, D::Err> {
    let carrier: Scalar<E, D> = ZerosTensor::<E>::try_zeros(device)?;
    Ok(carrier.traced(gradients).split_tape().1)
}

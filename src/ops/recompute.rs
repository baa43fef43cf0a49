//! Activation checkpointing on any dfdx device: what goes into a part of the model is kept, and the part computed again when
//! its gradient is needed.
//!
//! # Source
//! Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::prelude::*;

use super::{Block, BlockPass, Buffer, Matrix, Scalar, composed};

/// A part of the model that leads from one activation to one result. It gives the same result each time.
pub trait Segment<E: Dtype, D: Storage<E>>: 'static {
    type Output: Shape;

    fn try_forward<T: Tape<E, D>>(
        &self,
        x_mc: Matrix<E, D, T>,
    ) -> Result<Tensor<Self::Output, E, D, T>, D::Err>;
}

impl<E: Dtype, D: Device<E>> Segment<E, D> for (Block<E, D>, BlockPass<E, D>) {
    type Output = (usize, usize);

    fn try_forward<T: Tape<E, D>>(&self, x_mc: Matrix<E, D, T>) -> Result<Matrix<E, D, T>, D::Err> {
        composed::try_block(x_mc, &self.0, &self.1)
    }
}

/// The segment's result, whose own tape lives only while its gradients are computed.
pub fn try_recomputed<E: Dtype, D: Device<E>, T: Tape<E, D>, S: Segment<E, D>>(
    x_mc: Matrix<E, D, T>,
    segment: S,
) -> Result<Tensor<S::Output, E, D, T>, D::Err> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let y = segment.try_forward(x_mc.clone())?;
    let y_ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        let device = x_mc.device().clone();
        let dy = try_take(gradients.get_or_alloc_mut(&y_ghost)?, &device)?;
        let mut inner = try_tape(std::mem::replace(gradients, Gradients::leaky()), &device)?;

        // The first operation on a tape is the last of its backward pass, after which dfdx drops every gradient that is not
        // a parameter's.
        let x_ghost = x_mc.ghost();
        let dx_mc = Rc::new(RefCell::new(None));
        let (kept, device_of_x) = (Rc::clone(&dx_mc), device.clone());
        inner.add_backward_op(move |gradients| {
            let dx_mc = try_take(gradients.get_or_alloc_mut(&x_ghost)?, &device_of_x)?;
            *kept.borrow_mut() = Some(dx_mc);
            Ok(())
        });

        let y = segment.try_forward(x_mc.clone().put_tape(inner))?;
        *gradients = try_backward_from(y, dy)?;
        if let Some(dx_mc) = dx_mc.take() {
            *gradients.get_or_alloc_mut(&x_mc)? = dx_mc;
        }
        Ok(())
    });
    Ok(y.put_tape(tape))
}

/// Goes back over the tape of `y` with `dy` as the gradient of `y`.
pub fn try_backward_from<S: Shape, E: Dtype, D: Device<E>>(
    y: Tensor<S, E, D, OwnedTape<E, D>>,
    dy: Buffer<E, D>,
) -> Result<Gradients<E, D>, D::Err> {
    let (y, mut tape) = y.split_tape();
    let y_ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        *gradients.get_or_alloc_mut(&y_ghost)? = dy;
        Ok(())
    });
    // dfdx goes back from scalars only; this one has nothing to do with `y`.
    let start: Scalar<E, D> = ZerosTensor::<E>::try_zeros(y.device())?;
    start.put_tape(tape).try_backward()
}

/// The buffer's content, with something small left in its place.
pub fn try_take<E: Dtype, D: Device<E>>(
    buffer: &mut Buffer<E, D>,
    device: &D,
) -> Result<Buffer<E, D>, D::Err> {
    Ok(std::mem::replace(buffer, Storage::<E>::try_alloc_len(device, 1)?))
}

/// A tape that adds to these gradients.
pub fn try_tape<E: Dtype, D: Device<E>>(
    gradients: Gradients<E, D>,
    device: &D,
) -> Result<OwnedTape<E, D>, D::Err> {
    let carrier: Scalar<E, D> = ZerosTensor::<E>::try_zeros(device)?;
    Ok(carrier.traced(gradients).split_tape().1)
}

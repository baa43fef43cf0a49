//! Activation checkpointing on any dfdx device: what goes into a part of the model is kept, and the part computed again when
//! its gradient is needed. And what else it takes to run one backward pass inside another.
//!
//! # Source
//! Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::optim::UnusedTensors;
use dfdx::prelude::*;
use dfdx::tensor::UniqueId;

use super::{Block, BlockPass, Buffer, Matrix, Scalar, composed};

/// A part of the model that leads from one activation to another. It gives the same result each time.
pub trait Segment<E: Dtype, D: Storage<E>>: 'static {
    /// Whether there are parameters in it.
    const HAS_WEIGHTS: bool;

    fn try_forward<T: Tape<E, D>>(&self, x_mc: Matrix<E, D, T>) -> Result<Matrix<E, D, T>, D::Err>;
}

impl<E: Dtype, D: Device<E>> Segment<E, D> for (Block<E, D>, BlockPass<E, D>) {
    const HAS_WEIGHTS: bool = true;

    fn try_forward<T: Tape<E, D>>(&self, x_mc: Matrix<E, D, T>) -> Result<Matrix<E, D, T>, D::Err> {
        composed::try_block(x_mc, &self.0, &self.1)
    }
}

/// The segment's result, whose own tape lives only while its gradients are computed.
///
/// A segment with weights adds to the gradients of all, and dfdx then drops every gradient that is not a parameter's. So it must
/// be alone on its way through the model: nothing beside it may have a gradient that is still needed.
pub fn try_recomputed<E: Dtype, D: Device<E>, T: Tape<E, D>, S: Segment<E, D>>(
    x_mc: Matrix<E, D, T>,
    segment: S,
) -> Result<Matrix<E, D, T>, D::Err> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let y_mc = segment.try_forward(x_mc.clone())?;
    let y_ghost = y_mc.ghost();
    tape.add_backward_op(move |gradients| {
        let device = x_mc.device().clone();
        let dy_mc = try_take(gradients.get_or_alloc_mut(&y_ghost)?, &device)?;
        let shared = if S::HAS_WEIGHTS {
            std::mem::replace(gradients, Gradients::leaky())
        } else {
            Gradients::leaky()
        };
        let mut inner = try_tape(shared, &device)?;
        let dx_mc = keep_gradient(&mut inner, &x_mc);
        let y_mc = segment.try_forward(x_mc.clone().put_tape(inner))?;
        let shared = try_backward_from(y_mc, dy_mc)?;
        if S::HAS_WEIGHTS {
            *gradients = shared;
        }
        if let Some(dx_mc) = dx_mc.take() {
            *gradients.get_or_alloc_mut(&x_mc)? = dx_mc;
        }
        Ok(())
    });
    Ok(y_mc.put_tape(tape))
}

/// A place for a gradient that a tape's operations find or leave there.
pub type Slot<E, D> = Rc<RefCell<Option<Buffer<E, D>>>>;

/// Takes the gradient of `x`, which a new tape begins with, at the end of its backward pass: dfdx then drops every gradient that
/// is not a parameter's.
pub fn keep_gradient<S: Shape, E: Dtype, D: Device<E>>(
    tape: &mut OwnedTape<E, D>,
    x: &Tensor<S, E, D>,
) -> Slot<E, D> {
    let (ghost, device) = (x.ghost(), x.device().clone());
    let slot = Slot::<E, D>::default();
    let kept = Rc::clone(&slot);
    // The first operation on a tape is the last of its backward pass.
    tape.add_backward_op(move |gradients| {
        *kept.borrow_mut() = Some(try_take(gradients.get_or_alloc_mut(&ghost)?, &device)?);
        Ok(())
    });
    slot
}

/// Begins the backward pass of a tape that led to `y` with the gradient of `y` that lies in the slot by then.
pub fn seed_gradient<S: Shape, E: Dtype, D: Device<E>>(
    tape: &mut OwnedTape<E, D>,
    y: &Tensor<S, E, D>,
) -> Slot<E, D> {
    let ghost = y.ghost();
    let slot = Slot::<E, D>::default();
    let seed = Rc::clone(&slot);
    tape.add_backward_op(move |gradients| {
        if let Some(dy) = seed.take() {
            *gradients.get_or_alloc_mut(&ghost)? = dy;
        }
        Ok(())
    });
    slot
}

/// Goes back over a tape that begins with [`seed_gradient`].
pub fn try_backward<E: Dtype, D: Device<E>>(
    tape: OwnedTape<E, D>,
    device: &D,
) -> Result<Gradients<E, D>, D::Err> {
    // dfdx goes back from scalars only. This one has nothing to do with anything on the tape.
    let start: Scalar<E, D> = ZerosTensor::<E>::try_zeros(device)?;
    start.put_tape(tape).try_backward()
}

/// Goes back over the tape of `y` with `dy` as the gradient of `y`.
pub fn try_backward_from<S: Shape, E: Dtype, D: Device<E>>(
    y: Tensor<S, E, D, OwnedTape<E, D>>,
    dy: Buffer<E, D>,
) -> Result<Gradients<E, D>, D::Err> {
    let (y, mut tape) = y.split_tape();
    seed_gradient(&mut tape, &y).replace(Some(dy));
    let device = y.device().clone();
    drop(y);
    try_backward(tape, &device)
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

/// The id under which dfdx keeps a tensor's gradient, as a list of one. dfdx shows ids only through this collector.
pub fn id_of<S: Shape, E: Dtype, D: Storage<E>>(tensor: &Tensor<S, E, D>) -> Vec<UniqueId> {
    let mut collector = UnusedTensors::default();
    collector.add(tensor);
    collector.ids
}

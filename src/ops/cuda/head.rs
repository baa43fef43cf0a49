//! The head, tied to the token embedding, and its cross entropy.

use std::rc::Rc;

use cudarc::driver::{DevicePtr, result};
use dfdx::prelude::*;

use super::context::{Context, Memory};
use super::gradient;
use super::kernels::{self, Grid};
use super::number::Number;
use super::product::{Product, Side};
use super::structures::{CrossEntropy, CrossEntropyBackward, MeanLoss};
use crate::ops::composed::{HeadInParts, LossesAndGradients, SharedLoss};
use crate::ops::{Hits, Matrix, Scalar};

/// Some positions' logits and the tokens that are to be predicted there.
#[derive(Debug)]
struct Logits {
    context: Rc<Context>,
    rows: usize,
    width: usize,
    vocabulary: usize,
    logits: Memory,
    targets: Memory,
    /// `log(sum(exp(logits)))`, the loss, and whether the prediction was right, of each position; and how many were.
    figures: Memory,
}

impl Logits {
    /// Those of `rows` activations of `width` at `x`.
    ///
    /// # Safety
    /// `x` is so many activations and `weight` (v, c) on the context's device. Targets are in the vocabulary.
    unsafe fn try_new<E: Number>(
        context: &Rc<Context>,
        [width, vocabulary]: [usize; 2],
        x: u64,
        weight: u64,
        targets: &[u32],
    ) -> Result<Self, CudaError> {
        let rows = targets.len();
        let logits = context.try_take::<E>(rows * vocabulary)?;
        let (x, weight) = (Side::plain(x), Side::transposed(weight));
        let product = Product::one(rows, width, vocabulary, x, weight, logits.address());
        // SAFETY: the caller's promise.
        unsafe { product.try_on::<E>(context) }?;
        let (targets, figures) = (context.try_upload(targets, rows)?, context.try_take::<f32>(3 * rows + 1)?);
        let all = Self { context: Rc::clone(context), rows, width, vocabulary, logits, targets, figures };
        let [log_sums, losses, right, _] = all.figures();
        let parameters = CrossEntropy {
            rows,
            columns: vocabulary,
            logits: all.logits.address(),
            targets: all.targets.address(),
            log_sums,
            losses,
            right,
        };
        // SAFETY: the caller's promise, and there is room for the figures.
        unsafe {
            all.context.launch(kernels::CROSS_ENTROPY.of::<E>(), Grid::rows(rows, vocabulary), parameters)
        }?;
        Ok(all)
    }

    fn figures(&self) -> [u64; 4] {
        [0, 1, 2, 3].map(|i| self.figures.at::<f32>(i * self.rows))
    }

    /// Their mean loss.
    fn try_mean<F: Number>(&self, device: &Cuda) -> Result<Scalar<F, Cuda>, CudaError> {
        let mean: Scalar<F, Cuda> = ZerosTensor::<F>::try_zeros(device)?;
        let (_, loss) = Context::try_of(&mean)?;
        let [_, losses, right, hits] = self.figures();
        let parameters = MeanLoss { rows: self.rows, losses, right, loss, hits };
        // SAFETY: there are so many figures, and the loss is a scalar.
        unsafe { self.context.launch(kernels::MEAN_LOSS.of::<F>(), Grid::blocks(1), parameters) }?;
        Ok(mean)
    }

    /// How many predictions were right, once the mean was asked for and the device has it.
    fn try_right(&self) -> Result<usize, CudaError> {
        let mut right = [0.0_f32];
        let [.., hits] = self.figures();
        self.context.device.bind_to_thread()?;
        // SAFETY: a number lies there.
        unsafe { result::memcpy_dtoh_sync(&mut right, hits) }?;
        Ok(right[0] as usize)
    }

    /// Replaces the logits by `factor * upstream` times the gradient of each one's loss, and adds what follows from it: `dx = `, `dweight += `.
    ///
    /// # Safety
    /// As for [`Self::try_new`]; gradients are as large as what they are of, and `upstream` is a number on the device, or 0.
    unsafe fn try_backward<E: Number>(
        self,
        [x, weight, dx, dweight]: [u64; 4],
        upstream: u64,
        factor: f64,
    ) -> Result<(), CudaError> {
        let (rows, width, columns) = (self.rows, self.width, self.vocabulary);
        let [log_sums, ..] = self.figures();
        let logits = self.logits.address();
        let parameters = CrossEntropyBackward {
            rows,
            columns,
            logits,
            targets: self.targets.address(),
            log_sums,
            upstream,
            factor: factor as f32,
            padding: 0,
        };
        let grid = Grid::rows(rows, columns);
        let of_x = Product::one(rows, columns, width, Side::plain(logits), Side::plain(weight), dx);
        let of_weight = Product::one(columns, rows, width, Side::transposed(logits), Side::plain(x), dweight);
        // SAFETY: the caller's promise.
        unsafe {
            self.context.launch(kernels::CROSS_ENTROPY_BACKWARD.of::<E>(), grid, parameters)?;
            of_x.try_on::<E>(&self.context)?;
            Product { adds: true, ..of_weight }.try_on::<E>(&self.context)
        }
    }
}

/// See [`crate::ops::Ops::try_head_loss`].
pub fn try_head_loss<E: Number, T: Tape<E, Cuda>>(
    x_mc: Matrix<E, Cuda, T>,
    wte_vc: &Matrix<E, Cuda>,
    targets: &[u32],
    hits: &Hits,
) -> Result<Scalar<E, Cuda, T>, CudaError> {
    let (x_mc, mut tape) = x_mc.split_tape();
    let (context, x) = Context::try_of(&x_mc)?;
    let (_, weight) = Context::try_of(wte_vc)?;
    let (vocabulary, width) = *wte_vc.shape();
    // SAFETY: the activations and the weight have these shapes, and callers checked the targets.
    let logits = unsafe { Logits::try_new::<E>(&context, [width, vocabulary], x, weight, targets) }?;
    let loss = logits.try_mean::<E>(x_mc.device())?;
    if T::OWNS_TAPE {
        let (x_ghost, loss_ghost, wte_vc) = (x_mc.ghost(), loss.ghost(), wte_vc.clone());
        tape.add_backward_op(move |gradients| {
            let upstream = *gradients.get_or_alloc_mut(&loss_ghost)?.device_ptr();
            let dx = *gradients.get_or_alloc_mut(&x_ghost)?.device_ptr();
            let dweight = gradient(gradients, &wte_vc)?;
            let ((_, x), (_, weight)) = (Context::try_of(&x_mc)?, Context::try_of(&wte_vc)?);
            let share = 1.0 / logits.rows as f64;
            // SAFETY: gradients are as large as what they are of.
            unsafe { logits.try_backward::<E>([x, weight, dx, dweight], upstream, share) }
        });
    } else {
        hits.add(logits.try_right()?, targets.len());
    }
    Ok(loss.put_tape(tape))
}

/// The losses of the head in parts, in `F`, with right predictions counted. See [`crate::ops::Ops::try_head_losses`].
pub fn try_head_losses<E: Number, F: Number>(
    head: &HeadInParts<'_, E, Cuda>,
    hits: &Hits,
) -> Result<Vec<SharedLoss<F, Cuda>>, CudaError> {
    let (context, x) = Context::try_of(head.x_mc)?;
    let (_, weight) = Context::try_of(head.wte_vc)?;
    let (vocabulary, width) = *head.wte_vc.shape();
    let mut losses = Vec::new();
    for (share, part) in head.parts() {
        let x = x + (part.start * width * size_of::<E>()) as u64;
        let targets = &head.targets[part];
        // SAFETY: the activations and the weight have these shapes, and callers checked the targets.
        let logits = unsafe { Logits::try_new::<E>(&context, [width, vocabulary], x, weight, targets) }?;
        losses.push((share, logits.try_mean::<F>(head.x_mc.device())?));
        hits.add(logits.try_right()?, targets.len());
    }
    Ok(losses)
}

/// The head in parts, each of which goes forwards and backwards before the next, with losses in `F` and `factor` times the gradient of the
/// mean loss. See [`crate::ops::Ops::try_head_gradients`].
pub fn try_head_gradients<E: Number, F: Number>(
    head: &HeadInParts<'_, E, Cuda>,
    mut gradients: Gradients<E, Cuda>,
    factor: f64,
) -> Result<LossesAndGradients<E, F, Cuda>, CudaError> {
    let (device, shape) = (head.x_mc.device(), *head.x_mc.shape());
    let (context, x) = Context::try_of(head.x_mc)?;
    let (_, weight) = Context::try_of(head.wte_vc)?;
    let (vocabulary, width) = *head.wte_vc.shape();
    let dweight = gradient(&mut gradients, head.wte_vc)?;
    let dx_mc = Storage::<E>::try_alloc_len(device, shape.0 * shape.1)?;
    let mut losses = Vec::new();
    for (share, part) in head.parts() {
        let before = (part.start * width * size_of::<E>()) as u64;
        let (x, dx) = (x + before, *dx_mc.device_ptr() + before);
        let targets = &head.targets[part];
        // SAFETY: the activations and the weight have these shapes, as have the gradients, and callers checked the targets.
        unsafe {
            let logits = Logits::try_new::<E>(&context, [width, vocabulary], x, weight, targets)?;
            losses.push((share, logits.try_mean::<F>(device)?));
            let of_each = factor * share / targets.len() as f64;
            logits.try_backward::<E>([x, weight, dx, dweight], 0, of_each)?;
        }
    }
    Ok((losses, dx_mc, gradients))
}

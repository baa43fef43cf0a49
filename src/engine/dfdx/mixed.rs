//! Mixed precision: passes in half precision on a copy of the weights, everything that adds up over steps in single.
//!
//! The weights that the optimizer changes, its moments and the gradient stay in f32, as do the logits' softmax and loss. In
//! half precision alone small gradients would vanish and small updates be lost. The gradient of the head's output is
//! multiplied by the loss scale as it is rounded to half precision, and the gradient of each parameter divided by it as it is
//! added in f32.

use ::dfdx::prelude::*;

use super::loss_scale::{Judgement, LossScale};
use super::passes::{Passes, shares};
use super::try_zeros;
use crate::data::batches::Batch;
use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};
use crate::ops::composed::{self, LossAndGradient, SharedLoss};
use crate::ops::{Buffer, DropoutSource, Half, Matrix, Mixed, try_backward_from, try_tape};
use crate::optim::Update;

/// Passes in half precision through a model whose weights are f32.
#[derive(Debug)]
pub struct MixedPasses<D: Mixed> {
    /// A copy of the weights in half precision; `None` when they have changed since, or its memory was wanted.
    half: Option<Gpt<Half, D>>,
    scale: LossScale,
}

impl<D: Mixed> Default for MixedPasses<D> {
    fn default() -> Self {
        Self { half: None, scale: LossScale::default() }
    }
}

impl<D: Mixed + Update<f32>> MixedPasses<D> {
    /// The copy, made anew if the weights have changed.
    fn try_half(&mut self, gpt: &Gpt<f32, D>) -> Result<&Gpt<Half, D>, D::Err> {
        let half = match self.half.take() {
            Some(half) => half,
            None => gpt.try_to_half()?,
        };
        Ok(self.half.insert(half))
    }
}

impl<D: Mixed + Update<f32>> Passes<f32, D> for MixedPasses<D> {
    const DTYPE: &'static str = "f16";

    fn try_gradients(
        &mut self,
        gpt: &Gpt<f32, D>,
        batches: &[Batch],
        dropout: &mut DropoutSource,
        gradients: &mut Gradients<f32, D>,
    ) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let scale = self.scale.get();
        let half = self.try_half(gpt)?;
        let mut losses = Vec::with_capacity(batches.len());
        for (share, batch) in shares(batches) {
            let tape: OwnedTape<Half, D> = try_tape(Gradients::leaky(), half.device())?;
            let x_mc = half.try_hidden(tape, &batch.inputs, batch.sequence_length, Some(dropout))?;
            let (x_mc, tape) = x_mc.split_tape();
            let (of_parts, dx_mc, after_head) = half
                .head_in_parts(&x_mc, &batch.targets)
                .try_losses_and_gradients(try_zeros(half)?, |logits_mv, targets, part| {
                    try_gradient(logits_mv, targets, part * scale)
                })?;
            losses.extend(of_parts.into_iter().map(|(part, loss)| (share * part, loss)));
            let tape = tape.merge(try_tape(after_head, half.device())?);
            let mut in_half = try_backward_from(x_mc.put_tape(tape), dx_mc)?;
            let mut adders = Adders(Vec::new());
            half.visit(&mut adders)?;
            let (adders, factor) = (adders.0.into_iter(), (share / scale) as f32);
            gpt.visit(&mut Add { adders, half: &mut in_half, single: gradients, factor })?;
        }
        Ok(losses)
    }

    fn try_loss(&mut self, gpt: &Gpt<f32, D>, batch: &Batch) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let half = self.try_half(gpt)?;
        let x_mc = half.try_hidden(NoneTape, &batch.inputs, batch.sequence_length, None)?;
        half.head_in_parts(&x_mc, &batch.targets).try_losses(|logits_mv, targets| {
            composed::try_cross_entropy(logits_mv.try_to_dtype::<f32>()?, targets)
        })
    }

    fn try_next_logits(&mut self, gpt: &Gpt<f32, D>, context: &[u32]) -> Result<Vec<f32>, D::Err> {
        let logits = self.try_half(gpt)?.try_next_logits(context)?;
        D::try_values(&logits.try_to_dtype::<f32>()?)
    }

    fn judge(&mut self, norm: f64) -> Judgement {
        self.scale.judge(norm)
    }

    fn forget_weights(&mut self) {
        self.half = None;
    }

    fn loss_scale(&self) -> Option<LossScale> {
        Some(self.scale)
    }

    fn set_loss_scale(&mut self, scale: LossScale) {
        self.scale = scale;
    }
}

/// The mean cross entropy of logits in half precision, computed in single, and `factor` times its gradient.
fn try_gradient<D: Mixed + Update<f32>>(
    logits_mv: Matrix<Half, D>,
    targets: &[u32],
    factor: f64,
) -> Result<LossAndGradient<Half, f32, D>, D::Err> {
    let len = logits_mv.shape().num_elements();
    let mut in_half = Storage::<Half>::try_alloc_len(logits_mv.device(), len)?;
    let (loss, in_single) = composed::try_gradient(logits_mv.try_to_dtype::<f32>()?, targets, 1.0)?;
    D::try_write_half(&mut in_half, &in_single, factor as f32)?;
    Ok((loss, in_half))
}

/// Adds a gradient in half precision to the buffer of the same parameter in single.
type Adder<D> =
    Box<dyn Fn(&mut Gradients<Half, D>, &mut Buffer<f32, D>, f32) -> Result<(), <D as HasErr>::Err>>;

/// An adder for each parameter, in the order of the layout.
struct Adders<D: Mixed>(Vec<Adder<D>>);

impl<D: Mixed> Visit<Half, D> for Adders<D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, Half, D>) -> Result<(), D::Err> {
        let ghost = tensor.ghost();
        self.0.push(Box::new(move |half, single, factor| {
            D::try_add_half(single, half.get_or_alloc_mut(&ghost)?, factor)
        }));
        Ok(())
    }
}

/// Adds `factor` times the gradients in half precision to those in single.
struct Add<'a, D: Mixed> {
    adders: std::vec::IntoIter<Adder<D>>,
    half: &'a mut Gradients<Half, D>,
    single: &'a mut Gradients<f32, D>,
    factor: f32,
}

impl<D: Mixed> Visit<f32, D> for Add<'_, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, D>) -> Result<(), D::Err> {
        let add = self.adders.next().expect("both models have the same parameters");
        add(self.half, self.single.get_or_alloc_mut(tensor)?, self.factor)
    }
}

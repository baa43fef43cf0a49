//! Mixed precision: passes in a smaller format on a copy of the weights, everything that adds up over steps in single.
//!
//! The weights that the optimizer changes, its moments and the gradient stay in f32, as do the logits' softmax and loss. In
//! f16 alone small gradients would vanish and small updates be lost. The gradient of the head's output is multiplied by the
//! loss scale as it is rounded, and the gradient of each parameter divided by it as it is added in f32.

use ::dfdx::prelude::*;

use super::loss_scale::{Judgement, LossScale};
use super::passes::{Passes, shares};
use super::try_zeros;
use crate::data::batches::Batch;
use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};
use crate::ops::composed::{self, LossAndGradient, SharedLoss};
use crate::ops::{Buffer, DropoutSource, Format, Hits, Matrix, Mixed, try_backward_from, try_tape};
use crate::optim::Update;

/// Passes in the format `H` through a model whose weights are f32.
#[derive(Debug)]
pub struct MixedPasses<H: Format, D: Mixed<H>> {
    /// A copy of the weights in that format; `None` when they have changed since, or its memory was wanted.
    narrow: Option<Gpt<H, D>>,
    scale: LossScale,
}

impl<H: Format, D: Mixed<H>> Default for MixedPasses<H, D> {
    fn default() -> Self {
        Self { narrow: None, scale: LossScale::default() }
    }
}

impl<H: Format, D: Mixed<H> + Update<f32>> MixedPasses<H, D> {
    /// The copy, made anew if the weights have changed.
    fn try_narrow(&mut self, gpt: &Gpt<f32, D>) -> Result<&Gpt<H, D>, D::Err> {
        let narrow = match self.narrow.take() {
            Some(narrow) => narrow,
            None => gpt.try_to_format()?,
        };
        Ok(self.narrow.insert(narrow))
    }
}

impl<H: Format, D: Mixed<H> + Update<f32>> Passes<f32, D> for MixedPasses<H, D> {
    const DTYPE: &'static str = H::NAME;

    fn try_gradients(
        &mut self,
        gpt: &Gpt<f32, D>,
        batches: &[Batch],
        dropout: &mut DropoutSource,
        gradients: &mut Gradients<f32, D>,
        _hits: &Hits,
    ) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let scale = self.scale.get();
        let narrow = self.try_narrow(gpt)?;
        let mut losses = Vec::with_capacity(batches.len());
        for (share, batch) in shares(batches) {
            let tape: OwnedTape<H, D> = try_tape(Gradients::leaky(), narrow.device())?;
            let x_mc = narrow.try_hidden(tape, &batch.inputs, batch.sequence_length, Some(dropout))?;
            let (x_mc, tape) = x_mc.split_tape();
            let (of_parts, dx_mc, after_head) = narrow
                .head_in_parts(&x_mc, &batch.targets)
                .try_losses_and_gradients(try_zeros(narrow)?, |logits_mv, targets, part| {
                    try_gradient(logits_mv, targets, part * scale)
                })?;
            losses.extend(of_parts.into_iter().map(|(part, loss)| (share * part, loss)));
            let tape = tape.merge(try_tape(after_head, narrow.device())?);
            let mut in_narrow = try_backward_from(x_mc.put_tape(tape), dx_mc)?;
            let mut adders = Adders(Vec::new());
            narrow.visit(&mut adders)?;
            let (adders, factor) = (adders.0.into_iter(), (share / scale) as f32);
            gpt.visit(&mut Add { adders, narrow: &mut in_narrow, single: gradients, factor })?;
        }
        Ok(losses)
    }

    fn try_loss(
        &mut self,
        gpt: &Gpt<f32, D>,
        batch: &Batch,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let narrow = self.try_narrow(gpt)?;
        let x_mc = narrow.try_hidden(NoneTape, &batch.inputs, batch.sequence_length, None)?;
        narrow.head_in_parts(&x_mc, &batch.targets).try_losses(|logits_mv, targets| {
            composed::try_counted(logits_mv.try_to_dtype::<f32>()?, targets, hits)
        })
    }

    fn try_next_logits(&mut self, gpt: &Gpt<f32, D>, context: &[u32]) -> Result<Vec<f32>, D::Err> {
        let logits = self.try_narrow(gpt)?.try_next_logits(context)?;
        D::try_values(&logits.try_to_dtype::<f32>()?)
    }

    fn judge(&mut self, norm: f64) -> Judgement {
        self.scale.judge(norm)
    }

    fn forget_weights(&mut self) {
        self.narrow = None;
    }

    fn loss_scale(&self) -> Option<LossScale> {
        Some(self.scale)
    }

    fn set_loss_scale(&mut self, scale: LossScale) {
        self.scale = scale;
    }
}

/// The mean cross entropy of logits in the smaller format, computed in single, and `factor` times its gradient.
fn try_gradient<H: Format, D: Mixed<H> + Update<f32>>(
    logits_mv: Matrix<H, D>,
    targets: &[u32],
    factor: f64,
) -> Result<LossAndGradient<H, f32, D>, D::Err> {
    let len = logits_mv.shape().num_elements();
    let mut in_narrow = Storage::<H>::try_alloc_len(logits_mv.device(), len)?;
    let (loss, in_single) = composed::try_gradient(logits_mv.try_to_dtype::<f32>()?, targets, 1.0)?;
    D::try_round(&mut in_narrow, &in_single, factor as f32)?;
    Ok((loss, in_narrow))
}

/// Adds a gradient in the smaller format to the buffer of the same parameter in single.
type Adder<H, D> =
    Box<dyn Fn(&mut Gradients<H, D>, &mut Buffer<f32, D>, f32) -> Result<(), <D as HasErr>::Err>>;

/// An adder for each parameter, in the order of the layout.
struct Adders<H: Format, D: Mixed<H>>(Vec<Adder<H, D>>);

impl<H: Format, D: Mixed<H>> Visit<H, D> for Adders<H, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, H, D>) -> Result<(), D::Err> {
        let ghost = tensor.ghost();
        self.0.push(Box::new(move |narrow, single, factor| {
            D::try_add(single, narrow.get_or_alloc_mut(&ghost)?, factor)
        }));
        Ok(())
    }
}

/// Adds `factor` times the gradients in the smaller format to those in single.
struct Add<'a, H: Format, D: Mixed<H>> {
    adders: std::vec::IntoIter<Adder<H, D>>,
    narrow: &'a mut Gradients<H, D>,
    single: &'a mut Gradients<f32, D>,
    factor: f32,
}

impl<H: Format, D: Mixed<H>> Visit<f32, D> for Add<'_, H, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, D>) -> Result<(), D::Err> {
        let add = self.adders.next().expect("both models have the same parameters");
        add(self.narrow, self.single.get_or_alloc_mut(tensor)?, self.factor)
    }
}

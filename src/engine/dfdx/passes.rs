//! Forward and backward passes, in the precision of the weights. `mixed` has those in another.

use ::dfdx::prelude::*;

use super::loss_scale::{Judgement, LossScale};
use crate::data::batches::Batch;
use crate::model::Gpt;
use crate::ops::composed::{self, SharedLoss};
use crate::ops::{DropoutSource, Hits, number, try_backward_from, try_tape};
use crate::optim::Update;

/// How passes are made through a model of dtype `E`. Callers checked the batches.
pub trait Passes<E: Dtype, D: Update<E>> {
    /// Name of the dtype as in `hardware.dtype`.
    const DTYPE: &'static str;

    /// Adds the gradient of the mean loss over all tokens of `batches` to `gradients`, and returns what this loss is made of. `hits`
    /// counts right predictions, where that is cheap.
    fn try_gradients(
        &mut self,
        gpt: &Gpt<E, D>,
        batches: &[Batch],
        dropout: &mut DropoutSource,
        gradients: &mut Gradients<E, D>,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<E, D>>, D::Err>;

    /// The mean loss over the tokens of a batch, without dropout, with right predictions counted.
    fn try_loss(
        &mut self,
        gpt: &Gpt<E, D>,
        batch: &Batch,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<E, D>>, D::Err>;

    /// See [`Gpt::try_next_logits`].
    fn try_next_logits(&mut self, gpt: &Gpt<E, D>, context: &[u32]) -> Result<Vec<f32>, D::Err>;

    /// What to do with a gradient of this norm.
    fn judge(&mut self, norm: f64) -> Judgement;

    /// What was made from the weights is to be made anew.
    fn weights_changed(&mut self);

    /// Lets go of what can be made again, because its memory is wanted.
    fn give_back_memory(&mut self);

    /// Of passes that scale their loss.
    fn loss_scale(&self) -> Option<LossScale>;

    /// Restores what [`Passes::loss_scale`] gave.
    fn set_loss_scale(&mut self, scale: LossScale);
}

/// Passes in the dtype of the weights.
#[derive(Clone, Copy, Debug)]
pub struct Plain;

impl<E: Dtype, D: Update<E>> Passes<E, D> for Plain {
    const DTYPE: &'static str = "f32";

    fn try_gradients(
        &mut self,
        gpt: &Gpt<E, D>,
        batches: &[Batch],
        dropout: &mut DropoutSource,
        gradients: &mut Gradients<E, D>,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<E, D>>, D::Err> {
        let mut losses = Vec::with_capacity(batches.len());
        for (share, batch) in shares(batches) {
            let Batch { inputs, targets, sequence_length, .. } = batch;
            let before = std::mem::replace(gradients, Gradients::leaky());
            let device = gpt.device();
            if fits_at_once(gpt, batch) {
                let tape: OwnedTape<E, D> = try_tape(before, device)?;
                let loss = gpt.try_loss(tape, inputs, targets, *sequence_length, Some(dropout), hits)?;
                losses.push((share, loss.retaped::<NoneTape>()));
                if batches.len() > 1 {
                    let loss = composed::try_copyable(loss, 1)?.try_mul(number::<E>(share))?;
                    *gradients = loss.try_backward()?;
                } else {
                    *gradients = loss.try_backward()?;
                }
                continue;
            }
            let tape: OwnedTape<E, D> = try_tape(Gradients::leaky(), device)?;
            let (x_mc, tape) = gpt.try_hidden(tape, inputs, *sequence_length, Some(dropout))?.split_tape();
            let head = gpt.head_in_parts(&x_mc, targets);
            let (of_parts, dx_mc, after_head) = D::try_head_gradients(&head, before, share)?;
            losses.extend(of_parts.into_iter().map(|(part, loss)| (share * part, loss)));
            let tape = tape.merge(try_tape(after_head, device)?);
            *gradients = try_backward_from(x_mc.put_tape(tape), dx_mc)?;
        }
        Ok(losses)
    }

    fn try_loss(
        &mut self,
        gpt: &Gpt<E, D>,
        batch: &Batch,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<E, D>>, D::Err> {
        let Batch { inputs, targets, sequence_length, .. } = batch;
        if fits_at_once(gpt, batch) {
            return Ok(vec![(1.0, gpt.try_loss(NoneTape, inputs, targets, *sequence_length, None, hits)?)]);
        }
        let x_mc = gpt.try_hidden(NoneTape, inputs, *sequence_length, None)?;
        D::try_head_losses(&gpt.head_in_parts(&x_mc, targets), hits)
    }

    fn try_next_logits(&mut self, gpt: &Gpt<E, D>, context: &[u32]) -> Result<Vec<f32>, D::Err> {
        let logits = D::try_values(&gpt.try_next_logits(context)?)?;
        Ok(logits.iter().map(|x| x.to_f32().unwrap_or(f32::NAN)).collect())
    }

    /// A gradient that is not finite ends a run: whoever reads the norm sees it.
    fn judge(&mut self, _norm: f64) -> Judgement {
        Judgement::Apply
    }

    fn weights_changed(&mut self) {}

    fn give_back_memory(&mut self) {}

    fn loss_scale(&self) -> Option<LossScale> {
        None
    }

    fn set_loss_scale(&mut self, _: LossScale) {}
}

/// Whether all logits of a batch may exist at the same time.
fn fits_at_once<E: Dtype, D: Update<E>>(gpt: &Gpt<E, D>, batch: &Batch) -> bool {
    batch.targets.len().saturating_mul(gpt.config().vocab_size) <= gpt.limits().logits
}

/// Each batch with its share of all tokens.
pub fn shares(batches: &[Batch]) -> impl Iterator<Item = (f64, &Batch)> {
    let all: usize = batches.iter().map(|batch| batch.inputs.len()).sum();
    batches.iter().map(move |batch| (batch.inputs.len() as f64 / all as f64, batch))
}

/// The losses' weighted sum, read from the device.
pub fn try_read<E: Dtype, D: Update<E>>(losses: &[SharedLoss<E, D>]) -> Result<f64, D::Err> {
    let mut total = 0.0;
    for (share, loss) in losses {
        let value = D::try_values(loss)?.first().and_then(|x| x.to_f64()).unwrap_or(f64::NAN);
        total += share * value;
    }
    Ok(total)
}

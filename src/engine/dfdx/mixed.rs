//! Mixed precision: passes in a smaller format on a copy of the weights, everything that adds up over steps in single.
//!
//! The weights that the optimizer changes, its moments and the gradient stay in f32, as do the logits' softmax and loss. In
//! f16 alone small gradients would vanish and small updates be lost. The gradient of the head's output is multiplied by the
//! loss scale as it is rounded, and the gradient of each parameter divided by it as it is added in f32.

use std::marker::PhantomData;

use ::dfdx::prelude::*;

use super::loss_scale::{Judgement, LossScale};
use super::passes::{Passes, shares};
use super::try_zeros;
use crate::data::batches::Batch;
use crate::model::Gpt;
use crate::model::params::{Parameter, Visit, VisitMut};
use crate::ops::composed::SharedLoss;
use crate::ops::{Buffer, DropoutSource, Format, Hits, Mixed, try_backward_from, try_tape};
use crate::optim::Update;

/// Passes in the format `H` through a model whose weights are f32.
#[derive(Debug)]
pub struct MixedPasses<H: Format, D: Mixed<H>> {
    /// A copy of the weights in that format; `None` when its memory was wanted.
    narrow: Option<Gpt<H, D>>,
    /// Whether the weights have changed since.
    is_stale: bool,
    /// Gradients in that format with zeros in them; `None` when they would hold something else, and when their memory was wanted.
    gradients: Option<Gradients<H, D>>,
    scale: LossScale,
}

impl<H: Format, D: Mixed<H>> Default for MixedPasses<H, D> {
    fn default() -> Self {
        Self { narrow: None, is_stale: false, gradients: None, scale: LossScale::default() }
    }
}

impl<H: Format, D: Mixed<H> + Update<f32>> MixedPasses<H, D> {
    /// Takes out the copy, made anew if the weights have changed. Who is done with it puts it back.
    fn try_take_narrow(&mut self, gpt: &Gpt<f32, D>) -> Result<Gpt<H, D>, D::Err> {
        let is_stale = std::mem::take(&mut self.is_stale);
        match self.narrow.take() {
            Some(narrow) if !is_stale => Ok(narrow),
            Some(mut narrow) if D::NARROWS_IN_PLACE => {
                gpt.visit(&mut Wide::<H, D>(PhantomData))?;
                narrow.visit_mut(&mut Narrow)?;
                D::try_finish_narrowing()?;
                Ok(narrow)
            }
            _ => {
                // Gradients go by the tensors that they are of.
                self.gradients = None;
                gpt.try_to_format()
            }
        }
    }

    /// Adds to the gradients of all batches in single what goes through the copy.
    fn try_gradients_by(
        &mut self,
        narrow: &Gpt<H, D>,
        gpt: &Gpt<f32, D>,
        batches: &[Batch],
        dropout: &mut DropoutSource,
        gradients: &mut Gradients<f32, D>,
    ) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let scale = self.scale.get();
        let mut in_narrow = match self.gradients.take() {
            Some(gradients) => gradients,
            None => try_zeros(narrow)?,
        };
        let mut losses = Vec::with_capacity(batches.len());
        for (share, batch) in shares(batches) {
            let tape: OwnedTape<H, D> = try_tape(Gradients::leaky(), narrow.device())?;
            let x_mc = narrow.try_hidden(tape, &batch.inputs, batch.sequence_length, Some(dropout))?;
            let (x_mc, tape) = x_mc.split_tape();
            let head = narrow.head_in_parts(&x_mc, &batch.targets);
            let (of_parts, dx_mc, after_head) = D::try_head_gradients_in_single(&head, in_narrow, scale)?;
            losses.extend(of_parts.into_iter().map(|(part, loss)| (share * part, loss)));
            let tape = tape.merge(try_tape(after_head, narrow.device())?);
            in_narrow = try_backward_from(x_mc.put_tape(tape), dx_mc)?;
            let mut adders = Adders(Vec::new());
            narrow.visit(&mut adders)?;
            let (adders, factor) = (adders.0.into_iter(), (share / scale) as f32);
            gpt.visit(&mut Add { adders, narrow: &mut in_narrow, single: gradients, factor })?;
            D::try_finish_additions()?;
        }
        self.gradients = Some(in_narrow);
        Ok(losses)
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
        let narrow = self.try_take_narrow(gpt)?;
        let losses = self.try_gradients_by(&narrow, gpt, batches, dropout, gradients);
        self.narrow = Some(narrow);
        losses
    }

    fn try_loss(
        &mut self,
        gpt: &Gpt<f32, D>,
        batch: &Batch,
        hits: &Hits,
    ) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let narrow = self.try_take_narrow(gpt)?;
        let narrow = self.narrow.insert(narrow);
        let x_mc = narrow.try_hidden(NoneTape, &batch.inputs, batch.sequence_length, None)?;
        D::try_head_losses_in_single(&narrow.head_in_parts(&x_mc, &batch.targets), hits)
    }

    fn try_next_logits(&mut self, gpt: &Gpt<f32, D>, context: &[u32]) -> Result<Vec<f32>, D::Err> {
        let narrow = self.try_take_narrow(gpt)?;
        let logits = self.narrow.insert(narrow).try_next_logits(context)?;
        D::try_values(&logits.try_to_dtype::<f32>()?)
    }

    fn judge(&mut self, norm: f64) -> Judgement {
        self.scale.judge(norm)
    }

    fn weights_changed(&mut self) {
        self.is_stale = true;
    }

    fn give_back_memory(&mut self) {
        self.narrow = None;
        self.gradients = None;
    }

    fn loss_scale(&self) -> Option<LossScale> {
        Some(self.scale)
    }

    fn set_loss_scale(&mut self, scale: LossScale) {
        self.scale = scale;
    }
}

/// Names the weights that are to be narrowed.
struct Wide<H, D>(PhantomData<(H, D)>);

impl<H: Format, D: Mixed<H>> Visit<f32, D> for Wide<H, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, D>) -> Result<(), D::Err> {
        <D as Mixed<H>>::try_narrow_from(tensor)
    }
}

/// Names where they go.
struct Narrow;

impl<H: Format, D: Mixed<H>> VisitMut<H, D> for Narrow {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &mut Tensor<S, H, D>) -> Result<(), D::Err> {
        D::try_narrow_to(tensor)
    }
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

//! Mixed precision: passes in half precision on a copy of the weights, everything that adds up over steps in single.
//!
//! The weights that the optimizer changes, its moments and the gradient stay in f32, as do the logits' softmax and loss. In
//! half precision alone small gradients would vanish and small updates be lost. The gradient of the head's output is
//! multiplied by the loss scale as it is rounded to half precision, and the gradient of each parameter divided by it as it is
//! added in f32.

use ::dfdx::prelude::*;

use super::loss_scale::{Judgement, LossScale};
use super::passes::{Passes, SharedLoss, shares};
use super::try_zeros;
use crate::data::batches::Batch;
use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};
use crate::ops::{
    Buffer, DropoutSource, Half, Matrix, Mixed, Scalar, composed, try_backward_from, try_take, try_tape,
};
use crate::optim::{Update, id_of};

/// Passes in half precision through a model whose weights are f32.
#[derive(Debug)]
pub struct MixedPasses<D: Mixed> {
    /// A copy of the weights in half precision; `None` when they have changed since.
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
            let tape = try_tape(try_zeros(half)?, half.device())?;
            let x_mc = half.try_hidden(tape, &batch.inputs, batch.sequence_length, Some(dropout))?;
            let head = Head { half, targets: &batch.targets };
            let (of_batch, dx, mut of_head) =
                head.try_losses_and_gradients(&x_mc.retaped::<NoneTape>(), scale)?;
            losses.extend(of_batch.into_iter().map(|(part, loss)| (share * part, loss)));
            let factor = (share / scale) as f32;
            let dwte = gradients.get_or_alloc_mut(gpt.wte_vc())?;
            D::try_add_half(dwte, of_head.get_or_alloc_mut(half.wte_vc())?, factor)?;
            drop(of_head);
            let mut of_body = try_backward_from(x_mc, dx)?;
            let mut adders = Adders(Vec::new());
            half.visit(&mut adders)?;
            let adders = adders.0.into_iter();
            gpt.visit(&mut Add { adders, half: &mut of_body, single: gradients, factor })?;
        }
        Ok(losses)
    }

    fn try_loss(&mut self, gpt: &Gpt<f32, D>, batch: &Batch) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let half = self.try_half(gpt)?;
        let x_mc = half.try_hidden(NoneTape, &batch.inputs, batch.sequence_length, None)?;
        Head { half, targets: &batch.targets }.try_losses(&x_mc)
    }

    fn try_next_logits(&mut self, gpt: &Gpt<f32, D>, context: &[u32]) -> Result<Vec<f32>, D::Err> {
        let logits = self.try_half(gpt)?.try_next_logits(context)?;
        D::try_values(&logits.try_to_dtype::<f32>()?)
    }

    fn judge(&mut self, norm: f64) -> Judgement {
        self.scale.judge(norm)
    }

    fn weights_changed(&mut self) {
        self.half = None;
    }

    fn release(&mut self) {
        self.half = None;
    }

    fn loss_scale(&self) -> Option<LossScale> {
        Some(self.scale)
    }

    fn set_loss_scale(&mut self, scale: LossScale) {
        self.scale = scale;
    }
}

/// The head on a batch's last activation: logits in half precision, their loss in single.
struct Head<'a, D: Mixed> {
    half: &'a Gpt<Half, D>,
    targets: &'a [u32],
}

/// Losses, the gradient of the head's input and that of the token embedding.
type LossesAndGradients<D> = (Vec<SharedLoss<f32, D>>, Buffer<Half, D>, Gradients<Half, D>);

impl<D: Mixed + Update<f32>> Head<'_, D> {
    /// The ranges of positions that are worked on at a time.
    fn parts(&self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let positions = self.targets.len();
        let vocabulary = self.half.config().vocab_size;
        let rows = composed::positions_at_a_time(positions, vocabulary, self.half.limits().logits);
        (0..positions).step_by(rows).map(move |first| first..positions.min(first + rows))
    }

    fn share(&self, part: &std::ops::Range<usize>) -> f64 {
        part.len() as f64 / self.targets.len() as f64
    }

    fn try_losses(&self, x_mc: &Matrix<Half, D>) -> Result<Vec<SharedLoss<f32, D>>, D::Err> {
        let loss = |part: std::ops::Range<usize>| {
            let x_mc = x_mc.clone().try_slice((part.clone(), ..))?;
            let logits_mv = composed::try_head(x_mc, self.half.wte_vc())?.try_to_dtype::<f32>()?;
            let loss = composed::try_cross_entropy(logits_mv, &self.targets[part.clone()])?;
            Ok((self.share(&part), loss))
        };
        self.parts().map(loss).collect()
    }

    /// The gradients are those of `scale` times the mean loss. Each part goes forwards and backwards before the next one, so
    /// that no logits need to be kept or computed twice.
    fn try_losses_and_gradients(
        &self,
        x_mc: &Matrix<Half, D>,
        scale: f64,
    ) -> Result<LossesAndGradients<D>, D::Err> {
        let wte_vc = self.half.wte_vc();
        let mut gradients = Gradients::leaky();
        for kept in [id_of(x_mc), id_of(wte_vc)] {
            gradients.retain_leafs(&kept);
        }
        let mut losses = Vec::new();
        for part in self.parts() {
            let share = self.share(&part);
            let tape: OwnedTape<Half, D> = try_tape(gradients, x_mc.device())?;
            let x_mc = x_mc.clone().put_tape(tape).try_slice((part.clone(), ..))?;
            let (logits_mv, tape) = composed::try_head(x_mc, wte_vc)?.split_tape();
            let targets = &self.targets[part];
            let (loss, dlogits) = try_loss_and_gradient(logits_mv.clone(), targets, share * scale)?;
            losses.push((share, loss));
            gradients = try_backward_from(logits_mv.put_tape(tape), dlogits)?;
        }
        let dx = try_take::<Half, D>(gradients.get_or_alloc_mut(x_mc)?, x_mc.device())?;
        Ok((losses, dx, gradients))
    }
}

/// The mean loss of some logits, and its gradient times `factor`.
fn try_loss_and_gradient<D: Mixed + Update<f32>>(
    logits_mv: Matrix<Half, D>,
    targets: &[u32],
    factor: f64,
) -> Result<(Scalar<f32, D>, Buffer<Half, D>), D::Err> {
    let device = logits_mv.device().clone();
    let mut dlogits = Storage::<Half>::try_alloc_len(&device, logits_mv.shape().num_elements())?;
    let logits_mv = logits_mv.try_to_dtype::<f32>()?;
    let ghost = logits_mv.ghost();
    let loss = composed::try_cross_entropy(logits_mv.put_tape(OwnedTape::default()), targets)?;
    let value = loss.retaped::<NoneTape>();
    let mut gradients = loss.try_backward()?;
    D::try_write_half(&mut dlogits, gradients.get_or_alloc_mut(&ghost)?, factor as f32)?;
    Ok((value, dlogits))
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

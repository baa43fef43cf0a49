//! Clipping by the global norm of the gradient. The gradient is scaled where it is used, in the update of the parameter.
//!
//! # Source
//! Pascanu et al., "On the difficulty of training recurrent neural networks", 2013; numbers as PyTorch's `clip_grad_norm_`.

use dfdx::prelude::*;

use super::Update;
use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};

/// The global L2 norm of the gradient.
pub fn try_norm<E: Dtype, D: Update<E>>(
    gpt: &Gpt<E, D>,
    gradients: &mut Gradients<E, D>,
) -> Result<f64, D::Err> {
    let mut norm = Norm { gradients, squares: D::try_no_squares(gpt.device())? };
    gpt.visit(&mut norm)?;
    Ok(D::try_sum(norm.squares)?.sqrt())
}

/// What to multiply a gradient of this norm by, so that its norm is at most `max_norm`; a `max_norm` of 0 never scales.
pub fn clip_factor(norm: f64, max_norm: f64) -> f64 {
    // PyTorch's guard against division by zero.
    let factor = max_norm / (norm + 1e-6);
    if max_norm > 0.0 && factor < 1.0 { factor } else { 1.0 }
}

struct Norm<'a, E: Dtype, D: Update<E>> {
    gradients: &'a mut Gradients<E, D>,
    squares: D::Squares,
}

impl<E: Dtype, D: Update<E>> Visit<E, D> for Norm<'_, E, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
        D::try_add_squares(&mut self.squares, self.gradients, tensor)
    }
}

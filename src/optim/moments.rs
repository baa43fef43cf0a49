//! Per-parameter state of an optimizer, as dfdx storage.

use std::cell::RefCell;

use dfdx::prelude::*;

use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};
use crate::ops::{Buffer, Ops};

/// One buffer per parameter of a model, or of some of them.
///
/// dfdx's optimizer kernels work on raw storage, and `Gradients` is what hands that out, keyed by tensor. So moments are
/// kept in one, though they are no gradients. It has no access for readers, hence the cell.
#[derive(Debug)]
pub struct Moments<E: Dtype, D: Storage<E>>(RefCell<Gradients<E, D>>);

impl<E: Dtype, D: Ops<E>> Moments<E, D> {
    /// Zeros for the parameters of the model that are `wanted`.
    pub fn try_zeros(gpt: &Gpt<E, D>, wanted: impl Fn(&Parameter) -> bool) -> Result<Self, D::Err> {
        let mut moments = Self(RefCell::new(Gradients::leaky()));
        gpt.visit(&mut Zero { moments: &mut moments, wanted })?;
        Ok(moments)
    }

    /// The buffer of a parameter.
    pub fn try_get<S: Shape>(&mut self, tensor: &Tensor<S, E, D>) -> Result<&mut Buffer<E, D>, D::Err> {
        self.0.get_mut().get_or_alloc_mut(tensor)
    }

    /// The values of a parameter's buffer.
    pub fn try_values<S: Shape>(&self, tensor: &Tensor<S, E, D>) -> Result<Vec<E>, D::Err> {
        D::try_download(self.0.borrow_mut().get_or_alloc_mut(tensor)?)
    }

    /// Replaces the values of a parameter's buffer.
    pub fn try_set<S: Shape>(&mut self, tensor: &Tensor<S, E, D>, values: &[E]) -> Result<(), D::Err> {
        D::try_upload(self.try_get(tensor)?, values)
    }
}

struct Zero<'a, E: Dtype, D: Storage<E>, F> {
    moments: &'a mut Moments<E, D>,
    wanted: F,
}

impl<E: Dtype, D: Ops<E>, F: Fn(&Parameter) -> bool> Visit<E, D> for Zero<'_, E, D, F> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, parameter: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
        if !(self.wanted)(parameter) {
            return Ok(());
        }
        // Written once, for the reason that the engine writes its gradients.
        tensor.device().try_fill_with_zeros(self.moments.try_get(tensor)?)
    }
}

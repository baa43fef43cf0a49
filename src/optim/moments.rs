//! Per-parameter state of an optimizer, as dfdx storage.

use dfdx::optim::UnusedTensors;
use dfdx::prelude::*;
use dfdx::tensor::UniqueId;

use crate::model::Gpt;
use crate::model::params::{Parameter, Visit};
use crate::ops::{Buffer, Ops};

/// One buffer per parameter of a model.
///
/// dfdx's optimizer kernels work on raw storage, and `Gradients` is what hands that out, keyed by tensor. So moments are
/// kept in one, though they are no gradients.
#[derive(Debug)]
pub struct Moments<E: Dtype, D: Storage<E>>(Gradients<E, D>);

impl<E: Dtype, D: Ops<E>> Moments<E, D> {
    /// Zeros for every parameter of the model.
    pub fn try_zeros(gpt: &Gpt<E, D>) -> Result<Self, D::Err> {
        let mut moments = Self(Gradients::leaky());
        gpt.visit(&mut moments)?;
        Ok(moments)
    }

    /// The buffer of a parameter.
    pub fn try_get<S: Shape>(&mut self, tensor: &Tensor<S, E, D>) -> Result<&mut Buffer<E, D>, D::Err> {
        self.0.get_or_alloc_mut(tensor)
    }

    /// A copy of the buffer of a parameter, which must be one of the model's.
    pub fn copy<S: Shape>(&self, tensor: &Tensor<S, E, D>) -> Tensor<S, E, D> {
        self.0.get(tensor)
    }

    /// Replaces the parameter's buffer by values from the host.
    ///
    /// dfdx copies from the host to tensors, not to storage. The gradient of sum(p * x) by p is x, to the bit, and
    /// gradients are storage.
    pub fn try_set<S: Shape>(&mut self, tensor: &Tensor<S, E, D>, values: Vec<E>) -> Result<(), D::Err> {
        let device = tensor.device().clone();
        let values = TensorFromVec::<E>::try_tensor_from_vec(&device, values, *tensor.shape())?;
        let mut gradients = std::mem::replace(&mut self.0, Gradients::leaky());
        gradients.retain_leafs(&id_of(tensor));
        device.try_fill_with_zeros(gradients.get_or_alloc_mut(tensor)?)?;
        let product = tensor.clone().traced(gradients).try_mul(values)?;
        self.0 = product.try_sum::<Rank0, S::AllAxes>()?.try_backward()?;
        Ok(())
    }
}

impl<E: Dtype, D: Ops<E>> Visit<E, D> for Moments<E, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
        // Written once, for the reason that the engine writes its gradients.
        tensor.device().try_fill_with_zeros(self.try_get(tensor)?)
    }
}

/// The id under which dfdx keeps a tensor's gradient, as a list of one. dfdx shows ids only through this collector.
pub fn id_of<S: Shape, E: Dtype, D: Storage<E>>(tensor: &Tensor<S, E, D>) -> Vec<UniqueId> {
    let mut collector = UnusedTensors::default();
    collector.add(tensor);
    collector.ids
}

//! Clipping by the global norm of the gradient.
//!
//! # Source
//! Pascanu et al., "On the difficulty of training recurrent neural networks", 2013; numbers as PyTorch's `clip_grad_norm_`.

use dfdx::prelude::*;
use dfdx::tensor_ops::{Momentum, SgdConfig};
use rayon::prelude::*;

use crate::model::Gpt;
use crate::model::params::{Parameter, Visit, VisitMut};
use crate::ops::Ops;

/// Norm and scaling of gradients in place. The default bodies go through dfdx's kernels, so they run on any device.
pub trait Clip<E: Dtype>: Ops<E> {
    /// Sum of the squares of a parameter's gradient.
    fn try_squared_norm<S: Shape>(
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
    ) -> Result<f64, Self::Err> {
        composed::try_squared_norm(gradients, tensor)
    }

    /// Multiplies a parameter's gradient by `factor`.
    fn try_scale<S: Shape>(
        gradients: &mut Gradients<E, Self>,
        tensor: &mut Tensor<S, E, Self>,
        factor: f64,
    ) -> Result<(), Self::Err> {
        composed::try_scale(gradients, tensor, factor)
    }
}

pub(super) mod composed {
    use super::*;

    /// One gradient at a time is copied, because dfdx sums tensors and not storage.
    pub fn try_squared_norm<S: Shape, E: Dtype, D: Ops<E>>(
        gradients: &mut Gradients<E, D>,
        tensor: &Tensor<S, E, D>,
    ) -> Result<f64, D::Err> {
        gradients.get_or_alloc_mut(tensor)?;
        let sum = gradients.get(tensor).try_square()?.try_sum::<Rank0, S::AllAxes>()?;
        Ok(sum.as_vec().first().and_then(|x| x.to_f64()).unwrap_or(f64::NAN))
    }

    /// SGD with momentum computes v = g + momentum * v. With g = 0 and a learning rate of 0 this scales v and leaves the
    /// parameter as it is.
    pub fn try_scale<S: Shape, E: Dtype, D: Ops<E>>(
        gradients: &mut Gradients<E, D>,
        tensor: &mut Tensor<S, E, D>,
        factor: f64,
    ) -> Result<(), D::Err> {
        let zeros = Storage::<E>::try_alloc_len(tensor.device(), tensor.shape().num_elements())?;
        let config = SgdConfig { lr: 0.0, momentum: Some(Momentum::Classic(factor)), weight_decay: None };
        let gradient = gradients.get_or_alloc_mut(&*tensor)?;
        config.try_update(tensor, gradient, &zeros)
    }
}

/// Elements per task: large enough to be worth a task, and fixed, so that sums do not depend on the number of threads.
const CHUNK: usize = 1 << 16;

macro_rules! clip_on_cpu {
    ($dtype:ty) => {
        impl Clip<$dtype> for Cpu {
            fn try_squared_norm<S: Shape>(
                gradients: &mut Gradients<$dtype, Self>,
                tensor: &Tensor<S, $dtype, Self>,
            ) -> Result<f64, Self::Err> {
                let square = |&x: &$dtype| f64::from(x) * f64::from(x);
                let gradient = gradients.get_or_alloc_mut(tensor)?;
                let sums: Vec<f64> =
                    gradient.par_chunks(CHUNK).map(|chunk| chunk.iter().map(square).sum()).collect();
                Ok(sums.iter().sum())
            }

            fn try_scale<S: Shape>(
                gradients: &mut Gradients<$dtype, Self>,
                tensor: &mut Tensor<S, $dtype, Self>,
                factor: f64,
            ) -> Result<(), Self::Err> {
                let gradient = gradients.get_or_alloc_mut(&*tensor)?;
                gradient.par_iter_mut().with_min_len(CHUNK).for_each(|x| *x *= factor as $dtype);
                Ok(())
            }
        }
    };
}
clip_on_cpu!(f32);
clip_on_cpu!(f64);
#[cfg(feature = "cuda")]
impl Clip<f32> for Cuda {}

/// The global L2 norm of the gradient. If it is larger than `max_norm`, the gradient is scaled down to it; a `max_norm` of
/// 0 never scales.
pub fn try_clip<E: Dtype, D: Clip<E>>(
    gpt: &mut Gpt<E, D>,
    gradients: &mut Gradients<E, D>,
    max_norm: f64,
) -> Result<f64, D::Err> {
    let mut squares = Squares { gradients, sum: 0.0 };
    gpt.visit(&mut squares)?;
    let norm = squares.sum.sqrt();
    // PyTorch's guard against division by zero.
    let factor = max_norm / (norm + 1e-6);
    if max_norm > 0.0 && factor < 1.0 {
        gpt.visit_mut(&mut Scale { gradients, factor })?;
    }
    Ok(norm)
}

struct Squares<'a, E: Dtype, D: Storage<E>> {
    gradients: &'a mut Gradients<E, D>,
    sum: f64,
}

impl<E: Dtype, D: Clip<E>> Visit<E, D> for Squares<'_, E, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, E, D>) -> Result<(), D::Err> {
        self.sum += D::try_squared_norm(self.gradients, tensor)?;
        Ok(())
    }
}

struct Scale<'a, E: Dtype, D: Storage<E>> {
    gradients: &'a mut Gradients<E, D>,
    factor: f64,
}

impl<E: Dtype, D: Clip<E>> VisitMut<E, D> for Scale<'_, E, D> {
    type Err = D::Err;

    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &mut Tensor<S, E, D>) -> Result<(), D::Err> {
        D::try_scale(self.gradients, tensor, self.factor)
    }
}

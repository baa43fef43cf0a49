//! The causal mask of composed attention, made once and shared by all layers and steps.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::prelude::*;

use super::number;

/// Scores of one batch: (b, h, t, t).
pub type ScoreShape = (usize, usize, usize, usize);

/// What is added to the attention scores: 0 where a position may look, a huge negative number where it lies in the
/// future. It has the full shape of the scores because dfdx adds in place only between tensors of equal strides. Fused
/// implementations never ask for it. A clone shares it.
#[derive(Clone, Debug)]
pub struct CausalMask<E: Dtype, D: Storage<E>> {
    last: Rc<RefCell<Option<Tensor<ScoreShape, E, D>>>>,
}

impl<E: Dtype, D: Storage<E>> Default for CausalMask<E, D> {
    fn default() -> Self {
        Self { last: Rc::new(RefCell::new(None)) }
    }
}

impl<E: Dtype, D: Storage<E> + TriangleTensor<E>> CausalMask<E, D> {
    /// The mask for scores of this shape: the last one if it fits, else a new one.
    pub fn try_get(&self, device: &D, shape: ScoreShape) -> Result<Tensor<ScoreShape, E, D>, D::Err> {
        if let Some(mask) = self.last.borrow().as_ref()
            && *mask.shape() == shape
        {
            return Ok(mask.clone());
        }
        // Finite, so that a gradient that is zero stays zero and does not become 0 * infinity.
        let mask = device.try_upper_tri_like(&shape, number(-1e30), 1)?;
        *self.last.borrow_mut() = Some(mask.clone());
        Ok(mask)
    }
}

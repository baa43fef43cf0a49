//! The causal mask of composed attention, made once and shared by all layers and steps.

use std::cell::RefCell;
use std::rc::Rc;

use dfdx::prelude::*;

use super::{Matrix, number};

/// What is added to the attention scores of a head: 0 where a position may look, a huge negative number where it lies in the
/// future. Fused implementations never ask for it. A clone shares it.
#[derive(Clone, Debug)]
pub struct CausalMask<E: Dtype, D: Storage<E>> {
    last: Rc<RefCell<Option<Matrix<E, D>>>>,
}

impl<E: Dtype, D: Storage<E>> Default for CausalMask<E, D> {
    fn default() -> Self {
        Self { last: Rc::new(RefCell::new(None)) }
    }
}

impl<E: Dtype, D: Storage<E> + TriangleTensor<E>> CausalMask<E, D> {
    /// The mask (t, t) for so many positions: the last one if it fits, else a new one.
    pub fn try_get(&self, device: &D, tokens: usize) -> Result<Matrix<E, D>, D::Err> {
        let shape = (tokens, tokens);
        if let Some(mask) = self.last.borrow().as_ref()
            && *mask.shape() == shape
        {
            return Ok(mask.clone());
        }
        let mask = device.try_upper_tri_like(&shape, future(), 1)?;
        *self.last.borrow_mut() = Some(mask.clone());
        Ok(mask)
    }
}

/// Far below any score, and finite, so that a gradient that is zero stays zero and does not become 0 * infinity. Half
/// precision ends at 65504.
fn future<E: Dtype>() -> E {
    let low = number::<E>(-1e30);
    if low.to_f64().is_some_and(f64::is_finite) { low } else { number(-3e4) }
}

//! Weights as bf16 products take them: a copy beside the f32 that the optimizer keeps.

use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

use dfdx::prelude::*;

use super::{Bf16, Kernel};
use crate::ops::Matrix;
use crate::ops::cpu::memory::Bf16Buffer;
use crate::ops::cpu::weights::copy;
use crate::ops::profile::{Part, timed};

/// A weight's values in bf16, rows without gaps, and who multiplies with them. Clones are the same copy.
///
/// Whoever changes the weight either writes the copy in the same pass, or says that it is stale; then it is made again when it
/// is next read.
#[derive(Clone, Debug)]
pub struct Rounded {
    kernel: Kernel,
    values: Rc<RefCell<Values>>,
}

#[derive(Debug)]
struct Values {
    numbers: Option<Bf16Buffer>,
    is_stale: bool,
}

impl Rounded {
    /// A copy that is made when it is first read.
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, values: Rc::new(RefCell::new(Values { numbers: None, is_stale: true })) }
    }

    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// The weight changes, and the copy with it no longer.
    pub fn set_stale(&self) {
        self.values.borrow_mut().is_stale = true;
    }

    /// Whether the copy is not that of the weight any more.
    pub fn is_stale(&self) -> bool {
        self.values.borrow().is_stale
    }

    /// The weight's values.
    pub fn try_read(&self, weight: &Matrix<f32, Cpu>) -> Result<Ref<'_, [Bf16]>, CpuError> {
        if self.is_stale() {
            let single = copy(weight)?;
            let mut numbers = self.try_write(single.len())?;
            let _timed = timed(Part::Copies);
            super::number::round(&single, &mut numbers);
        }
        Ok(Ref::map(self.values.borrow(), |values| values.numbers.as_deref().unwrap_or_default()))
    }

    /// All numbers, for somebody who writes them because he changes the weight.
    pub fn try_write(&self, len: usize) -> Result<RefMut<'_, [Bf16]>, CpuError> {
        let mut values = self.values.borrow_mut();
        if values.numbers.as_ref().is_none_or(|numbers| numbers.len() != len) {
            values.numbers = Some(Bf16Buffer::try_take(len)?);
        }
        values.is_stale = false;
        Ok(RefMut::map(values, |values| values.numbers.as_deref_mut().unwrap_or_default()))
    }
}

/// A block's weights in bf16.
#[derive(Clone, Debug)]
pub struct RoundedBlock {
    /// Who multiplies with them.
    pub kernel: Kernel,
    /// In the order of the forward pass: `attn_c_attn`, `attn_c_proj`, `mlp_c_fc`, `mlp_c_proj`.
    pub weights: [Rounded; 4],
}

impl RoundedBlock {
    /// See [`Rounded::new`].
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel, weights: std::array::from_fn(|_| Rounded::new(kernel)) }
    }
}

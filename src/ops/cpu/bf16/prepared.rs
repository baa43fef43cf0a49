//! A right-hand side that several products share, as its kernel wants it.

use dfdx::prelude::CpuError;

use super::{Bf16, Kernel, Packed, Rhs, widened};
use crate::ops::cpu::matmul::{Workers, Write, multiply};
use crate::ops::cpu::memory::Buffer;
use crate::ops::cpu::view::{View, ViewMut};

/// A matrix (k, n).
#[derive(Debug)]
pub enum Prepared {
    /// In tiles.
    Packed(Kernel, Packed),
    /// In f32.
    Widened { numbers: Buffer, columns: usize },
}

impl Prepared {
    /// The same matrix, made ready by all threads.
    pub fn try_new(kernel: Kernel, matrix: View<'_, Bf16>) -> Result<Self, CpuError> {
        if kernel != Kernel::Widened {
            return Ok(Self::Packed(kernel, Packed::pack(matrix)));
        }
        let mut numbers = Buffer::try_take(matrix.rows * matrix.columns)?;
        widened::widen_rows(matrix, &mut numbers);
        Ok(Self::Widened { numbers, columns: matrix.columns })
    }

    /// `to (+)= lhs * self`, by this thread alone.
    pub fn multiply(&self, to: ViewMut<'_>, write: Write, lhs: View<'_, Bf16>) {
        match self {
            Self::Packed(kernel, packed) => {
                let to = super::Destination::Sums { to, write };
                kernel.multiply(to, lhs, Rhs::Packed(packed));
            }
            Self::Widened { numbers, columns } => {
                widened::with_wide(lhs, |lhs| {
                    multiply(to, lhs, View::new(numbers, *columns), write, Workers::One);
                });
            }
        }
    }
}

//! GELU in its tanh approximation, on slices.
//!
//! 0.5 x (1 + tanh u) = x * sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3): one exponential and one division.

use rayon::prelude::*;

use super::operand::Operand;
use super::rows::ELEMENTS;
use super::simd::{exp, vectorised};
use crate::ops::profile::{Part, timed};

/// 2 sqrt(2 / pi)
const SLOPE: f32 = 2.0 * 0.797_884_6;
const CUBIC: f32 = 0.044_715;

#[inline(always)]
fn gate(x: f32) -> f32 {
    1.0 / (1.0 + exp(-SLOPE * (x + CUBIC * x * x * x)))
}

/// `y = gelu(x)`.
pub fn gelu<T: Operand>(x: &[T], y: &mut [T]) {
    let _timed = timed(Part::Gelu);
    x.par_chunks(ELEMENTS).zip(y.par_chunks_mut(ELEMENTS)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || {
                y.iter_mut().zip(x).for_each(|(y, x)| {
                    let x = x.widen();
                    *y = T::narrow(x * gate(x));
                });
            },
        );
    });
}

/// Replaces `x` by the derivative of GELU at it and writes `y = gelu(x)`, which the backward pass needs again.
pub fn differentiate_gelu<T: Operand>(x: &mut [T], y: &mut [T]) {
    let _timed = timed(Part::Gelu);
    x.par_chunks_mut(ELEMENTS).zip(y.par_chunks_mut(ELEMENTS)).for_each(|(x, y)| {
        vectorised(
            #[inline(always)]
            || {
                for (operand, result) in x.iter_mut().zip(y) {
                    let x = operand.widen();
                    let gate = gate(x);
                    let slope = SLOPE * (1.0 + 3.0 * CUBIC * x * x);
                    let y = x * gate;
                    *result = T::narrow(y);
                    *operand = T::narrow(gate + y * (1.0 - gate) * slope);
                }
            },
        );
    });
}

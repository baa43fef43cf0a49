//! The tied head and its cross entropy on slices, for a few hundred positions at a time: the logits of all of them, (m, v),
//! would be the largest matrix of the whole step.

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::bf16::Bf16;
use super::matmul::{Workers, Write, matmul, multiply};
use super::memory::Buffer;
use super::simd::{exp, exp_and_sum, max, sum, vectorised};
use super::view::{View, ViewMut};
use crate::ops::profile::{Part, timed};

pub mod transposed;

/// Positions whose logits exist at the same time. Each pass over them goes through the whole embedding, so not too few.
pub const POSITIONS: usize = 512;

/// Tokens of the vocabulary per product for the weight's gradient, which bounds the product's own working memory.
const TOKENS: usize = 4096;

/// Gradients of the mean loss by the head's input (m, c) and by the token embedding (v, c); overwritten.
#[derive(Debug)]
pub struct Gradients<'a> {
    pub dx: &'a mut [f32],
    pub dw: &'a mut [f32],
}

/// What a head found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// Mean cross entropy in nats per token.
    pub loss: f64,
    /// Targets that no logit is above.
    pub right: usize,
}

/// What the products take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// f32 as it is.
    Single,
    /// Numbers that bf16 can hold, in f32: those of the caller are, and the gradient of the logits is rounded.
    Rounded,
}

/// Mean cross entropy in nats per token of the logits `x w^T` against `targets`: (m, c), (v, c), m ids.
pub fn loss(
    x: &[f32],
    w: &[f32],
    targets: &[u32],
    numbers: Numbers,
    mut gradients: Option<Gradients<'_>>,
) -> Result<Found, CpuError> {
    let _timed = timed(Part::CrossEntropy);
    let columns = x.len() / targets.len();
    let vocabulary = w.len() / columns;
    let share = 1.0 / targets.len() as f32;
    let w = View::new(w, columns);
    let mut logits = Buffer::try_take(POSITIONS.min(targets.len()) * vocabulary)?;
    let (mut total, mut right) = (0.0, 0);
    for (i, (x, targets)) in x.chunks(POSITIONS * columns).zip(targets.chunks(POSITIONS)).enumerate() {
        let logits = &mut logits[..targets.len() * vocabulary];
        let x = View::new(x, columns);
        matmul(logits, x, w.transposed(), Write::Over);
        let keep = gradients.is_some();
        let losses: Vec<(f32, bool)> = logits
            .par_chunks_mut(vocabulary)
            .zip(targets)
            .map(|(logits, &target)| cross_entropy(logits, target as usize, keep.then_some(share), numbers))
            .collect();
        total += losses.iter().map(|&(loss, _)| f64::from(loss)).sum::<f64>();
        right += losses.iter().filter(|(_, is_right)| *is_right).count();

        let Some(Gradients { dx, dw }) = &mut gradients else { continue };
        let first = i * POSITIONS * columns;
        let dlogits = View::new(logits, vocabulary);
        matmul(&mut dx[first..first + targets.len() * columns], dlogits, w, Write::Over);
        let write = if i == 0 { Write::Over } else { Write::Add };
        for (start, dw) in (0..).step_by(TOKENS).zip(dw.chunks_mut(TOKENS * columns)) {
            let tokens = dw.len() / columns;
            let dlogits = View::strided(&logits[start..], targets.len(), tokens, vocabulary);
            multiply(ViewMut::new(dw, columns), dlogits.transposed(), x, write, Workers::All);
        }
    }
    Ok(Found { loss: total / targets.len() as f64, right })
}

/// The cross entropy of one row of logits, and whether none is above that of the target. With a `share` they are replaced by their gradient times it.
fn cross_entropy(logits: &mut [f32], target: usize, share: Option<f32>, numbers: Numbers) -> (f32, bool) {
    let of_target = logits[target];
    let (max, total) = vectorised(
        #[inline(always)]
        || {
            let max = max(logits);
            let total = match share {
                None => sum(logits, |x| exp(x - max)),
                Some(share) => {
                    let total = exp_and_sum(logits, max);
                    let scale = share / total;
                    logits.iter_mut().for_each(|x| *x *= scale);
                    total
                }
            };
            (max, total)
        },
    );
    if let Some(share) = share {
        logits[target] -= share;
        if numbers == Numbers::Rounded {
            vectorised(
                #[inline(always)]
                || logits.iter_mut().for_each(|x| *x = Bf16::round(*x).widen()),
            );
        }
    }
    (total.ln() + max - of_target, of_target >= max)
}

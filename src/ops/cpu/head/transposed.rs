//! The tied head and its cross entropy with products of bf16. Logits are computed transposed, (v, m): then the embedding is read
//! as it lies, and a vector instruction works on a token of the vocabulary at many positions.
//!
//! What is kept of the logits is `exp(logit - maximum)`, with the maximum of a block of the vocabulary, in bf16: the gradient is
//! that times a factor of the position, with a relative error of 2^-9. Logits themselves in bf16, as they are under
//! `torch.autocast`, would have an absolute error that grows with them. The loss comes from logits in f32.

use std::cell::RefCell;

use dfdx::prelude::CpuError;
use rayon::prelude::*;

use super::{Found, Gradients};
use crate::ops::cpu::bf16::{self, Bf16, Kernel, Prepared};
use crate::ops::cpu::matmul::{Workers, Write};
use crate::ops::cpu::memory::{Bf16Buffer, Buffer, room};
use crate::ops::cpu::operand::{Destination, Operand, round_rows, view};
use crate::ops::cpu::simd::{exp, vectorised};
use crate::ops::cpu::view::{View, ViewMut};
use crate::ops::profile::{Part, timed};

/// Positions whose logits exist at the same time. Each pass over them goes through the whole embedding; GPT-2's vocabulary
/// takes 206 MB for so many.
const POSITIONS: usize = 2048;
/// Tokens of the vocabulary whose logits are in f32 at the same time, on each thread.
const WORDS: usize = 512;
/// Tokens of the vocabulary per product for the gradient of the head's input.
const SUMMED: usize = 4096;

thread_local! {
    /// A block's logits.
    static LOGITS: RefCell<Vec<f32>> = RefCell::default();
}

/// Mean cross entropy in nats per token of the logits `x w^T` against `targets`: (m, c), (v, c), m ids.
pub fn loss(
    kernel: Kernel,
    x: &[f32],
    w: &[Bf16],
    targets: &[u32],
    mut gradients: Option<Gradients<'_>>,
) -> Result<Found, CpuError> {
    let _timed = timed(Part::CrossEntropy);
    let columns = x.len() / targets.len();
    let share = 1.0 / targets.len() as f32;
    let (mut total, mut right) = (0.0, 0);
    for (i, (x, targets)) in x.chunks(POSITIONS * columns).zip(targets.chunks(POSITIONS)).enumerate() {
        let part = Positions { kernel, w: View::new(w, columns), targets };
        let mut rounded = Bf16Buffer::try_take(targets.len() * Bf16::stride(columns))?;
        round_rows(x, columns, &mut rounded);
        let x = view(&rounded[..], columns);
        let first = i * POSITIONS * columns;
        let gradients = gradients.as_mut().map(|Gradients { dx, dw }| Gradients {
            dx: &mut dx[first..first + targets.len() * columns],
            dw,
        });
        let (loss, of_part) =
            part.loss(x, gradients, share, if i == 0 { Write::Over } else { Write::Add })?;
        (total, right) = (total + loss, right + of_part);
    }
    Ok(Found { loss: total / targets.len() as f64, right })
}

/// Some positions and the whole vocabulary.
#[derive(Clone, Copy)]
struct Positions<'a> {
    kernel: Kernel,
    /// (v, c)
    w: View<'a, Bf16>,
    targets: &'a [u32],
}

/// Of the logits of a block of the vocabulary, by position.
struct Sums {
    largest: Vec<f32>,
    /// Of exp(logit - largest).
    totals: Vec<f32>,
}

impl Positions<'_> {
    /// The sum of the positions' losses, and how many targets no logit is above. The gradients are those of all losses times `share`; that of the embedding goes where
    /// `write` says.
    fn loss(
        self,
        x: View<'_, Bf16>,
        gradients: Option<Gradients<'_>>,
        share: f32,
        write: Write,
    ) -> Result<(f64, usize), CpuError> {
        let (m, vocabulary) = (self.targets.len(), self.w.rows);
        let stride = Bf16::stride(m);
        let x_t = {
            let _timed = timed(Part::Products);
            Prepared::try_new(self.kernel, x.transposed())?
        };
        let mut kept = match gradients {
            Some(_) => Some(Bf16Buffer::try_take(vocabulary * stride)?),
            None => None,
        };
        // Each position's logit of its target is one block's to write.
        let mut of_targets = Buffer::try_take(m)?;
        let blocks: Vec<(Sums, Vec<(usize, f32)>)> = match &mut kept {
            Some(kept) => {
                let blocks = kept.par_chunks_mut(WORDS * stride).enumerate();
                blocks.map(|(block, kept)| self.sum_block(block * WORDS, &x_t, Some(kept))).collect()
            }
            None => {
                let blocks = (0..vocabulary.div_ceil(WORDS)).into_par_iter();
                blocks.map(|block| self.sum_block(block * WORDS, &x_t, None)).collect()
            }
        };
        drop(x_t);
        for &(position, logit) in blocks.iter().flat_map(|(_, of_targets)| of_targets) {
            of_targets[position] = logit;
        }
        let largest = largest(&blocks, m);
        let log_sums = log_sums(&blocks, &largest);
        let right = of_targets.iter().zip(&largest).filter(|(logit, largest)| logit >= largest).count();
        let losses = log_sums.iter().zip(&of_targets[..]).map(|(log_sum, logit)| f64::from(log_sum - logit));
        let loss = losses.sum();
        let (Some(Gradients { dx, dw }), Some(mut dlogits)) = (gradients, kept) else {
            return Ok((loss, right));
        };

        let columns = x.columns;
        let prepared = {
            let _timed = timed(Part::Products);
            Prepared::try_new(self.kernel, x)?
        };
        let blocks = blocks.par_iter().zip(dlogits.par_chunks_mut(WORDS * stride));
        blocks.zip(dw.par_chunks_mut(WORDS * columns)).enumerate().for_each(
            |(block, (((sums, of_targets), dlogits), dw))| {
                let factors: Vec<f32> = sums
                    .largest
                    .iter()
                    .zip(&log_sums)
                    .map(|(largest, sum)| share * exp(largest - sum))
                    .collect();
                scale_rows(dlogits, stride, &factors);
                for &(position, logit) in of_targets {
                    let word = self.targets[position] as usize - block * WORDS;
                    let gradient = share * (exp(logit - log_sums[position]) - 1.0);
                    dlogits[word * stride + position] = Bf16::round(gradient);
                }
                prepared.multiply(ViewMut::new(dw, columns), write, view(dlogits, m));
            },
        );
        drop(prepared);
        for (first, dlogits) in (0..).step_by(SUMMED).zip(dlogits.chunks(SUMMED * stride)) {
            let dlogits = view(dlogits, m);
            let w = self.w.rows(first, first + dlogits.rows);
            let write = if first == 0 { Write::Over } else { Write::Add };
            let to = Destination::Sums { to: ViewMut::new(dx, columns), write };
            bf16::multiply(self.kernel, to, dlogits.transposed(), w, Workers::All);
        }
        Ok((loss, right))
    }

    /// The sums of the block of the vocabulary that begins at `first`, with the logits of the targets in it. What is to be
    /// kept of the other logits goes to `kept`.
    fn sum_block(self, first: usize, x_t: &Prepared, kept: Option<&mut [Bf16]>) -> (Sums, Vec<(usize, f32)>) {
        let m = self.targets.len();
        let words = WORDS.min(self.w.rows - first);
        let mut logits = LOGITS.take();
        let of_block = room(&mut logits, words * m);
        x_t.multiply(ViewMut::new(of_block, m), Write::Over, self.w.rows(first, first + words));
        let own = self
            .targets
            .iter()
            .enumerate()
            .filter(|(_, target)| (first..first + words).contains(&(**target as usize)));
        let of_targets = own
            .map(|(position, &target)| (position, of_block[(target as usize - first) * m + position]))
            .collect();
        let sums = sum_exponentials(of_block, m, kept);
        LOGITS.set(logits);
        (sums, of_targets)
    }
}

/// Largest logit and sum of exponentials of each column of `logits` (words, m); the exponentials go to `kept`.
fn sum_exponentials(logits: &[f32], m: usize, mut kept: Option<&mut [Bf16]>) -> Sums {
    let (mut largest, mut totals) = (vec![f32::NEG_INFINITY; m], vec![0.0; m]);
    let stride = Bf16::stride(m);
    vectorised(
        #[inline(always)]
        || {
            for logits in logits.chunks_exact(m) {
                for (largest, &x) in largest.iter_mut().zip(logits) {
                    *largest = if x > *largest { x } else { *largest };
                }
            }
            for (i, logits) in logits.chunks_exact(m).enumerate() {
                let columns = totals.iter_mut().zip(logits).zip(&largest);
                match &mut kept {
                    Some(kept) => {
                        for (((total, x), largest), kept) in columns.zip(&mut kept[i * stride..]) {
                            let e = exp(x - largest);
                            *total += e;
                            *kept = Bf16::round(e);
                        }
                    }
                    None => columns.for_each(|((total, x), largest)| *total += exp(x - largest)),
                }
            }
        },
    );
    Sums { largest, totals }
}

/// The largest logit, by position.
fn largest(blocks: &[(Sums, Vec<(usize, f32)>)], m: usize) -> Vec<f32> {
    let mut largest = vec![f32::NEG_INFINITY; m];
    for (sums, _) in blocks {
        for (largest, &x) in largest.iter_mut().zip(&sums.largest) {
            *largest = if x > *largest { x } else { *largest };
        }
    }
    largest
}

/// The logarithm of the sum of all exponentials, by position.
fn log_sums(blocks: &[(Sums, Vec<(usize, f32)>)], largest: &[f32]) -> Vec<f32> {
    let mut totals = vec![0.0; largest.len()];
    for (sums, _) in blocks {
        let of_block = sums.totals.iter().zip(&sums.largest);
        for ((total, &largest), (x, of_block)) in totals.iter_mut().zip(largest).zip(of_block) {
            *total += x * exp(of_block - largest);
        }
    }
    totals.iter().zip(largest).map(|(total, largest)| largest + total.ln()).collect()
}

/// Multiplies each row by `factors`, element by element.
fn scale_rows(x: &mut [Bf16], stride: usize, factors: &[f32]) {
    vectorised(
        #[inline(always)]
        || {
            for row in x.chunks_exact_mut(stride) {
                row.iter_mut().zip(factors).for_each(|(x, factor)| *x = Bf16::round(x.widen() * factor));
            }
        },
    );
}

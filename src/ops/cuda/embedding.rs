//! Token embedding plus position embedding.

use std::collections::BTreeMap;

use cudarc::driver::DevicePtr;
use dfdx::prelude::*;

use super::context::Context;
use super::kernels::{self, Grid};
use super::number::Number;
use super::structures::{Embed, EmbedBackward};
use crate::ops::Matrix;

/// The tokens that occur and where, as the backward pass takes them.
#[derive(Debug, PartialEq, Eq)]
struct Occurrences {
    /// Each token once.
    ids: Vec<u32>,
    /// Where the positions of each begin in `order`, and the end of the last.
    starts: Vec<u32>,
    /// All positions, by token, those of one token in the order of the batch.
    order: Vec<u32>,
}

impl Occurrences {
    fn new(token_ids: &[u32]) -> Self {
        let mut by_token = BTreeMap::<u32, Vec<u32>>::new();
        for (position, &id) in token_ids.iter().enumerate() {
            by_token.entry(id).or_default().push(position as u32);
        }
        let (mut starts, mut order) = (vec![0], Vec::with_capacity(token_ids.len()));
        for positions in by_token.values() {
            order.extend(positions);
            starts.push(order.len() as u32);
        }
        Self { ids: by_token.into_keys().collect(), starts, order }
    }
}

/// See [`crate::ops::Ops::try_embedding`].
pub fn try_embedding<E: Number, T: Tape<E, Cuda>>(
    mut tape: T,
    wte_vc: &Matrix<E, Cuda>,
    wpe_pc: &Matrix<E, Cuda>,
    token_ids: &[u32],
    tokens: usize,
) -> Result<Matrix<E, Cuda, T>, CudaError> {
    let (rows, columns) = (token_ids.len(), wte_vc.shape().1);
    let (context, of_token) = Context::try_of(wte_vc)?;
    let (_, of_position) = Context::try_of(wpe_pc)?;
    let x_mc: Matrix<E, Cuda> = ZerosTensor::<E>::try_zeros_like(wte_vc.device(), &(rows, columns))?;
    let (_, x) = Context::try_of(&x_mc)?;
    // All that either pass wants to know of the tokens, in one copy.
    let mut facts = token_ids.to_vec();
    let mut distinct = 0;
    if T::OWNS_TAPE {
        let occurrences = Occurrences::new(token_ids);
        distinct = occurrences.ids.len();
        facts.extend([occurrences.ids, occurrences.starts, occurrences.order].concat());
    }
    let facts = context.try_upload(&facts, 4 * rows + 1)?;
    let embed = Embed { rows, columns, tokens, ids: facts.address(), of_token, of_position, x };
    // SAFETY: the tokens are in the vocabulary, the sequences no longer than there are positions, and the result is a tensor of its shape.
    unsafe { context.launch(kernels::EMBED.of::<E>(), Grid::rows(rows, columns), embed) }?;
    if T::OWNS_TAPE {
        let (wte, wpe, x_ghost) = (wte_vc.ghost(), wpe_pc.ghost(), x_mc.ghost());
        tape.add_backward_op(move |gradients| {
            let dx = *gradients.get_or_alloc_mut(&x_ghost)?.device_ptr();
            let of_token = *gradients.get_or_alloc_mut(&wte)?.device_ptr();
            let of_position = *gradients.get_or_alloc_mut(&wpe)?.device_ptr();
            let backward = EmbedBackward {
                columns,
                tokens,
                batch: rows / tokens,
                distinct,
                ids: facts.at::<u32>(rows),
                starts: facts.at::<u32>(rows + distinct),
                order: facts.at::<u32>(rows + 2 * distinct + 1),
                dx,
                of_token,
                of_position,
            };
            let grid = Grid::rows(distinct + tokens, columns);
            // SAFETY: as above; gradients are as large as what they are of.
            unsafe { context.launch(kernels::EMBED_BACKWARD.of::<E>(), grid, backward) }
        });
    }
    Ok(x_mc.put_tape(tape))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn occurrences_are_by_token_and_in_the_order_of_the_batch() {
        let expected =
            Occurrences { ids: vec![1, 3, 7], starts: vec![0, 1, 4, 5], order: vec![2, 0, 1, 4, 3] };
        assert_eq!(Occurrences::new(&[3, 3, 1, 7, 3]), expected);
    }
}

//! Batches to measure a loss on: the same ones each time, no window twice.

use super::DataError;
use super::batches::Batch;
use super::split::{Share, Split};
use super::tokens::Tokens;

/// Up to `max_batches` batches of windows that do not overlap, spread evenly over each text, and of several texts by their shares. Where
/// there are fewer windows than asked for, all of them are used and the last batch is smaller, so a mean over batches must weigh each
/// by [`Batch::tokens`]. None when a text is shorter than one window and its last target.
pub fn evaluation_batches(
    split: &Split,
    batch_size: usize,
    sequence_length: usize,
    max_batches: usize,
) -> impl Iterator<Item = Result<Batch, DataError>> + '_ {
    let all = max_batches.saturating_mul(batch_size);
    split.parts.iter().flat_map(move |Share { tokens, share, .. }| {
        let windows = if *share >= 1.0 { all } else { (all as f64 * share).ceil() as usize };
        spread(tokens, batch_size, sequence_length, windows)
    })
}

/// Batches in which every token of a text but its first is a target exactly once. The last full-length batch may be smaller than
/// `batch_size`, and what is then left comes as one shorter window, so a mean over batches must weigh each by
/// [`Batch::tokens`]. None when there are fewer than two tokens.
pub fn whole_corpus_batches(
    split: &Split,
    batch_size: usize,
    sequence_length: usize,
) -> impl Iterator<Item = Result<Batch, DataError>> + '_ {
    split.parts.iter().flat_map(move |Share { tokens, .. }| {
        let covered = whole_windows(tokens, sequence_length) * sequence_length;
        let left = tokens.len().saturating_sub(1 + covered);
        let rest = (left > 0).then(|| Batch::of_windows(tokens, &[covered], left));
        spread(tokens, batch_size, sequence_length, usize::MAX).chain(rest)
    })
}

/// So many windows of a text, spread evenly over it.
fn spread(
    tokens: &Tokens,
    batch_size: usize,
    sequence_length: usize,
    max_windows: usize,
) -> impl Iterator<Item = Result<Batch, DataError>> + '_ {
    let there = whole_windows(tokens, sequence_length);
    let used = there.min(max_windows);
    let start = move |n: usize| (n as u128 * there as u128 / used as u128) as usize * sequence_length;
    (0..used).step_by(batch_size.max(1)).map(move |first| {
        let starts: Vec<usize> = (first..used.min(first + batch_size)).map(start).collect();
        Batch::of_windows(tokens, &starts, sequence_length)
    })
}

/// How many windows fit side by side, each with a target for its last token.
fn whole_windows(tokens: &Tokens, sequence_length: usize) -> usize {
    tokens.len().saturating_sub(1).checked_div(sequence_length).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_whole_corpus_has_every_token_but_the_first_as_target_once(
            count in 0usize..300, batch_size in 1usize..6, sequence_length in 1usize..20
        ) {
            let tokens = Split::from((0..count as u32).collect::<Vec<_>>());
            let targets: Vec<u32> = whole_corpus_batches(&tokens, batch_size, sequence_length)
                .flat_map(|batch| batch.unwrap().targets)
                .collect();
            prop_assert_eq!(targets, (1..count as u32).collect::<Vec<_>>());
        }

        #[test]
        fn evaluation_windows_are_whole_apart_and_as_many_as_asked_for(
            count in 0usize..400, batch_size in 1usize..6, sequence_length in 1usize..20, max_batches in 0usize..8
        ) {
            let tokens = Split::from((0..count as u32).collect::<Vec<_>>());
            let batches: Vec<Batch> = evaluation_batches(&tokens, batch_size, sequence_length, max_batches)
                .map(|batch| batch.unwrap())
                .collect();
            let mut next_free = 0;
            for batch in &batches {
                prop_assert_eq!(batch.inputs.len(), batch.batch_size * sequence_length);
                for (input, target) in batch.inputs.iter().zip(&batch.targets) {
                    prop_assert_eq!(input + 1, *target);
                    prop_assert!(*input >= next_free);
                    next_free = input + 1;
                }
            }
            let windows: usize = batches.iter().map(|batch| batch.batch_size).sum();
            let there = count.saturating_sub(1) / sequence_length;
            prop_assert_eq!(windows, there.min(max_batches * batch_size));
            prop_assert!(batches.iter().rev().skip(1).all(|batch| batch.batch_size == batch_size));
        }
    }

    #[test]
    fn evaluation_windows_reach_over_the_whole_split() {
        let tokens = Split::from((0..1001).collect::<Vec<u32>>());
        let starts: Vec<u32> = evaluation_batches(&tokens, 2, 10, 2)
            .flat_map(|batch| batch.unwrap().inputs.into_iter().step_by(10))
            .collect();
        assert_eq!(starts, [0, 250, 500, 750]);
    }
}

//! The order in which windows of the corpus are trained on.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use super::DataError;
use super::split::{Share, Split};
use super::tokens::Tokens;
use crate::config::experiment::WindowOrder;

/// Token windows for one forward pass, row-major (B, T).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub batch_size: usize,
    pub sequence_length: usize,
    /// B * T token ids.
    pub inputs: Vec<u32>,
    /// B * T token ids: the inputs moved on by one.
    pub targets: Vec<u32>,
}

impl Batch {
    /// The windows of `sequence_length` inputs that begin at `starts`. Each needs one token more, for its last target.
    pub(super) fn of_windows(
        tokens: &Tokens,
        starts: &[usize],
        sequence_length: usize,
    ) -> Result<Batch, DataError> {
        Batch::of_windows_of(starts.iter().map(|&start| (tokens, start)), sequence_length)
    }

    /// The same, of windows that may be of different texts.
    fn of_windows_of<'t>(
        starts: impl ExactSizeIterator<Item = (&'t Tokens, usize)>,
        sequence_length: usize,
    ) -> Result<Batch, DataError> {
        let batch_size = starts.len();
        let mut inputs = Vec::with_capacity(batch_size * sequence_length);
        let mut targets = Vec::with_capacity(batch_size * sequence_length);
        let mut window = Vec::with_capacity(sequence_length + 1);
        for (tokens, start) in starts {
            window.clear();
            tokens.read(start..start + sequence_length + 1, &mut window)?;
            inputs.extend_from_slice(&window[..sequence_length]);
            targets.extend_from_slice(&window[1..]);
        }
        Ok(Batch { batch_size, sequence_length, inputs, targets })
    }

    /// Tokens whose loss the batch measures: B * T.
    pub fn tokens(&self) -> usize {
        self.targets.len()
    }
}

/// Deals out batches without end. Which windows come, and in which order, depends on the tokens, the sequence length,
/// the order and the seed alone; except with `sequential` not on the batch size, so that one batch of 8
/// holds the same windows as two batches of 4.
///
/// Of several texts each window is of the one that is furthest behind its share, so that shares hold at every moment, as in
/// Megatron-LM's blended datasets; within each text the windows come in its own order, with a seed of its own.
#[derive(Clone, Debug)]
pub struct Batches {
    decks: Vec<Deck>,
    shares: Vec<f64>,
    /// Windows that were dealt out of each text.
    dealt: Vec<u64>,
    batch_size: usize,
    sequence_length: usize,
}

/// Deals out the windows of one text.
#[derive(Clone, Debug)]
struct Deck {
    tokens: Tokens,
    batch_size: usize,
    sequence_length: usize,
    seed: u64,
    position: BatchState,
    /// Window starts of the current epoch, in the order dealt out; `shuffled_epochs` and `fixed_windows` only.
    epoch_starts: Vec<usize>,
}

/// Where [`Batches`] stands: all that a checkpoint needs beside the run's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum BatchState {
    /// `windows`: how many were dealt out.
    Random { windows: u64 },
    /// `windows`: how many of this epoch, from 0, were dealt out.
    ShuffledEpochs { epoch: u64, windows: u64 },
    /// As with `shuffled_epochs`.
    FixedWindows { epoch: u64, windows: u64 },
    /// `position`: the next batch's first token.
    Sequential { position: u64 },
    /// Of several texts: how many windows each gave, and where each stands.
    Mixed { dealt: Vec<u64>, texts: Vec<BatchState> },
}

impl Batches {
    /// Starts at the beginning of the order.
    ///
    /// - `sequential`: the position p starts at 0; a batch takes tokens p .. p + B*T as inputs, targets are the same
    ///   moved on by one, p grows by B*T, and returns to 0 when p + B*T + 1 exceeds the number of tokens.
    /// - `random`: each window begins anywhere, all places being equally likely.
    /// - `shuffled_epochs`: each epoch cuts the tokens into windows that do not overlap, from an offset below T that
    ///   the epoch draws, and deals each out once, shuffled. A batch may hold the end of one epoch and the start of
    ///   the next.
    /// - `fixed_windows`: the same with an offset of 0 in every epoch, so that its windows are always the same.
    ///
    /// # Errors
    /// [`DataError::TooShort`] when there are fewer tokens than one window (`sequential`: one batch) needs.
    pub fn new(
        split: impl Into<Split>,
        batch_size: usize,
        sequence_length: usize,
        order: WindowOrder,
        seed: u64,
    ) -> Result<Batches, DataError> {
        let split = split.into();
        let (together, parts) = (split.together(batch_size), split.parts);
        let shares = parts.iter().map(|part| part.share).collect();
        let decks = parts.into_iter().zip(0u64..).map(|(part, place)| {
            let seed = seed.wrapping_add(place.wrapping_mul(SEED_STEP));
            check_length(&part, together, sequence_length, order)?;
            Ok(Deck::new(part.tokens, together, sequence_length, order, seed))
        });
        let decks = decks.collect::<Result<Vec<Deck>, DataError>>()?;
        Ok(Batches { dealt: vec![0; decks.len()], decks, shares, batch_size, sequence_length })
    }

    /// The next batch of the order.
    ///
    /// # Errors
    /// Tokens that lie in a file and cannot be read.
    pub fn next_batch(&mut self) -> Result<Batch, DataError> {
        let windows: Vec<(usize, usize)> = match self.decks.as_mut_slice() {
            [deck] => deck.next_starts().into_iter().map(|start| (0, start)).collect(),
            _ => (0..self.batch_size).map(|_| self.next_mixed()).collect(),
        };
        let starts = windows.iter().map(|&(text, start)| (&self.decks[text].tokens, start));
        Batch::of_windows_of(starts, self.sequence_length)
    }

    /// The text of the next window, and where it begins there.
    fn next_mixed(&mut self) -> (usize, usize) {
        let next = self.dealt.iter().sum::<u64>() as f64 + 1.0;
        let behind = |text: usize| self.shares[text] * next - self.dealt[text] as f64;
        let text =
            (0..self.decks.len()).fold(0, |most, text| if behind(text) > behind(most) { text } else { most });
        self.dealt[text] += 1;
        (text, self.decks[text].next_starts()[0])
    }

    /// Where the next batch begins.
    pub fn state(&self) -> BatchState {
        match self.decks.as_slice() {
            [deck] => deck.position.clone(),
            decks => BatchState::Mixed {
                dealt: self.dealt.clone(),
                texts: decks.iter().map(|deck| deck.position.clone()).collect(),
            },
        }
    }

    /// Goes on from `state`, as if all batches before it had been dealt out here.
    ///
    /// # Errors
    /// [`DataError::Position`] when the state belongs to another order or to a longer corpus.
    pub fn restore(&mut self, state: BatchState) -> Result<(), DataError> {
        match (self.decks.as_mut_slice(), state) {
            ([deck], state) => deck.restore(state),
            (decks, BatchState::Mixed { dealt, texts })
                if texts.len() == decks.len() && dealt.len() == decks.len() =>
            {
                decks.iter_mut().zip(texts).try_for_each(|(deck, state)| deck.restore(state))?;
                self.dealt = dealt;
                Ok(())
            }
            (decks, state) => {
                let reason =
                    format!("it was saved with other texts ({state:?}, here {} of them)", decks.len());
                Err(DataError::Position { reason })
            }
        }
    }
}

impl Deck {
    fn new(tokens: Tokens, batch_size: usize, sequence_length: usize, order: WindowOrder, seed: u64) -> Deck {
        let position = match order {
            WindowOrder::Random => BatchState::Random { windows: 0 },
            WindowOrder::ShuffledEpochs => BatchState::ShuffledEpochs { epoch: 0, windows: 0 },
            WindowOrder::FixedWindows => BatchState::FixedWindows { epoch: 0, windows: 0 },
            WindowOrder::Sequential => BatchState::Sequential { position: 0 },
        };
        let mut deck = Deck { tokens, batch_size, sequence_length, seed, position, epoch_starts: Vec::new() };
        if matches!(order, WindowOrder::ShuffledEpochs | WindowOrder::FixedWindows) {
            deck.epoch_starts = deck.shuffled_starts(0);
        }
        deck
    }

    /// Where the windows of the next batch begin.
    fn next_starts(&mut self) -> Vec<usize> {
        let starts: Vec<usize> = (0..self.batch_size).map(|row| self.next_start(row)).collect();
        if let BatchState::Sequential { position } = &mut self.position {
            let batch_tokens = self.batch_size * self.sequence_length;
            let next = *position as usize + batch_tokens;
            *position = if next + batch_tokens < self.tokens.len() { next as u64 } else { 0 };
        }
        starts
    }

    fn restore(&mut self, state: BatchState) -> Result<(), DataError> {
        match (&self.position, &state) {
            (BatchState::Random { .. }, BatchState::Random { .. }) => {}
            (BatchState::ShuffledEpochs { .. }, BatchState::ShuffledEpochs { epoch, windows })
            | (BatchState::FixedWindows { .. }, BatchState::FixedWindows { epoch, windows }) => {
                let starts = self.shuffled_starts(*epoch);
                if *windows > starts.len() as u64 {
                    let reason = format!("window {windows} of an epoch that has {}", starts.len());
                    return Err(DataError::Position { reason });
                }
                self.epoch_starts = starts;
            }
            (BatchState::Sequential { .. }, BatchState::Sequential { position }) => {
                let needed = (self.batch_size * self.sequence_length) as u64 + 1;
                if position.checked_add(needed).is_none_or(|end| end > self.tokens.len() as u64) {
                    let reason =
                        format!("a batch from token {position} of a corpus of {}", self.tokens.len());
                    return Err(DataError::Position { reason });
                }
            }
            (mine, _) => {
                let reason = format!("it was saved by another data.order ({state:?}, here {mine:?})");
                return Err(DataError::Position { reason });
            }
        }
        self.position = state;
        Ok(())
    }

    fn next_start(&mut self, row: usize) -> usize {
        match self.position.clone() {
            BatchState::Sequential { position } => position as usize + row * self.sequence_length,
            // No deck stands so.
            BatchState::Mixed { .. } => 0,
            BatchState::Random { windows } => {
                self.position = BatchState::Random { windows: windows + 1 };
                self.random_start(windows)
            }
            BatchState::ShuffledEpochs { epoch, windows } => {
                let (epoch, window) = self.next_of_epoch(epoch, windows);
                self.position = BatchState::ShuffledEpochs { epoch, windows: window + 1 };
                self.epoch_starts[window as usize]
            }
            BatchState::FixedWindows { epoch, windows } => {
                let (epoch, window) = self.next_of_epoch(epoch, windows);
                self.position = BatchState::FixedWindows { epoch, windows: window + 1 };
                self.epoch_starts[window as usize]
            }
        }
    }

    /// The epoch and the number in it of the window that comes after so many of this epoch.
    fn next_of_epoch(&mut self, epoch: u64, windows: u64) -> (u64, u64) {
        if (windows as usize) < self.epoch_starts.len() {
            return (epoch, windows);
        }
        self.epoch_starts = self.shuffled_starts(epoch + 1);
        (epoch + 1, 0)
    }

    /// The start of the n-th random window: a function of n, so that resuming needs no replay.
    fn random_start(&self, window: u64) -> usize {
        let mut rng = stream(self.seed, RANDOM_STREAM);
        rng.set_word_pos(u128::from(window) * 2);
        below(&mut rng, self.tokens.len() - self.sequence_length)
    }

    /// The starts of one epoch's windows, shuffled; at least one.
    fn shuffled_starts(&self, epoch: u64) -> Vec<usize> {
        let mut rng = stream(self.seed, EPOCH_STREAM.wrapping_add(epoch));
        let length = self.sequence_length;
        // Offsets are below T, and small enough that one window fits behind them.
        let offset = match self.position {
            BatchState::FixedWindows { .. } => 0,
            _ => below(&mut rng, length.min(self.tokens.len() - length)),
        };
        let windows = (self.tokens.len() - 1 - offset) / length;
        let mut starts: Vec<usize> = (0..windows).map(|window| offset + window * length).collect();
        for last in (1..starts.len()).rev() {
            starts.swap(last, below(&mut rng, last + 1));
        }
        starts
    }
}

/// Errors unless a text is enough for one window, or with `sequential` for as many as come together.
pub(super) fn check_length(
    Share { name, tokens, .. }: &Share,
    together: usize,
    sequence_length: usize,
    order: WindowOrder,
) -> Result<(), DataError> {
    let (split, text, tokens) = ("training", name.clone(), tokens.len());
    let (windows, purpose, advice) = match order {
        WindowOrder::Sequential if together > 1 => (
            together,
            format!(
                "one batch of train.batch_size = {together} times train.sequence_length = {sequence_length}"
            ),
            "lower train.batch_size, train.sequence_length or data.val_fraction, or use a longer corpus",
        ),
        _ => (
            1,
            format!("one window of train.sequence_length = {sequence_length}"),
            "lower train.sequence_length or data.val_fraction, or use a longer corpus",
        ),
    };
    let needed = windows.saturating_mul(sequence_length).saturating_add(1);
    if tokens < needed {
        Err(DataError::TooShort { split, text, tokens, needed, purpose, advice })
    } else {
        Ok(())
    }
}

/// Between the seeds of several texts: they are apart, whichever seeds a sweep tries.
const SEED_STEP: u64 = 0x9e37_79b9_7f4a_7c15;

// Streams of the seed's generator, apart from each other and from stream 0, which other users of the seed begin with.
const RANDOM_STREAM: u64 = 1 << 62;
const EPOCH_STREAM: u64 = 1 << 63;

fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// A number below `n` from exactly two words of the generator, so that places in the stream can be computed. The bias
/// is below n / 2^64. Written out here because `rand` may change how it draws a range.
fn below(rng: &mut ChaCha8Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

#[cfg(test)]
mod tests;

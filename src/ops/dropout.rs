//! Random zeroing with a generator of our own: dfdx keeps its device's generator to itself, so a run that used it could
//! not be resumed to the bit.

use dfdx::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::number;

/// One use of dropout: the same values always give the same mask, on every device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dropout {
    /// Probability of zeroing an element: 0 < rate < 1.
    pub rate: f64,
    pub seed: u64,
}

impl Dropout {
    /// `len` factors: 0 with probability `rate`, else 1 / (1 - rate).
    pub fn mask<E: Dtype>(&self, len: usize) -> Vec<E> {
        let mut factors = vec![number(0.0); len];
        self.fill(0, &mut factors);
        factors
    }

    /// The generator's key, for whoever makes the numbers elsewhere: number i of the stream is element i's, and below the
    /// [threshold](Self::threshold) it is dropped.
    pub fn key(&self) -> [u32; 8] {
        let seed = ChaCha8Rng::seed_from_u64(self.seed).get_seed();
        std::array::from_fn(|i| {
            u32::from_le_bytes([seed[4 * i], seed[4 * i + 1], seed[4 * i + 2], seed[4 * i + 3]])
        })
    }

    /// See [`Self::key`].
    pub fn threshold(&self) -> u32 {
        (self.rate * 2f64.powi(32)) as u32
    }

    /// What an element that stays is multiplied by.
    pub fn kept(&self) -> f64 {
        1.0 / (1.0 - self.rate)
    }

    /// Writes the factors from number `start` on, so that parts of a mask can be made on their own.
    pub fn fill<E: Dtype>(&self, start: usize, factors: &mut [E]) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_word_pos(start as u128);
        let threshold = self.threshold();
        let kept = number(self.kept());
        let dropped = number(0.0);
        for factor in factors {
            *factor = if rng.next_u32() < threshold { dropped } else { kept };
        }
    }
}

/// Draws the [`Dropout`]s of a training run one after the other.
#[derive(Clone, Debug)]
pub struct DropoutSource {
    rate: f64,
    state: DropoutState,
}

/// Where a [`DropoutSource`] stands; part of a checkpoint.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DropoutState(ChaCha8Rng);

impl DropoutSource {
    /// A stream of masks for `seed`. A `rate` of 0 draws none.
    pub fn new(rate: f64, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        // The initial weights are drawn from the same seed with the streams 0, 1, 2, ...
        rng.set_stream(u64::MAX);
        Self { rate, state: DropoutState(rng) }
    }

    /// The next mask, or `None` when dropout is off.
    pub fn draw(&mut self) -> Option<Dropout> {
        (self.rate > 0.0).then(|| Dropout { rate: self.rate, seed: self.state.0.next_u64() })
    }

    pub fn state(&self) -> &DropoutState {
        &self.state
    }

    /// Goes on from a saved state, at the rate that this source was made with.
    pub fn set_state(&mut self, state: DropoutState) {
        self.state = state;
    }
}

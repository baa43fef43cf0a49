/// How well a model predicted tokens of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Tokens that were predicted.
    pub tokens: u64,
    /// Bytes of text that these stand for.
    pub bytes: u64,
    /// How improbable they were, all together: the sum of their negative log-probabilities in nats.
    pub nats: f64,
    /// How many of them the model held for the likeliest; `None` where that was not counted.
    pub right: Option<u64>,
}

impl Default for Score {
    /// Of nothing.
    fn default() -> Self {
        Self { tokens: 0, bytes: 0, nats: 0.0, right: Some(0) }
    }
}

impl Score {
    /// Nats per token.
    pub fn loss(&self) -> f64 {
        self.nats / self.tokens as f64
    }

    /// e to the loss: among how many equally likely tokens the model is as undecided.
    pub fn perplexity(&self) -> f64 {
        self.loss().exp()
    }

    /// Bits that an encoder with this model would take for a byte of text. Does not depend on what the tokens are. `None` where they
    /// stand for no text.
    pub fn bits_per_byte(&self) -> Option<f64> {
        (self.bytes > 0).then(|| self.nats / std::f64::consts::LN_2 / self.bytes as f64)
    }

    /// Share of the tokens that the model held for the likeliest.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self.right.filter(|_| self.tokens > 0)?;
        Some(right as f64 / self.tokens as f64)
    }

    pub fn add(&mut self, other: &Self) {
        self.tokens += other.tokens;
        self.bytes += other.bytes;
        self.nats += other.nats;
        self.right = self.right.zip(other.right).map(|(a, b)| a + b);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_of_the_sum() {
        let ln_2 = std::f64::consts::LN_2;
        let mut score = Score { tokens: 4, bytes: 8, nats: 4.0 * ln_2, right: Some(1) };
        assert!((score.perplexity() - 2.0).abs() < 1e-12);
        assert!((score.bits_per_byte().unwrap() - 0.5).abs() < 1e-12);
        score.add(&Score { tokens: 4, bytes: 8, nats: 0.0, right: Some(3) });
        assert!((score.loss() - ln_2 / 2.0).abs() < 1e-12);
        assert_eq!(score.accuracy(), Some(0.5));
        score.add(&Score { right: None, ..score });
        assert_eq!(score.accuracy(), None, "of half of them it is not known");
    }

    #[test]
    fn nothing_has_neither_accuracy_nor_bits() {
        assert_eq!((Score::default().accuracy(), Score::default().bits_per_byte()), (None, None));
    }
}

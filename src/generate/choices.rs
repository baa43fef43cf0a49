//! Which tokens may be chosen at all.

use std::borrow::Cow;

use crate::data::tokenizer::Tokenizer;

/// The ids that stand for something. A model may have more: rows that fill its table up to a round number.
#[derive(Clone, Debug)]
pub struct Choices {
    /// None beyond these.
    count: usize,
    /// Of those, the ones that stand for nothing.
    nothing: Vec<u32>,
}

impl Choices {
    /// The tokens of the tokenizer, and those that end a text even if the tokenizer does not know them.
    pub fn new(tokenizer: &Tokenizer, ends: &[u32], vocab_size: usize) -> Self {
        let known = ends.iter().map(|&end| end as usize + 1).filter(|&count| count <= vocab_size);
        let count = known.max().unwrap_or(0).max(tokenizer.vocab_size()).min(vocab_size);
        let nothing = (0..count as u32).filter(|id| !tokenizer.has(*id) && !ends.contains(id));
        Self { count, nothing: nothing.collect() }
    }

    /// The logits of these tokens.
    pub fn of<'a>(&self, logits: &'a [f32]) -> Cow<'a, [f32]> {
        let logits = &logits[..logits.len().min(self.count)];
        if self.nothing.is_empty() {
            return Cow::Borrowed(logits);
        }
        let mut logits = logits.to_vec();
        for &id in &self.nothing {
            logits[id as usize] = f32::NEG_INFINITY;
        }
        Cow::Owned(logits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokenizer::{AddedToken, Parts};

    fn with_token(id: u32) -> Tokenizer {
        Tokenizer::of_parts(Parts::new(Tokenizer::Byte, vec![AddedToken::special(id, "<u>")])).unwrap()
    }

    #[test]
    fn rows_without_a_token_are_never_chosen() {
        let logits = vec![1.0; 304];
        let choices = |tokenizer: &Tokenizer, ends: &[u32]| {
            let choices = Choices::new(tokenizer, ends, 304);
            let of = choices.of(&logits).into_owned();
            (0..of.len()).filter(|&id| of[id] == 1.0).skip(256).collect::<Vec<usize>>()
        };
        assert_eq!(choices(&Tokenizer::Byte, &[]), Vec::<usize>::new());
        assert_eq!(choices(&with_token(258), &[]), [258]);
        // What ends a text can be chosen, known or not; what the model has no row for cannot.
        assert_eq!(choices(&Tokenizer::Byte, &[300]), [300]);
        assert_eq!(choices(&with_token(258), &[258, 300, 304]), [258, 300]);
        assert_eq!(choices(&with_token(400), &[]), Vec::<usize>::new());
    }
}

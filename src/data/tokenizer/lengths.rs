//! How much text each id stands for.

use super::Tokenizer;

/// The bytes of UTF-8 that each id of a tokenizer stands for. Tokens that steer a model and are no text themselves stand for none:
/// `<|endoftext|>`, and what was added as special. So the bits that a model spends on them count among those of the text around them.
/// Other added tokens stand for what they are written as.
#[derive(Clone, Debug)]
pub struct TokenLengths(Vec<u32>);

impl TokenLengths {
    pub fn of(tokenizer: &Tokenizer) -> Self {
        let mut lengths: Vec<u32> = (0..tokenizer.vocab_size() as u32)
            .map(|id| tokenizer.token_bytes(id).map_or(0, |bytes| bytes.len() as u32))
            .collect();
        let special = tokenizer.added_tokens().iter().filter(|token| token.special).map(|token| token.id);
        for id in special.chain(tokenizer.end_token()) {
            if let Some(length) = lengths.get_mut(id as usize) {
                *length = 0;
            }
        }
        Self(lengths)
    }

    /// Of all these tokens together. Ids that the tokenizer has not got stand for no text.
    pub fn sum(&self, ids: &[u32]) -> u64 {
        ids.iter().map(|&id| u64::from(self.0.get(id as usize).copied().unwrap_or(0))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::experiment::TokenizerKind;
    use crate::data::tokenizer::{AddedToken, Parts};

    #[test]
    fn the_tokens_of_a_text_stand_for_all_its_bytes() {
        let text = "Sail west of the reef, caf\u{e9} and \u{6d77}!\n";
        for kind in [TokenizerKind::Gpt2, TokenizerKind::Char, TokenizerKind::Byte] {
            let tokenizer = Tokenizer::build(kind, text);
            let ids = tokenizer.encode(text);
            assert_eq!(TokenLengths::of(&tokenizer).sum(&ids), text.len() as u64, "{}", tokenizer.name());
        }
    }

    #[test]
    fn what_is_no_text_has_no_bytes_and_other_added_tokens_have_theirs() {
        assert_eq!(TokenLengths::of(&Tokenizer::Gpt2).sum(&[50_256, 60_000]), 0);
        let special = AddedToken::special(256, "<|user|>");
        let plain = AddedToken { special: false, ..AddedToken::special(257, "hello") };
        let tokenizer = Tokenizer::of_parts(Parts::new(Tokenizer::Byte, vec![special, plain])).unwrap();
        let lengths = TokenLengths::of(&tokenizer);
        assert_eq!((lengths.sum(&[256]), lengths.sum(&[257]), lengths.sum(&[65, 257])), (0, 5, 6));
    }
}

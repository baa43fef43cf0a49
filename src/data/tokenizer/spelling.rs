//! How bytes are written in `vocab.json`, `merges.txt` and `tokenizer.json`.

use super::{END_OF_TEXT_NAME, Tokenizer};

/// Bytes as characters that can be seen and that no white space is among: those of Latin-1 that are such stand for themselves, the
/// others follow from U+0100 on.
///
/// # Source
/// Radford et al. 2019: the spelling of GPT-2's own vocabulary, and of Hugging Face's `ByteLevel`.
pub fn printable(bytes: &[u8]) -> String {
    let is_seen = |byte: u8| matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
    let char_of = |&byte: &u8| match is_seen(byte) {
        true => char::from(byte),
        false => {
            let place = (0..byte).filter(|&before| !is_seen(before)).count() as u32;
            char::from_u32(0x100 + place).unwrap_or(char::REPLACEMENT_CHARACTER)
        }
    };
    bytes.iter().map(char_of).collect()
}

/// How this tokenizer's tokens are written there: bytes as characters that can be seen, characters as themselves.
pub fn as_key(base: &Tokenizer) -> fn(&[u8]) -> String {
    match base {
        Tokenizer::Char { .. } => |bytes| String::from_utf8_lossy(bytes).into_owned(),
        _ => printable,
    }
}

/// Every token of a tokenizer as it is written in such files, with its id; `spell` writes the bytes of one.
pub fn spelled(tokenizer: &Tokenizer, spell: fn(&[u8]) -> String) -> impl Iterator<Item = (String, u32)> {
    (0..tokenizer.vocab_size() as u32).filter_map(move |id| {
        let text = match tokenizer.token_bytes(id) {
            Some(_) if tokenizer.end_token() == Some(id) => END_OF_TEXT_NAME.to_owned(),
            Some(bytes) => spell(&bytes),
            None => return None,
        };
        Some((text, id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_a_character_of_its_own() {
        let spelled: std::collections::HashSet<String> = (0..=255).map(|byte| printable(&[byte])).collect();
        assert_eq!(spelled.len(), 256);
        assert!(spelled.iter().flat_map(|text| text.chars()).all(|c| !c.is_whitespace() && !c.is_control()));
    }
}

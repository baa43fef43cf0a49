//! Files of token ids that other programs made: nanoGPT's, which are ids of 16 bits and nothing else, and llm.c's, which have a header.

use std::fs::File;
use std::path::Path;

use super::DataError;
use super::reader::{Progress, stopped};
use super::tokenizer::Tokenizer;
use super::tokens::{Tokens, Width};
use crate::files::{Sum, plain};

/// What comes before the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    bytes: u64,
    /// How many ids are said to follow; `None`: as many as there are.
    tokens: Option<u64>,
}

impl Header {
    pub const NANOGPT: Header = Header { bytes: 0, tokens: None };
}

/// Of llm.c's files: 256 numbers of 32 bits, of which the first is this.
const MAGIC: u32 = 20_240_520;
const HEADER_BYTES: u64 = 256 * 4;
/// Its files for Llama 3, whose ids have 32 bits.
const MAGIC_LLAMA: u32 = 20_240_801;

/// The header of llm.c's tokens, if these are some.
///
/// # Source
/// `dev/data/data_common.py` of llm.c, `write_datafile`.
///
/// # Errors
/// Tokens of another model than GPT-2, or another version.
pub(super) fn llm_c(path: &Path, head: &[u8]) -> Result<Option<Header>, DataError> {
    let (words, _) = head.as_chunks::<4>();
    let word = |place: usize| words.get(place).map_or(0, |word| u32::from_le_bytes(*word));
    let other = |what, advice| Err(DataError::NoCorpus { path: path.to_owned(), what, advice });
    match (word(0), word(1)) {
        (MAGIC, 1) if head.len() as u64 >= HEADER_BYTES => {
            Ok(Some(Header { bytes: HEADER_BYTES, tokens: Some(u64::from(word(2))) }))
        }
        (MAGIC, 1) => other("a file of llm.c's tokens without its whole header", "copy or make it anew"),
        (MAGIC, _) => {
            other("a file of llm.c's tokens of a version that is not known here", "write version 1")
        }
        (MAGIC_LLAMA, _) => other(
            "a file of Llama 3's tokens, which no tokenizer here has",
            "make the tokens with llm.c's `--model_desc gpt-2`, or give the text",
        ),
        _ => Ok(None),
    }
}

/// The ids of a file, how often the tokenizer's end of text is among them, and the sum of their bytes.
pub(super) struct Read {
    pub tokens: Tokens,
    pub marks: u64,
    pub sha256: String,
}

/// A file whose ids were looked at before, and which is as it was then.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn reopen(
    path: &Path,
    header: Header,
    tokens: u64,
    tokenizer: &Tokenizer,
) -> Result<Tokens, DataError> {
    let file = plain::open(path).map_err(|source| DataError::Read { path: path.to_owned(), source })?;
    Ok(Tokens::in_file(file, path, header.bytes, tokens as usize, Width::Short, tokenizer.vocab_size()))
}

/// Looks at all ids of a file, which stay where they are.
///
/// # Errors
/// A file that cannot be read, another length than its header says, ids that the tokenizer lacks, and a tokenizer that has its ids
/// from a text.
pub(super) fn read(
    path: &Path,
    header: Header,
    tokenizer: &Tokenizer,
    progress: Progress,
) -> Result<Read, DataError> {
    let wrong = |what: String| DataError::TokenFile { path: path.to_owned(), what };
    if tokenizer.characters().is_some() {
        return Err(wrong(
            "the tokenizer char takes its characters from a text, and here are only numbers; give the text, or set \
             data.tokenizer to \"gpt2\" or \"byte\""
                .to_owned(),
        ));
    }
    let unreadable = |source| DataError::Read { path: path.to_owned(), source };
    let file: File = plain::open(path).map_err(unreadable)?;
    let length = file.metadata().map_err(unreadable)?.len();
    let bytes = length.saturating_sub(header.bytes);
    if bytes % 2 != 0 {
        return Err(wrong(format!(
            "its {length} bytes are no whole number of ids of 16 bits: it is cut short"
        )));
    }
    let there = bytes / 2;
    if let Some(said) = header.tokens.filter(|&said| said != there) {
        return Err(wrong(format!(
            "its header says {said} tokens and {there} are there: it is cut short or damaged"
        )));
    }
    if there == 0 {
        return Err(DataError::Empty { path: path.to_owned() });
    }
    let tokens =
        Tokens::in_file(file, path, header.bytes, there as usize, Width::Short, tokenizer.vocab_size());
    let mut sum = Sum::default();
    let mut marks = 0;
    // Of ids of 32 or 64 bits, every other one that is read here is the upper half of one, and zero.
    let mut upper_halves = there % 2 == 0 && there >= 32;
    let end = tokenizer.end_token();
    for ids in tokens.chunks(1 << 20) {
        // Of an id that is too large this says so, and names it.
        let ids = ids.map_err(|error| match error {
            DataError::Id { id, vocab_size, .. } => wrong(format!(
                "it holds the id {id}, and the tokenizer {} has {vocab_size}: it was made with another tokenizer",
                tokenizer.name()
            )),
            other => other,
        })?;
        upper_halves &= ids.iter().skip(1).step_by(2).all(|&id| id == 0);
        let mut raw = Vec::with_capacity(ids.len() * 2);
        for &id in &ids {
            marks += u64::from(Some(id) == end);
            raw.extend((id as u16).to_le_bytes());
        }
        sum.add(&raw);
        if !progress(raw.len() as u64) {
            return Err(DataError::Read { path: path.to_owned(), source: stopped() });
        }
    }
    if upper_halves {
        return Err(wrong(
            "every second id of 16 bits is 0, as if these were ids of 32 or 64 bits; write them as nanoGPT does: \
             `ids.astype(\"uint16\").tofile(\"x.bin\")`"
                .to_owned(),
        ));
    }
    Ok(Read { tokens, marks, sha256: sum.finish() })
}

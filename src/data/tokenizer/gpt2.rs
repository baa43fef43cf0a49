//! GPT-2's byte-pair encoding of texts of any size: cut where the pattern always cuts, on all cores, and each word that comes again
//! encoded once.

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use tiktoken_rs::CoreBPE;

pub(super) fn gpt2() -> &'static CoreBPE {
    tiktoken_rs::r50k_base_singleton()
}

/// Bytes of text that one core encodes at a time.
const PIECE_BYTES: usize = 1 << 16;

/// Longest run of white space, in characters, that is encoded as one. The pattern engine behind tiktoken-rs 0.12 panics
/// on runs of about a million (its backtracking stack overflows); longer runs are cut here, which can change the ids
/// at the cut, but not the text.
const MAX_BLANK_RUN: usize = 500_000;

/// Longest word, in bytes, that is remembered.
const LONGEST_WORD: usize = 32;
/// Words that all cores together remember: some 100 bytes each.
const MOST_WORDS: usize = 1 << 18;

/// Words with the white space before them, and their ids. Text repeats its words: most of it is looked up here.
#[derive(Debug)]
pub(in crate::data) struct Words {
    known: FxHashMap<Box<[u8]>, Box<[u32]>>,
    most: usize,
}

impl Words {
    /// For one of so many cores.
    pub fn of_one(cores: usize) -> Words {
        Words { known: FxHashMap::default(), most: MOST_WORDS / cores.max(1) }
    }

    /// Appends the ids of `text`.
    pub fn encode(&mut self, text: &str, ids: &mut Vec<u32>) {
        let mut rest = text;
        while !rest.is_empty() {
            let (word, after) = rest.split_at(word_end(rest));
            rest = after;
            if word.len() > LONGEST_WORD {
                for piece in (Pieces { rest: word }) {
                    ids.extend(gpt2().encode_ordinary(piece));
                }
            } else if let Some(known) = self.known.get(word.as_bytes()) {
                ids.extend_from_slice(known);
            } else {
                let new = gpt2().encode_ordinary(word);
                ids.extend_from_slice(&new);
                if self.known.len() < self.most {
                    self.known.insert(word.as_bytes().into(), new.into());
                }
            }
        }
    }
}

/// Where the first word with the white space before it ends: before the white space that follows it.
fn word_end(text: &str) -> usize {
    let mut in_word = false;
    for (at, c) in text.char_indices() {
        match (in_word, c.is_whitespace()) {
            (true, true) => return at,
            (false, false) => in_word = true,
            _ => {}
        }
    }
    text.len()
}

/// The ids of a text.
pub(super) fn encode(text: &str) -> Vec<u32> {
    let pieces: Vec<&str> = Pieces { rest: text }.collect();
    let encoded: Vec<Vec<u32>> = pieces.into_par_iter().map(|piece| gpt2().encode_ordinary(piece)).collect();
    encoded.concat()
}

/// The last place of a text where it can be cut, so that the ids of both parts are those of the whole.
pub(in crate::data) fn last_cut(text: &str) -> Option<usize> {
    let mut after = None;
    for (at, c) in text.char_indices().rev() {
        match (after, c.is_whitespace()) {
            (Some(cut), false) => return Some(cut),
            (_, true) => after = Some(at),
            (None, false) => {}
        }
    }
    None
}

/// Text cut where GPT-2's pattern always starts a new word: at white space after something else. No word spans such a
/// place and none looks beyond it, so the ids of the pieces are the ids of the whole.
struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let mut blank_run = 0;
        let cut = self.rest.char_indices().find_map(|(at, c)| {
            let after_blank = blank_run > 0;
            blank_run = if c.is_whitespace() { blank_run + 1 } else { 0 };
            let new_word = at >= PIECE_BYTES && blank_run > 0 && !after_blank;
            (new_word || blank_run > MAX_BLANK_RUN).then_some(at)
        });
        let (piece, rest) = self.rest.split_at(cut.unwrap_or(self.rest.len()));
        self.rest = rest;
        Some(piece)
    }
}

//! How much of what a model wrote stands verbatim in the text that it was trained on.
//!
//! The training text is read once, piece by piece, against an index of the samples, which are small: time grows with the text, and
//! memory does not.
//!
//! Words are separated by white space and compared exactly, so that models with different tokenizers can be compared.
//!
//! # Source
//! Radford et al. 2019, section 4, measure overlap by 8-grams too, lower-cased and without punctuation.

mod copies;

use std::collections::HashMap;

use crate::event::{Memorisation, NGRAM_WORDS, SampleText, VerbatimCopy};

use copies::LongestCopy;

/// Compares samples with a training text. Only the continuations count, not the prompts, which are often taken from that text.
pub struct Meter<'a> {
    /// Numbers of the samples' words.
    words: HashMap<&'a str, u32>,
    /// Runs of words of the samples that were not met yet, and how often each was sampled.
    wanted: HashMap<[u32; NGRAM_WORDS], u64>,
    ngrams: u64,
    copied_ngrams: u64,
    /// The text's last words, the newest last, as far as they are the samples' too.
    window: [u32; NGRAM_WORDS],
    known_in_a_row: usize,
    /// The text's word under way.
    word: String,
    longest: LongestCopy,
}

impl<'a> Meter<'a> {
    pub fn new(samples: &'a [SampleText]) -> Self {
        let mut words = HashMap::new();
        let mut wanted = HashMap::new();
        let mut ngrams = 0;
        for sample in samples {
            let numbers: Vec<u32> = whole_words(sample)
                .into_iter()
                .map(|word| {
                    let next = words.len() as u32;
                    *words.entry(word).or_insert(next)
                })
                .collect();
            for ngram in numbers.array_windows::<NGRAM_WORDS>() {
                *wanted.entry(*ngram).or_default() += 1;
                ngrams += 1;
            }
        }
        Self {
            words,
            wanted,
            ngrams,
            copied_ngrams: 0,
            window: [0; NGRAM_WORDS],
            known_in_a_row: 0,
            word: String::new(),
            longest: LongestCopy::new(samples.iter().map(|sample| sample.text.as_str())),
        }
    }

    /// Reads the next piece of the training text. Where the pieces are cut makes no difference.
    pub fn read(&mut self, piece: &str) {
        for c in piece.chars() {
            self.longest.read(c);
            if c.is_whitespace() {
                self.end_word();
            } else {
                self.word.push(c);
            }
        }
    }

    /// What was found in all that was read.
    pub fn finish(mut self) -> Memorisation {
        self.end_word();
        let longest = self.longest.finish();
        Memorisation {
            ngrams: self.ngrams,
            copied_ngrams: self.copied_ngrams,
            longest: longest.map(|(sample, text)| VerbatimCopy {
                sample,
                characters: text.chars().count() as u64,
                words: text.split_whitespace().count() as u64,
                text,
            }),
        }
    }

    fn end_word(&mut self) {
        if self.word.is_empty() {
            return;
        }
        let number = self.words.get(self.word.as_str()).copied();
        self.word.clear();
        let Some(number) = number else {
            self.known_in_a_row = 0;
            return;
        };
        self.window.rotate_left(1);
        self.window[NGRAM_WORDS - 1] = number;
        self.known_in_a_row += 1;
        if self.known_in_a_row >= NGRAM_WORDS {
            self.copied_ngrams += self.wanted.remove(&self.window).unwrap_or(0);
        }
    }
}

/// The words of a continuation that are surely whole: not a first one that goes on with the prompt's last, and not a last one that the
/// limit of tokens may have cut.
fn whole_words(sample: &SampleText) -> Vec<&str> {
    let text = sample.text.as_str();
    let goes_on =
        !text.starts_with(char::is_whitespace) && sample.prompt.ends_with(|c: char| !c.is_whitespace());
    let is_cut = !text.ends_with(char::is_whitespace);
    let mut words: Vec<&str> = text.split_whitespace().skip(usize::from(goes_on)).collect();
    if is_cut {
        words.pop();
    }
    words
}

#[cfg(test)]
mod tests;

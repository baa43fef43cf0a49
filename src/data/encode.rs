//! Documents to token ids, however large they are: text comes in pieces, and is encoded on all cores a block at a time.

use std::sync::Mutex;

use memchr::memmem;
use rayon::prelude::*;

use super::DataError;
use super::tokenizer::{Tokenizer, Words, last_cut};
use crate::config::experiment::Separator;
use crate::files::Sum;

/// How GPT-2's end of text is written.
pub(super) const MARK: &str = "<|endoftext|>";

/// Who takes the text of a corpus, documents and what separates them joined.
pub(super) trait Target {
    fn text(&mut self, text: &str) -> Result<(), DataError>;
    /// Two documents are separated here by the token of the end of a text.
    fn mark(&mut self);
}

/// What is known of documents that were joined.
pub(super) struct Joined {
    pub documents: u64,
    /// Of the text.
    pub bytes: u64,
    /// Of the text, separators included as they would be written.
    pub sha256: String,
}

/// Joins documents, and sums up what passes.
pub(super) struct Joiner<'t> {
    separator: Separator,
    special_tokens: bool,
    target: &'t mut dyn Target,
    sum: Sum,
    pub bytes: u64,
    pub documents: u64,
    in_document: bool,
    /// The first bytes of a document, until it is known whether it begins with a mark.
    head: String,
    /// The last bytes of the text, as far as a mark reaches.
    tail: String,
}

impl<'t> Joiner<'t> {
    pub fn new(
        separator: Separator,
        special_tokens: bool,
        tokenizer_ends: bool,
        target: &'t mut dyn Target,
    ) -> Self {
        let separator = match separator {
            Separator::Auto if tokenizer_ends => Separator::EndOfText,
            Separator::Auto => Separator::LineBreak,
            other => other,
        };
        Joiner {
            separator,
            special_tokens,
            target,
            sum: Sum::default(),
            bytes: 0,
            documents: 0,
            in_document: false,
            head: String::new(),
            tail: String::new(),
        }
    }

    /// The next piece of the document under way, or the first of a new one. A document without text is none.
    pub fn text(&mut self, text: &str) -> Result<(), DataError> {
        if text.is_empty() {
            return Ok(());
        }
        if self.in_document {
            return self.pass(text);
        }
        self.head.push_str(text);
        if self.head.len() < MARK.len() { Ok(()) } else { self.begin() }
    }

    pub fn end_document(&mut self) -> Result<(), DataError> {
        if !self.head.is_empty() {
            self.begin()?;
        }
        self.in_document = false;
        Ok(())
    }

    /// Begins a document with what is held of it.
    fn begin(&mut self) -> Result<(), DataError> {
        self.in_document = true;
        self.documents += 1;
        let head = std::mem::take(&mut self.head);
        if self.documents > 1 {
            self.separate(&head)?;
        }
        self.pass(&head)
    }

    /// What passed.
    pub fn finish(self) -> Joined {
        Joined { documents: self.documents, bytes: self.bytes, sha256: self.sum.finish() }
    }

    fn separate(&mut self, next: &str) -> Result<(), DataError> {
        match self.separator {
            // Where the texts bring their marks there is no second one.
            Separator::EndOfText
                if self.special_tokens && (self.tail.ends_with(MARK) || next.starts_with(MARK)) => {}
            Separator::EndOfText => {
                self.sum.add(MARK.as_bytes());
                self.target.mark();
            }
            Separator::LineBreak => self.pass("\n")?,
            Separator::Auto | Separator::None => {}
        }
        Ok(())
    }

    fn pass(&mut self, text: &str) -> Result<(), DataError> {
        self.sum.add(text.as_bytes());
        self.bytes += text.len() as u64;
        if text.len() >= MARK.len() {
            self.tail.clear();
        }
        self.tail.push_str(&text[text.floor_char_boundary(text.len().saturating_sub(MARK.len()))..]);
        let extra = self.tail.floor_char_boundary(self.tail.len().saturating_sub(MARK.len()));
        self.tail.drain(..extra);
        self.target.text(text)
    }
}

/// How often each character comes.
pub(super) struct Characters(Vec<u64>);

impl Default for Characters {
    fn default() -> Self {
        Characters(vec![0; char::MAX as usize + 1])
    }
}

impl Characters {
    pub fn all(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Those that are there, in the order of code points, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (char, u64)> + '_ {
        let counts = self.0.iter().enumerate().filter(|(_, count)| **count > 0);
        counts.filter_map(|(code, count)| Some((char::from_u32(code as u32)?, *count)))
    }
}

impl Target for Characters {
    fn text(&mut self, text: &str) -> Result<(), DataError> {
        text.chars().for_each(|c| self.0[c as usize] += 1);
        Ok(())
    }

    fn mark(&mut self) {}
}

/// Who takes the ids.
pub(super) trait Ids {
    fn add(&mut self, ids: &[u32]) -> Result<(), DataError>;
}

impl Ids for Vec<u32> {
    fn add(&mut self, ids: &[u32]) -> Result<(), DataError> {
        self.extend_from_slice(ids);
        Ok(())
    }
}

impl Ids for Vec<u16> {
    fn add(&mut self, ids: &[u32]) -> Result<(), DataError> {
        self.extend(ids.iter().map(|&id| id as u16));
        Ok(())
    }
}

/// Bytes of text that are encoded at a time.
const BLOCK: usize = 16 << 20;
/// Bytes of a block that one core encodes at a time.
const SHARE: usize = 64 << 10;

/// Encodes text that comes in pieces, exactly as if it had come whole.
pub(super) struct Encoder<'t> {
    tokenizer: &'t Tokenizer,
    special_tokens: bool,
    ids: &'t mut dyn Ids,
    block: usize,
    text: String,
    /// Places in `text` where documents are separated by a token.
    marks: Vec<usize>,
    /// Length at which it is looked again for a place to cut.
    next: usize,
    /// Of each core.
    words: Vec<Mutex<Words>>,
    /// Marks in the text itself.
    pub written_marks: u64,
    /// Tokens of the end of a text, written or put between documents.
    pub ends: u64,
}

/// A part of a block that is encoded for itself, and whether a mark follows.
type Part<'a> = (&'a str, bool);

impl<'t> Encoder<'t> {
    pub fn new(tokenizer: &'t Tokenizer, special_tokens: bool, ids: &'t mut dyn Ids) -> Self {
        Self::of_blocks(tokenizer, special_tokens, ids, BLOCK)
    }

    fn of_blocks(tokenizer: &'t Tokenizer, special_tokens: bool, ids: &'t mut dyn Ids, block: usize) -> Self {
        let cores = rayon::current_num_threads();
        Encoder {
            tokenizer,
            special_tokens,
            ids,
            block,
            text: String::new(),
            marks: Vec::new(),
            next: block,
            words: (0..cores).map(|_| Mutex::new(Words::of_one(cores))).collect(),
            written_marks: 0,
            ends: 0,
        }
    }

    /// Encodes what is left.
    pub fn finish(&mut self) -> Result<(), DataError> {
        self.encode(self.text.len())
    }

    /// Where the text so far can be cut: not within a word of GPT-2, nor within a mark.
    fn cut(&self) -> Option<usize> {
        match self.tokenizer {
            Tokenizer::Gpt2 => last_cut(&self.text).max(self.marks.last().copied()),
            // An added token may stand anywhere and take the white space around it: documents stay whole.
            Tokenizer::Extended(_) => self.marks.last().copied(),
            Tokenizer::Char { .. } | Tokenizer::Byte => {
                let end = self.text.len().saturating_sub(MARK.len());
                let cut = self.text.rfind('\n').filter(|&line| line > end / 2);
                Some(cut.unwrap_or_else(|| before_mark(&self.text, self.text.floor_char_boundary(end))))
            }
        }
        .filter(|&cut| cut > 0)
    }

    fn encode(&mut self, end: usize) -> Result<(), DataError> {
        let rest = self.text.split_off(end);
        let text = std::mem::replace(&mut self.text, rest);
        let here = self.marks.partition_point(|&mark| mark <= end);
        let marks: Vec<usize> = self.marks.drain(..here).collect();
        self.marks.iter_mut().for_each(|mark| *mark -= end);
        let end_token = self.tokenizer.end_token();
        let is_token = self.special_tokens && end_token.is_some();
        let finder = memmem::Finder::new(MARK);
        let mut parts: Vec<Part> = Vec::new();
        let mut from = 0;
        let document_ends = marks.iter().map(|&mark| (mark, true)).chain([(text.len(), false)]);
        for (to, is_end) in document_ends {
            let document = &text[from..to];
            from = to;
            let mut start = 0;
            for at in finder.find_iter(document.as_bytes()) {
                self.written_marks += 1;
                if is_token {
                    parts.push((&document[start..at], true));
                    start = at + MARK.len();
                }
            }
            parts.push((&document[start..], is_end));
        }
        let (tokenizer, words) = (self.tokenizer, &self.words);
        let shares = shares(&parts, tokenizer);
        let encoded: Vec<Vec<u32>> = shares
            .par_iter()
            .map(|share| {
                // Outside of a pool of this many threads there is one thread only.
                let own = rayon::current_thread_index().and_then(|thread| words.get(thread));
                let mut ids = Vec::with_capacity(SHARE / 3);
                match own.or(words.first()).and_then(|words| words.lock().ok()) {
                    Some(mut words) => encode_share(tokenizer, share, &mut words, end_token, &mut ids),
                    None => encode_share(tokenizer, share, &mut Words::of_one(1), end_token, &mut ids),
                }
                ids
            })
            .collect();
        if is_token {
            self.ends += parts.iter().filter(|(_, mark)| *mark).count() as u64;
        } else {
            self.ends += marks.len() as u64;
        }
        encoded.iter().try_for_each(|ids| self.ids.add(ids))
    }
}

impl Target for Encoder<'_> {
    fn text(&mut self, text: &str) -> Result<(), DataError> {
        self.text.push_str(text);
        if self.text.len() < self.next {
            return Ok(());
        }
        match self.cut() {
            Some(cut) => {
                self.encode(cut)?;
                self.next = self.text.len() + self.block;
            }
            // A text without white space: to look at every piece of it would take time by its square.
            None => self.next = 2 * self.text.len(),
        }
        Ok(())
    }

    fn mark(&mut self) {
        self.marks.push(self.text.len());
    }
}

/// `at`, or the beginning of a mark that reaches over it.
fn before_mark(text: &str, at: usize) -> usize {
    let start = text.floor_char_boundary(at.saturating_sub(MARK.len() - 1));
    let end = text.floor_char_boundary(text.len().min(at + MARK.len() - 1));
    text[start..end].find(MARK).map_or(at, |mark| if start + mark < at { start + mark } else { at })
}

/// The parts in shares of about [`SHARE`] bytes, long ones cut.
fn shares<'a>(parts: &[Part<'a>], tokenizer: &Tokenizer) -> Vec<Vec<Part<'a>>> {
    let mut shares: Vec<Vec<Part>> = Vec::new();
    let mut share: Vec<Part> = Vec::new();
    let mut size = 0;
    for &(mut text, mark) in parts {
        loop {
            let room = SHARE.saturating_sub(size);
            let cut = if text.len() <= room { None } else { cut_after(text, room, tokenizer) };
            let Some(cut) = cut else { break };
            let (piece, rest) = text.split_at(cut);
            share.push((piece, false));
            shares.push(std::mem::take(&mut share));
            (size, text) = (0, rest);
        }
        size += text.len();
        share.push((text, mark));
        if size >= SHARE {
            shares.push(std::mem::take(&mut share));
            size = 0;
        }
    }
    shares.push(share);
    shares
}

/// The first place behind so many bytes where a text can be cut.
fn cut_after(text: &str, bytes: usize, tokenizer: &Tokenizer) -> Option<usize> {
    let from = text.ceil_char_boundary(bytes);
    match tokenizer {
        Tokenizer::Gpt2 => {}
        Tokenizer::Extended(_) => return None,
        Tokenizer::Char { .. } | Tokenizer::Byte => return (from < text.len()).then_some(from),
    }
    let mut in_word = false;
    text[from..].char_indices().find_map(|(at, c)| {
        let is_cut = in_word && c.is_whitespace();
        in_word = !c.is_whitespace();
        is_cut.then_some(from + at)
    })
}

fn encode_share(
    tokenizer: &Tokenizer,
    share: &[Part],
    words: &mut Words,
    end_token: Option<u32>,
    ids: &mut Vec<u32>,
) {
    for (text, mark) in share {
        match tokenizer {
            Tokenizer::Gpt2 => words.encode(text, ids),
            Tokenizer::Byte => ids.extend(text.bytes().map(u32::from)),
            Tokenizer::Char { .. } | Tokenizer::Extended(_) => ids.extend(tokenizer.encode(text)),
        }
        if *mark {
            ids.extend(end_token);
        }
    }
}

#[cfg(test)]
mod tests;

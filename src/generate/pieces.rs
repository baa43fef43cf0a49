//! From tokens to text as it comes: whole characters only, and nothing of a text that would end it.

use std::collections::VecDeque;

use super::sampler::Chance;

/// A token and what it adds to the text, which is nothing as long as a character is not complete.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    pub token: u32,
    pub text: String,
    /// How probable it was, where that was asked for.
    pub chance: Option<Chance>,
}

/// Holds back what cannot be said yet.
#[derive(Clone, Debug)]
pub struct Pieces {
    stops: Vec<String>,
    /// Of a character that is not complete.
    bytes: Vec<u8>,
    held: VecDeque<Piece>,
}

impl Pieces {
    /// The text ends before the first of `stops`.
    pub fn new(stops: Vec<String>) -> Self {
        Self { stops, bytes: Vec::new(), held: VecDeque::new() }
    }

    /// Takes a token with its bytes. Returns what can be said now, and whether the text has come to its end.
    pub fn push(&mut self, token: u32, bytes: &[u8], chance: Option<Chance>) -> (Vec<Piece>, bool) {
        self.bytes.extend_from_slice(bytes);
        let text = take_characters(&mut self.bytes);
        self.held.push_back(Piece { token, text, chance });
        let held: String = self.held.iter().map(|piece| piece.text.as_str()).collect();
        if let Some(end) = self.stops.iter().filter_map(|stop| held.find(stop.as_str())).min() {
            return (self.take_until(end), true);
        }
        let open = self.stops.iter().map(|stop| overlap(&held, stop)).max().unwrap_or(0);
        // A piece with the beginning of a character waits for the rest of it.
        let complete = self.held.len() - usize::from(!self.bytes.is_empty());
        let mut left = held.len() - open;
        let mut said = Vec::new();
        while said.len() < complete
            && let Some(piece) = self.held.pop_front_if(|piece| piece.text.len() <= left)
        {
            left -= piece.text.len();
            said.push(piece);
        }
        (said, false)
    }

    /// What was held back, now that nothing more will come.
    pub fn finish(&mut self) -> Vec<Piece> {
        if !std::mem::take(&mut self.bytes).is_empty()
            && let Some(last) = self.held.back_mut()
        {
            last.text.push(char::REPLACEMENT_CHARACTER);
        }
        self.held.drain(..).collect()
    }

    /// The pieces of the first `end` bytes of the held text, and nothing is held any more.
    fn take_until(&mut self, end: usize) -> Vec<Piece> {
        self.bytes.clear();
        let mut left = end;
        let mut said = Vec::new();
        for mut piece in self.held.drain(..) {
            if left == 0 && !piece.text.is_empty() {
                break;
            }
            piece.text.truncate(left);
            left -= piece.text.len();
            said.push(piece);
        }
        said
    }
}

/// Takes the complete characters from the front. What can never become one is U+FFFD.
pub fn take_characters(bytes: &mut Vec<u8>) -> String {
    let mut text = String::new();
    let mut rest = bytes.as_slice();
    loop {
        match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                rest = &[];
                break;
            }
            Err(error) => {
                let (valid, after) = rest.split_at(error.valid_up_to());
                text.push_str(&String::from_utf8_lossy(valid));
                rest = after;
                let Some(len) = error.error_len() else { break };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = &rest[len..];
            }
        }
    }
    *bytes = rest.to_vec();
    text
}

/// Bytes at the end of `text` that are the beginning of `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest).rev().find(|&len| text.as_bytes().ends_with(&stop.as_bytes()[..len])).unwrap_or(0)
}

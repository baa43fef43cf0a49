//! Prompts that were scored a moment ago, with their keys and values. An evaluation asks for many texts that begin alike: the answers
//! to one question, questions after the same examples. What is alike is then read once. The bits of what is said are those of a first
//! reading.

use std::collections::VecDeque;

use super::GenerateError;
use super::batch::Scored;
use crate::infer::Cache;
use crate::model::ModelConfig;

/// A beginning that is shorter than this is read again: to look it up saves nothing.
const SHORTEST: usize = 4;

/// The prompts that were used last come first.
#[derive(Debug, Default)]
pub(super) struct Kept {
    most_bytes: u64,
    bytes: u64,
    prompts: VecDeque<Prompt>,
}

#[derive(Debug)]
struct Prompt {
    scored: Vec<Scored>,
    /// Likeliest tokens that were asked for with each.
    alternatives: usize,
    cache: Cache,
    bytes: u64,
}

impl Kept {
    pub(super) fn new(most_bytes: u64) -> Self {
        Self { most_bytes, ..Self::default() }
    }

    /// Whether anything is kept at all.
    pub(super) fn is_used(&self) -> bool {
        self.most_bytes > 0
    }

    /// Fills an empty cache with the longest beginning of `prompt` that was read before. Returns what is known of the tokens in
    /// the cache and of the one after them: nothing where no beginning was read.
    pub(super) fn begin(
        &mut self,
        prompt: &[u32],
        alternatives: usize,
        cache: &mut Cache,
    ) -> Result<Vec<Scored>, GenerateError> {
        let alike = |kept: &Prompt| {
            kept.scored.iter().zip(prompt).take_while(|(scored, token)| scored.token == **token).count()
        };
        let usable = self.prompts.iter().enumerate().filter(|(_, kept)| kept.alternatives == alternatives);
        let longest = usable.map(|(place, kept)| (alike(kept), place)).max_by_key(|(alike, _)| *alike);
        let Some((alike, place)) = longest.filter(|(alike, _)| *alike >= SHORTEST) else {
            return Ok(Vec::new());
        };
        let Some(kept) = self.prompts.remove(place) else { return Ok(Vec::new()) };
        // The last token that is alike is read again: what comes after it may be another one, whose probability is wanted.
        cache.copy_first(&kept.cache, alike - 1)?;
        let known = kept.scored[..alike].to_vec();
        self.prompts.push_front(kept);
        Ok(known)
    }

    /// Keeps a prompt that was read to its end, and lets go of the ones that were not used for longest.
    pub(super) fn put(
        &mut self,
        model: &ModelConfig,
        scored: Vec<Scored>,
        alternatives: usize,
        cache: Cache,
    ) {
        let of_a_token = size_of::<Scored>() + alternatives * size_of::<(u32, f32)>();
        let bytes = Cache::bytes(model, cache.capacity()) + (scored.len() * of_a_token) as u64;
        self.bytes += bytes;
        self.prompts.push_front(Prompt { scored, alternatives, cache, bytes });
        while self.bytes > self.most_bytes
            && let Some(last) = self.prompts.pop_back()
        {
            self.bytes -= last.bytes;
        }
    }
}

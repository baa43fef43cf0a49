//! One text of a batch: what it is fed, and what it says next.

use super::{Ending, PROMPT_TOKENS_A_STEP, Question, Text, sampler};
use crate::data::tokenizer::Tokenizer;
use crate::generate::pieces::Piece;
use crate::generate::sampler::{Chance, penalise};
use crate::generate::{GenerateError, Settings};
use crate::infer::{Cache, Decoder, Feed, InferError};

impl Text {
    /// The tokens that are computed next, and what is asked about them.
    pub(super) fn feed(&mut self, decoder: &Decoder, settings: &Settings) -> (Feed<'_>, Option<Question>) {
        let block_size = decoder.model().block_size;
        if self.cache.len() + self.waiting > block_size {
            self.cache.clear();
            self.waiting = (block_size / 2).max(1);
        }
        let count = self.waiting.min(PROMPT_TOKENS_A_STEP);
        let start = self.tokens.len() - self.waiting;
        self.waiting -= count;
        // As long as nothing is written all tokens are the prompt's.
        let question = (settings.score_prompt && self.written == 0).then(|| {
            let after = (start + 1).min(self.tokens.len())..(start + count + 1).min(self.tokens.len());
            Question {
                targets: self.tokens[after].to_vec(),
                alternatives: settings.alternatives.unwrap_or(0),
                known: std::mem::take(&mut self.known),
            }
        });
        (Feed { cache: &mut self.cache, tokens: &self.tokens[start..start + count] }, question)
    }

    /// The same text as another sample, which chooses otherwise.
    pub(super) fn copy(
        &self,
        decoder: &Decoder,
        sample: usize,
        settings: &Settings,
    ) -> Result<Self, InferError> {
        let mut cache = Cache::try_new(decoder.model(), self.cache.capacity())?;
        cache.copy_from(&self.cache)?;
        Ok(Self {
            sample,
            cache,
            known: Vec::new(),
            tokens: self.tokens.clone(),
            repeated: self.repeated.clone(),
            waiting: 0,
            written: 0,
            sampler: sampler(settings, sample),
            pieces: self.pieces.clone(),
        })
    }

    /// Chooses a token by the logits of those that there are, and says what can be said now.
    pub(super) fn write(
        &mut self,
        tokenizer: &Tokenizer,
        ends: &[u32],
        settings: &Settings,
        known: &[f32],
    ) -> Result<(Vec<Piece>, Option<Ending>), GenerateError> {
        if settings.max_new_tokens == 0 {
            return Ok((Vec::new(), Some(Ending::Length)));
        }
        let token = if settings.repetition_penalty == 1.0 {
            self.sampler.sample(known)?
        } else {
            let mut penalised = known.to_vec();
            penalise(&mut penalised, &self.repeated, settings.repetition_penalty);
            let token = self.sampler.sample(&penalised)?;
            self.repeated.insert(token);
            token
        };
        let chance = settings.alternatives.map(|count| Chance::of(token, known, count));
        if ends.contains(&token) {
            let mut said = self.pieces.finish();
            said.push(Piece { token, text: String::new(), chance });
            return Ok((said, Some(Ending::Stop)));
        }
        self.tokens.push(token);
        self.waiting = 1;
        self.written += 1;
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        let (mut said, stopped) = self.pieces.push(token, &bytes, chance);
        if stopped {
            return Ok((said, Some(Ending::Stop)));
        }
        if self.written >= settings.max_new_tokens {
            said.extend(self.pieces.finish());
            return Ok((said, Some(Ending::Length)));
        }
        Ok((said, None))
    }
}

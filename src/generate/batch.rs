//! Texts that are written at the same time: each weight that is read from memory serves all of them. What is written does not
//! depend on which others there are.

mod text;

use std::collections::{HashSet, VecDeque};

use rayon::prelude::*;

use super::choices::Choices;
use super::kept::Kept;
use super::pieces::{Piece, Pieces};
use super::sampler::{Chance, Sampler};
use super::{GenerateError, Model, Settings};
use crate::data::tokenizer::Tokenizer;
use crate::infer::{Cache, Decoder, Feed, Look, Seen, log_sum_exp};
use crate::threads;

/// Tokens of a prompt that are read in one step, so that the texts that are being written need not wait for all of a long one.
const PROMPT_TOKENS_A_STEP: usize = 128;

/// And of all prompts together: those that come first are read first.
const PROMPT_TOKENS_TOGETHER: usize = 2 * PROMPT_TOKENS_A_STEP;

/// Names a job of a batch.
pub type JobId = u64;

/// What happened in a step.
#[derive(Debug)]
pub struct News {
    pub job: JobId,
    /// Number of the sample, from 0.
    pub sample: usize,
    pub what: What,
}

#[derive(Debug)]
pub enum What {
    /// The prompt's next tokens, where they are scored: said once for all samples of the job, before anything else.
    Prompt(Vec<Scored>),
    /// What was written. The token that ends a text is one without text.
    Piece(Piece),
    /// The text is complete.
    End(Ending),
    /// It cannot be gone on with. The whole job is over.
    Failed(GenerateError),
}

/// A token of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    pub token: u32,
    /// How probable it was after those before it, among all that the model has: also those that its tokenizer lacks. `None` for
    /// the first, which comes after nothing.
    pub chance: Option<Chance>,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As many tokens as were asked for.
    Length,
    /// A stop text, or the token that ends texts.
    Stop,
}

impl Ending {
    /// `length` or `stop`, as OpenAI's interface calls them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "length",
            Self::Stop => "stop",
        }
    }
}

/// What is asked about the tokens that a text is fed.
#[derive(Debug)]
struct Question {
    /// The tokens after each of them, as far as they are the prompt's.
    targets: Vec<u32>,
    alternatives: usize,
    /// What is known of those before these.
    known: Vec<Scored>,
}

/// Jobs under way with one model.
#[derive(Debug)]
pub struct Batch<'m> {
    decoder: &'m Decoder,
    tokenizer: &'m Tokenizer,
    /// After these a text is over.
    ends: Vec<u32>,
    choices: Choices,
    jobs: Vec<Job>,
    kept: Kept,
}

/// Samples of one prompt.
#[derive(Debug)]
struct Job {
    id: JobId,
    settings: Settings,
    /// While the prompt is being read there is one text, which the others are then copies of.
    texts: Vec<Text>,
    samples: usize,
    /// Whether it goes on in this step.
    has_turn: bool,
    /// What was said of its prompt, as long as it may be kept.
    scored: Vec<Scored>,
    /// The prompt's keys and values, when nothing else is to be done with them.
    done: Option<Cache>,
}

#[derive(Debug)]
struct Text {
    sample: usize,
    cache: Cache,
    /// All tokens, the prompt's included.
    tokens: Vec<u32>,
    /// Each of them once, where that is asked for: a prompt can be far longer than the vocabulary.
    repeated: HashSet<u32>,
    /// What is known of the prompt's tokens before they are read, and was not said yet.
    known: Vec<Scored>,
    /// How many of the last tokens are not in the cache yet.
    waiting: usize,
    written: usize,
    sampler: Sampler,
    pieces: Pieces,
}

impl<'m> Batch<'m> {
    pub fn new(decoder: &'m Decoder, tokenizer: &'m Tokenizer) -> Self {
        let ends: Vec<u32> = tokenizer.end_token().into_iter().collect();
        let choices = Choices::new(tokenizer, &ends, decoder.model().vocab_size);
        Self { decoder, tokenizer, ends, choices, jobs: Vec::new(), kept: Kept::default() }
    }

    /// Of this model, whose folder may say what ends a text.
    pub fn of(model: &'m Model) -> Self {
        Self::new(&model.decoder, &model.pretrained.tokenizer).ending_at(model.end_tokens())
    }

    /// Texts are over after these tokens, and no others.
    pub fn ending_at(self, ends: Vec<u32>) -> Self {
        let choices = Choices::new(self.tokenizer, &ends, self.decoder.model().vocab_size);
        Self { ends, choices, ..self }
    }

    /// Keeps keys and values of prompts that were scored, up to so many bytes, for others that begin like them.
    pub fn keeping(self, bytes: u64) -> Self {
        Self { kept: Kept::new(bytes), ..self }
    }

    #[cfg(test)]
    pub(super) fn kept_for_tests(&mut self) -> &mut Kept {
        &mut self.kept
    }

    /// Nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Texts that are under way, those included that begin when their prompt is read.
    pub fn texts(&self) -> usize {
        self.jobs.iter().map(|job| if job.is_reading() { job.samples } else { job.texts.len() }).sum()
    }

    /// Takes a job up: `samples` continuations of `prompt` (at least one token). Of a prompt that is longer than the model's
    /// context the last tokens are used. When a text outgrows the context, it goes on with the second half of it, which is
    /// read again.
    ///
    /// # Errors
    /// When there is not enough memory.
    pub fn add(
        &mut self,
        id: JobId,
        prompt: &[u32],
        settings: Settings,
        samples: usize,
    ) -> Result<(), GenerateError> {
        let block_size = self.decoder.model().block_size;
        let mut waiting = prompt.len().min(block_size);
        let room = waiting.saturating_add(settings.max_new_tokens).min(block_size);
        let mut cache = Cache::try_new(self.decoder.model(), room)?;
        let mut known = Vec::new();
        if settings.score_prompt {
            if prompt.len() <= block_size {
                known = self.kept.begin(prompt, settings.alternatives.unwrap_or(0), &mut cache)?;
            }
            waiting -= cache.len();
            if known.is_empty() {
                let first = prompt.get(prompt.len() - waiting).copied();
                known.extend(first.map(|token| Scored { token, chance: None }));
            }
        }
        let is_penalised = settings.repetition_penalty != 1.0;
        let text = Text {
            sample: 0,
            cache,
            known,
            tokens: prompt.to_vec(),
            repeated: if is_penalised { prompt.iter().copied().collect() } else { HashSet::new() },
            waiting,
            written: 0,
            sampler: sampler(&settings, 0),
            pieces: Pieces::new(settings.stop.clone()),
        };
        self.jobs.push(Job {
            id,
            settings,
            texts: vec![text],
            samples,
            has_turn: false,
            scored: Vec::new(),
            done: None,
        });
        Ok(())
    }

    /// Forgets a job.
    pub fn cancel(&mut self, id: JobId) {
        self.jobs.retain(|job| job.id != id);
    }

    /// Goes on with every text: by a token, or by a part of its prompt.
    ///
    /// # Errors
    /// When the model cannot compute; the batch is then of no more use. What is wrong with one job is its news.
    pub fn step(&mut self) -> Result<Vec<News>, GenerateError> {
        // Choosing tokens is shared among the threads as well.
        let _flushing = threads::flush();
        let decoder = self.decoder;
        let mut room = PROMPT_TOKENS_TOGETHER;
        for job in &mut self.jobs {
            let prompt = job.prompt_tokens();
            job.has_turn = prompt == 0 || room > 0;
            room = room.saturating_sub(prompt);
        }
        let mut texts: Vec<(&Settings, &mut Text)> = self
            .jobs
            .iter_mut()
            .filter(|job| job.has_turn)
            .flat_map(|Job { settings, texts, .. }| texts.iter_mut().map(|text| (&*settings, text)))
            .collect();
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let (mut feeds, questions): (Vec<Feed<'_>>, Vec<Option<Question>>) =
            texts.iter_mut().map(|(settings, text)| text.feed(decoder, settings)).unzip();
        let looks: Vec<Look> = questions
            .iter()
            .map(|question| if question.is_some() { Look::From(0) } else { Look::Last })
            .collect();
        let vocab_size = self.tokenizer.vocab_size();
        let seen = decoder.look(&mut feeds, &looks, |feed, token, logits| {
            let question = questions[feed].as_ref()?;
            let target = *question.targets.get(token)?;
            let known = &logits[..logits.len().min(vocab_size)];
            Some(Chance::above(target, known, log_sum_exp(logits), question.alternatives))
        })?;

        let mut news = Vec::new();
        let mut seen = seen.into_iter().zip(questions);
        for job in self.jobs.iter_mut().filter(|job| job.has_turn) {
            let (seen, questions): (Vec<_>, Vec<_>) = seen.by_ref().take(job.texts.len()).unzip();
            if let Some(said) = scored(questions, &seen) {
                if self.kept.is_used() {
                    job.scored.extend_from_slice(&said);
                }
                news.push(News { job: job.id, sample: 0, what: What::Prompt(said) });
            }
            match job.go_on(decoder, self.tokenizer, &self.ends, &self.choices, &seen) {
                Ok(said) => news.extend(said),
                Err(error) => {
                    news.push(News { job: job.id, sample: 0, what: What::Failed(error) });
                    job.texts.clear();
                }
            }
            if let Some(cache) = job.done.take().filter(|_| self.kept.is_used()) {
                let alternatives = job.settings.alternatives.unwrap_or(0);
                self.kept.put(decoder.model(), std::mem::take(&mut job.scored), alternatives, cache);
            }
        }
        self.jobs.retain(|job| !job.texts.is_empty());
        Ok(news)
    }
}

/// What is said of a prompt's tokens; nothing where nothing was asked.
fn scored(questions: Vec<Option<Question>>, seen: &[Seen<Option<Chance>>]) -> Option<Vec<Scored>> {
    // While a prompt is read there is one text.
    let (question, seen) = (questions.into_iter().next()??, seen.first()?);
    let mut said = question.known;
    let others = question.targets.into_iter().zip(&seen.looks);
    said.extend(others.map(|(token, chance)| Scored { token, chance: chance.clone() }));
    Some(said)
}

fn sampler(settings: &Settings, sample: usize) -> Sampler {
    let seed = settings.seed.wrapping_add(sample as u64);
    Sampler::new(settings.temperature, settings.top_k, settings.top_p, seed)
}

impl Job {
    fn is_reading(&self) -> bool {
        self.texts.iter().any(|text| text.written == 0) && self.texts.len() < self.samples
    }

    /// Tokens of its prompt that come next; none when that is read.
    fn prompt_tokens(&self) -> usize {
        let reading = self.texts.first().filter(|text| text.written == 0);
        reading.map_or(0, |text| text.waiting.min(PROMPT_TOKENS_A_STEP))
    }

    /// Chooses the next token of each text from its row of logits.
    fn go_on(
        &mut self,
        decoder: &Decoder,
        tokenizer: &Tokenizer,
        ends: &[u32],
        choices: &Choices,
        seen: &[Seen<Option<Chance>>],
    ) -> Result<Vec<News>, GenerateError> {
        let scores = seen.iter().flat_map(|seen| seen.looks.iter().flatten());
        if scores.into_iter().any(|chance| chance.logprob.is_nan()) {
            let reason = "of a token of the prompt it gives none".to_owned();
            return Err(GenerateError::Logits { reason });
        }
        let mut rows: Vec<&[f32]> = seen.iter().map(|seen| seen.last.as_slice()).collect();
        if self.is_reading() && self.texts.iter().all(|text| text.waiting == 0) {
            for sample in 1..self.samples {
                let copy = self.texts[0].copy(decoder, sample, &self.settings)?;
                self.texts.push(copy);
            }
            rows = vec![rows[0]; self.samples];
        }
        let settings = &self.settings;
        let said: Vec<(Vec<Piece>, Option<Ending>)> = self
            .texts
            .par_iter_mut()
            .zip(rows)
            .map(|(text, row)| {
                if text.waiting == 0 {
                    text.write(tokenizer, ends, settings, &choices.of(row))
                } else {
                    Ok((Vec::new(), None))
                }
            })
            .collect::<Result<_, GenerateError>>()?;
        let mut news = VecDeque::new();
        let mut ended = Vec::new();
        for (text, (pieces, ending)) in self.texts.iter().zip(said) {
            let of = |what| News { job: self.id, sample: text.sample, what };
            news.extend(pieces.into_iter().map(|piece| of(What::Piece(piece))));
            news.extend(ending.map(|ending| of(What::End(ending))));
            ended.push(ending.is_some());
        }
        if ended == [true] && self.settings.score_prompt {
            // Of a text that went on, the cache has more than the prompt, or, when it outgrew the context, something else.
            self.done = self.texts.pop().filter(|text| text.written <= 1).map(|text| text.cache);
            ended.clear();
        }
        let mut ended = ended.into_iter();
        self.texts.retain(|_| !ended.next().unwrap_or(false));
        // The job is known by its first text until the others are there.
        if !self.is_reading() {
            self.samples = self.texts.len();
        }
        Ok(news.into())
    }
}

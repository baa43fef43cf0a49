//! The forward pass.
//!
//! Shapes: m = new tokens of all texts, c = width, v = vocabulary.

use rayon::prelude::*;

use super::attention::{Queries, attend};
use super::cache::Cache;
use super::matrix::Matrix;
use super::panels::Lanes;
use super::{InferError, WeightKind};
use crate::model::ModelConfig;
use crate::ops::cpu::{activation, layer_norm};
use crate::threads;

/// A GPT-2 with its weights, ready to go on with texts.
#[derive(Debug)]
pub struct Decoder {
    pub(super) model: ModelConfig,
    pub(super) kind: WeightKind,
    /// Transposed: (c, v). The head, and by its columns the token embedding.
    pub(super) wte_cv: Matrix,
    pub(super) wpe_pc: Vec<f32>,
    pub(super) layers: Vec<Layer>,
    pub(super) ln_f: Norm,
}

#[derive(Debug)]
pub(super) struct Layer {
    pub ln_1: Norm,
    pub attn_c_attn: Linear,
    pub attn_c_proj: Linear,
    pub ln_2: Norm,
    pub mlp_c_fc: Linear,
    pub mlp_c_proj: Linear,
}

#[derive(Debug)]
pub(super) struct Norm {
    pub weight: Vec<f32>,
    pub bias: Option<Vec<f32>>,
}

#[derive(Debug)]
pub(super) struct Linear {
    pub weight: Matrix,
    pub bias: Option<Vec<Lanes>>,
}

/// New tokens of one text, which come after those in its cache.
#[derive(Debug)]
pub struct Feed<'a> {
    pub cache: &'a mut Cache,
    pub tokens: &'a [u32],
}

/// Logits after which of a feed's new tokens are looked at, besides the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The last one alone.
    Last,
    /// All from this number on, counted from 0 in the feed.
    From(usize),
}

/// What was found after a feed's new tokens.
#[derive(Clone, Debug)]
pub struct Seen<R> {
    /// Of the tokens that were looked at, in their order.
    pub looks: Vec<R>,
    /// After the last token: v.
    pub last: Vec<f32>,
}

/// New tokens that are computed at once: enough for each weight to be used often while it is near, few enough for the
/// activations to be near as well.
const CHUNK: usize = 128;

impl Decoder {
    pub fn model(&self) -> &ModelConfig {
        &self.model
    }

    /// How the weights are held.
    pub fn kind(&self) -> WeightKind {
        self.kind
    }

    /// Bytes of the weights in memory.
    pub fn bytes(&self) -> usize {
        let linears = |layer: &Layer| {
            let Layer { attn_c_attn, attn_c_proj, mlp_c_fc, mlp_c_proj, .. } = layer;
            [attn_c_attn, attn_c_proj, mlp_c_fc, mlp_c_proj]
                .map(|linear| linear.weight.bytes())
                .iter()
                .sum::<usize>()
        };
        self.wte_cv.bytes()
            + size_of_val(self.wpe_pc.as_slice())
            + self.layers.iter().map(linears).sum::<usize>()
    }

    /// Takes new tokens of some texts into their caches, and returns the logits for the token after each text.
    ///
    /// # Shapes
    /// (texts, v)
    ///
    /// # Errors
    /// Before anything is computed: a token that is not in the vocabulary, or more of them than a cache has room for; a text
    /// without new tokens.
    pub fn next_logits(&self, feeds: &mut [Feed<'_>]) -> Result<Vec<f32>, InferError> {
        let _flushing = threads::flush();
        let c = self.model.n_embd;
        let mut last = vec![0.0; feeds.len() * c];
        // Of each text the last row stays.
        self.advance(feeds, |text, row| last[text * c..][..c].copy_from_slice(row))?;
        Ok(self.logits(&last))
    }

    /// As [`Decoder::next_logits`] for a single text, with the logits after every new token: (new tokens, v).
    ///
    /// # Errors
    /// As there.
    pub fn all_logits(&self, feed: Feed<'_>) -> Result<Vec<f32>, InferError> {
        let _flushing = threads::flush();
        let mut rows = Vec::with_capacity(feed.tokens.len() * self.model.n_embd);
        self.advance(&mut [feed], |_, row| rows.extend_from_slice(row))?;
        Ok(self.logits(&rows))
    }

    /// As [`Decoder::next_logits`], and `look` is called with the logits after every token that is to be looked at: with the
    /// number of the feed, the number of the token in it, and v logits. Calls come from several threads. The logits of a whole
    /// prompt never stand in memory at once: 1024 tokens of GPT-2's vocabulary would be 206 MB.
    ///
    /// # Errors
    /// As [`Decoder::next_logits`].
    pub fn look<R: Send>(
        &self,
        feeds: &mut [Feed<'_>],
        looks: &[Look],
        look: impl Fn(usize, usize, &[f32]) -> R + Sync,
    ) -> Result<Vec<Seen<R>>, InferError> {
        let _flushing = threads::flush();
        let v = self.model.vocab_size;
        let lengths: Vec<usize> = feeds.iter().map(|feed| feed.tokens.len()).collect();
        let mut seen: Vec<Seen<R>> =
            feeds.iter().map(|_| Seen { looks: Vec::new(), last: Vec::new() }).collect();
        let mut done = vec![0; feeds.len()];
        // Rows that wait for the head, with their feed and the number of their token.
        let mut rows: Vec<f32> = Vec::new();
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut through_the_head = |rows: &mut Vec<f32>, places: &mut Vec<(usize, usize)>| {
            let logits = self.logits(rows);
            let results: Vec<Option<R>> = logits
                .par_chunks_exact(v)
                .zip(places.par_iter())
                .map(|(logits, &(feed, token))| {
                    matches!(looks[feed], Look::From(first) if token >= first)
                        .then(|| look(feed, token, logits))
                })
                .collect();
            for ((&(feed, token), logits), result) in places.iter().zip(logits.chunks_exact(v)).zip(results) {
                seen[feed].looks.extend(result);
                if token + 1 == lengths[feed] {
                    seen[feed].last = logits.to_vec();
                }
            }
            rows.clear();
            places.clear();
        };
        self.advance(feeds, |feed, row| {
            let token = done[feed];
            done[feed] += 1;
            let is_wanted = matches!(looks[feed], Look::From(first) if token >= first);
            if is_wanted || token + 1 == lengths[feed] {
                rows.extend_from_slice(row);
                places.push((feed, token));
                if places.len() == CHUNK {
                    through_the_head(&mut rows, &mut places);
                }
            }
        })?;
        if !places.is_empty() {
            through_the_head(&mut rows, &mut places);
        }
        Ok(seen)
    }

    fn logits(&self, x_mc: &[f32]) -> Vec<f32> {
        let mut logits_mv = vec![0.0; x_mc.len() / self.model.n_embd * self.model.vocab_size];
        self.wte_cv.multiply(x_mc, None, &mut logits_mv);
        logits_mv
    }

    /// Calls `each` with every new token's text and activation before the head, in order for each text.
    fn advance(&self, feeds: &mut [Feed<'_>], mut each: impl FnMut(usize, &[f32])) -> Result<(), InferError> {
        feeds.iter().try_for_each(|feed| self.check(feed))?;
        // Text and number of new tokens that are computed next.
        let mut chunk: Vec<(usize, usize)> = Vec::new();
        let mut room = CHUNK;
        for text in 0..feeds.len() {
            let mut left = feeds[text].tokens.len();
            while left > 0 {
                let count = left.min(room);
                chunk.push((text, count));
                (left, room) = (left - count, room - count);
                if room == 0 {
                    self.pass(feeds, &chunk, &mut each);
                    chunk.clear();
                    room = CHUNK;
                }
            }
        }
        if !chunk.is_empty() {
            self.pass(feeds, &chunk, &mut each);
        }
        Ok(())
    }

    fn check(&self, feed: &Feed<'_>) -> Result<(), InferError> {
        let vocab_size = self.model.vocab_size;
        if let Some(&token) = feed.tokens.iter().find(|&&token| token as usize >= vocab_size) {
            return Err(InferError::Token { token, vocab_size });
        }
        let (tokens, room) = (feed.tokens.len(), feed.cache.capacity().min(self.model.block_size));
        if tokens == 0 || feed.cache.len() + tokens > room {
            return Err(InferError::NoRoom { tokens: feed.cache.len() + tokens, room });
        }
        Ok(())
    }

    /// Computes the next tokens of some texts, and moves these out of their feeds.
    fn pass(&self, feeds: &mut [Feed<'_>], chunk: &[(usize, usize)], each: &mut impl FnMut(usize, &[f32])) {
        let ModelConfig { n_embd: c, n_head, .. } = self.model;
        let m: usize = chunk.iter().map(|(_, count)| count).sum();
        let mut x_mc = self.embed(feeds, chunk, m);
        let mut normed_mc = vec![0.0; m * c];
        let mut stats = vec![0.0; m * 2];
        let mut qkv = vec![0.0; m * 3 * c];
        let mut hidden = vec![0.0; m * 4 * c];
        let mut activated = vec![0.0; m * 4 * c];
        let mut y_mc = vec![0.0; m * c];
        for (index, layer) in self.layers.iter().enumerate() {
            layer.ln_1.run(&x_mc, &mut stats, &mut normed_mc);
            layer.attn_c_attn.run(&normed_mc, &mut qkv);
            remember(feeds, chunk, index, &qkv, c);
            let texts = queries(feeds, chunk, index, &qkv, c);
            attend(&texts, n_head, c / n_head, &mut y_mc);
            layer.attn_c_proj.run(&y_mc, &mut normed_mc);
            add(&mut x_mc, &normed_mc);

            layer.ln_2.run(&x_mc, &mut stats, &mut normed_mc);
            layer.mlp_c_fc.run(&normed_mc, &mut hidden);
            activation::gelu(&hidden, &mut activated);
            layer.mlp_c_proj.run(&activated, &mut normed_mc);
            add(&mut x_mc, &normed_mc);
        }
        self.ln_f.run(&x_mc, &mut stats, &mut normed_mc);
        let mut rows = normed_mc.chunks_exact(c);
        for &(text, count) in chunk {
            let feed = &mut feeds[text];
            feed.tokens = &feed.tokens[count..];
            feed.cache.grow(count);
            rows.by_ref().take(count).for_each(|row| each(text, row));
        }
    }

    /// Token and position embeddings: (m, c).
    fn embed(&self, feeds: &[Feed<'_>], chunk: &[(usize, usize)], m: usize) -> Vec<f32> {
        let c = self.model.n_embd;
        let mut x_mc = vec![0.0; m * c];
        let mut rows = x_mc.chunks_exact_mut(c);
        for &(text, count) in chunk {
            let feed = &feeds[text];
            let positions = self.wpe_pc[feed.cache.len() * c..].chunks_exact(c);
            for ((&token, position), row) in feed.tokens[..count].iter().zip(positions).zip(rows.by_ref()) {
                self.wte_cv.copy_column(token as usize, row);
                add(row, position);
            }
        }
        x_mc
    }
}

/// Puts the new tokens' keys and values into the caches.
fn remember(feeds: &mut [Feed<'_>], chunk: &[(usize, usize)], layer: usize, qkv: &[f32], c: usize) {
    let mut rows = qkv.chunks_exact(3 * c);
    for &(text, count) in chunk {
        let start = feeds[text].cache.len();
        let cache = feeds[text].cache.layer_mut(layer);
        for (position, row) in (start..).zip(rows.by_ref().take(count)) {
            cache.put(position, &row[c..2 * c], &row[2 * c..]);
        }
    }
}

fn queries<'a>(
    feeds: &'a [Feed<'_>],
    chunk: &[(usize, usize)],
    layer: usize,
    qkv: &'a [f32],
    c: usize,
) -> Vec<Queries<'a>> {
    let mut rest = qkv;
    let of = |&(text, count): &(usize, usize)| {
        let (rows, others) = rest.split_at(count * 3 * c);
        rest = others;
        let cache = &feeds[text].cache;
        Queries { rows, stride: 3 * c, start: cache.len(), cache: cache.layer(layer) }
    };
    chunk.iter().map(of).collect()
}

fn add(x: &mut [f32], y: &[f32]) {
    x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

impl Norm {
    fn run(&self, x_mc: &[f32], stats: &mut [f32], y_mc: &mut [f32]) {
        let affine = layer_norm::Affine { weight: &self.weight, bias: self.bias.as_deref() };
        layer_norm::measure(x_mc, self.weight.len(), stats);
        layer_norm::normalise(x_mc, stats, affine, y_mc);
    }
}

impl Linear {
    fn run(&self, x: &[f32], y: &mut [f32]) {
        self.weight.multiply(x, self.bias.as_deref(), y);
    }
}

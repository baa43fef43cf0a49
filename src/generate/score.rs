//! How well a model predicts a text: each token after those before it, as far as the model can see.
//!
//! A text that is longer than the model's context is gone through in windows. Each begins `stride` tokens after the one before and
//! predicts the tokens that none before it has predicted: with a stride as long as the context they lie side by side and a token
//! sees between one and `context` tokens; with a shorter one every token but those of the first window sees at least
//! `context - stride + 1`.
//!
//! # Source
//! Hugging Face, "Perplexity of fixed-length models". There a window of n tokens predicts n - 1, here n: the last one's prediction is
//! the token after it, as in training.

use super::GenerateError;
use crate::data::tokenizer::TokenLengths;
use crate::facts::Score;
use crate::infer::{Cache, Decoder, Feed, Look, log_sum_exp};

/// Tokens that are computed together, where the windows are short.
const TOGETHER: usize = 512;

/// A part of a text that is computed at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    start: usize,
    end: usize,
    /// The first token of it whose prediction counts, counted from its start.
    from: usize,
}

/// The windows of a text of so many tokens.
fn windows(tokens: usize, context: usize, stride: usize) -> impl Iterator<Item = Window> {
    // The last token is only predicted.
    let read = tokens.saturating_sub(1);
    let mut next = (read > 0).then_some(Window { start: 0, end: read.min(context), from: 0 });
    std::iter::from_fn(move || {
        let window = next?;
        let start = window.start + stride;
        next = (window.end < read).then(|| Window {
            start,
            end: read.min(start + context),
            from: window.end - start,
        });
        Some(window)
    })
}

/// Predicts a text with windows of the model's context, each `stride` tokens (from 1 to the context) after the one before.
///
/// # Errors
/// When the model gives no probabilities, or cannot compute.
pub fn score(
    decoder: &Decoder,
    lengths: &TokenLengths,
    tokens: &[u32],
    stride: usize,
) -> Result<Score, GenerateError> {
    let context = decoder.model().block_size;
    let stride = stride.clamp(1, context);
    let windows: Vec<Window> = windows(tokens.len(), context, stride).collect();
    let together = (TOGETHER / context).max(1).min(windows.len());
    let room = context.min(tokens.len());
    let mut caches: Vec<Cache> =
        (0..together).map(|_| Cache::try_new(decoder.model(), room)).collect::<Result<_, _>>()?;
    let (mut score, mut right) = (Score::default(), 0);
    for windows in windows.chunks(together.max(1)) {
        caches.iter_mut().for_each(Cache::clear);
        let mut feeds: Vec<Feed<'_>> = caches
            .iter_mut()
            .zip(windows)
            .map(|(cache, window)| Feed { cache, tokens: &tokens[window.start..window.end] })
            .collect();
        let looks: Vec<Look> = windows.iter().map(|window| Look::From(window.from)).collect();
        let seen = decoder.look(&mut feeds, &looks, |feed, token, logits| {
            let target = logits.get(tokens[windows[feed].start + token + 1] as usize).copied();
            let target = target.unwrap_or(f32::NEG_INFINITY);
            let is_highest = !logits.iter().fold(false, |any, &logit| any | (logit > target));
            (log_sum_exp(logits) - target, is_highest)
        })?;
        for (window, seen) in windows.iter().zip(seen) {
            for &(nats, is_right) in &seen.looks {
                if nats.is_nan() {
                    let reason = "a logit is not a number".to_owned();
                    return Err(GenerateError::Logits { reason });
                }
                score.nats += f64::from(nats);
                right += u64::from(is_right);
            }
            score.tokens += seen.looks.len() as u64;
            score.bytes += lengths.sum(&tokens[window.start + window.from + 1..=window.end]);
        }
    }
    Ok(Score { right: Some(right), ..score })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tokenizer::Tokenizer;
    use crate::infer::WeightKind;
    use crate::infer::fixture::write_weights;
    use crate::model::ModelConfig;

    #[test]
    fn every_token_but_the_first_is_predicted_once_and_sees_enough() {
        for tokens in 0..60 {
            for context in 1..12 {
                for stride in 1..=context {
                    let mut next = 1;
                    for window in windows(tokens, context, stride) {
                        assert!(window.end - window.start <= context);
                        assert_eq!(window.start + window.from + 1, next, "{tokens} {context} {stride}");
                        assert!(window.start == 0 || window.from >= context - stride);
                        next = window.end + 1;
                    }
                    assert_eq!(next, tokens.max(1));
                }
            }
        }
    }

    #[test]
    fn the_score_is_that_of_each_token_alone() {
        let model =
            ModelConfig { n_layer: 2, n_head: 2, n_embd: 32, block_size: 20, vocab_size: 256, bias: true };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write_weights(&path, &model);
        let decoder = Decoder::open(&path, &model, WeightKind::F32).unwrap();
        let text = "Sail west of the reef, caf\u{e9} and all: 600 tokens would do as well as these.";
        let tokens = Tokenizer::Byte.encode(text);
        let lengths = TokenLengths::of(&Tokenizer::Byte);
        for stride in [20, 7, 1] {
            let (mut nats, mut right) = (0.0, 0);
            for at in 1..tokens.len() {
                // The window that predicts it is the first that reaches it.
                let number = (at.saturating_sub(20)).div_ceil(stride);
                let start = number * stride;
                let mut cache = Cache::try_new(&model, 20).unwrap();
                let feed = Feed { cache: &mut cache, tokens: &tokens[start..at] };
                let logits = decoder.next_logits(&mut [feed]).unwrap();
                let total = logits.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
                nats += total - f64::from(logits[tokens[at] as usize]);
                let best = (0..256).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
                right += u64::from(best == tokens[at] as usize);
            }
            let found = score(&decoder, &lengths, &tokens, stride).unwrap();
            assert!((found.nats - nats).abs() < 1e-3, "stride {stride}: {} and {nats}", found.nats);
            assert_eq!(
                (found.tokens, found.bytes, found.right),
                (text.len() as u64 - 1, text.len() as u64 - 1, Some(right))
            );
        }
        assert_eq!(score(&decoder, &lengths, &[1], 3).unwrap(), Score::default());
    }
}

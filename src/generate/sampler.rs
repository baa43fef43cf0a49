//! Choosing the next token from the model's logits.

use std::cmp::Ordering;
use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::GenerateError;
use crate::infer::log_sum_exp;

/// Draws tokens: temperature first, then `top_k`, then `top_p`, as Hugging Face's `generate` does.
#[derive(Clone, Debug)]
pub struct Sampler {
    temperature: f64,
    top_k: usize,
    top_p: f64,
    rng: ChaCha8Rng,
}

impl Sampler {
    /// - `temperature`: logits are divided by it; 0 (or anything that is not above it) takes the most probable token.
    /// - `top_k`: only so many of the most probable tokens; 0: all.
    /// - `top_p`: only the smallest set of most probable tokens whose probabilities, after `top_k`, add up to it; 1:
    ///   all. Never fewer than one token.
    pub fn new(temperature: f64, top_k: usize, top_p: f64, seed: u64) -> Sampler {
        Sampler { temperature, top_k, top_p, rng: ChaCha8Rng::seed_from_u64(seed) }
    }

    /// The next token. Of equal logits the one with the lower id counts as more probable. A logit of minus infinity
    /// rules its token out.
    ///
    /// # Errors
    /// [`GenerateError::Logits`] when a logit is NaN or plus infinity, or none is above minus infinity.
    pub fn sample(&mut self, logits: &[f32]) -> Result<u32, GenerateError> {
        let best = best(logits)?;
        if self.temperature.is_nan() || self.temperature <= 0.0 {
            return Ok(best);
        }
        let highest = f64::from(logits[best as usize]);
        // Of the candidates' probabilities only the ratios matter: the best one's weight is 1.
        let mut candidates: Vec<(u32, f64)> = most_probable(logits, self.top_k, self.top_p < 1.0)
            .into_iter()
            .map(|id| (id, ((f64::from(logits[id as usize]) - highest) / self.temperature).exp()))
            .collect();
        if self.top_p < 1.0 {
            candidates.truncate(nucleus(&candidates, self.top_p));
        }
        let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
        let mut left = unit(&mut self.rng) * total;
        for &(id, weight) in &candidates {
            if left < weight {
                return Ok(id);
            }
            left -= weight;
        }
        // Only rounding of the sum leads here.
        Ok(best)
    }
}

/// The most probable token, after a look at all logits.
fn best(logits: &[f32]) -> Result<u32, GenerateError> {
    let mut best = (0, f32::NEG_INFINITY);
    for (id, &logit) in logits.iter().enumerate() {
        if logit.is_nan() || logit == f32::INFINITY {
            return Err(GenerateError::Logits { reason: format!("the logit of token {id} is {logit}") });
        }
        if logit > best.1 {
            best = (id as u32, logit);
        }
    }
    if best.1 == f32::NEG_INFINITY {
        return Err(GenerateError::Logits { reason: "no token is possible".to_owned() });
    }
    Ok(best.0)
}

/// The ids of the `top_k` (0: all) highest logits; from the highest down if `sorted`, otherwise from the highest down or in
/// the order of ids.
fn most_probable(logits: &[f32], top_k: usize, sorted: bool) -> Vec<u32> {
    let by_probability = |a: &u32, b: &u32| -> Ordering {
        logits[*b as usize].total_cmp(&logits[*a as usize]).then_with(|| a.cmp(b))
    };
    let all = 0..logits.len() as u32;
    if top_k == 0 || top_k >= logits.len() {
        let mut ids: Vec<u32> = all.collect();
        if sorted {
            ids.sort_unstable_by(by_probability);
        }
        return ids;
    }
    // To look for the place of the last one among plain numbers is several times faster than among ids.
    let mut values = logits.to_vec();
    let (_, &mut last, _) = values.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a));
    let above = |id: &u32| logits[*id as usize].total_cmp(&last);
    let mut ids: Vec<u32> = all.clone().filter(|id| above(id) == Ordering::Greater).collect();
    let equal = all.filter(|id| above(id) == Ordering::Equal);
    ids.extend(equal.take(top_k.saturating_sub(ids.len())));
    ids.sort_unstable_by(by_probability);
    ids
}

/// Makes the logits of `tokens` smaller (`penalty` above 1). See
/// [`Settings::repetition_penalty`](super::Settings::repetition_penalty).
pub fn penalise(logits: &mut [f32], tokens: &HashSet<u32>, penalty: f64) {
    let penalty = penalty as f32;
    for &token in tokens {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
        }
    }
}

/// How probable a token was, before temperature, `top_k` and `top_p`.
#[derive(Clone, Debug, PartialEq)]
pub struct Chance {
    /// Natural logarithm of its probability.
    pub logprob: f32,
    /// The most probable tokens with theirs, from the most probable down.
    pub alternatives: Vec<(u32, f32)>,
}

impl Chance {
    /// Of `token`, with so many `alternatives`.
    pub fn of(token: u32, logits: &[f32], alternatives: usize) -> Chance {
        Self::above(token, logits, log_sum_exp(logits), alternatives)
    }

    /// As [`Chance::of`], where `log_total` is what logits are above the logarithms of probabilities: [`log_sum_exp`] of these
    /// logits, or of more.
    pub fn above(token: u32, logits: &[f32], log_total: f32, alternatives: usize) -> Chance {
        let logprob = |id: u32| logits.get(id as usize).map_or(f32::NEG_INFINITY, |logit| logit - log_total);
        let ids = highest(logits, alternatives);
        Chance {
            logprob: logprob(token),
            alternatives: ids.into_iter().map(|id| (id, logprob(id))).collect(),
        }
    }
}

/// Logits that are looked at together.
const TOGETHER: usize = 64;

/// The ids of the `count` highest logits, from the highest down, of equal ones the lower id first. For a few of them: most
/// logits are only compared.
fn highest(logits: &[f32], count: usize) -> Vec<u32> {
    if count > TOGETHER || count >= logits.len() {
        let mut ids = if count == 0 { Vec::new() } else { most_probable(logits, count, true) };
        ids.truncate(count);
        return ids;
    }
    let mut found: Vec<(f32, u32)> = Vec::with_capacity(count + 1);
    for (first, logits) in (0u32..).step_by(TOGETHER).zip(logits.chunks(TOGETHER)) {
        let least = match found.last() {
            None if count == 0 => break,
            Some(&(least, _)) if found.len() == count => least,
            _ => f32::NEG_INFINITY,
        };
        if found.len() == count && !logits.iter().fold(false, |any, &logit| any | (logit > least)) {
            continue;
        }
        for (id, &logit) in (first..).zip(logits) {
            if found.len() < count || found.last().is_some_and(|&(least, _)| logit > least) {
                let place = found.partition_point(|&(other, _)| other >= logit);
                found.insert(place, (logit, id));
                found.truncate(count);
            }
        }
    }
    found.into_iter().map(|(_, id)| id).collect()
}

/// How many of the candidates, sorted by weight, are needed to reach the share `top_p` of all weight; at least one.
fn nucleus(candidates: &[(u32, f64)], top_p: f64) -> usize {
    let total: f64 = candidates.iter().map(|(_, weight)| weight).sum();
    let mut reached = 0.0;
    let short = candidates.iter().take_while(|(_, weight)| {
        reached += weight;
        reached < top_p * total
    });
    (short.count() + 1).min(candidates.len())
}

/// A number in [0, 1) with 53 random bits. Written out here because `rand` may change how it draws one.
fn unit(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests;

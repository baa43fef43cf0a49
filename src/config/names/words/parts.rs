//! A name taken apart into its words.

use super::{is_known, senses};

/// `maxStepsTotal`, `max-steps_total` and `MAX_STEPS.total` in lower case, apart.
pub(in crate::config) fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let signs: Vec<char> = name.chars().collect();
    for (index, sign) in signs.iter().enumerate() {
        let after_lower = index > 0 && (signs[index - 1].is_lowercase() || signs[index - 1].is_ascii_digit());
        let ends_capitals = index > 0
            && signs[index - 1].is_uppercase()
            && signs.get(index + 1).is_some_and(|next| next.is_lowercase());
        if !sign.is_alphanumeric() {
            parts.push(String::new());
            continue;
        }
        if sign.is_uppercase() && (after_lower || ends_capitals) {
            parts.push(String::new());
        }
        if let Some(last) = parts.last_mut() {
            last.extend(sign.to_lowercase());
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

/// Takes apart what is written together and is no word: `evalevery`, `maxsteps`, `qkvbias`.
pub(super) fn split(parts: &mut Vec<String>) {
    const LONGEST: usize = 32;
    let apart = |part: String| -> Vec<String> {
        let is_one = part.len() < 5 || part.len() > LONGEST || !part.is_ascii() || is_known(&part);
        if is_one { None } else { pieces(&part, 3) }.unwrap_or_else(|| vec![part])
    };
    *parts = std::mem::take(parts).into_iter().flat_map(apart).collect();
}

/// At most so many words that together are the whole. Short ones are few, else anything would be words.
fn pieces(text: &str, most: usize) -> Option<Vec<String>> {
    const SHORT: &[&str] = &[
        "n", "lr", "wd", "lm", "qk", "kv", "emb", "max", "min", "num", "per", "qkv", "use", "eps", "ffn",
        "mlp",
    ];
    let is_word = |word: &str| {
        SHORT.contains(&word) || word.len() >= 4 && senses(word).next().is_some() || word == "rate"
    };
    if is_word(text) {
        return Some(vec![text.to_owned()]);
    }
    if most < 2 {
        return None;
    }
    (1..text.len()).rev().find_map(|length| {
        let (first, rest) = text.split_at(length);
        let mut rest = if is_word(first) { pieces(rest, most - 1)? } else { return None };
        rest.insert(0, first.to_owned());
        Some(rest)
    })
}

/// Pairs of words that are one.
pub(super) fn join(parts: &mut Vec<String>) {
    const PAIRS: &[(&str, &str, &str)] = &[
        ("learning", "rate", "lr"),
        ("weight", "decay", "wd"),
        ("warm", "up", "warmup"),
        ("ramp", "up", "warmup"),
        ("cool", "down", "cooldown"),
        ("drop", "out", "dropout"),
        ("beta", "1", "beta1"),
        ("beta", "2", "beta2"),
        ("top", "k", "topk"),
        ("beta", "one", "beta1"),
        ("beta", "two", "beta2"),
        ("warm", "start", "warmstart"),
        ("top", "p", "topp"),
        ("seq", "len", "seqlen"),
        ("seq", "length", "seqlen"),
        ("sequence", "length", "seqlen"),
        ("sequence", "len", "seqlen"),
        ("max", "len", "seqlen"),
        ("max", "length", "seqlen"),
        ("layer", "norm", "layernorm"),
        ("rms", "norm", "layernorm"),
        ("feed", "forward", "mlp"),
        ("batch", "size", "batch"),
        ("batch", "count", "batches"),
        ("micro", "batch", "microbatch"),
        ("micro", "batches", "microbatches"),
        ("early", "stop", "earlystopping"),
        ("early", "stopping", "earlystopping"),
        ("data", "loader", "dataloader"),
        ("adam", "w", "adamw"),
        ("fine", "tune", "finetune"),
        ("fine", "tuning", "finetuning"),
        ("fp", "16", "fp16"),
        ("bf", "16", "bf16"),
        ("l", "2", "l2"),
        ("time", "out", "timeout"),
        ("pre", "trained", "pretrained"),
        ("tensor", "board", "tensorboard"),
        ("lm", "head", "lmhead"),
        ("un", "embedding", "unembed"),
        ("learn", "rate", "lr"),
        ("random", "state", "seed"),
        ("batch", "norm", "batchnorm"),
        ("check", "point", "checkpoint"),
    ];
    let mut index = 0;
    while index + 1 < parts.len() {
        let pair =
            PAIRS.iter().find(|(first, second, _)| parts[index] == *first && parts[index + 1] == *second);
        match pair {
            Some((_, _, one)) => {
                parts[index] = (*one).to_owned();
                parts.remove(index + 1);
            }
            None => index += 1,
        }
    }
}

//! Sources to token ids in memory, and what of it every way of loading needs.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::corpus::Source;
use super::encode::{Characters, Encoder, Ids, Joined, Joiner, Target};
use super::reader::Progress;
use super::token_file;
use super::tokenizer::Tokenizer;
use super::tokens::{Tokens, Width};
use crate::config::experiment::{DataPlan, TokenizerKind};
use crate::units;

/// The texts of a plan, tokenized.
pub(super) struct Loaded {
    pub tokenizer: Tokenizer,
    /// What the tokenizer does not know, in words.
    pub left_out: Option<String>,
    pub texts: Vec<Tokenized>,
    pub notices: Vec<String>,
    /// Files of tokens that were made now, and their bytes.
    pub kept: Vec<(PathBuf, u64)>,
}

/// Tokenizes the sources, and holds their tokens in memory.
pub(super) fn in_memory(
    plan: &DataPlan,
    taken_over: Option<&Tokenizer>,
    sources: &[Source],
    progress: Progress,
) -> Result<Loaded, DataError> {
    let (tokenizer, left_out) = tokenizer_for(plan, taken_over, sources, progress)?;
    let mut texts = Vec::with_capacity(sources.len());
    for source in sources {
        texts.push(tokenized(source, plan, &tokenizer, progress)?);
    }
    Ok(Loaded { tokenizer, left_out, texts, notices: Vec::new(), kept: Vec::new() })
}

/// The ids of a source, and what is known of its text.
pub(super) struct Tokenized {
    pub tokens: Tokens,
    pub about: About,
}

/// What is known of a text that was tokenized.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct About {
    /// Of the text.
    pub sha256: String,
    pub bytes: u64,
    pub documents: u64,
    /// Marks of the end of a text that are written in it.
    pub written_marks: u64,
    /// Tokens of the end of a text.
    pub ends: u64,
    /// What was left out of it, in words.
    pub notices: Vec<String>,
}

impl Tokenized {
    /// Of a file of tokens.
    pub fn of_file(read: token_file::Read) -> Tokenized {
        let token_file::Read { tokens, marks, sha256 } = read;
        let about = About {
            sha256,
            bytes: 2 * tokens.len() as u64,
            documents: 1,
            written_marks: 0,
            ends: marks,
            notices: Vec::new(),
        };
        Tokenized { tokens, about }
    }
}

fn tokenized(
    source: &Source,
    plan: &DataPlan,
    tokenizer: &Tokenizer,
    progress: Progress,
) -> Result<Tokenized, DataError> {
    if let Some((path, header)) = source.tokens() {
        return token_file::read(path, header, tokenizer, progress).map(Tokenized::of_file);
    }
    Ok(match Width::of(tokenizer.vocab_size()) {
        Width::Short => {
            let mut ids: Vec<u16> = Vec::new();
            let about = encode(source, plan, tokenizer, progress, &mut ids)?;
            Tokenized { tokens: Tokens::short(ids), about }
        }
        Width::Long => {
            let mut ids: Vec<u32> = Vec::new();
            let about = encode(source, plan, tokenizer, progress, &mut ids)?;
            Tokenized { tokens: ids.into(), about }
        }
    })
}

/// Gives the ids of a source to `ids`.
pub(super) fn encode(
    source: &Source,
    plan: &DataPlan,
    tokenizer: &Tokenizer,
    progress: Progress,
    ids: &mut dyn Ids,
) -> Result<About, DataError> {
    let mut encoder = Encoder::new(tokenizer, plan.special_tokens, ids);
    let (notices, Joined { documents, bytes, sha256 }) =
        pass(source, plan, tokenizer, progress, &mut encoder)?;
    encoder.finish()?;
    let Encoder { written_marks, ends, .. } = encoder;
    Ok(About { sha256, bytes, documents, written_marks, ends, notices })
}

/// Reads a source once, and gives its documents, bytes and sum.
pub(super) fn pass(
    source: &Source,
    plan: &DataPlan,
    tokenizer: &Tokenizer,
    progress: Progress,
    target: &mut dyn Target,
) -> Result<(Vec<String>, Joined), DataError> {
    let ends = tokenizer.end_token().is_some();
    let mut joiner = Joiner::new(plan.separator, plan.special_tokens, ends, target);
    let notices = source.read(&plan.text_column, progress, &mut joiner)?;
    Ok((notices, joiner.finish()))
}

/// The tokenizer of the plan, or the one that is taken over, with what it does not know of the text in words.
pub(super) fn tokenizer_for(
    plan: &DataPlan,
    taken_over: Option<&Tokenizer>,
    sources: &[Source],
    progress: Progress,
) -> Result<(Tokenizer, Option<String>), DataError> {
    match (taken_over, plan.tokenizer) {
        (Some(tokenizer @ (Tokenizer::Gpt2 | Tokenizer::Byte)), _) => return Ok((tokenizer.clone(), None)),
        (None, TokenizerKind::Gpt2) => return Ok((Tokenizer::Gpt2, None)),
        (None, TokenizerKind::Byte) => return Ok((Tokenizer::Byte, None)),
        (Some(tokenizer @ Tokenizer::Extended(_)), _) if tokenizer.characters().is_none() => {
            return Ok((tokenizer.clone(), None));
        }
        (Some(Tokenizer::Char { .. } | Tokenizer::Extended(_)), _) | (None, TokenizerKind::Char) => {}
    }
    let mut characters = Characters::default();
    // Only what separates documents depends on the tokenizer, and this one has no token for that.
    let any = Tokenizer::of_characters(Vec::new());
    for source in sources.iter().filter(|source| source.tokens().is_none()) {
        pass(source, plan, &any, progress, &mut characters)?;
    }
    match taken_over {
        Some(tokenizer) => Ok((tokenizer.clone(), left_out(tokenizer, &characters)?)),
        None => Ok((Tokenizer::of_characters(characters.seen().map(|(c, _)| c).collect()), None)),
    }
}

/// In words, which characters of a text the tokenizer does not know, and how often they are there; `None` if it knows all.
fn left_out(tokenizer: &Tokenizer, characters: &Characters) -> Result<Option<String>, DataError> {
    /// Beyond this share the text would be another one.
    const MOST: f64 = 0.01;
    /// Characters that are named.
    const NAMED: usize = 20;
    let unknown: Vec<(char, u64)> = characters.seen().filter(|(c, _)| !tokenizer.knows(*c)).collect();
    if unknown.is_empty() {
        return Ok(None);
    }
    let all = characters.all() as usize;
    let missing = unknown.iter().map(|(_, count)| count).sum::<u64>() as usize;
    let mut named = unknown.iter().take(NAMED).map(|(c, _)| format!("{c:?}")).collect::<Vec<_>>().join(", ");
    if unknown.len() > NAMED {
        named.push_str(&format!(" and {} more", unknown.len() - NAMED));
    }
    if missing as f64 > MOST * all as f64 {
        return Err(DataError::UnknownCharacters { missing, all, named });
    }
    Ok(Some(format!(
        "{missing} of {} left out of the text, because they are not in the vocabulary of the model of train.init_from: {named}",
        units::counted(all as u64, "character")
    )))
}

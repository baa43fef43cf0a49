//! Large corpora: their tokens lie in files, and are made once.

use std::path::{Path, PathBuf};

use super::DataError;
use super::cache::{self, Cache, Seen, SeenText, Stamp};
use super::corpus::Source;
use super::encode::Target;
use super::reader::Progress;
use super::token_file;
use super::tokenized::{Loaded, Tokenized, encode, in_memory, pass, tokenizer_for};
use super::tokenizer::Tokenizer;
use super::tokens::Width;
use crate::config::experiment::DataPlan;

/// Files that were found to be as they were, or are to be looked at now.
struct Found {
    cache: Cache,
    /// Which files, and how they are read.
    name: String,
    stamps: Vec<Stamp>,
    loaded: Option<Loaded>,
    /// Kept tokens that are damaged, in words.
    notices: Vec<String>,
}

/// The kept tokens of these sources, if they are there; reads no text.
///
/// # Errors
/// A file that cannot be read.
pub(super) fn find(
    plan: &DataPlan,
    taken_over: Option<&Tokenizer>,
    sources: &[Source],
    data_folder: &Path,
) -> Result<Option<Loaded>, DataError> {
    let Ok(cache) = Cache::open(data_folder) else { return Ok(None) };
    Ok(look(cache, plan, taken_over, sources)?.loaded)
}

/// The tokens of these sources, kept from before or made and kept now.
///
/// # Errors
/// What reading the corpus can say; a cache that cannot be written to once tokens are being made.
pub(super) fn load(
    plan: &DataPlan,
    taken_over: Option<&Tokenizer>,
    sources: &[Source],
    data_folder: &Path,
    progress: Progress,
) -> Result<Loaded, DataError> {
    let cache = match Cache::open(data_folder) {
        Ok(cache) => cache,
        Err(error) => {
            let mut loaded = in_memory(plan, taken_over, sources, progress)?;
            loaded.notices.push(format!(
                "the tokens cannot be kept in {} ({error}), so they are held in memory and made again next time; set RUNNER_DATA_DIR \
                 to a folder that can be written to",
                data_folder.display()
            ));
            return Ok(loaded);
        }
    };
    let Found { cache, name, stamps, loaded, mut notices } = look(cache, plan, taken_over, sources)?;
    if let Some(loaded) = loaded {
        return Ok(loaded);
    }
    let (tokenizer, left_out) = tokenizer_for(plan, taken_over, sources, progress)?;
    let settings = settings(plan, &tokenizer);
    let (mut texts, mut seen, mut kept) = (Vec::new(), Vec::new(), Vec::new());
    for source in sources {
        if let Some((path, header)) = source.tokens() {
            let read = token_file::read(path, header, &tokenizer, progress)?;
            let (tokens, marks, sha256) = (read.tokens.len() as u64, read.marks, read.sha256.clone());
            seen.push(SeenText::Tokens { tokens, marks, sha256 });
            texts.push(Tokenized::of_file(read));
            continue;
        }
        let known = known(&cache, plan, source, &tokenizer, &settings, progress, &mut notices)?;
        let key = match known {
            Some(key) => key,
            None => {
                let key = make(&cache, plan, source, &tokenizer, &settings, progress)?;
                kept.push(cache.place(&key));
                key
            }
        };
        let damaged = |what| DataError::Damaged { what };
        let (entry, tokens) = cache
            .get(&key, &tokenizer)
            .map_err(damaged)?
            .ok_or_else(|| damaged("the tokens that were just written are gone".to_owned()))?;
        texts.push(Tokenized { tokens, about: entry.about });
        seen.push(SeenText::Kept { key });
    }
    let seen = Seen { files: stamps, tokenizer: tokenizer.clone(), left_out: left_out.clone(), texts: seen };
    if let Err(error) = cache.see(&name, &seen) {
        notices.push(format!(
            "the tokens are kept, but not for which files ({error}): they will be read again next time"
        ));
    }
    Ok(Loaded { tokenizer, left_out, texts, notices, kept })
}

/// Looks whether these files were read before and are as they were, and whether their tokens are sound.
fn look(
    cache: Cache,
    plan: &DataPlan,
    taken_over: Option<&Tokenizer>,
    sources: &[Source],
) -> Result<Found, DataError> {
    let stamps = cache::stamps(sources.iter().flat_map(Source::files))?;
    let counts: Vec<usize> = sources.iter().map(|source| source.parts.len()).collect();
    let tokenizer = match taken_over {
        Some(tokenizer) => serde_json::to_string(tokenizer).unwrap_or_default(),
        None => plan.tokenizer.name().to_owned(),
    };
    let files: Vec<PathBuf> = sources.iter().flat_map(Source::files).map(Path::to_owned).collect();
    let name = format!("{tokenizer}\n{}\n{counts:?}\n{files:?}", reading(plan));
    let mut found = Found { cache, name, stamps, loaded: None, notices: Vec::new() };
    let Some(seen) =
        found.cache.seen(&found.name, &found.stamps).filter(|seen| seen.texts.len() == sources.len())
    else {
        return Ok(found);
    };
    let mut texts = Vec::new();
    for (source, text) in sources.iter().zip(&seen.texts) {
        let text = match (text, source.tokens()) {
            (SeenText::Tokens { tokens, marks, sha256 }, Some((path, header))) => {
                let tokens = token_file::reopen(path, header, *tokens, &seen.tokenizer)?;
                let read = token_file::Read { tokens, marks: *marks, sha256: sha256.clone() };
                Some(Tokenized::of_file(read))
            }
            (SeenText::Kept { key }, None) => match found.cache.get(key, &seen.tokenizer) {
                Ok(kept) => kept.map(|(entry, tokens)| Tokenized { tokens, about: entry.about }),
                Err(problem) => {
                    found.notices.push(format!("kept tokens are damaged: {problem}; they are made again"));
                    None
                }
            },
            _ => None,
        };
        let Some(text) = text else { return Ok(found) };
        texts.push(text);
    }
    found.loaded = Some(Loaded {
        tokenizer: seen.tokenizer,
        left_out: seen.left_out,
        texts,
        notices: Vec::new(),
        kept: Vec::new(),
    });
    Ok(found)
}

/// The key of the tokens of this text, if they are kept for the same text elsewhere.
fn known(
    cache: &Cache,
    plan: &DataPlan,
    source: &Source,
    tokenizer: &Tokenizer,
    settings: &str,
    progress: Progress,
    notices: &mut Vec<String>,
) -> Result<Option<String>, DataError> {
    if !cache.may_have(settings, source.plain_bytes()) {
        return Ok(None);
    }
    // Not a part of what is read for the tokens; but it can be stopped.
    let (_, joined) = pass(source, plan, tokenizer, &|_| progress(0), &mut Nobody)?;
    let key = Cache::key(&joined.sha256, settings);
    match cache.get(&key, tokenizer) {
        Ok(kept) => Ok(kept.map(|_| key)),
        Err(problem) => {
            let notice = format!("kept tokens are damaged: {problem}; they are made again");
            if !notices.contains(&notice) {
                notices.push(notice);
            }
            Ok(None)
        }
    }
}

/// Makes and keeps the tokens of a text.
fn make(
    cache: &Cache,
    plan: &DataPlan,
    source: &Source,
    tokenizer: &Tokenizer,
    settings: &str,
    progress: Progress,
) -> Result<String, DataError> {
    let mut writer = cache.write(Width::of(tokenizer.vocab_size()))?;
    let about = encode(source, plan, tokenizer, progress, &mut writer)?;
    writer.keep(about, settings)
}

/// What decides how documents are found in files and joined.
fn reading(plan: &DataPlan) -> String {
    format!("{:?} {} {:?}", plan.separator, plan.special_tokens, plan.text_column)
}

/// What decides the tokens of a text.
fn settings(plan: &DataPlan, tokenizer: &Tokenizer) -> String {
    format!("{} {}", reading(plan), serde_json::to_string(tokenizer).unwrap_or_default())
}

/// Hears the text only for its sum.
struct Nobody;

impl Target for Nobody {
    fn text(&mut self, _: &str) -> Result<(), DataError> {
        Ok(())
    }

    fn mark(&mut self) {}
}

#[cfg(test)]
mod tests;

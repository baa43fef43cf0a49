//! A corpus, tokenized and split.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::DataError;
use super::batches::{Batch, check_length};
use super::corpus::{self, Source};
use super::encode::MARK;
use super::evaluation::{evaluation_batches, whole_corpus_batches};
use super::kept;
use super::reader::Progress;
use super::split::{Share, Split};
use super::tokenized::{About, Loaded, Tokenized, in_memory};
use super::tokenizer::Tokenizer;
use super::tokens::Tokens;
use crate::config::experiment::{DataPlan, DataSource, RunPlan, WindowOrder};
use crate::facts::DataInfo;
use crate::files::sha256;
use crate::units;

/// Everything a run needs to know about its data.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The known corpus's name, or the paths as given.
    pub name: String,
    /// SHA-256 of exactly the text that was tokenized, hexadecimal; of several texts that are mixed, of their sums.
    pub sha256: String,
    /// Bytes of the text.
    pub bytes: u64,
    /// Files of a folder, lines of JSON lines; one for a text.
    pub documents: u64,
    /// Tokens of the end of a text among the ids.
    pub ends: u64,
    pub tokenizer: Tokenizer,
    /// Token ids to train on.
    pub train: Split,
    /// Token ids to validate on, from the end of each text; empty without `data.val_fraction`.
    pub val: Split,
    /// What a person should know about how the corpus was obtained: a damaged copy that was downloaded again, a data
    /// folder that cannot be written to, what was left out.
    pub notices: Vec<String>,
    /// Files of tokens that were made and kept now, and their bytes.
    pub kept: Vec<(PathBuf, u64)>,
}

/// Reads the plan's corpus (downloading it if need be), tokenizes it and splits it.
///
/// # Errors
/// When the corpus is missing, empty, of a kind that cannot be read, not UTF-8, or cannot be downloaded. Whether it is long enough
/// for the run is asked with [`Dataset::check`].
pub fn load(plan: &DataPlan) -> Result<Dataset, DataError> {
    load_with(plan, None)
}

/// As [`load`], with the tokenizer of a model that is to be trained further, if one is given. What its vocabulary lacks of the text
/// is left out, and said in [`Dataset::notices`].
///
/// # Errors
/// As [`load`], and when more than one character in a hundred would be left out.
pub fn load_with(plan: &DataPlan, tokenizer: Option<&Tokenizer>) -> Result<Dataset, DataError> {
    load_telling(plan, tokenizer, &|_| true)
}

/// As [`load_with`]; `progress` hears how many bytes were read since it was last told. Of a large corpus the tokens are kept for the next
/// time, unless the plan has that otherwise.
///
/// # Errors
/// As [`load_with`].
pub fn load_telling(
    plan: &DataPlan,
    tokenizer: Option<&Tokenizer>,
    progress: Progress,
) -> Result<Dataset, DataError> {
    let tokenizer = as_trained(plan, tokenizer);
    let tokenizer = tokenizer.as_ref();
    let sources = corpus::open(plan)?;
    let loaded = if plan.cache && is_large(&sources) {
        kept::load(plan, tokenizer, &sources, &corpus::data_folder(&plan.source().to_string())?, progress)?
    } else {
        in_memory(plan, tokenizer, &sources, progress)?
    };
    Ok(dataset(plan, &sources, loaded))
}

/// The dataset of a large corpus whose tokens are kept from before, without reading its text; `None` where they are not.
///
/// # Errors
/// As [`load_with`], as far as it is found out without reading.
pub fn load_kept(plan: &DataPlan, tokenizer: Option<&Tokenizer>) -> Result<Option<Dataset>, DataError> {
    let tokenizer = as_trained(plan, tokenizer);
    let tokenizer = tokenizer.as_ref();
    let sources = corpus::open(plan)?;
    if !plan.cache || !is_large(&sources) {
        return Ok(None);
    }
    let folder = corpus::data_folder(&plan.source().to_string())?;
    let loaded = kept::find(plan, tokenizer, &sources, &folder)?;
    Ok(loaded.map(|loaded| dataset(plan, &sources, loaded)))
}

/// The tokenizer that is taken over, as this plan reads texts with it.
fn as_trained(plan: &DataPlan, taken_over: Option<&Tokenizer>) -> Option<Tokenizer> {
    taken_over.map(|tokenizer| tokenizer.as_trained(plan.special_tokens).without_own_mark())
}

/// Bytes of files from which on a corpus is large.
pub const LARGE_BYTES: u64 = 64 << 20;

fn is_large(sources: &[Source]) -> bool {
    sources.iter().map(Source::bytes).sum::<u64>() > LARGE_BYTES
}

/// Splits the texts, and sums up what is known of them.
fn dataset(plan: &DataPlan, sources: &[Source], loaded: Loaded) -> Dataset {
    let Loaded { tokenizer, left_out, texts, notices: of_cache, kept } = loaded;
    let mut notices: Vec<String> = sources.iter().flat_map(|source| source.notices.clone()).collect();
    notices.extend(of_cache);
    notices.extend(left_out);
    let mixed = match plan.source() {
        DataSource::Paths(paths) if !plan.weights.is_empty() => paths,
        _ => Vec::new(),
    };
    let (mut train, mut val) = (Vec::new(), Vec::new());
    for (place, text) in texts.iter().enumerate() {
        let name = mixed.get(place).map(|path| path.display().to_string());
        let share = plan.weights.get(place).copied().unwrap_or(1.0);
        let (of_train, of_val) = text.tokens.split_at(train_tokens(text.tokens.len(), plan.val_fraction));
        train.push(Share { name: name.clone(), tokens: of_train, share });
        val.push(Share { name, tokens: of_val, share });
    }
    let sum = |of: fn(&About) -> u64| texts.iter().map(|text| of(&text.about)).sum();
    let (written, ends) = (sum(|text| text.written_marks), sum(|text| text.ends));
    notices.extend(texts.iter().flat_map(|text| text.about.notices.clone()));
    notices.extend(about_marks(plan, &tokenizer, written));
    notices.extend(named_tokens(&tokenizer, &texts));
    let mut dataset = Dataset {
        name: plan.source().to_string(),
        sha256: match texts.as_slice() {
            [one] => one.about.sha256.clone(),
            several => {
                let sums: Vec<&str> = several.iter().map(|text| text.about.sha256.as_str()).collect();
                sha256(sums.join("\n").as_bytes())
            }
        },
        bytes: sum(|text| text.bytes),
        documents: sum(|text| text.documents),
        ends,
        tokenizer,
        train: Split::mixed(train),
        val: Split::mixed(val),
        notices,
        kept,
    };
    dataset.notices.extend(dataset.measured_in_part());
    dataset
}

/// In words, which added tokens the texts name, and how often; `None` if they name none.
fn named_tokens(tokenizer: &Tokenizer, texts: &[Tokenized]) -> Option<String> {
    /// Tokens that are named.
    const NAMED: usize = 8;
    /// Tokens that are read at a time.
    const COUNTED: usize = 1 << 16;
    let added = tokenizer.added_tokens();
    let mut counts: BTreeMap<u32, usize> = added.iter().map(|token| (token.id, 0)).collect();
    if counts.is_empty() {
        return None;
    }
    // A text that cannot be read is found out where it is trained on.
    let ids = texts.iter().flat_map(|text| text.tokens.chunks(COUNTED).flatten()).flatten();
    for token in ids {
        counts.entry(token).and_modify(|count| *count += 1);
    }
    // What separates documents is counted as such.
    let end = tokenizer.end_token();
    let found = added.iter().filter(|token| Some(token.id) != end).filter_map(|token| {
        let count = *counts.get(&token.id)?;
        (count > 0).then(|| format!("{} ({count})", token.content))
    });
    let found: Vec<String> = found.collect();
    let more = if found.len() > NAMED { ", ..." } else { "" };
    (!found.is_empty()).then(|| {
        format!(
            "the text names tokens that the model of train.init_from has, and they are read as such: {}{more}",
            found[..found.len().min(NAMED)].join(", ")
        )
    })
}

/// In words, that the end of a text is written in a text and is not taken for its token.
fn about_marks(plan: &DataPlan, tokenizer: &Tokenizer, written: u64) -> Option<String> {
    let is_token = plan.special_tokens && tokenizer.end_token().is_some();
    (written > 0 && !is_token).then(|| {
        let reason = if tokenizer.end_token().is_none() {
            format!("the tokenizer {} has no such token", tokenizer.name())
        } else {
            "data.special_tokens is false".to_owned()
        };
        format!(
            "{MARK} is in the text {} and is read as ordinary characters, because {reason}",
            times(written)
        )
    })
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{} times", units::count(count)) }
}

/// Tokens of a training text from which on only parts of it are measured.
const VERY_LARGE: usize = 1 << 25;
/// Parts of it in which copies are looked for.
const STRETCHES: usize = 32;
/// Tokens of it whose loss is measured at the end.
const MEASURED: usize = 1 << 20;

/// Tokens of the training split: the share that is not for validation, rounded down, as nanoGPT does.
fn train_tokens(tokens: usize, val_fraction: f64) -> usize {
    ((tokens as f64 * (1.0 - val_fraction)) as usize).min(tokens)
}

impl Dataset {
    /// Tokens of both splits.
    pub fn tokens(&self) -> u64 {
        (self.train.len() + self.val.len()) as u64
    }

    /// The parts of the training text that copies are looked for in: all of it, or of a very large one stretches that are spread evenly.
    pub fn stretches(&self) -> Vec<Tokens> {
        if !self.is_very_large() {
            return self.train.texts().cloned().collect();
        }
        let all = self.train.len();
        let of_text = |tokens: &Tokens| {
            // Also of a text without a token, which is refused later.
            let stretches = (STRETCHES * tokens.len()).div_ceil(all).max(1);
            let part = tokens.len() / stretches;
            let length = (VERY_LARGE / STRETCHES).min(part);
            let stretch = |n: usize| tokens.slice(n * part..n * part + length);
            (0..stretches).map(stretch).collect::<Vec<_>>()
        };
        self.train.texts().flat_map(of_text).collect()
    }

    /// Batches for the loss over the training text: all of it, or of a very large one windows that are spread evenly.
    pub fn final_batches<'a>(
        &'a self,
        batch_size: usize,
        sequence_length: usize,
    ) -> Box<dyn Iterator<Item = Result<Batch, DataError>> + 'a> {
        if self.is_very_large() {
            let batches = MEASURED.div_ceil(batch_size * sequence_length);
            Box::new(evaluation_batches(&self.train, batch_size, sequence_length, batches))
        } else {
            Box::new(whole_corpus_batches(&self.train, batch_size, sequence_length))
        }
    }

    /// Whether to read all of the training text while it trains would take longer than people wait.
    fn is_very_large(&self) -> bool {
        self.train.len() > VERY_LARGE
    }

    /// In words, what is measured on a part of a very large training text.
    fn measured_in_part(&self) -> Option<String> {
        self.is_very_large().then(|| {
            let part: usize = self.stretches().iter().map(Tokens::len).sum();
            format!(
                "the training text has {} tokens: copies in samples are looked for in {} of them, and the loss of train.final_eval \
                 is measured on about {}, spread evenly",
                units::count(self.train.len() as u64),
                units::count(part as u64),
                units::count(MEASURED as u64)
            )
        })
    }

    /// Tokens that are held in memory.
    pub fn tokens_in_memory(&self) -> u64 {
        self.train.texts().chain(self.val.texts()).map(|tokens| tokens.in_memory() as u64).sum()
    }

    /// What the manifest says about the data.
    pub fn info(&self) -> DataInfo {
        DataInfo {
            name: self.name.clone(),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
            documents: self.documents,
            end_of_text_tokens: self.ends,
            tokenizer: self.tokenizer.name().to_owned(),
            vocab_size: self.tokenizer.vocab_size(),
            train_tokens: self.train.len() as u64,
            val_tokens: self.val.len() as u64,
        }
    }

    /// Looks whether the run's batches can be cut from this data and its ids fit the model.
    ///
    /// # Errors
    /// A split too short for the plan's windows; a model with fewer ids than the tokenizer.
    pub fn check(&self, plan: &RunPlan) -> Result<(), DataError> {
        self.check_vocabulary(plan.model.vocab_size)?;
        let validates = plan.data.val_fraction > 0.0 && plan.train.eval_interval > 0;
        self.check_lengths(plan.data.order, plan.train.batch_size, plan.sequence_length(), validates)
    }

    fn check_vocabulary(&self, model: Option<usize>) -> Result<(), DataError> {
        let tokenizer_size = self.tokenizer.vocab_size();
        match model {
            Some(model) if model < tokenizer_size => {
                Err(DataError::VocabularyTooSmall { model, tokenizer: self.tokenizer.name(), tokenizer_size })
            }
            _ => Ok(()),
        }
    }

    fn check_lengths(
        &self,
        order: WindowOrder,
        batch_size: usize,
        sequence_length: usize,
        validates: bool,
    ) -> Result<(), DataError> {
        let together = self.train.together(batch_size);
        let check = |text| check_length(text, together, sequence_length, order);
        self.train.parts.iter().try_for_each(check)?;
        let needed = sequence_length.saturating_add(1);
        let too_short = self.val.parts.iter().find(|text| text.tokens.len() < needed);
        if let Some(Share { name, tokens, .. }) = too_short.filter(|_| validates) {
            return Err(DataError::TooShort {
                split: "validation",
                text: name.clone(),
                tokens: tokens.len(),
                needed,
                purpose: format!("one window of train.sequence_length = {sequence_length}"),
                advice: "raise data.val_fraction, lower train.sequence_length, or set data.val_fraction = 0 or \
                         train.eval_interval = 0 to train without validation",
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

//! What a run begins from: `train.init_from`, looked at and held against the run's plan before anything starts.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Pretrained, PretrainedError, Which, find, open};
use crate::config::{self, experiment::RunPlan};
use crate::data::tokenizer::Tokenizer;
use crate::facts::{InitFrom, KeyChange};
use crate::files;
use crate::model::shards::{self, WeightBytes};
use crate::model::weights::{WeightSizes, check_first_weights};
use crate::model::{ModelConfig, tensor_file::TensorFileError};
use crate::store::{StoreError, checksums, scan};
use crate::units;

/// The key that this module is about.
const KEY: &str = "train.init_from";

/// A model that a run begins from. Its file of weights was read and is sound.
#[derive(Clone, Debug)]
pub struct Start {
    pub info: InitFrom,
    /// What it was trained with; `None` for a file of weights alone.
    pub tokenizer: Option<Tokenizer>,
    /// Why it is this run, where it was chosen among several.
    pub chosen: Option<String>,
    sizes: WeightSizes,
    /// `None` for a file of weights alone.
    n_head: Option<usize>,
}

/// A run cannot begin from what its `train.init_from` names.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "there is no such file or folder; give the path of a run, of a checkpoint, of a Hugging Face GPT-2 folder or of a \
         model.safetensors, relative to the experiment file; if it is a run that is still to be trained, train it first"
    )]
    Missing,
    #[error("there is no such file or folder relative to the experiment file, and as a name: {0}")]
    UnknownName(PretrainedError),
    /// What another program means by the word.
    #[error("\"{word}\" is no run here, nor a file or folder relative to the experiment file; {what}")]
    Word { word: String, what: &'static str },
    #[error(transparent)]
    Pretrained(#[from] PretrainedError),
    #[error("{}: {source}", path.display())]
    Weights { path: PathBuf, source: TensorFileError },
    #[error(
        "it was trained with data.tokenizer = \"{theirs}\", and data.tokenizer = \"{ours}\" here; set data.tokenizer = \"{theirs}\""
    )]
    Tokenizer { ours: &'static str, theirs: &'static str },
    #[error("its sizes are others: {}", .0.join("; "))]
    Sizes(Vec<String>),
    #[error("its weights, {}, cannot be read: {source}; put them back, or run the experiment with --again", path.display())]
    Gone { path: PathBuf, source: io::Error },
    #[error(
        "its weights, {}, are not those that the run was made for: their SHA-256 was {before} and is {now}; put them back, or \
         run the experiment with --again", path.display()
    )]
    Changed { path: PathBuf, before: String, now: String },
}

impl Start {
    /// What the plan's `train.init_from` means now; `None` for random weights. Of a run it means its best checkpoint, of several runs
    /// the best of them. What is no path is a name of a run, an experiment or a tag in `runs_dir`.
    ///
    /// # Errors
    /// When there is no model, when its weights are damaged or those of another architecture, or when it has another tokenizer
    /// than the plan.
    pub fn find(plan: &RunPlan, runs_dir: &Path) -> Result<Option<Start>, StartError> {
        let Some(given) = &plan.train.init_from else { return Ok(None) };
        let text = given.to_string_lossy();
        let found = match config::name_of_run(&text) {
            Some(name) => {
                find(runs_dir, name, Which::Best).map_err(|error| not_found(name, error)).map(Ok)?
            }
            None if given.exists() => open(given, Which::Best),
            // With the checkpoint behind it, or the wish for the best.
            None if base(&text).exists() => find(runs_dir, &text, Which::Best),
            None => return Err(StartError::Missing),
        };
        let known = match found {
            Ok(known) => Some(known),
            // A file of weights alone says nothing of its tokenizer and its heads.
            Err(PretrainedError::NotAModel { .. }) if given.is_file() => None,
            Err(error) => return Err(error.into()),
        };
        let weights = known.as_ref().map_or(given.as_path(), |known| &known.weights);
        let failed = |source| StartError::Weights { path: weights.to_owned(), source };
        let bytes = WeightBytes::read(weights).map_err(failed)?;
        let sizes = WeightSizes::of(&bytes).map_err(failed)?;
        let block_size = plan.model.block_size;
        let as_it_is = ModelConfig {
            n_layer: sizes.n_layer,
            n_head: 1,
            n_embd: sizes.n_embd,
            block_size: sizes.block_size,
            vocab_size: sizes.vocab_size,
            bias: sizes.bias,
        };
        check_first_weights(&bytes, &as_it_is).map_err(failed)?;
        let info = InitFrom {
            given: absolute(given),
            // The file itself, whatever links lead to it.
            weights: absolute(&fs::canonicalize(weights).unwrap_or_else(|_| weights.to_owned())),
            sha256: sha256_of(weights).map_err(|error| failed(error.into()))?,
            name: known.as_ref().map(|known| known.name.clone()),
            step: known.as_ref().and_then(|known| Some(known.origin.as_ref()?.step)),
            positions: (sizes.block_size > block_size).then_some(sizes.block_size),
        };
        // Of a run's own checkpoint there is nothing else to know.
        let of_run = known.as_ref().filter(|known| known.origin.is_some());
        let chosen = of_run.and_then(|known| Some(format!("{}: {}", known.name, known.notes.first()?)));
        let (n_head, tokenizer) =
            known.map(|Pretrained { model, tokenizer, .. }| (model.n_head, tokenizer)).unzip();
        let start = Start { info, tokenizer, chosen, sizes, n_head };
        start.check_tokenizer(plan)?;
        Ok(Some(start))
    }

    fn check_tokenizer(&self, plan: &RunPlan) -> Result<(), StartError> {
        let ours = plan.data.tokenizer.name();
        match self.tokenizer.as_ref().map(Tokenizer::name) {
            Some(theirs) if theirs != ours => Err(StartError::Tokenizer { ours, theirs }),
            _ => Ok(()),
        }
    }

    /// Holds the model's sizes against the plan's; `vocab_size` is that of the run's tokenizer, where it is known.
    ///
    /// # Errors
    /// Every size that differs, with what to set. More positions than the plan's are no error: the first ones are taken.
    pub fn check_sizes(&self, plan: &RunPlan, vocab_size: Option<usize>) -> Result<(), StartError> {
        let (model, theirs) = (&plan.model, &self.sizes);
        let mut differ = Vec::new();
        let mut compare = |key: &str, ours: usize, theirs: usize| {
            if ours != theirs {
                differ.push(format!(
                    "model.{key} is {ours} here and {theirs} there (set model.{key} = {theirs})"
                ));
            }
        };
        compare("n_layer", model.n_layer, theirs.n_layer);
        compare("n_head", model.n_head, self.n_head.unwrap_or(model.n_head));
        compare("n_embd", model.n_embd, theirs.n_embd);
        if let Some(ours) = model.vocab_size.or(vocab_size).filter(|ours| *ours != theirs.vocab_size) {
            let theirs = theirs.vocab_size;
            differ.push(match vocab_size {
                Some(tokens) if tokens > theirs => format!(
                    "its vocabulary has {}, and this text's has {tokens} (start from a run or a checkpoint, whose vocabulary is \
                     taken over)",
                    units::counted(theirs as u64, "token")
                ),
                _ => format!("model.vocab_size is {ours} here and {theirs} there (set model.vocab_size = {theirs})"),
            });
        }
        if model.block_size > theirs.block_size {
            differ.push(format!(
                "model.block_size is {} here and it has {} (set model.block_size = {} or less)",
                model.block_size,
                units::counted(theirs.block_size as u64, "position"),
                theirs.block_size
            ));
        }
        if model.bias != theirs.bias {
            let there = if theirs.bias { "it has biases" } else { "it has none" };
            differ.push(format!(
                "model.bias is {} here and {there} (set model.bias = {})",
                model.bias, theirs.bias
            ));
        }
        if differ.is_empty() { Ok(()) } else { Err(StartError::Sizes(differ)) }
    }

    /// The plan with the weights that were found in the place of what was named, so that it means the same tomorrow.
    pub fn pin(&self, plan: &RunPlan) -> RunPlan {
        config::pinned(plan, KEY, &self.info.weights).0
    }
}

/// The change that [`Start::pin`] made of `plan`, if that is what it was made of: no difference between two runs.
pub fn pinned_change(info: &InitFrom, plan: &RunPlan) -> Option<KeyChange> {
    let given = plan.train.init_from.as_deref().map(absolute)?;
    let (_, change) = config::pinned(plan, KEY, &info.weights);
    change.filter(|_| given == info.given)
}

/// Looks whether the weights are those that the run was made for.
///
/// # Errors
/// When they are gone or others.
pub fn check_unchanged(info: &InitFrom) -> Result<(), StartError> {
    let path = PathBuf::from(&info.weights);
    match sha256_of(&path) {
        Ok(now) if now == info.sha256 => Ok(()),
        Ok(now) => Err(StartError::Changed { path, before: info.sha256.clone(), now }),
        Err(source) => Err(StartError::Gone { path, source }),
    }
}

/// Of the file, or of the list of those of an index and its shards.
fn sha256_of(weights: &Path) -> io::Result<String> {
    let files = shards::files_of(weights).map_err(|error| match error {
        TensorFileError::Io(error) => error,
        error => io::Error::other(error),
    })?;
    let sums = files.iter().map(|file| checksums::sha256_of(file)).collect::<io::Result<Vec<String>>>()?;
    match sums.as_slice() {
        [one] => Ok(one.clone()),
        several => Ok(files::sha256(several.join("\n").as_bytes())),
    }
}

/// A name that is none among the runs may be another program's word.
fn not_found(name: &str, error: PretrainedError) -> StartError {
    match (&error, config::names::init_word(name)) {
        (PretrainedError::Store(StoreError::UnknownRun { .. }), Some(what)) => {
            StartError::Word { word: name.to_owned(), what }
        }
        _ => StartError::UnknownName(error),
    }
}

/// The path in front of `@500` or ` --best`.
fn base(text: &str) -> PathBuf {
    let text = super::without_best(text);
    PathBuf::from(scan::split_checkpoint(text).map_or(text, |(run, _)| run))
}

/// Looks whether there is anything under what `train.init_from` names, without reading it.
///
/// # Errors
/// When there is nothing: no such path, or no run, experiment or tag of that name in `runs_dir`.
pub fn look(given: &Path, runs_dir: &Path) -> Result<(), StartError> {
    let text = given.to_string_lossy();
    match config::name_of_run(&text) {
        Some(name) => match scan::resolve(runs_dir, super::without_best(name)) {
            Ok(_) => Ok(()),
            Err(error) => Err(not_found(name, error.into())),
        },
        None if given.exists() || base(&text).exists() => Ok(()),
        None => Err(StartError::Missing),
    }
}

fn absolute(path: &Path) -> String {
    // A name is the same everywhere.
    if let Some(text) = path.to_str().filter(|text| config::name_of_run(text).is_some()) {
        return text.to_owned();
    }
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;

//! Trained models for other programs: folders as Hugging Face's libraries read them, and Spaces that serve a model.
//!
//! [`hugging_face`](fn@hugging_face) and [`space`](fn@space) fill a folder out of sight and put it in its place when it is whole.
//! A run as one file, to be looked at elsewhere, is [`store::archive`](crate::store::archive).

mod card;
mod folder;
mod hugging_face;
mod logits;
mod source;
mod space;
mod tokenizer;

use std::io;
use std::path::{Path, PathBuf};

use crate::infer::InferError;
use crate::model::tensor_file::TensorFileError;
use crate::pretrained::{Pretrained, PretrainedError};
use crate::report::ReportError;
use crate::store::StoreError;

use folder::Folder;

pub use logits::write as write_logits;

/// A model could not be exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(
        "{} is there already and not empty; choose another --out, or say --overwrite, which replaces files of the same names \
         and leaves the others",
        path.display()
    )]
    NotEmpty { path: PathBuf },
    #[error("{} is a file, where a folder is to be written; choose another --out", path.display())]
    NotAFolder { path: PathBuf },
    #[error("cannot write {}: {source}; check the disk's free space and the folder's permissions", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the weights {}: {source}", path.display())]
    Weights { path: PathBuf, source: TensorFileError },
    #[error(transparent)]
    Infer(#[from] InferError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[error("what was exported cannot be read again, and was thrown away: {0}")]
    Unreadable(#[from] PretrainedError),
    #[error(
        "what was exported is another model when it is read again, and was thrown away; this is a fault of runner"
    )]
    Changed,
}

impl ExportError {
    /// Whether another model has to be given.
    pub fn is_of_the_model(&self) -> bool {
        match self {
            Self::Weights { source, .. } | Self::Infer(InferError::Weights { source, .. }) => {
                source.is_of_the_file()
            }
            _ => false,
        }
    }
}

/// Writes a folder that Hugging Face's libraries, and this program, load as a model.
///
/// # Errors
/// When `out` is not empty and nothing may be overwritten; when something cannot be read or written. Nothing is left behind then.
pub fn hugging_face(model: &Pretrained, out: &Path, overwrite: bool) -> Result<(), ExportError> {
    let folder = Folder::begin(out, overwrite)?;
    hugging_face::fill(model, folder.path()).map_err(|error| folder.as_in_place(error))?;
    folder.finish()
}

/// Writes a Hugging Face Space that builds this program and serves the model with it.
///
/// # Errors
/// As [`hugging_face`](fn@hugging_face).
pub fn space(model: &Pretrained, out: &Path, overwrite: bool) -> Result<(), ExportError> {
    let folder = Folder::begin(out, overwrite)?;
    space::fill(model, folder.path()).map_err(|error| folder.as_in_place(error))?;
    folder.finish()
}

/// The model's name as far as it can be part of addresses and file names: `quickstart-seed-1337`.
pub fn slug(name: &str) -> String {
    let kept = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    let words = name.split(|c| !kept(c)).map(|word| word.trim_matches('.')).filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    if slug.is_empty() { "model".to_owned() } else { slug }
}

#[cfg(test)]
mod tests;

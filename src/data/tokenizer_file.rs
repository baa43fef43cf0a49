//! The tokenizer beside a model, complete, so that the model can be used without its corpus.

use std::io;
use std::path::Path;

use super::tokenizer::Tokenizer;
use crate::files::{atomic, plain};

/// In run directories and in folders that were exported. (`tokenizer.json` is Hugging Face's.)
pub const TOKENIZER_FILE: &str = "runner-tokenizer.json";

/// Writes the tokenizer into `folder`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tokenizer(folder: &Path, tokenizer: &Tokenizer) -> io::Result<()> {
    let json = serde_json::to_vec_pretty(tokenizer).map_err(io::Error::other)?;
    atomic::write(&folder.join(TOKENIZER_FILE), &json)
}

/// The tokenizer that lies in `folder`; `None` if none does.
///
/// # Errors
/// When the file cannot be read, or holds no tokenizer.
pub fn read_tokenizer(folder: &Path) -> io::Result<Option<Tokenizer>> {
    let json = match plain::read(&folder.join(TOKENIZER_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    serde_json::from_slice(&json)
        .map(Some)
        .map_err(|error| io::Error::other(format!("this is not a tokenizer: {error}")))
}

//! What a run learns from.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// The corpus's name, or the path as given.
    pub name: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    pub bytes: u64,
    pub tokenizer: String,
    /// Size of the tokenizer's vocabulary.
    pub vocab_size: usize,
    pub train_tokens: u64,
    pub val_tokens: u64,
}

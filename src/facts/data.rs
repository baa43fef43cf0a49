//! What a run learns from.

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataInfo {
    /// The corpus's name, or the path as given.
    pub name: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    pub bytes: u64,
    /// Files of a folder, lines of JSON lines, one for a text. 0 in manifests of before it was counted.
    #[serde(default)]
    pub documents: u64,
    /// How often the tokenizer's end of text is among the tokens, written in the text or put between documents.
    #[serde(default)]
    pub end_of_text_tokens: u64,
    pub tokenizer: String,
    /// Size of the tokenizer's vocabulary.
    pub vocab_size: usize,
    pub train_tokens: u64,
    pub val_tokens: u64,
}

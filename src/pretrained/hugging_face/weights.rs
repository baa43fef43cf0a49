//! Where the weights of a folder are.

use std::path::{Path, PathBuf};

use crate::model::WEIGHTS_FILE;
use crate::model::foreign::Foreign;
use crate::model::shards::{INDEX_FILE, WeightBytes};
use crate::model::weights::has_head;
use crate::pretrained::PretrainedError;

/// Weights in other formats, by the names that they have in such folders.
const OTHERS: &[&str] = &[
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "ckpt.pt",
    "tf_model.h5",
    "flax_model.msgpack",
    "model.safetensors.gz",
];

/// Advice for what this program has no word of its own for.
const LET_TRANSFORMERS_WRITE: &str =
    "let transformers write it: GPT2LMHeadModel.from_pretrained(\"FOLDER\").save_pretrained(\"OTHER\")";

/// The file of the weights, or the index of several.
///
/// # Errors
/// When there is neither; in that case, what is there instead and what to do with it.
pub fn of_folder(folder: &Path) -> Result<PathBuf, PretrainedError> {
    for name in [WEIGHTS_FILE, INDEX_FILE] {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    Err(instead(folder).unwrap_or_else(|| PretrainedError::File {
        path: folder.join(WEIGHTS_FILE),
        reason: format!("there is no such file, and no {INDEX_FILE}; {LET_TRANSFORMERS_WRITE}"),
    }))
}

/// An error about weights of another format in the folder; `None` if there are none.
pub fn instead(folder: &Path) -> Option<PretrainedError> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    all.sort();
    let is_other = |path: &&PathBuf| {
        path.extension()
            .is_some_and(|ending| ["gguf", "pt", "pth", "bin"].iter().any(|other| ending == *other))
    };
    let single = |path: &&PathBuf| path.extension().is_some_and(|ending| ending == "safetensors");
    // A trainer's folder has other files of the same format: optimizer.pt.
    let known = OTHERS.iter().find_map(|name| all.iter().find(|path| path.ends_with(name)));
    if let Some(path) = known.or_else(|| all.iter().find(is_other)) {
        let reason = match Foreign::of_file(path) {
            Ok(Some(foreign)) => foreign.to_string(),
            _ => format!("these weights are of another format than safetensors; {LET_TRANSFORMERS_WRITE}"),
        };
        return Some(PretrainedError::File { path: path.clone(), reason });
    }
    all.iter().find(single).map(|path| PretrainedError::File {
        path: path.clone(),
        reason: match path.file_name().is_some_and(|name| name == WEIGHTS_FILE) {
            true => "there is no config.json beside these weights, so that nothing is known of heads and tokenizer; give the checkpoint \
                     within its run's directory, or a folder that `runner export --format hf` or transformers wrote"
                .to_owned(),
            false => format!(
                "weights are called {WEIGHTS_FILE}, or {INDEX_FILE} names them; rename the file, or add the index"
            ),
        },
    })
}

/// Holds `tie_word_embeddings = false` against the weights: there must then be a head, which is later compared with the table.
///
/// # Errors
/// When the weights cannot be read, or have no head.
pub fn check_head(weights: &Path) -> Result<(), PretrainedError> {
    let failed = |reason: String| PretrainedError::File { path: weights.to_owned(), reason };
    let bytes = WeightBytes::read(weights).map_err(|error| failed(error.to_string()))?;
    if has_head(&bytes).map_err(|error| failed(error.to_string()))? {
        return Ok(());
    }
    Err(failed(
        "config.json says `tie_word_embeddings`: false, and there is no `lm_head.weight`: the model's head is missing. If it is tied to \
         `wte.weight` after all, say true"
            .to_owned(),
    ))
}

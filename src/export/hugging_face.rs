//! The folder of a model, as `transformers` writes and reads it.

use std::path::Path;

use serde_json::json;

use super::{ExportError, card, tokenizer};
use crate::files::plain;
use crate::model::WEIGHTS_FILE;
use crate::model::shards::WeightBytes;
use crate::model::tensor_file::TensorFileError;
use crate::model::weights::convert;
use crate::pretrained::{self, CONFIG_FILE, GENERATION_FILE, OWN_KEY, Pretrained, Which, config_json};
use crate::store::{self, RunRecord};

/// The Hub's git wants what is no text kept apart.
pub const GIT_ATTRIBUTES: &str =
    "*.safetensors filter=lfs diff=lfs merge=lfs -text\n*.png filter=lfs diff=lfs merge=lfs -text\n";

/// Writes everything into `folder`, and looks whether it is read again as the same model. Gives what the model's run recorded.
pub fn fill(model: &Pretrained, folder: &Path) -> Result<Option<RunRecord>, ExportError> {
    let unusable = |source| ExportError::Weights { path: model.weights.clone(), source };
    let weights = folder.join(WEIGHTS_FILE);
    let bytes = WeightBytes::read(&model.weights).map_err(unusable)?;
    convert(&bytes, &model.model, &weights).map_err(|error| match error {
        TensorFileError::Io(source) => ExportError::Write { path: weights, source },
        error => unusable(error),
    })?;
    drop(bytes);
    let end_token = model.tokenizer.end_token();
    let mut config = config_json(&model.model, end_token);
    config[OWN_KEY] = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "run": model.origin.as_ref().map(|_| &model.name),
        "step": model.origin.as_ref().map(|origin| origin.step),
        "prompts": model.sampling.prompts,
    });
    let generation = model.sampling.generation_json(end_token);
    for (name, text) in [
        (CONFIG_FILE, format!("{config:#}\n")),
        (GENERATION_FILE, format!("{generation:#}\n")),
        (".gitattributes", GIT_ATTRIBUTES.to_owned()),
    ] {
        put(folder, name, &text)?;
    }
    tokenizer::write(folder, &model.tokenizer, model.model.block_size)
        .map_err(|source| ExportError::Write { path: folder.to_owned(), source })?;
    let record = model.origin.as_ref().map(|origin| store::read(origin.dir.path())).transpose()?;
    put(folder, "README.md", &card::render(model, record.as_ref(), folder)?)?;

    let again = pretrained::open(folder, Which::Best)?;
    let biases = crate::model::ModelConfig { bias: true, ..model.model };
    if (again.model, &again.tokenizer) != (biases, &model.tokenizer) {
        return Err(ExportError::Changed);
    }
    Ok(record)
}

/// Writes a file of text into the folder.
pub fn put(folder: &Path, name: &str, text: &str) -> Result<(), ExportError> {
    let path = folder.join(name);
    plain::write_new(&path, text).map_err(|source| ExportError::Write { path, source })
}

//! Hugging Face's folders: `config.json`, `model.safetensors` and files of the tokenizer.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{GENERATION_FILE, Pretrained, PretrainedError, Sampling, tokenizer};
use crate::data::tokenizer::Tokenizer;
use crate::files::plain;
use crate::model::{ModelConfig, WEIGHTS_FILE};

/// File of the model's sizes.
pub const CONFIG_FILE: &str = "config.json";
/// Files larger than this are none of a tokenizer or configuration.
const LARGEST_JSON_BYTES: u64 = 64 << 20;

/// What Hugging Face's `GPT2Config` calls the sizes of a model with this vocabulary. Models without biases have some there: zeros.
pub fn config_json(model: &ModelConfig, end_token: Option<u32>) -> Value {
    json!({
        "architectures": ["GPT2LMHeadModel"],
        "model_type": "gpt2",
        "vocab_size": model.vocab_size,
        "n_positions": model.block_size,
        "n_ctx": model.block_size,
        "n_embd": model.n_embd,
        "n_layer": model.n_layer,
        "n_head": model.n_head,
        "n_inner": null,
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "initializer_range": 0.02,
        "tie_word_embeddings": true,
        "bos_token_id": end_token,
        "eos_token_id": end_token,
        "dtype": "float32",
    })
}

/// The model in `folder`.
pub fn open(folder: &Path) -> Result<Pretrained, PretrainedError> {
    let path = folder.join(CONFIG_FILE);
    let at = |reason: String| PretrainedError::File { path: path.clone(), reason };
    let config = read_object(&path)?;
    let model = sizes(&config).map_err(at)?;
    let weights = folder.join(WEIGHTS_FILE);
    if !weights.is_file() {
        let reason = "there is no such file; with other formats, let transformers write it: \
                      model.save_pretrained(folder, safe_serialization=True)";
        return Err(PretrainedError::File { path: weights, reason: reason.to_owned() });
    }
    let tokenizer = match tokenizer::read(folder)? {
        Some(tokenizer) => tokenizer,
        None => gpt2_tokenizer(folder, &model)?,
    };
    if model.vocab_size < tokenizer.vocab_size() {
        let (model, tokenizer) = (model.vocab_size, tokenizer.vocab_size());
        return Err(at(format!("vocab_size = {model} is smaller than the tokenizer's {tokenizer}")));
    }
    let name = folder.canonicalize().ok().and_then(|folder| Some(folder.file_name()?.display().to_string()));
    let name = name.unwrap_or_else(|| folder.display().to_string());
    let generation = folder.join(GENERATION_FILE);
    let settings = if generation.is_file() { read_object(&generation)? } else { Map::new() };
    let sampling = Sampling::of_json(&config, &settings)
        .map_err(|reason| PretrainedError::File { path: generation, reason })?;
    Ok(Pretrained { name, weights, model, tokenizer, sampling, origin: None })
}

/// The sizes in a `config.json`, if it describes a model that this program computes.
fn sizes(config: &Map<String, Value>) -> Result<ModelConfig, String> {
    let size = |names: &[&str]| -> Result<usize, String> {
        let value = names.iter().find_map(|name| config.get(*name)).filter(|value| !value.is_null());
        let value = value.ok_or_else(|| format!("`{}` is missing", names[0]))?;
        let size = value.as_u64().filter(|&size| (1..=1 << 24).contains(&size));
        size.map(|size| size as usize).ok_or_else(|| format!("`{}` is {value}, which is no size", names[0]))
    };
    let refused = |key: &str, value: &Value, known: &str| {
        Err(format!("`{key}` is {value}: only GPT-2 itself can be read, where it is {known}"))
    };
    let kind = config.get("model_type").unwrap_or(&Value::Null);
    if kind != "gpt2" {
        return refused("model_type", kind, "\"gpt2\"");
    }
    let model = ModelConfig {
        n_layer: size(&["n_layer"])?,
        n_head: size(&["n_head"])?,
        n_embd: size(&["n_embd"])?,
        block_size: size(&["n_positions", "n_ctx"])?,
        vocab_size: size(&["vocab_size"])?,
        bias: true,
    };
    if !model.n_embd.is_multiple_of(model.n_head) {
        return Err(format!("`n_embd` = {} is not a multiple of `n_head` = {}", model.n_embd, model.n_head));
    }
    // What GPT-2 is by default, and what other values of these keys would make of it.
    let rules: [(&str, &[Value]); 7] = [
        ("activation_function", &[json!("gelu_new"), json!("gelu_pytorch_tanh")]),
        ("layer_norm_epsilon", &[json!(1e-5)]),
        ("n_inner", &[Value::Null, json!(4 * model.n_embd)]),
        ("scale_attn_weights", &[json!(true)]),
        ("scale_attn_by_inverse_layer_idx", &[json!(false)]),
        ("tie_word_embeddings", &[json!(true)]),
        ("add_cross_attention", &[json!(false)]),
    ];
    for (key, allowed) in rules {
        if let Some(value) = config.get(key)
            && !allowed.contains(value)
        {
            return refused(key, value, &allowed[0].to_string());
        }
    }
    Ok(model)
}

/// GPT-2's tokenizer, if the folder's files do not speak of another one.
fn gpt2_tokenizer(folder: &Path, model: &ModelConfig) -> Result<Tokenizer, PretrainedError> {
    let other = |path: &Path| {
        PretrainedError::File {
        path: path.to_owned(),
        reason: "this is not GPT-2's vocabulary; GPT-2's own tokenizer and those of this program's exports can be used"
            .to_owned(),
    }
    };
    for name in ["vocab.json", "tokenizer.json"] {
        let path = folder.join(name);
        if path.is_file() {
            let content = read_object(&path)?;
            let nested = content.get("model").and_then(|model| model.get("vocab")).and_then(Value::as_object);
            let ids: HashMap<&str, u64> = nested
                .unwrap_or(&content)
                .iter()
                .filter_map(|(text, id)| Some((text.as_str(), id.as_u64()?)))
                .collect();
            // Two ordinary tokens stand for all.
            let is_gpt2 =
                [("\u{120}the", 262), ("hello", 31_373)].iter().all(|(text, id)| ids.get(text) == Some(id));
            return if is_gpt2 { Ok(Tokenizer::Gpt2) } else { Err(other(&path)) };
        }
    }
    if model.vocab_size >= Tokenizer::Gpt2.vocab_size() {
        Ok(Tokenizer::Gpt2)
    } else {
        Err(other(&folder.join("vocab.json")))
    }
}

fn read_object(path: &Path) -> Result<Map<String, Value>, PretrainedError> {
    let failed = |reason: String| PretrainedError::File { path: path.to_owned(), reason };
    let mut json = Vec::new();
    plain::open(path)
        .and_then(|file| file.take(LARGEST_JSON_BYTES + 1).read_to_end(&mut json))
        .map_err(|error| failed(error.to_string()))?;
    if json.len() as u64 > LARGEST_JSON_BYTES {
        return Err(failed(format!(
            "more than {} MiB are too many for such a file",
            LARGEST_JSON_BYTES >> 20
        )));
    }
    serde_json::from_slice(&json).map_err(|error| failed(format!("this is not a JSON object: {error}")))
}

//! Hugging Face's folders: `config.json`, `model.safetensors` and files of the tokenizer.

mod added;
mod tokenizer;
mod vocabulary;
mod weights;

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::{GENERATION_FILE, Pretrained, PretrainedError, Sampling, tokenizer as own_tokenizer};
use crate::data::tokenizer::Tokenizer;
use crate::files::plain;
use crate::model::ModelConfig;
use crate::model::foreign::Foreign;

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

/// An error about what is in the place of a model's folder, if that is known.
pub fn instead(folder: &Path) -> Option<PretrainedError> {
    let adapter = folder.join("adapter_config.json");
    if adapter.is_file() {
        let reason = "this is an adapter (LoRA) without its model; put the two together with peft: \
                      model.merge_and_unload().save_pretrained(\"OTHER\"), and give OTHER";
        return Some(PretrainedError::File { path: adapter, reason: reason.to_owned() });
    }
    weights::instead(folder)
}

/// The model in `folder`.
pub fn open(folder: &Path) -> Result<Pretrained, PretrainedError> {
    let path = folder.join(CONFIG_FILE);
    let at = |reason: String| PretrainedError::File { path: path.clone(), reason };
    let config = read_object(&path)?;
    let model = sizes(&config).map_err(at)?;
    let weights = weights::of_folder(folder)?;
    if config.get("tie_word_embeddings") == Some(&json!(false)) {
        weights::check_head(&weights)?;
    }
    let own = own_tokenizer::read(folder)?;
    let is_fixed = |own: &Tokenizer| own.name() != "gpt2";
    let (tokenizer, mut notes) = match own {
        Some(own) if is_fixed(&own) => (own, Vec::new()),
        own => match (own, tokenizer::read(folder, &config, &model)) {
            // Transformers, which does not know our file, added tokens to what an export wrote.
            (Some(own), Ok(found)) if found.tokenizer.vocab_size() > own.vocab_size() => {
                (found.tokenizer, found.notes)
            }
            (Some(own), _) => (own, Vec::new()),
            (None, found) => found.map(|found| (found.tokenizer, found.notes))?,
        },
    };
    let added = tokenizer.added_tokens();
    let least = if added.is_empty() { tokenizer.vocab_size() } else { tokenizer.base().vocab_size() };
    if model.vocab_size < least {
        return Err(at(format!("vocab_size = {} is smaller than the tokenizer's {least}", model.vocab_size)));
    }
    let beyond: Vec<&str> = added
        .iter()
        .filter(|token| token.id as usize >= model.vocab_size)
        .map(|token| token.content.as_str())
        .collect();
    if !beyond.is_empty() {
        notes.push(format!(
            "the model has {} rows (vocab_size), and none for these tokens of its tokenizer, which are never written and refused in \
             a prompt: {}",
            model.vocab_size,
            beyond.join(" ")
        ));
    }
    let name = folder.canonicalize().ok().and_then(|folder| Some(folder.file_name()?.display().to_string()));
    let name = name.unwrap_or_else(|| folder.display().to_string());
    let generation = folder.join(GENERATION_FILE);
    let settings = if generation.is_file() { read_object(&generation)? } else { Map::new() };
    let sampling = Sampling::of_json(&config, &settings)
        .map_err(|reason| PretrainedError::File { path: generation, reason })?;
    Ok(Pretrained { name, weights, model, tokenizer, sampling, notes, origin: None })
}

/// The sizes in a `config.json`, if it describes a model that this program computes.
fn sizes(config: &Map<String, Value>) -> Result<ModelConfig, String> {
    // What is not said is as in the smallest GPT-2.
    let size_to = |most: u64, names: &[&str], usual: usize| -> Result<usize, String> {
        let Some(value) = names.iter().find_map(|name| config.get(*name)) else { return Ok(usual) };
        let size = value.as_u64().filter(|&size| (1..=most).contains(&size));
        size.map(|size| size as usize).ok_or_else(|| format!("`{}` is {value}, which is no size", names[0]))
    };
    let size = |names: &[&str], usual: usize| size_to(1 << 24, names, usual);
    let refused = |key: &str, value: &Value, known: &str| {
        Err(format!("`{key}` is {value}: only GPT-2 itself can be read, where it is {known}"))
    };
    let kind = config.get("model_type").unwrap_or(&Value::Null);
    if kind != "gpt2" {
        return refused("model_type", kind, "\"gpt2\"");
    }
    let model = ModelConfig {
        // The parameters of so many are listed before they are looked for in the file.
        n_layer: size_to(1 << 16, &["n_layer"], 12)?,
        n_head: size(&["n_head"], 12)?,
        n_embd: size(&["n_embd"], 768)?,
        block_size: size(&["n_positions", "n_ctx"], 1024)?,
        vocab_size: size(&["vocab_size"], 50_257)?,
        bias: true,
    };
    if !model.n_embd.is_multiple_of(model.n_head) {
        return Err(format!("`n_embd` = {} is not a multiple of `n_head` = {}", model.n_embd, model.n_head));
    }
    // What GPT-2 is by default, and what other values of these keys would make of it.
    let rules: [(&str, &[Value]); 6] = [
        ("activation_function", &[json!("gelu_new"), json!("gelu_pytorch_tanh")]),
        ("layer_norm_epsilon", &[json!(1e-5)]),
        ("n_inner", &[Value::Null, json!(4 * model.n_embd)]),
        ("scale_attn_weights", &[json!(true)]),
        ("scale_attn_by_inverse_layer_idx", &[json!(false)]),
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

fn read_object(path: &Path) -> Result<Map<String, Value>, PretrainedError> {
    let json = read_text(path)?;
    serde_json::from_str(&json).map_err(|error| {
        let reason = match Foreign::of(json.as_bytes()) {
            Some(foreign) => foreign.to_string(),
            None => format!("this is not a JSON object: {error}"),
        };
        PretrainedError::File { path: path.to_owned(), reason }
    })
}

fn read_text(path: &Path) -> Result<String, PretrainedError> {
    let failed = |reason: String| PretrainedError::File { path: path.to_owned(), reason };
    let mut bytes = Vec::new();
    plain::open(path)
        .and_then(|file| file.take(LARGEST_JSON_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| failed(error.to_string()))?;
    if bytes.len() as u64 > LARGEST_JSON_BYTES {
        return Err(failed(format!(
            "more than {} MiB are too many for such a file",
            LARGEST_JSON_BYTES >> 20
        )));
    }
    String::from_utf8(bytes).map_err(|error| {
        let reason = match Foreign::of(error.as_bytes()) {
            Some(foreign) => foreign.to_string(),
            None => "it is not valid UTF-8".to_owned(),
        };
        failed(reason)
    })
}

#[cfg(test)]
mod tests;

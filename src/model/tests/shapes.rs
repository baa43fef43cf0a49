//! Shapes in which weights of GPT-2 are published.

use std::path::PathBuf;

use super::*;
use crate::model::shards::INDEX_FILE;

fn read(path: &Path) -> Result<Gpt<f32, Cpu>, TensorFileError> {
    let mut read = model(CONFIG, 2);
    read_weights(&mut read, path).map(|()| read)
}

#[test]
fn names_are_known_whatever_wrapper_wrote_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let original = model(CONFIG, 1);
    for prefix in [
        "",
        "transformer.",
        "_orig_mod.",
        "_orig_mod.transformer.",
        "module._orig_mod.transformer.",
        "module.",
    ] {
        let mut tensors = raw(&original, |name| format!("{prefix}{name}"));
        let head = tensors[0].clone();
        let (name, rest) =
            (format!("{}lm_head.weight", prefix.trim_end_matches("transformer.")), (head.1, head.2, head.3));
        tensors.push((name, rest.0, rest.1, rest.2));
        tensors.push((format!("{prefix}h.0.attn.masked_bias"), FileDtype::F32, vec![], vec![0; 4]));
        write_raw(&path, &tensors);
        assert_eq!(parameters(&read(&path).unwrap()), parameters(&original), "{prefix}");
        let sizes = WeightSizes::of(&WeightBytes::read(&path).unwrap()).unwrap();
        assert_eq!((sizes.n_layer, sizes.vocab_size), (1, 5), "{prefix}");
    }
    let mut twice = raw(&original, str::to_owned);
    let again = twice[0].clone();
    twice.push(("module.wte.weight".to_owned(), again.1, again.2, again.3));
    write_raw(&path, &twice);
    let error = read(&path).err().unwrap().to_string();
    assert!(error.contains("`wte.weight` is there twice (module.wte.weight and wte.weight)"), "{error}");
}

#[test]
fn a_head_alone_is_the_table_of_tokens() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let original = model(CONFIG, 1);
    let name = |name: &str| match name {
        "wte.weight" => "lm_head.weight".to_owned(),
        name => format!("transformer.{name}"),
    };
    write_raw(&path, &raw(&original, name));
    assert_eq!(parameters(&read(&path).unwrap()), parameters(&original));
    let sizes = WeightSizes::of(&WeightBytes::read(&path).unwrap()).unwrap();
    assert_eq!((sizes.vocab_size, sizes.n_embd), (5, 4));
}

/// The tensors of a model in two files, and the index of them, which is changed by `change`.
fn shards(dir: &Path, change: impl Fn(&str) -> String) -> PathBuf {
    let tensors = raw(&model(CONFIG, 1), |name| format!("transformer.{name}"));
    let mut map = serde_json::Map::new();
    for (number, part) in tensors.chunks(tensors.len().div_ceil(2)).enumerate() {
        let name = format!("model-0000{}-of-00002.safetensors", number + 1);
        write_raw(&dir.join(&name), part);
        map.extend(part.iter().map(|tensor| (tensor.0.clone(), name.clone().into())));
    }
    let index = serde_json::json!({ "metadata": { "total_size": 1 }, "weight_map": map });
    let path = dir.join(INDEX_FILE);
    std::fs::write(&path, change(&index.to_string())).unwrap();
    path
}

#[test]
fn shards_are_read_through_their_index() {
    let dir = tempfile::tempdir().unwrap();
    let path = shards(dir.path(), str::to_owned);
    assert_eq!(parameters(&read(&path).unwrap()), parameters(&model(CONFIG, 1)));
    assert_eq!(crate::model::shards::files_of(&path).unwrap().len(), 3);
}

#[test]
fn shards_that_do_not_fit_their_index_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let refusal = |change: &dyn Fn(&str) -> String| {
        let path = shards(dir.path(), change);
        match read(&path) {
            Ok(_) => panic!("it should be refused"),
            Err(error) => error.to_string(),
        }
    };
    let second = "model-00002-of-00002.safetensors";
    let first = "model-00001-of-00002.safetensors";
    for (from, to, says) in [
        (
            second,
            "model-00003-of-00002.safetensors",
            "shard model-00003-of-00002.safetensors, which is not beside it",
        ),
        (
            second,
            "../model.safetensors",
            "\"../model.safetensors\", which is not the name of a file beside it",
        ),
        (
            second,
            "/tmp/model.safetensors",
            "\"/tmp/model.safetensors\", which is not the name of a file beside it",
        ),
        (
            "\"transformer.ln_f.weight\"",
            "\"transformer.other\"",
            "`transformer.other` is in model-00002-of-00002",
        ),
        ("weight_map", "wight_map", "no index of weights: missing field `weight_map`"),
        ("{\"metadata\"", "<html>", "web page"),
    ] {
        let error = refusal(&|index: &str| index.replace(from, to));
        assert!(error.contains(says), "{error}");
    }
    let error = refusal(&|index: &str| index.replace(first, second));
    assert!(error.contains(&format!("in {second}, where it is not")), "{error}");
    let swapped = |index: &str| index.replace(first, "?").replace(second, first).replace('?', second);
    let error = refusal(&swapped);
    assert!(error.contains("where it is not"), "{error}");
    assert!(refusal(&|_| "{\"weight_map\": {}}".to_owned()).contains("names no tensors"));
    let path = shards(dir.path(), str::to_owned);
    let whole = std::fs::read(dir.path().join(second)).unwrap();
    std::fs::write(dir.path().join(second), &whole[..whole.len() - 1]).unwrap();
    let error = read(&path).err().unwrap().to_string();
    assert!(error.starts_with(&format!("its shard {second}: it is not a valid safetensors file")), "{error}");
    std::fs::copy(dir.path().join(first), dir.path().join(second)).unwrap();
    assert!(read(&path).err().unwrap().to_string().contains("is there twice"));
}

#[test]
fn what_is_no_safetensors_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    for (bytes, says) in [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n".as_slice(), "git lfs pull"),
        (b"<!doctype html>", "web page"),
        (b"\x80\x02}q\0.", "PyTorch's own format"),
        (b"", "it is empty"),
        (b"nothing known", "it is not a valid safetensors file, or it was cut short"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        let error = read(&path).err().unwrap().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn matrices_that_lie_the_other_way_round_are_recognised() {
    let mut tensors = raw(&model(CONFIG, 1), str::to_owned);
    let turned = tensors.iter_mut().find(|tensor| tensor.0 == "h.0.mlp.c_fc.weight").unwrap();
    turned.2.reverse();
    assert!(refusal(&tensors).to_string().contains("as torch.nn.Linear and nanoGPT do"));
}

#[test]
fn a_name_with_the_number_of_no_layer_makes_no_model_of_as_many() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    let mut tensors = raw(&model(CONFIG, 1), str::to_owned);
    tensors.push(("h.99999999999.ln_1.weight".to_owned(), FileDtype::F32, vec![1], vec![0; 4]));
    write_raw(&path, &tensors);
    let bytes = WeightBytes::read(&path).unwrap();
    let sizes = WeightSizes::of(&bytes).unwrap();
    assert_eq!(sizes.n_layer, tensors.len());
    let config = ModelConfig { n_layer: sizes.n_layer, ..CONFIG };
    assert!(check_first_weights(&bytes, &config).unwrap_err().to_string().contains("`h.1.ln_1.weight`"));
}

use std::fs;

use super::*;
use crate::config::experiment::TokenizerKind;
use crate::data::tokenizer::{AddedToken, Parts, Tokenizer};
use crate::infer::fixture::write_weights;
use crate::infer::{Cache, Decoder, Feed, WeightKind};
use crate::model::ModelConfig;
use crate::pretrained::{self, Sampling, Which};

/// A model on disk that no run of ours made, and the folder that it lies in.
fn model(bias: bool, tokenizer: Tokenizer) -> (tempfile::TempDir, Pretrained) {
    let folder = tempfile::tempdir().unwrap();
    let vocab_size = tokenizer.vocab_size() + 7;
    let model = ModelConfig { n_layer: 2, n_head: 2, n_embd: 16, block_size: 24, vocab_size, bias };
    let weights = folder.path().join("some.safetensors");
    write_weights(&weights, &model);
    let sampling = Sampling {
        prompts: vec!["ab".to_owned()],
        temperature: Some(0.5),
        top_k: Some(3),
        ..Sampling::default()
    };
    let model = Pretrained {
        name: "exp/seed=1".to_owned(),
        weights,
        model,
        tokenizer,
        sampling,
        notes: Vec::new(),
        origin: None,
    };
    (folder, model)
}

fn logits(model: &Pretrained) -> Vec<f32> {
    let decoder = Decoder::open(&model.weights, &model.model, WeightKind::F32).unwrap();
    let mut cache = Cache::try_new(&model.model, 20).unwrap();
    decoder.all_logits(Feed { cache: &mut cache, tokens: &[0, 2, 1, 3, 3, 1] }).unwrap()
}

#[test]
fn an_exported_model_computes_what_the_model_computed() {
    let characters = Tokenizer::build(TokenizerKind::Char, "abc\n");
    for (bias, tokenizer) in [(true, Tokenizer::Byte), (false, characters), (false, Tokenizer::Gpt2)] {
        let (folder, model) = model(bias, tokenizer);
        let out = folder.path().join("out");
        hugging_face(&model, &out, false).unwrap();
        let again = pretrained::open(&out, Which::Best).unwrap();
        assert!(again.model.bias, "Hugging Face's model has biases");
        let end_tokens: Vec<u32> = model.tokenizer.end_token().into_iter().collect();
        let sampling = Sampling { end_tokens, ..model.sampling.clone() };
        assert_eq!((&again.tokenizer, &again.sampling), (&model.tokenizer, &sampling));
        assert_eq!(logits(&again), logits(&model));
    }
}

#[test]
fn added_tokens_stay_with_a_model_that_is_exported_again() {
    // With gaps, and in another order than that of the ids.
    let tokens = vec![
        AddedToken::special(50_256, "<|endoftext|>"),
        AddedToken { lstrip: true, ..AddedToken::special(50_270, "<|user|>") },
        AddedToken { only_written: true, ..AddedToken::special(50_257, "<row>") },
        AddedToken { special: false, ..AddedToken::special(50_260, "<|bot|>") },
    ];
    let parts = Parts {
        add_prefix_space: true,
        before: vec![50_270],
        after: vec![50_256],
        ..Parts::new(Tokenizer::Gpt2, tokens)
    };
    for tokenizer in [
        Tokenizer::of_parts(parts.clone()).unwrap(),
        Tokenizer::of_parts(parts.clone()).unwrap().as_trained(false),
        Tokenizer::of_parts(Parts { split_special_tokens: true, ..parts }).unwrap(),
    ] {
        added_tokens_stay(&tokenizer);
    }
}

fn added_tokens_stay(tokenizer: &Tokenizer) {
    let (folder, model) = model(true, tokenizer.clone());
    let out = folder.path().join("out");
    hugging_face(&model, &out, false).unwrap();
    let text = "Hi <|user|> <row> <|bot|><|endoftext|>";
    let again = pretrained::open(&out, Which::Best).unwrap();
    assert_eq!(again.tokenizer, *tokenizer);
    // What transformers reads, without our own file.
    fs::remove_file(out.join(crate::data::TOKENIZER_FILE)).unwrap();
    let theirs = pretrained::open(&out, Which::Best).unwrap();
    assert_eq!(theirs.tokenizer.encode_prompt(text), tokenizer.encode_prompt(text));
    assert_eq!((theirs.notes.len(), theirs.tokenizer.vocab_size()), (0, 50_271));
    assert_eq!(theirs.tokenizer.decode(&[50_257, 50_270, 50_260]), "<row><|user|><|bot|>");
    let card = fs::read_to_string(out.join("README.md")).unwrap();
    let encoded = tokenizer.encode(text);
    for (id, name) in [(50_256, "`<|endoftext|>`"), (50_270, "`<|user|>`"), (50_260, "`<|bot|>`")] {
        let line = card.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {card}"));
        assert_eq!(line.contains("read as one token each"), encoded.contains(&id), "{line}");
    }
}

/// As transformers 5.24 writes the folder anew when a model that it has loaded, or trained further, is saved.
#[test]
fn an_export_that_another_library_has_saved_again_is_read() {
    let characters = Tokenizer::build(TokenizerKind::Char, "abc \n");
    let with_token = |base: Tokenizer| {
        let token = AddedToken::special(base.vocab_size() as u32, "<|user|>");
        Tokenizer::of_parts(Parts::new(base, vec![token])).unwrap()
    };
    for tokenizer in [
        characters.clone(),
        Tokenizer::Byte,
        Tokenizer::Gpt2,
        with_token(characters),
        with_token(Tokenizer::Byte),
    ] {
        let (folder, model) = model(true, tokenizer.clone());
        let out = folder.path().join("out");
        hugging_face(&model, &out, false).unwrap();
        fs::remove_file(out.join(crate::data::TOKENIZER_FILE)).unwrap();
        let path = out.join("tokenizer.json");
        let mut fast: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        fast["model"]["ignore_merges"] = false.into();
        let text =
            |id: &str, type_id: u32| serde_json::json!({ "Sequence": { "id": id, "type_id": type_id } });
        fast["post_processor"] = serde_json::json!({
            "type": "TemplateProcessing", "single": [text("A", 0)], "pair": [text("A", 0), text("B", 1)], "special_tokens": {},
        });
        fs::write(&path, fast.to_string()).unwrap();
        if tokenizer.name() != "gpt2" {
            fs::write(out.join("tokenizer_config.json"), r#"{ "tokenizer_class": "TokenizersBackend" }"#)
                .unwrap();
        }
        let again = pretrained::open(&out, Which::Best).unwrap();
        let text = "a<|user|>cab b\n";
        assert_eq!(again.tokenizer.encode_prompt(text), tokenizer.encode_prompt(text), "{tokenizer:?}");
        assert_eq!((again.tokenizer.name(), again.notes.len()), (tokenizer.name(), 0));
        assert_eq!(logits(&again), logits(&model));
        // Characters in another order would be other tokens.
        if tokenizer.name() == "char" {
            fast["model"]["vocab"]["a"] = 3.into();
            fast["model"]["vocab"]["b"] = 2.into();
            fs::write(&path, fast.to_string()).unwrap();
            let error = pretrained::open(&out, Which::Best).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains("tokenizer.json") && error.contains("can be used"), "{error}");
        }
    }
}

#[test]
fn an_export_says_that_special_tokens_are_text_as_in_training() {
    let (folder, model) = model(true, Tokenizer::Gpt2);
    let out = folder.path().join("out");
    hugging_face(&model, &out, false).unwrap();
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let config: serde_json::Value = serde_json::from_str(&read("tokenizer_config.json")).unwrap();
    assert_eq!(config["split_special_tokens"], true);
    assert!(read("README.md").contains(
        "Written out in a text these are ordinary characters (`split_special_tokens` in `tokenizer_config.json`): `<|endoftext|>`."
    ));
    // Also where our own file is not read.
    fs::remove_file(out.join(crate::data::TOKENIZER_FILE)).unwrap();
    assert_eq!(pretrained::open(&out, Which::Best).unwrap().tokenizer, Tokenizer::Gpt2);
}

#[test]
fn a_space_has_the_model_and_a_server_that_finds_it() {
    let (folder, model) = model(true, Tokenizer::Byte);
    let out = folder.path().join("out");
    space(&model, &out, false).unwrap();
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let command = read("Dockerfile").lines().last().unwrap().strip_prefix("CMD ").unwrap().to_owned();
    let command: Vec<String> = serde_json::from_str(&command).unwrap();
    assert_eq!(command[..2], ["runner", "serve"]);
    assert_eq!(pretrained::open(&out.join(&command[2]), Which::Best).unwrap().tokenizer, Tokenizer::Byte);
    let readme = read("README.md");
    assert!(
        readme.starts_with("---\ntitle: \"exp-seed-1\"\n")
            && readme.contains("\nsdk: docker\napp_port: 7860\n")
    );
    assert!(out.join("runner/src/main.rs").is_file() && out.join("runner/Cargo.toml").is_file());
}

#[test]
fn damaged_weights_leave_nothing_behind() {
    let (folder, model) = model(true, Tokenizer::Byte);
    let bytes = fs::read(&model.weights).unwrap();
    fs::write(&model.weights, &bytes[..bytes.len() - 1]).unwrap();
    let out = folder.path().join("out");
    let error = hugging_face(&model, &out, false).unwrap_err();
    assert!(matches!(error, ExportError::Weights { .. }), "{error}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn logits_stand_beside_the_tokens_that_they_follow() {
    let (folder, model) = model(true, Tokenizer::build(TokenizerKind::Char, "ab l"));
    let (out, file) = (folder.path().join("out"), folder.path().join("logits.safetensors"));
    hugging_face(&model, &out, false).unwrap();
    write_logits(&out, &file).unwrap();
    let bytes = fs::read(&file).unwrap();
    let tensors = crate::model::tensor_file::TensorFile::parse(&bytes).unwrap();
    let shape = |name| tensors.view(name).unwrap().shape().to_vec();
    assert_eq!((shape("tokens"), shape("logits")), (vec![24], vec![24, 11]));
}

#[test]
fn names_become_parts_of_addresses() {
    for (name, expected) in [
        ("quickstart/seed=1337", "quickstart-seed-1337"),
        ("a b//c", "a-b-c"),
        ("..", "model"),
        ("gpt2.v1_x", "gpt2.v1_x"),
        ("\u{fc}", "model"),
    ] {
        assert_eq!(slug(name), expected);
    }
}

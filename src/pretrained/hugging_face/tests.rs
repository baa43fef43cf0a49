//! Tokenizers of folders. What is expected was recorded with `AutoTokenizer.from_pretrained` of transformers 5.24 on the same files.

use std::fs;

use serde_json::{Value, json};

use crate::data::tokenizer::spelling::{printable, spelled};
use crate::data::tokenizer::{AddedToken, Tokenizer};
use crate::data::write_tokenizer;
use crate::model::{ModelConfig, WEIGHTS_FILE};
use crate::pretrained::{CONFIG_FILE, Pretrained, PretrainedError, Which, config_json, open};

/// A token of `tokenizer.json`.
fn token(id: u32, content: &str) -> Value {
    json!({
        "id": id, "content": content, "special": true,
        "lstrip": false, "rstrip": false, "single_word": false, "normalized": false,
    })
}

/// The same without its id, as in `added_tokens_decoder`.
fn flags(content: &str) -> Value {
    let mut token = token(0, content);
    token.as_object_mut().unwrap().shift_remove("id");
    token
}

/// `tokenizer.json` of GPT-2 with these tokens added, and other values for some keys.
fn fast(added: &[Value], set: &[(&str, Value)]) -> Value {
    let vocab: serde_json::Map<String, Value> =
        spelled(&Tokenizer::Gpt2, printable).map(|(text, id)| (text, json!(id))).collect();
    // Which of the ways leads to a token does not matter here.
    let merges = spelled(&Tokenizer::Gpt2, printable).skip(256).take(50_000).map(|(text, _)| {
        let first = text.chars().next().unwrap().len_utf8();
        format!("{} {}", &text[..first], &text[first..])
    });
    let cut =
        json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let mut fast = json!({
        "added_tokens": added,
        "normalizer": null,
        "pre_tokenizer": cut,
        "post_processor": null,
        "model": { "type": "BPE", "vocab": vocab, "merges": merges.collect::<Vec<_>>() },
    });
    for (key, value) in set {
        *fast.pointer_mut(key).unwrap() = value.clone();
    }
    fast
}

/// The model of a folder with 50,300 rows and these files.
fn read(files: &[(&str, Value)]) -> Result<Pretrained, PretrainedError> {
    let folder = tempfile::tempdir().unwrap();
    let model =
        ModelConfig { n_layer: 1, n_head: 1, n_embd: 4, block_size: 8, vocab_size: 50_300, bias: true };
    fs::write(folder.path().join(CONFIG_FILE), config_json(&model, Some(50_256)).to_string()).unwrap();
    fs::write(folder.path().join(WEIGHTS_FILE), "weights").unwrap();
    for (name, content) in files {
        fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    open(folder.path(), Which::Best)
}

fn ids(files: &[(&str, Value)], text: &str) -> Vec<u32> {
    read(files).unwrap_or_else(|error| panic!("{error}")).tokenizer.encode_prompt(text)
}

fn refusal(files: &[(&str, Value)]) -> String {
    read(files).expect_err("it should be refused").to_string()
}

const END: &str = "<|endoftext|>";
const TEXT: &str = "a <|user|> b<|x|>";
/// [`TEXT`] if no token was added.
const PLAIN: [u32; 12] = [64, 1279, 91, 7220, 91, 29, 275, 27, 91, 87, 91, 29];

#[test]
fn tokens_of_tokenizer_json_are_read() {
    let files = [("tokenizer.json", fast(&[token(50_256, END), token(50_257, "<|user|>")], &[]))];
    assert_eq!(ids(&files, "<|user|>Hello"), [50_257, 15_496]);
    assert_eq!(ids(&files, "<|endoftext|>Hello"), [50_256, 15_496]);
    assert_eq!(ids(&files, TEXT), [64, 220, 50_257, 275, 27, 91, 87, 91, 29]);
    let found = read(&files).unwrap();
    assert_eq!((found.tokenizer.vocab_size(), found.notes.len()), (50_258, 0));
    assert_eq!(found.tokenizer.decode(&[50_257, 15_496]), "<|user|>Hello");
}

#[test]
fn the_other_files_name_tokens_too() {
    let cases = [
        (vec![("added_tokens.json", json!({ "<|user|>": 50_257, "<|x|>": 50_258 }))], [50_257, 50_258]),
        (
            vec![(
                "special_tokens_map.json",
                json!({ "additional_special_tokens": ["<|user|>"], "pad_token": flags("<|x|>") }),
            )],
            [50_258, 50_257],
        ),
        (
            vec![(
                "tokenizer_config.json",
                json!({ "pad_token": "<|user|>", "extra_special_tokens": ["<|x|>"] }),
            )],
            [50_257, 50_258],
        ),
        (
            vec![(
                "tokenizer_config.json",
                json!({ "boo_token": "<|user|>", "additional_special_tokens": ["<|x|>"], "bos_token": "<|b|>" }),
            )],
            [50_258, 50_259],
        ),
        (
            vec![(
                "tokenizer_config.json",
                json!({ "added_tokens_decoder": { "50258": flags("<|user|>"), "50257": flags("<|x|>") } }),
            )],
            [50_258, 50_257],
        ),
    ];
    for (files, [user, x]) in cases {
        assert_eq!(ids(&files, TEXT), [64, 220, user, 275, x], "{files:?}");
        // With GPT-2's own `tokenizer.json` beside them the same.
        let files = [files, vec![("tokenizer.json", fast(&[token(50_256, END)], &[]))]].concat();
        assert_eq!(ids(&files, TEXT), [64, 220, user, 275, x], "{files:?}");
    }
}

#[test]
fn the_class_says_which_file_counts() {
    let tokenizer = fast(&[token(50_256, END), token(50_257, "<|user|>")], &[]);
    let decoder = json!({ "50256": flags(END) });
    let with_class = |class: &str| {
        let config = json!({ "tokenizer_class": class, "added_tokens_decoder": decoder });
        [("tokenizer.json", tokenizer.clone()), ("tokenizer_config.json", config)]
    };
    assert_eq!(ids(&with_class("GPT2Tokenizer"), TEXT), PLAIN);
    assert_eq!(ids(&with_class("GPT2TokenizerFast"), TEXT), PLAIN);
    assert_eq!(ids(&with_class("PreTrainedTokenizerFast"), TEXT)[2], 50_257);
}

#[test]
fn ids_are_counted_from_the_end_of_the_vocabulary_and_that_is_said() {
    let files = [("tokenizer.json", fast(&[token(50_256, END), token(50_290, "<|user|>")], &[]))];
    let found = read(&files).unwrap();
    assert_eq!(found.tokenizer.encode("<|user|>Hello"), [50_257, 15_496]);
    assert!(
        found.notes[0].contains("\"<|user|>\" has the id 50290") && found.notes[0].contains("50257 here"),
        "{:?}",
        found.notes
    );
}

#[test]
fn special_tokens_are_text_where_the_folder_says_so() {
    let plain = AddedToken { special: false, ..AddedToken::special(50_258, "<|x|>") };
    let tokens = [token(50_256, END), token(50_257, "<|user|>"), serde_json::to_value(plain).unwrap()];
    let split = json!({ "split_special_tokens": true });
    let files = [("tokenizer.json", fast(&tokens, &[])), ("tokenizer_config.json", split.clone())];
    assert_eq!(ids(&files, TEXT), [64, 1279, 91, 7220, 91, 29, 275, 50_258]);
    // That is GPT-2's tokenizer as this program's own runs use it.
    let files = [("tokenizer.json", fast(&tokens[..1], &[])), ("tokenizer_config.json", split)];
    assert_eq!(read(&files).unwrap().tokenizer, Tokenizer::Gpt2);
}

#[test]
fn what_stands_around_texts_and_before_words_is_added() {
    let tokens = [token(50_256, END), token(50_257, "<|user|>")];
    let special = json!({ "SpecialToken": { "id": "u", "type_id": 0 } });
    let template = json!({
        "type": "TemplateProcessing",
        "single": [special, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [],
        "special_tokens": { "u": { "id": "u", "ids": [50_257], "tokens": ["<|user|>"] } },
    });
    let files = [("tokenizer.json", fast(&tokens, &[("/post_processor", template)]))];
    assert_eq!(ids(&files, "Hello"), [50_257, 15_496]);
    // Without `tokenizer.json` the settings say it, with it they do not.
    let begins = json!({ "add_bos_token": true, "add_prefix_space": true });
    assert_eq!(ids(&[("tokenizer_config.json", begins.clone())], "Hello"), [50_256, 18_435]);
    let files = [("tokenizer.json", fast(&tokens, &[])), ("tokenizer_config.json", begins)];
    assert_eq!(ids(&files, "Hello"), [18_435]);
    let class = json!({ "tokenizer_class": "PreTrainedTokenizerFast" });
    let files = [
        ("tokenizer.json", fast(&tokens, &[("/pre_tokenizer/add_prefix_space", json!(true))])),
        ("tokenizer_config.json", class),
    ];
    assert_eq!(ids(&files, "<|user|>Hello"), [50_257, 18_435]);
}

#[test]
fn entries_of_the_vocabulary_that_no_merge_makes_are_written_and_not_read() {
    let mut more = fast(&[], &[])["model"]["vocab"].clone();
    more["<|user|>"] = json!(50_257);
    let files = [("vocab.json", more), ("added_tokens.json", json!({ "<|x|>": 50_258 }))];
    assert_eq!(ids(&files, TEXT), [PLAIN[..7].to_vec(), vec![50_258]].concat());
    assert_eq!(read(&files).unwrap().tokenizer.decode(&[50_257]), "<|user|>");
}

#[test]
fn tokens_without_a_row_are_told_and_do_not_stand_in_the_way() {
    let many = (0..44).map(|n| (format!("<{n}>"), json!(50_257 + n)));
    let found = read(&[("added_tokens.json", Value::Object(many.collect()))]).unwrap();
    assert_eq!(found.tokenizer.vocab_size(), 50_301);
    assert!(
        found.notes[0].contains("the model has 50300 rows") && found.notes[0].ends_with(": <43>"),
        "{:?}",
        found.notes
    );
}

#[test]
fn other_tokenizers_are_refused_with_what_is_other() {
    let class = || ("tokenizer_config.json", json!({ "tokenizer_class": "PreTrainedTokenizerFast" }));
    let changed = |key: &'static str, value| [("tokenizer.json", fast(&[], &[(key, value)])), class()];
    let error = refusal(&changed("/normalizer", json!({ "type": "NFC" })));
    assert!(error.contains("tokenizer.json: `normalizer` is {\"type\":\"NFC\"}"), "{error}");
    let error = refusal(&changed("/pre_tokenizer", json!({ "type": "Whitespace" })));
    assert!(error.contains("`pre_tokenizer` is"), "{error}");
    let error = refusal(&changed("/model/merges/1", json!("x y")));
    assert!(error.contains("merges are not GPT-2's: one makes \"xy\""), "{error}");
    let error = refusal(&changed("/model/merges", json!([])));
    assert!(error.contains("merges are fewer than GPT-2's"), "{error}");
    let error = refusal(&changed("/model/vocab/hello", json!(1)));
    assert!(error.contains("\"hello\" has 1 here and 31373 there"), "{error}");
    let error = refusal(&[("tokenizer.json", json!({ "model": { "type": "Unigram", "vocab": [] } }))]);
    assert!(error.contains("no vocabulary of the kind BPE"), "{error}");
    let error = refusal(&[("added_tokens.json", json!({ "<u>": "x" }))]);
    assert!(error.contains("\"<u>\"") && error.contains("added_tokens.json"), "{error}");
    let error = refusal(&[("tokenizer_config.json", json!({ "pad_token": 5 }))]);
    assert!(error.contains("tokenizer_config.json: 5 is no added token"), "{error}");
}

#[test]
fn tokens_that_transformers_added_to_an_export_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let model =
        ModelConfig { n_layer: 1, n_head: 1, n_embd: 4, block_size: 8, vocab_size: 50_258, bias: true };
    fs::write(folder.path().join(CONFIG_FILE), config_json(&model, None).to_string()).unwrap();
    fs::write(folder.path().join(WEIGHTS_FILE), "weights").unwrap();
    write_tokenizer(folder.path(), &Tokenizer::Gpt2).unwrap();
    let put = |tokens: &[Value]| {
        fs::write(folder.path().join("tokenizer.json"), fast(tokens, &[]).to_string()).unwrap();
        open(folder.path(), Which::Best).unwrap().tokenizer
    };
    assert_eq!(put(&[token(50_256, END)]), Tokenizer::Gpt2);
    assert_eq!(put(&[token(50_256, END), token(50_257, "<u>")]).encode("<u>"), [50_257]);
}

#[test]
fn more_layers_than_a_file_could_hold_are_refused() {
    let error = refusal(&[(CONFIG_FILE, json!({ "model_type": "gpt2", "n_layer": 1 << 24 }))]);
    assert!(error.contains("config.json: `n_layer` is 16777216, which is no size"), "{error}");
}

#[test]
fn of_a_trainers_files_the_weights_are_named() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(CONFIG_FILE), r#"{ "model_type": "gpt2" }"#).unwrap();
    for name in ["optimizer.pt", "pytorch_model.bin", "training_args.bin"] {
        fs::write(folder.path().join(name), b"\x80\x02}q\0.").unwrap();
    }
    let error = open(folder.path(), Which::Best).unwrap_err().to_string();
    assert!(error.contains("pytorch_model.bin: it is PyTorch's own format"), "{error}");
}

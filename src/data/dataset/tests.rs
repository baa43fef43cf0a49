use super::*;
use crate::config::experiment::{DataSource, TokenizerKind};
use crate::data::tests::{ids, plan_of, tiny_shakespeare};

fn plan_for(text: &str, tokenizer: TokenizerKind, val_fraction: f64) -> (tempfile::TempDir, DataPlan) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("corpus.txt");
    std::fs::write(&path, text).expect("writable");
    let source = DataSource::Path(path);
    (folder, DataPlan { tokenizer, val_fraction, ..plan_of(source) })
}

fn dataset(text: &str, tokenizer: TokenizerKind, val_fraction: f64) -> Dataset {
    let (_folder, plan) = plan_for(text, tokenizer, val_fraction);
    load(&plan).expect("good text")
}

#[test]
fn the_splits_are_the_text_in_order() {
    let text = "0123456789".repeat(10);
    let data = dataset(&text, TokenizerKind::Byte, 0.1);
    assert_eq!((data.train.len(), data.val.len(), data.tokens()), (90, 10, 100));
    assert_eq!(data.tokenizer.decode(&ids(&data.train)) + &data.tokenizer.decode(&ids(&data.val)), text);
    assert!(dataset(&text, TokenizerKind::Byte, 0.0).val.is_empty());
}

#[test]
fn the_manifest_gets_name_hash_and_counts() {
    let (_folder, plan) = plan_for("Ääh\r\n", TokenizerKind::Char, 0.5);
    let info = load(&plan).expect("good text").info();
    let DataSource::Path(path) = plan.source() else { panic!("a path") };
    assert_eq!(info.name, path.display().to_string());
    assert_eq!(info.sha256, sha256("Ääh\r\n".as_bytes()));
    assert_eq!((info.bytes, info.vocab_size, info.train_tokens, info.val_tokens), (7, 5, 2, 3));
    assert_eq!(info.tokenizer, "char");
}

#[test]
fn a_vocabulary_that_is_taken_over_stays_as_it_is() {
    let (_folder, plan) = plan_for(&"abcab".repeat(100), TokenizerKind::Char, 0.0);
    let taken = Tokenizer::build(TokenizerKind::Char, "abcdxyz");
    let data = load_with(&plan, Some(&taken)).expect("all is known");
    assert_eq!((&data.tokenizer, data.notices.len()), (&taken, 0));
    assert_eq!(ids(&data.train)[..5], [0, 1, 2, 0, 1]);
}

#[test]
fn characters_that_a_taken_over_vocabulary_lacks_are_left_out_and_counted_up_to_a_hundredth() {
    let taken = Tokenizer::build(TokenizerKind::Char, "ab");
    let (_folder, plan) = plan_for(&("ab".repeat(99) + "é?"), TokenizerKind::Char, 0.0);
    let data = load_with(&plan, Some(&taken)).expect("one in a hundred");
    assert_eq!(data.train.len(), 198);
    assert_eq!(
        data.notices,
        [
            "2 of 200 characters left out of the text, because they are not in the vocabulary of the model of train.init_from: '?', 'é'"
        ]
    );
    let (_folder, plan) = plan_for(&("ab".repeat(99) + "é??"), TokenizerKind::Char, 0.0);
    let message = load_with(&plan, Some(&taken)).expect_err("too many").to_string();
    assert!(message.starts_with("the text has 3 of 201 characters outside the vocabulary"), "{message}");
}

#[test]
fn the_training_share_never_exceeds_the_tokens() {
    for tokens in [0, 1, 2, 3, 1_000_003] {
        assert_eq!(train_tokens(tokens, 0.0), tokens);
        assert!(train_tokens(tokens, 1e-12) <= tokens);
        assert_eq!(train_tokens(tokens, 0.999_999_999_9), 0);
    }
}

#[test]
#[cfg_attr(
    not(tiny_shakespeare),
    ignore = "Tiny Shakespeare is not here: set RUNNER_TEST_DATA to the folder of tinyshakespeare/input.txt"
)]
fn tiny_shakespeare_splits_as_in_nanogpt() {
    let text = tiny_shakespeare();
    let data = dataset(&text, TokenizerKind::Char, 0.1);
    assert_eq!((data.train.len(), data.val.len()), (1_003_854, 111_540));
}

#[test]
fn a_corpus_too_short_to_train_on_is_refused_with_the_numbers() {
    let data = dataset("sixteen letters!", TokenizerKind::Byte, 0.0);
    assert!(data.check_lengths(WindowOrder::Random, 4, 15, false).is_ok());
    let error = data.check_lengths(WindowOrder::Random, 4, 16, false).expect_err("too short");
    let message = error.to_string();
    assert!(
        message
            .contains("training split has 16 tokens, but one window of train.sequence_length = 16 needs 17"),
        "{message}"
    );
}

#[test]
fn of_several_texts_the_one_that_is_too_short_is_named() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("writable");
        path
    };
    let paths = vec![write("long.txt", "x".repeat(400)), write("short.txt", "y".repeat(100))];
    let plan = plan_of(DataSource::Paths(paths));
    let mixed =
        load(&DataPlan { weights: vec![1.0, 1.0], val_fraction: 0.1, ..plan.clone() }).expect("good text");
    let check = |data: &Dataset, order, sequence_length, validates| {
        let checked = data.check_lengths(order, 8, sequence_length, validates);
        checked.map_err(|error| error.to_string())
    };
    for order in [WindowOrder::Random, WindowOrder::Sequential] {
        let message = check(&mixed, order, 90, false).expect_err("90 tokens, 91 needed");
        assert!(
            message
                .contains("short.txt has 90 tokens, but one window of train.sequence_length = 90 needs 91"),
            "{message}"
        );
        assert!(message.starts_with("the training split of "), "{message}");
        // A batch takes windows of one text and another.
        assert_eq!(check(&mixed, order, 89, false), Ok(()));
    }
    let message = check(&mixed, WindowOrder::Random, 10, true).expect_err("10 tokens, 11 needed");
    assert!(
        message.starts_with("the validation split of ") && message.contains("short.txt has 10"),
        "{message}"
    );
    let joined = load(&plan).expect("good text");
    let message = check(&joined, WindowOrder::Random, 501, false).expect_err("501 tokens, 502 needed");
    assert!(message.starts_with("the training split has 501"), "{message}");
}

#[test]
fn a_text_without_a_token_in_a_very_large_mixture_is_no_panic() {
    let mut data = dataset("x", TokenizerKind::Byte, 0.0);
    let share = |tokens: Vec<u16>| Share { name: None, tokens: Tokens::short(tokens), share: 0.5 };
    data.train = Split { parts: vec![share(vec![0; VERY_LARGE + 1]), share(Vec::new())] };
    assert!(data.stretches().iter().map(Tokens::len).sum::<usize>() > VERY_LARGE / 2);
}

#[test]
fn a_validation_split_too_short_for_one_window_is_refused_only_if_it_is_used() {
    let data = dataset(&"x".repeat(100), TokenizerKind::Byte, 0.1);
    let check = |eval_interval, val_fraction| {
        let mut plan = RunPlan::default();
        (plan.train.batch_size, plan.train.sequence_length) = (1, Some(10));
        (plan.train.eval_interval, plan.data.val_fraction) = (eval_interval, val_fraction);
        data.check(&plan)
    };
    let message = check(5, 0.1).expect_err("10 tokens, 11 needed").to_string();
    assert!(
        message.contains(
            "validation split has 10 tokens, but one window of train.sequence_length = 10 needs 11"
        ),
        "{message}"
    );
    assert!(message.contains("train.eval_interval = 0"), "{message}");
    assert!(check(0, 0.1).is_ok());
    assert!(check(5, 0.0).is_ok());
}

#[test]
fn a_model_with_fewer_ids_than_the_tokenizer_is_refused() {
    let data = dataset("abcdef", TokenizerKind::Char, 0.0);
    assert!(data.check_vocabulary(None).is_ok());
    assert!(data.check_vocabulary(Some(6)).is_ok());
    let message = data.check_vocabulary(Some(5)).expect_err("5 < 6").to_string();
    assert!(message.contains("model.vocab_size = 5") && message.contains("vocabulary of 6"), "{message}");
}

#[test]
fn added_tokens_of_a_taken_over_vocabulary_are_read_and_counted() {
    let json = r#"{ "kind": "extended", "base": { "kind": "byte" }, "tokens": [
        { "id": 256, "content": "<|end|>" }, { "id": 257, "content": "<|user|>", "special": true } ] }"#;
    let taken: Tokenizer = serde_json::from_str(json).expect("a tokenizer");
    let (_folder, plan) = plan_for(&"ab<|end|>".repeat(3), TokenizerKind::Byte, 0.0);
    let data = load_with(&plan, Some(&taken)).expect("all is known");
    assert_eq!(ids(&data.train), [97, 98, 256, 97, 98, 256, 97, 98, 256]);
    assert_eq!(
        data.notices,
        [
            "the text names tokens that the model of train.init_from has, and they are read as such: <|end|> (3)"
        ]
    );
    assert!(load(&plan).expect("all is known").notices.is_empty());
    // Where marks are text, so are they.
    let plan = DataPlan { special_tokens: false, ..plan };
    let data = load_with(&plan, Some(&taken)).expect("all is known");
    assert_eq!((data.train.len(), data.notices.len()), (27, 0));
    assert_eq!(data.tokenizer.encode("<|user|>").len(), 8);
    assert_eq!(data.tokenizer.token_bytes(257).as_deref(), Some(&b"<|user|>"[..]));
}

#[test]
fn of_a_model_that_adds_only_its_mark_texts_are_read_as_of_gpt2_itself() {
    let taken = Tokenizer::Gpt2.as_trained(true);
    let (_folder, plan) = plan_for(&"ab<|endoftext|>".repeat(3), TokenizerKind::Gpt2, 0.0);
    for special_tokens in [true, false] {
        let plan = DataPlan { special_tokens, ..plan.clone() };
        let (found, own) = (load_with(&plan, Some(&taken)).expect("text"), load(&plan).expect("text"));
        assert_eq!(ids(&found.train), ids(&own.train));
        assert_eq!((found.tokenizer, found.notices), (own.tokenizer, own.notices));
    }
}

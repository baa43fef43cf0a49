use proptest::prelude::*;

use super::*;
use crate::config::experiment::TokenizerKind;

const END: u32 = 50_256;

/// The ids of documents that come in pieces, encoded in blocks of so many bytes.
fn encoded(
    documents: &[&str],
    tokenizer: &Tokenizer,
    separator: Separator,
    special_tokens: bool,
    pieces: usize,
    block: usize,
) -> (Vec<u32>, u64, u64) {
    let mut ids: Vec<u32> = Vec::new();
    let mut encoder = Encoder::of_blocks(tokenizer, special_tokens, &mut ids, block);
    let mut joiner = Joiner::new(separator, special_tokens, tokenizer.end_token().is_some(), &mut encoder);
    for document in documents {
        let mut rest = *document;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.ceil_char_boundary(pieces.min(rest.len())));
            joiner.text(piece).unwrap();
            rest = after;
        }
        joiner.end_document().unwrap();
    }
    drop(joiner);
    encoder.finish().unwrap();
    let (written, ends) = (encoder.written_marks, encoder.ends);
    (ids, written, ends)
}

fn gpt2(documents: &[&str], separator: Separator, special_tokens: bool) -> Vec<u32> {
    encoded(documents, &Tokenizer::Gpt2, separator, special_tokens, 7, 1 << 20).0
}

#[test]
fn documents_are_separated_by_the_token_of_the_end_of_a_text() {
    let whole = |text: &str| Tokenizer::Gpt2.encode(text);
    let joined = [whole("One text."), vec![END], whole("Another.\n")].concat();
    assert_eq!(gpt2(&["One text.", "Another.\n"], Separator::Auto, true), joined);
    assert_eq!(gpt2(&["One text.", "", "Another.\n", ""], Separator::EndOfText, false), joined);
    assert_eq!(
        gpt2(&["One text.", "Another.\n"], Separator::LineBreak, true),
        whole("One text.\nAnother.\n")
    );
    assert_eq!(gpt2(&["One text.", "Another.\n"], Separator::None, true), whole("One text.Another.\n"));
    assert_eq!(gpt2(&["A single one.\n"], Separator::Auto, true), whole("A single one.\n"));
}

#[test]
fn a_mark_in_a_text_is_its_token_or_the_characters_that_it_is_written_with() {
    let whole = |text: &str| Tokenizer::Gpt2.encode(text);
    let text = "one\n<|endoftext|>\n\ntwo <|endoftext|><|endoftext|>three";
    let tokens = [whole("one\n"), vec![END], whole("\n\ntwo "), vec![END, END], whole("three")].concat();
    assert_eq!(gpt2(&[text], Separator::Auto, true), tokens);
    assert_eq!(gpt2(&[text], Separator::Auto, false), whole(text));
    for tokenizer in [Tokenizer::Byte, Tokenizer::build(TokenizerKind::Char, text)] {
        let (ids, written, ends) = encoded(&[text, "two"], &tokenizer, Separator::Auto, true, 5, 16);
        assert_eq!(ids, tokenizer.encode(&format!("{text}\ntwo")), "{}", tokenizer.name());
        assert_eq!((written, ends), (3, 0), "{}", tokenizer.name());
    }
}

#[test]
fn texts_that_bring_their_marks_get_no_second_one() {
    let whole = |text: &str| Tokenizer::Gpt2.encode(text);
    let once = [whole("one"), vec![END], whole("two")].concat();
    assert_eq!(gpt2(&["one<|endoftext|>", "two"], Separator::Auto, true), once);
    let (ids, written, ends) =
        encoded(&["one", "<|endoftext|>two"], &Tokenizer::Gpt2, Separator::Auto, true, 1 << 10, 1 << 20);
    assert_eq!((ids, written, ends), (once, 1, 1));
}

/// Text that is made of what is difficult: white space of all kinds, contractions, marks and their beginnings.
fn difficult() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-zA-Z]{1,9}",
        "[0-9]{1,4}",
        "[ \\n\\t]{1,4}",
        "[!-/:-@]{1,4}",
        Just("'s".to_owned()),
        Just("it's 'tis\u{a0}".to_owned()),
        Just("<|endoftext|>".to_owned()),
        Just("<|endof".to_owned()),
        Just(" \u{3000}\u{2028}\u{85}漢字、かな ".to_owned()),
        Just("é\u{301}\u{1f600}\u{fe0f}Ⅷ²".to_owned()),
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
}

/// What tiktoken makes of documents, one after another: the definition.
fn defined(documents: &[String]) -> Vec<u32> {
    let mut ids = Vec::new();
    for document in documents.iter().filter(|document| !document.is_empty()) {
        let starts = document.starts_with(MARK);
        if !ids.is_empty() && ids.last() != Some(&END) && !starts {
            ids.push(END);
        }
        for (place, text) in document.split(MARK).enumerate() {
            if place > 0 {
                ids.push(END);
            }
            ids.extend(Tokenizer::Gpt2.encode(text));
        }
    }
    ids
}

proptest! {
    #[test]
    fn a_text_in_blocks_has_the_ids_of_the_whole(
        text in difficult(), pieces in 1usize..40, block in 1usize..80
    ) {
        let (ids, ..) = encoded(&[&text], &Tokenizer::Gpt2, Separator::None, false, pieces, block);
        prop_assert_eq!(ids, Tokenizer::Gpt2.encode(&text));
    }

    #[test]
    fn documents_in_blocks_have_the_ids_of_each_one(
        documents in proptest::collection::vec(difficult(), 1..5), pieces in 1usize..40, block in 1usize..80
    ) {
        let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
        let (ids, _, ends) = encoded(&texts, &Tokenizer::Gpt2, Separator::Auto, true, pieces, block);
        prop_assert_eq!(ends, ids.iter().filter(|&&id| id == END).count() as u64);
        prop_assert_eq!(ids, defined(&documents));
    }

    #[test]
    fn characters_and_bytes_in_blocks_are_those_of_the_whole(
        documents in proptest::collection::vec(difficult(), 1..5), pieces in 1usize..40, block in 1usize..80
    ) {
        let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
        let kept: Vec<&str> = texts.iter().copied().filter(|text| !text.is_empty()).collect();
        let whole = kept.join("\n");
        for tokenizer in [Tokenizer::Byte, Tokenizer::build(TokenizerKind::Char, &whole)] {
            let (ids, written, _) = encoded(&texts, &tokenizer, Separator::Auto, true, pieces, block);
            prop_assert_eq!(ids, tokenizer.encode(&whole));
            prop_assert_eq!(written, whole.matches(MARK).count() as u64);
        }
    }
}

#[test]
fn long_documents_are_shared_among_the_cores_without_other_ids() {
    let text: String = (0..60_000).map(|i| format!("it's {i}{}word\u{a0} x\n", " ".repeat(i % 5))).collect();
    let (ids, ..) = encoded(&[&text, &text], &Tokenizer::Gpt2, Separator::Auto, true, 1 << 16, 1 << 18);
    let once = Tokenizer::Gpt2.encode(&text);
    assert_eq!(ids, [once.clone(), vec![END], once].concat());
}

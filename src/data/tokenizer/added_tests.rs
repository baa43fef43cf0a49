use super::*;
use crate::config::experiment::TokenizerKind;

fn token(id: u32, content: &str) -> AddedToken {
    AddedToken::special(id, content)
}

fn parts(tokens: Vec<AddedToken>) -> Parts {
    Parts::new(Tokenizer::Byte, tokens)
}

fn extended(parts: Parts) -> Tokenizer {
    Tokenizer::Extended(Box::new(parts.try_into().unwrap()))
}

/// The ids of a text: bytes as themselves, added tokens in angle brackets.
fn shown(tokenizer: &Tokenizer, text: &str) -> String {
    let show = |id: u32| match u8::try_from(id) {
        Ok(byte) => char::from(byte).to_string(),
        Err(_) => format!("({id})"),
    };
    tokenizer.encode(text).into_iter().map(show).collect()
}

#[test]
fn added_tokens_are_found_before_anything_else_and_come_back_as_their_text() {
    let tokenizer = extended(parts(vec![token(256, "<u>"), token(300, "<u>!")]));
    assert_eq!(shown(&tokenizer, "a<u>b<u>!<u"), "a(256)b(300)<u");
    assert_eq!(tokenizer.decode(&tokenizer.encode("a<u>b<u>!<u")), "a<u>b<u>!<u");
    assert_eq!((tokenizer.vocab_size(), tokenizer.name()), (301, "byte"));
    assert!(tokenizer.has(255) && tokenizer.has(256) && tokenizer.has(300) && !tokenizer.has(299));
    assert_eq!((tokenizer.token_bytes(299), tokenizer.decode(&[299])), (None, "\u{fffd}".to_owned()));
}

#[test]
fn gpt2_with_added_tokens_makes_the_tokens_of_transformers() {
    // Recorded with transformers 5.24.
    let mut parts = parts(vec![token(50_256, "<|endoftext|>"), token(50_257, "<|user|>")]);
    parts.base = Tokenizer::Gpt2;
    let plain = extended(parts.clone());
    assert_eq!(plain.encode("<|user|>Hello"), [50_257, 15_496]);
    assert_eq!(plain.encode("<|endoftext|>Hello"), [50_256, 15_496]);
    assert_eq!(plain.encode("a <|user|> b"), [64, 220, 50_257, 275]);
    let spaced = extended(Parts { add_prefix_space: true, ..parts.clone() });
    assert_eq!(spaced.encode("<|user|>Hello"), [50_257, 18_435]);
    assert_eq!(spaced.encode("a <|user|> b"), [257, 220, 50_257, 275]);
    let split = extended(Parts { split_special_tokens: true, ..parts.clone() });
    assert_eq!(split.encode("<|user|>Hello"), [27, 91, 7220, 91, 29, 15_496]);
    assert_eq!(split.encode("<|endoftext|>Hello"), Tokenizer::Gpt2.encode("<|endoftext|>Hello"));
    let framed = extended(Parts { before: vec![50_257], after: vec![50_256], ..parts });
    assert_eq!(framed.encode_prompt("Hello"), [50_257, 15_496, 50_256]);
    assert_eq!(framed.encode("Hello"), [15_496]);
}

#[test]
fn white_space_belongs_to_tokens_that_take_it() {
    let left = AddedToken { lstrip: true, ..token(256, "<l>") };
    let right = AddedToken { rstrip: true, ..token(257, "<r>") };
    let tokenizer = extended(parts(vec![left, right]));
    assert_eq!(shown(&tokenizer, "a \n<l> b"), "a(256) b");
    assert_eq!(shown(&tokenizer, "a <r>\u{a0} b"), "a (257)b");
    assert_eq!(shown(&tokenizer, "<r>  <l>"), "(257)(256)");
    assert_eq!(shown(&tokenizer, "  <l>"), "(256)");
}

#[test]
fn single_words_are_not_found_within_words() {
    let tokenizer = extended(parts(vec![AddedToken { single_word: true, ..token(256, "cat") }]));
    assert_eq!(shown(&tokenizer, "cat cats tomcat cat."), "(256) cats tomcat (256).");
    assert_eq!(shown(&tokenizer, "a_cat -cat-"), "a_cat -(256)-");
}

#[test]
fn normalized_tokens_are_looked_for_in_what_the_others_leave() {
    let long = AddedToken { normalized: true, special: false, ..token(257, "<u>x") };
    let tokenizer = extended(parts(vec![token(256, "<u>"), long.clone()]));
    assert_eq!(shown(&tokenizer, "<u>x"), "(256)x");
    let tokenizer = extended(Parts { split_special_tokens: true, ..parts(vec![token(256, "<u>"), long]) });
    assert_eq!(shown(&tokenizer, "<u>x<u>"), "(257)<u>");
}

#[test]
fn only_what_no_token_covers_can_be_unknown() {
    let base = Tokenizer::build(TokenizerKind::Char, "ab");
    let tokenizer = extended(Parts { base, ..parts(vec![token(2, "<x>")]) });
    assert_eq!(tokenizer.unknown_chars("a<x>c"), ['c']);
    assert_eq!(tokenizer.encode("a<x>b"), [0, 2, 1]);
    assert_eq!(tokenizer.decode(&[0, 2, 1]), "a<x>b");
}

#[test]
fn it_is_read_as_it_was_written() {
    let only_written = AddedToken { only_written: true, ..token(300, "<row>") };
    let tokenizer = extended(Parts { before: vec![256], ..parts(vec![token(256, "<u>"), only_written]) });
    assert_eq!(shown(&tokenizer, "<row>"), "<row>");
    let json = serde_json::to_string(&tokenizer).unwrap();
    assert_eq!(serde_json::from_str::<Tokenizer>(&json).unwrap(), tokenizer);
    for (from, to) in [
        ("\"content\":\"<u>\"", "\"content\":\"\""),
        ("\"id\":300", "\"id\":256"),
        ("\"id\":300", "\"id\":4000000000"),
        ("\"before\":[256]", "\"before\":[999]"),
        ("{\"kind\":\"byte\"}", "{\"kind\":\"extended\",\"base\":{\"kind\":\"byte\"},\"tokens\":[]}"),
    ] {
        assert!(json.contains(from), "{json}");
        assert!(serde_json::from_str::<Tokenizer>(&json.replace(from, to)).is_err(), "{to}");
    }
}

use proptest::prelude::*;

use super::*;
use crate::data::tests::tiny_shakespeare;

fn char_tokenizer(corpus: &str) -> Tokenizer {
    Tokenizer::build(TokenizerKind::Char, corpus)
}

#[test]
#[cfg_attr(
    not(tiny_shakespeare),
    ignore = "Tiny Shakespeare is not here: set RUNNER_TEST_DATA to the folder of tinyshakespeare/input.txt"
)]
fn tiny_shakespeare_has_the_published_number_of_gpt2_tokens() {
    let text = tiny_shakespeare();
    let ids = Tokenizer::Gpt2.encode(&text);
    assert_eq!(ids.len(), 338_025);
    assert_eq!(Tokenizer::Gpt2.decode(&ids), text);
}

#[test]
#[cfg_attr(
    not(tiny_shakespeare),
    ignore = "Tiny Shakespeare is not here: set RUNNER_TEST_DATA to the folder of tinyshakespeare/input.txt"
)]
fn tiny_shakespeare_has_65_characters() {
    let text = tiny_shakespeare();
    assert_eq!(char_tokenizer(&text).vocab_size(), 65);
}

#[test]
fn gpt2_ids_are_those_of_openai() {
    // Known from other implementations: a greeting, and the first words of Tiny Shakespeare.
    assert_eq!(Tokenizer::Gpt2.encode("Hello, world"), [15496, 11, 995]);
    assert_eq!(Tokenizer::Gpt2.encode("First Citizen:\n"), [5962, 22307, 25, 198]);
}

#[test]
fn special_tokens_in_the_text_are_ordinary_text() {
    let ids = Tokenizer::Gpt2.encode("a<|endoftext|>b");
    assert!(!ids.contains(&END_OF_TEXT));
    assert_eq!(Tokenizer::Gpt2.decode(&ids), "a<|endoftext|>b");
}

#[test]
fn cutting_into_pieces_does_not_change_the_ids() {
    // Words, digits, contractions and every kind of white-space run across several piece borders.
    let text: String = (0..40_000)
        .map(|i| format!("it's {i}{}word\u{a0}\u{3000}{}", " ".repeat(i % 5), "\n".repeat(i % 4)))
        .collect();
    assert!(text.len() > 8 << 16);
    assert_eq!(Tokenizer::Gpt2.encode(&text), gpt2().encode_ordinary(&text));
}

#[test]
fn a_million_blanks_do_not_stop_the_gpt2_tokenizer() {
    let text = format!("a{}b", " ".repeat(1_200_000));
    assert_eq!(Tokenizer::Gpt2.decode(&Tokenizer::Gpt2.encode(&text)), text);
}

#[test]
fn ids_without_text_decode_to_the_replacement_character() {
    for tokenizer in [Tokenizer::Gpt2, Tokenizer::Byte, char_tokenizer("ab")] {
        assert_eq!(tokenizer.decode(&[u32::MAX]), "\u{fffd}", "{}", tokenizer.name());
        assert_eq!(tokenizer.decode(&[tokenizer.vocab_size() as u32]), "\u{fffd}", "{}", tokenizer.name());
    }
}

#[test]
fn half_a_character_decodes_to_the_replacement_character() {
    assert_eq!(Tokenizer::Byte.decode(&[u32::from(b'a'), 0xc3, u32::from(b'b')]), "a\u{fffd}b");
}

#[test]
fn characters_that_the_corpus_lacks_are_dropped_and_listed() {
    let tokenizer = char_tokenizer("hello");
    assert_eq!(tokenizer.decode(&tokenizer.encode("hollow zoo")), "hollooo");
    assert_eq!(tokenizer.unknown_chars("hollow zoo"), [' ', 'w', 'z']);
    assert_eq!(Tokenizer::Byte.unknown_chars("any"), []);
}

#[test]
fn the_char_vocabulary_survives_being_stored() {
    let tokenizer = char_tokenizer("Ye \"quoted\" \\ text\n\tand ß, 字");
    let json = serde_json::to_string(&tokenizer).expect("a tokenizer is serialisable");
    let read: Tokenizer = serde_json::from_str(&json).expect("what was written can be read");
    assert_eq!(read, tokenizer);
}

#[test]
fn a_damaged_char_vocabulary_is_refused() {
    for vocabulary in ["", "ba", "aa"] {
        let json = format!(r#"{{"kind":"char","vocabulary":"{vocabulary}"}}"#);
        assert!(serde_json::from_str::<Tokenizer>(&json).is_err(), "{vocabulary:?}");
    }
}

#[test]
fn start_and_end_tokens_fit_the_tokenizer() {
    assert_eq!((Tokenizer::Gpt2.start_token(), Tokenizer::Gpt2.end_token()), (50_256, Some(50_256)));
    assert_eq!((Tokenizer::Byte.start_token(), Tokenizer::Byte.end_token()), (10, None));
    assert_eq!(char_tokenizer("b\na\t").start_token(), 1);
    assert_eq!(char_tokenizer("ba").start_token(), 0);
}

#[test]
fn vocabularies_known_before_the_corpus_are_those_of_the_tokenizers() {
    for kind in [TokenizerKind::Gpt2, TokenizerKind::Byte] {
        assert_eq!(fixed_vocab_size(kind), Some(Tokenizer::build(kind, "text").vocab_size()));
    }
    assert_eq!(fixed_vocab_size(TokenizerKind::Char), None);
}

proptest! {
    #[test]
    fn every_tokenizer_gives_back_any_text(text in any::<String>()) {
        for tokenizer in [Tokenizer::Gpt2, Tokenizer::Byte, char_tokenizer(&text)] {
            let ids = tokenizer.encode(&text);
            prop_assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
            prop_assert_eq!(tokenizer.decode(&ids), text.as_str());
        }
    }

    #[test]
    fn decoding_never_fails(ids in proptest::collection::vec(prop_oneof![any::<u32>(), 0u32..50_300, 0u32..300], 0..50)) {
        for tokenizer in [Tokenizer::Gpt2, Tokenizer::Byte, char_tokenizer("abc")] {
            let text = tokenizer.decode(&ids);
            prop_assert_eq!(text.is_empty(), ids.is_empty());
        }
    }
}

#[test]
fn pieces_are_cut_between_characters() {
    for end in ["a", "é", "塩", "🜔"] {
        let bytes = format!("ab{end}").into_bytes();
        assert_eq!(unfinished(&bytes), 0, "{end}");
        for cut in 3..bytes.len() {
            assert_eq!(unfinished(&bytes[..cut]), cut - 2, "{end}");
        }
    }
    // What never begins a character stays where it is.
    for wrong in [&[0xFF][..], &[0x80, 0x80, 0x80, 0x80], &[0xC0], &[]] {
        assert_eq!(unfinished(wrong), 0, "{wrong:?}");
    }
}

#[test]
fn a_text_decoded_in_pieces_is_the_text() {
    // Characters of four bytes run across the pieces' borders, one byte off from the last.
    let text = format!("x{}", "🜔塩y".repeat(1 << 14));
    for tokenizer in [Tokenizer::Gpt2, Tokenizer::Byte, char_tokenizer(&text)] {
        let ids = tokenizer.encode(&text);
        let pieces = in_pieces(&tokenizer, &ids);
        assert!(pieces.len() >= ids.len() >> 16 && pieces.concat() == text, "{}", tokenizer.name());
    }
    let cut = in_pieces(&Tokenizer::Byte, &[97, 0xE5]);
    assert_eq!(cut.concat(), "a\u{fffd}");
    assert_eq!(in_pieces(&Tokenizer::Byte, &[]), [""]);
}

fn in_pieces(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<String> {
    let mut decoder = tokenizer.decoder();
    let mut pieces: Vec<String> = ids.chunks(1 << 16).map(|ids| decoder.piece(ids)).collect();
    pieces.push(decoder.finish());
    pieces
}

use proptest::prelude::*;

use crate::generate::pieces::{Piece, Pieces};

/// All that is said of these tokens, and whether a stop ended it.
fn said(stops: &[&str], tokens: &[&[u8]]) -> (Vec<Piece>, bool) {
    let mut pieces = Pieces::new(stops.iter().map(|stop| (*stop).to_owned()).collect());
    let mut all = Vec::new();
    for (token, bytes) in (0..).zip(tokens) {
        let (some, stopped) = pieces.push(token, bytes, None);
        all.extend(some);
        if stopped {
            return (all, true);
        }
    }
    all.extend(pieces.finish());
    (all, false)
}

fn text(pieces: &[Piece]) -> String {
    pieces.iter().map(|piece| piece.text.as_str()).collect()
}

#[test]
fn characters_are_said_when_they_are_complete() {
    let mut pieces = Pieces::new(Vec::new());
    let euro = "€".as_bytes();
    let mut said = pieces.push(1, &euro[..1], None).0;
    said.extend(pieces.push(2, &euro[1..2], None).0);
    assert_eq!(text(&said), "");
    said.extend(pieces.push(3, &[euro[2], b'a'], None).0);
    assert_eq!(said.iter().map(|piece| piece.token).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(text(&said), "€a");
    assert_eq!(pieces.finish(), []);
}

#[test]
fn what_never_becomes_a_character_is_replaced() {
    assert_eq!(text(&said(&[], &[b"a\xff", b"b\xe2\x82", b"c"]).0), "a\u{fffd}b\u{fffd}c");
    assert_eq!(text(&said(&[], &[b"a", b"\xe2\x82"]).0), "a\u{fffd}");
}

#[test]
fn the_text_ends_before_a_stop_that_comes_in_parts() {
    let (pieces, stopped) =
        said(&["\n\n", "END"], &[b"on", b"e\n", b"E", b"N", b"x E", b"ND and more", b"never"]);
    assert_eq!((text(&pieces).as_str(), stopped), ("one\nENx ", true));
    assert_eq!(pieces.last().map(|piece| piece.token), Some(4));
    assert_eq!(text(&said(&["b"], &[b"abc"]).0), "a");
    assert_eq!(said(&["a"], &[b"abc"]), (Vec::new(), true));
}

#[test]
fn the_first_of_several_stops_counts() {
    assert_eq!(text(&said(&["cd", "b"], &[b"abcd"]).0), "a");
    assert_eq!(text(&said(&["aab"], &[b"a", b"a", b"a", b"b", b"c"]).0), "a");
}

#[test]
fn what_only_looks_like_the_beginning_of_a_stop_is_said_at_the_end() {
    assert_eq!(said(&["###"], &[b"a#", b"#"]), said(&[], &[b"a#", b"#"]));
}

proptest! {
    /// However the bytes are cut into tokens, the text is the one that they are.
    #[test]
    fn the_pieces_add_up_to_the_text(
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        cuts in prop::collection::vec(1_usize..5, 60),
    ) {
        let mut rest = bytes.as_slice();
        let mut tokens = Vec::new();
        for cut in cuts {
            let (token, others) = rest.split_at(cut.min(rest.len()));
            tokens.push(token);
            rest = others;
        }
        tokens.push(rest);
        prop_assert_eq!(text(&said(&[], &tokens).0), String::from_utf8_lossy(&bytes));
    }

    /// A stop ends the text where it is first found in the whole.
    #[test]
    fn stops_are_found_wherever_tokens_are_cut(
        tokens in prop::collection::vec("[ab]{0,3}", 0..20),
        stop in "[ab]{1,4}",
    ) {
        let whole = tokens.concat();
        let bytes: Vec<&[u8]> = tokens.iter().map(|token| token.as_bytes()).collect();
        let (pieces, stopped) = said(&[&stop], &bytes);
        let end = whole.find(&stop);
        prop_assert_eq!(stopped, end.is_some());
        prop_assert_eq!(text(&pieces), &whole[..end.unwrap_or(whole.len())]);
    }
}

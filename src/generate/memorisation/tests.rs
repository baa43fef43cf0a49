use proptest::prelude::*;

use super::*;

fn sample(prompt: &str, text: &str) -> SampleText {
    SampleText { prompt: prompt.to_owned(), text: text.to_owned() }
}

fn measure(samples: &[SampleText], text: &str) -> Memorisation {
    let mut meter = Meter::new(samples);
    meter.read(text);
    meter.finish()
}

const TEXT: &str =
    "The tide takes what the tide has lent, and no crown of salt will hold it.\nSpeak, warden.";

#[test]
fn a_recited_sentence_is_copied_and_an_invented_one_is_not() {
    let recited = measure(&[sample("The tide", " takes what the tide has lent, and no crown ")], TEXT);
    assert_eq!((recited.copied_ngrams, recited.ngrams, recited.share()), (2, 2, Some(1.0)));
    let copy = recited.longest.unwrap();
    assert_eq!(copy.text, " takes what the tide has lent, and no crown ");
    assert_eq!((copy.sample, copy.characters, copy.words), (0, 44, 9));

    let invented = measure(&[sample("", "no tide of salt will lend what the crown has held ")], TEXT);
    assert_eq!((invented.copied_ngrams, invented.ngrams, invented.share()), (0, 4, Some(0.0)));
    assert_eq!(invented.longest.unwrap().text, " of salt will ");
}

#[test]
fn words_are_compared_exactly_and_the_space_between_them_is_not() {
    let same = "and  no crown of\nsalt will hold it. ";
    assert_eq!(measure(&[sample("", same)], TEXT).share(), Some(1.0));
    for other in ["And no crown of salt will hold it. ", "and no crown of salt will hold it "] {
        assert_eq!(measure(&[sample("", other)], TEXT).share(), Some(0.0), "{other}");
    }
}

#[test]
fn a_sample_of_fewer_than_8_whole_words_has_no_share() {
    for text in ["", " ", "The tide takes what the tide has "] {
        let short = measure(&[sample("", text)], TEXT);
        assert_eq!((short.ngrams, short.share()), (0, None), "{text:?}");
    }
    assert_eq!(measure(&[sample("", "")], TEXT).longest, None);
    assert_eq!(measure(&[], TEXT), Memorisation::default());
    assert_eq!(measure(&[sample("", "tide ")], "").longest, None);
}

#[test]
fn words_that_the_prompt_or_the_limit_cut_do_not_count() {
    // `ide` is the end of the prompt's word, `crow` what the limit of tokens left of another.
    let cut = measure(&[sample("The t", "ide takes what the tide has lent, and no crow")], TEXT);
    assert_eq!((cut.copied_ngrams, cut.ngrams), (1, 1));
    let whole = measure(&[sample("The ", "tide takes what the tide has lent, and no ")], TEXT);
    assert_eq!((whole.copied_ngrams, whole.ngrams), (2, 2));
}

#[test]
fn a_copy_does_not_reach_over_two_samples() {
    let samples = [sample("", "The tide takes what "), sample("", "the tide has lent, and no crown of salt")];
    let copy = measure(&samples, TEXT).longest.unwrap();
    assert_eq!((copy.sample, copy.text.as_str()), (1, "the tide has lent, and no crown of salt"));
}

#[test]
fn an_ngram_counts_as_often_as_it_was_sampled() {
    let samples = vec![sample("", "what the tide has lent, and no crown "); 3];
    let found = measure(&samples, &TEXT.repeat(4));
    assert_eq!((found.copied_ngrams, found.ngrams), (3, 3));
}

#[test]
fn copies_are_measured_in_characters_whatever_their_bytes() {
    let copy = measure(&[sample("", "xx塩の冠はé🜔 yy")], "海と塩の冠はé🜔 zz").longest.unwrap();
    assert_eq!((copy.text.as_str(), copy.characters), ("塩の冠はé🜔 ", 7));
}

/// By its definition: every substring of every sample looked for in the text.
fn longest_by_definition(samples: &[SampleText], text: &str) -> usize {
    let mut longest = 0;
    for sample in samples {
        let chars: Vec<char> = sample.text.chars().collect();
        for from in 0..chars.len() {
            for to in from + longest + 1..=chars.len() {
                let part: String = chars[from..to].iter().collect();
                if text.contains(&part) {
                    longest = to - from;
                }
            }
        }
    }
    longest
}

/// By its definition: every run of words looked for among those of the text.
fn copied_by_definition(samples: &[SampleText], text: &str) -> (u64, u64) {
    let text: Vec<&str> = text.split_whitespace().collect();
    let (mut copied, mut all) = (0, 0);
    for sample in samples {
        for ngram in whole_words(sample).windows(NGRAM_WORDS) {
            all += 1;
            copied += u64::from(text.windows(NGRAM_WORDS).any(|window| window == ngram));
        }
    }
    (copied, all)
}

/// Samples that share much with the text: both are of the same few words.
fn samples_and_text() -> impl Strategy<Value = (Vec<SampleText>, String)> {
    let text = || prop::collection::vec(prop::sample::select(vec!["a", "b", "é", " ", "\n"]), 0..120);
    let sample = (text(), text()).prop_map(|(prompt, text)| sample(&prompt.concat(), &text.concat()));
    (prop::collection::vec(sample, 0..4), text().prop_map(|parts| parts.concat()))
}

proptest! {
    #[test]
    fn the_longest_copy_is_that_of_the_definition((samples, text) in samples_and_text()) {
        let found = measure(&samples, &text).longest;
        prop_assert_eq!(found.as_ref().map_or(0, |copy| copy.characters), longest_by_definition(&samples, &text) as u64);
        if let Some(copy) = found {
            prop_assert!(text.contains(&copy.text));
            prop_assert!(samples[copy.sample].text.contains(&copy.text));
        }
    }

    #[test]
    fn the_copied_ngrams_are_those_of_the_definition(
        (mut samples, text) in samples_and_text(),
        from in 0..100_usize,
    ) {
        // Runs of 8 words rarely meet by chance.
        let part: String = text.chars().skip(from).take(40).collect();
        samples.push(sample("", &part));
        let found = measure(&samples, &text);
        prop_assert_eq!((found.copied_ngrams, found.ngrams), copied_by_definition(&samples, &text));
    }

    #[test]
    fn where_the_text_is_cut_into_pieces_makes_no_difference((samples, text) in samples_and_text(), every in 1..9_usize) {
        let mut meter = Meter::new(&samples);
        let chars: Vec<char> = text.chars().collect();
        for piece in chars.chunks(every) {
            meter.read(&piece.iter().collect::<String>());
        }
        prop_assert_eq!(meter.finish(), measure(&samples, &text));
    }
}

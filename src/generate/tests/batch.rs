use crate::data::tokenizer::Tokenizer;
use crate::generate::{Batch, Ending, JobId, News, Scored, Settings, What};
use crate::infer::fixture::write_weights;
use crate::infer::{Cache, Decoder, Feed, WeightKind};
use crate::model::ModelConfig;

const MODEL: ModelConfig =
    ModelConfig { n_layer: 2, n_head: 2, n_embd: 32, block_size: 40, vocab_size: 300, bias: true };

fn decoder() -> Decoder {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_weights(&path, &MODEL);
    Decoder::open(&path, &MODEL, WeightKind::F32).unwrap()
}

fn settings(seed: u64) -> Settings {
    Settings { max_new_tokens: 20, temperature: 1.0, top_k: 0, seed, ..Settings::default() }
}

/// Tokens of each sample of a job, and how it ended.
fn texts(news: &[News], job: JobId, samples: usize) -> Vec<(Vec<u32>, Option<Ending>)> {
    let mut texts = vec![(Vec::new(), None); samples];
    for news in news.iter().filter(|news| news.job == job) {
        match &news.what {
            What::Piece(piece) => texts[news.sample].0.push(piece.token),
            What::End(ending) => texts[news.sample].1 = Some(*ending),
            What::Prompt(_) => {}
            What::Failed(error) => panic!("{error}"),
        }
    }
    texts
}

fn alone(
    decoder: &Decoder,
    prompt: &[u32],
    settings: &Settings,
    samples: usize,
) -> Vec<(Vec<u32>, Option<Ending>)> {
    let mut batch = Batch::new(decoder, &Tokenizer::Byte);
    batch.add(0, prompt, settings.clone(), samples).unwrap();
    let mut news = Vec::new();
    while !batch.is_empty() {
        news.extend(batch.step().unwrap());
    }
    texts(&news, 0, samples)
}

#[test]
fn a_text_does_not_depend_on_the_others_that_are_written_with_it() {
    let decoder = decoder();
    let long: Vec<u32> = (0..90).map(|i| i % 256).collect();
    let jobs: [(&[u32], Settings, usize); 4] = [
        (&[1, 2, 3], settings(1), 1),
        (&long, Settings { max_new_tokens: 70, ..settings(2) }, 2),
        (&long[..35], settings(3), 9),
        (&[7], Settings { temperature: 0.0, ..settings(4) }, 2),
    ];
    let mut batch = Batch::new(&decoder, &Tokenizer::Byte);
    let mut news = Vec::new();
    for (id, (prompt, settings, samples)) in (0..).zip(&jobs) {
        batch.add(id, prompt, settings.clone(), *samples).unwrap();
        // Each comes while the ones before it are under way.
        news.extend(batch.step().unwrap());
        news.extend(batch.step().unwrap());
    }
    assert_eq!(batch.texts(), 14);
    while !batch.is_empty() {
        news.extend(batch.step().unwrap());
    }
    for (id, (prompt, settings, samples)) in (0..).zip(&jobs) {
        let found = texts(&news, id, *samples);
        assert_eq!(found, alone(&decoder, prompt, settings, *samples), "job {id}");
        assert!(found.iter().all(|(tokens, ending)| {
            tokens.len() == settings.max_new_tokens && *ending == Some(Ending::Length)
        }));
    }
}

#[test]
fn samples_differ_and_their_seeds_follow_each_other() {
    let decoder = decoder();
    let three = alone(&decoder, &[5, 6], &settings(100), 3);
    assert_ne!(three[0], three[1]);
    for (sample, seed) in [(0, 100), (1, 101), (2, 102)] {
        assert_eq!(alone(&decoder, &[5, 6], &settings(seed), 1)[0], three[sample]);
    }
    let greedy = alone(&decoder, &[5, 6], &Settings { temperature: 0.0, ..settings(1) }, 2);
    assert_eq!(greedy[0], greedy[1]);
}

#[test]
fn a_greedy_text_is_the_likeliest_token_each_time_also_beyond_the_context() {
    let decoder = decoder();
    let greedy = Settings { temperature: 0.0, max_new_tokens: 100, ..Settings::default() };
    let found = &alone(&decoder, &[1, 2, 3], &greedy, 1)[0].0;
    let mut context = vec![1, 2, 3];
    for &token in found {
        let mut cache = Cache::try_new(&MODEL, 40).unwrap();
        let logits = decoder.next_logits(&mut [Feed { cache: &mut cache, tokens: &context }]).unwrap();
        // Ids beyond the tokenizer's are never chosen.
        let best = (0..256).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap();
        assert_eq!(token as usize, best);
        context.push(token);
        if context.len() > 40 {
            context.drain(..21);
        }
    }
    assert_eq!(found.len(), 100);
}

#[test]
fn of_a_prompt_beyond_the_context_the_end_is_used() {
    let decoder = decoder();
    let prompt: Vec<u32> = (0..200).collect();
    let greedy = Settings { temperature: 0.0, max_new_tokens: 1, ..Settings::default() };
    assert_eq!(alone(&decoder, &prompt, &greedy, 1), alone(&decoder, &prompt[160..], &greedy, 1));
}

#[test]
fn a_cancelled_job_says_nothing_more_and_changes_no_other() {
    let decoder = decoder();
    let mut batch = Batch::new(&decoder, &Tokenizer::Byte);
    batch.add(1, &[1], settings(1), 2).unwrap();
    batch.add(2, &[2], settings(2), 1).unwrap();
    let mut news = batch.step().unwrap();
    batch.cancel(1);
    assert_eq!(batch.texts(), 1);
    while !batch.is_empty() {
        let step = batch.step().unwrap();
        assert!(step.iter().all(|news| news.job == 2));
        news.extend(step);
    }
    assert_eq!(texts(&news, 2, 1), alone(&decoder, &[2], &settings(2), 1));
}

#[test]
fn a_repetition_penalty_makes_tokens_rarer() {
    let decoder = decoder();
    let repeated = |penalty| {
        let settings =
            Settings { repetition_penalty: penalty, max_new_tokens: 36, temperature: 0.0, ..settings(0) };
        let mut tokens = alone(&decoder, &[1], &settings, 1).remove(0).0;
        tokens.sort_unstable();
        tokens.dedup();
        36 - tokens.len()
    };
    assert!(repeated(1.0) > 0);
    assert_eq!(repeated(1000.0), 0);
}

#[test]
fn probabilities_come_with_their_tokens() {
    let decoder = decoder();
    let mut batch = Batch::new(&decoder, &Tokenizer::Byte);
    let settings = Settings { alternatives: Some(256), temperature: 0.0, max_new_tokens: 3, ..settings(1) };
    batch.add(0, &[65], settings, 1).unwrap();
    while !batch.is_empty() {
        for news in batch.step().unwrap() {
            let What::Piece(piece) = news.what else { continue };
            let chance = piece.chance.unwrap();
            let total: f32 = chance.alternatives.iter().map(|(_, logprob)| logprob.exp()).sum();
            assert!((total - 1.0).abs() < 1e-4, "{total}");
            assert_eq!(chance.alternatives[0], (piece.token, chance.logprob));
            assert!(chance.alternatives.is_sorted_by(|a, b| a.1 >= b.1));
        }
    }
}

#[test]
fn settings_that_cannot_be_used_say_which() {
    let good = Settings::default();
    assert_eq!(good.problem(), None);
    let bad = [
        (Settings { max_new_tokens: 0, ..good.clone() }, "max_new_tokens"),
        (Settings { temperature: f64::NAN, ..good.clone() }, "temperature"),
        (Settings { temperature: -0.5, ..good.clone() }, "temperature"),
        (Settings { top_p: 0.0, ..good.clone() }, "top_p"),
        (Settings { top_p: 1.5, ..good.clone() }, "top_p"),
        (Settings { repetition_penalty: 0.0, ..good.clone() }, "repetition_penalty"),
        (Settings { repetition_penalty: 1e-300, ..good.clone() }, "repetition_penalty"),
        (Settings { stop: vec![String::new()], ..good.clone() }, "stop"),
        (Settings { stop: vec!["a".to_owned(); 17], ..good.clone() }, "stop"),
        (Settings { stop: vec!["a".repeat(2000)], ..good.clone() }, "stop"),
    ];
    for (settings, name) in bad {
        let problem = settings.problem().expect("it should be refused");
        assert_eq!(problem.setting, name, "{problem}");
    }
}

#[test]
fn a_text_is_over_after_any_of_the_tokens_that_end_it() {
    let decoder = decoder();
    let greedy = Settings { temperature: 0.0, ..settings(0) };
    let whole = alone(&decoder, &[7], &greedy, 1).remove(0).0;
    // The first token that is not there before stands for the end; another one that never comes is named before it.
    let place = (1..whole.len()).find(|&place| !whole[..place].contains(&whole[place])).unwrap();
    let absent = (0..256).find(|id| !whole.contains(id)).unwrap();
    for ends in [vec![whole[place]], vec![absent, whole[place]]] {
        let mut batch = Batch::new(&decoder, &Tokenizer::Byte).ending_at(ends);
        batch.add(0, &[7], greedy.clone(), 1).unwrap();
        let mut news = Vec::new();
        while !batch.is_empty() {
            news.extend(batch.step().unwrap());
        }
        let last = news.iter().rev().find_map(|news| match &news.what {
            What::Piece(piece) => Some((piece.token, piece.text.as_str())),
            _ => None,
        });
        assert_eq!(last, Some((whole[place], "")));
        assert_eq!(texts(&news, 0, 1), [(whole[..=place].to_vec(), Some(Ending::Stop))]);
    }
}

/// What is said of the prompt of one job, and how many tokens are written after it.
fn scores(decoder: &Decoder, prompt: &[u32], settings: Settings, samples: usize) -> (Vec<Scored>, usize) {
    let mut batch = Batch::new(decoder, &Tokenizer::Byte);
    // Another job comes before it, and is being written meanwhile.
    batch.add(1, &[3, 2, 1], Settings { max_new_tokens: 9, ..settings.clone() }, 2).unwrap();
    batch.add(0, prompt, settings, samples).unwrap();
    let (mut scored, mut written) = (Vec::new(), 0);
    while !batch.is_empty() {
        for news in batch.step().unwrap().into_iter().filter(|news| news.job == 0) {
            match news.what {
                What::Prompt(more) => {
                    assert_eq!(written, 0, "the prompt comes first");
                    scored.extend(more);
                }
                What::Piece(_) => written += 1,
                What::End(_) => {}
                What::Failed(error) => panic!("{error}"),
            }
        }
    }
    (scored, written)
}

#[test]
fn a_prompt_is_scored_token_by_token_in_one_reading() {
    // Longer than what is read in a step.
    let model = ModelConfig { block_size: 300, ..MODEL };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    write_weights(&path, &model);
    let decoder = Decoder::open(&path, &model, WeightKind::F32).unwrap();
    let prompt: Vec<u32> = (0..300).map(|i| i * 7 % 256).collect();
    let mut cache = Cache::try_new(&model, 300).unwrap();
    let logits = decoder.all_logits(Feed { cache: &mut cache, tokens: &prompt }).unwrap();
    for (max_new_tokens, samples) in [(0, 1), (1, 1), (4, 3)] {
        let settings = Settings { alternatives: Some(2), score_prompt: true, max_new_tokens, ..settings(1) };
        let (scored, written) = scores(&decoder, &prompt, settings, samples);
        assert_eq!(scored.iter().map(|scored| scored.token).collect::<Vec<_>>(), prompt);
        assert_eq!((scored[0].chance.is_none(), written), (true, max_new_tokens * samples));
        for (scored, row) in scored[1..].iter().zip(logits.chunks_exact(300)) {
            let chance = scored.chance.as_ref().unwrap();
            // Among all that the model has, and not only those that the tokenizer knows.
            let total = row.iter().map(|&x| f64::from(x).exp()).sum::<f64>().ln();
            let logprob = |id: usize| f64::from(row[id]) - total;
            assert!((f64::from(chance.logprob) - logprob(scored.token as usize)).abs() < 1e-5);
            let best = (0..256).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
            assert_eq!((chance.alternatives.len(), chance.alternatives[0].0 as usize), (2, best));
            assert!((f64::from(chance.alternatives[0].1) - logprob(best)).abs() < 1e-5);
        }
    }
}

#[test]
fn a_prompt_is_not_scored_where_nobody_asks() {
    let decoder = decoder();
    assert_eq!(scores(&decoder, &[1, 2, 3], Settings { alternatives: Some(1), ..settings(1) }, 1).0, []);
}

#[test]
fn many_prompts_are_read_a_part_at_a_time_and_all_of_them() {
    let decoder = decoder();
    let prompt: Vec<u32> = (0..40).collect();
    let one = Settings { max_new_tokens: 1, temperature: 0.0, ..settings(0) };
    let mut batch = Batch::new(&decoder, &Tokenizer::Byte);
    for id in 0..20 {
        batch.add(id, &prompt, one.clone(), 1).unwrap();
    }
    let mut news = batch.step().unwrap();
    // 256 tokens, and what is left of the prompt that they end in.
    assert_eq!(batch.texts(), 20 - 7);
    while !batch.is_empty() {
        news.extend(batch.step().unwrap());
    }
    for id in 0..20 {
        assert_eq!(texts(&news, id, 1), alone(&decoder, &prompt, &one, 1));
    }
}

#[test]
fn what_prompts_have_in_common_is_read_once_and_the_bits_are_those_of_a_first_reading() {
    let decoder = decoder();
    let start: Vec<u32> = (0..30).map(|i| i * 11 % 256).collect();
    let with = |end: &[u32]| [&start, end].concat();
    let prompts = [
        with(&[1, 2, 3]),
        with(&[1, 2, 4]),
        with(&[]),
        with(&[9, 9, 9, 9, 9, 9, 9, 9, 9, 9]),
        start[..7].to_vec(),
        with(&[1, 2, 3]),
        vec![5, 6],
        with(&[9, 9]),
    ];
    // The last: after the first prompt the text outgrows the context, and ends when the cache is as long as the prompt again.
    for max_new_tokens in [0, 1, 3, 22] {
        let asked = Settings {
            alternatives: Some(2),
            score_prompt: true,
            max_new_tokens,
            temperature: 0.0,
            ..settings(1)
        };
        let say = |batch: &mut Batch<'_>, prompt: &[u32]| {
            batch.add(0, prompt, asked.clone(), 1).unwrap();
            let (mut said, mut fed) = (Vec::new(), Vec::new());
            while !batch.is_empty() {
                for news in batch.step().unwrap() {
                    match news.what {
                        What::Prompt(scored) => said.extend(scored),
                        What::Piece(piece) => fed.push(piece),
                        What::End(_) => {}
                        What::Failed(error) => panic!("{error}"),
                    }
                }
            }
            (said, fed)
        };
        let mut keeping = Batch::new(&decoder, &Tokenizer::Byte).keeping(10 << 20);
        // So little that only one is kept.
        let mut hardly = Batch::new(&decoder, &Tokenizer::Byte).keeping(30_000);
        for prompt in &prompts {
            let alone = say(&mut Batch::new(&decoder, &Tokenizer::Byte), prompt);
            assert_eq!(alone.0.len(), prompt.len());
            assert_eq!(say(&mut keeping, prompt), alone);
            assert_eq!(say(&mut hardly, prompt), alone);
        }
        // It was used, or this would be a test of nothing.
        let (used, mut cache) = (max_new_tokens <= 1, Cache::try_new(&MODEL, 40).unwrap());
        let known = keeping.kept_for_tests().begin(&with(&[1, 2, 7]), 2, &mut cache).unwrap();
        assert_eq!((known.len(), cache.len()), if used { (32, 31) } else { (0, 0) });
    }
}

#[test]
fn what_is_kept_is_of_use_only_where_as_many_alternatives_are_asked_for() {
    let decoder = decoder();
    let prompt: Vec<u32> = (0..20).collect();
    let mut batch = Batch::new(&decoder, &Tokenizer::Byte).keeping(10 << 20);
    let asked = Settings { alternatives: Some(2), score_prompt: true, max_new_tokens: 0, ..settings(1) };
    batch.add(0, &prompt, asked, 1).unwrap();
    while !batch.is_empty() {
        batch.step().unwrap();
    }
    for (alternatives, known) in [(1, 0), (3, 0), (2, 20)] {
        let mut cache = Cache::try_new(&MODEL, 20).unwrap();
        let found = batch.kept_for_tests().begin(&prompt, alternatives, &mut cache).unwrap();
        assert_eq!(found.len(), known, "{alternatives}");
    }
}

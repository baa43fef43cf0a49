use proptest::prelude::*;

use super::*;

fn draws(mut sampler: Sampler, logits: &[f32], count: usize) -> Vec<u32> {
    (0..count).map(|_| sampler.sample(logits).expect("good logits")).collect()
}

fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let weights: Vec<f64> = logits.iter().map(|&logit| (f64::from(logit) / temperature).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|weight| weight / total).collect()
}

/// Ids from the most probable down, by a plain stable sort.
fn ranking(logits: &[f32]) -> Vec<u32> {
    let mut ids: Vec<u32> = (0..logits.len() as u32).collect();
    ids.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]));
    ids
}

#[test]
fn tokens_come_as_often_as_their_probability_says() {
    let logits = [1.0, -0.5, 0.0, 2.0, f32::NEG_INFINITY];
    for temperature in [0.5, 1.0, 2.0] {
        let mut counts = [0.0; 5];
        for id in draws(Sampler::new(temperature, 0, 1.0, 5), &logits, 40_000) {
            counts[id as usize] += 1.0;
        }
        for (count, probability) in counts.iter().zip(softmax(&logits, temperature)) {
            let deviation = (40_000.0 * probability * (1.0 - probability)).sqrt();
            assert!((count - 40_000.0 * probability).abs() <= 5.0 * deviation, "{temperature}: {counts:?}");
        }
    }
}

#[test]
fn ties_go_to_the_lower_id() {
    let logits = [0.0, 3.0, 3.0, 3.0, 1.0];
    assert_eq!(draws(Sampler::new(0.0, 0, 1.0, 1), &logits, 3), [1, 1, 1]);
    assert!(draws(Sampler::new(1.0, 2, 1.0, 1), &logits, 200).iter().all(|id| [1, 2].contains(id)));
}

#[test]
fn the_nucleus_is_the_smallest_set_that_reaches_top_p() {
    // Probabilities 0.5, 0.25, 0.125, 0.125 exactly, so that the borders are sharp.
    let candidates = [(7, 1.0), (3, 0.5), (1, 0.25), (9, 0.25)];
    for (top_p, size) in
        [(-1.0, 1), (0.0, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.8, 3), (0.875, 3), (0.9, 4), (1.0, 4)]
    {
        assert_eq!(nucleus(&candidates, top_p), size, "{top_p}");
    }
}

#[test]
fn top_p_counts_what_top_k_left() {
    // Of all, the best has 0.4; of the best two, 0.57: with top_p = 0.5 it alone is left only after top_k.
    let logits = [0.4f32.ln(), 0.3f32.ln(), 0.3f32.ln()];
    assert!(draws(Sampler::new(1.0, 2, 0.5, 1), &logits, 300).iter().all(|&id| id == 0));
    assert!(draws(Sampler::new(1.0, 0, 0.5, 1), &logits, 300).contains(&1));
}

#[test]
fn logits_that_are_not_numbers_are_errors() {
    for temperature in [0.0, 1.0] {
        for (logits, words) in [
            (vec![0.0, f32::NAN], "token 1 is NaN"),
            (vec![f32::INFINITY, 0.0], "token 0 is inf"),
            (vec![f32::NEG_INFINITY; 3], "no token is possible"),
            (vec![], "no token is possible"),
        ] {
            let error = Sampler::new(temperature, 2, 0.9, 1).sample(&logits).expect_err("not numbers");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}

#[test]
fn settings_out_of_range_do_not_panic() {
    let logits = [1.0, f32::MAX, f32::MIN, -0.0];
    for temperature in [f64::NAN, -1.0, 1e-300, f64::INFINITY] {
        for top_p in [f64::NAN, -1.0, 0.0, 2.0] {
            assert_eq!(draws(Sampler::new(temperature, usize::MAX, top_p, 1), &logits, 5).len(), 5);
        }
    }
}

#[test]
fn draws_do_not_change_between_versions() {
    // Recorded from this implementation: a change here would change the samples of old runs.
    let logits: Vec<f32> = (0..50).map(|id| (id as f32 * 0.7).sin()).collect();
    assert_eq!(draws(Sampler::new(0.8, 0, 1.0, 1337), &logits, 8), [33, 28, 48, 39, 47, 31, 47, 31]);
    assert_eq!(draws(Sampler::new(0.8, 10, 0.9, 1337), &logits, 8), [2, 11, 21, 3, 21, 2, 21, 2]);
}

proptest! {
    #[test]
    fn only_the_best_tokens_are_drawn(
        logits in prop::collection::vec(prop_oneof![-5f32..5.0, Just(1.0)], 1..60), top_k in 1usize..70, top_p in 0.0f64..=1.0, seed: u64
    ) {
        let ranked = ranking(&logits);
        let kept = &ranked[..top_k.min(ranked.len())];
        let weights: Vec<f64> = kept.iter().map(|&id| f64::from(logits[id as usize]).exp()).collect();
        let total: f64 = weights.iter().sum();
        for id in draws(Sampler::new(1.0, top_k, top_p, seed), &logits, 20) {
            let place = kept.iter().position(|&known| known == id);
            prop_assert!(place.is_some());
            // What is more probable must not have reached top_p already.
            let above: f64 = weights.iter().take(place.unwrap_or(0)).sum();
            prop_assert!(place == Some(0) || above / total < top_p + 1e-9);
        }
    }

    #[test]
    fn without_temperature_or_with_one_choice_the_best_is_taken(
        logits in prop::collection::vec(-5f32..5.0, 1..60), seed: u64
    ) {
        let best = ranking(&logits)[0];
        for sampler in
            [Sampler::new(0.0, 0, 1.0, seed), Sampler::new(1.0, 1, 1.0, seed), Sampler::new(1.0, 0, 0.0, seed)]
        {
            prop_assert_eq!(draws(sampler, &logits, 3), [best; 3]);
        }
    }

    #[test]
    fn the_same_seed_draws_the_same_tokens(logits in prop::collection::vec(-3f32..3.0, 1..60), seed: u64) {
        let sampler = Sampler::new(0.9, 20, 0.95, seed);
        prop_assert_eq!(draws(sampler.clone(), &logits, 30), draws(sampler, &logits, 30));
    }
}

#[test]
fn the_highest_logits_are_found_in_their_order_however_many() {
    let mut state = 1u32;
    for len in [1, 2, 63, 64, 65, 500] {
        let logits: Vec<f32> = (0..len)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Few values, so that many are equal.
                (state >> 27) as f32
            })
            .collect();
        let mut ids: Vec<u32> = (0..len).collect();
        ids.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
        for count in [0, 1, 2, 5, 64, 65, 400, 600] {
            let found: Vec<u32> =
                Chance::of(0, &logits, count).alternatives.into_iter().map(|(id, _)| id).collect();
            assert_eq!(found, ids[..count.min(ids.len())], "{count} of {len}");
        }
    }
}

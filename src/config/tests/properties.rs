//! Properties that hold for any file.

use std::collections::HashSet;

use proptest::prelude::*;

use super::super::{load, read_frozen, render_frozen};
use super::frozen::kept;
use super::{Folder, LoadOptions, plans};

const SEEDS: [&str; 3] = [
    include_str!("../../../experiments/quickstart.toml"),
    include_str!("../../../experiments/shakespeare-124m.toml"),
    include_str!("../../../experiments/learning-rate-sweep.toml"),
];

/// Pieces that turn one TOML file into another, often a wrong one.
const PIECES: [&str; 14] = [
    "[",
    "]",
    "=",
    "\"",
    "\n",
    "#",
    "[[sweep.zip]]\n",
    "extends = \"a.toml\"\n",
    "nan",
    "-1",
    "[sweep.grid]\n",
    "é",
    "1e400",
    "{",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_sweep_has_the_product_of_its_axes_and_all_its_runs_differ(
        layers in proptest::collection::hash_set(1u32..20, 1..4),
        pairs in proptest::collection::hash_set(1u32..50, 1..4),
        seed in 0u64..1 << 53,
        repeats in 1u64..4,
    ) {
        let steps: Vec<u32> = pairs.iter().map(|pair| pair + 100).collect();
        let text = format!(
            "[experiment]\nseed = {seed}\nrepeats = {repeats}\n[sweep.grid]\nmodel.n_layer = {layers:?}\n\
             [[sweep.zip]]\ntrain.batch_size = {pairs:?}\ntrain.max_steps = {steps:?}\n",
        ).replace('{', "[").replace('}', "]");
        let plans = plans(&text);
        prop_assert_eq!(plans.len() as u64, layers.len() as u64 * pairs.len() as u64 * repeats);
        let names: HashSet<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        prop_assert_eq!(names.len(), plans.len());
        for plan in &plans {
            prop_assert_eq!(plan.train.max_steps, plan.train.batch_size as u64 + 100);
            prop_assert_eq!(plan.experiment.seed, seed + plan.repeat);
        }
    }

    #[test]
    fn freezing_and_reading_back_keeps_the_plan(
        description in "\\PC*",
        prompt in ".+",
        rate in 1e-8f64..1.0,
        n_head in 1usize..16,
        width in 1usize..64,
        val_fraction in prop_oneof![Just(0.0), 0.0f64..0.9],
        curve in proptest::collection::btree_map(0u64..1000, 0.0f64..12.0, 0..5),
    ) {
        let curve: Vec<String> = curve.iter().map(|(step, loss)| format!("[{step}, {loss:?}]")).collect();
        let string = |text: &str| super::super::value_text(&text.into());
        let text = format!(
            "[experiment]\ndescription = {}\n[model]\nn_head = {n_head}\nn_embd = {}\n[data]\npath = \"texts\"\n\
             val_fraction = {val_fraction:?}\n[optimizer]\nlearning_rate = {rate:?}\n[sample]\nprompts = [{}]\n\
             [reference]\nname = \"r\"\ncurve = [{}]\n",
            string(&description), n_head * width, string(&prompt), curve.join(", "),
        );
        let folder = Folder::new(&[("a.toml", &text)]);
        let plan = folder.load(&["a.toml"], &LoadOptions::default()).expect("valid").remove(0);
        let frozen = folder.write("config.toml", &render_frozen(&plan));
        let again = read_frozen(&frozen, None).unwrap_or_else(|errors| panic!("{errors}"));
        prop_assert_eq!(kept(again), kept(plan));
    }

    #[test]
    fn no_mutation_of_a_file_makes_loading_panic(
        seed in 0..SEEDS.len(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len(), 0usize..12), 1..6),
    ) {
        let mut text = SEEDS[seed].to_owned();
        for (at, piece, cut) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.floor_char_boundary((start + cut).min(text.len()));
            text.replace_range(start.min(end)..end, PIECES[piece]);
        }
        let folder = Folder::new(&[("a.toml", &text)]);
        if let Err(errors) = load(&[folder.path("a.toml")], &LoadOptions::default()) {
            prop_assert!(errors.to_string().contains("nothing was started"));
        }
    }

    #[test]
    fn no_text_after_set_makes_loading_panic(set in ".{0,40}", key in 0..super::super::schema::KEYS.len()) {
        let folder = Folder::new(&[("a.toml", "")]);
        let named = format!("{}={set}", super::super::schema::KEYS[key].name);
        for set in [set, named] {
            let options = LoadOptions { set: vec![set], ..LoadOptions::default() };
            let _ = load(&[folder.path("a.toml")], &options).map_err(|errors| errors.to_string());
        }
    }
}

//! Which layer wins, and what the sources say.

use super::super::experiment::{DataSource, Preset, RunPlan};
use super::super::schema::KEYS;
use super::super::value_text;
use super::{Folder, LoadOptions, plan, plans_with};

fn source(plan: &RunPlan, key: &str) -> String {
    plan.resolved_key(key).expect("resolved").source
}

/// The source without the folder of the test.
fn file_source(plan: &RunPlan, key: &str) -> String {
    source(plan, key).rsplit('/').next().unwrap_or_default().to_owned()
}

#[test]
fn an_empty_file_is_an_experiment_of_defaults_named_after_it() {
    let plan = plan("");
    assert_eq!((plan.experiment.name.as_str(), plan.name.as_str()), ("a", "seed=1337"));
    assert_eq!(plan.sequence_length(), plan.model.block_size);
    assert_eq!(plan.schedule.decays_over(plan.train.max_steps), plan.train.max_steps);
    assert_eq!((plan.target.threshold, plan.reference.result()), (None, None));
    let keys: Vec<&str> = plan.resolved().iter().map(|resolved| resolved.key).collect();
    assert_eq!(keys, KEYS.iter().map(|key| key.name).collect::<Vec<_>>());
    assert!(
        plan.resolved()
            .iter()
            .all(|resolved| resolved.source == "default" || resolved.key == "experiment.name")
    );
}

#[test]
fn set_beats_sweep_beats_file_beats_parent_beats_default() {
    let folder = Folder::new(&[
        (
            "parent.toml",
            "[train]\nmax_steps = 2\nbatch_size = 2\nseed = 0\n".replace("seed = 0\n", "").as_str(),
        ),
        (
            "a.toml",
            "extends = \"parent.toml\"\n[train]\nmax_steps = 3\n[sweep.grid]\nmodel.n_layer = [5]\noptimizer.beta1 = [0.5]\n",
        ),
    ]);
    let options = LoadOptions { set: vec!["optimizer.beta1=0.6".into()], ..LoadOptions::default() };
    let plans = folder.load(&["a.toml"], &options).expect("valid");
    let [plan] = plans.as_slice() else { panic!("one plan") };
    assert_eq!((plan.train.max_steps, file_source(plan, "train.max_steps").as_str()), (3, "a.toml:3"));
    assert_eq!((plan.train.batch_size, file_source(plan, "train.batch_size").as_str()), (2, "parent.toml:3"));
    assert_eq!((plan.model.n_layer, source(plan, "model.n_layer").as_str()), (5, "sweep"));
    assert_eq!((plan.optimizer.beta1, source(plan, "optimizer.beta1").as_str()), (0.6, "--set"));
    assert_eq!((plan.optimizer.beta2, source(plan, "optimizer.beta2").as_str()), (0.95, "default"));
}

#[test]
fn later_parents_win_over_earlier_ones_and_names_and_sweeps_are_not_inherited() {
    let folder = Folder::new(&[
        (
            "one.toml",
            "[experiment]\nname = \"one\"\nrun = \"best\"\n[train]\nmax_steps = 1\nbatch_size = 1\n[sweep.grid]\nmodel.n_layer = [1, 2]\n",
        ),
        ("two.toml", "[train]\nmax_steps = 2\n"),
        ("a.toml", "extends = [\"one.toml\", \"two.toml\"]\n"),
    ]);
    let plans = folder.load(&["a.toml"], &LoadOptions::default()).expect("valid");
    let [plan] = plans.as_slice() else { panic!("one plan, not {}", plans.len()) };
    assert_eq!((plan.experiment.name.as_str(), plan.name.as_str()), ("a", "seed=1337"));
    assert_eq!((plan.train.max_steps, plan.train.batch_size), (2, 1));
}

#[test]
fn a_preset_gives_sizes_that_its_own_and_stronger_layers_override() {
    let beside = plan("[model]\nn_layer = 2\npreset = \"gpt2\"\n");
    assert_eq!((beside.model.n_layer, beside.model.n_embd, beside.model.vocab_size), (2, 768, Some(50_257)));
    assert_eq!(source(&beside, "model.n_embd"), "preset gpt2");
    assert_eq!(file_source(&beside, "model.n_layer"), "a.toml:2");

    let above = plans_with("[model]\nn_layer = 2\nn_embd = 64\n", &["model.preset=gpt2-xl"]).remove(0);
    assert_eq!((above.model.n_layer, above.model.n_head, above.model.n_embd), (48, 25, 1600));
    assert_eq!(above.model.preset, Some(Preset::Gpt2Xl));

    let below = plans_with("[model]\npreset = \"gpt2-medium\"\n", &["model.n_layer=3"]).remove(0);
    assert_eq!((below.model.n_layer, below.model.n_embd), (3, 1024));
}

#[test]
fn path_and_corpus_replace_each_other_in_weaker_layers() {
    let corpus = plans_with("[data]\npath = \"x.txt\"\n", &["data.corpus=tinyshakespeare"]).remove(0);
    assert_eq!(corpus.data.source(), DataSource::Corpus("tinyshakespeare".into()));
    let path = plans_with("[data]\ncorpus = \"tinyshakespeare\"\n", &["data.path=x.txt"]).remove(0);
    assert_eq!(path.data.source(), DataSource::Path("x.txt".into()));
}

#[test]
fn paths_are_relative_to_the_file_that_names_them() {
    let folder = Folder::new(&[(
        "a.toml",
        "[data]\npath = \"x.txt\"\n[train]\ninit_from = \"/abs/model.safetensors\"\n",
    )]);
    let plan = folder.load(&["a.toml"], &LoadOptions::default()).expect("valid").remove(0);
    assert_eq!(plan.data.source(), DataSource::Path(folder.path("x.txt")));
    assert_eq!(plan.train.init_from.as_deref(), Some("/abs/model.safetensors".as_ref()));
}

#[test]
fn a_file_named_twice_counts_once() {
    let folder = Folder::new(&[("a.toml", "")]);
    assert_eq!(folder.load(&["a.toml", "a.toml"], &LoadOptions::default()).expect("valid").len(), 1);
}

#[test]
fn zero_stands_for_what_the_manual_says() {
    let wsd = plan("[schedule]\nkind = \"warmup-stable-decay\"\n[train]\nmax_steps = 500\n");
    assert_eq!(wsd.schedule.decays_over(wsd.train.max_steps), 50);
    let silent = plan("[data]\nval_fraction = 0.0\n");
    assert_eq!(silent.train.eval_interval, 0);
    let limited = plan("[train]\nmax_time = \"1h 30m\"\n");
    assert_eq!(limited.train.max_time.secs, Some(5400.0));
    assert_eq!(plan("[hardware]\nthreads = 2\n").hardware.threads, Some(2));
    let muon =
        plan("[optimizer]\nkind = \"muon\"\nlearning_rate = 0.02\nadamw_learning_rate = 0\n").optimizer;
    assert_eq!(muon.rate_of_adamw(), 0.02);
}

#[test]
fn muon_has_the_momentum_of_pytorch_unless_another_one_is_set() {
    let momentum = |text: &str| {
        let plan = plan(text);
        let shown = plan.resolved_key("optimizer.momentum").expect("a key");
        assert_eq!(shown.value.as_float(), Some(plan.optimizer.momentum));
        plan.optimizer.momentum
    };
    assert_eq!(momentum("[optimizer]\nkind = \"muon\"\n"), 0.95);
    assert_eq!(momentum("[optimizer]\nkind = \"muon\"\nmomentum = 0.9\n"), 0.9);
    assert_eq!(momentum("[optimizer]\nkind = \"sgd\"\n"), 0.9);
}

#[test]
fn muon_has_rates_of_its_own_unless_its_updates_are_as_large_as_adamw_s() {
    let rates = |text: &str| {
        let plan = plan(&format!("[optimizer]\nkind = \"muon\"\n{text}")).optimizer;
        (plan.learning_rate, plan.rate_of_adamw())
    };
    assert_eq!(rates(""), (0.02, 3e-3));
    assert_eq!(rates("learning_rate = 0.05\n"), (0.05, 3e-3));
    assert_eq!(rates("adamw_learning_rate = 0\n"), (0.02, 0.02));
    assert_eq!(rates("adjust_lr_fn = \"match_rms_adamw\"\n"), (3e-4, 3e-4));
    // Another kind that is inherited or set wins over what is usual for the file's.
    assert_eq!(plan("[optimizer]\nkind = \"adamw\"\n").optimizer.learning_rate, 3e-4);
    let shown = plan("[optimizer]\nkind = \"muon\"\n").resolved();
    let rate = shown.iter().find(|key| key.key == "optimizer.learning_rate").expect("a key");
    assert_eq!(rate.source, "usual for muon");
}

#[test]
fn only_coefficients_that_were_set_are_said_to_be_a_run_s_own() {
    let said = |text: &str| {
        let plan = plan(&format!("[optimizer]\nkind = \"muon\"\n{text}"));
        let value = |leaf: &str| {
            let key = plan.resolved_key(&format!("optimizer.{leaf}")).expect("a key");
            value_text(&key.value)
        };
        (plan.optimizer.kind.facts().describe)(&value)
    };
    assert!(!said("").contains("custom coefficients"), "{}", said(""));
    assert!(said("ns_coefficients = [2.0, -1.5, 0.5]\n").contains("custom coefficients"));
}

#[test]
fn coefficients_are_those_of_all_iterations_or_of_each() {
    let coefficients =
        |text: &str| plan(&format!("[optimizer]\nns_steps = 3\n{text}")).optimizer.coefficients();
    assert_eq!(coefficients(""), [[3.4445, -4.775, 2.0315]; 3]);
    assert_eq!(coefficients("ns_coefficients = [2, -1.5, 0.5]\n"), [[2.0, -1.5, 0.5]; 3]);
    let two = coefficients("ns_coefficients = [[8, -20, 14], [2.0, -1.5, 0.5]]\n");
    assert_eq!(two, [[8.0, -20.0, 14.0], [2.0, -1.5, 0.5], [2.0, -1.5, 0.5]]);
}

/// A value other than the default for each key, with whatever else it needs to be valid.
fn other_value(key: &str) -> (&'static str, &'static str) {
    let target = "[target]\nthreshold = 0.5\n";
    let named = "[reference]\nname = \"x\"\n";
    match key {
        "experiment.name" | "experiment.run" | "experiment.description" | "experiment.hypothesis" => {
            ("\"other\"", "")
        }
        "experiment.tags" => ("[\"x\"]", ""),
        "experiment.repeats" => ("2", ""),
        "experiment.same_losses_within" => ("0.01", ""),
        "model.preset" => ("\"gpt2\"", ""),
        "model.n_embd" => ("256", ""),
        "model.vocab_size" => ("512", ""),
        "model.bias" | "train.final_eval" => ("false", ""),
        "optimizer.decay_all" | "train.activation_checkpointing" => ("true", ""),
        "data.corpus" => ("\"tinyshakespeare\"", ""),
        "data.path" | "train.init_from" => ("\"other\"", ""),
        "data.tokenizer" => ("\"byte\"", ""),
        "data.order" => ("\"sequential\"", ""),
        "data.weights" => ("[1, 2]", "[data]\npath = [\"a\", \"b\"]\n"),
        "data.text_column" => ("\"content\"", ""),
        "data.separator" => ("\"none\"", ""),
        "data.special_tokens" | "data.cache" => ("false", ""),
        "train.sequence_length" => ("32", ""),
        "train.max_time" => ("\"5m\"", ""),
        "optimizer.kind" => ("\"sgd\"", ""),
        "optimizer.nesterov" | "optimizer.split_qkv" => ("false", ""),
        "optimizer.ns_coefficients" => ("[2.0, -1.5, 0.5]", ""),
        "optimizer.adjust_lr_fn" => ("\"match_rms_adamw\"", ""),
        "schedule.kind" => ("\"linear\"", ""),
        "target.metric" => ("\"val_loss\"", target),
        "checkpoint.keep_last" => ("5", ""),
        "sample.prompts" => ("[\"x\"]", ""),
        "on_failure.timeout" => ("\"5m\"", ""),
        "on_failure.halve_batch" => ("true", ""),
        "scripted.fail_as" => ("\"panic\"", ""),
        "hardware.device" => ("\"cpu\"", ""),
        "hardware.requires" => ("[\"cuda\"]", ""),
        "hardware.dtype" => ("\"f16\"", ""),
        "reference.name" | "reference.source" | "reference.hardware" => ("\"other\"", ""),
        "reference.curve" => ("[[1, 2.0]]", named),
        "reference.final_loss" | "reference.secs" => ("0.25", named),
        "reference.steps" => ("2", named),
        _ => match super::super::schema::key(key).expect("a key").kind {
            super::super::schema::Kind::Number { .. } => ("0.25", ""),
            _ => ("2", ""),
        },
    }
}

/// What was resolved follows from the rest, and so does the name that a run has from its seed: without them only what
/// is read remains.
fn read_parts(mut plan: RunPlan) -> RunPlan {
    plan.sources.clear();
    plan.idle.clear();
    if plan.name.starts_with("seed=") {
        plan.name.clear();
    }
    plan
}

#[test]
fn every_key_that_is_accepted_is_read() {
    for key in KEYS {
        let (value, needs) = other_value(key.name);
        let header = format!("[{}]\n", key.section);
        let line = format!("{} = {value}\n", key.leaf);
        let without = if needs.is_empty() { header.clone() } else { needs.to_owned() };
        let with = if needs.starts_with(&header) {
            format!("{needs}{line}")
        } else {
            format!("{needs}{header}{line}")
        };
        let before: Vec<RunPlan> = super::plans(&without).into_iter().map(read_parts).collect();
        let after: Vec<RunPlan> = super::plans(&with).into_iter().map(read_parts).collect();
        assert_ne!(before, after, "{} = {value} changes nothing", key.name);
    }
}

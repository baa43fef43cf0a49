//! Keys that were set and do nothing.

use super::super::{IdleKey, idle_sentences, render_frozen};
use super::{Folder, LoadOptions, plan, plans_with};

/// What is told of the runs of a file, each once, without the folder that it lies in.
fn told(text: &str, set: &[&str]) -> Vec<String> {
    let mut told: Vec<String> = Vec::new();
    for plan in plans_with(text, set) {
        for sentence in sentences(plan.idle) {
            if !told.contains(&sentence) {
                told.push(sentence);
            }
        }
    }
    told
}

fn sentences(keys: Vec<IdleKey>) -> Vec<String> {
    let here = |key: IdleKey| {
        let place = match key.place.rsplit_once('/') {
            Some((before, file)) if before.starts_with("swept at ") => format!("swept at {file}"),
            Some((_, file)) => file.to_owned(),
            None => key.place.clone(),
        };
        IdleKey { place, ..key }
    };
    idle_sentences(&keys.into_iter().map(here).collect::<Vec<_>>())
}

fn keys(text: &str) -> Vec<&'static str> {
    plan(text).idle.iter().map(|key| key.key).collect()
}

#[test]
fn a_key_without_effect_is_told_with_value_place_reason_and_what_to_do() {
    let text = "[schedule]\nmin_lr = 1e-5\n";
    assert_eq!(
        told(text, &[]),
        [
            "`schedule.min_lr = 1e-5` (a.toml:2) has no effect: `schedule.kind` is \"constant\", and the learning rate never falls; set \
             `schedule.kind` to \"linear\", \"cosine\" or \"warmup-stable-decay\", or leave it out"
        ]
    );
    assert!(told(&format!("{text}kind = \"cosine\"\n"), &[]).is_empty());
    let set = told("", &["checkpoint.interval=0", "checkpoint.keep_last=5"]);
    assert!(
        set[0].starts_with("`checkpoint.keep_last = 5` (--set) has no effect: `checkpoint.interval` is 0"),
        "{set:?}"
    );
}

#[test]
fn keys_that_one_switch_leaves_without_effect_are_told_in_one_sentence() {
    let text = "[sample]\nprompts = [\"a\"]\ntop_k = 3\n[checkpoint]\nkeep_last = 3\n";
    let told = told(text, &["sample.interval=0", "checkpoint.interval=0"]);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.contains(
            &"`sample.prompts = [\"a\"]` and `sample.top_k = 3` (a.toml:2, a.toml:3) have no effect: `sample.interval` is 0, and there are no \
              samples; set `sample.interval` above 0, or leave them out"
                .to_owned()
        ),
        "{told:?}"
    );
}

#[test]
fn every_kind_of_key_without_effect_is_found() {
    let cases: &[(&str, &[&str])] = &[
        ("[schedule]\nmin_lr = 1e-5\ndecay_steps = 10\n", &["schedule.decay_steps", "schedule.min_lr"]),
        ("[optimizer]\nmomentum = 0.9\nns_steps = 5\n", &["optimizer.momentum", "optimizer.ns_steps"]),
        (
            "[optimizer]\nkind = \"sgd\"\nbeta1 = 0.9\nbeta2 = 0.9\neps = 1e-8\n",
            &["optimizer.beta1", "optimizer.beta2", "optimizer.eps"],
        ),
        ("[optimizer]\nkind = \"muon\"\nmomentum_start = 0.8\n", &["optimizer.momentum_start"]),
        ("[optimizer]\nweight_decay = 0.0\ndecay_all = true\n", &["optimizer.decay_all"]),
        ("[target]\nmetric = \"val_loss\"\n", &["target.metric"]),
        ("[checkpoint]\ninterval = 0\nkeep_last = 3\n", &["checkpoint.keep_last"]),
        ("[data]\nval_fraction = 0.0\n[train]\neval_batches = 3\n", &["train.eval_batches"]),
        ("[train]\neval_interval = 0\neval_batches = 3\n", &["train.eval_batches"]),
        (
            "[sample]\ninterval = 0\nprompts = [\"a\"]\nmax_new_tokens = 5\ntemperature = 0.5\ntop_k = 3\ntop_p = 0.5\nseed = 2\n",
            &[
                "sample.prompts",
                "sample.max_new_tokens",
                "sample.temperature",
                "sample.top_k",
                "sample.top_p",
                "sample.seed",
            ],
        ),
        ("[sample]\ntemperature = 0\ntop_k = 3\nseed = 2\n", &["sample.top_k", "sample.seed"]),
        ("[sample]\ntemperature = 0.5\ntop_k = 1\n", &["sample.temperature"]),
        ("[data]\nseparator = \"none\"\ntext_column = \"body\"\n", &["data.text_column", "data.separator"]),
        ("[data]\npath = \"x.txt\"\ntext_column = \"body\"\n", &["data.text_column"]),
        ("[data]\nspecial_tokens = true\ncache = true\n", &["data.special_tokens", "data.cache"]),
        ("[data]\npath = \"a.jsonl\"\nweights = [1]\n", &["data.weights"]),
        (
            "[on_failure]\nretry_killed = 0\nretry_device = 0\nretry_timeout = 0\nbackoff_secs = 5\n",
            &["on_failure.backoff_secs"],
        ),
        ("[on_failure]\nretry_timeout = 3\n", &["on_failure.retry_timeout"]),
        ("[on_failure]\nhalve_batch = true\n[train]\nbatch_size = 1\n", &["on_failure.halve_batch"]),
        ("[experiment]\nsame_losses_within = 0.1\n", &["experiment.same_losses_within"]),
        ("[scripted]\nnoise = 0.5\n", &["scripted.noise"]),
        ("[hardware]\ndevice = \"scripted\"\n[scripted]\nfail_as = \"panic\"\n", &["scripted.fail_as"]),
    ];
    for (text, expected) in cases {
        assert_eq!(keys(text), *expected, "{text}");
    }
}

#[test]
fn what_has_an_effect_is_not_told() {
    for text in [
        "",
        "[schedule]\nkind = \"linear\"\nmin_lr = 1e-5\nwarmup_steps = 5\n",
        "[schedule]\nwarmup_steps = 5\n",
        "[target]\nmetric = \"val_loss\"\nthreshold = 1.0\n",
        "[sample]\ninterval = 0\n",
        "[data]\npath = \"x.jsonl\"\ntext_column = \"body\"\nseparator = \"none\"\ncache = false\n",
        "[data]\ntokenizer = \"gpt2\"\nspecial_tokens = true\n",
        "[on_failure]\ntimeout = \"1h\"\nretry_timeout = 3\nbackoff_secs = 3\n",
        "[data]\npath = [\"a.txt\", \"b.txt\"]\nseparator = \"line_break\"\n",
        // What says that nothing is wanted, where there is nothing.
        "[schedule]\nmin_lr = 0.0\n",
        "[on_failure]\nhalve_batch = false\n[train]\nbatch_size = 1\n",
        // A preset's sizes and an optimizer's usual numbers were set by nobody.
        "[model]\npreset = \"gpt2\"\n[optimizer]\nkind = \"muon\"\n",
    ] {
        assert_eq!(keys(text), Vec::<&str>::new(), "{text}");
    }
}

#[test]
fn a_sweep_tells_each_once_and_only_what_no_run_reads() {
    let text = "[schedule]\nmin_lr = 1e-5\n[sweep.grid]\noptimizer.learning_rate = [1e-3, 2e-3]\n";
    assert_eq!(told(text, &[]).len(), 1);
    // One of the runs reads it.
    let text = "[schedule]\nmin_lr = 1e-5\n[sweep.grid]\nschedule.kind = [\"constant\", \"cosine\"]\n";
    assert!(told(text, &[]).is_empty());
    // Runs that differ in nothing that is read.
    let text = "[sweep.grid]\nschedule.min_lr = [1e-5, 1e-4]\n";
    let swept = told(text, &[]);
    assert!(swept.len() == 1 && swept[0].starts_with("`schedule.min_lr` (swept at "), "{swept:?}");
}

#[test]
fn an_inherited_key_is_told_with_the_file_that_has_it() {
    let folder = Folder::new(&[
        ("parent.toml", "[optimizer]\nkind = \"sgd\"\nmomentum = 0.8\n"),
        ("a.toml", "extends = \"parent.toml\"\n[optimizer]\nkind = \"adamw\"\n"),
    ]);
    let plans = folder.load(&["a.toml"], &LoadOptions::default()).expect("valid");
    assert_eq!(
        sentences(plans[0].idle.clone()),
        [
            "`optimizer.momentum = 0.8` (parent.toml:3) has no effect: `optimizer.kind` is \"adamw\"; set `optimizer.kind = \"sgd\"` or \
             `\"muon\"`, or leave it out"
        ]
    );
}

#[test]
fn a_frozen_configuration_has_every_key_and_tells_nothing() {
    let folder = Folder::new(&[("config.toml", &render_frozen(&plan("[schedule]\nmin_lr = 1e-5\n")))]);
    let plans = folder.load(&["config.toml"], &LoadOptions::default()).expect("valid");
    assert_eq!(plans[0].idle, []);
}

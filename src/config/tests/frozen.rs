//! `config.toml` of a run directory.

use std::path::Path;

use super::super::experiment::{DataSource, RunPlan};
use super::super::frozen::is_of_the_first;
use super::super::schema;
use super::super::{load, read_frozen, render_frozen};
use super::{Folder, LoadOptions};

/// What a frozen plan keeps: everything but what belongs to the sweep it came from.
pub(super) fn kept(mut plan: RunPlan) -> RunPlan {
    plan.point.clear();
    plan.repeat = 0;
    plan.experiment.repeats = 1;
    plan.sources.clear();
    plan.idle.clear();
    // It is what `name` says.
    plan.experiment.run = None;
    plan
}

#[test]
fn every_run_of_the_checked_in_experiments_survives_freezing() {
    let experiments = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let names =
        ["quickstart.toml", "shakespeare-124m.toml", "shakespeare-mini.toml", "learning-rate-sweep.toml"];
    let files: Vec<_> = names.iter().map(|name| experiments.join(name)).collect();
    let folder = Folder::new(&[]);
    for plan in load(&files, &LoadOptions::default()).expect("valid") {
        let path = folder.write("config.toml", &render_frozen(&plan));
        let again = read_frozen(&path, None).unwrap_or_else(|errors| panic!("{errors}"));
        let values = |plan: &RunPlan| {
            let own = |key: &str| {
                !["experiment.repeats", "experiment.run"].contains(&key) && !key.starts_with("reference.")
            };
            plan.resolved().into_iter().filter(|key| own(key.key)).map(|key| key.value).collect::<Vec<_>>()
        };
        assert_eq!(values(&again), values(&plan));
        assert_eq!(kept(again), kept(plan));
    }
}

#[test]
fn a_frozen_file_names_sources_and_makes_paths_absolute() {
    let options = LoadOptions { set: vec!["data.path=texts".into()], ..LoadOptions::default() };
    let folder =
        Folder::new(&[("a.toml", "[experiment]\nrepeats = 2\ndescription = \"two\\nlines # and more\"\n")]);
    let plans = folder.load(&["a.toml"], &options).expect("valid");
    let text = render_frozen(&plans[1]);
    assert!(text.contains("\nrepeats = 1 "), "{text}");
    assert!(text.contains("\nseed = 1338                              # default, repeat 1\n"), "{text}");
    assert!(text.contains("\nkind = \"adamw\"                           # default\n"), "{text}");
    assert!(!text.contains("[reference]"), "{text}");
    let path = text.lines().find(|line| line.starts_with("path = ")).expect("a path");
    assert!(path.ends_with("# --set"), "{path}");
    let frozen =
        read_frozen(&folder.write("config.toml", &text), None).unwrap_or_else(|errors| panic!("{errors}"));
    let expected = std::env::current_dir().expect("a working directory").join("texts");
    assert_eq!(frozen.data.source(), DataSource::Path(expected));
    assert_eq!((frozen.experiment.name.as_str(), frozen.name.as_str()), ("a", "seed=1338"));
}

#[test]
fn the_frozen_runs_of_a_sweep_can_be_given_together_and_keep_their_names() {
    let text = "[sweep.grid]\nscripted.floor_loss = [0.05, 0.1]\noptimizer.learning_rate = [1e-3]\n\
                sample.prompts = [[\"a\", \"b\"]]\n";
    let folder = Folder::new(&[("sw.toml", text)]);
    let none = LoadOptions::default();
    let plans = folder.load(&["sw.toml"], &none).expect("valid");
    assert_eq!(plans[0].name, "floor_loss=0.05,learning_rate=0.001,prompts=a+b,seed=1337");
    let files = ["one.toml", "two.toml"];
    for (file, plan) in files.iter().zip(&plans) {
        folder.write(file, &render_frozen(plan));
    }
    let again = folder.load(&files, &none).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(
        again.into_iter().map(kept).collect::<Vec<_>>(),
        plans.into_iter().map(kept).collect::<Vec<_>>()
    );

    let with_sweep = folder.errors(&["sw.toml", "one.toml"], &none);
    assert!(with_sweep.contains("two experiments are called \"sw\"\n --> one.toml"), "{with_sweep}");
    folder.write("copy.toml", &std::fs::read_to_string(folder.path("two.toml")).expect("readable"));
    let copies = folder.errors(&["one.toml", "two.toml", "copy.toml"], &none);
    assert!(copies.contains("two runs are called \"sw/floor_loss=0.1,learning_rate=0.001,"), "{copies}");
    assert!(copies.contains("the other one is two.toml"), "{copies}");
}

#[test]
fn a_file_with_several_runs_is_not_a_frozen_one() {
    let folder = Folder::new(&[("config.toml", "[experiment]\nrepeats = 3\n")]);
    let error = read_frozen(&folder.path("config.toml"), None).expect_err("an error").to_string();
    assert!(error.contains("plans 3 runs, where a single one is needed"), "{error}");
}

#[test]
fn a_frozen_file_that_lacks_a_key_is_an_error_that_names_it() {
    let folder = Folder::new(&[("a.toml", "[optimizer]\nlearning_rate = 3e-3\n")]);
    let text = render_frozen(&folder.load(&["a.toml"], &LoadOptions::default()).expect("valid")[0]);
    let refused = |text: &str, sum: Option<&str>| {
        let path = folder.write("config.toml", text);
        read_frozen(&path, sum).expect_err("an error").to_string()
    };
    // Cut before a section, and a single line gone, each of them.
    let cut = &text[..text.find("[optimizer]").expect("a section")];
    assert!(refused(cut, None).contains("`optimizer.learning_rate`"), "{}", refused(cut, None));
    let mut section = String::new();
    for (index, line) in text.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        }
        let Some((leaf, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) else { continue };
        let key = format!("{section}.{leaf}");
        let rest: Vec<&str> =
            text.lines().enumerate().filter(|(i, _)| *i != index).map(|(_, line)| line).collect();
        let rest = rest.join("\n") + "\n";
        // With its sum every key is missed, without it those that every version had.
        let problem = refused(&rest, Some(&crate::files::sha256(text.as_bytes())));
        assert!(problem.contains(&format!("`{key}`")) && problem.contains("config.toml"), "{problem}");
        if schema::key(&key).is_some_and(is_of_the_first) {
            assert!(refused(&rest, None).contains(&format!("`{key}`")), "{key}");
        }
    }
}

#[test]
fn a_frozen_file_is_what_was_written_or_an_error() {
    let folder = Folder::new(&[("a.toml", "[optimizer]\nlearning_rate = 3e-3\n")]);
    let text = render_frozen(&folder.load(&["a.toml"], &LoadOptions::default()).expect("valid")[0]);
    let sum = crate::files::sha256(text.as_bytes());
    let path = folder.write("config.toml", &text);
    let plan = read_frozen(&path, Some(&sum)).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(plan.optimizer.learning_rate, 3e-3);
    for (before, after) in
        [("0.003", "0.004"), ("[optimizer]", "[optimizer] "), ("[optimizer]", "[optimizer")]
    {
        let other = text.replace(before, after);
        assert_ne!(other, text);
        let problem = read_frozen(&folder.write("config.toml", &other), Some(&sum)).expect_err("an error");
        let problem = problem.to_string();
        assert!(problem.contains("not what was written") && problem.contains("--again"), "{problem}");
    }
}

#[test]
fn a_frozen_file_of_a_version_that_had_fewer_keys_is_read() {
    let folder = Folder::new(&[("a.toml", "")]);
    let plan = folder.load(&["a.toml"], &LoadOptions::default()).expect("valid").remove(0);
    let (mut text, mut section, mut kept_lines) = (String::new(), String::new(), 0);
    for line in render_frozen(&plan).lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        }
        let key = line.split_once(" = ").and_then(|(leaf, _)| schema::key(&format!("{section}.{leaf}")));
        if key.is_none_or(is_of_the_first) {
            kept_lines += usize::from(key.is_some());
            text.push_str(line);
            text.push('\n');
        }
    }
    assert_eq!(kept_lines, 65, "the first configurations had so many keys besides those of a reference");
    let read =
        read_frozen(&folder.write("config.toml", &text), None).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(kept(read).optimizer, kept(plan).optimizer);
}

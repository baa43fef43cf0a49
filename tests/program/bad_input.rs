//! What a person can get wrong: a clear error with its place, exit code 2, and nothing started.

use crate::shop::Shop;

/// Refused with these words, and no run directory made.
#[track_caller]
fn refused(experiment: &str, parts: &[&str]) {
    let shop = Shop::new();
    shop.experiment("bad.toml", experiment);
    shop.run(&["bad.toml"]).expect(2).says(parts);
    assert!(!shop.has("runs"));
}

#[track_caller]
fn refused_with(set: &str, parts: &[&str]) {
    let shop = Shop::new();
    shop.experiment("bad.toml", "");
    shop.run(&["bad.toml", "--set", set]).expect(2).says(parts);
    assert!(!shop.has("runs"));
}

#[test]
fn a_toml_syntax_error_names_file_and_line() {
    let shop = Shop::new();
    shop.write("bad.toml", "[model]\nn_layer = = 3\n");
    shop.run(&["bad.toml"]).expect(2).says(&["bad.toml:2"]);
}

#[test]
fn an_unknown_key_gets_the_key_that_is_meant() {
    refused("[optimizer]\nlr = 1e-3\n", &["bad.toml:", "`lr`", "`learning_rate`"]);
}

#[test]
fn all_problems_of_all_files_are_reported_at_once() {
    let shop = Shop::new();
    shop.experiment("one.toml", "[optimizer]\nlearning_rat = 1e-3\n");
    shop.experiment("two.toml", "[schedule]\nwarmup_steps = 61\n");
    let call = shop.run(&["one.toml", "two.toml"]).expect(2);
    call.says(&["one.toml:", "two.toml:", "learning_rat", "warmup_steps"]);
    assert!(!shop.has("runs"));
}

#[test]
fn a_wrong_type_is_named() {
    refused("[optimizer]\nlearning_rate = \"fast\"\n", &["bad.toml:", "optimizer.learning_rate", "fast"]);
}

#[test]
fn heads_that_do_not_divide_the_width_are_refused() {
    refused_with("model.n_head=3", &["n_embd", "n_head"]);
}

#[test]
fn zero_and_negative_sizes_are_refused() {
    refused_with("model.n_layer=0", &["model.n_layer"]);
    refused_with("train.batch_size=-1", &["train.batch_size"]);
    refused_with("train.max_steps=0", &["train.max_steps"]);
}

#[test]
fn a_sequence_longer_than_the_context_is_refused() {
    refused_with("train.sequence_length=17", &["train.sequence_length", "block_size"]);
}

#[test]
fn warmup_longer_than_training_is_refused() {
    refused_with("schedule.warmup_steps=61", &["schedule.warmup_steps", "max_steps"]);
}

#[test]
fn an_empty_sweep_axis_is_refused() {
    refused(
        "[sweep.grid]\noptimizer.learning_rate = []\n",
        &["bad.toml:", "optimizer.learning_rate", "no values"],
    );
}

#[test]
fn zipped_axes_of_unequal_length_are_refused() {
    refused(
        "[[sweep.zip]]\nmodel.n_layer = [1, 2]\nmodel.n_embd = [32, 64, 96]\n",
        &["bad.toml:", "go together, but"],
    );
}

#[test]
fn two_experiments_with_one_name_are_refused() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nname = \"same\"\n");
    shop.experiment("b.toml", "[experiment]\nname = \"same\"\n");
    shop.run(&["a.toml", "b.toml"]).expect(2).says(&["same", "a.toml", "b.toml"]);
}

#[test]
fn a_missing_experiment_file_is_refused() {
    let shop = Shop::new();
    shop.run(&["nowhere.toml"]).expect(2).says(&["nowhere.toml"]);
    shop.run(&["plan", "nowhere.toml"]).expect(2);
}

#[test]
fn a_call_without_files_shows_the_usage() {
    let shop = Shop::new();
    shop.run(&[]).expect(2).says(&["Usage"]);
    shop.run(&["-q"]).expect(2);
    shop.run(&["plan"]).expect(2);
}

#[test]
fn missing_empty_and_undecodable_corpora_are_refused_before_anything_starts() {
    for (content, part) in
        [(None, "text.txt"), (Some(&b""[..]), "empty"), (Some(&b"ab\xff\xfe"[..]), "UTF-8")]
    {
        let shop = Shop::new();
        shop.experiment("bad.toml", "");
        if let Some(content) = content {
            shop.write("text.txt", content);
        }
        shop.run(&["bad.toml", "--set", "data.path=text.txt"]).expect(2).says(&["text.txt", part]);
        assert!(!shop.has("runs"));
    }
}

#[test]
fn the_corpora_of_all_experiments_are_looked_at_before_the_first_is_refused() {
    let shop = Shop::new();
    shop.experiment("base.toml", "");
    shop.write(
        "one.toml",
        "extends = \"base.toml\"\n[data]\npath = \"nowhere.txt\"\n[experiment]\nrepeats = 2\n",
    );
    shop.experiment("two.toml", "[sweep.grid]\ndata.tokenizer = [\"char\"]\nmodel.vocab_size = [5]\n");
    let call = shop.run(&["one.toml", "two.toml"]).expect(2);
    let call = call.says(&["error: experiment one: ", "(one.toml:3)", "error: experiment two: ", "(sweep"]);
    assert_eq!(call.stderr.matches("nowhere.txt does not exist").count(), 1, "{}", call.stderr);
    assert!(!shop.has("runs"));
}

#[test]
fn a_corpus_too_short_for_one_window_is_refused() {
    let shop = Shop::new();
    shop.experiment("bad.toml", "");
    shop.write("text.txt", "too short");
    shop.run(&["bad.toml", "--set", "data.path=text.txt"]).expect(2).says(&["sequence_length"]);
}

#[test]
fn a_vocabulary_smaller_than_the_tokenizers_is_refused() {
    refused_with("model.vocab_size=100", &["model.vocab_size", "256"]);
}

#[test]
fn a_character_vocabulary_that_the_model_cannot_hold_is_refused() {
    let shop = Shop::new();
    shop.experiment("bad.toml", "");
    let sets = ["--set", "data.tokenizer=char", "--set", "model.vocab_size=5"];
    let call = shop.run(&[&["bad.toml"][..], &sets[..]].concat()).expect(2);
    call.says(&["vocab_size"]);
}

#[test]
fn an_unwritable_runs_directory_is_named() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    // A file in the way: a folder cannot be made there by anybody.
    shop.write("occupied", "");
    shop.run(&["a.toml", "--runs-dir", "occupied"]).expect(2).says(&["occupied", "--runs-dir"]);
}

#[test]
fn cuda_without_the_feature_says_how_to_build_it() {
    if cfg!(feature = "cuda") {
        return;
    }
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let call = shop.run(&["a.toml", "--set", "hardware.device=cuda"]).expect(2);
    call.says(&["cargo build --release --features cuda"]);
    assert!(!shop.has("runs"));
}

#[test]
fn only_with_a_name_that_matches_nothing_lists_the_names() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml", "--only", "b"])
        .expect(2)
        .says(&["no experiment or run is called `b`", "experiments: a"]);
}

#[test]
fn a_damaged_run_does_not_keep_the_others_from_being_reported() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nrepeats = 3\n");
    shop.run(&["a.toml"]).expect(0);
    // One manifest cut off, one metrics file with half a row and rubbish.
    let manifest = shop.read("runs/a/seed=1337/manifest.toml");
    shop.write("runs/a/seed=1337/manifest.toml", &manifest[..manifest.len() / 8]);
    let metrics = shop.read("runs/a/seed=1338/metrics.csv");
    let half: String = metrics.lines().take(20).map(|line| format!("{line}\n")).collect();
    shop.write("runs/a/seed=1338/metrics.csv", format!("{half}rubbish,\u{0}\n21,4"));
    let call = shop.run(&["report", "a"]).expect(1).says(&["runs/a/seed=1337/manifest.toml"]);
    assert!(call.stdout.contains("seed=1338/report.md") && call.stdout.contains("seed=1339/report.md"));
    assert!(shop.read("runs/a/seed=1338/report.md").contains("metrics.csv"));
    let call = shop.run(&["compare", "a"]).expect(1);
    let page = call.stdout.lines().last().unwrap();
    assert!(shop.read(page.trim()).contains("seed=1337"));
    let list = shop.run(&["ls"]).expect(1);
    assert!(list.stdout.contains("unreadable"), "{}", list.stdout);
}

#[test]
fn an_unknown_run_gets_the_nearest_names() {
    let shop = Shop::new();
    shop.experiment("alpha.toml", "");
    shop.run(&["alpha.toml"]).expect(0);
    shop.run(&["report", "alpah"]).expect(2).says(&["alpah", "alpha"]);
}

#[test]
fn missing_weights_to_start_from_are_refused() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let call = shop.run(&["a.toml", "--set", "train.init_from=nowhere.safetensors"]).expect(2);
    call.says(&["nowhere.safetensors", "train.init_from", "(--set"]);
    // As everything else that is wrong with an experiment, with its place in the file.
    shop.write("b.toml", "extends = \"a.toml\"\n\n[train]\ninit_from = \"nowhere.safetensors\"\n");
    let call = shop.run(&["b.toml"]).expect(2);
    call.says(&["nowhere.safetensors", "`train.init_from` is", "(b.toml:4)"]);
    assert!(!shop.has("runs"));
}

#[test]
fn an_unusable_reports_folder_is_refused_before_a_sweep() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nrepeats = 2\n");
    shop.write("occupied", "");
    let call = shop.run(&["a.toml", "--reports-dir", "occupied"]).expect(2);
    call.says(&["occupied is a file where a folder should be: move it away", "--reports-dir"]);
    assert!(!shop.has("runs"));
}

#[test]
fn a_command_after_options_is_pointed_out() {
    let shop = Shop::new();
    shop.run(&["--runs-dir", "elsewhere", "ls"]).expect(2).says(&["`runner ls ...`"]);
}

#[cfg(unix)]
#[test]
fn an_argument_that_is_not_utf_8_is_an_error_like_any_other() {
    use std::os::unix::ffi::OsStrExt;
    let shop = Shop::new();
    let mut command = shop.command(&["plan"]);
    command.arg(std::ffi::OsStr::from_bytes(b"\xff.toml"));
    assert_eq!(command.output().unwrap().status.code(), Some(2));
}

#[test]
fn a_corpus_that_cannot_be_downloaded_is_said_before_anything_starts() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    // A folder that cannot be made, so that the corpus is never there; no machine of ours answers at this proxy.
    let output = shop
        .command(&["a.toml", "--set", "data.corpus=tinyshakespeare"])
        .env("RUNNER_DATA_DIR", shop.path().join("data"))
        .env("https_proxy", "http://127.0.0.1:9")
        .env("HTTPS_PROXY", "http://127.0.0.1:9")
        .output()
        .unwrap();
    let call = crate::shop::Call::from(output).expect(2);
    call.says(&["tinyshakespeare/input.txt", "86c4e6aa9db7c042", "RUNNER_DATA_DIR"]);
    assert!(!shop.has("runs"));
}

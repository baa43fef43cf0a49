//! The commands beside training.

use crate::shop::Shop;

#[test]
fn plan_expands_and_validates_without_training() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\noptimizer.learning_rate = [1e-3, 1e-4]\n");
    let call = shop.run(&["plan", "a.toml"]).expect(0);
    assert!(call.stdout.contains("a/learning_rate=0.001,seed=1337"), "{}", call.stdout);
    assert!(call.stdout.contains("2 runs"), "{}", call.stdout);
    assert!(!shop.has("runs"));
}

#[test]
fn plan_shows_where_each_value_comes_from() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let call = shop.run(&["plan", "--keys", "a.toml", "--set", "train.max_steps=7"]).expect(0);
    let line = |key: &str| {
        let found = call.stdout.lines().find(|line| line.contains(key));
        found.unwrap_or_else(|| panic!("{key} is not in {}", call.stdout)).to_owned()
    };
    assert!(line("train.max_steps = 7").contains("--set"));
    assert!(line("train.batch_size = 2").contains("a.toml:"));
    assert!(line("optimizer.beta1 =").contains("default"));
}

#[test]
fn the_checked_in_experiments_are_valid() {
    let shop = Shop::new();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().display().to_string())
        .filter(|path| path.ends_with(".toml"))
        .collect();
    files.sort();
    assert!(files.len() >= 4, "{files:?}");
    files.push(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/step.toml").to_owned());
    let arguments: Vec<&str> = std::iter::once("plan").chain(files.iter().map(String::as_str)).collect();
    let call = shop.run(&arguments).expect(0);
    assert!(call.stdout.contains("124,439,808"), "{}", call.stdout);
}

#[test]
fn reports_can_be_deleted_and_made_again_to_the_same_bytes() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nrepeats = 2\n");
    shop.run(&["a.toml"]).expect(0);
    let files = ["runs/a/seed=1337/report.md", "runs/a/seed=1337/plots/loss.svg", "reports/a.md"];
    let before = files.map(|file| shop.read(file));
    for file in files {
        std::fs::remove_file(shop.path().join(file)).unwrap();
    }
    shop.run(&["report"]).expect(0);
    shop.run(&["compare", "a"]).expect(0);
    assert_eq!(files.map(|file| shop.read(file)), before);
}

#[test]
fn compare_needs_two_runs() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml"]).expect(0);
    shop.run(&["compare", "a"]).expect(2).says(&["at least two"]);
}

#[test]
fn ls_shows_status_and_best_loss() {
    let shop = Shop::new();
    assert!(shop.run(&["ls"]).expect(0).stdout.contains("no runs"));
    shop.experiment("a.toml", "[target]\nthreshold = 0.5\n");
    shop.run(&["a.toml"]).expect(0);
    let list = shop.run(&["ls"]).expect(0).stdout;
    let row = list.lines().find(|line| line.contains("a/seed=1337")).unwrap();
    assert!(row.contains("target reached") && row.contains("0.49"), "{row}");
}

#[test]
fn explain_knows_our_names_and_theirs() {
    let shop = Shop::new();
    let ours = shop.run(&["explain", "optimizer.learning_rate"]).expect(0).stdout;
    assert!(ours.contains("optimizer.learning_rate") && ours.to_lowercase().contains("default"), "{ours}");
    let theirs = shop.run(&["explain", "max_iters"]).expect(0).stdout;
    assert!(theirs.contains("train.max_steps"), "{theirs}");
    shop.run(&["explain", "no_such_thing_at_all"]).expect(2);
}

#[test]
fn the_schema_is_json_with_every_section() {
    let shop = Shop::new();
    let schema: serde_json::Value = serde_json::from_str(&shop.run(&["schema"]).expect(0).stdout).unwrap();
    for section in ["experiment", "model", "data", "train", "optimizer", "schedule", "target", "sweep"] {
        assert!(schema["properties"][section].is_object(), "{section}");
    }
}

#[test]
fn quiet_prints_outcomes_only() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let call = shop.run(&["-q", "a.toml"]).expect(0);
    assert_eq!(call.stderr, "");
    assert_eq!(call.stdout.lines().count(), 2, "{}", call.stdout);
}

#[test]
fn other_folders_can_be_named() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nrepeats = 2\n");
    shop.run(&["a.toml", "--runs-dir", "elsewhere/r", "--reports-dir", "elsewhere/c"]).expect(0);
    assert!(shop.has("elsewhere/r/a/seed=1337/report.md") && shop.has("elsewhere/c/a.md"));
    assert!(!shop.has("runs") && !shop.has("reports"));
}

#[test]
fn a_comparison_is_called_after_its_experiments_or_as_asked() {
    let shop = Shop::new();
    for name in ["a", "b", "c"] {
        shop.experiment(&format!("{name}.toml"), "");
    }
    let call = shop.run(&["a.toml", "b.toml", "c.toml"]).expect(0);
    assert!(call.stdout.contains("comparison: reports/a-vs-b-vs-c.md"), "{}", call.stdout);
    shop.run(&["compare", "a", "b", "--name", "pair"]).expect(0);
    assert!(shop.has("reports/pair.md"));
    for name in ["", "../../x", "README"] {
        shop.run(&["compare", "a", "b", "--name", name]).expect(2);
    }
}

#[test]
fn the_frozen_configs_of_a_sweep_can_be_run_again_under_their_names() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\nscripted.noise = [0.1, 0.2]\n");
    shop.run(&["a.toml"]).expect(0);
    let frozen = ["runs/a/noise=0.1,seed=1337/config.toml", "runs/a/noise=0.2,seed=1337/config.toml"];
    shop.run(&["--again", frozen[0], frozen[1]]).expect(0);
    assert_eq!(
        shop.read("runs/a/noise=0.1,seed=1337-2/metrics.csv"),
        shop.read("runs/a/noise=0.1,seed=1337/metrics.csv")
    );
    assert!(shop.has("runs/a/noise=0.2,seed=1337-2"));
}

#[test]
fn what_lies_in_the_place_of_the_runs_is_named_by_every_command() {
    let shop = Shop::new();
    shop.write("file", "");
    for command in
        [&["ls"][..], &["resume"], &["retry"], &["report"], &["generate", "a", "x"], &["report", "a"]]
    {
        let call = shop.run(&[command, &["--runs-dir", "file"]].concat()).expect(2);
        call.says(&[
            "file is a file where a folder should be: move it away, or choose another folder with --runs-dir",
        ]);
    }
    shop.run(&["ls", "--runs-dir", "new"]).expect(0);
}

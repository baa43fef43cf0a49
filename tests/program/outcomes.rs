//! Every way in which runs can end, on the scripted engine.

use crate::shop::Shop;

const REACHABLE: &str = "[target]\nthreshold = 0.5\n";

#[test]
fn a_reached_target_exits_with_0_and_leaves_a_whole_record() {
    let shop = Shop::new();
    shop.experiment("a.toml", REACHABLE);
    let call = shop.run(&["a.toml"]).expect(0);
    assert!(call.stdout.contains("runs/a/seed=1337/report.md"), "{}", call.stdout);
    for file in ["manifest.toml", "config.toml", "metrics.csv", "log.jsonl", "report.md", "plots/loss.svg"] {
        assert!(shop.has(&format!("runs/a/seed=1337/{file}")), "{file}");
    }
    let manifest = shop.read("runs/a/seed=1337/manifest.toml");
    assert!(manifest.contains("stop_reason = \"target_reached\""), "{manifest}");
    // 0.05 + 4.95 exp(-s / 10) is below 0.5 for the first time before the update of step 25 (s = 24).
    assert!(manifest.contains("reached_at_step = 25"), "{manifest}");
    assert_eq!(shop.read("runs/a/seed=1337/metrics.csv").lines().count(), 1 + 25);
}

#[test]
fn a_missed_target_exits_with_3() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[target]\nthreshold = 0.01\n");
    let call = shop.run(&["a.toml"]).expect(3);
    assert!(call.stdout.contains("0.01"), "{}", call.stdout);
}

#[test]
fn without_a_target_a_finished_run_exits_with_0() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml"]).expect(0);
}

#[test]
fn a_diverged_run_is_recorded_and_the_sweep_goes_on() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\nscripted.diverge_at = [7, 0]\n");
    shop.run(&["a.toml"]).expect(4);
    let diverged = shop.read("runs/a/diverge_at=7,seed=1337/manifest.toml");
    assert!(diverged.contains("status = \"diverged\""), "{diverged}");
    assert!(shop.read("runs/a/diverge_at=7,seed=1337/report.md").contains("step 7"));
    assert!(shop.read("runs/a/diverge_at=0,seed=1337/manifest.toml").contains("status = \"finished\""));
    assert!(shop.read("reports/a.md").contains("Diverged at step 7"));
}

#[test]
fn a_failed_run_keeps_its_error_and_the_sweep_goes_on() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\nscripted.fail_at = [7, 0]\n");
    shop.run(&["a.toml"]).expect(4);
    let failed = shop.read("runs/a/fail_at=7,seed=1337/manifest.toml");
    assert!(failed.contains("status = \"failed\"") && failed.contains("step 7 fails"), "{failed}");
    assert_eq!(shop.read("runs/a/fail_at=7,seed=1337/metrics.csv").lines().count(), 1 + 6);
    assert!(shop.read("runs/a/fail_at=0,seed=1337/manifest.toml").contains("status = \"finished\""));
}

#[test]
fn a_run_whose_requirement_is_not_met_is_skipped_and_the_others_decide() {
    let shop = Shop::new();
    shop.experiment("big.toml", REACHABLE);
    let big =
        shop.read("big.toml").replace("[hardware]", "[hardware]\nrequires = [\"min_memory_gb=1000000\"]");
    shop.write("big.toml", big);
    shop.experiment("small.toml", REACHABLE);
    let call = shop.run(&["big.toml", "small.toml"]).expect(0);
    assert!(call.stdout.contains("needs at least 1000000 GB of memory"), "{}", call.stdout);
    assert!(shop.read("runs/big/seed=1337/manifest.toml").contains("status = \"skipped\""));
    let comparison = std::fs::read_dir(shop.path().join("reports"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|ending| ending == "md") && !path.ends_with("README.md"))
        .unwrap();
    assert!(std::fs::read_to_string(comparison).unwrap().contains("1000000 GB"));
    // Asking again does not pile up directories, and the requirement can be waived.
    shop.run(&["big.toml"]).expect(0);
    assert!(!shop.has("runs/big/seed=1337-2"));
    shop.run(&["big.toml", "--set", "hardware.requires=[]"]).expect(0);
    assert!(shop.read("runs/big/seed=1337/manifest.toml").contains("status = \"finished\""));
}

#[test]
fn a_time_limit_ends_a_run() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    // Steps pretend to take half a second.
    shop.run(&["a.toml", "--set", "train.max_time=\"10s\""]).expect(0);
    let manifest = shop.read("runs/a/seed=1337/manifest.toml");
    assert!(manifest.contains("stop_reason = \"max_time\"") && manifest.contains("steps = 20"), "{manifest}");
}

#[test]
fn a_finished_run_is_never_overwritten() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml"]).expect(0);
    let first = shop.read("runs/a/seed=1337/manifest.toml");
    shop.run(&["a.toml", "--set", "train.max_steps=10"]).expect(0);
    assert_eq!(shop.read("runs/a/seed=1337/manifest.toml"), first);
    assert!(shop.read("runs/a/seed=1337-2/manifest.toml").contains("steps = 10"));
}

#[test]
fn a_runs_frozen_config_can_be_run_again_to_the_same_numbers() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml", "--set", "scripted.noise=0.3"]).expect(0);
    shop.run(&["--again", "runs/a/seed=1337/config.toml"]).expect(0);
    let rows = |run: &str| -> Vec<String> {
        shop.read(&format!("runs/a/{run}/metrics.csv")).lines().map(str::to_owned).collect()
    };
    assert_eq!(rows("seed=1337"), rows("seed=1337-2"));
}

#[test]
fn repeats_are_grouped_in_the_comparison() {
    let shop = Shop::new();
    shop.experiment(
        "a.toml",
        "[experiment]\nrepeats = 3\n[target]\nthreshold = 0.5\n[sweep.grid]\nscripted.decay_steps = [5.0, 10.0]\n",
    );
    shop.run(&["a.toml", "--set", "scripted.noise=0.01"]).expect(0);
    let comparison = shop.read("reports/a.md");
    assert!(comparison.contains("decay_steps") && comparison.contains("±"), "{comparison}");
    for seed in [1337, 1338, 1339] {
        assert!(shop.has(&format!("runs/a/scripted.decay_steps=5,seed={seed}")));
    }
    assert!(shop.read("reports/README.md").contains("a.md"));
}

#[test]
fn checkpoints_keep_the_newest_the_best_and_their_names() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml"]).expect(0);
    let folder = "runs/a/seed=1337/checkpoints";
    assert!(!shop.has(&format!("{folder}/step-000020")));
    assert!(shop.has(&format!("{folder}/step-000040")) && shop.has(&format!("{folder}/step-000060")));
    assert_eq!(shop.read(&format!("{folder}/last")), "step-000060\n");
    assert_eq!(shop.read(&format!("{folder}/best")), "step-000060\n");
    let state = shop.read(&format!("{folder}/step-000060/loop.json"));
    assert!(state.contains("\"step\": 60"), "{state}");
}

#[test]
fn an_interval_of_0_switches_checkpoints_samples_and_evaluation_off() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml", "--set", "checkpoint.interval=0"]).expect(0);
    assert!(!shop.has("runs/a/seed=1337/checkpoints") && !shop.has("runs/a/seed=1337/samples.md"));
    let metrics = shop.read("runs/a/seed=1337/metrics.csv");
    let column = metrics.lines().next().unwrap().split(',').position(|name| name == "val_loss").unwrap();
    assert!(metrics.lines().skip(1).all(|row| row.split(',').nth(column) == Some("")));
}

#[test]
fn evaluation_and_samples_land_in_their_files() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let call = shop.run(&[
        "a.toml",
        "--set",
        "train.eval_interval=30",
        "--set",
        "data.val_fraction=0.1",
        "--set",
        "sample.interval=30",
        "--set",
        "sample.prompts=[\"Maud:\"]",
    ]);
    call.expect(0);
    let rows: Vec<_> = shop.read("runs/a/seed=1337/metrics.csv").lines().map(str::to_owned).collect();
    // Row 0 is the evaluation before training.
    assert!(rows[1].starts_with("0,") && rows.len() == 1 + 61, "{}", rows[1]);
    let samples = shop.read("runs/a/seed=1337/samples.md");
    assert!(samples.contains("## Step 30") && samples.contains("## Step 60") && samples.contains("Maud:"));
    let report = shop.read("runs/a/seed=1337/report.md");
    assert!(report.contains("Maud:") && report.contains("## Memorisation\n"), "{report}");
    // Every character that the scripted engine draws is one of the corpus.
    assert!(shop.read("runs/a/seed=1337/manifest.toml").contains("longest_copy_characters = "));
}

#[test]
fn a_validation_target_met_at_the_last_step_counts() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[target]\nmetric = \"val_loss\"\nthreshold = 0.07\n");
    let sets = [
        "--set",
        "data.val_fraction=0.1",
        "--set",
        "train.eval_interval=1000",
        "--set",
        "checkpoint.interval=0",
    ];
    shop.run(&[&["a.toml"][..], &sets[..]].concat()).expect(0);
    let manifest = shop.read("runs/a/seed=1337/manifest.toml");
    assert!(manifest.contains("stop_reason = \"target_reached\""), "{manifest}");
    assert!(manifest.contains("reached_at_step = 60"), "{manifest}");
}

#[test]
fn a_checkpoint_is_judged_by_the_loss_at_its_own_step() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let sets = ["--set", "data.val_fraction=0.1", "--set", "train.eval_interval=15"];
    shop.run(&[&["a.toml"][..], &sets[..]].concat()).expect(0);
    let state: serde_json::Value =
        serde_json::from_str(&shop.read("runs/a/seed=1337/checkpoints/step-000040/loop.json")).unwrap();
    // The evaluation before step 40 was at step 30.
    let at_40 = 0.05 + 4.95 * (-4.0f64).exp();
    assert!((state["score"].as_f64().unwrap() - at_40).abs() < 1e-9, "{state}");
}

#[test]
fn a_run_that_cannot_be_recorded_does_not_pass_for_a_success() {
    let shop = Shop::new();
    for name in ["a", "b", "c"] {
        shop.experiment(&format!("{name}.toml"), "");
    }
    shop.write("runs/b", "a file where the second experiment's folder should be");
    let call = shop.run(&["a.toml", "b.toml", "c.toml"]).expect(1);
    assert!(call.stdout.contains("c/seed=1337: Finished"), "{}", call.stdout);
    assert!(call.stdout.contains("b/seed=1337: cannot create"), "{}", call.stdout);
}

#[test]
fn a_closed_output_costs_nothing_but_the_output() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nrepeats = 2\n");
    let mut child = shop
        .command(&["a.toml"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(shop.read("runs/a/seed=1338/manifest.toml").contains("status = \"finished\""));
    assert!(shop.has("reports/a.md"));
}

/// A model that one step of an absurd rate spoils; its losses are still numbers until then.
const SPOILT: &str = r#"
[model]
n_layer = 1
n_head = 2
n_embd = 16
block_size = 16

[data]
corpus = "salt-crown"
tokenizer = "byte"

[train]
batch_size = 2
sequence_length = 16
eval_interval = 0
final_eval = false

[checkpoint]
interval = 1

[sample]
interval = 0

[hardware]
device = "cpu"
threads = 1

[schedule]
kind = "constant"
"#;

#[test]
fn weights_that_are_not_finite_are_never_published() {
    let shop = Shop::new();
    // After the only step, at the interval, and without checkpoints: the run says that it diverged.
    let rate = ["--set", "optimizer.learning_rate=1e38", "-q"];
    for (name, more) in [
        ("one", &["--set", "train.max_steps=1"][..]),
        ("many", &["--set", "train.max_steps=9"]),
        (
            "measured",
            &[
                "--set",
                "train.max_steps=1",
                "--set",
                "checkpoint.interval=0",
                "--set",
                "train.final_eval=true",
            ],
        ),
        (
            "validated",
            &[
                "--set",
                "train.max_steps=1",
                "--set",
                "train.eval_interval=1",
                "--set",
                "data.val_fraction=0.1",
            ],
        ),
        (
            "sampled",
            &["--set", "train.max_steps=1", "--set", "checkpoint.interval=0", "--set", "sample.interval=1"],
        ),
    ] {
        let file = format!("{name}.toml");
        shop.write(&file, SPOILT);
        let call = shop.run(&[&[file.as_str()][..], &rate, more].concat()).expect(4);
        let manifest: toml::Table =
            shop.read(&format!("runs/{name}/seed=1337/manifest.toml")).parse().unwrap();
        assert_eq!(manifest["status"].as_str(), Some("diverged"), "{name}: {}", call.stdout);
        assert_eq!(manifest["stop_reason"].as_str(), Some("diverged"), "{name}");
        for pointer in ["best", "last", "step-000001"] {
            assert!(!shop.has(&format!("runs/{name}/seed=1337/checkpoints/{pointer}")), "{name}: {pointer}");
        }
        let export = ["export", name, "--format", "hf", "--out", "out"];
        for using in [&export[..], &["generate", name, "a"], &["serve", name, "--port", "0"]] {
            let call = shop.run(using).says(&["no checkpoint"]);
            assert!(![Some(0), None].contains(&call.code), "{using:?}");
        }
        assert!(!shop.has("out"));
    }
}

#[test]
fn a_checkpoint_of_before_that_is_not_finite_is_refused_with_a_reason() {
    let shop = Shop::new();
    shop.write("a.toml", SPOILT);
    shop.run(&["a.toml", "-q", "--set", "train.max_steps=2"]).expect(0);
    // As versions before this one saved it: the numbers are spoilt, and the sum is that of the spoilt file.
    for step in ["step-000001", "step-000002"] {
        let folder = shop.path().join(format!("runs/a/seed=1337/checkpoints/{step}"));
        let weights = folder.join("model.safetensors");
        let mut bytes = std::fs::read(&weights).unwrap();
        let end = bytes.len();
        bytes[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        std::fs::write(&weights, bytes).unwrap();
        std::fs::remove_file(folder.join("checksums.toml")).unwrap();
        runner::store::checksums::write(&folder).unwrap();
    }
    let export = ["export", "a", "--format", "hf", "--out", "out"];
    for using in [&export[..], &["generate", "a", "a"], &["serve", "a", "--port", "0"]] {
        let call = shop.run(using).says(&["not finite", "model.safetensors"]);
        assert!(![Some(0), None].contains(&call.code), "{using:?}");
    }
    assert!(!shop.has("out/model.safetensors"));
    shop.write("b.toml", format!("{SPOILT}\n"));
    let from = ["b.toml", "-q", "--set", "train.init_from=runs/a/seed=1337"];
    let call = shop.run(&from).says(&["not finite"]);
    assert_ne!(call.code, Some(0));
}

#[test]
fn a_comparison_of_losses_that_should_be_the_same_ends_as_the_sweep_did() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\nscripted.initial_loss = [5, 15]\n");
    let agree = ["a.toml", "-q", "--set", "experiment.same_losses_within=1e-6"];
    for command in [&agree[..], &["compare", "a"]] {
        let call = shop.run(command).expect(4);
        assert!(
            call.stdout.contains("THE LOSSES DISAGREE") && call.stdout.contains("is off by 200 %"),
            "{}",
            call.stdout
        );
    }
}

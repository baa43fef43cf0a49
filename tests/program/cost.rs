//! What a run will take: stated by `plan`, warned of before training, and kept in the record.

use crate::shop::Shop;

const GPT2: &str = r#"
[model]
preset = "gpt2"

[data]
corpus = "salt-crown"
tokenizer = "gpt2"

[train]
batch_size = 16
sequence_length = 128

[hardware]
device = "cpu"
"#;

fn shop() -> Shop {
    let shop = Shop::new();
    shop.write("big.toml", GPT2);
    shop
}

#[test]
fn plan_states_parameters_arithmetic_and_memory() {
    let call = shop().run(&["plan", "big.toml"]).expect(0);
    let row = call.stdout.lines().find(|line| line.starts_with("big/seed=1337")).unwrap();
    for part in ["124,439,808", "2,048", "1.53 TFLOP", "about 3."] {
        assert!(row.contains(part), "{part} is not in {row}");
    }
}

#[test]
fn plan_states_the_parameters_of_a_model_on_the_corpuss_characters() {
    let shop = Shop::new();
    shop.write("chars.toml", "[hardware]\ndevice = \"cpu\"\n");
    shop.write("text.txt", "abcde\n".repeat(1000));
    let call = shop.run(&["plan", "chars.toml", "--set", "data.path=text.txt"]).expect(0);
    // 4 layers 128 wide, 128 positions, 6 characters.
    let blocks = 4 * (12 * 128 * 128 + 13 * 128);
    let parameters = blocks + 2 * 128 + (128 + 6) * 128;
    assert_eq!(parameters, 810_496);
    assert!(call.stdout.contains("810,496"), "{}", call.stdout);
}

#[test]
fn plan_shows_what_the_memory_is_made_of() {
    let call = shop().run(&["plan", "--memory", "big.toml"]).expect(0);
    for part in ["parameters", "gradients", "activations kept for the backward pass", "together"] {
        let line = call.stdout.lines().find(|line| line.trim_start().starts_with(part));
        assert!(line.is_some_and(|line| line.ends_with("iB")), "{part} has no size in {}", call.stdout);
    }
}

#[test]
fn plan_says_once_for_all_runs_that_bf16_gains_nothing() {
    let shop = shop();
    let sweep = ["plan", "big.toml", "--set", "hardware.dtype=bf16", "--set", "experiment.repeats=3"];
    let call = shop.run(&sweep).expect(0);
    // Not where the processor has something for it.
    let lines = call.stdout.lines().filter(|line| line.contains("bf16 gains nothing here"));
    let lines: Vec<&str> = lines.collect();
    assert!(lines.is_empty() || lines.len() == 1 && lines[0].starts_with("all 3 runs: "), "{lines:?}");
}

#[test]
fn the_scripted_engine_takes_nothing() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let call = shop.run(&["plan", "a.toml"]).expect(0);
    assert!(!call.stdout.contains("FLOP") && !call.stdout.contains("about"), "{}", call.stdout);
    shop.run(&["a.toml"]).expect(0);
    assert!(!shop.read("runs/a/seed=1337/manifest.toml").contains("[cost]"));
}

#[test]
fn runs_that_do_not_fit_into_memory_are_warned_of_before_anything_starts() {
    let shop = shop();
    let sets = ["--set", "train.batch_size=100000", "--set", "experiment.repeats=2"];
    let planned = shop.run(&[&["plan", "big.toml"], &sets[..]].concat()).expect(0);
    let advice = "the same tokens in a step";
    assert!(
        planned.stdout.contains("warning: big/seed=") && planned.stdout.contains(advice),
        "{}",
        planned.stdout
    );
    assert!(planned.stdout.contains("(and one more run does not fit)"), "{}", planned.stdout);

    // The folder of comparisons is in the way, so that nothing this large is really begun.
    shop.write("reports", "a file");
    let call = shop.run(&[&["big.toml"], &sets[..]].concat());
    assert!(call.code != Some(0) && !shop.has("runs"), "{}", call.stderr);
    call.says(&["warning: big/seed=", advice, "reports"]);
    let quiet = shop.run(&[&["-q", "big.toml"], &sets[..]].concat());
    assert!(!quiet.stderr.contains("warning"), "{}", quiet.stderr);
}

#[test]
fn a_disk_that_is_too_small_is_warned_of_before_anything_is_trained() {
    let shop = shop();
    // Some 1.4 TB.
    let set = [
        "--set",
        "checkpoint.keep_last=1000",
        "--set",
        "checkpoint.interval=1",
        "--set",
        "train.max_steps=2000",
    ];
    let call = shop.run(&[&["plan", "big.toml"][..], &set].concat()).expect(0);
    let warning = call.stdout.lines().find(|line| line.contains("is free in runs")).unwrap_or_default();
    for part in [
        "warning: big/seed=1337 writes about 1.4 TiB",
        "1,002 checkpoints of 1.4 GiB",
        "checkpoint.keep_last",
    ] {
        assert!(warning.contains(part), "{part} is not in {}", call.stdout);
    }
    let call = shop.run(&["plan", "big.toml", "--set", "checkpoint.interval=0"]).expect(0);
    assert!(!call.stdout.contains("is free in"), "{}", call.stdout);
}

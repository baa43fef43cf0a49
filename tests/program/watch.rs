//! Runs under way, seen from outside: started, waited for, signalled, compared.
#![cfg(unix)]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shop::Shop;

/// A small model that really trains, with everything that a resumed run could get wrong: dropout, shuffled epochs, evaluation,
/// samples, checkpoints.
pub const REAL: &str = r#"
[model]
n_layer = 1
n_head = 2
n_embd = 16
block_size = 16
dropout = 0.1

[data]
corpus = "salt-crown"
tokenizer = "byte"
val_fraction = 0.1
order = "shuffled_epochs"

[train]
batch_size = 4
sequence_length = 16
max_steps = 300
eval_interval = 30
eval_batches = 2
final_eval = false

[checkpoint]
interval = 20

[sample]
interval = 50
max_new_tokens = 8

[hardware]
device = "cpu"
threads = 1
"#;

pub const SLOW: [&str; 2] = ["--set", "scripted.sleep_secs=0.02"];

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub fn start(shop: &Shop, arguments: &[&str]) -> Child {
    shop.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

pub fn signal(pid: &str, name: &str) {
    // A process may be gone by itself by now.
    let _ = Command::new("kill").args([&format!("-{name}"), pid]).stderr(Stdio::null()).status().unwrap();
}

/// The process that holds the run's lock.
pub fn writer(shop: &Shop, run: &str) -> Option<String> {
    let text = fs::read_to_string(shop.path().join(format!("runs/{run}/lock"))).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("pid = "))?;
    Some(line.to_owned())
}

pub fn rows(shop: &Shop, run: &str) -> usize {
    fs::read_to_string(shop.path().join(format!("runs/{run}/metrics.csv")))
        .map_or(0, |text| text.lines().count())
}

/// The columns of `metrics.csv` that follow from the configuration alone.
pub fn numbers(shop: &Shop, run: &str) -> Vec<Vec<String>> {
    let text = shop.read(&format!("runs/{run}/metrics.csv"));
    let kept =
        ["step", "tokens", "epoch", "train_loss", "train_loss_ema", "val_loss", "learning_rate", "grad_norm"];
    let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let places: Vec<usize> =
        kept.iter().map(|name| header.iter().position(|column| column == name).unwrap()).collect();
    text.lines()
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            places.iter().map(|&place| fields[place].to_owned()).collect()
        })
        .collect()
}

/// The bytes of a file of the last checkpoint.
pub fn saved(shop: &Shop, run: &str, file: &str) -> Vec<u8> {
    let last = shop.read(&format!("runs/{run}/checkpoints/last"));
    fs::read(shop.path().join(format!("runs/{run}/checkpoints/{}/{file}", last.trim()))).unwrap()
}

/// Names of the checkpoints that are there, and of the best one.
pub fn kept(shop: &Shop, run: &str) -> (Vec<String>, String) {
    let folder = shop.path().join(format!("runs/{run}/checkpoints"));
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut steps: Vec<String> =
        names.filter(|name| name.starts_with("step-") && !name.ends_with(".damaged")).collect();
    steps.sort();
    (steps, shop.read(&format!("runs/{run}/checkpoints/best")))
}

pub fn assert_same(shop: &Shop, run: &str, other: &str) {
    assert_eq!(numbers(shop, run), numbers(shop, other), "{run} and {other}");
    for file in ["model.safetensors", "optimizer.safetensors", "engine.json"] {
        assert!(saved(shop, run, file) == saved(shop, other, file), "{file} of {run} and {other}");
    }
    let samples = |run: &str| shop.read(&format!("runs/{run}/samples.md"));
    assert_eq!(samples(run), samples(other));
    assert_eq!(kept(shop, run), kept(shop, other), "checkpoints of {run} and {other}");
    let results = |run: &str| manifest(shop, run)["results"].clone();
    for key in ["copied_share", "longest_copy_characters"] {
        assert_eq!(results(run).get(key), results(other).get(key), "{key} of {run} and {other}");
    }
}

pub fn manifest(shop: &Shop, run: &str) -> toml::Table {
    shop.read(&format!("runs/{run}/manifest.toml")).parse().unwrap()
}

pub fn attempts(shop: &Shop, run: &str) -> usize {
    manifest(shop, run)["attempts"].as_array().unwrap().len()
}

pub fn class(shop: &Shop, run: &str) -> String {
    manifest(shop, run)["stop_reason"].as_str().unwrap().to_owned()
}

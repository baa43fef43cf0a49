//! Ctrl-C: the step is finished, the run recorded as interrupted and reported.
#![cfg(unix)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::shop::{Call, Shop};

#[test]
fn ctrl_c_leaves_a_recorded_and_reported_run_and_starts_no_other() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\nscripted.initial_loss = [4.0, 5.0]\n");
    let sets = ["--set", "train.max_steps=100000000", "--set", "checkpoint.interval=1000000"];
    let mut command = shop.command(&[&["a.toml"][..], &sets[..]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let metrics = shop.path().join("runs/a/initial_loss=4,seed=1337/metrics.csv");
    wait_until(|| std::fs::metadata(&metrics).is_ok_and(|file| file.len() > 2_000));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    Call::from(child.wait_with_output().unwrap()).expect(130);

    let manifest = shop.read("runs/a/initial_loss=4,seed=1337/manifest.toml");
    assert!(manifest.contains("status = \"interrupted\""), "{manifest}");
    let rows = shop.read("runs/a/initial_loss=4,seed=1337/metrics.csv");
    let last = rows.lines().last().unwrap().split(',').next().unwrap();
    assert!(manifest.contains(&format!("\nsteps = {last}\n")), "the last row is step {last}: {manifest}");
    let saved = shop.read("runs/a/initial_loss=4,seed=1337/checkpoints/last");
    assert_eq!(saved.trim(), format!("step-{last:0>6}"));
    assert!(shop.read("runs/a/initial_loss=4,seed=1337/report.md").contains("nterrupted"));
    assert!(!shop.has("runs/a/initial_loss=5,seed=1337"));
    assert!(shop.read("reports/a.md").contains("not started"));
}

fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

//! Ctrl-C: the step is finished, the run recorded as interrupted and reported.
#![cfg(unix)]

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shop::{Call, Shop};

#[test]
fn ctrl_c_leaves_a_recorded_and_reported_run_and_starts_no_other() {
    let (shop, child) = endless();
    signal(&child, "INT");
    Call::from(child.wait_with_output().unwrap()).expect(130);
    assert_interrupted(&shop);
    assert!(!shop.has("runs/a/initial_loss=5,seed=1337/metrics.csv"));
    assert!(shop.read("reports/a.md").contains("not started"));
}

#[test]
fn a_termination_signal_is_heard_like_ctrl_c() {
    let (shop, child) = endless();
    signal(&child, "TERM");
    Call::from(child.wait_with_output().unwrap()).expect(75);
    assert_interrupted(&shop);
}

#[test]
fn a_hang_up_that_was_ignored_at_the_start_stays_ignored() {
    let shop = endless_experiment();
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_runner")]);
    command.args(ENDLESS).current_dir(shop.path());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_steps(&shop, 2_000);
    signal(&child, "HUP");
    let so_far = std::fs::metadata(metrics(&shop)).unwrap().len();
    wait_for_steps(&shop, so_far + 100_000);
    signal(&child, "INT");
    Call::from(child.wait_with_output().unwrap()).expect(130);
}

const ENDLESS: [&str; 5] =
    ["a.toml", "--set", "train.max_steps=100000000", "--set", "checkpoint.interval=1000000"];

fn endless_experiment() -> Shop {
    let shop = Shop::new();
    shop.experiment("a.toml", "[sweep.grid]\nscripted.initial_loss = [4.0, 5.0]\n");
    shop
}

/// A sweep whose first run goes on until it is stopped, and is under way.
fn endless() -> (Shop, Child) {
    let shop = endless_experiment();
    let child = shop.command(&ENDLESS).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for_steps(&shop, 2_000);
    (shop, child)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

fn assert_interrupted(shop: &Shop) {
    let manifest = shop.read("runs/a/initial_loss=4,seed=1337/manifest.toml");
    assert!(manifest.contains("status = \"interrupted\""), "{manifest}");
    let rows = shop.read("runs/a/initial_loss=4,seed=1337/metrics.csv");
    let last = rows.lines().last().unwrap().split(',').next().unwrap();
    assert!(manifest.contains(&format!("\nsteps = {last}\n")), "the last row is step {last}: {manifest}");
    let saved = shop.read("runs/a/initial_loss=4,seed=1337/checkpoints/last");
    assert_eq!(saved.trim(), format!("step-{last:0>6}"));
    assert!(shop.read("runs/a/initial_loss=4,seed=1337/report.md").contains("**Interrupted after"));
}

fn metrics(shop: &Shop) -> PathBuf {
    shop.path().join("runs/a/initial_loss=4,seed=1337/metrics.csv")
}

fn wait_for_steps(shop: &Shop, bytes: u64) {
    wait_until(|| std::fs::metadata(metrics(shop)).is_ok_and(|file| file.len() > bytes));
}

fn wait_until(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "it did not happen within a minute");
        std::thread::sleep(Duration::from_millis(20));
    }
}

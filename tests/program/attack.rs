//! Stops, kills and damage at random moments and places. A few of each run with the other tests; `RUNNER_ATTACKS=200 cargo test --test
//! program -- attack` makes many.
#![cfg(unix)]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::shop::{Call, Shop};
use crate::watch::{REAL, assert_same, numbers, rows, saved, signal, start, wait_until, writer};

/// How many attacks, and by which seed.
fn attacks(usual: usize) -> (usize, ChaCha8Rng) {
    let count = std::env::var("RUNNER_ATTACKS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual);
    let seed =
        std::env::var("RUNNER_ATTACK_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_129);
    println!("{count} attacks, RUNNER_ATTACK_SEED={seed}");
    (count, ChaCha8Rng::seed_from_u64(seed))
}

const STEPS: usize = 600;

fn long() -> String {
    REAL.replace("max_steps = 300", &format!("max_steps = {STEPS}"))
}

/// What a checkpoint is called that a link or a file of this name means.
fn pointer(shop: &Shop, run: &str, name: &str) -> String {
    shop.read(&format!("runs/{run}/checkpoints/{name}")).trim().to_owned()
}

#[test]
fn stops_and_kills_at_any_moment_change_no_number_and_no_best_checkpoint() {
    let (count, mut random) = attacks(6);
    let shop = Shop::new();
    shop.write("a.toml", long());
    shop.write("b.toml", long());
    shop.run(&["b.toml", "-q"]).expect(0);
    let best = pointer(&shop, "b/seed=1337", "best");
    let (mut done, mut enough) = (0, 0);
    // Who wrote before: what it left in the lock says nothing of the one that has just begun.
    let mut before = String::new();
    while done < count {
        let child = start(&shop, &["a.toml", "-q"]);
        let parent = child.id().to_string();
        // Evaluations come every 30 steps and checkpoints every 20: most stops lie between them.
        enough += random.random_range(1..60);
        let far_enough = || rows(&shop, "a/seed=1337") > enough.min(STEPS);
        let is_new = || writer(&shop, "a/seed=1337").is_some_and(|writer| writer != before);
        let is_held = || is_new() || rows(&shop, "a/seed=1337") > STEPS;
        wait_until("some training", || far_enough() && is_held());
        let own = writer(&shop, "a/seed=1337").unwrap_or_default();
        let both = [parent.as_str(), own.as_str()];
        before.clone_from(&own);
        let code = match random.random_range(0..6) {
            0 => send(&both, &["TERM", "TERM"]),
            1 => send(&both, &["USR1"]),
            2 => send(&both[..1], &["TERM"]),
            3 => send(&both, &["USR2", "HUP"]),
            4 => send(&both[1..], &["KILL"]),
            _ => send(&both[..1], &["KILL"]),
        };
        let call = Call::from(child.wait_with_output().unwrap());
        done += 1;
        // It may have been done by then. A killed child is gone on with by its parent, as `[on_failure]` has it.
        let fits = call.code == code || call.code == Some(0) || (code.is_some() && call.code == Some(75));
        assert!(fits, "attack {done}: {:?} instead of {code:?}\n{}{}", call.code, call.stdout, call.stderr);
        if call.code == Some(0) || done == count {
            shop.run(&["a.toml", "-q"]).expect(0);
            assert_same(&shop, "a/seed=1337", "b/seed=1337");
            assert_eq!(pointer(&shop, "a/seed=1337", "best"), best, "after attack {done}");
            let model = |run: &str| {
                fs::read(shop.path().join(format!("runs/{run}/checkpoints/{best}/model.safetensors")))
                    .unwrap()
            };
            assert!(model("a/seed=1337") == model("b/seed=1337"), "the best weights after attack {done}");
            fs::remove_dir_all(shop.path().join("runs/a")).unwrap();
            enough = 0;
        }
    }
}

/// Sends signals, and says what the command should end with.
fn send(processes: &[&str], names: &[&str]) -> Option<i32> {
    for name in names {
        processes.iter().filter(|pid| !pid.is_empty()).for_each(|pid| signal(pid, name));
        std::thread::sleep(Duration::from_millis(8));
    }
    (!(names == ["KILL"] && processes.len() == 1)).then_some(75)
}

#[test]
fn damage_anywhere_in_a_stopped_run_ends_with_the_same_numbers_or_is_named() {
    let (count, mut random) = attacks(6);
    let shop = Shop::new();
    shop.write("a.toml", long());
    shop.write("b.toml", long());
    shop.run(&["b.toml", "-q"]).expect(0);
    let child = start(&shop, &["a.toml", "-q"]);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 250);
    signal(&child.id().to_string(), "TERM");
    Call::from(child.wait_with_output().unwrap()).expect(75);
    let run = shop.path().join("runs/a/seed=1337");
    let kept = shop.path().join("kept");
    copy(&run, &kept);
    let mut files = Vec::new();
    collect(&kept, &mut files);
    for attack in 1..=count {
        fs::remove_dir_all(&run).unwrap();
        copy(&kept, &run);
        let file = &files[random.random_range(0..files.len())];
        let path = run.join(file.strip_prefix(&kept).unwrap());
        let how = damage(&path, &mut random);
        let call = shop.run(&["resume", "a", "-q"]);
        let what = format!("attack {attack}: {how} {}\n{}{}", path.display(), call.stdout, call.stderr);
        if call.code == Some(0) {
            // What nobody noticed, or could be made good.
            assert!(numbers(&shop, "a/seed=1337") == numbers(&shop, "b/seed=1337"), "{what}");
            for file in ["model.safetensors", "optimizer.safetensors", "engine.json"] {
                assert!(
                    saved(&shop, "a/seed=1337", file) == saved(&shop, "b/seed=1337", file),
                    "{file}: {what}"
                );
            }
        } else {
            let named = path.file_name().unwrap().to_string_lossy().into_owned();
            let said = format!("{}{}", call.stdout, call.stderr);
            assert!([Some(1), Some(2), Some(4)].contains(&call.code), "{:?} {what}", call.code);
            assert!(said.contains(&named) && !said.contains("panicked"), "{what}");
        }
    }
}

/// Does something to a file, and says what.
fn damage(path: &Path, random: &mut ChaCha8Rng) -> String {
    let mut bytes = fs::read(path).unwrap();
    let place = random.random_range(0..bytes.len().max(1));
    let how = match random.random_range(0..5) {
        0 => {
            fs::remove_file(path).unwrap();
            return "without".to_owned();
        }
        1 => {
            bytes.truncate(place);
            format!("cut to {place} bytes:")
        }
        2 => {
            bytes.clear();
            "emptied".to_owned()
        }
        3 => {
            let end = (place + 16).min(bytes.len());
            bytes[place.min(end)..end].fill(0);
            format!("zeros from byte {place} on in")
        }
        _ => {
            if let Some(byte) = bytes.get_mut(place) {
                *byte ^= 1 << random.random_range(0..8);
            }
            format!("a bit of byte {place} flipped in")
        }
    };
    fs::write(path, bytes).unwrap();
    how
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).unwrap();
        }
    }
}

/// All files of a run but those that a report is made of, which can be deleted and remade.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy();
        match path.is_dir() {
            _ if name == "plots" || name == "report.md" || name == "lock" => {}
            true => collect(&path, files),
            false => files.push(path),
        }
    }
}

//! Runs that are not done and have not failed for good: held by another process, stopped, waiting for another attempt.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use crate::shop::{Call, Shop};
use crate::watch::{SLOW, attempts, manifest, rows, signal, start, wait_until, writer};

/// A sweep of three runs of more than a second each.
fn sweep(shop: &Shop) {
    shop.experiment("a.toml", "sleep_secs = 0.02\n[sweep.grid]\nscripted.initial_loss = [4.0, 5.0, 6.0]\n");
}

/// A sweep that was stopped in its first run.
fn stopped_sweep() -> Shop {
    let shop = Shop::new();
    sweep(&shop);
    let child = start(&shop, &["a.toml"]);
    wait_until("some training", || rows(&shop, "a/initial_loss=4,seed=1337") > 5);
    signal(&child.id().to_string(), "TERM");
    Call::from(child.wait_with_output().unwrap()).expect(75);
    shop
}

fn directories(shop: &Shop) -> Vec<String> {
    let entries = fs::read_dir(shop.path().join("runs/a")).unwrap().map(Result::unwrap);
    // The plan of the experiment lies beside its runs.
    let folders = entries.filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = folders.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Fails at step 30, and is tried again once, after a while.
const OWED: &str = "fail_at = 30\nfail_as = \"error\"\n[on_failure]\nretry_device = 1\nbackoff_secs = 1.5\n";

#[test]
fn a_run_that_waits_for_another_attempt_is_unfinished_whatever_becomes_of_its_parent() {
    for (how, code) in [("KILL", None), ("TERM", Some(75)), ("INT", Some(130))] {
        let shop = Shop::new();
        shop.experiment("a.toml", OWED);
        let child = start(&shop, &["a.toml"]);
        let waits = || {
            shop.has("runs/a/seed=1337/manifest.toml")
                && manifest(&shop, "a/seed=1337").contains_key("retry_at")
        };
        wait_until("a wait", waits);
        signal(&child.id().to_string(), how);
        let call = Call::from(child.wait_with_output().unwrap());
        assert_eq!(call.code, code, "{how}: {}", call.stderr);
        assert!(code.is_none() || call.stdout.contains("it will be retried"), "{}", call.stdout);
        let list = shop.run(&["ls"]).expect(0).stdout;
        assert!(list.contains("failed: device, will be retried"), "{list}");
        // The attempt that is owed, and no other.
        shop.run(&["resume"]).expect(4);
        assert_eq!(attempts(&shop, "a/seed=1337"), 2, "{how}");
        let said = shop.run(&["resume"]).expect(4).stdout;
        assert!(
            said.contains("no unfinished run") && said.contains("a/seed=1337 failed; `runner retry`"),
            "{said}"
        );
        // Asked for by a person, it has its retries anew.
        shop.run(&["retry"]).expect(4);
        assert_eq!(attempts(&shop, "a/seed=1337"), 4, "{how}");
    }
}

#[test]
fn whose_parent_died_before_it_could_say_so_is_unfinished_too() {
    let shop = Shop::new();
    shop.experiment("a.toml", OWED);
    let runs = shop.run(&["prepare", "a.toml"]).expect(0).stdout;
    shop.run(&["exec", runs.trim()]).expect(4);
    assert!(!manifest(&shop, "a/seed=1337").contains_key("retry_at"));
    shop.run(&["resume"]).expect(4);
    assert_eq!(attempts(&shop, "a/seed=1337"), 2);
    let said = shop.run(&["resume"]).expect(4).stdout;
    assert!(
        said.contains("no unfinished run") && said.contains("a/seed=1337 failed; `runner retry`"),
        "{said}"
    );
}

#[test]
fn what_another_process_trains_is_not_done() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let long = ["a.toml", "--set", "train.max_steps=100000", SLOW[0], SLOW[1]];
    let child = start(&shop, &long);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 5);
    for arguments in [&long[..], &["resume"], &["resume", "a"], &["retry", "a"]] {
        let call = shop.run(arguments).expect(75);
        assert!(call.stdout.contains("is being trained by process"), "{arguments:?}: {}", call.stdout);
    }
    shop.run(&["exec", "runs/a/seed=1337"]).expect(75).says(&["is being written by process"]);
    signal(&child.id().to_string(), "TERM");
    Call::from(child.wait_with_output().unwrap()).expect(75);
}

#[test]
fn a_process_that_saves_and_stops_is_waited_for() {
    for _ in 0..5 {
        let shop = Shop::new();
        // A step takes its time, so that the child is still at it when the command comes again.
        shop.experiment("a.toml", "sleep_secs = 0.3\n");
        let few = ["a.toml", "--set", "train.max_steps=8"];
        let child = start(&shop, &few);
        wait_until("some training", || rows(&shop, "a/seed=1337") > 2);
        signal(&child.id().to_string(), "KILL");
        shop.run(&few).expect(0);
        child.wait_with_output().unwrap();
        assert_eq!(rows(&shop, "a/seed=1337"), 9);
        assert_eq!(directories(&shop), ["seed=1337"]);
    }
}

#[test]
fn a_command_that_waits_for_a_run_to_save_hears_a_signal() {
    let shop = Shop::new();
    shop.experiment("a.toml", "sleep_secs = 60.0\n");
    let first = start(&shop, &["a.toml"]);
    wait_until("a writer", || writer(&shop, "a/seed=1337").is_some());
    // One that says that it saves and stops, and takes longer over it than this test.
    let holder = writer(&shop, "a/seed=1337").unwrap();
    signal(&holder, "STOP");
    let lock = shop.path().join("runs/a/seed=1337/lock");
    fs::write(&lock, format!("{}stopping = true\n", fs::read_to_string(&lock).unwrap())).unwrap();
    for arguments in [&["a.toml"][..], &["resume"]] {
        let mut second = start(&shop, arguments);
        let mut said = String::new();
        let mut stderr = BufReader::new(second.stderr.take().unwrap());
        while !said.contains("waiting for process") {
            assert!(stderr.read_line(&mut said).unwrap() > 0, "{arguments:?}: {said}");
        }
        signal(&second.id().to_string(), "TERM");
        let told = Instant::now();
        Call::from(second.wait_with_output().unwrap()).expect(75);
        assert!(told.elapsed() < Duration::from_secs(20), "{arguments:?}");
    }
    signal(&first.id().to_string(), "TERM");
    signal(&holder, "KILL");
    first.wait_with_output().unwrap();
}

#[test]
fn one_bad_directory_keeps_no_other_run_from_going_on() {
    let shop = stopped_sweep();
    // One whose lock cannot be had, one whose manifest cannot be read, one in which nothing is.
    let lock = shop.path().join("runs/a/initial_loss=5,seed=1337/lock");
    let _ = fs::remove_file(&lock);
    fs::create_dir(&lock).unwrap();
    shop.write("runs/b/seed=1/manifest.toml", "status = ");
    shop.write("runs/a/seed=1/manifest.toml", "status = ");
    // Named as a whole, too.
    let call = shop.run(&["resume", "a"]);
    assert!(call.code == Some(1) || call.code == Some(4), "{:?}", call.code);
    for run in ["a/initial_loss=4,seed=1337", "a/initial_loss=6,seed=1337"] {
        assert_eq!(manifest(&shop, run)["status"].as_str(), Some("finished"), "{run}: {}", call.stderr);
    }
    // Also where nothing else is to be done.
    let call = shop.run(&["resume"]);
    assert_ne!(call.code, Some(0), "{}", call.stdout);
    fs::remove_dir(&lock).unwrap();
    fs::remove_dir_all(shop.path().join("runs/b")).unwrap();
    fs::remove_dir_all(shop.path().join("runs/a/seed=1")).unwrap();
    shop.run(&["resume"]).expect(0);
    shop.run(&["a.toml"]).expect(0);
}

#[test]
fn two_that_resume_at_once_do_not_stop_each_other() {
    let shop = stopped_sweep();
    let both = [start(&shop, &["resume"]), start(&shop, &["resume"])];
    let codes = both.map(|child| child.wait_with_output().unwrap().status.code());
    assert!(
        codes.contains(&Some(0)) && codes.iter().all(|code| [Some(0), Some(75)].contains(code)),
        "{codes:?}"
    );
    shop.run(&["a.toml"]).expect(0);
    assert_eq!(directories(&shop).len(), 3);
}

#[test]
fn two_simultaneous_starts_of_a_sweep_train_each_run_once() {
    for _ in 0..4 {
        let shop = Shop::new();
        sweep(&shop);
        let both = [start(&shop, &["a.toml"]), start(&shop, &["a.toml"])];
        let started = Instant::now();
        let codes = both.map(|child| child.wait_with_output().unwrap().status.code());
        assert!(started.elapsed() < Duration::from_secs(60));
        assert!(
            codes.contains(&Some(0)) && codes.iter().all(|code| [Some(0), Some(75)].contains(code)),
            "{codes:?}"
        );
        assert_eq!(directories(&shop).len(), 3, "{:?}", directories(&shop));
        for run in directories(&shop) {
            assert_eq!(attempts(&shop, &format!("a/{run}")), 1, "{run}");
        }
    }
}

#[test]
fn what_a_machine_lacks_is_counted_and_not_trained_there() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let poor = ["--set", "hardware.requires=[\"min_memory_gb=1e9\"]"];
    let call = shop.run(&[&["a.toml", "--set", "experiment.repeats=2"][..], &poor].concat()).expect(0);
    assert!(call.stdout.contains("0 runs in ") && call.stdout.contains(", 2 skipped\n"), "{}", call.stdout);
    let run =
        shop.run(&[&["prepare", "a.toml", "--runs-dir", "elsewhere"][..], &poor].concat()).expect(0).stdout;
    let call = shop.run(&["exec", run.trim()]).expect(2);
    assert!(call.stderr.contains("needs at least 1000000000 GB of memory"), "{}", call.stderr);
    assert!(shop.read(&format!("{}/manifest.toml", run.trim())).contains("status = \"queued\""));
}

#[test]
fn a_record_names_the_machine_that_trained_and_its_age_counts_from_there() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let run = shop.run(&["prepare", "a.toml"]).expect(0).stdout;
    let path = format!("{}/manifest.toml", run.trim());
    let before: toml::Table = shop.read(&path).parse().unwrap();
    let hostname = before["host"]["hostname"].as_str().unwrap().to_owned();
    // As if it had been made on another machine, a year ago.
    let elsewhere = shop
        .read(&path)
        .replace(&format!("hostname = \"{hostname}\""), "hostname = \"head-node\"")
        .replace(before["started_at"].as_str().unwrap(), "2020-01-01T00:00:00Z");
    shop.write(&path, elsewhere);
    shop.run(&["exec", run.trim()]).expect(0);
    let after: toml::Table = shop.read(&path).parse().unwrap();
    assert_eq!(after["host"]["hostname"].as_str(), Some(hostname.as_str()));
    assert!(!after["started_at"].as_str().unwrap().starts_with("2020"));
}

#[test]
fn a_run_whose_directory_is_moved_away_fails_and_says_so() {
    let shop = Shop::new();
    // Without a checkpoint that would find out.
    shop.experiment("a.toml", "");
    let slow = ["a.toml", "--set", "train.max_steps=400", "--set", "checkpoint.interval=0", SLOW[0], SLOW[1]];
    for replaced in [false, true] {
        let child = start(&shop, &slow);
        wait_until("some training", || rows(&shop, "a/seed=1337") > 5);
        let place = shop.path().join("runs/a/seed=1337");
        fs::rename(&place, shop.path().join("moved")).unwrap();
        if replaced {
            shop.write("runs/a/seed=1337/mine.txt", "not a run");
        }
        let call = Call::from(child.wait_with_output().unwrap()).expect(4);
        let said = format!("{}{}", call.stdout, call.stderr);
        assert!(said.contains("seed=1337") && !said.contains("Finished"), "{said}");
        if replaced {
            assert_eq!(fs::read_dir(&place).unwrap().count(), 1, "nothing is written into another directory");
            fs::remove_dir_all(&place).unwrap();
        }
        // Moved back, it is gone on with.
        assert!(!place.exists());
        fs::rename(shop.path().join("moved"), &place).unwrap();
        shop.run(&["resume", "--quiet"]).expect(0);
        fs::remove_dir_all(shop.path().join("runs")).unwrap();
    }
}

#[test]
fn a_damaged_manifest_is_no_reason_to_train_anew_in_silence() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    shop.run(&["a.toml"]).expect(0);
    let manifest = shop.read("runs/a/seed=1337/manifest.toml");
    shop.write("runs/a/seed=1337/manifest.toml", &manifest[..manifest.len() / 2]);
    for command in [&["a.toml"][..], &["prepare", "a.toml"]] {
        let call = shop.run(command);
        assert!([Some(1), Some(4)].contains(&call.code), "{:?}", call.code);
        assert!(call.stderr.contains("manifest.toml"), "{}", call.stderr);
    }
    assert_eq!(directories(&shop), ["seed=1337"]);
    shop.run(&["a.toml", "--again"]).expect(0);
    assert_eq!(directories(&shop), ["seed=1337", "seed=1337-2"]);
}

#[test]
fn directories_that_are_prepared_twice_at_once_are_made_once() {
    for _ in 0..4 {
        let shop = Shop::new();
        sweep(&shop);
        let both = [start(&shop, &["prepare", "a.toml"]), start(&shop, &["prepare", "a.toml"])];
        for child in both {
            let call = Call::from(child.wait_with_output().unwrap()).expect(0);
            assert_eq!(call.stdout.lines().count(), 3, "{}", call.stdout);
        }
        assert_eq!(directories(&shop).len(), 3, "{:?}", directories(&shop));
    }
}

#[test]
fn a_run_for_another_machine_needs_no_device_of_this_one() {
    if cfg!(feature = "cuda") {
        return;
    }
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let cuda = ["--set", "hardware.device=cuda"];
    shop.run(&[&["a.toml"][..], &cuda].concat()).expect(2);
    shop.run(&[&["prepare", "a.toml"][..], &cuda].concat()).expect(0);
}

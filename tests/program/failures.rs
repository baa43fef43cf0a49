//! Runs that fail: every class is told apart, the others finish, and nothing that was saved is lost.
#![cfg(unix)]

use std::fs;
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::shop::{Call, SCRIPTED, Shop};
use crate::watch::{REAL, assert_same, attempts, class, manifest, rows, wait_until};

#[test]
fn a_file_that_may_not_grow_further_is_a_full_disk() {
    let shop = Shop::new();
    shop.write("a.toml", REAL.replace("max_steps = 300", "max_steps = 9000"));
    // Blocks of 512 or 1,024 bytes: checkpoints and plots fit, a long log does not.
    let program = shop.command(&["a.toml"]);
    let mut limited = Command::new("sh");
    limited
        .arg("-c")
        .arg("ulimit -f 512; exec \"$0\" \"$@\"")
        .arg(program.get_program())
        .args(program.get_args());
    limited.current_dir(shop.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Call::from(limited.output().unwrap()).expect(4);
    assert_eq!(class(&shop, "a/seed=1337"), "disk_full");
}

#[test]
fn every_class_of_failure_is_told_apart_and_the_others_finish() {
    let shop = Shop::new();
    shop.experiment(
        "a.toml",
        "fail_at = 30\nfail_as = \"error\"\n[on_failure]\nretry_killed = 0\nretry_device = 0\ntimeout = \"3s\"\nretry_timeout = 0\n\
         [sweep.grid]\nscripted.fail_as = [\"error\", \"panic\", \"abort\", \"kill\", \"out_of_memory\", \"hang\"]\n",
    );
    shop.experiment("fine.toml", "");
    let call = shop.run(&["a.toml", "fine.toml", "--jobs", "2"]).expect(4);
    for (how, expected) in [
        ("error", "device"),
        ("panic", "panic"),
        ("abort", "panic"),
        ("kill", "killed"),
        ("out_of_memory", "out_of_memory"),
        ("hang", "timeout"),
    ] {
        assert_eq!(class(&shop, &format!("a/fail_as={how},seed=1337")), expected);
        assert_eq!(rows(&shop, &format!("a/fail_as={how},seed=1337")), 30, "{how}: header and 29 steps");
    }
    assert_eq!(class(&shop, "fine/seed=1337"), "max_steps");
    assert!(call.stdout.contains("7 runs in ") && call.stdout.contains(", 6 failed\n"), "{}", call.stdout);
    let panicked = manifest(&shop, "a/fail_as=panic,seed=1337");
    assert!(
        panicked["last_output"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line.as_str().unwrap().contains("panicked at"))
    );

    // `retry` takes those of its class, from their checkpoints.
    let call = shop.run(&["retry", "--class", "killed", "-q"]).expect(4);
    assert!(call.stdout.contains("fail_as=kill,seed=1337"), "{}", call.stdout);
    assert_eq!(attempts(&shop, "a/fail_as=kill,seed=1337"), 2);
    assert_eq!(
        manifest(&shop, "a/fail_as=kill,seed=1337")["attempts"][1]["from_step"].as_integer(),
        Some(20)
    );
    assert_eq!(attempts(&shop, "a/fail_as=panic,seed=1337"), 1);
    shop.run(&["retry", "--class", "nonsense"]).expect(2).says(&["out_of_memory"]);
}

#[test]
fn a_batch_that_does_not_fit_is_halved_until_it_does() {
    let shop = Shop::new();
    shop.experiment("a.toml", "fits_batch_size = 2\n[on_failure]\nhalve_batch = true\n");
    let call = shop.run(&["a.toml", "--set", "train.batch_size=12"]).expect(0);
    assert!(call.stderr.contains("train.batch_size = 6 instead of 12"), "{}", call.stderr);
    let manifest = manifest(&shop, "a/seed=1337");
    let adapted = manifest["adapted"].as_array().unwrap();
    let change = |key: &str| {
        let found = adapted.iter().find(|change| change["key"].as_str() == Some(key)).unwrap();
        (found["before"].as_str().unwrap().to_owned(), found["now"].as_str().unwrap().to_owned())
    };
    assert_eq!(change("train.batch_size"), ("12".to_owned(), "1".to_owned()));
    assert_eq!(change("train.gradient_accumulation_steps"), ("1".to_owned(), "12".to_owned()));
    assert_eq!(manifest["run"]["tokens_per_step"].as_integer(), Some(12 * 16));
    // The sum is that of the adapted configuration: a run that goes on with it is not refused.
    let sum = manifest["config_sha256"].as_str().unwrap();
    assert_eq!(
        sum,
        runner::files::sha256(&fs::read(shop.path().join("runs/a/seed=1337/config.toml")).unwrap())
    );
    // It is the run that was asked for, not another one.
    let call = shop.run(&["a.toml", "--set", "train.batch_size=12"]).expect(0);
    assert!(call.stdout.contains("kept from an earlier call"), "{}", call.stdout);
}

#[test]
fn after_enough_failures_nothing_more_is_started() {
    let shop = Shop::new();
    shop.experiment("a.toml", "fail_at = 5\n[on_failure]\nretry_device = 0\n[experiment]\nrepeats = 5\n");
    let call = shop.run(&["a.toml", "--max-fail", "2"]).expect(4);
    assert_eq!(call.stdout.matches("Failed").count(), 2, "{}", call.stdout);
    assert_eq!(call.stdout.matches("not started: enough runs had failed").count(), 3, "{}", call.stdout);
    // What was not started is not lost.
    let call = shop.run(&["resume", "--fail-fast"]).expect(4);
    assert_eq!(call.stdout.matches("not started: ").count(), 2, "{}", call.stdout);
}

#[test]
fn a_sweep_in_which_much_goes_wrong_finishes_the_rest_and_retries_the_right_ones() {
    let shop = Shop::new();
    shop.write("words.txt", "word ".repeat(400));
    // First and slow, so that the others still wait when the text disappears.
    shop.experiment("a-diverges.toml", "diverge_at = 30\nsleep_secs = 0.02\n");
    shop.experiment("b-killed.toml", "fail_at = 30\nfail_as = \"kill\"\n[on_failure]\nretry_killed = 0\n");
    let large = REAL.replace("n_embd = 16", "n_embd = 2048").replace("n_layer = 1", "n_layer = 12");
    shop.write("c-large.toml", large.replace("max_steps = 300", "max_steps = 2"));
    let text = SCRIPTED.replace("corpus = \"salt-crown\"", "path = \"words.txt\"");
    shop.write("d-text.toml", text);
    shop.write("e-fine.toml", REAL.replace("max_steps = 300", "max_steps = 40"));
    let files = ["a-diverges.toml", "b-killed.toml", "c-large.toml", "d-text.toml", "e-fine.toml"];

    // Less memory than the large model needs, as `ulimit -v` has it.
    let capped = |arguments: &[&str]| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -v 1500000; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_runner")]);
        command.args(arguments).current_dir(shop.path()).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let child = capped(&files);
    wait_until("the first run", || rows(&shop, "a-diverges/seed=1337") > 2);
    fs::remove_file(shop.path().join("words.txt")).unwrap();
    let call = Call::from(child.wait_with_output().unwrap()).expect(4);
    let expected = [
        ("a-diverges", "diverged"),
        ("b-killed", "killed"),
        ("c-large", "out_of_memory"),
        ("d-text", "data"),
        ("e-fine", "max_steps"),
    ];
    for (experiment, reason) in expected {
        let run = format!("{experiment}/seed=1337");
        assert_eq!(class(&shop, &run), reason, "{run}: {}\n{}", call.stdout, call.stderr);
        assert!(shop.has(&format!("runs/{run}/report.md")), "{run}");
    }
    assert!(call.stdout.contains("comparison: reports/"), "{}", call.stdout);

    // What diverged would diverge again, and what finished is done.
    shop.write("words.txt", "word ".repeat(400));
    Call::from(capped(&["retry", "-q"]).wait_with_output().unwrap()).expect(4);
    let tried = [("a-diverges", 1), ("b-killed", 2), ("c-large", 2), ("d-text", 2), ("e-fine", 1)];
    for (experiment, number) in tried {
        assert_eq!(attempts(&shop, &format!("{experiment}/seed=1337")), number, "{experiment}");
    }
    assert_eq!(class(&shop, "d-text/seed=1337"), "max_steps");
}

/// In a user namespace of its own the test may mount a small disk; where that is not allowed it is skipped.
#[test]
fn a_disk_that_fills_up_costs_the_run_and_nothing_that_was_saved() {
    let shop = Shop::new();
    // A checkpoint takes some 75 KB; three fit beside the record, and then there is no room for a fourth beside the two that are kept.
    shop.write("a.toml", REAL);
    shop.write("fine.toml", REAL.replace("max_steps = 300", "max_steps = 40"));
    fs::create_dir(shop.path().join("small")).unwrap();
    let script = "mount -t tmpfs -o size=1300k none small || exit 99\n\
         \"$0\" a.toml --runs-dir small/runs --set checkpoint.keep_last=9; code=$?\n\
         \"$0\" fine.toml --runs-dir elsewhere -q || exit 98\n\
         \"$0\" ls --runs-dir small/runs > ls.txt\n\
         cp -r small/runs saved; exit $code";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_runner")]);
    let output = command.current_dir(shop.path()).stdin(Stdio::null()).output();
    let Ok(output) = output.map(Call::from) else {
        skipped("there is no `unshare` here to mount a small disk with");
        return;
    };
    if output.code == Some(99) || output.stderr.contains("unshare:") {
        skipped(&format!("a small disk cannot be mounted here: {}", output.stderr));
        return;
    }
    // It was looked at before the start.
    let call = output
        .expect(4)
        .says(&["warning: a/seed=1337 writes about ", " is free in small/runs; free space, "]);
    let manifest: toml::Table = shop.read("saved/a/seed=1337/manifest.toml").parse().unwrap();
    assert_eq!(manifest["stop_reason"].as_str(), Some("disk_full"), "{}\n{manifest}", call.stdout);
    assert!(shop.read("ls.txt").contains("failed"));
    // What was saved is whole, and with more room the run goes on from it to the end.
    let saved = fs::read_dir(shop.path().join("saved/a/seed=1337/checkpoints")).unwrap();
    assert!(
        saved
            .filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().starts_with("step-"))
            .count()
            >= 2
    );
    let call = shop.run(&["retry", "--runs-dir", "saved", "-q"]).expect(0);
    assert!(call.stdout.contains("Finished after 300 steps"), "{}", call.stdout);
    shop.run(&["a.toml", "--set", "checkpoint.keep_last=9", "-q"]).expect(0);
    fs::rename(shop.path().join("saved/a"), shop.path().join("runs/full")).unwrap();
    assert_same(&shop, "a/seed=1337", "full/seed=1337");
}

/// Rust's runtime aborts a process that gets no memory: nobody can catch that, and a sweep must not die of a plot.
#[cfg(target_os = "linux")]
#[test]
fn no_memory_for_reports_ends_no_sweep() {
    let mut without_reports = 0;
    // Threads reserve address space in large pieces: above the least there are other limits that the reports meet alone.
    for megabytes in (40..=100).step_by(4).chain((120..=200).step_by(20)) {
        let shop = Shop::new();
        shop.experiment("a.toml", "[sweep.grid]\nexperiment.seed = [1, 2]\n");
        let mut limited = Command::new("sh");
        let script = format!("ulimit -v {}; exec \"$0\" \"$@\"", megabytes * 1024);
        limited.args(["-c", &script, env!("CARGO_BIN_EXE_runner"), "a.toml", "-q"]).current_dir(shop.path());
        let output = limited.output().unwrap();
        let (text, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if !shop.has("runs/a/seed=2") {
            // Too little to begin with.
            assert_ne!(output.status.code(), Some(0));
            continue;
        }
        assert!(text.contains("2 runs in "), "{megabytes} MB: {text}{errors}");
        let finished = |seed: u64| {
            shop.read(&format!("runs/a/seed={seed}/manifest.toml")).contains("status = \"finished\"")
        };
        let reports = [1, 2].map(|seed| shop.has(&format!("runs/a/seed={seed}/report.md")));
        match output.status.code() {
            Some(0) => assert!(shop.has("reports/a.md") && reports == [true, true], "{megabytes} MB"),
            // All that is lacking is written by these, as the message says.
            Some(1) => {
                without_reports += 1;
                assert!(finished(1) && finished(2), "{megabytes} MB: {errors}");
                assert!(errors.contains("could not get memory") || errors.contains("could not be started"));
                shop.run(&["report", "a"]).expect(0);
                shop.run(&["compare", "a"]).expect(0);
            }
            Some(4) => assert!(!finished(1) || !finished(2), "{megabytes} MB: {errors}"),
            other => panic!("{megabytes} MB: {other:?}: {text}{errors}"),
        }
    }
    assert!(without_reports > 0, "no limit was one that only the reports met");
}

/// A run that failed and waits for another attempt may have failed for good: with `--fail-fast` nothing else is started meanwhile.
#[test]
fn fail_fast_starts_nothing_while_a_failure_waits_for_another_attempt() {
    let shop = Shop::new();
    let more = "fail_as = \"error\"\n\
                [on_failure]\nretry_device = 1\nbackoff_secs = 1.0\n[sweep.grid]\nscripted.fail_at = [7, 0, 8]\n";
    shop.experiment("a.toml", more);
    let call = shop.run(&["a.toml", "-q", "--fail-fast"]).expect(4);
    assert_eq!(call.stdout.matches("not started: enough runs had failed").count(), 2, "{}", call.stdout);
    for run in ["fail_at=0,seed=1337", "fail_at=8,seed=1337"] {
        assert!(!shop.has(&format!("runs/a/{run}/metrics.csv")), "{run}");
    }
}

/// Past the test harness, which keeps what passing tests print.
fn skipped(reason: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {reason}");
}

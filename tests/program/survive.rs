//! What is kept and said when runs end before their time.
#![cfg(unix)]

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::shop::{Call, SCRIPTED, Shop};

/// A small model that really trains, with everything that a resumed run could get wrong: dropout, shuffled epochs, evaluation,
/// samples, checkpoints.
const REAL: &str = r#"
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

const SLOW: [&str; 2] = ["--set", "scripted.sleep_secs=0.02"];

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(60), "{what} did not happen within a minute");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn start(shop: &Shop, arguments: &[&str]) -> Child {
    shop.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn signal(pid: &str, name: &str) {
    // A process may be gone by itself by now.
    let _ = Command::new("kill").args([&format!("-{name}"), pid]).stderr(Stdio::null()).status().unwrap();
}

/// The process that holds the run's lock.
fn writer(shop: &Shop, run: &str) -> Option<String> {
    let text = fs::read_to_string(shop.path().join(format!("runs/{run}/lock"))).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("pid = "))?;
    Some(line.to_owned())
}

fn rows(shop: &Shop, run: &str) -> usize {
    fs::read_to_string(shop.path().join(format!("runs/{run}/metrics.csv")))
        .map_or(0, |text| text.lines().count())
}

/// The columns of `metrics.csv` that follow from the configuration alone.
fn numbers(shop: &Shop, run: &str) -> Vec<Vec<String>> {
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
fn saved(shop: &Shop, run: &str, file: &str) -> Vec<u8> {
    let last = shop.read(&format!("runs/{run}/checkpoints/last"));
    fs::read(shop.path().join(format!("runs/{run}/checkpoints/{}/{file}", last.trim()))).unwrap()
}

fn assert_same(shop: &Shop, run: &str, other: &str) {
    assert_eq!(numbers(shop, run), numbers(shop, other), "{run} and {other}");
    for file in ["model.safetensors", "optimizer.safetensors", "engine.json"] {
        assert!(saved(shop, run, file) == saved(shop, other, file), "{file} of {run} and {other}");
    }
    let samples = |run: &str| shop.read(&format!("runs/{run}/samples.md"));
    assert_eq!(samples(run), samples(other));
    let results = |run: &str| manifest(shop, run)["results"].clone();
    for key in ["copied_share", "longest_copy_characters"] {
        assert_eq!(results(run).get(key), results(other).get(key), "{key} of {run} and {other}");
    }
}

fn manifest(shop: &Shop, run: &str) -> toml::Table {
    shop.read(&format!("runs/{run}/manifest.toml")).parse().unwrap()
}

fn attempts(shop: &Shop, run: &str) -> usize {
    manifest(shop, run)["attempts"].as_array().unwrap().len()
}

fn class(shop: &Shop, run: &str) -> String {
    manifest(shop, run)["stop_reason"].as_str().unwrap().to_owned()
}

#[test]
fn a_run_whose_parent_is_killed_stops_cleanly_and_resumes_to_the_same_numbers() {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    shop.write("b.toml", REAL);
    shop.run(&["b.toml"]).expect(0);
    let mut parent = start(&shop, &["a.toml", "--set", "train.max_steps=300"]);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 30);
    parent.kill().unwrap();
    parent.wait().unwrap();
    wait_until("the end of the run", || writer(&shop, "a/seed=1337").is_none());
    let stopped = class(&shop, "a/seed=1337");
    assert!(stopped == "interrupted" || stopped == "max_steps", "{stopped}");
    let call = shop.run(&["resume", "-q"]).expect(0);
    assert!(call.stdout.contains("a/seed=1337: Finished") || stopped == "max_steps", "{}", call.stdout);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn a_run_that_is_killed_is_gone_on_with_and_ends_with_the_same_numbers() {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    shop.write("b.toml", REAL);
    shop.run(&["b.toml"]).expect(0);
    let parent =
        start(&shop, &["a.toml", "--set", "on_failure.backoff_secs=0", "--set", "on_failure.retry_killed=9"]);
    for enough in [40, 120] {
        wait_until("some training", || rows(&shop, "a/seed=1337") > enough);
        signal(&writer(&shop, "a/seed=1337").unwrap_or("0".to_owned()), "KILL");
    }
    let call = Call::from(parent.wait_with_output().unwrap()).expect(0);
    assert!(
        call.stderr.contains("a/seed=1337 failed (killed): its process was killed (SIGKILL)"),
        "{}",
        call.stderr
    );
    assert!(attempts(&shop, "a/seed=1337") >= 2);
    assert!(shop.read("runs/a/seed=1337/metrics.csv").lines().next().unwrap().contains("attempt"));
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn ctrl_c_and_the_same_command_again_go_on_as_if_nothing_had_been() {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    shop.write("b.toml", REAL);
    shop.run(&["b.toml"]).expect(0);
    for enough in [20, 90, 170] {
        let child = start(&shop, &["a.toml"]);
        wait_until("some training", || rows(&shop, "a/seed=1337") > enough);
        signal(&child.id().to_string(), "INT");
        child.wait_with_output().unwrap();
    }
    shop.run(&["a.toml"]).expect(0);
    assert!(attempts(&shop, "a/seed=1337") >= 2);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
    // The third time there is nothing left to do.
    let before = shop.read("runs/a/seed=1337/manifest.toml");
    let call = shop.run(&["a.toml"]).expect(0);
    assert!(call.stdout.contains("kept from an earlier call"), "{}", call.stdout);
    assert_eq!(shop.read("runs/a/seed=1337/manifest.toml"), before);
}

#[test]
fn a_run_whose_kernel_is_not_here_goes_on_with_another_one_and_says_so() {
    let shop = Shop::new();
    shop.write("a.toml", REAL.replace("[hardware]\n", "[hardware]\ndtype = \"bf16\"\n"));
    let child = start(&shop, &["a.toml", "--set", "train.max_steps=4000"]);
    wait_until("a checkpoint", || rows(&shop, "a/seed=1337") > 30);
    signal(&child.id().to_string(), "INT");
    child.wait_with_output().unwrap();
    let kernel = |run: &toml::Table| run["device"]["kernel"].as_str().unwrap().to_owned();
    let own = kernel(&manifest(&shop, "a/seed=1337"));
    let log = shop.read("runs/a/seed=1337/log.jsonl");
    assert_eq!(log.matches("bf16 gains nothing here").count(), usize::from(own == "f32 kernels"));
    let path = shop.path().join("runs/a/seed=1337/manifest.toml");
    // The run comes from a machine with a kernel that no machine has.
    let quoted = |kernel: &str| format!("kernel = \"{kernel}\"");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace(&quoted(&own), &quoted("MMX"))).unwrap();
    let child = start(&shop, &["resume"]);
    wait_until("the second attempt", || {
        shop.read("runs/a/seed=1337/log.jsonl").contains("multiplied by MMX until now")
    });
    signal(&child.id().to_string(), "INT");
    let call = Call::from(child.wait_with_output().unwrap());
    assert!(call.stderr.contains("warning: the run multiplied by MMX until now"), "{}", call.stderr);
    let log = shop.read("runs/a/seed=1337/log.jsonl");
    assert!(log.matches("bf16 gains nothing here").count() <= 1, "it was said again");
    let after = manifest(&shop, "a/seed=1337");
    assert_eq!(kernel(&after), "MMX");
    let attempts = after["attempts"].as_array().unwrap();
    let kernels: Vec<_> = attempts.iter().map(|attempt| attempt["kernel"].as_str().unwrap()).collect();
    assert_eq!(kernels, ["MMX", own.as_str()]);
    let report = shop.read("runs/a/seed=1337/report.md");
    assert!(report.contains(&format!("attempt 2 by {own}")), "{report}");
}

#[test]
fn a_stop_in_the_last_measurements_leaves_them_to_be_made_up_for() {
    let shop = Shop::new();
    let sample =
        "[sample]\ninterval = 1000\nprompts = [\"a\", \"b\", \"c\", \"d\"]\nmax_new_tokens = 20000\n";
    shop.write("a.toml", SCRIPTED.replace("[sample]\ninterval = 0\n", sample));
    let child = start(&shop, &["a.toml"]);
    wait_until("the last step", || rows(&shop, "a/seed=1337") == 61);
    signal(&child.id().to_string(), "INT");
    Call::from(child.wait_with_output().unwrap()).expect(130);
    assert_eq!(class(&shop, "a/seed=1337"), "interrupted");
    assert!(!shop.has("runs/a/seed=1337/samples.md"));
    shop.run(&["a.toml", "-q"]).expect(0);
    assert_eq!(class(&shop, "a/seed=1337"), "max_steps");
    assert!(manifest(&shop, "a/seed=1337")["results"].get("corpus_loss").is_some());
    assert_eq!(shop.read("runs/a/seed=1337/samples.md").matches("## Step 60").count(), 1);
    assert_eq!(rows(&shop, "a/seed=1337"), 61);
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_what_was_saved_is_gone_on_with() {
    let shop = Shop::new();
    // The step never ends, so neither does the first Ctrl-C.
    shop.experiment("a.toml", "");
    let hanging = ["a.toml", "--set", "scripted.fail_at=30", "--set", "scripted.fail_as=hang"];
    let child = start(&shop, &hanging);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 29);
    signal(&child.id().to_string(), "INT");
    std::thread::sleep(Duration::from_millis(300));
    signal(&child.id().to_string(), "INT");
    let begun = Instant::now();
    Call::from(child.wait_with_output().unwrap()).expect(130);
    wait_until("the end of the run", || shop.run(&["ls"]).stdout.contains("interrupted"));
    assert!(begun.elapsed() < Duration::from_secs(10));
    // Without the flaw, which no run can be configured out of, it would go on from here.
    assert_eq!(manifest(&shop, "a/seed=1337")["attempts"][0]["from_step"].as_integer(), Some(0));
    assert!(shop.has("runs/a/seed=1337/checkpoints/step-000020/checksums.toml"));
}

#[test]
fn a_scheduler_s_signals_save_and_stop_however_often_they_come() {
    let shop = Shop::new();
    let long = REAL.replace("max_steps = 300", "max_steps = 900");
    shop.write("a.toml", &long);
    shop.write("b.toml", &long);
    shop.run(&["b.toml"]).expect(0);
    let mut enough = 5;
    for warnings in [["TERM", "TERM"], ["USR1", "TERM"], ["USR2", "USR2"], ["XCPU", "TERM"], ["HUP", "INT"]] {
        let child = start(&shop, &["a.toml"]);
        wait_until("some training", || rows(&shop, "a/seed=1337") > enough);
        // Slurm sends them to every process of a job, the second 7 to 12 ms after the first.
        let processes = [child.id().to_string(), writer(&shop, "a/seed=1337").unwrap()];
        for name in warnings {
            processes.iter().for_each(|pid| signal(pid, name));
            std::thread::sleep(Duration::from_millis(8));
        }
        Call::from(child.wait_with_output().unwrap()).expect(130);
        let ended = manifest(&shop, "a/seed=1337");
        assert_eq!(ended["status"].as_str(), Some("interrupted"), "{warnings:?}");
        let steps = rows(&shop, "a/seed=1337");
        assert!(steps > enough, "{warnings:?}: {steps} rows are kept");
        assert!(shop.read("runs/a/seed=1337/log.jsonl").contains("checkpoint"), "{warnings:?}");
        enough = steps + 5;
    }
    shop.run(&["a.toml"]).expect(0);
    assert_eq!(attempts(&shop, "a/seed=1337"), 6);
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

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
    assert!(call.stdout.contains("fine/seed=1337: Finished"), "{}", call.stdout);
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
fn the_same_command_keeps_what_is_done_and_retries_only_when_asked() {
    let shop = Shop::new();
    let failing = "[on_failure]\nretry_device = 0\n[sweep.grid]\nscripted.fail_at = [0, 30]\n";
    shop.experiment("a.toml", failing);
    shop.run(&["a.toml"]).expect(4);
    let call = shop.run(&["a.toml"]).expect(4);
    assert!(call.stdout.contains("--retry tries it again"), "{}", call.stdout);
    assert!(call.stdout.contains("0 runs in") && call.stdout.contains("2 kept"), "{}", call.stdout);
    assert_eq!(attempts(&shop, "a/fail_at=30,seed=1337"), 1);
    shop.run(&["a.toml", "--retry"]).expect(4);
    assert_eq!(attempts(&shop, "a/fail_at=30,seed=1337"), 2);
    assert_eq!(attempts(&shop, "a/fail_at=0,seed=1337"), 1);
    // Prose is no change, a step more is one.
    shop.run(&["a.toml", "--set", "experiment.description=other", "--only", "*fail_at=0*"]).expect(0);
    assert!(!shop.has("runs/a/fail_at=0,seed=1337-2"));
    shop.run(&["a.toml", "--set", "train.max_steps=70", "--only", "*fail_at=0*"]).expect(0);
    let changed = manifest(&shop, "a/fail_at=0,seed=1337-2");
    assert_eq!(changed["changed_since"]["run"].as_str(), Some("fail_at=0,seed=1337"));
    assert_eq!(changed["changed_since"]["keys"][0]["key"].as_str(), Some("train.max_steps"));
    assert_eq!(changed["changed_since"]["keys"][0]["now"].as_str(), Some("70"));
    // Going back finds the first one.
    shop.run(&["a.toml", "--only", "*fail_at=0*"]).expect(0);
    assert!(!shop.has("runs/a/fail_at=0,seed=1337-3"));
    shop.run(&["a.toml", "--again", "--only", "*fail_at=0*"]).expect(0);
    assert!(shop.has("runs/a/fail_at=0,seed=1337-3"));
}

#[test]
fn a_text_that_changed_makes_another_run_and_stops_an_interrupted_one() {
    let shop = Shop::new();
    let text = |word: &str| format!("{word} ").repeat(400);
    shop.write("words.txt", text("old"));
    shop.experiment("a.toml", "");
    let words = ["--set", "data.path=words.txt"];
    shop.run(&[&["a.toml"][..], &words].concat()).expect(0);
    let child = start(&shop, &[&["a.toml"][..], &words, &["--set", "train.max_steps=90"], &SLOW].concat());
    wait_until("some training", || rows(&shop, "a/seed=1337-2") > 25);
    signal(&child.id().to_string(), "INT");
    child.wait_with_output().unwrap();
    shop.write("words.txt", text("new"));
    shop.run(&[&["a.toml"][..], &words].concat()).expect(0);
    let third = manifest(&shop, "a/seed=1337-3");
    assert!(
        third["changed_since"]["keys"]
            .as_array()
            .unwrap()
            .iter()
            .any(|key| key["key"].as_str() == Some("data sha256"))
    );
    shop.run(&["resume", "a/seed=1337-2"]).expect(4);
    assert_eq!(class(&shop, "a/seed=1337-2"), "data");
    // With the old text back it goes on.
    shop.write("words.txt", text("old"));
    shop.run(&["retry", "a/seed=1337-2"]).expect(0);
    assert_eq!(rows(&shop, "a/seed=1337-2"), 91);
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
    // It is the run that was asked for, not another one.
    let call = shop.run(&["a.toml", "--set", "train.batch_size=12"]).expect(0);
    assert!(call.stdout.contains("kept from an earlier call"), "{}", call.stdout);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_is_gone_on_from() {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    shop.write("b.toml", REAL);
    shop.run(&["b.toml"]).expect(0);
    let child = start(&shop, &["a.toml"]);
    wait_until("some training", || rows(&shop, "a/seed=1337") > 70);
    signal(&child.id().to_string(), "INT");
    child.wait_with_output().unwrap();
    let last = shop.read("runs/a/seed=1337/checkpoints/last").trim().to_owned();
    let weights = shop.path().join(format!("runs/a/seed=1337/checkpoints/{last}/model.safetensors"));
    let mut bytes = fs::read(&weights).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 4;
    fs::write(&weights, bytes).unwrap();
    let call = shop.run(&["a.toml"]).expect(0);
    assert!(
        call.stderr.contains(&format!(
            "checkpoint {last} cannot be used: model.safetensors is not what was written"
        )),
        "{}",
        call.stderr
    );
    assert_same(&shop, "a/seed=1337", "b/seed=1337");
}

#[test]
fn one_process_writes_a_run_and_reading_works_meanwhile() {
    let shop = Shop::new();
    shop.experiment("a.toml", "");
    let child = start(&shop, &[&["a.toml", "--set", "train.max_steps=100000"][..], &SLOW].concat());
    wait_until("some training", || rows(&shop, "a/seed=1337") > 5);
    let run = "runs/a/seed=1337";
    let pid = writer(&shop, "a/seed=1337").unwrap();
    shop.run(&["exec", run]).expect(2).says(&["is being written by process", &pid]);
    let call = shop.run(&["a.toml", "--set", "train.max_steps=100000", SLOW[0], SLOW[1]]).expect(0);
    assert!(call.stdout.contains("is being trained by process"), "{}", call.stdout);
    assert!(shop.run(&["ls"]).expect(0).stdout.contains("running"));
    shop.run(&["report", "a"]).expect(0);
    assert!(shop.read("runs/a/seed=1337/report.md").contains("Running"));
    signal(&pid, "KILL");
    signal(&child.id().to_string(), "INT");
    child.wait_with_output().unwrap();
    // Its lock is gone with it.
    let exec = start(&shop, &["exec", "-q", run]);
    wait_until("a new writer", || writer(&shop, "a/seed=1337").is_some_and(|other| other != pid));
    signal(&exec.id().to_string(), "TERM");
    Call::from(exec.wait_with_output().unwrap()).expect(130);
}

#[test]
fn prepared_runs_can_be_executed_one_by_one_and_again() {
    let shop = Shop::new();
    shop.experiment("a.toml", "[experiment]\nrepeats = 2\n[target]\nthreshold = 0.001\n");
    let requires = ["--set", "hardware.requires=[\"min_memory_gb=1000000\"]"];
    let prepare = [&["prepare", "a.toml"][..], &requires].concat();
    let call = shop.run(&prepare).expect(0);
    let dirs: Vec<&str> = call.stdout.lines().collect();
    assert_eq!(dirs, ["runs/a/seed=1337", "runs/a/seed=1338"]);
    assert!(shop.run(&["ls"]).expect(0).stdout.contains("waiting"));
    shop.run(&["exec", dirs[0]]).expect(3);
    let before = shop.read("runs/a/seed=1337/manifest.toml");
    // As a job that is started once more.
    let call = shop.run(&["exec", dirs[0]]).expect(3);
    assert!(call.stdout.contains("Missed the target"), "{}", call.stdout);
    assert_eq!(shop.read("runs/a/seed=1337/manifest.toml"), before);
    // What is done is not named again.
    let call = shop.run(&prepare).expect(0).says(&["seed=1337: left out"]);
    assert_eq!(call.stdout.trim(), "runs/a/seed=1338");
    shop.run(&["exec", "nowhere"]).expect(2).says(&["nowhere"]);
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
fn runs_at_the_same_time_give_the_same_numbers_as_one_after_the_other() {
    let shop = Shop::new();
    let sweep = format!("{REAL}\n[experiment]\nrepeats = 3\n");
    let sweep = sweep.replace("max_steps = 300", "max_steps = 60").replace("threads = 1\n", "");
    shop.write("a.toml", &sweep);
    shop.write("b.toml", &sweep);
    shop.run(&["a.toml"]).expect(0);
    shop.run(&["b.toml", "--jobs", "3"]).expect(0);
    for seed in [1337, 1338, 1339] {
        assert_same(&shop, &format!("a/seed={seed}"), &format!("b/seed={seed}"));
    }
    let threads = |run: &str| manifest(&shop, run)["device"]["threads"].as_integer().unwrap();
    let cores = i64::try_from(std::thread::available_parallelism().unwrap().get()).unwrap();
    assert_eq!(threads("a/seed=1337"), cores);
    assert_eq!(threads("b/seed=1337"), (cores / 3).max(1));
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

#[test]
fn verify_resume_gives_its_verdict() {
    let shop = Shop::new();
    shop.write("a.toml", REAL);
    let call = shop.run(&["verify-resume", "a.toml", "--kills", "3", "-q"]).expect(0);
    assert!(call.stdout.contains("identical: 301 rows"), "{}", call.stdout);
    // Fewer times if it was quicker.
    assert!(call.stdout.starts_with("killed ") && !call.stdout.contains("killed 0"), "{}", call.stdout);
    assert!(!shop.has("runs"));
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
         \"$0\" a.toml --runs-dir small/runs --set checkpoint.keep_last=9 -q; code=$?\n\
         \"$0\" fine.toml --runs-dir elsewhere -q || exit 98\n\
         \"$0\" ls --runs-dir small/runs > ls.txt\n\
         cp -r small/runs saved; exit $code";
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, env!("CARGO_BIN_EXE_runner")]);
    let output = command.current_dir(shop.path()).stdin(Stdio::null()).output();
    let Ok(output) = output.map(Call::from) else {
        eprintln!("SKIPPED: there is no `unshare` here to mount a small disk with");
        return;
    };
    if output.code == Some(99) || output.stderr.contains("unshare:") {
        eprintln!("SKIPPED: a small disk cannot be mounted here: {}", output.stderr);
        return;
    }
    let call = output.expect(4);
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

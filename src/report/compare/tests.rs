use std::path::Path;

use crate::facts::{InitFrom, Status, StopReason};
use crate::report::fixture;
use crate::store::RunDir;

use super::*;

pub(super) fn page(records: &[RunRecord], left_out: &[LeftOut]) -> String {
    let comparison = Comparison::of(records);
    let figures = [figures::Figure {
        part: figures::Part::Curves,
        file: "loss_by_step",
        title: "Train loss by step".to_owned(),
        note: String::new(),
    }];
    let view = View::of(&comparison);
    render("learning rates", &view, left_out, &figures, &agreements(records), Path::new("reports"))
}

/// Three learning rates with two seeds each; the last one diverges.
pub(super) fn sweep() -> Vec<RunRecord> {
    let mut records = Vec::new();
    for (rate, floor) in [(1e-4, 1.6), (3e-4, 1.2), (1e-3, 1.3)] {
        for seed in [1337, 1338] {
            let name = format!("learning_rate={rate},seed={seed}");
            let jitter = if seed == 1337 { 0.0 } else { 0.01 };
            let mut record = fixture::run(Path::new("runs"), "rates", &name, 300, floor + jitter);
            record.manifest.run.seed = seed;
            fixture::set(&mut record, "optimizer.learning_rate", rate);
            fixture::set(&mut record, "experiment.seed", seed as i64);
            if rate == 1e-3 && seed == 1338 {
                record.manifest.status = Status::Diverged;
                record.manifest.results = None;
                record.rows.truncate(40);
            }
            records.push(record);
        }
    }
    records
}

#[test]
fn a_sweep_with_seeds_and_a_diverged_run() {
    let unreadable =
        LeftOut { run: "rates/torn".to_owned(), reason: "manifest.toml is not there".to_owned() };
    insta::assert_snapshot!(page(&sweep(), &[unreadable]));
}

#[test]
fn what_runs_began_from_is_called_by_its_name() {
    let mut fresh = fixture::run(Path::new("runs"), "finetune", "init_from=none,seed=1337", 100, 1.4);
    fixture::set(&mut fresh, "train.init_from", "");
    let mut begun = fixture::run(Path::new("runs"), "finetune", "init_from=a-b,seed=1337", 100, 1.2);
    fixture::set(&mut begun, "train.init_from", "/runs/a/b/checkpoints/step-002000/model.safetensors");
    begun.manifest.init_from = Some(InitFrom {
        given: "/runs/a/b".to_owned(),
        weights: "/runs/a/b/checkpoints/step-002000/model.safetensors".to_owned(),
        sha256: "0".repeat(64),
        name: Some("a/b".to_owned()),
        step: Some(2000),
        positions: None,
    });
    let text = page(&[fresh, begun], &[]);
    for part in ["| `a/b, step 2,000` |", "| `random weights` "] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains("/runs/a/b/checkpoints"), "{text}");
}

#[test]
fn the_same_configuration_and_seed_counts_once() {
    let mut records = sweep();
    records.truncate(2);
    let mut again = records.clone();
    for record in &mut again {
        record.dir =
            RunDir::open(record.dir.path().with_file_name(format!("{}-2", record.manifest.run.name)));
        record.manifest.started_at += jiff::SignedDuration::from_hours(1);
    }
    records.extend(again);
    let comparison = Comparison::of(&records);
    assert_eq!(comparison.groups.len(), 1);
    let counted: Vec<String> = comparison.groups[0].counted().map(|run| run.record.dir.name()).collect();
    assert_eq!(counted, ["learning_rate=0.0001,seed=1337-2", "learning_rate=0.0001,seed=1338-2"]);
    let text = page(&records, &[]);
    assert!(text.contains("the same configuration and seed as learning_rate=0.0001,seed=1337-2"), "{text}");
    assert!(text.contains("2 runs do not count (the same as a newer run)"), "{text}");
    // One that failed the second time does not push the first one out.
    records[2].manifest.status = Status::Failed;
    let counted = Comparison::of(&records).groups[0].counted().count();
    assert_eq!(counted, 2);
}

#[test]
fn what_only_one_of_the_optimizers_reads_is_no_difference() {
    let run = |kind: &str, momentum: f64, seed: u64| {
        let name = format!("kind={kind},seed={seed}");
        let mut record = fixture::run(Path::new("runs"), "optimizers", &name, 100, 1.4);
        record.manifest.run.seed = seed;
        fixture::set(&mut record, "optimizer.kind", kind);
        fixture::set(&mut record, "optimizer.momentum", momentum);
        record
    };
    let keys = |records: &[RunRecord]| Comparison::of(records).keys.clone();
    let two = [run("adamw", 0.9, 1), run("muon", 0.95, 2)];
    assert_eq!(keys(&two), ["optimizer.kind"]);
    // Among those that read it, it is one; a run that doesn't has no value.
    let three = [run("adamw", 0.9, 1), run("muon", 0.95, 2), run("muon", 0.8, 3)];
    assert_eq!(keys(&three), ["optimizer.kind", "optimizer.momentum"]);
    assert!(Comparison::of(&three).groups.iter().any(|group| group.values == ["adamw", "-"]));
}

#[test]
fn runs_that_were_multiplied_by_different_kernels_are_said_to_be() {
    let mut records = sweep();
    let mut set = |dtype: &str, kernels: [Option<&str>; 6]| {
        for (record, kernel) in records.iter_mut().zip(kernels) {
            let device = record.manifest.device.as_mut().unwrap();
            (device.dtype, device.kernel) = (dtype.to_owned(), kernel.map(str::to_owned));
        }
        page(&records, &[])
    };
    let note = "Runs in bf16 did not all use the same kernel (AMX, f32 kernels)";
    let amx = Some("AMX");
    assert!(set("bf16", [amx, amx, Some("f32 kernels"), amx, amx, amx]).contains(note));
    assert!(!set("bf16", [amx; 6]).contains("kernel"));
    assert!(!set("f32", [None; 6]).contains("kernel"));
    // One attempt of a run is enough.
    let mut records = sweep();
    for record in &mut records {
        let device = record.manifest.device.as_mut().unwrap();
        (device.dtype, device.kernel) = ("bf16".to_owned(), Some("AMX".to_owned()));
    }
    fixture::attempts(&mut records[0], &[(0, StopReason::Killed), (20, StopReason::MaxSteps)]);
    records[0].manifest.attempts[1].kernel = Some("f32 kernels".to_owned());
    assert!(page(&records, &[]).contains(note));
}

#[test]
fn the_order_of_the_runs_does_not_matter() {
    let mut records = sweep();
    let expected = page(&records, &[]);
    records.reverse();
    assert_eq!(page(&records, &[]), expected);
    records.swap(1, 4);
    assert_eq!(page(&records, &[]), expected);
}

#[test]
fn runs_with_targets_of_different_experiments() {
    let mut records = Vec::new();
    for (experiment, steps, layers) in [("small", 400, 2), ("large", 250, 6), ("skipped", 1, 12)] {
        let mut record = fixture::run(Path::new("runs"), experiment, "seed=1337", steps, 0.09);
        fixture::set(&mut record, "model.n_layer", i64::from(layers));
        fixture::aim(&mut record, 0.0999999);
        if experiment == "skipped" {
            record.rows.clear();
            record.manifest.results = None;
            record.manifest.device = None;
            record.manifest.data = None;
            record.manifest.status = Status::Skipped;
            record.manifest.message = Some("this machine has no CUDA device".to_owned());
        }
        records.push(record);
    }
    insta::assert_snapshot!(page(&records, &[]));
}

#[test]
fn what_cannot_be_compared_is_said() {
    let mut records = sweep();
    records.truncate(2);
    fixture::set(&mut records[1], "model.n_layer", 2);
    records[1].manifest.results.as_mut().unwrap().tokens = 5;
    records[1].manifest.device.as_mut().unwrap().name = "Another CPU".to_owned();
    let text = page(&records, &[]);
    assert!(text.contains("The hardware differs"), "{text}");
    assert!(text.contains("did not train on equally many tokens"), "{text}");
    assert!(text.contains("so the difference may be chance"), "{text}");

    fixture::set(&mut records[1], "data.tokenizer", "char");
    let text = page(&records, &[]);
    assert!(text.contains("which do not compare.\n\n- **No winner:** Their tokenizers differ"), "{text}");
    assert!(!text.contains("has the lowest"), "{text}");
    // Where text is what is predicted, and not tokens, they compare.
    for (record, bits) in records.iter_mut().zip([2.5, 1.5]) {
        record.manifest.results.as_mut().unwrap().best_val_bits_per_byte = Some(bits);
    }
    let text = page(&records, &[]);
    assert!(text.contains("has the lowest validation bits per byte: 1.500"), "{text}");
    assert!(!text.contains("tokenizers differ"), "{text}");
    // Losses per token are no outcome that one of them is best at.
    let bold: Vec<&str> = text.lines().filter(|line| line.starts_with('|') && line.contains("**")).collect();
    assert!(bold.iter().all(|line| line.matches("**").count() == 2 || line.contains(" s**")), "{text}");
    assert!(text.contains("nats per token, which do not compare between tokenizers"), "{text}");
    records[0].manifest.results.as_mut().unwrap().best_val_bits_per_byte = None;
    assert!(page(&records, &[]).contains("bits per byte were not measured for all"));
    records[1].manifest.status = Status::Skipped;
    assert!(page(&records, &[]).contains("has the lowest"));
}

#[test]
fn losses_on_other_tokens_name_no_winner() {
    for (key, other) in [
        ("data.weights", toml::Value::Array(vec![1.into(), 9.into()])),
        ("data.special_tokens", false.into()),
        ("data.separator", "none".into()),
        ("data.val_fraction", 0.5.into()),
    ] {
        let mut records = sweep();
        records.truncate(2);
        fixture::set(&mut records[1], key, other);
        let text = page(&records, &[]);
        assert!(text.contains("Their data differ") && !text.contains("has the lowest"), "{key}: {text}");
    }
}

#[test]
fn a_winner_is_only_one_beyond_the_spread_of_its_seeds() {
    let with_floors = |floors: [[f64; 3]; 2]| {
        let mut records = Vec::new();
        for (layers, floors) in [2, 4].into_iter().zip(floors) {
            for (seed, floor) in floors.into_iter().enumerate() {
                let name = format!("n_layer={layers},seed={seed}");
                let mut record = fixture::run(Path::new("runs"), "depth", &name, 100, floor);
                record.manifest.run.seed = seed as u64;
                fixture::set(&mut record, "model.n_layer", i64::from(layers));
                records.push(record);
            }
        }
        page(&records, &[])
    };
    let clear = with_floors([[1.0, 1.01, 1.02], [0.5, 0.51, 0.52]]);
    assert!(
        clear.contains("**`n_layer = 4`** has the lowest validation loss: 0.6138 ± 0.0100 (n = 3)"),
        "{clear}"
    );
    assert!(clear.contains("Yes, three seeds tell these two apart (Welch's t-test: t = "), "{clear}");
    let unclear = with_floors([[1.0, 1.1, 1.2], [0.95, 1.1, 1.15]]);
    assert!(
        unclear.contains("No, three seeds cannot tell these two apart: the difference may be chance"),
        "{unclear}"
    );
}

#[test]
fn runs_that_should_have_the_same_losses_are_judged_by_that_and_have_no_winner() {
    let mut records = sweep();
    records.truncate(4);
    for record in &mut records {
        record.manifest.run.same_losses_within = Some(0.9);
    }
    let opening = |records: &[RunRecord]| {
        let text = page(records, &[]);
        let sentence = text.lines().find(|line| line.starts_with("rates") || line.starts_with("Of "));
        (sentence.unwrap_or_default().to_owned(), text)
    };
    let (sentence, text) = opening(&records);
    assert!(sentence.starts_with("rates: the losses agree over 300 steps"), "{text}");
    assert!(!text.contains("has the lowest") && !text.contains("lower than the next"), "{text}");
    assert_eq!(text.matches("the losses agree").count(), 1, "{text}");

    // Among others they are one more setting, and the verdict comes after the winner.
    records[3].manifest.run.experiment = "others".to_owned();
    records[3].manifest.run.same_losses_within = None;
    let (sentence, text) = opening(&records);
    assert!(sentence.starts_with("Of 3 settings"), "{text}");
    assert!(text.contains("rates: the losses agree"), "{text}");

    records.iter_mut().for_each(|record| record.manifest.status = Status::Skipped);
    let text = page(&records, &[]);
    assert!(!text.contains("DISAGREE") && !text.contains("## Agreement"), "{text}");
}

#[test]
fn settings_that_are_equally_good_are_counted() {
    let mut records = Vec::new();
    for layers in [1, 2, 3] {
        let mut record = fixture::run(Path::new("runs"), "depth", &format!("n_layer={layers}"), 100, 1.0);
        fixture::set(&mut record, "model.n_layer", layers);
        records.push(record);
    }
    assert!(page(&records[..2], &[]).contains("Both settings of `model.n_layer` have the same "));
    assert!(page(&records, &[]).contains("All 3 settings of `model.n_layer` have the same"));
    let mut worse = fixture::run(Path::new("runs"), "depth", "n_layer=5", 100, 2.0);
    fixture::set(&mut worse, "model.n_layer", 5);
    let mut some = records.clone();
    some.push(worse);
    assert!(page(&some, &[]).contains("Two others have the same."));

    // A lead that rounds to nothing is not called nothing.
    let mut close = fixture::run(Path::new("runs"), "depth", "n_layer=4", 100, 1.00001);
    fixture::set(&mut close, "model.n_layer", 4);
    let text = page(&[records.remove(0), close], &[]);
    assert!(text.contains("Less than 0.01 % lower than the next"), "{text}");
}

#[test]
fn many_changed_keys_stand_below_each_other() {
    let mut records = sweep();
    records.remove(5);
    for (index, record) in records.iter_mut().enumerate() {
        record.manifest.run.experiment = if index < 4 { "rates".to_owned() } else { "wide".to_owned() };
        if index >= 4 {
            for key in ["n_layer", "n_head", "n_embd", "block_size", "dropout", "bias"] {
                fixture::set(record, &format!("model.{key}"), 8);
            }
        }
    }
    let text = page(&records, &[]);
    let (_, text) = text.split_once("All outcomes").unwrap();
    let header = text.lines().find(|line| line.starts_with("| ")).unwrap().to_owned();
    let cells: Vec<&str> = header.trim_matches('|').split('|').map(str::trim).collect();
    assert_eq!(cells, ["", "`rates: learning_rate = 3e-4`", "`wide`", "`rates: learning_rate = 1e-4`"]);
    let row = text.lines().find(|line| line.starts_with("| `model.n_embd`")).unwrap();
    let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
    assert_eq!(cells, ["`model.n_embd`", "`-`", "`8`", "`-`"]);
}

#[test]
fn the_target_decides_by_what_settings_are_ranked() {
    let mut records = sweep();
    records.truncate(4);
    let text = |records: &mut Vec<RunRecord>, threshold: f64| {
        records.iter_mut().for_each(|record| fixture::aim(record, threshold));
        page(records, &[])
    };
    assert!(page(&records, &[]).contains("has the lowest validation loss"));
    let missed = text(&mut records, 0.1);
    assert!(missed.contains("has the lowest loss over the training corpus"), "{missed}");
    assert!(missed.contains("None of the 4 completed runs reached the target"), "{missed}");
    let reached = text(&mut records, 1.5);
    assert!(
        reached
            .contains("**`learning_rate = 3e-4`** has the fewest steps to the target: 300 ± 0 in 1 min 12 s"),
        "{reached}"
    );
    for record in &mut records[2..] {
        record.manifest.run.tokens_per_step = 4096;
    }
    assert!(page(&records, &[]).contains("has the fewest tokens to the target: 614,400"));
}

#[test]
fn few_or_no_runs_are_compared_without_a_winner() {
    assert!(page(&[], &[]).contains("There are no runs to compare."));
    let records = sweep();
    let one = page(&records[..1], &[]);
    assert!(one.contains("One run (`rates`), validation loss: 1.703."), "{one}");
    let seeds = page(&records[..2], &[]);
    assert!(seeds.contains("2 runs of one setting (`rates`)") && seeds.contains(" ± "), "{seeds}");
    let diverged = page(&records[5..], &[]);
    assert!(diverged.contains("diverged") && diverged.contains("One run does not count"), "{diverged}");
    assert!(diverged.contains("No run of `rates` completed."), "{diverged}");
    // Runs without a record do not count either.
    let missing = LeftOut { run: "rates/missing".to_owned(), reason: "not started".to_owned() };
    let text = page(&records[5..], &[missing]);
    let counts = "2 runs do not count (1 diverged, 1 not started or not read); see the end of the page.";
    assert!(text.contains(counts), "{text}");
}

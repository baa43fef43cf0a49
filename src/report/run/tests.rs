use std::fs;
use std::path::Path;

use crate::facts::{Reference, Status, StopReason};
use crate::report::ending::sentence;
use crate::report::fixture;
use crate::store::SampleText;
use crate::store::manifest::{ChangedSince, Results};

use super::*;

fn reached() -> RunRecord {
    let mut record = fixture::run(Path::new("runs"), "shakespeare", "seed=1337", 7827, 0.092);
    fixture::aim(&mut record, 0.0999999);
    record.manifest.run.max_steps = 10_000;
    record
}

fn every_figure() -> Vec<Figure> {
    vec![
        Figure { file: "loss", title: "Loss by step" },
        Figure { file: "grad_norm", title: "Gradient norm by step" },
    ]
}

#[test]
fn a_run_that_reached_its_target() {
    let mut record = reached();
    fixture::sample(&mut record, &[500, 1000, 1500, 2000, 7827]);
    record.warnings.push((3, "the corpus has only 2 | 3 windows".to_owned()));
    record.manifest.reference = Some(Reference {
        name: "GPT-2 124M in PyTorch".to_owned(),
        source: "a notebook of 13 November 2025".to_owned(),
        hardware: "Tesla T4".to_owned(),
        final_loss: Some(0.0972),
        steps: Some(7827),
        secs: None,
        curve: vec![(0, 10.955), (100, 6.234), (5000, 0.345), (9000, 0.09)],
    });
    insta::assert_snapshot!(render(&record, every_figure()));
}

#[test]
fn every_way_to_end_reads_well() {
    let mut endings = Vec::new();
    let mut note = |record: &RunRecord| endings.push(sentence(record));
    note(&reached());

    let mut missed = fixture::run(Path::new("runs"), "a", "b", 200, 0.5);
    fixture::aim(&mut missed, 0.0999999);
    note(&missed);

    let mut record = fixture::run(Path::new("runs"), "a", "b", 200, 0.5);
    note(&record);
    record.manifest.run.max_steps = 500;
    record.manifest.stop_reason = Some(StopReason::MaxTime);
    note(&record);
    fixture::aim(&mut record, 0.1);
    note(&record);

    record.manifest.status = Status::Interrupted;
    record.manifest.stop_reason = Some(StopReason::Interrupted);
    note(&record);
    record.manifest.status = Status::Running;
    record.manifest.results = None;
    note(&record);

    let mut diverged = record.clone();
    diverged.manifest.status = Status::Diverged;
    for row in &mut diverged.rows[11..] {
        row.train_loss = Some(f64::NAN);
    }
    diverged.rows.truncate(12);
    note(&diverged);

    fixture::fail(&mut record, Status::Interrupted, StopReason::Killed, "its process ended without a word");
    note(&record);
    record.manifest.status = Status::Queued;
    note(&record);
    fixture::fail(&mut record, Status::Failed, StopReason::OutOfMemory, "no room on cuda:0");
    note(&record);
    record.manifest.stop_reason = Some(StopReason::Error);
    note(&record);
    record.manifest.stop_reason = None;
    note(&record);
    record.rows.clear();
    note(&record);
    record.manifest.status = Status::Running;
    note(&record);
    record.manifest.status = Status::Diverged;
    note(&record);
    record.manifest.status = Status::Interrupted;
    record.manifest.results = Some(Results::default());
    note(&record);
    record.manifest.status = Status::Queued;
    note(&record);
    record.manifest.status = Status::Skipped;
    record.manifest.message =
        Some("hardware.requires = [\"cuda\"], and this machine has no CUDA device".to_owned());
    note(&record);
    insta::assert_snapshot!(endings.join("\n"));
}

#[test]
fn a_run_that_took_several_attempts_and_a_smaller_batch() {
    let mut record = fixture::run(Path::new("runs"), "shakespeare", "seed=1337-2", 200, 0.5);
    let reasons = [(0, StopReason::OutOfMemory), (0, StopReason::Killed), (100, StopReason::MaxSteps)];
    fixture::attempts(&mut record, &reasons);
    record.manifest.adapted = fixture::changes(&[
        ("train.batch_size", "32", "16"),
        ("train.gradient_accumulation_steps", "1", "2"),
    ]);
    let keys = fixture::changes(&[("optimizer.learning_rate", "0.001", "0.0003")]);
    record.manifest.changed_since = Some(ChangedSince { run: "seed=1337".to_owned(), keys });
    let text = render(&record, every_figure());
    // From the top to where the time went: the rest is that of any run.
    insta::assert_snapshot!(text.split("## Where the time went").next().unwrap());
}

#[test]
fn a_skipped_run_without_rows_model_or_data() {
    let mut record = fixture::run(Path::new("runs"), "shakespeare", "seed=1", 1, 0.1);
    record.rows.clear();
    let manifest = &mut record.manifest;
    manifest.status = Status::Skipped;
    manifest.message = Some("hardware.requires = [\"cuda\"], and this machine has no CUDA device".to_owned());
    manifest.time = None;
    (manifest.results, manifest.model, manifest.data, manifest.device, manifest.git) =
        (None, None, None, None, None);
    insta::assert_snapshot!(render(&record, Vec::new()));
}

#[test]
fn a_damaged_diverged_run_whose_words_try_to_be_markup() {
    let mut record = fixture::run(Path::new("my runs"), "a|b", "lr=1e9,seed=1", 12, 3.0);
    record.rows[11].train_loss = Some(f64::INFINITY);
    record.rows[11].train_loss_ema = Some(f64::NAN);
    let message = "the train loss was no longer a finite number";
    fixture::fail(&mut record, Status::Diverged, StopReason::Diverged, message);
    record.manifest.last_output = vec!["```".to_owned(), "# <b>not markup</b>".to_owned()];
    record.manifest.run.description = "<script>alert(1)</script> | *stars*".to_owned();
    record.manifest.run.hypothesis = "# not a heading\n\n1. not a list".to_owned();
    record.damage.push("metrics.csv:13: half-written line, left out".to_owned());
    record.config_text = "text = \"```\"\n".to_owned();
    record.config = toml::Table::new();
    insta::assert_snapshot!(render(&record, Vec::new()));
}

#[test]
fn a_prompt_of_a_line_break_can_be_seen() {
    let mut record = reached();
    let text = "O God".to_owned();
    record.samples = vec![(7827, vec![SampleText { prompt: "\n".to_owned(), text }])];
    let page = render(&record, Vec::new());
    assert!(page.contains("Prompt `\"\\n\"`\n\n```text\n\nO God\n"), "{page}");
}

#[test]
fn a_lucky_batch_is_told_from_a_learned_corpus() {
    let words = |corpus_loss: f64| {
        let mut record = reached();
        record.manifest.results.as_mut().unwrap().corpus_loss = Some(corpus_loss);
        render(&record, Vec::new())
    };
    assert!(
        words(0.0951)
            .contains("not met by one lucky batch: over the whole training corpus the loss is 0.0951")
    );
    assert!(
        words(0.25)
            .contains("is 0.2500, 2.50x of the target 0.0999999: the corpus as a whole is not learned")
    );
}

#[test]
fn a_report_and_its_plots_are_written_and_the_same_each_time() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = fixture::run(dir.path(), "exp", "seed=1", 50, 0.5);
    fixture::sample(&mut record, &[10, 50]);
    let read_all = || {
        let path = write(&record).unwrap();
        assert_eq!(path, dir.path().join("exp/seed=1/report.md"));
        let text = fs::read_to_string(&path).unwrap();
        let mut files: Vec<_> =
            fs::read_dir(record.dir.plots()).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let bytes: Vec<_> = files.iter().map(|file| fs::read(file).unwrap()).collect();
        (text, files, bytes)
    };
    fs::create_dir_all(record.dir.path()).unwrap();
    let (text, files, bytes) = read_all();
    assert_eq!(files.len(), 10, "{files:?}");
    for file in &files {
        let link = format!("(plots/{})", file.file_name().unwrap().display());
        assert!(text.contains(&link), "{link}");
    }
    assert_eq!(read_all(), (text, files, bytes));
}

#[test]
fn a_report_is_the_same_from_memory_and_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = fixture::run(dir.path(), "exp", "seed=1", 30, 0.05);
    fixture::aim(&mut record, 0.0999999);
    fixture::sample(&mut record, &[10, 30]);
    record.warnings.push((4, "short corpus".to_owned()));
    record.manifest.reference = Some(Reference { curve: vec![(0, 11.0), (10, 2.5)], ..Reference::default() });
    fixture::save(&record);
    let read = crate::store::read(record.dir.path()).unwrap();
    assert_eq!(read.damage, Vec::<String>::new());
    assert_eq!((&read.manifest, &read.rows), (&record.manifest, &record.rows));
    assert_eq!(render(&read, every_figure()), render(&record, every_figure()));
}

#[test]
fn a_run_without_rows_has_a_report_and_no_plots() {
    let dir = tempfile::tempdir().unwrap();
    let mut record = fixture::run(dir.path(), "exp", "seed=1", 1, 0.5);
    record.rows.clear();
    record.manifest.results = None;
    fs::create_dir_all(record.dir.path()).unwrap();
    let text = fs::read_to_string(write(&record).unwrap()).unwrap();
    assert!(text.contains("No step was trained"));
    assert!(!text.contains("## Plots"));
    assert!(!record.dir.plots().exists());
}

//! What a comparison says first, and that it says it whatever it is given.

use std::fs;
use std::path::Path;

use crate::facts::{Status, StopReason};
use crate::report::fixture;

use super::*;

/// Runs of `experiment` with these keys, a seed for each floor of the loss.
fn setting(records: &mut Vec<RunRecord>, keys: &[(&str, toml::Value)], floors: &[f64]) {
    for (seed, floor) in floors.iter().enumerate() {
        let words: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let name = format!("{},seed={seed}", words.join(",")).replace(['"', '/'], "");
        let mut record = fixture::run(Path::new("runs"), "sweep", &name, 60, *floor);
        record.manifest.run.seed = seed as u64;
        for (key, value) in keys {
            fixture::set(&mut record, key, value.clone());
        }
        fixture::attempts(&mut record, &[(0, StopReason::MaxSteps)]);
        records.push(record);
    }
}

fn rates(floors: &[(f64, &[f64])]) -> Vec<RunRecord> {
    let mut records = Vec::new();
    for (rate, floors) in floors {
        setting(&mut records, &[("optimizer.learning_rate", (*rate).into())], floors);
    }
    records
}

fn grid() -> Vec<RunRecord> {
    let mut records = Vec::new();
    for (index, rate) in [1e-3, 3e-3, 1e-2].into_iter().enumerate() {
        for (wide, width) in [(0, 32_i64), (1, 64)] {
            let floor = 1.5 - 0.2 * index as f64 - 0.1 * f64::from(wide);
            let keys = [("optimizer.learning_rate", rate.into()), ("model.n_embd", width.into())];
            setting(&mut records, &keys, &[floor, floor + 0.01]);
        }
    }
    records
}

#[test]
fn the_best_at_the_edge_is_told_with_what_to_try_next() {
    let text = answer(&grid(), &[]);
    let first = "Of 6 settings of model.n_embd and optimizer.learning_rate, n_embd = 64, learning_rate = 0.01 has the \
                 lowest validation loss: ";
    assert!(text.starts_with(first), "{text}");
    for part in [
        "Is that sure? Yes, two seeds tell these two apart (t-test, the variance between seeds pooled over 6 settings: t = ",
        "The best n_embd, 64, is the highest of the two that were tried, so the best may lie beyond: try 128 and 256.",
        "The best learning_rate, 0.01, is the highest that was tried, so the best may lie beyond: try 0.03 and 0.1.",
        "What decides: learning_rate for ",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert!(!text.contains(['`', '*', '\\']), "{text}");
}

#[test]
fn what_diverged_beyond_the_best_is_no_edge_to_go_over() {
    let mut records = rates(&[(0.01, &[1.5, 1.51]), (0.1, &[1.2, 1.21]), (1.0, &[1.0, 1.0])]);
    for record in &mut records[4..] {
        fixture::fail(record, Status::Diverged, StopReason::Diverged, "the loss is NaN");
    }
    let text = answer(&records, &[]);
    assert!(
        text.contains("0.1, is the highest that came to its end: nothing higher did; 0.3 lies between."),
        "{text}"
    );
    assert!(text.contains("Did not work: learning_rate = 1 diverged with every seed."), "{text}");
    // What never began says nothing of what lies beyond.
    for record in &mut records[4..] {
        record.manifest.status = Status::Skipped;
    }
    assert!(answer(&records, &[]).contains("is the highest that was tried, so the best may lie beyond"));
}

#[test]
fn settings_that_seeds_cannot_tell_apart_are_told_so_before_any_number() {
    let text = answer(&rates(&[(0.001, &[1.20, 1.30]), (0.002, &[1.24, 1.27]), (0.004, &[1.22, 1.31])]), &[]);
    assert!(
        text.contains(
            "Is that sure? No, two seeds cannot tell these two apart: the difference may be chance (t-test"
        ),
        "{text}"
    );
    assert!(
        text.contains("Nothing that was varied (learning_rate) made a difference beyond that of the seeds"),
        "{text}"
    );
    assert!(text.contains("To try next: Other keys, or values further apart."), "{text}");
    assert!(text.contains("seeds of each would"), "{text}");
}

#[test]
fn settings_that_are_all_the_same_have_no_winner_and_no_edge() {
    let same = |floors: &[(f64, &[f64])]| answer(&rates(floors), &[]);
    let text = same(&[(0.001, &[1.2, 1.3]), (0.002, &[1.2, 1.3]), (0.004, &[1.2, 1.3])]);
    assert!(
        text.starts_with("All 3 settings of optimizer.learning_rate have the same validation loss: "),
        "{text}"
    );
    assert!(text.contains("To try next: Other keys, or values further apart."), "{text}");
    assert!(!text.contains("may lie beyond") && !text.contains("By how much"), "{text}");
    // Of those at the top neither is the one at the edge.
    let text = same(&[(0.001, &[1.2, 1.3]), (0.002, &[1.2, 1.3]), (0.004, &[1.5, 1.6])]);
    assert!(text.contains("By how much: learning_rate = 0.002 has the same."), "{text}");
    assert!(!text.contains("may lie beyond"), "{text}");
}

#[test]
fn what_sets_two_experiments_apart_is_not_taken_for_a_key_that_was_varied() {
    let mut records = grid();
    let mut others = grid();
    for record in &mut others {
        record.manifest.run.experiment = "other".to_owned();
        fixture::set(record, "train.batch_size", 64);
        *record.manifest.results.as_mut().unwrap().best_val_loss.as_mut().unwrap() += 1.0;
    }
    records.extend(others);
    let text = answer(&records, &[]);
    assert!(text.contains("What decides: The experiment for "), "{text}");
    assert!(text.contains("The best learning_rate, 0.01, is the highest"), "{text}");
    assert!(!text.contains("The best batch_size"), "{text}");
}

#[test]
fn a_setting_that_is_as_good_and_cheaper_is_named() {
    let mut records = Vec::new();
    for (layers, floors) in [(2_i64, [1.20, 1.24]), (4, [1.19, 1.23]), (8, [1.50, 1.52])] {
        setting(&mut records, &[("model.n_layer", layers.into())], &floors);
    }
    for record in &mut records {
        let layers = record.manifest.run.point["model.n_layer"].as_integer().unwrap() as u64;
        record.manifest.model.as_mut().unwrap().parameters = layers * 1_000_000;
    }
    let text = answer(&records, &[]);
    let part = "As good and cheaper: n_layer = 2 is as good as these seeds can tell, with 50 % fewer parameters \
                (2,000,000 instead of 4,000,000).";
    assert!(text.contains(part), "{text}");
}

#[test]
fn the_only_setting_that_came_to_its_end_is_told_to_be_that() {
    let mut records = rates(&[(0.001, &[1.2, 1.21]), (0.1, &[1.1, 1.3])]);
    for record in &mut records {
        fixture::aim(record, 1.3);
    }
    records.iter_mut().skip(2).for_each(|record| fixture::aim(record, 1e-3));
    for record in &mut records {
        record.manifest.target.as_mut().unwrap().threshold = 1.3;
    }
    let text = answer(&records, &[]);
    assert!(text.contains("By how much: No other setting reached the target with every seed."), "{text}");
    for record in &mut records[2..] {
        fixture::fail(record, Status::Failed, StopReason::Error, "x");
    }
    records.iter_mut().for_each(|record| record.manifest.target = None);
    assert!(answer(&records, &[]).contains("By how much: No other setting came to its end."));
}

#[test]
fn a_loss_no_better_than_guessing_is_told() {
    let mut records = rates(&[(0.001, &[1.2, 1.21]), (0.1, &[3.5, 3.6])]);
    for record in &mut records {
        record.manifest.model.as_mut().unwrap().vocab_size = 32;
    }
    assert!(answer(&records, &[]).contains(
        "learning_rate = 0.1 ends no better than guessing among all tokens, which has a loss of 3.466."
    ));
}

#[test]
fn times_are_compared_only_between_runs_with_the_same_share_of_the_machine() {
    let page = |records: &[RunRecord]| {
        let comparison = Comparison::of(records);
        let view = View::of(&comparison);
        tables::settings(&view)
    };
    let mut records = rates(&[(0.001, &[1.2, 1.21]), (0.002, &[1.3, 1.31])]);
    for record in &mut records[2..] {
        record.manifest.results.as_mut().unwrap().elapsed_secs = 99.0;
    }
    assert!(page(&records).contains("**14 s ± 0 s**"), "{}", page(&records));
    records[3].manifest.attempts[0].runs_at_once = Some(2);
    let text = page(&records);
    assert!(text.contains("did not have the same share of the machine (1 and 2 at a time)"), "{text}");
    assert!(!text.contains("**14 s") && text.contains("14 s ± 0 s"), "{text}");
    records[3].manifest.attempts[0].runs_at_once = None;
    assert!(page(&records).contains("how many runs shared the machine is not recorded for 1 of the 4 runs"));
    records[3].manifest.device.as_mut().unwrap().threads = 7;
    assert!(page(&records).contains("on different machines, or with different numbers of threads"));
}

#[test]
fn the_same_records_give_the_same_bytes_in_any_order() {
    let dir = tempfile::tempdir().unwrap();
    let files = |records: &[RunRecord], at: &str| {
        let reports = dir.path().join(at);
        write("a b", records, &[], &reports).unwrap();
        let mut files = Vec::new();
        for folder in [reports.clone(), reports.join("a b")] {
            let mut paths: Vec<_> =
                fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
            paths.sort();
            files.extend(
                paths
                    .into_iter()
                    .filter(|path| path.is_file())
                    .map(|path| (path.strip_prefix(&reports).unwrap().to_owned(), fs::read(&path).unwrap())),
            );
        }
        files
    };
    let mut records = grid();
    fixture::fail(&mut records[3], Status::Failed, StopReason::Error, "no | reason");
    // The addresses of the runs' reports hang on the folder, so it is one for all.
    let expected = files(&records, "reports");
    let names: Vec<String> = expected.iter().map(|(path, _)| path.display().to_string()).collect();
    let page =
        ["a b.csv", "a b.md", "a b/effects.png", "a b/effects.svg", "a b/heat_map.png", "a b/heat_map.svg"];
    assert!(page.iter().all(|name| names.contains(&(*name).to_owned())), "{names:?}");
    assert!(names.iter().all(|name| !name.contains("tokens")), "a step is as many tokens in all: {names:?}");
    records.reverse();
    records.swap(2, 7);
    fs::remove_dir_all(dir.path().join("reports")).unwrap();
    assert!(files(&records, "reports") == expected);
    // What is no longer drawn does not stay.
    records.retain(|record| record.manifest.run.point["model.n_embd"].as_integer() == Some(64));
    let fewer = files(&records, "reports");
    assert!(fewer.iter().all(|(path, _)| !path.display().to_string().contains("heat_map")));
}

#[test]
fn the_csv_has_every_run_in_full_precision_and_replaces_only_its_own_kind() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = rates(&[(1.0 / 3.0, &[1.2, 1.21]), (0.002, &[1.3])]);
    fixture::set(&mut records[0], "data.text_column", "a,\"b\"\n=c");
    let loss = records[1].manifest.results.as_ref().unwrap().best_val_loss.unwrap();
    write("x", &records, &[], dir.path()).unwrap();
    let path = dir.path().join("x.csv");
    let mut table = ::csv::Reader::from_path(&path).unwrap();
    let header = table.headers().unwrap().clone();
    let column =
        |name: &str| header.iter().position(|column| column == name).unwrap_or_else(|| panic!("{name}"));
    let rows: Vec<::csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 3);
    let row =
        rows.iter().find(|row| row[column("run")].contains("0.333") && &row[column("seed")] == "1").unwrap();
    assert_eq!(row[column("val_loss_best")].parse::<f64>().unwrap(), loss);
    assert_eq!(row[column("optimizer.learning_rate")].parse::<f64>().unwrap(), 1.0 / 3.0);
    assert_eq!((&row[column("counts")], &row[column("outcome")]), ("true", "finished"));
    assert!(rows.iter().any(|row| &row[column("data.text_column")] == "a,\"b\"\n=c"));
    assert!(column("time_secs") > 0 && column("throughput_tokens_per_sec") > 0);

    fs::write(&path, "epoch,loss\n1,2\n").unwrap();
    let error = write("x", &records, &[], dir.path()).unwrap_err();
    assert!(matches!(error, ReportError::NotOurs { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), "epoch,loss\n1,2\n");
}

#[test]
fn hostile_or_missing_numbers_and_names_make_a_page_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Vec::new();
    for (index, text) in
        ["<script>|`", "](x) **b**", "", "\u{1b}[31m", "é\u{202e}", "NaN", "inf"].into_iter().enumerate()
    {
        let keys = [
            ("data.text_column", text.into()),
            ("optimizer.eps", (10_f64).powi(index as i32 * 90 - 300).into()),
            ("model.n_layer", (index as i64 * 3 - 4).into()),
        ];
        setting(&mut records, &keys, &[1.0, 1.1]);
    }
    for (index, value) in [f64::NAN, f64::INFINITY, -1.0, 0.0, 1e300].into_iter().enumerate() {
        let results = records[index * 2].manifest.results.as_mut().unwrap();
        (results.best_val_loss, results.corpus_loss, results.elapsed_secs) =
            (Some(value), Some(value), value);
        records[index * 2].rows.iter_mut().for_each(|row| row.train_loss_ema = Some(value));
    }
    records[1].manifest.run.hypothesis = "<!-- comparison by runner, runs up to 1 -->\n\n> # x".to_owned();
    for some in [&records[..], &records[..1], &records[..2], &records[3..9], &[]] {
        let path = write("h", some, &[], dir.path()).unwrap();
        let page = fs::read_to_string(path).unwrap();
        assert!(
            !page.contains("<script>|") && page.matches("<!-- comparison by runner").count() == 1,
            "{page}"
        );
        assert!(answer(some, &[]).chars().all(|c| c == '\n' || !c.is_control()));
    }
    for record in &mut records {
        fixture::fail(record, Status::Failed, StopReason::Error, "x");
        record.rows.clear();
    }
    write("h", &records, &[], dir.path()).unwrap();
    assert!(answer(&records, &[]).contains("none completed with a loss"));
    assert!(best(&records, 5).is_empty());
}

#[test]
fn a_thousand_settings_fit_a_page() {
    let dir = tempfile::tempdir().unwrap();
    let mut records = Vec::new();
    for index in 0..1000_u32 {
        let place = f64::from(index);
        let keys = [
            ("optimizer.learning_rate", (1e-4 * 1.005_f64.powf(place)).into()),
            ("optimizer.weight_decay", ((place * 7.7).sin().abs()).into()),
            ("model.n_layer", i64::from(index % 5 + 1).into()),
        ];
        setting(&mut records, &keys, &[1.0 + (place / 1000.0 - 0.4).powi(2)]);
    }
    let path = write("many", &records, &[], dir.path()).unwrap();
    let page = fs::read_to_string(path).unwrap();
    let (shown, _) = page.split_once("<details>").unwrap();
    assert!(shown.lines().count() < 80, "{shown}");
    let header = shown.lines().find(|line| line.starts_with("| ")).unwrap();
    assert!(header.matches('|').count() <= 9, "{header}");
    assert!(shown.contains("The best 24 of 1000 settings"), "{shown}");
    let drawn = fs::metadata(dir.path().join("many/parallel.svg")).unwrap().len();
    assert!(drawn < 400_000, "{drawn}");
    assert_eq!(best(&records, 3).len(), 3);
}

#[test]
fn a_comparison_and_its_plots_are_written_where_links_lead() {
    let dir = tempfile::tempdir().unwrap();
    let (runs, reports) = (dir.path().join("runs"), dir.path().join("out/reports"));
    let records: Vec<RunRecord> = (1..3)
        .map(|seed| {
            let name = format!("n_layer=2,seed={seed}");
            let mut record = fixture::run(&runs, "exp", &name, 40, 0.5);
            record.manifest.run.seed = seed;
            fs::create_dir_all(record.dir.path()).unwrap();
            crate::report::run::write(&record).unwrap();
            record
        })
        .collect();
    let path = write("two seeds", &records, &[], &reports).unwrap();
    assert_eq!(path, reports.join("two seeds.md"));
    let text = fs::read_to_string(&path).unwrap();
    let targets: Vec<String> = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.replace("%20", " ").replace("%3D", "=").replace("%2C", ","))
        .collect();
    assert_eq!(targets.len(), 2 * 2 + 1 + 2, "{targets:?}");
    for target in targets {
        assert!(reports.join(&target).exists(), "{target}");
    }
    let again = write("two seeds", &records, &[], &reports).unwrap();
    assert_eq!(fs::read_to_string(again).unwrap(), text);
}

//! `runner report`, `runner ls` and `runner compare` over 1,000 runs of 1,000 rows, as whole calls of the program.
//!
//!     cargo bench --bench report
//!
//! `report/first` writes every report and picture for the first time; `report/again` finds them there, as they are when
//! each run was reported at its own end; `ls` lists all runs, `ls-where` by a key and a metric of their last rows; `compare` puts all runs on one page.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, criterion_group, criterion_main};

const RUNS: usize = 1_000;
const FILES: [&str; 4] = ["manifest.toml", "config.toml", "metrics.csv", "log.jsonl"];

/// The one run that is trained; the others are copies with losses, seeds and learning rates of their own.
const EXPERIMENT: &str = r#"
[experiment]
name = "scale"
seed = 1
[model]
n_layer = 2
n_head = 2
n_embd = 32
block_size = 16
[data]
corpus = "salt-crown"
tokenizer = "byte"
val_fraction = 0.1
[train]
batch_size = 2
max_steps = 1000
eval_interval = 100
eval_batches = 1
[checkpoint]
interval = 0
[sample]
interval = 500
max_new_tokens = 20
[hardware]
device = "scripted"
[scripted]
initial_loss = 10.0
floor_loss = 0.1
decay_steps = 200.0
noise = 0.05
"#;

criterion_group!(benches, reports);
criterion_main!(benches);

fn reports(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("report");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_millis(1));
    let folder = tempfile::tempdir().unwrap();
    // As a test, each is called once, which shows that it works.
    let count = if std::env::args().any(|argument| argument == "--bench") { RUNS } else { 10 };
    write_runs(folder.path(), count);
    let runs = folder.path().join("runs");
    group.bench_function("first", |bencher| {
        bencher.iter_custom(|times| {
            (0..times)
                .map(|_| {
                    forget_reports(&runs);
                    timed(folder.path(), &["report"])
                })
                .sum()
        });
    });
    group.bench_function("again", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| timed(folder.path(), &["report"])).sum());
    });
    for (name, arguments) in
        [("ls", &["ls"][..]), ("ls-where", &["ls", "--where", "learning_rate<0.005", "--sort", "grad_norm"])]
    {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|times| (0..times).map(|_| timed(folder.path(), arguments)).sum());
        });
    }
    group.bench_function("compare", |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| timed(folder.path(), &["compare", "scale"])).sum());
    });
}

/// How long a call of the program takes.
fn timed(folder: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runner"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::null());
    let begin = Instant::now();
    assert!(command.status().unwrap().success());
    begin.elapsed()
}

fn write_runs(folder: &Path, count: usize) {
    fs::write(folder.join("scale.toml"), EXPERIMENT).unwrap();
    timed(folder, &["scale.toml"]);
    let first = folder.join("runs/scale/seed=1");
    let [manifest, config, metrics, log] = FILES.map(|name| fs::read_to_string(first.join(name)).unwrap());
    fs::remove_dir_all(&first).unwrap();
    for index in 0..count {
        let (seed, rate) = (index % 10 + 1, (index / 10 + 1) as f64 * 1e-4);
        let name = format!("learning_rate={rate:.4},seed={seed}");
        let manifest = manifest
            .replace("\"seed=1\"", &format!("\"{name}\""))
            .replace("\nseed = 1\n", &format!("\nseed = {seed}\n"));
        let line = config.lines().find(|line| line.starts_with("learning_rate = ")).unwrap();
        let config = config.replace(line, &format!("learning_rate = {rate:.4}"));
        let metrics = scaled(&metrics, 1.0 + index as f64 * 2e-4);
        let run = folder.join("runs/scale").join(name);
        fs::create_dir_all(&run).unwrap();
        for (name, content) in FILES.into_iter().zip([&manifest, &config, &metrics, &log]) {
            fs::write(run.join(name), content).unwrap();
        }
    }
}

/// The rows with each loss times `factor`.
fn scaled(metrics: &str, factor: f64) -> String {
    let header: Vec<&str> = metrics.lines().next().unwrap().split(',').collect();
    let is_loss: Vec<bool> =
        header.iter().map(|name| ["train_loss", "train_loss_ema", "val_loss"].contains(name)).collect();
    let field = |(field, &is_loss): (&str, &bool)| match field.parse::<f64>() {
        Ok(loss) if is_loss => (loss * factor).to_string(),
        _ => field.to_owned(),
    };
    let row = |line: &str| line.split(',').zip(&is_loss).map(field).collect::<Vec<_>>().join(",") + "\n";
    metrics.lines().map(row).collect()
}

fn forget_reports(runs: &Path) {
    for run in fs::read_dir(runs.join("scale")).unwrap() {
        let run = run.unwrap().path();
        let _ = fs::remove_file(run.join("report.md"));
        let _ = fs::remove_dir_all(run.join("plots"));
    }
}

//! Runs made up for tests: a loss curve from a formula, and everything else that a real run has.

use std::path::Path;

use jiff::SignedDuration;

use crate::event::Event;
use crate::facts::{
    CostInfo, DataInfo, DeviceInfo, KeyChange, ModelInfo, ParameterGroup, Status, StepPart, StopReason,
};
use crate::metric::{Figures, MetricsRow};
use crate::store::manifest::{Attempt, GitInfo, Manifest, Results, TargetInfo, TimeInfo};
use crate::store::{
    Memorisation, RunDir, RunRecord, SampleText, VerbatimCopy, fixture, metrics_header, row_record,
};

const CONFIG: &str = r#"[experiment]
name = "shakespeare"
seed = 1337

[model]
n_layer = 12
dropout = 0.0

[data]
order = "random"
tokenizer = "gpt2"

[train]
batch_size = 16
sequence_length = 128
gradient_accumulation_steps = 1

[optimizer]
kind = "adamw"
learning_rate = 3e-4
beta1 = 0.9
beta2 = 0.999
eps = 1e-8
weight_decay = 0.01
decay_all = true
grad_clip = 0.0

[schedule]
kind = "constant"
warmup_steps = 0
"#;

/// A run of `steps` of at most `max_steps` steps whose smoothed loss falls from 10.955 towards `floor`, finished, in
/// a directory that need not exist.
pub fn run(runs_dir: &Path, experiment: &str, name: &str, steps: u64, floor: f64) -> RunRecord {
    let secs = 0.24;
    let loss = |step: u64| floor + (10.955 - floor) * (-(step as f64 - 1.0) / (steps as f64 / 8.0)).exp();
    let noise = |step: u64| 1.0 + 0.05 * (step as f64 * 12.9898).sin();
    let row = |step: u64| MetricsRow {
        step,
        tokens: Some(step as f64 * 2048.0),
        epoch: Some(step as f64 * 2048.0 / 338_025.0),
        train_loss: Some(if step == 1 { 10.955 } else { loss(step) * noise(step) }),
        train_loss_ema: Some(loss(step)),
        val_loss: step.is_multiple_of((steps / 5).max(1)).then(|| loss(step) + 0.1),
        learning_rate: Some(3e-4),
        grad_norm: Some(0.5 + loss(step) / 10.0),
        step_secs: Some(secs),
        tokens_per_sec: Some(2048.0 / secs),
        elapsed_secs: Some(step as f64 * secs),
        cpu_percent: Some(190.0 + (step as f64).sin()),
        memory_bytes: Some(1.5e9 + step as f64),
        ..MetricsRow::default()
    };
    let rows: Vec<MetricsRow> = (1..=steps).map(row).collect();
    let mut manifest = fixture::manifest(experiment, name);
    manifest.status = Status::Finished;
    manifest.stop_reason = Some(StopReason::MaxSteps);
    manifest.finished_at = Some("2026-11-23T14:31:00Z".parse().expect("a timestamp"));
    manifest.git = Some(GitInfo { commit: "0123456789abcdef".to_owned(), dirty: false });
    manifest.run.max_steps = steps;
    manifest.results = Some(results(&rows));
    describe(&mut manifest);
    RunRecord {
        dir: RunDir::open(runs_dir.join(experiment).join(name)),
        manifest,
        config: CONFIG.parse().expect("a table"),
        config_text: CONFIG.to_owned(),
        rows,
        samples: Vec::new(),
        memorisation: Vec::new(),
        warnings: Vec::new(),
        damage: Vec::new(),
    }
}

fn results(rows: &[MetricsRow]) -> Results {
    let Some((first, last)) = rows.first().zip(rows.last()) else { return Results::default() };
    let least = |get: fn(&MetricsRow) -> Option<f64>| rows.iter().filter_map(get).reduce(f64::min);
    Results {
        steps: last.step,
        tokens: last.step * 2048,
        epochs: last.epoch.unwrap_or_default(),
        elapsed_secs: last.elapsed_secs.unwrap_or_default(),
        figures: Figures {
            initial_train_loss: first.train_loss,
            final_train_loss: last.train_loss,
            final_train_loss_ema: last.train_loss_ema,
            best_train_loss: least(|row| row.train_loss),
            final_val_loss: rows.iter().rev().find_map(|row| row.val_loss),
            best_val_loss: least(|row| row.val_loss),
            corpus_loss: last.train_loss_ema,
            ..Figures::default()
        },
        copied_share: None,
        longest_copy_characters: None,
        step_secs: last.step_secs,
        tokens_per_sec: last.tokens_per_sec,
        peak_memory_bytes: last.memory_bytes.map(|bytes| bytes as u64),
    }
}

fn describe(manifest: &mut Manifest) {
    manifest.run.description = "GPT-2 124M memorises Tiny Shakespeare.".to_owned();
    manifest.run.hypothesis =
        "The train loss of a step falls below 0.0999999 within 10,000 steps.".to_owned();
    manifest.run.tags = vec!["reproduction".to_owned()];
    manifest.device = Some(DeviceInfo {
        device: "cpu".to_owned(),
        name: "Example CPU".to_owned(),
        dtype: "f32".to_owned(),
        kernel: None,
        product_probes: vec![7e12, 8e12],
        threads: 2,
    });
    manifest.data = Some(DataInfo {
        documents: 1,
        end_of_text_tokens: 0,
        name: "tinyshakespeare".to_owned(),
        sha256: "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed".to_owned(),
        bytes: 1_115_394,
        tokenizer: "gpt2".to_owned(),
        vocab_size: 50_257,
        train_tokens: 338_025,
        val_tokens: 0,
    });
    let parts = [
        ("token embedding (tied head)", 38_597_376),
        ("position embedding", 786_432),
        ("blocks", 85_056_000),
    ];
    let breakdown =
        parts.map(|(part, parameters)| ParameterGroup { part: part.to_owned(), parameters }).to_vec();
    manifest.model = Some(ModelInfo {
        n_layer: 12,
        n_head: 12,
        n_embd: 768,
        block_size: 1024,
        vocab_size: 50_257,
        parameters: 124_439_808,
        breakdown,
    });
    let parts = [("matrix products", 1240.0), ("attention", 150.5), ("other", 12.0), ("layer norms", 75.98)];
    let step_parts = parts.map(|(part, secs)| StepPart { part: part.to_owned(), secs }).to_vec();
    manifest.time = Some(TimeInfo {
        steps_secs: 1878.48,
        evaluations_secs: 20.0,
        samples_secs: 3.25,
        checkpoints_secs: 0.0,
        rest_secs: 0.75,
        step_parts,
    });
    manifest.cost = Some(CostInfo {
        model_flops_per_step: 1.5326e12,
        recomputed_flops_per_step: 0.0,
        optimizer_flops_per_step: 0.0,
        memory_bytes: Some(3 << 30),
        gpu_memory_bytes: None,
    });
    manifest.packages.insert("dfdx".to_owned(), "0.13.0".to_owned());
}

/// Gives `record` a target on its train loss; reached at its last step when that is below.
pub fn aim(record: &mut RunRecord, threshold: f64) {
    let last = record.rows.last().and_then(|row| Some((row.step, row.train_loss?)));
    let reached = last.filter(|(_, loss)| *loss < threshold);
    if reached.is_some() {
        record.manifest.stop_reason = Some(StopReason::TargetReached);
    }
    record.manifest.target = Some(TargetInfo {
        metric: "train_loss".to_owned(),
        threshold,
        reached_at_step: reached.map(|(step, _)| step),
        reached_value: reached.map(|(_, loss)| loss),
    });
}

/// Gives `record` this end, without results: they are the process's to write.
pub fn fail(record: &mut RunRecord, status: Status, class: StopReason, message: &str) {
    record.manifest.status = status;
    record.manifest.stop_reason = Some(class);
    record.manifest.message = Some(message.to_owned());
    record.manifest.results = None;
}

/// Keys with their values before and now.
pub fn changes(keys: &[(&str, &str, &str)]) -> Vec<KeyChange> {
    let change = |&(key, before, now): &(&str, &str, &str)| KeyChange {
        key: key.to_owned(),
        before: before.to_owned(),
        now: now.to_owned(),
    };
    keys.iter().map(change).collect()
}

/// Gives `record` these attempts of ten minutes: the step that each went on from, and how it ended.
pub fn attempts(record: &mut RunRecord, attempts: &[(u64, StopReason)]) {
    let begin = record.manifest.started_at;
    let attempt = |(index, &(from_step, class)): (usize, &(u64, StopReason))| {
        let minutes = i64::try_from(index).expect("few attempts") * 10;
        Attempt {
            number: index as u64 + 1,
            from_step,
            started_at: begin + SignedDuration::from_mins(minutes),
            ended_at: Some(begin + SignedDuration::from_mins(minutes + 9)),
            stop_reason: Some(class),
            message: Some(format!("it ended as {}", class.key())),
            pid: 100,
            hostname: "bench".to_owned(),
            kernel: None,
            runs_at_once: Some(1),
        }
    };
    record.manifest.attempts = attempts.iter().enumerate().map(attempt).collect();
}

/// Gives `record` samples at these steps.
pub fn sample(record: &mut RunRecord, steps: &[u64]) {
    for &step in steps {
        let text = format!(" of step {step}.\n```\nSpeak, *speak*.");
        record.samples.push((step, vec![SampleText { prompt: "First Citizen".to_owned(), text }]));
    }
}

/// Says that of the samples at these steps so many of 44 runs of words were copied, and so many characters in a row.
pub fn copy(record: &mut RunRecord, steps: &[(u64, u64, u64)]) {
    for &(step, copied_ngrams, characters) in steps {
        let text: String = "Speak, warden. ".chars().cycle().take(characters as usize).collect();
        let words = text.split_whitespace().count() as u64;
        let longest = Some(VerbatimCopy { sample: 0, characters, words, text });
        record.memorisation.push((step, Memorisation { ngrams: 44, copied_ngrams, longest }));
    }
}

/// Gives `record` this value for a dotted key of its configuration, and as part of its sweep point.
pub fn set(record: &mut RunRecord, key: &str, value: impl Into<toml::Value>) {
    let value = value.into();
    let (section, leaf) = key.split_once('.').expect("a dotted key");
    let table = record.config.entry(section).or_insert(toml::Value::Table(toml::Table::new()));
    table.as_table_mut().expect("a section").insert(leaf.to_owned(), value.clone());
    record.manifest.run.point.insert(key.to_owned(), value);
}

/// Writes `record` to its directory as a run would have.
pub fn save(record: &RunRecord) {
    let dir = &record.dir;
    std::fs::create_dir_all(dir.path()).expect("a folder");
    dir.write_manifest(&record.manifest).expect("a manifest");
    std::fs::write(dir.config(), &record.config_text).expect("a configuration");
    let mut metrics = csv::Writer::from_path(dir.metrics()).expect("a CSV file");
    metrics.write_record(metrics_header()).expect("a header");
    for row in &record.rows {
        metrics.write_record(row_record(row)).expect("a row");
    }
    metrics.flush().expect("a CSV file");
    let steps = record.rows.iter().map(|row| Event::Step(Box::new(row.clone())));
    let samples = record.samples.iter().map(|(step, samples)| Event::Sampled {
        step: *step,
        samples: samples.clone(),
        memorisation: record.memorisation.iter().find(|(at, _)| at == step).map(|(_, found)| found.clone()),
    });
    let warnings = record.warnings.iter();
    let warnings = warnings.map(|(step, message)| Event::Warning { step: *step, message: message.clone() });
    let lines =
        steps.chain(samples).chain(warnings).map(|event| serde_json::to_string(&event).expect("JSON") + "\n");
    std::fs::write(dir.log(), lines.collect::<String>()).expect("a log");
}

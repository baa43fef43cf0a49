//! What was run: model, data, optimizer, hardware.

use toml::Table;

use crate::facts::CostInfo;
use crate::facts::optimizer::OptimizerKind;
use crate::facts::{InitFrom, ModelInfo};
use crate::markdown::{self, Align, code, escape};
use crate::report::settings::{number, text, value};
use crate::units;

use super::{Page, attempts};

pub fn what_was_run(page: &Page) -> String {
    format!("## What was run\n\n{}\n{}", setup(page), model(page))
}

fn setup(page: &Page) -> String {
    let manifest = &page.record.manifest;
    let config = &page.record.config;
    let mut table = markdown::Table::new(&[("", Align::Left), ("", Align::Left)]);
    table.row(["Model".to_owned(), model_line(page)]);
    if let Some(info) = &manifest.init_from {
        table.row(["Started from".to_owned(), init_from(info, manifest.model.as_ref())]);
    }
    table.row(["Data".to_owned(), data(page)]);
    table.row(["Batch".to_owned(), batch(page)]);
    table.row(["Optimizer".to_owned(), escape(&optimizer(config))]);
    table.row(["Schedule".to_owned(), escape(&schedule(config))]);
    table.row(["Target".to_owned(), target(page)]);
    table.row(["Seed".to_owned(), seed(page)]);
    table.row(["Device".to_owned(), device(page)]);
    table.row(["Host".to_owned(), host(page)]);
    table.row(["Software".to_owned(), software(page)]);
    let date = |time: jiff::Timestamp| time.strftime("%Y-%m-%d %H:%M UTC").to_string();
    let finished = manifest.finished_at.map_or_else(|| units::MISSING.to_owned(), date);
    table.row([
        "Started, ended".to_owned(),
        format!("{}, {finished}{}", date(manifest.started_at), attempts::count(manifest)),
    ]);
    table.render()
}

fn model_line(page: &Page) -> String {
    let Some(model) = &page.record.manifest.model else { return units::MISSING.to_owned() };
    let count = |n: usize| units::count(n as u64);
    let dropout = number(&page.record.config, "model.dropout").filter(|dropout| *dropout > 0.0);
    let dropout = dropout.map_or_else(String::new, |share| format!(", dropout {}", units::number(share)));
    format!(
        "GPT-2 architecture, {}, {}, {} wide, context {}, vocabulary {}{dropout}: {}",
        units::counted(model.n_layer as u64, "layer"),
        units::counted(model.n_head as u64, "head"),
        count(model.n_embd),
        count(model.block_size),
        count(model.vocab_size),
        units::counted(model.parameters, "parameter")
    )
}

/// `quickstart/seed=1337, step 2,400, SHA-256 ...; the first 128 of its 160 positions`.
fn init_from(info: &InitFrom, model: Option<&ModelInfo>) -> String {
    let mut text = escape(info.name.as_deref().unwrap_or(&info.given));
    if let Some(step) = info.step {
        text.push_str(&format!(", step {}", units::count(step)));
    }
    text.push_str(&format!(", weights of SHA-256 {}", code(&info.sha256)));
    if let (Some(positions), Some(model)) = (info.positions, model) {
        let (taken, all) =
            (units::count(model.block_size as u64), units::counted(positions as u64, "position"));
        text.push_str(&format!("; the first {taken} of its {all}"));
    }
    text
}

fn model(page: &Page) -> String {
    let Some(model) = &page.record.manifest.model else { return String::new() };
    let columns = [("Parameters by part", Align::Left), ("Count", Align::Right), ("Share", Align::Right)];
    let mut table = markdown::Table::new(&columns);
    let share = |part: u64| units::percent(part as f64 / model.parameters.max(1) as f64);
    for group in &model.breakdown {
        table.row([escape(&group.part), units::count(group.parameters), share(group.parameters)]);
    }
    table.row([
        "**Total**".to_owned(),
        format!("**{}**", units::count(model.parameters)),
        share(model.parameters),
    ]);
    table.render()
}

fn data(page: &Page) -> String {
    let Some(data) = &page.record.manifest.data else { return units::MISSING.to_owned() };
    let order = value(&page.record.config, "data.order").and_then(toml::Value::as_str);
    let order = order.map_or_else(String::new, |order| format!(", order {}", escape(order)));
    let documents = match (data.documents, data.end_of_text_tokens) {
        (0 | 1, 0) => String::new(),
        (documents, 0) => format!(", {}", units::documents(documents)),
        (documents, ends) => format!(
            ", {} with {} {} among the tokens",
            units::documents(documents),
            units::count(ends),
            code("<|endoftext|>")
        ),
    };
    let weights = value(&page.record.config, "data.weights").and_then(toml::Value::as_array);
    let mixed = match weights.map(Vec::as_slice) {
        None | Some([]) => String::new(),
        Some(weights) => {
            let weights: Vec<String> = weights.iter().map(toml::Value::to_string).collect();
            format!(", mixed by the weights {}", weights.join(", "))
        }
    };
    format!(
        "{}{mixed}, {}{documents}, SHA-256 {}; tokenizer {}, {} to train on, {} to validate{order}",
        escape(&data.name),
        units::bytes(data.bytes as f64),
        code(&data.sha256),
        escape(&data.tokenizer),
        units::counted(data.train_tokens, "token"),
        units::count(data.val_tokens)
    )
}

/// All FLOPs of a step, and what they are for where it is not the model alone.
fn flops(cost: &CostInfo) -> String {
    let others = [
        (cost.recomputed_flops_per_step, "for recomputed activations"),
        (cost.optimizer_flops_per_step, "for the optimizer"),
    ];
    let all = cost.model_flops_per_step + others.iter().map(|(flops, _)| flops).sum::<f64>();
    let others = others.iter().filter(|(flops, _)| *flops > 0.0);
    let others: String = others.map(|(flops, what)| format!(", {} {what}", units::flops(*flops))).collect();
    match others.as_str() {
        "" => units::flops(all),
        others => {
            format!(
                "{} ({} for the model{others})",
                units::flops(all),
                units::flops(cost.model_flops_per_step)
            )
        }
    }
}

fn batch(page: &Page) -> String {
    let config = &page.record.config;
    let flops = page.record.manifest.cost.as_ref().map(flops);
    let flops = flops.map_or_else(String::new, |flops| format!(" and {flops}"));
    let per_step =
        format!("{}{flops} per step", units::counted(page.record.manifest.run.tokens_per_step, "token"));
    let size = |key: &str| number(config, key).map(|size| size as u64);
    // A length of 0 stands for the whole context.
    let length = size("train.sequence_length").filter(|length| *length > 0).or(size("model.block_size"));
    match (size("train.batch_size"), length, size("train.gradient_accumulation_steps")) {
        (Some(batch), Some(length), accumulated) => {
            let (batch, length) = (units::counted(batch, "sequence"), units::counted(length, "token"));
            let accumulated = match accumulated {
                Some(times) if times > 1 => format!(", {} times accumulated", units::count(times)),
                _ => String::new(),
            };
            format!("{batch} of {length}{accumulated}: {per_step}")
        }
        _ => per_step,
    }
}

fn optimizer(config: &Table) -> String {
    let Some(kind) = value(config, "optimizer.kind").and_then(toml::Value::as_str) else {
        return units::MISSING.to_owned();
    };
    let key = |name: &str| text(config, &format!("optimizer.{name}"));
    let mut parts = vec![match OptimizerKind::of_word(kind) {
        Some(kind) => (kind.facts().describe)(&key),
        // Of a later version.
        None => format!("{kind}, learning rate {}", key("learning_rate")),
    }];
    if number(config, "optimizer.weight_decay").is_some_and(|decay| decay == 0.0) {
        parts.push("no weight decay".to_owned());
    } else {
        let all = value(config, "optimizer.decay_all").and_then(toml::Value::as_bool) == Some(true);
        let what = if all { "all parameters" } else { "matrices and embeddings" };
        parts.push(format!("weight decay {} on {what}", key("weight_decay")));
    }
    parts.push(match number(config, "optimizer.grad_clip") {
        Some(0.0) => "no clipping".to_owned(),
        Some(norm) => format!("gradients clipped to norm {}", units::number(norm)),
        None => "clipping unknown".to_owned(),
    });
    parts.join(", ")
}

fn schedule(config: &Table) -> String {
    let Some(kind) = value(config, "schedule.kind").and_then(toml::Value::as_str) else {
        return units::MISSING.to_owned();
    };
    let mut words = kind.to_owned();
    if kind != "constant" {
        if let Some(steps) = number(config, "schedule.decay_steps").filter(|steps| *steps > 0.0) {
            words.push_str(&format!(" over {}", units::steps(steps as u64)));
        }
        if let Some(floor) = number(config, "schedule.min_lr") {
            words.push_str(&format!(" down to {}", units::number(floor)));
        }
    }
    match number(config, "schedule.warmup_steps") {
        Some(steps) if steps > 0.0 => {
            words.push_str(&format!(", warm-up over {}", units::steps(steps as u64)));
        }
        _ => words.push_str(", no warm-up"),
    }
    words
}

fn target(page: &Page) -> String {
    match &page.record.manifest.target {
        Some(target) => format!("{} < {}", code(&target.metric), units::number(target.threshold)),
        None => "none".to_owned(),
    }
}

fn seed(page: &Page) -> String {
    let run = &page.record.manifest.run;
    if run.repeats > 1 {
        format!("{} (repeat {} of {})", run.seed, run.repeat + 1, run.repeats)
    } else {
        run.seed.to_string()
    }
}

fn device(page: &Page) -> String {
    let Some(device) = &page.record.manifest.device else { return units::MISSING.to_owned() };
    let name = if device.name.is_empty() { String::new() } else { format!(" ({})", escape(&device.name)) };
    let threads = units::counted(device.threads as u64, "thread");
    format!("{}{name}, {}, {threads}", code(&device.device), escape(&device.format()))
}

fn host(page: &Page) -> String {
    let host = &page.record.manifest.host;
    let cores = units::counted(host.cores as u64, "core");
    let memory = units::bytes(host.memory_bytes as f64);
    format!(
        "{}: {}, {cores}, {memory}, {} {}",
        escape(&host.hostname),
        escape(&host.cpu),
        escape(&host.os),
        escape(&host.arch)
    )
}

fn software(page: &Page) -> String {
    let manifest = &page.record.manifest;
    let mut parts = vec![format!("runner {}", escape(&manifest.runner_version))];
    if let Some(git) = &manifest.git {
        let dirty = if git.dirty { " with uncommitted changes" } else { "" };
        parts.push(format!("commit {}{dirty}", code(&git.commit)));
    }
    parts.extend(manifest.packages.iter().map(|(name, version)| escape(&format!("{name} {version}"))));
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::DeviceInfo;
    use crate::report::fixture;
    use crate::report::summary::Summary;
    use std::path::Path;

    #[test]
    fn the_device_row_says_what_multiplies() {
        let mut record = fixture::run(Path::new("runs"), "rates", "seed=1", 40, 1.0);
        let mut row = |dtype: &str, kernel: Option<&str>| {
            let info = record.manifest.device.as_mut().unwrap();
            (info.dtype, info.kernel) = (dtype.to_owned(), kernel.map(str::to_owned));
            device(&Page { summary: Summary::of(&record), record: &record, figures: Vec::new() })
        };
        assert_eq!(row("f32", None), "`cpu` (Example CPU), f32, 2 threads");
        assert_eq!(row("bf16", Some("AMX")), "`cpu` (Example CPU), bf16 by AMX, 2 threads");
        let widened = row("bf16", Some(DeviceInfo::F32_KERNELS));
        assert_eq!(widened, "`cpu` (Example CPU), bf16, multiplied in f32, 2 threads");
    }

    #[test]
    fn what_a_step_computes_beside_the_model_is_told_apart() {
        let mut cost = fixture::run(Path::new("runs"), "rates", "seed=1", 40, 1.0).manifest.cost.unwrap();
        assert_eq!(flops(&cost), "1.53 TFLOP");
        cost.optimizer_flops_per_step = 1.3e12;
        assert_eq!(flops(&cost), "2.83 TFLOP (1.53 TFLOP for the model, 1.30 TFLOP for the optimizer)");
    }
}

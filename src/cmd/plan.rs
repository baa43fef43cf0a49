//! `runner plan FILE...`: what would be run, after the same expansion and validation; nothing is trained.

use std::path::PathBuf;

use super::args::Selection;
use super::columns;
use super::preflight::{
    Planned, chosen_starts, load_plans, short_of_disk, short_of_memory, unread_keys, wanted,
};
use crate::config::experiment::{DataPlan, DataSource, DeviceChoice, DtypeKind, RunPlan};
use crate::config::value_text;
use crate::engine::{self, memory::Place};
use crate::error::{Error, Exit};
use crate::launcher::{Launcher, prepare};
use crate::terminal;
use crate::train::grace;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Folder of the run directories, to see whether there is room.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = super::args::path())]
    runs_dir: PathBuf,
    /// Also print every resolved key of every run, and where its value comes from.
    #[arg(long)]
    keys: bool,
    /// Also print the parts of each run's memory estimate.
    #[arg(long)]
    memory: bool,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new().among(&args.runs_dir);
    let planned = load_plans(&args.selection, &launcher, prepare::Place::Here)?;
    let mut rows = vec![
        [
            "RUN",
            "PARAMETERS",
            "STEPS",
            "TOKENS/STEP",
            "COMPUTE/STEP",
            "MEMORY",
            "CORPUS",
            "DEVICE",
            "ON THIS MACHINE",
        ]
        .map(str::to_owned),
    ];
    rows.extend(planned.iter().map(|run| row(run, launcher.unmet(&run.plan).is_some())));
    terminal::out(columns(&rows));
    for run in &planned {
        if let Some(reason) = launcher.unmet(&run.plan) {
            terminal::out(format_args!("{} will be skipped here: {reason}", name(run)));
        }
    }
    chosen_starts(&planned).into_iter().for_each(terminal::out);
    corpora(&planned).into_iter().for_each(terminal::out);
    if let Some(who) = gaining_nothing(&planned) {
        terminal::out(format_args!("{who}: {}", engine::device::BF16_GAINS_NOTHING));
    }
    let dir = |plan: &RunPlan| args.runs_dir.join(&plan.experiment.name).join(&plan.name);
    let to_train = wanted(&planned, &launcher).map(|run| (run, dir(&run.plan)));
    let short_of_disk = short_of_disk(to_train, &args.runs_dir);
    let slow_to_stop = slow_to_stop(&planned);
    for warning in unread_keys(&planned)
        .into_iter()
        .chain(short_of_memory(&planned, &launcher))
        .chain(short_of_disk)
        .chain(slow_to_stop)
    {
        terminal::out(format_args!("warning: {warning}"));
    }
    terminal::out(format_args!("{}, all valid", units::counted(planned.len() as u64, "run")));
    if args.memory {
        planned.iter().for_each(|run| terminal::out(format_args!("\n{}\n{}", name(run), memory_table(run))));
    }
    if args.keys {
        planned.iter().for_each(|run| terminal::out(format_args!("\n{}\n{}", name(run), keys(run))));
    }
    Ok(Exit::Success)
}

/// What is known of each corpus that was read: documents, tokens, and what a person should know.
fn corpora(planned: &[Planned]) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let read = planned.iter().filter_map(|run| Some((run, run.data.as_ref()?)));
    for (run, data) in read {
        let ends = match data.end_of_text_tokens {
            0 => String::new(),
            ends => format!(" with {} <|endoftext|> among them", units::count(ends)),
        };
        let about = format!(
            "corpus {}: {}, {} tokens{ends}; {} to train on, {} to validate",
            data.name,
            units::documents(data.documents),
            units::count(data.train_tokens + data.val_tokens),
            units::count(data.train_tokens),
            units::count(data.val_tokens)
        );
        let about = match shares(&run.plan.data) {
            Some(shares) => format!("{about}; windows are taken from {shares}"),
            None => about,
        };
        let notices = run.notices.iter().map(|notice| format!("note: {notice}"));
        for line in std::iter::once(about).chain(notices) {
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

/// The texts of a mixture with their shares of the windows.
fn shares(data: &DataPlan) -> Option<String> {
    let DataSource::Paths(paths) = &data.source else { return None };
    let all: f64 = data.weights.iter().sum();
    let shares: Vec<String> = paths
        .iter()
        .zip(&data.weights)
        .map(|(path, weight)| format!("{} ({})", path.display(), units::percent(weight / all)))
        .collect();
    (!shares.is_empty()).then(|| shares.join(", "))
}

/// The runs that are to train in a number format that is slow on this processor: the name of one, or how many.
fn gaining_nothing(planned: &[Planned]) -> Option<String> {
    let found: Vec<&Planned> = planned.iter().filter(|run| gains_nothing(&run.plan)).collect();
    match found.as_slice() {
        [] => None,
        [one] => Some(name(one)),
        all if all.len() == planned.len() => Some(format!("all {} runs", all.len())),
        some => Some(format!("{} of the {} runs", some.len(), planned.len())),
    }
}

/// Of the runs whose checkpoints take so long that schedulers may not wait for them, the one with the largest.
fn slow_to_stop(planned: &[Planned]) -> Option<String> {
    let saving = planned.iter().filter(|run| run.plan.checkpoint.interval > 0);
    let sizes =
        saving.filter_map(|run| Some((run.cost.as_ref()?.checkpoint_bytes(&run.plan.optimizer.kind), run)));
    let (bytes, run) = sizes.max_by_key(|(bytes, _)| *bytes)?;
    Some(format!("{}: {}", name(run), grace::beforehand(bytes)?))
}

/// Whether the run is to train in a number format that is slow on this processor.
fn gains_nothing(plan: &RunPlan) -> bool {
    plan.hardware.dtype == DtypeKind::Bf16
        && engine::cost::place(&plan.hardware.device) == Some(Place::Host)
        && !engine::device::bf16_gains()
}

fn name(run: &Planned) -> String {
    format!("{}/{}", run.plan.experiment.name, run.plan.name)
}

fn row(run: &Planned, skipped: bool) -> [String; 9] {
    let plan = &run.plan;
    let memory = run.cost.as_ref().map(|cost| cost.memory.estimate());
    [
        name(run),
        parameters(run),
        units::count(plan.train.max_steps),
        units::count(plan.train.tokens_per_step()),
        run.cost.as_ref().map_or_else(missing, |cost| units::flops(cost.flops.total())),
        memory.map_or_else(missing, |memory| format!("about {}", units::bytes(memory.bytes()))),
        plan.data.source.to_string(),
        device(&plan.hardware.device),
        (if skipped { "skipped" } else { "runs" }).to_owned(),
    ]
}

fn missing() -> String {
    units::MISSING.to_owned()
}

/// The exact count, or without the embeddings of a vocabulary that is known only once the corpus is read.
fn parameters(run: &Planned) -> String {
    let model = &run.plan.model;
    match run.vocab_size.or(model.vocab_size) {
        Some(vocab_size) => units::count(engine::parameter_count(model, vocab_size).parameters),
        None => {
            let parameters = engine::parameter_count(model, 0).parameters;
            format!("{} + {} per character", units::count(parameters), model.n_embd)
        }
    }
}

/// The parts of the estimate and their sum.
fn memory_table(run: &Planned) -> String {
    let Some(need) = run.cost.as_ref().map(|cost| cost.memory) else {
        return "  memory is estimated only for training with a known vocabulary".to_owned();
    };
    let memory = need.estimate();
    let line = |name: &str, bytes: f64| [format!("  {name}"), format!("{:>10}", units::bytes(bytes))];
    let mut rows: Vec<_> = memory.parts.iter().map(|part| line(part.name, part.bytes)).collect();
    rows.push(line("together", memory.bytes()));
    match need.place {
        Place::Host => columns(&rows),
        Place::Gpu { ordinal, .. } => {
            format!("{}\n  of cuda:{ordinal}, without what CUDA itself takes", columns(&rows).trim_end())
        }
    }
}

/// Every resolved key, and where its value comes from.
fn keys(run: &Planned) -> String {
    let resolved = run.plan.resolved.iter();
    let keys: Vec<_> = resolved
        .map(|key| [format!("  {} = {}", key.key, value_text(&key.value)), format!("# {}", key.source)])
        .collect();
    columns(&keys)
}

fn device(choice: &DeviceChoice) -> String {
    match choice {
        DeviceChoice::Auto => "auto".to_owned(),
        DeviceChoice::Cpu => "cpu".to_owned(),
        DeviceChoice::Cuda(ordinal) => format!("cuda:{ordinal}"),
        DeviceChoice::Scripted => "scripted".to_owned(),
    }
}

//! `runner plan FILE...`: what would be run, after the same expansion and validation; nothing is trained.

use super::columns;
use super::preflight::load_plans;
use crate::cli::Selection;
use crate::config::experiment::{DataSource, DeviceChoice, RunPlan};
use crate::config::value_text;
use crate::data::tokenizer::fixed_vocab_size;
use crate::engine;
use crate::error::{Error, Exit};
use crate::launcher::local::Launcher;
use crate::terminal;
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Also print every resolved key of every run, and where its value comes from.
    #[arg(long)]
    keys: bool,
}

pub fn run(args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new();
    let plans = load_plans(&args.selection, &launcher)?;
    let mut rows = vec![
        ["RUN", "PARAMETERS", "STEPS", "TOKENS/STEP", "CORPUS", "DEVICE", "ON THIS MACHINE"]
            .map(str::to_owned),
    ];
    rows.extend(plans.iter().map(|plan| row(plan, launcher.unmet(plan).is_some())));
    terminal::out(columns(&rows));
    for plan in &plans {
        if let Some(reason) = launcher.unmet(plan) {
            terminal::out(format_args!(
                "{}/{} will be skipped here: {reason}",
                plan.experiment.name, plan.name
            ));
        }
    }
    terminal::out(format_args!(
        "{} {}, all valid",
        plans.len(),
        if plans.len() == 1 { "run" } else { "runs" }
    ));
    if args.keys {
        for plan in &plans {
            terminal::out(format_args!("\n{}/{}", plan.experiment.name, plan.name));
            let keys: Vec<_> = plan
                .resolved
                .iter()
                .map(|key| {
                    [format!("  {} = {}", key.key, value_text(&key.value)), format!("# {}", key.source)]
                })
                .collect();
            terminal::out(columns(&keys));
        }
    }
    Ok(Exit::Success)
}

fn row(plan: &RunPlan, skipped: bool) -> [String; 7] {
    [
        format!("{}/{}", plan.experiment.name, plan.name),
        parameters(plan),
        units::count(plan.train.max_steps),
        units::count(plan.train.tokens_per_step()),
        match &plan.data.source {
            DataSource::Corpus(name) => name.clone(),
            DataSource::Path(path) => path.display().to_string(),
        },
        device(&plan.hardware.device),
        (if skipped { "skipped" } else { "runs" }).to_owned(),
    ]
}

/// The exact count, or without the embeddings of a vocabulary that is known only once the corpus is read.
fn parameters(plan: &RunPlan) -> String {
    match plan.model.vocab_size.or(fixed_vocab_size(plan.data.tokenizer)) {
        Some(vocab_size) => units::count(engine::parameter_count(&plan.model, vocab_size).parameters),
        None => {
            let parameters = engine::parameter_count(&plan.model, 0).parameters;
            format!("{} + {} per character", units::count(parameters), plan.model.n_embd)
        }
    }
}

fn device(choice: &DeviceChoice) -> String {
    match choice {
        DeviceChoice::Auto => "auto".to_owned(),
        DeviceChoice::Cpu => "cpu".to_owned(),
        DeviceChoice::Cuda(ordinal) => format!("cuda:{ordinal}"),
        DeviceChoice::Scripted => "scripted".to_owned(),
    }
}

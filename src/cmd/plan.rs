//! `runner plan FILE...`: what would be run, after the same expansion and validation; nothing is trained.

mod json;
mod outlook;
mod probe;
mod table;

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
use crate::launcher::again::Again;
use crate::launcher::estimate::kept_promises;
use crate::launcher::{Launcher, prepare};
use crate::store::manifest::Manifest;
use crate::store::scan::scan;
use crate::terminal;
use crate::train::grace;
use crate::units;
use outlook::{Prospect, Total};
use table::wrapped;

#[derive(Debug, clap::Args)]
#[command(after_long_help = JSON_HELP)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// Folder of the run directories, to see what is done already, what earlier runs took, and whether there is room.
    #[arg(long, value_name = "DIR", default_value = "runs", value_parser = super::args::path())]
    runs_dir: PathBuf,
    /// Plan as `runner --again FILE...` would: every run from scratch, even finished ones.
    #[arg(long, conflicts_with = "retry")]
    again: bool,
    /// Plan as `runner --retry FILE...` would: with runs that failed earlier.
    #[arg(long)]
    retry: bool,
    /// Train a few steps of runs of whose sizes no earlier run tells the time, in a folder that is deleted afterwards: of up to three
    /// sizes, 10 seconds at most for each.
    #[arg(long)]
    probe: bool,
    /// Also print every resolved key of every run, and where its value comes from.
    #[arg(long, conflicts_with = "json")]
    keys: bool,
    /// Also print the parts of each run's memory estimate.
    #[arg(long, conflicts_with = "json")]
    memory: bool,
    /// Print a JSON object.
    #[arg(long)]
    json: bool,
}

const JSON_HELP: &str = "\
The time is what earlier runs on this machine took, of the same sizes or else of others, or with --probe
what a few measured steps take; each with the machine for itself. Expect it to be right to a factor of two.

Fields of --json, null where something is not known:
  runs: name, experiment, run, state (new, resumes, done, failed, running, skipped, unusable), why,
    from_step, changed_since (the earlier run), changed (key, before, now), steps, steps_to_train,
    tokens_per_step, parameters, flops_per_step, memory_bytes, estimated_secs (of all its steps),
    estimated_from, corpus, device
  counts: runs by state
  to_train: runs, steps, tokens, flops, estimated_secs, estimated_from
  earlier_estimates: runs, least_taken_over_estimated, most_taken_over_estimated
  warnings";

pub fn run(args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new().among(&args.runs_dir);
    // As on a cluster's login node: what is planned there is trained where the driver is.
    let no_driver = engine::device::driver_is_missing();
    let place = if no_driver { prepare::Place::Elsewhere } else { prepare::Place::Here };
    let planned = load_plans(&args.selection, &launcher, place)?;
    let earlier: Vec<Manifest> = scan(&args.runs_dir).into_iter().filter_map(|(_, run)| run.ok()).collect();
    let mut past = launcher.past(earlier.iter());
    if args.probe {
        probe::probe(&wanted(&planned, &launcher).collect::<Vec<_>>(), &launcher, &mut past)?;
    }
    let again = Again { fresh: args.again, retry: args.retry };
    let prospects: Vec<Prospect> =
        planned.iter().map(|run| Prospect::of(run, &args.runs_dir, again, &launcher, &past)).collect();
    let dir = |plan: &RunPlan| args.runs_dir.join(&plan.experiment.name).join(&plan.name);
    let to_train = prospects.iter().filter(|one| one.steps() > 0).map(|one| (one.run, dir(&one.run.plan)));
    let short_of_disk = short_of_disk(to_train, &args.runs_dir);
    let warnings: Vec<String> = unread_keys(&planned)
        .into_iter()
        .chain(short_of_memory(&planned, &launcher))
        .chain(short_of_disk)
        .chain(slow_to_stop(&planned))
        .chain(no_driver.then(|| unusable_devices(&planned)).into_iter().flatten())
        .collect();
    let promises = kept_promises(earlier.iter());
    if args.json {
        terminal::out(format_args!("{:#}", json::value(&prospects, promises, &warnings)));
        return Ok(Exit::Success);
    }
    terminal::out(table::lines(&prospects));
    for one in &prospects {
        let word = match one.state.word() {
            "skipped" => "will be skipped here",
            "failed" => "failed earlier",
            "unusable" | "running" => "is left alone",
            _ => continue,
        };
        let why = one.state.why().unwrap_or_default();
        terminal::out(wrapped(&format!("{} {word}: {why}", name(one.run))));
    }
    chosen_starts(&planned).iter().for_each(|line| terminal::out(wrapped(line)));
    corpora(&planned).iter().for_each(|line| terminal::out(wrapped(line)));
    if let Some(who) = gaining_nothing(&planned) {
        terminal::out(wrapped(&format!("{who}: {}", engine::device::BF16_GAINS_NOTHING)));
    }
    // On one line, which scripts look for.
    warnings.iter().for_each(|warning| terminal::out(format_args!("warning: {warning}")));
    outlook::changes(&prospects).into_iter().for_each(terminal::out);
    terminal::out(outlook::counts(&prospects));
    work(&Total::of(&prospects), promises, args.probe)
        .into_iter()
        .for_each(|line| terminal::out(wrapped(&line)));
    if args.memory {
        planned.iter().for_each(|run| terminal::out(format_args!("\n{}\n{}", name(run), memory_table(run))));
    }
    if args.keys {
        planned.iter().for_each(|run| terminal::out(format_args!("\n{}\n{}", name(run), keys(run))));
    }
    Ok(Exit::Success)
}

/// How much there is to do, how long it may take, and how good such estimates were.
fn work(total: &Total, promises: Option<(f64, f64, usize)>, probed: bool) -> Vec<String> {
    if total.runs == 0 {
        return vec!["nothing to train".to_owned()];
    }
    let flops = if total.flops > 0.0 { format!(", {}", units::flops(total.flops)) } else { String::new() };
    let tokens = units::si(total.tokens as f64);
    let mut lines = vec![format!(
        "to train: {}, {}, {tokens} tokens{flops}",
        units::counted(total.runs as u64, "run"),
        units::steps(total.steps)
    )];
    match total.secs {
        Some(secs) => lines.push(format!(
            "time: about {} one run after another, to a factor of two; from {}",
            units::duration(secs),
            total.from.join(" and ")
        )),
        None if total.flops > 0.0 && !probed => lines.push(
            "time: not known, because no earlier run on this machine tells it; --probe measures a few steps"
                .to_owned(),
        ),
        None => {}
    }
    if let Some((least, most, runs)) = promises {
        let of = units::counted(runs as u64, "earlier run");
        lines.push(format!(
            "estimates so far: {of} took {} to {} as long as was estimated",
            units::ratio(least),
            units::ratio(most)
        ));
    }
    lines
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
    let DataSource::Paths(paths) = data.source() else { return None };
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

/// In words, which devices runs ask for that are not on this machine. Each is told once.
fn unusable_devices(planned: &[Planned]) -> Vec<String> {
    let mut warnings = Vec::new();
    for error in planned.iter().filter_map(|run| engine::check_device(&run.plan).err()) {
        let warning = format!("{error}; this machine can plan such a run and not train it");
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
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
    let resolved = run.plan.resolved();
    let keys: Vec<_> = resolved
        .iter()
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

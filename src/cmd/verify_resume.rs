//! `runner verify-resume EXPERIMENT`: shows on this machine, with this experiment, that a run which is killed and resumed gives
//! the same numbers as one that is left alone.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rand::RngExt;

use super::args::Selection;
use super::preflight::{Planned, load_plans};
use super::signals;
use crate::error::{Error, Exit};
use crate::facts::Status;
use crate::files::{disk, plain};
use crate::launcher::child::Child;
use crate::launcher::{Launcher, prepare};
use crate::metric::METRICS;
use crate::sinks::progress::{Place, Screen};
use crate::store::{RunDir, RunRecord, read};
use crate::terminal;
use crate::train::StopFlag;
use crate::train::checkpoint::{self, weights_sums};
use crate::units;

#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    selection: Selection,
    /// How often to kill the run; every other time while it writes a checkpoint, if possible.
    #[arg(long, value_name = "N", default_value_t = 3)]
    kills: u32,
    /// Folder for the two runs and their checkpoints, deleted when they agree. Default: the system's temporary folder.
    #[arg(long, value_name = "DIR", value_parser = super::args::path())]
    scratch_dir: Option<PathBuf>,
    /// Show nothing but the verdict.
    #[arg(short, long)]
    quiet: bool,
}

pub fn run(mut args: Args) -> Result<Exit, Error> {
    let launcher = Launcher::new();
    let screen = Screen::open(args.quiet);
    let planned = plan_with_checkpoints(&mut args.selection, &launcher, &screen)?;
    let folder = scratch(args.scratch_dir.as_deref())?;
    let stop = signals::catch(&screen)?;

    let prepare = |name: &str| {
        let (plan, start) = (&planned.plan, planned.start.as_ref());
        let prepared =
            launcher.prepare(plan, start, &folder.path().join(name), None, None, prepare::Place::Here);
        prepared.map(|(dir, _)| dir)
    };
    let alone = prepare("left-alone")?;
    let begun = Instant::now();
    if !finish(&alone, Place { index: 1, count: 2 }, &screen, &stop)? {
        return Ok(not_finished(&alone, &stop, folder));
    }
    let whole_secs = begun.elapsed().as_secs_f64();

    let killed = prepare("killed")?;
    let mut kills = Kills::default();
    for number in 0..args.kills {
        // Long enough for some progress, and on average too short for the end to come before the last kill.
        let life =
            Duration::from_secs_f64(rand::rng().random_range(0.0..=1.2) * whole_secs / f64::from(args.kills));
        if stop.is_requested() || !kills.live_and_die(&killed, life, number % 2 == 1)? {
            break;
        }
        screen.note(&format!(
            "killed after {} ({} of {})",
            units::duration(life.as_secs_f64()),
            number + 1,
            args.kills
        ));
    }
    if !finish(&killed, Place { index: 2, count: 2 }, &screen, &stop)? {
        return Ok(not_finished(&killed, &stop, folder));
    }

    let (alone, killed) = (read(alone.path())?, read(killed.path())?);
    terminal::out(kills.sentence(&killed));
    let differences = differences(&alone, &killed);
    if differences.is_empty() {
        let sums = weights_sums(&alone.dir);
        let weights = sums.iter().find(|(name, _)| name == "model.safetensors");
        let hash =
            weights.map_or_else(String::new, |(_, sum)| format!(" (model.safetensors: SHA-256 {sum})"));
        terminal::out(format_args!(
            "identical: {} of metrics.csv in every number but times and resources, {}, and {} of the last checkpoint{hash}",
            units::counted(alone.rows.len() as u64, "row"),
            units::counted(alone.samples.len() as u64, "sample"),
            units::counted(sums.len() as u64, "file")
        ));
        return Ok(Exit::Success);
    }
    terminal::out("NOT identical:");
    differences.iter().for_each(|line| terminal::out(format_args!("  {line}")));
    terminal::out(format_args!("both runs are kept in {}", folder.keep().display()));
    Ok(Exit::RunFailed)
}

/// The first run of the selection, with checkpoints close enough for resuming to mean something.
fn plan_with_checkpoints(
    selection: &mut Selection,
    launcher: &Launcher,
    screen: &Screen,
) -> Result<Planned, Error> {
    let first = |selection: &Selection| {
        let plans = load_plans(selection, launcher, prepare::Place::Here)?;
        plans.into_iter().next().ok_or_else(|| Error::Usage("there is no run to verify".to_owned()))
    };
    let planned = first(selection)?;
    let plan = &planned.plan;
    let (steps, interval) = (plan.train.max_steps, plan.checkpoint.interval);
    if interval > 0 && interval <= steps / 4 {
        return Ok(planned);
    }
    let closer = (steps / 8).max(1);
    screen.note(&format!(
        "checkpoint.interval = {interval} with {} is too coarse for this test: {closer} is used",
        units::steps(steps)
    ));
    selection.set.push(format!("checkpoint.interval={closer}"));
    first(selection)
}

fn scratch(dir: Option<&Path>) -> Result<tempfile::TempDir, Error> {
    let parent = dir.map_or_else(std::env::temp_dir, Path::to_path_buf);
    fs::create_dir_all(&parent)
        .and_then(|()| tempfile::Builder::new().prefix("verify-resume-").tempdir_in(&parent))
        .map_err(|error| {
            Error::Usage(format!(
                "cannot make a folder in {}: {}, or choose another with --scratch-dir",
                parent.display(),
                disk::no_folder(&parent, &error)
            ))
        })
}

/// Trains the run to its end; `false` when it did not come to a planned one.
fn finish(dir: &RunDir, place: Place, screen: &Screen, stop: &StopFlag) -> Result<bool, Error> {
    let mut child = start(dir, screen.sink(place).into_iter().collect())?;
    while child.try_wait().map_err(|error| lost(dir, &error))?.is_none() {
        if stop.is_requested() {
            child.ask_to_stop();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(dir.read_manifest_now()?.status == Status::Finished)
}

fn not_finished(dir: &RunDir, stop: &StopFlag, folder: tempfile::TempDir) -> Exit {
    if stop.is_requested() {
        return signals::exit_of_stopped(stop);
    }
    let how = read(dir.path()).map(|record| crate::report::ending::sentence(&record)).unwrap_or_default();
    terminal::out(format_args!("no verdict, because the run did not finish: {how}"));
    terminal::out(format_args!("it is kept in {}", folder.keep().display()));
    Exit::RunFailed
}

fn start(dir: &RunDir, listeners: Vec<Box<dyn crate::sinks::Sink>>) -> Result<Child, Error> {
    Child::start(dir, None, 1, listeners).map_err(|error| lost(dir, &error))
}

fn lost(dir: &RunDir, error: &std::io::Error) -> Error {
    Error::Usage(format!("the process of {} could not be started or followed: {error}", dir.path().display()))
}

/// How the run was killed.
#[derive(Debug, Default)]
struct Kills {
    all: u32,
    in_checkpoints: u32,
}

impl Kills {
    /// Trains for a while and kills the process; `false` when the run was quicker.
    fn live_and_die(&mut self, dir: &RunDir, life: Duration, in_checkpoint: bool) -> Result<bool, Error> {
        let mut child = start(dir, Vec::new())?;
        let begun = Instant::now();
        loop {
            if child.try_wait().map_err(|error| lost(dir, &error))?.is_some() {
                return Ok(false);
            }
            let saving = checkpoint::is_being_written(dir);
            // Not for ever: the next checkpoint may be far away.
            let waits = in_checkpoint && !saving && begun.elapsed() < life * 2 + Duration::from_secs(5);
            if begun.elapsed() >= life && !waits {
                child.kill();
                self.all += 1;
                self.in_checkpoints += u32::from(saving);
                return Ok(true);
            }
            // A small checkpoint is written within a millisecond or two.
            if !in_checkpoint {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    fn sentence(&self, killed: &RunRecord) -> String {
        format!(
            "killed {} with SIGKILL, {} of them while a checkpoint was being written; {}",
            units::counted(u64::from(self.all), "time"),
            self.in_checkpoints,
            units::counted(killed.manifest.attempts.len() as u64, "attempt")
        )
    }
}

/// What two runs that should be the same differ in.
fn differences(alone: &RunRecord, killed: &RunRecord) -> Vec<String> {
    let mut found = Vec::new();
    let steps = |record: &RunRecord| record.rows.iter().map(|row| row.step).collect::<Vec<_>>();
    if steps(alone) != steps(killed) {
        found.push(format!(
            "metrics.csv has {} in one and {} in the other, or other steps",
            units::counted(alone.rows.len() as u64, "row"),
            killed.rows.len()
        ));
    }
    for (a, b) in alone.rows.iter().zip(&killed.rows) {
        for metric in METRICS.iter().filter(|metric| metric.is_reproducible()) {
            let (a_value, b_value) = ((metric.get)(a), (metric.get)(b));
            if a_value.map(f64::to_bits) != b_value.map(f64::to_bits) {
                found.push(format!("{} of step {}: {a_value:?} and {b_value:?}", metric.key, a.step));
            }
        }
    }
    if alone.samples != killed.samples {
        found.push("the samples".to_owned());
    }
    if alone.memorisation != killed.memorisation {
        found.push("how much of the samples is copied".to_owned());
    }
    let best =
        |record: &RunRecord| plain::read_to_string(&record.dir.checkpoints().best()).unwrap_or_default();
    let (a_best, b_best) = (best(alone), best(killed));
    if a_best != b_best {
        found.push(format!("the best checkpoint: {:?} and {:?}", a_best.trim_end(), b_best.trim_end()));
    }
    for record in [alone, killed] {
        found.extend(record.damage.iter().map(|damage| format!("damage in {}: {damage}", record.id())));
    }
    let (a_sums, b_sums) = (weights_sums(&alone.dir), weights_sums(&killed.dir));
    if a_sums.is_empty() || a_sums.len() != b_sums.len() {
        found.push("the last checkpoints have other files".to_owned());
    }
    for ((name, a_sum), (_, b_sum)) in a_sums.iter().zip(&b_sums) {
        if a_sum != b_sum {
            found.push(format!("{name} of the last checkpoint: SHA-256 {a_sum} and {b_sum}"));
        }
    }
    const SHOWN: usize = 10;
    if found.len() > SHOWN {
        let more = found.len() - SHOWN;
        found.truncate(SHOWN);
        found.push(format!("and {more} more"));
    }
    found
}

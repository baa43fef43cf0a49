//! A few measured steps of runs of whose sizes nothing is known: trained by a process of their own in a folder that is deleted, for
//! seconds at most.

use std::time::{Duration, Instant};

use super::super::preflight::Planned;
use crate::engine::cost::Cost;
use crate::error::Error;
use crate::launcher::Launcher;
use crate::launcher::child::Child;
use crate::launcher::estimate::Past;
use crate::launcher::prepare::Place;
use crate::store::{StoreError, tail};
use crate::terminal;
use crate::units;

/// Sizes that are tried: what lies between them is estimated from them.
const SIZES: usize = 3;
/// Time for one of them, loading the corpus included, and steps that are enough.
const LONGEST: Duration = Duration::from_secs(10);
const STEPS: usize = 8;

/// Trains a few steps of the smallest, the largest and a middle one of the runs that `past` does not know, and adds what they took.
///
/// # Errors
/// When there is no place for the runs.
pub fn probe(runs: &[&Planned], launcher: &Launcher, past: &mut Past) -> Result<(), Error> {
    let mut unknown: Vec<(&Planned, &Cost)> = runs
        .iter()
        .filter_map(|run| Some((*run, run.cost.as_ref()?)))
        .filter(|(run, cost)| !past.knows(&run.plan, cost))
        .collect();
    unknown.sort_by(|a, b| a.1.flops.model.total_cmp(&b.1.flops.model));
    let count = unknown.len();
    let mut places: Vec<usize> =
        (0..SIZES.min(count)).map(|place| place * (count - 1) / (SIZES - 1).max(1)).collect();
    places.dedup();
    for (run, cost) in places.into_iter().map(|place| unknown[place]) {
        if past.knows(&run.plan, cost) {
            continue;
        }
        let name = format!("{}/{}", run.plan.experiment.name, run.plan.name);
        terminal::err(format_args!(
            "measuring a few steps of {name}, {} at most",
            units::duration(LONGEST.as_secs_f64())
        ));
        if !steps_of(run, cost, launcher, past)? {
            terminal::err(format_args!("{name} took no second step in that time: its time is not known"));
        }
    }
    Ok(())
}

fn steps_of(run: &Planned, cost: &Cost, launcher: &Launcher, past: &mut Past) -> Result<bool, Error> {
    let folder = tempfile::tempdir()
        .map_err(|source| Error::Store(StoreError::CreateRun { path: std::env::temp_dir(), source }))?;
    let (dir, _) = launcher.prepare(&run.plan, run.start.as_ref(), folder.path(), None, None, Place::Here)?;
    let process = Child::start(&dir, None, 1, Vec::new());
    let mut process = process.map_err(|source| StoreError::Write { path: dir.path().to_owned(), source })?;
    let began = Instant::now();
    loop {
        let ended = !matches!(process.try_wait(), Ok(None));
        let rows = tail(&dir.metrics()).unwrap_or_default().rows;
        if ended || began.elapsed() >= LONGEST || rows.len() > STEPS {
            process.kill();
            return Ok(past.add_probe(&run.plan, cost, &rows));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

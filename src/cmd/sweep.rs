//! What commands that train have in common: processes for runs, a report for each, the comparison, the summary, the exit code.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

use super::signals;
use crate::cli::Folders;
use crate::engine::cost::Cost;
use crate::engine::device;
use crate::engine::memory::Place as MemoryPlace;
use crate::error::{Error, Exit};
use crate::facts::Status;
use crate::launcher::host;
use crate::launcher::local::{self, Job, Terms, Watcher};
use crate::report::{self, compare::Agreement, compare::LeftOut, ending::Ending};
use crate::sinks::progress::{Place, Screen};
use crate::store::manifest::Manifest;
use crate::store::{RunDir, RunRecord, StoreError, read};
use crate::terminal;
use crate::units;

/// How runs are worked off.
#[derive(Clone, Debug, clap::Args)]
pub struct WorkArgs {
    /// Runs at the same time, each in a process of its own with its share of the cores. `auto`: one per GPU, or as many as cores
    /// and free memory allow.
    #[arg(short, long, value_name = "N|auto", default_value = "1")]
    jobs: Jobs,
    /// Start no further run once one has failed; those that are under way go on.
    #[arg(long, conflicts_with = "max_fail")]
    fail_fast: bool,
    /// Start no further run once this many have failed.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_fail: Option<u32>,
    /// Show nothing while training; outcomes and paths are still printed at the end.
    #[arg(short, long)]
    pub quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jobs {
    Auto,
    Number(usize),
}

impl FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("auto", _) => Ok(Self::Auto),
            (_, Ok(number @ 1..=1024)) => Ok(Self::Number(number)),
            _ => Err("give a number from 1 to 1024, or auto".to_owned()),
        }
    }
}

impl WorkArgs {
    /// Processes at a time and what each gets, for `runs` runs of which these costs are known.
    fn terms(&self, runs: usize, costs: &[&Cost]) -> Terms {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let jobs = match self.jobs {
            Jobs::Number(number) => number,
            Jobs::Auto => {
                automatic(costs, cores, device::cuda_devices().unwrap_or(0), host::free_memory_bytes())
            }
        };
        let jobs = jobs.clamp(1, runs.max(1));
        let max_fail = if self.fail_fast { Some(1) } else { self.max_fail.map(|number| number as usize) };
        Terms { jobs, threads: (jobs > 1).then(|| (cores / jobs).max(1)), max_fail }
    }
}

/// One per GPU, if that is where runs would be; otherwise one per core, as far as the largest of them fits the memory that often.
fn automatic(costs: &[&Cost], cores: usize, gpus: usize, free_bytes: Option<u64>) -> usize {
    if gpus > 0 && costs.iter().any(|cost| matches!(cost.memory.place, MemoryPlace::Gpu { .. })) {
        return gpus;
    }
    let largest = costs.iter().map(|cost| cost.memory.estimate().bytes()).fold(0.0, f64::max);
    match free_bytes {
        Some(free) if largest > 0.0 => cores.min((free as f64 / largest) as usize).max(1),
        _ => cores,
    }
}

/// In words, that runs at the same time may need more memory than is free although each of them fits.
fn short_together(costs: &[&Cost], jobs: usize, free_bytes: Option<u64>) -> Option<String> {
    let free = free_bytes? as f64;
    let on_host = costs.iter().filter(|cost| matches!(cost.memory.place, MemoryPlace::Host));
    let mut needs: Vec<f64> = on_host.map(|cost| cost.memory.estimate().bytes()).collect();
    needs.sort_by(|a, b| b.total_cmp(a));
    let together: f64 = needs.iter().take(jobs).sum();
    let largest = needs.first().copied().unwrap_or(0.0);
    (jobs > 1 && together > free && largest <= free).then(|| {
        format!(
            "{jobs} runs at the same time may need {} of memory, and {} is free; lower --jobs, or let --jobs auto choose",
            units::bytes(together),
            units::bytes(free)
        )
    })
}

/// A run of the sweep.
pub enum Item {
    /// It needs a process.
    Train(RunDir),
    /// It has an end already that stands.
    Done(RunDir, Box<Manifest>, Origin),
    /// It is not trained now.
    LeftOut(LeftOut),
    /// It cannot be recorded; this has been printed.
    Broken(LeftOut),
}

/// When a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Now,
    /// In an earlier call of the program.
    Earlier,
}

/// Trains what needs it, reports every run, compares all, and prints how it went. `others` are further runs of the experiments,
/// which the comparison shows too.
pub fn train(
    items: Vec<Item>,
    costs: &[&Cost],
    others: Vec<PathBuf>,
    work: &WorkArgs,
    folders: &Folders,
    screen: &Screen,
) -> Result<Exit, Error> {
    let count = items.len();
    let stop = signals::catch(screen)?;
    let started = Instant::now();
    let mut sweep = Sweep { screen: screen.clone(), count, ..Sweep::default() };
    let mut jobs = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Item::Train(dir) => {
                let (screen, place) = (screen.clone(), Place { index: index + 1, count });
                let listeners = Box::new(move || screen.sink(place).into_iter().collect());
                jobs.push(Job { index, dir, listeners });
            }
            Item::Done(dir, manifest, origin) => sweep.add(index, &dir, *manifest, origin),
            Item::LeftOut(run) => sweep.left_out.push(run),
            Item::Broken(run) => {
                sweep.broken = true;
                sweep.left_out.push(run);
            }
        }
    }
    let terms = work.terms(jobs.len(), costs);
    if let Some(warning) = short_together(costs, terms.jobs, host::free_memory_bytes()) {
        screen.note(&format!("warning: {warning}"));
    }
    local::work(jobs, terms, &stop, &mut sweep);
    sweep.done.sort_by_key(|run| run.index);

    let agreements = sweep.agreements();
    let exit = sweep.exit(stop.is_requested(), &agreements);
    let summary = sweep.summary(started.elapsed().as_secs_f64(), &agreements);
    // Written before anything is printed, so that it is there whatever becomes of the terminal.
    let comparison = (count + others.len() > 1).then(|| sweep.compare(others, &folders.reports_dir));
    terminal::out(summary);
    match comparison {
        None => Ok(exit),
        Some(Ok(path)) => {
            terminal::out(format_args!("comparison: {}", path.display()));
            Ok(exit)
        }
        Some(Err(error)) => {
            error.print();
            Ok(if exit == Exit::Success { Exit::Internal } else { exit })
        }
    }
}

/// What has become of the runs so far.
#[derive(Default)]
struct Sweep {
    screen: Screen,
    count: usize,
    done: Vec<Done>,
    left_out: Vec<LeftOut>,
    /// A run could not be recorded.
    broken: bool,
}

impl Watcher for Sweep {
    fn ended(&mut self, index: usize, dir: RunDir, manifest: Result<Manifest, StoreError>) {
        match manifest {
            Ok(manifest) => self.add(index, &dir, manifest, Origin::Now),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                self.broken = true;
                self.left_out.push(LeftOut { run: name_of(&dir), reason: error.to_string() });
            }
        }
    }

    fn left_out(&mut self, _index: usize, dir: RunDir, reason: &str) {
        self.left_out.push(LeftOut { run: name_of(&dir), reason: reason.to_owned() });
    }

    fn note(&mut self, line: &str) {
        self.screen.note(line);
    }
}

impl Sweep {
    fn add(&mut self, index: usize, dir: &RunDir, manifest: Manifest, origin: Origin) {
        let run = Done::report(index, dir, manifest, origin);
        // Such a run has shown nothing yet: the sink hears only of runs that train.
        let silent = match run.manifest.status {
            Status::Skipped => true,
            Status::Failed => run.manifest.results.is_none(),
            _ => false,
        };
        if silent && origin == Origin::Now {
            self.screen.note(&format!("[{}/{}] {}", index + 1, self.count, run.sentence()));
        }
        self.done.push(run);
    }

    /// One line per run with its outcome, and one with the path of its report.
    fn summary(&self, elapsed_secs: f64, agreements: &[Agreement]) -> String {
        let mut lines = Vec::new();
        for run in &self.done {
            lines.push(run.sentence());
            if let Ok((_, path)) = &run.reported {
                lines.push(format!("  {}", path.display()));
            }
        }
        lines.extend(self.left_out.iter().map(|run| format!("{}: {}", run.run, run.reason)));
        if self.count > 1 {
            let trained = self.done.iter().filter(|run| run.origin == Origin::Now).count();
            let kept = self.done.len() - trained;
            let word = if trained == 1 { "run" } else { "runs" };
            let kept = if kept > 0 { format!(", {kept} kept as they were") } else { String::new() };
            lines.push(format!("{trained} {word} in {}{kept}", units::duration(elapsed_secs)));
        }
        let unfinished = |run: &Done| crate::launcher::again::is_unfinished(&run.manifest);
        if !self.left_out.is_empty() || self.done.iter().any(unfinished) {
            lines.push("`runner resume` goes on with what was interrupted or not started".to_owned());
        }
        lines.extend(agreements.iter().map(Agreement::sentence));
        lines.join("\n")
    }

    /// The verdicts on experiments whose runs should have the same losses.
    fn agreements(&self) -> Vec<Agreement> {
        let records = self.done.iter().filter_map(|run| run.reported.as_ref().ok());
        report::compare::agreements(&records.map(|(record, _)| record.clone()).collect::<Vec<_>>())
    }

    fn compare(self, others: Vec<PathBuf>, reports_dir: &Path) -> Result<PathBuf, Error> {
        let Self { done, mut left_out, .. } = self;
        let mut records = Vec::new();
        for run in done {
            match run.reported {
                Ok((record, _)) => records.push(record),
                Err(ref reason) => left_out.push(LeftOut { run: run.name(), reason: reason.clone() }),
            }
        }
        // What cannot be read was not asked for.
        records.extend(others.iter().filter_map(|path| read(path).ok()));
        let of_record = records.iter().map(|record| record.manifest.run.experiment.clone());
        let of_left_out = left_out.iter().filter_map(|run| Some(run.run.split_once('/')?.0.to_owned()));
        let experiments: Vec<String> = of_record.chain(of_left_out).collect();
        let experiments: Vec<&str> = experiments.iter().map(String::as_str).collect();
        let name = report::compare::name_for(&experiments);
        let path = report::compare::write(&name, &records, &left_out, reports_dir)?;
        report::index::update(reports_dir)?;
        Ok(path)
    }

    /// Skipped runs do not count: the others decide.
    fn exit(&self, interrupted: bool, agreements: &[Agreement]) -> Exit {
        let any = |wanted: &[Ending]| self.done.iter().any(|run| wanted.contains(&Ending::of(&run.manifest)));
        if interrupted {
            Exit::Interrupted
        } else if self.broken
            || any(&[Ending::Failed, Ending::Diverged])
            || agreements.iter().any(|agreement| !agreement.holds())
        {
            Exit::RunFailed
        } else if any(&[Ending::Interrupted]) {
            Exit::Interrupted
        } else if self.done.iter().any(|run| run.reported.is_err()) {
            Exit::Internal
        } else if any(&[Ending::TargetMissed]) {
            Exit::TargetMissed
        } else {
            Exit::Success
        }
    }
}

/// A run that came to its end.
struct Done {
    index: usize,
    manifest: Manifest,
    origin: Origin,
    /// The record and its report; the error has been printed.
    reported: Result<(RunRecord, PathBuf), String>,
}

impl Done {
    fn report(index: usize, dir: &RunDir, manifest: Manifest, origin: Origin) -> Self {
        let reported = read(dir.path())
            .map_err(Error::from)
            .and_then(|mut record| {
                // Where it could not be written, as on a full disk, this one knows more.
                record.manifest = manifest.clone();
                let path = report::run::write(&record)?;
                Ok((record, path))
            })
            .map_err(|error| {
                error.print();
                error.to_string()
            });
        Self { index, manifest, origin, reported }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.manifest.run.experiment, self.manifest.run.name)
    }

    /// Name and outcome.
    fn sentence(&self) -> String {
        let sentence = match &self.reported {
            Ok((record, _)) => format!("{}: {}", self.name(), report::ending::sentence(record)),
            Err(error) => format!("{}: not reported: {error}", self.name()),
        };
        match (self.origin, self.manifest.status) {
            (Origin::Now, _) => sentence,
            (Origin::Earlier, Status::Failed) => {
                format!("{sentence} (kept from an earlier call; --retry tries it again)")
            }
            (Origin::Earlier, _) => format!("{sentence} (kept from an earlier call; --again trains it anew)"),
        }
    }
}

/// `experiment/run`, as the folders are called.
pub fn name_of(dir: &RunDir) -> String {
    let experiment = dir.path().parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", experiment.display(), dir.name())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_a_number_or_auto() {
        assert_eq!("auto".parse(), Ok(Jobs::Auto));
        assert_eq!("3".parse(), Ok(Jobs::Number(3)));
        for wrong in ["0", "-1", "many", "", "1.5", "99999999999999999999"] {
            assert!(wrong.parse::<Jobs>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn automatic_jobs_follow_the_cores_where_nothing_is_known_of_memory() {
        assert_eq!(automatic(&[], 8, 0, None), 8);
        assert_eq!(automatic(&[], 8, 4, Some(1)), 8);
    }
}

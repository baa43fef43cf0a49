//! What commands that train have in common: processes for runs, a report for each, the comparison, the summary, the exit code.

mod finale;
mod work;

use std::path::{Path, PathBuf};
use std::time::Instant;

use super::args::Folders;
use super::reporter::{self, Compare, Compared, Ended, PageOf, Reported};
use super::signals;
use super::together::Together;
use crate::engine::cost::Cost;
use crate::error::{Error, Exit};
use crate::facts::Status;
use crate::launcher::again;
use crate::launcher::local::{self, Job, Watcher};
use crate::machine;
use crate::report::compare::{self, LeftOut};
use crate::report::ending::Ending;
use crate::sinks::progress::board::{Board, Fate};
use crate::sinks::progress::{Place, Screen};
use crate::store::manifest::Manifest;
use crate::store::{RunDir, StoreError};
use crate::terminal;
use crate::train::StopFlag;
use crate::units;

pub use work::WorkArgs;
use work::short_together;

/// A run of the sweep.
pub enum Item {
    /// It needs a process.
    Train(RunDir),
    /// It has an end already that stands.
    Done(RunDir, Box<Manifest>, Origin),
    /// It is not trained now, and not done: another process has it, or this machine lacks something.
    LeftOut(LeftOut),
    /// Its directory cannot be used; this has been printed.
    Broken(LeftOut),
}

/// When a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    Now,
    /// In an earlier call of the program.
    Earlier,
}

/// Trains what needs it, reports every run, compares all that belong together, and prints how it went.
pub fn train(
    items: Vec<Item>,
    costs: &[&Cost],
    together: Together,
    work: &WorkArgs,
    folders: &Folders,
    screen: &Screen,
    stop: StopFlag,
) -> Result<Exit, Error> {
    let count = items.len();
    let started = Instant::now();
    let mut sweep = Sweep { screen: screen.clone(), count, ..Sweep::default() };
    let mut to_train = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Item::Train(dir) => to_train.push((index, dir)),
            Item::Done(dir, manifest, origin) => sweep.add(index, &dir, *manifest, origin),
            Item::LeftOut(run) => {
                (sweep.unfinished, sweep.resumable) = (true, true);
                sweep.left_out.push(run);
            }
            Item::Broken(run) => {
                sweep.broken = true;
                sweep.left_out.push(run);
            }
        }
    }
    let terms = work.terms(to_train.len(), costs);
    if let Some(warning) = short_together(costs, terms.jobs, machine::free_memory_bytes()) {
        screen.note(&format!("warning: {warning}"));
    }
    sweep.board = finale::board(screen, &to_train, count, terms.jobs);
    let job = |(index, dir)| {
        let (screen, board) = (screen.clone(), sweep.board.clone());
        let sink = move || match &board {
            Some(board) => board.sink(index),
            None => screen.sink(Place { index: index + 1, count }),
        };
        Job { index, dir, listeners: Box::new(move || sink().into_iter().collect()) }
    };
    let jobs = to_train.into_iter().map(job).collect();
    local::work(jobs, terms, &stop, &mut sweep);
    if let Some(board) = &sweep.board {
        board.close();
    }
    sweep.done.sort_by_key(|run| run.index);

    // Written before anything is printed, so that it is there whatever becomes of the terminal.
    let name = work.name.clone().unwrap_or_else(|| together.name());
    let there = Some(compare::path(&name, &folders.reports_dir)).filter(|path| path.is_file());
    // Where nothing was trained there is nothing new to say.
    let as_it_was = there.filter(|_| sweep.is_all_skipped());
    let again = together.again(work.name.as_deref());
    let Together { others, older, left_out, .. } = together;
    let any = !sweep.done.is_empty() || !others.is_empty();
    let wanted = any && count + others.len() > 1 && as_it_was.is_none();
    let reports_dir = folders.reports_dir.clone();
    let apart = finale::apart(&sweep.done, &older);
    let page = wanted.then_some(PageOf { name, again, reports_dir, older });
    let compared = sweep.compare(others, left_out, page);
    terminal::out(sweep.summary(started.elapsed().as_secs_f64(), compared.as_ref().ok()));
    let page = compared.as_ref().map(|compared| compared.page.as_ref());
    match page {
        Ok(None) => {
            if let Some(path) = as_it_was {
                terminal::out(format_args!("comparison: {}, as it was", path.display()));
            }
        }
        Ok(Some(Ok(path))) => {
            terminal::out(format_args!("comparison: {}", path.display()));
            if let Some(apart) = apart {
                terminal::out(apart);
            }
        }
        Ok(Some(Err(error))) | Err(error) => terminal::err(format_args!("error: {error}")),
    }
    Ok(sweep.exit(&stop, &compared))
}

/// What has become of the runs so far.
#[derive(Default)]
struct Sweep {
    screen: Screen,
    /// Where several runs are shown while they train.
    board: Option<Board>,
    count: usize,
    done: Vec<Done>,
    left_out: Vec<LeftOut>,
    /// A run's directory cannot be used, and the run was not started.
    broken: bool,
    /// A run's record was gone at its end.
    lost: bool,
    /// A run is not done, and this command could do nothing about it.
    unfinished: bool,
    /// Another command can go on with a run that this one left out.
    resumable: bool,
}

impl Watcher for Sweep {
    fn ended(&mut self, index: usize, dir: RunDir, manifest: Result<Manifest, StoreError>) {
        match manifest {
            Ok(manifest) => self.add(index, &dir, manifest, Origin::Now),
            Err(error) => {
                terminal::err(format_args!("error: {error}"));
                self.lost = true;
                if let Some(board) = &self.board {
                    board.ended(index, Fate::Failed, "");
                }
                self.left_out.push(LeftOut { run: name_of(&dir), reason: error.to_string() });
            }
        }
    }

    fn left_out(&mut self, index: usize, dir: RunDir, reason: &str) {
        if let Some(board) = &self.board {
            board.ended(index, Fate::Stopped, "");
        }
        self.resumable = true;
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
        if let Some(board) = self.board.as_ref().filter(|_| origin == Origin::Now) {
            board.ended(index, finale::fate(&run.manifest), &run.sentence());
        } else if silent && origin == Origin::Now {
            self.screen.note(&format!("[{}/{}] {}", index + 1, self.count, run.sentence()));
        }
        self.done.push(run);
    }

    /// Of the runs outcomes and paths of reports, of all of them how many, which settings were the best, and the answer.
    fn summary(&self, elapsed_secs: f64, compared: Option<&Compared>) -> String {
        let mut lines = finale::runs(&self.done, &self.left_out);
        if self.count > 1 {
            lines.push(self.counts(elapsed_secs));
        }
        let unfinished = |run: &Done| again::is_unfinished(&run.manifest, None);
        if self.resumable || self.done.iter().any(unfinished) {
            lines.push("`runner resume` continues what was interrupted or not started".to_owned());
        }
        lines.extend(
            compared
                .into_iter()
                .flat_map(|compared| &compared.verdicts)
                .map(|verdict| verdict.sentence.clone())
                .filter(|verdict| {
                    !compared
                        .is_some_and(|compared| compared.answer.iter().any(|text| text.contains(verdict)))
                }),
        );
        lines.extend(compared.into_iter().flat_map(finale::answer));
        lines.join("\n")
    }

    /// `3 runs in 12 s, 1 kept as it was, 2 skipped, 1 left out`.
    fn counts(&self, elapsed_secs: f64) -> String {
        let is_skipped = |run: &&Done| run.manifest.status == Status::Skipped;
        let skipped = self.done.iter().filter(is_skipped).count();
        let others = || self.done.iter().filter(|run| !is_skipped(run));
        let trained = others().filter(|run| run.origin == Origin::Now).count();
        let kept = others().count() - trained;
        let mut counts =
            vec![format!("{} in {}", units::counted(trained as u64, "run"), units::duration(elapsed_secs))];
        match kept {
            0 => {}
            // Nobody has waited for anything.
            _ if trained == 0 => {
                let failed = others().filter(|run| run.manifest.status == Status::Failed).count();
                counts = vec![match failed {
                    0 => format!("{kept} skipped, done before"),
                    _ if failed == kept => format!("{kept} skipped, failed before"),
                    _ => format!("{kept} skipped: {} done before, {failed} failed before", kept - failed),
                }];
            }
            1 => counts.push("1 kept as it was".to_owned()),
            _ => counts.push(format!("{kept} kept as they were")),
        }
        counts.extend(finale::missed(&self.done));
        if skipped > 0 {
            let where_ = if kept > 0 && trained == 0 { " here" } else { "" };
            counts.push(format!("{skipped} skipped{where_}"));
        }
        if !self.left_out.is_empty() {
            counts.push(format!("{} left out", self.left_out.len()));
        }
        counts.join(", ")
    }

    /// Whether no run was trained: all have their end from before, or none can be trained here.
    fn is_all_skipped(&self) -> bool {
        let skipped = |run: &Done| run.origin == Origin::Earlier || run.manifest.status == Status::Skipped;
        self.left_out.is_empty() && !self.done.is_empty() && self.done.iter().all(skipped)
    }

    /// Writes the comparison, if it has a place, and says whether runs whose losses should be the same have the same.
    fn compare(
        &self,
        others: Vec<PathBuf>,
        mut left_out: Vec<LeftOut>,
        page: Option<PageOf>,
    ) -> Result<Compared, String> {
        let ended: Vec<Ended> = self.done.iter().map(|run| Ended::new(&run.dir, &run.manifest)).collect();
        if page.is_none() && self.done.iter().all(|run| run.manifest.run.same_losses_within.is_none()) {
            return Ok(Compared::default());
        }
        left_out.extend(self.left_out.iter().cloned());
        reporter::compare(Compare { ended, others, left_out, page })
    }

    /// Skipped runs do not count: the others decide.
    fn exit(&self, stop: &StopFlag, compared: &Result<Compared, String>) -> Exit {
        let any = |wanted: &[Ending]| self.done.iter().any(|run| wanted.contains(&Ending::of(&run.manifest)));
        if stop.is_requested() {
            signals::exit_of_stopped(stop)
        } else if self.lost
            || any(&[Ending::Failed, Ending::Diverged])
            || compared.iter().flat_map(|compared| &compared.verdicts).any(|verdict| !verdict.holds)
        {
            Exit::RunFailed
        } else if self.broken || self.done.iter().any(|run| run.reported.report.is_err() || run.has_lost()) {
            Exit::Internal
        } else if self.unfinished || any(&[Ending::Interrupted, Ending::Queued, Ending::Running]) {
            Exit::Unfinished
        } else if any(&[Ending::TargetMissed]) {
            Exit::TargetMissed
        } else if compared.as_ref().map_or(true, |compared| matches!(compared.page, Some(Err(_)))) {
            Exit::Internal
        } else {
            Exit::Success
        }
    }
}

/// A run that came to its end.
struct Done {
    index: usize,
    dir: PathBuf,
    manifest: Manifest,
    origin: Origin,
    reported: Reported,
}

impl Done {
    fn report(index: usize, dir: &RunDir, manifest: Manifest, origin: Origin) -> Self {
        let reported = reporter::report(Ended::new(dir.path(), &manifest));
        if let Err(error) = &reported.report {
            terminal::err(format_args!("error: {}: {error}", name_of(dir)));
        }
        Self { index, dir: dir.path().to_owned(), manifest, origin, reported }
    }

    fn name(&self) -> String {
        format!("{}/{}", self.manifest.run.experiment, self.manifest.run.name)
    }

    /// Whether its record was damaged, and this call went on with what is left of it.
    fn has_lost(&self) -> bool {
        self.origin == Origin::Now && !self.manifest.lost.is_empty()
    }

    /// Name and outcome.
    fn sentence(&self) -> String {
        let sentence = format!("{}: {}", self.name(), self.reported.sentence);
        match (self.origin, self.manifest.status) {
            (Origin::Now, _) => sentence,
            (Origin::Earlier, Status::Failed) => {
                format!("{sentence} (kept from an earlier call; --retry trains it again)")
            }
            (Origin::Earlier, _) => format!("{sentence} (kept from an earlier call; --again retrains it)"),
        }
    }
}

/// A run that is not trained now.
pub fn left_out(dir: &RunDir, reason: String) -> Item {
    Item::LeftOut(LeftOut { run: name_of(dir), reason })
}

/// A run whose directory cannot be used; says why.
pub fn broken(run: String, error: impl std::fmt::Display) -> Item {
    let reason = error.to_string();
    terminal::err(format_args!("error: {run}: {reason}"));
    Item::Broken(LeftOut { run, reason })
}

/// `experiment/run`, as the folders are called.
pub fn name_of(dir: &RunDir) -> String {
    let experiment = dir.path().parent().and_then(Path::file_name).unwrap_or_default();
    format!("{}/{}", experiment.display(), dir.name())
}

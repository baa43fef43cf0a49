//! Runs on this machine: a number of processes at a time, until all are done.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::child::Child;
use super::death::{Death, last_lines, oom_kills};
use super::retry::{self, Tries};
use crate::config;
use crate::config::experiment::OnFailurePlan;
use crate::facts::{Status, StopReason};
use crate::files::disk;
use crate::sinks::Sink;
use crate::store::manifest::Manifest;
use crate::store::{RunDir, StoreError};
use crate::train::StopFlag;
use crate::units;

/// A run that waits for its process.
pub struct Job {
    /// What the caller knows it by.
    pub index: usize,
    pub dir: RunDir,
    pub listeners: Box<dyn Fn() -> Vec<Box<dyn Sink>>>,
}

/// How jobs are worked off.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// Processes at a time.
    pub jobs: usize,
    /// Threads of each, where its configuration leaves that open; `None`: all cores.
    pub threads: Option<usize>,
    /// After so many failed runs no other is started; `None`: all are, whatever happens.
    pub max_fail: Option<usize>,
}

/// What is said while jobs are worked off.
pub trait Watcher {
    /// The run came to an end that stands, or could not be recorded.
    fn ended(&mut self, index: usize, dir: RunDir, manifest: Result<Manifest, StoreError>);
    /// The run was not started.
    fn left_out(&mut self, index: usize, dir: RunDir, reason: &str);
    /// Something a person may want to know at once.
    fn note(&mut self, line: &str);
}

/// The exit code of `runner exec --supervised` when all GPUs are taken, or the run itself. Not the one that a stopped run ends with.
pub const WAITS: u8 = 79;

/// How often processes are looked after.
const TICK: Duration = Duration::from_millis(10);
/// How long a run waits that found all GPUs taken.
const BUSY_WAIT: Duration = Duration::from_secs(2);

/// Trains all jobs, `terms.jobs` at a time. A run that fails is tried again as its configuration says. When `stop` is requested
/// all processes are asked to save and stop, and no other is started.
pub fn work(jobs: Vec<Job>, terms: Terms, stop: &StopFlag, watcher: &mut dyn Watcher) {
    let mut queue: VecDeque<Waiting> = jobs.into_iter().map(Waiting::new).collect();
    let mut running: Vec<Running> = Vec::new();
    let mut failed = 0;
    while !queue.is_empty() || !running.is_empty() {
        let enough = terms.max_fail.is_some_and(|most| failed >= most);
        if stop.is_requested() || enough {
            let reason = if enough {
                "not started: enough runs had failed"
            } else {
                "not started: the sweep was interrupted"
            };
            for waiting in queue.drain(..) {
                waiting.give_up(reason, watcher);
            }
        }
        if stop.is_requested() {
            running.iter_mut().for_each(|run| run.child.ask_to_stop());
        }
        while running.len() < terms.jobs.max(1)
            && let Some(waiting) = next_due(&mut queue, &running, failed, terms.max_fail)
        {
            match waiting.start(terms) {
                Ok(run) => running.push(run),
                Err(End { job, manifest }) => {
                    failed += 1;
                    watcher.ended(job.index, job.dir, *manifest);
                }
            }
        }
        let mut index = 0;
        while index < running.len() {
            running[index].end_if_silent();
            let Some(status) = running[index].gone() else {
                index += 1;
                continue;
            };
            match running.swap_remove(index).conclude(status, stop, watcher) {
                Next::Again(waiting) => queue.push_back(waiting),
                Next::Over(End { job, manifest }) => {
                    let sound = |status| !matches!(status, Status::Failed | Status::Diverged);
                    failed +=
                        usize::from(!manifest.as_ref().as_ref().is_ok_and(|manifest| sound(manifest.status)));
                    watcher.ended(job.index, job.dir, *manifest);
                }
            }
        }
        std::thread::sleep(TICK);
    }
}

struct Waiting {
    job: Job,
    tries: Tries,
    not_before: Instant,
    /// Its last attempt in this call failed, and it is tried again.
    failed: bool,
    /// A person was told that it waits for others.
    told: bool,
}

/// The first in the queue whose time has come. If enough runs will have failed should those fail for good that are tried again, one of
/// those.
fn next_due(
    queue: &mut VecDeque<Waiting>,
    running: &[Running],
    failed: usize,
    max_fail: Option<usize>,
) -> Option<Waiting> {
    let under_way = running.iter().map(|run| &run.waiting);
    let again = queue.iter().chain(under_way).filter(|waiting| waiting.failed).count();
    let only_again = max_fail.is_some_and(|most| failed + again >= most);
    let now = Instant::now();
    let place =
        queue.iter().position(|waiting| waiting.not_before <= now && (waiting.failed || !only_again))?;
    queue.remove(place)
}

impl Waiting {
    fn new(job: Job) -> Self {
        let tries = job.dir.read_manifest().map(|manifest| Tries::of(&manifest)).unwrap_or_default();
        Self { job, tries, not_before: Instant::now(), failed: false, told: false }
    }

    fn start(self, terms: Terms) -> Result<Running, End> {
        // The run says itself what is wrong with either file.
        let manifest = self.job.dir.read_manifest().ok();
        let attempts = manifest.as_ref().map_or(0, |manifest| manifest.attempts.len());
        let policy = manifest.and_then(|manifest| {
            config::read_frozen(&self.job.dir.config(), manifest.config_sha256.as_deref()).ok()
        });
        let (policy, batch_size) = policy.map(|plan| (plan.on_failure, plan.train.batch_size)).unzip();
        match Child::start(&self.job.dir, terms.threads, terms.jobs.max(1), (self.job.listeners)()) {
            Ok(child) => Ok(Running {
                waiting: self,
                child,
                attempts,
                policy,
                batch_size: batch_size.unwrap_or(1),
                oom_kills: oom_kills(),
                silent: false,
            }),
            Err(error) => {
                let message = format!("its process could not be started: {error}");
                let manifest = record_end(&self.job.dir, StopReason::Error, message);
                Err(End { job: self.job, manifest: Box::new(manifest) })
            }
        }
    }

    /// A run that failed before and waits for another attempt has an end already.
    fn give_up(self, reason: &str, watcher: &mut dyn Watcher) {
        match self.job.dir.read_manifest_now() {
            Ok(manifest) if manifest.status != Status::Queued => {
                watcher.ended(self.job.index, self.job.dir, Ok(manifest));
            }
            _ => watcher.left_out(self.job.index, self.job.dir, reason),
        }
    }
}

struct Running {
    waiting: Waiting,
    child: Child,
    /// How many attempts the run had before this one.
    attempts: usize,
    /// Of its configuration, and `None` where that cannot be read.
    policy: Option<OnFailurePlan>,
    batch_size: usize,
    /// When it was started.
    oom_kills: Option<u64>,
    /// It was ended because nothing was heard of it.
    silent: bool,
}

/// A run that came to an end that stands.
struct End {
    job: Job,
    manifest: Box<Result<Manifest, StoreError>>,
}

enum Next {
    Again(Waiting),
    Over(End),
}

impl Running {
    fn end_if_silent(&mut self) {
        let timeout = self.policy.as_ref().and_then(|policy| policy.timeout.secs);
        if let Some(timeout) = timeout
            && !self.silent
            && self.child.silent_for().as_secs_f64() > timeout
        {
            self.silent = true;
            self.child.kill();
        }
    }

    fn gone(&mut self) -> Option<Result<ExitStatus, String>> {
        self.child.try_wait().map_err(|error| error.to_string()).transpose()
    }

    /// What the end of the process means.
    fn conclude(
        self,
        status: Result<ExitStatus, String>,
        stop: &StopFlag,
        watcher: &mut dyn Watcher,
    ) -> Next {
        let dir = self.waiting.job.dir.clone();
        remove_if_empty(&dir);
        let manifest = match &status {
            Ok(status) if status.code() == Some(i32::from(WAITS)) && !stop.is_requested() => {
                return Next::Again(self.wait_for_others(watcher));
            }
            Ok(status) => self.manifest_after(*status),
            Err(error) => record_end(&dir, StopReason::Error, format!("its process was lost: {error}")),
        };
        let over = |running: Self, manifest| {
            Next::Over(End { job: running.waiting.job, manifest: Box::new(manifest) })
        };
        let mut manifest = match manifest {
            Ok(manifest) if manifest.status == Status::Failed && !stop.is_requested() => manifest,
            other => return over(self, other),
        };
        let mut waiting = self.waiting;
        let class = manifest.stop_reason.unwrap_or(StopReason::Error);
        let again = self.policy.and_then(|policy| waiting.tries.after(class, &policy, self.batch_size));
        let Some(again) = again else {
            return Next::Over(End { job: waiting.job, manifest: Box::new(Ok(manifest)) });
        };
        let name = format!("{}/{}", manifest.run.experiment, manifest.run.name);
        let why = manifest.message.clone().unwrap_or_default();
        let mut how = match again.wait.as_secs_f64() {
            0.0 => "it will be retried now".to_owned(),
            secs => format!("it will be retried in {}", units::duration(secs)),
        };
        if again.halve_batch {
            match retry::halve_batch(&dir, &mut manifest) {
                Ok(changes) => {
                    let changes: Vec<String> = changes
                        .iter()
                        .map(|change| format!("{} = {} instead of {}", change.key, change.now, change.before))
                        .collect();
                    how = format!("{how} with {}", changes.join(", "));
                }
                Err(error) => {
                    watcher.note(&format!("{name}: its batch could not be halved: {error}"));
                    return Next::Over(End { job: waiting.job, manifest: Box::new(Ok(manifest)) });
                }
            }
        }
        watcher.note(&format!("{name} failed ({}): {why}; {how}", class.key()));
        manifest.retry_at = jiff::Timestamp::now().checked_add(again.wait).ok();
        // Whoever goes on with the run after this process sees that it is not over. On a full disk its policy says so too.
        let _ = write_end(&dir, manifest);
        waiting.not_before = Instant::now() + again.wait;
        waiting.failed = true;
        Next::Again(waiting)
    }

    /// Others have all GPUs, or train this very run.
    fn wait_for_others(self, watcher: &mut dyn Watcher) -> Waiting {
        let mut waiting = self.waiting;
        if !waiting.told {
            waiting.told = true;
            let why = last_lines(&waiting.job.dir.output()).pop().unwrap_or_default();
            watcher.note(&format!("{} waits: {why}", waiting.job.dir.name()));
        }
        // It is no part of the run's own output.
        let _ = std::fs::remove_file(waiting.job.dir.output());
        waiting.not_before = Instant::now() + BUSY_WAIT;
        waiting
    }

    /// The run's own account of its end, or where it gave none what can be seen from outside.
    fn manifest_after(&self, status: ExitStatus) -> Result<Manifest, StoreError> {
        let dir = &self.waiting.job.dir;
        let mut manifest = dir.read_manifest()?;
        // What stands there may be how an earlier attempt ended, unless nothing was to be done any more.
        let has_begun = manifest.attempts.len() > self.attempts || manifest.is_over();
        if !matches!(manifest.status, Status::Queued | Status::Running) && has_begun {
            return Ok(manifest);
        }
        let last_output = last_lines(&dir.output());
        let killed = |before: u64| oom_kills().is_some_and(|now| now > before);
        let death =
            Death { status, last_output: &last_output, oom_killer: self.oom_kills.is_some_and(killed) };
        let (class, message) = if self.silent {
            let timeout = self.policy.as_ref().and_then(|policy| policy.timeout.secs).unwrap_or_default();
            let message = format!(
                "it made no progress for {} (on_failure.timeout), so it was ended",
                units::duration(timeout)
            );
            (StopReason::Timeout, message)
        } else {
            match death.explain() {
                // It had no room for its own account.
                (StopReason::Error, message) if disk::is_nearly_full(dir.path()) => {
                    (StopReason::DiskFull, message)
                }
                explained => explained,
            }
        };
        manifest.last_output = last_output;
        manifest.end(Status::Failed, class, message);
        write_end(dir, manifest)
    }
}

/// Most runs print nothing.
fn remove_if_empty(dir: &RunDir) {
    if dir.output().metadata().is_ok_and(|metadata| metadata.len() == 0) {
        let _ = std::fs::remove_file(dir.output());
    }
}

/// Writes how a run ended whose process cannot.
fn record_end(dir: &RunDir, class: StopReason, message: String) -> Result<Manifest, StoreError> {
    let mut manifest = dir.read_manifest()?;
    manifest.end(Status::Failed, class, message);
    write_end(dir, manifest)
}

/// The manifest counts even where it cannot be written, as on a full disk.
fn write_end(dir: &RunDir, manifest: Manifest) -> Result<Manifest, StoreError> {
    let written = dir.lock().and_then(|_lock| dir.write_manifest(&manifest));
    match written {
        Err(error) if !error.is_disk_full() => Err(error),
        _ => Ok(manifest),
    }
}

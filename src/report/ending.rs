//! How a run ended, in a word and in a sentence. The end of `runner`'s output, `runner ls` and the reports say the same.

use crate::facts::{Status, StopReason};
use crate::metric::figures::figure;
use crate::metric::{Statistic, metric};
use crate::store::RunRecord;
use crate::store::manifest::{Manifest, TargetInfo};
use crate::units;

use super::summary::Summary;

/// The outcome of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    TargetReached,
    /// Came to its end without reaching its target.
    TargetMissed,
    /// Came to its end and had no target.
    Finished,
    Interrupted,
    /// Made, and not started yet.
    Queued,
    Running,
    Diverged,
    Failed,
    Skipped,
}

impl Ending {
    /// Every one there is.
    pub const ALL: [Ending; 9] = [
        Ending::TargetReached,
        Ending::TargetMissed,
        Ending::Finished,
        Ending::Interrupted,
        Ending::Queued,
        Ending::Running,
        Ending::Diverged,
        Ending::Failed,
        Ending::Skipped,
    ];

    pub fn of(manifest: &Manifest) -> Ending {
        let target = manifest.target.as_ref();
        match manifest.status {
            Status::Finished if target.is_some_and(|target| target.reached_at_step.is_some()) => {
                Ending::TargetReached
            }
            Status::Finished if target.is_some() => Ending::TargetMissed,
            Status::Finished => Ending::Finished,
            Status::Interrupted => Ending::Interrupted,
            Status::Queued => Ending::Queued,
            Status::Running => Ending::Running,
            Status::Diverged => Ending::Diverged,
            Status::Failed => Ending::Failed,
            Status::Skipped => Ending::Skipped,
        }
    }

    /// `target reached`, `finished`, `diverged`, ...
    pub fn word(self) -> &'static str {
        match self {
            Ending::TargetReached => "target reached",
            Ending::TargetMissed => "target missed",
            Ending::Finished => "finished",
            Ending::Interrupted => "interrupted",
            Ending::Queued => "waiting",
            Ending::Running => "running",
            Ending::Diverged => "diverged",
            Ending::Failed => "failed",
            Ending::Skipped => "skipped",
        }
    }

    /// Whether the run trained to a planned end, so that its last numbers mean what they say.
    pub fn is_planned(self) -> bool {
        matches!(self, Ending::TargetReached | Ending::TargetMissed | Ending::Finished)
    }
}

/// The outcome in a few words, with the class of a failure: `target reached`, `failed: out_of_memory`,
/// `interrupted (killed)`.
pub fn outcome(manifest: &Manifest) -> String {
    let ending = Ending::of(manifest);
    match (ending, manifest.stop_reason) {
        (Ending::Failed, Some(class)) if manifest.waits_for_retry() => {
            format!("{}: {}, will be retried", ending.word(), class.key())
        }
        (Ending::Failed, Some(class)) => format!("{}: {}", ending.word(), class.key()),
        (Ending::Interrupted, Some(StopReason::Killed)) => format!("{} (killed)", ending.word()),
        _ => ending.word().to_owned(),
    }
}

/// What the run, or who saw it end, said of its end.
pub fn message(manifest: &Manifest) -> Option<&str> {
    manifest.message.as_deref().map(str::trim).filter(|message| !message.is_empty())
}

/// The outcome in one sentence of plain text:
/// `Train loss reached 0.0972 < 0.0999999 after 7,827 steps, 31 min.`
pub fn sentence(record: &RunRecord) -> String {
    let manifest = &record.manifest;
    let summary = Summary::of(record);
    let text = match Ending::of(manifest) {
        Ending::TargetReached => reached(manifest, &summary),
        Ending::TargetMissed => missed(manifest, &summary),
        Ending::Finished => format!("{}{}", end(manifest, &summary), with_loss(&summary)),
        Ending::Queued => match summary.steps {
            None | Some(0) => "Waiting to be started".to_owned(),
            Some(_) => format!("Waiting to resume after {}", progress(manifest, &summary)),
        },
        Ending::Interrupted => {
            let killed = manifest.stop_reason == Some(StopReason::Killed);
            let how = if killed { "Killed, or its machine went down," } else { "Interrupted" };
            match summary.steps {
                None | Some(0) => format!("{how} before its first step"),
                Some(_) => format!("{how} after {}{}", progress(manifest, &summary), with_loss(&summary)),
            }
        }
        Ending::Running => match summary.steps {
            None | Some(0) => "Running: no step is recorded yet".to_owned(),
            Some(_) => format!("Running: {} so far{}", progress(manifest, &summary), with_loss(&summary)),
        },
        Ending::Diverged => diverged(record, &summary),
        Ending::Failed => failed(manifest, &summary),
        Ending::Skipped => format!("Skipped: {}", why(manifest)),
    };
    if text.ends_with(['.', '!', '?']) { text } else { text + "." }
}

/// The first line of the message.
fn why(manifest: &Manifest) -> &str {
    message(manifest).map_or("no reason is recorded", first_line)
}

/// A message in short: some go on with the place of the error, or with further ones.
pub fn first_line(message: &str) -> &str {
    let line = message.trim().lines().next().unwrap_or_default();
    line.strip_prefix("error: ").unwrap_or(line)
}

fn failed(manifest: &Manifest, summary: &Summary) -> String {
    let when = match summary.steps {
        None | Some(0) => "before its first step".to_owned(),
        Some(steps) => format!("after {}", units::steps(steps)),
    };
    // `error` is the class of what has no other.
    let class = manifest.stop_reason.filter(|class| *class != StopReason::Error);
    let class = class.map_or_else(String::new, |class| format!(" ({})", class.key().replace('_', " ")));
    let text = format!("Failed {when}{class}: {}", why(manifest));
    if manifest.waits_for_retry() {
        return format!("{}; it will be retried", text.trim_end_matches('.'));
    }
    text
}

fn reached(manifest: &Manifest, summary: &Summary) -> String {
    let Some((target, reached)) = manifest.target.as_ref().zip(summary.target) else {
        return "Target reached".to_owned();
    };
    let value = reached
        .value
        .map_or_else(|| "a value".to_owned(), |value| units::loss_below(value, target.threshold));
    let secs = reached.secs.map_or_else(String::new, |secs| format!(", {}", units::duration(secs)));
    let name = capitalised(&metric_name(target));
    format!(
        "{name} reached {value} < {} after {}{secs}",
        units::number(target.threshold),
        units::steps(reached.step)
    )
}

fn missed(manifest: &Manifest, summary: &Summary) -> String {
    let Some(target) = &manifest.target else { return end(manifest, summary) };
    let of_metric = |statistic| (figure(&target.metric, statistic)?.get)(&summary.figures);
    let (last, best) = (of_metric(Statistic::Last), of_metric(Statistic::Best));
    let best = best.filter(|best| last.is_none_or(|last| *best < last));
    let best = best.map_or_else(String::new, |best| format!(" (best {})", units::loss(best)));
    let last =
        last.map_or_else(|| " never measured".to_owned(), |last| format!(" {}{best}", units::loss(last)));
    let end = match manifest.stop_reason {
        Some(StopReason::MaxTime) => end(manifest, summary).replacen('S', "s", 1),
        _ => end(manifest, summary).replacen("Finished ", "", 1),
    };
    format!(
        "Missed the target: {}{last}, wanted < {}, {end}",
        metric_name(target),
        units::number(target.threshold),
    )
}

/// How it came to a planned end: `Finished after 10,000 steps, 31 min`.
fn end(manifest: &Manifest, summary: &Summary) -> String {
    if manifest.stop_reason == Some(StopReason::MaxTime) {
        format!("Stopped at its time limit after {}", progress(manifest, summary))
    } else {
        let steps = summary.steps.map_or_else(|| "an unknown number of steps".to_owned(), units::steps);
        format!("Finished after {steps}{}", time(summary))
    }
}

fn diverged(record: &RunRecord, summary: &Summary) -> String {
    // The last row is the one that ended the run.
    let mut earlier = record.rows.iter().rev().filter(|row| Some(row.step) != summary.steps);
    let last_sound = earlier.find(|row| row.train_loss.is_some_and(f64::is_finite));
    let step = summary.steps.map_or_else(String::new, |step| format!(" at step {}", units::count(step)));
    let last = match last_sound.and_then(|row| Some((row.step, row.train_loss?))) {
        Some((step, loss)) => {
            format!("; the last finite train loss was {} at step {}", units::loss(loss), units::count(step))
        }
        None => "; no step before had a loss".to_owned(),
    };
    let why = message(&record.manifest).unwrap_or("the loss was no longer a finite number");
    format!("Diverged{step}: {why}{last}")
}

/// `5,000 of 10,000 steps, 12 min`.
fn progress(manifest: &Manifest, summary: &Summary) -> String {
    let done = summary.steps.map_or_else(|| units::MISSING.to_owned(), units::count);
    format!("{done} of {}{}", units::steps(manifest.run.max_steps), time(summary))
}

fn time(summary: &Summary) -> String {
    summary.elapsed_secs.map_or_else(String::new, |secs| format!(", {}", units::duration(secs)))
}

fn with_loss(summary: &Summary) -> String {
    let train = summary.final_train_loss.map(|loss| format!("train loss {}", units::loss(loss)));
    let val = summary.final_val_loss.map(|loss| format!("validation loss {}", units::loss(loss)));
    let both: Vec<String> = train.into_iter().chain(val).collect();
    if both.is_empty() { String::new() } else { format!(", with {}", both.join(" and ")) }
}

fn metric_name(target: &TargetInfo) -> String {
    metric(&target.metric).map_or_else(|| target.metric.clone(), |metric| metric.label.to_lowercase())
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

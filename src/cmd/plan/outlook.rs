//! What would become of each planned run, how much work there is, and how long it may take.

use std::path::Path;

use super::super::preflight::Planned;
use crate::facts::{EstimateInfo, KeyChange, Status};
use crate::launcher::Launcher;
use crate::launcher::again::{self, Again, Decision};
use crate::launcher::estimate::Past;
use crate::report::ending::outcome;
use crate::store::manifest::ChangedSince;
use crate::train::checkpoint::newest_step;
use crate::units;

/// A planned run and what would become of it.
pub struct Prospect<'a> {
    pub run: &'a Planned,
    pub state: State,
    /// Of all its steps.
    pub estimate: Option<EstimateInfo>,
}

pub enum State {
    /// Trained in a new directory; with what changed, where there is one of its name.
    New(Option<ChangedSince>),
    /// Gone on with, from this step.
    Resumes(u64),
    /// It has its end already, in these words.
    Done(String),
    /// It failed earlier, and is not tried again without `--retry`.
    Failed(String),
    /// This machine lacks something.
    Skipped(String),
    /// Another process trains it.
    Busy(String),
    /// There is something of its name that cannot be used.
    Unusable(String),
}

impl State {
    /// In one word, also for programs.
    pub fn word(&self) -> &'static str {
        match self {
            Self::New(_) => "new",
            Self::Resumes(_) => "resumes",
            Self::Done(_) => "done",
            Self::Failed(_) => "failed",
            Self::Skipped(_) => "skipped",
            Self::Busy(_) => "running",
            Self::Unusable(_) => "unusable",
        }
    }

    /// Why, where a person would ask.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::New(_) | Self::Resumes(_) => None,
            Self::Done(why)
            | Self::Failed(why)
            | Self::Skipped(why)
            | Self::Busy(why)
            | Self::Unusable(why) => Some(why),
        }
    }

    pub fn changes(&self) -> &[KeyChange] {
        match self {
            Self::New(Some(changed)) => &changed.keys,
            _ => &[],
        }
    }
}

impl<'a> Prospect<'a> {
    pub fn of(run: &'a Planned, runs_dir: &Path, again: Again, launcher: &Launcher, past: &Past) -> Self {
        let estimate = past.estimate(&run.plan, run.cost.as_ref());
        let state = match launcher.unmet(&run.plan) {
            Some(reason) => State::Skipped(reason),
            None => match again::decide(&run.plan, runs_dir, run.data.as_ref(), again) {
                Decision::New(changed) => State::New(changed),
                Decision::GoOn(dir, _) => State::Resumes(newest_step(&dir).ok().flatten().unwrap_or(0)),
                Decision::Keep(_, manifest) if manifest.status == Status::Failed => {
                    State::Failed(format!("{}; --retry trains it again", outcome(&manifest)))
                }
                Decision::Keep(_, manifest) => State::Done(outcome(&manifest)),
                Decision::Busy(_, writer) => State::Busy(format!("is being trained by {writer}")),
                Decision::Unusable(_, reason) => State::Unusable(reason),
            },
        };
        Self { run, state, estimate }
    }

    /// Steps that this command would train.
    pub fn steps(&self) -> u64 {
        let all = self.run.plan.train.max_steps;
        match self.state {
            State::New(_) => all,
            State::Resumes(from) => all.saturating_sub(from),
            _ => 0,
        }
    }

    pub fn tokens(&self) -> u64 {
        self.steps().saturating_mul(self.run.plan.tokens_per_step())
    }

    /// `None` where nothing is computed.
    pub fn flops(&self) -> Option<f64> {
        Some(self.run.cost.as_ref()?.flops.total() * self.steps() as f64)
    }

    pub fn secs(&self) -> Option<f64> {
        let all = self.run.plan.train.max_steps.max(1) as f64;
        Some(self.estimate.as_ref()?.secs * self.steps() as f64 / all)
    }
}

/// All that would be trained.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Total {
    pub runs: usize,
    pub steps: u64,
    pub tokens: u64,
    pub flops: f64,
    /// `None` where it is not known of every run that is to be trained.
    pub secs: Option<f64>,
    /// What the time was estimated from, each once.
    pub from: Vec<String>,
}

impl Total {
    pub fn of(prospects: &[Prospect]) -> Self {
        let mut total = Total::default();
        let mut secs = Some(0.0);
        for one in prospects.iter().filter(|one| one.steps() > 0) {
            total.runs += 1;
            total.steps = total.steps.saturating_add(one.steps());
            total.tokens = total.tokens.saturating_add(one.tokens());
            total.flops += one.flops().unwrap_or(0.0);
            secs = secs.zip(one.secs()).map(|(all, secs)| all + secs);
            for from in one.estimate.iter().map(|estimate| &estimate.from) {
                if !total.from.contains(from) {
                    total.from.push(from.clone());
                }
            }
        }
        total.secs = secs.filter(|_| total.runs > 0);
        total
    }
}

/// `12 runs, all valid: 4 done, 1 resumes, 7 new`.
pub fn counts(prospects: &[Prospect]) -> String {
    const WORDS: [(&str, &str, &str); 7] = [
        ("new", "new", "new"),
        ("resumes", "resumes", "resume"),
        ("done", "done", "done"),
        ("failed", "failed earlier", "failed earlier"),
        ("running", "running", "running"),
        ("skipped", "skipped here", "skipped here"),
        ("unusable", "cannot be used", "cannot be used"),
    ];
    let counts = WORDS.iter().filter_map(|(word, one, several)| {
        let count = prospects.iter().filter(|prospect| prospect.state.word() == *word).count();
        (count > 0).then(|| format!("{count} {}", if count == 1 { one } else { several }))
    });
    let counts: Vec<String> = counts.collect();
    format!("{}, all valid: {}", units::counted(prospects.len() as u64, "run"), counts.join(", "))
}

/// Why runs are new although there are some of their names: each change once, with how many runs have it.
pub fn changes(prospects: &[Prospect]) -> Vec<String> {
    let mut seen: Vec<(&KeyChange, usize)> = Vec::new();
    let changed: Vec<&Prospect> = prospects.iter().filter(|one| !one.state.changes().is_empty()).collect();
    for change in changed.iter().flat_map(|one| one.state.changes()) {
        match seen.iter_mut().find(|(other, _)| *other == change) {
            Some((_, count)) => *count += 1,
            None => seen.push((change, 1)),
        }
    }
    if changed.is_empty() {
        return Vec::new();
    }
    let is_one = changed.len() == 1;
    let head = format!(
        "{} new because the configuration changed since {} trained:",
        if is_one { "1 run is".to_owned() } else { format!("{} runs are", changed.len()) },
        if is_one { "it was" } else { "they were" }
    );
    let shown = |value: &str| {
        if value.chars().count() > 40 {
            value.chars().take(37).collect::<String>() + "..."
        } else {
            value.to_owned()
        }
    };
    let lines = seen.iter().take(SHOWN).map(|(change, count)| {
        let of = if is_one { String::new() } else { format!("  ({})", units::counted(*count as u64, "run")) };
        format!("  {}: {} -> {}{of}", change.key, shown(&change.before), shown(&change.now))
    });
    let more = seen.len().saturating_sub(SHOWN);
    let more = (more > 0).then(|| format!("  ... and {more} more changes"));
    std::iter::once(head).chain(lines).chain(more).collect()
}

/// Changes that are listed.
const SHOWN: usize = 12;

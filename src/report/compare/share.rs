//! Whether times can be compared: only between runs that had the machine for themselves, or the same share of it.

use std::collections::BTreeSet;

use crate::metric::Unit;

use super::groups::{Comparison, Run};
use super::style::listed;

/// Whether the times of the runs that count compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Times {
    Compare,
    /// Why not, as a sentence.
    Not(String),
}

/// Host, device and threads.
type Machine = (String, String, usize);

impl Times {
    /// Whether values of this unit depend on what else the machine did.
    pub fn are_needed_for(unit: Unit) -> bool {
        matches!(unit, Unit::Secs | Unit::TokensPerSec)
    }

    /// Whether the best of an outcome in `unit` may be named.
    pub fn allow(&self, unit: Unit) -> bool {
        *self == Times::Compare || !Times::are_needed_for(unit)
    }

    pub fn why_not(&self) -> Option<&str> {
        match self {
            Times::Compare => None,
            Times::Not(why) => Some(why),
        }
    }
}

pub fn times(comparison: &Comparison) -> Times {
    let counted: Vec<&Run> = comparison.groups.iter().flat_map(|group| group.counted()).collect();
    if counted.len() < 2 {
        return Times::Compare;
    }
    let machines: BTreeSet<Option<Machine>> = counted.iter().map(|run| machine(run)).collect();
    let shares: Vec<Option<BTreeSet<usize>>> = counted.iter().map(|run| runs_at_once(run)).collect();
    let unknown = shares.iter().filter(|share| share.is_none()).count();
    let known: BTreeSet<&BTreeSet<usize>> = shares.iter().flatten().collect();
    let why = if machines.len() > 1 {
        "they trained on different machines, or with different numbers of threads".to_owned()
    } else if unknown > 0 {
        let who = if unknown == counted.len() {
            "for these runs".to_owned()
        } else {
            format!("for {unknown} of the {} runs", counted.len())
        };
        format!("how many runs shared the machine is not recorded {who}")
    } else if known.len() > 1 {
        let runs: BTreeSet<usize> = known.into_iter().flatten().copied().collect();
        let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        format!("the runs did not have the same share of the machine ({} at a time)", listed(&runs))
    } else {
        return Times::Compare;
    };
    Times::Not(format!("Times are shown and not compared: {why}."))
}

/// Of attempts on several hosts all are named. `None` where no device is recorded.
fn machine(run: &Run) -> Option<Machine> {
    let manifest = &run.record.manifest;
    let device = manifest.device.as_ref()?;
    let hosts: BTreeSet<&str> = manifest.attempts.iter().map(|attempt| attempt.hostname.as_str()).collect();
    Some((hosts.into_iter().collect::<Vec<_>>().join(", "), device.name.clone(), device.threads))
}

/// Runs at a time, several numbers where attempts differed. `None` where it is not recorded, as in runs of before.
fn runs_at_once(run: &Run) -> Option<BTreeSet<usize>> {
    let attempts = &run.record.manifest.attempts;
    let runs: Option<BTreeSet<usize>> = attempts.iter().map(|attempt| attempt.runs_at_once).collect();
    runs.filter(|runs| !runs.is_empty())
}

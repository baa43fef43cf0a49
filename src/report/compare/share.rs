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

/// What of a machine a run had.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Share {
    machine: (String, String, usize),
    /// Runs at a time; several where attempts differed.
    runs: BTreeSet<usize>,
}

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
    let shares: Vec<Option<Share>> = counted.iter().map(|run| share(run)).collect();
    let unknown = shares.iter().filter(|share| share.is_none()).count();
    let known: BTreeSet<&Share> = shares.iter().flatten().collect();
    let machines: BTreeSet<&(String, String, usize)> = known.iter().map(|share| &share.machine).collect();
    if counted.len() < 2 {
        return Times::Compare;
    }
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
        let runs: BTreeSet<usize> = known.iter().flat_map(|share| share.runs.iter().copied()).collect();
        let runs: Vec<String> = runs.iter().map(ToString::to_string).collect();
        format!("the runs did not have the same share of the machine ({} at a time)", listed(&runs))
    } else {
        return Times::Compare;
    };
    Times::Not(format!("Times are shown and not compared: {why}."))
}

/// `None` where it is not recorded, as in runs of before.
fn share(run: &Run) -> Option<Share> {
    let manifest = &run.record.manifest;
    let device = manifest.device.as_ref()?;
    let runs: Option<BTreeSet<usize>> =
        manifest.attempts.iter().map(|attempt| attempt.runs_at_once).collect();
    let hosts: BTreeSet<&str> = manifest.attempts.iter().map(|attempt| attempt.hostname.as_str()).collect();
    let hosts: Vec<&str> = hosts.into_iter().collect();
    Some(Share {
        machine: (hosts.join(", "), device.name.clone(), device.threads),
        runs: runs.filter(|runs| !runs.is_empty())?,
    })
}

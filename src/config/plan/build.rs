//! From a merged and validated configuration to a [`RunPlan`].

use super::experiment::RunPlan;
use super::idle::idle_keys;
use super::read::{Resolved, Setting};

/// What a plan says of itself beyond its keys.
pub(super) struct Identity {
    /// Of the experiment: from its key, or from its file.
    pub experiment: String,
    pub point: Vec<Setting>,
    pub repeat: u64,
}

/// The plan of one run: the merged values, with its own seed, its experiment's name, and no validation where there is no text for
/// it. Its name is given later, when the names of the others are known.
pub(super) fn build(resolved: &Resolved, identity: Identity) -> RunPlan {
    let Identity { experiment, point, repeat } = identity;
    let mut raw = resolved.raw.clone();
    let sources = sources(resolved, raw.experiment.name.is_empty(), repeat);
    raw.experiment.name = experiment;
    raw.experiment.seed += repeat;
    if raw.data.val_fraction == 0.0 {
        raw.train.eval_interval = 0;
    }
    let point = point.into_iter().map(|setting| (setting.key.name.into(), setting.value)).collect();
    let mut plan = RunPlan::new(raw, point, repeat, sources);
    plan.idle = idle_keys(resolved);
    plan
}

fn sources(resolved: &Resolved, named_after_file: bool, repeat: u64) -> Vec<String> {
    let source = |(_, setting): &(usize, Setting)| {
        let source = setting.origin.source();
        match setting.key.name {
            "experiment.name" if named_after_file => "name of the file".into(),
            "experiment.seed" if repeat > 0 => format!("{source}, repeat {repeat}"),
            _ => source,
        }
    };
    resolved.settings.iter().map(source).collect()
}

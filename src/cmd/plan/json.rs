//! The plan for other programs. Names and meanings stay; new ones may be added.

use serde_json::{Value, json};

use super::outlook::{Prospect, State, Total};
use super::{device, name};
use crate::engine;
use crate::store::manifest::ChangedSince;

pub fn value(prospects: &[Prospect], promises: Option<(f64, f64, usize)>, warnings: &[String]) -> Value {
    let count = |word: &str| prospects.iter().filter(|one| one.state.word() == word).count();
    let Total { runs, steps, tokens, flops, secs, from } = Total::of(prospects);
    json!({
        "runs": prospects.iter().map(run).collect::<Vec<_>>(),
        "counts": {
            "new": count("new"),
            "resumes": count("resumes"),
            "done": count("done"),
            "failed": count("failed"),
            "running": count("running"),
            "skipped": count("skipped"),
            "unusable": count("unusable"),
        },
        "to_train": {
            "runs": runs,
            "steps": steps,
            "tokens": tokens,
            "flops": flops,
            "estimated_secs": secs,
            "estimated_from": from,
        },
        "earlier_estimates": promises.map(|(least, most, runs)| json!({
            "runs": runs,
            "least_taken_over_estimated": least,
            "most_taken_over_estimated": most,
        })),
        "warnings": warnings,
    })
}

fn run(one: &Prospect) -> Value {
    let plan = &one.run.plan;
    let vocab_size = one.run.vocab_size.or(plan.model.vocab_size);
    let changed_since = match &one.state {
        State::New(Some(ChangedSince { run, .. })) => Some(run),
        _ => None,
    };
    let changes = one.state.changes().iter();
    let from_step = match one.state {
        State::Resumes(step) => Some(step),
        _ => None,
    };
    json!({
        "name": name(one.run),
        "experiment": plan.experiment.name,
        "run": plan.name,
        "state": one.state.word(),
        "why": one.state.why(),
        "from_step": from_step,
        "changed_since": changed_since,
        "changed": changes
            .map(|change| json!({ "key": change.key, "before": change.before, "now": change.now }))
            .collect::<Vec<_>>(),
        "steps": plan.train.max_steps,
        "steps_to_train": one.steps(),
        "tokens_per_step": plan.tokens_per_step(),
        "parameters": vocab_size.map(|size| engine::parameter_count(&plan.model, size).parameters),
        "flops_per_step": one.run.cost.as_ref().map(|cost| cost.flops.total()),
        "memory_bytes": one.run.cost.as_ref().map(|cost| cost.memory.estimate().bytes() as u64),
        "estimated_secs": one.estimate.as_ref().map(|estimate| estimate.secs),
        "estimated_from": one.estimate.as_ref().map(|estimate| &estimate.from),
        "corpus": plan.data.source().to_string(),
        "device": device(&plan.hardware.device),
    })
}

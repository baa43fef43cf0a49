//! How long runs will take, from what earlier ones took on this machine: an expectation, known to a factor.
//!
//! Runs of the same sizes are the best witnesses; where there are none, the time of a step is read off a line through the nearest
//! smaller and larger ones, by their arithmetic. It is the time that a run takes with the machine for itself.

use crate::config::experiment::{DtypeKind, RunPlan};
use crate::engine::cost::Cost;
use crate::engine::memory::Place;
use crate::facts::{EstimateInfo, HostInfo};
use crate::metric::MetricsRow;
use crate::stats;
use crate::store::manifest::Manifest;
use crate::units;

/// What earlier runs took.
#[derive(Clone, Debug, Default)]
pub struct Past {
    witnesses: Vec<Witness>,
}

/// What one run took.
#[derive(Clone, Debug, PartialEq)]
struct Witness {
    gpu: bool,
    dtype: String,
    flops_per_step: f64,
    tokens_per_step: u64,
    /// Of all that the run did, divided by its steps.
    secs_per_step: f64,
    how: How,
    /// Others trained at the same time: it took longer than it takes with the machine for itself.
    shared: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    Run,
    Probe,
}

/// Steps that an earlier run must have had: in fewer the beginning counts too much.
const FEWEST_STEPS: u64 = 5;
/// The latest of the same sizes that are asked.
const ASKED: usize = 5;
/// Sizes are the same up to this share: counts of arithmetic are exact, and are written as numbers with a fraction.
const SAME: f64 = 1e-6;

impl Past {
    /// What these manifests tell about the machine `host`, the latest last.
    pub fn of<'a>(manifests: impl Iterator<Item = &'a Manifest>, host: &HostInfo) -> Self {
        let mut manifests: Vec<&Manifest> = manifests.filter(|one| one.host.cpu == host.cpu).collect();
        manifests.sort_by_key(|manifest| manifest.started_at);
        let witnesses = manifests.into_iter().filter_map(Witness::of).collect();
        Self { witnesses }
    }

    /// Adds what a few measured steps of the plan took, the rows of which these are; whether there were any.
    pub fn add_probe(&mut self, plan: &RunPlan, cost: &Cost, rows: &[MetricsRow]) -> bool {
        // The first step also pays for whatever is set up on first use.
        let secs: Vec<f64> = rows.iter().filter(|row| row.step > 1).filter_map(|row| row.step_secs).collect();
        let Some(secs_per_step) = stats::median(&secs) else { return false };
        let question = Question::of(plan, cost);
        self.witnesses.push(Witness {
            gpu: question.gpu,
            dtype: question.dtype,
            flops_per_step: question.flops_per_step,
            tokens_per_step: question.tokens_per_step,
            secs_per_step,
            how: How::Probe,
            shared: false,
        });
        true
    }

    /// How long all steps of the plan will take; `None` where nothing is known to tell it from.
    pub fn estimate(&self, plan: &RunPlan, cost: Option<&Cost>) -> Option<EstimateInfo> {
        let question = Question::of(plan, cost?);
        let asked: Vec<&Witness> = self.witnesses.iter().filter(|one| question.concerns(one)).collect();
        let same = undisturbed(asked.iter().copied().filter(|one| question.is_answered_by(one)).collect());
        let alike = undisturbed(asked);
        let steps = plan.train.max_steps as f64;
        let (secs_per_step, from) = if let Some(latest) = same.last() {
            let asked: Vec<f64> = same.iter().rev().take(ASKED).map(|one| one.secs_per_step).collect();
            let from = match latest.how {
                How::Run => format!("{} of these sizes", units::counted(asked.len() as u64, "earlier run")),
                How::Probe => "a few measured steps".to_owned(),
            };
            (stats::median(&asked)?, from)
        } else {
            let secs = between(&alike, question.flops_per_step)?;
            let probed = alike.iter().any(|one| one.how == How::Probe);
            let from =
                if probed { "a few measured steps of other sizes" } else { "earlier runs of other sizes" };
            (secs, from.to_owned())
        };
        Some(EstimateInfo { secs: secs_per_step * steps, from })
    }

    /// Whether a run of the plan's own sizes was seen.
    pub fn knows(&self, plan: &RunPlan, cost: &Cost) -> bool {
        let question = Question::of(plan, cost);
        self.witnesses.iter().any(|one| question.concerns(one) && question.is_answered_by(one))
    }
}

impl Witness {
    fn of(manifest: &Manifest) -> Option<Self> {
        let (results, device) = (manifest.results.as_ref()?, manifest.device.as_ref()?);
        // Of the scripted engine the time was pretended.
        manifest.time.as_ref()?;
        let cost = manifest.cost.as_ref()?;
        let sound = results.steps >= FEWEST_STEPS && results.elapsed_secs > 0.0;
        sound.then(|| Self {
            gpu: device.device.starts_with("cuda"),
            dtype: device.dtype.clone(),
            flops_per_step: cost.model_flops_per_step,
            tokens_per_step: manifest.run.tokens_per_step,
            secs_per_step: results.elapsed_secs / results.steps as f64,
            how: How::Run,
            shared: shared_the_machine(manifest),
        })
    }
}

/// What of a plan decides how long a step takes.
struct Question {
    gpu: bool,
    dtype: String,
    flops_per_step: f64,
    tokens_per_step: u64,
}

impl Question {
    fn of(plan: &RunPlan, cost: &Cost) -> Self {
        Self {
            gpu: matches!(cost.memory.place, Place::Gpu { .. }),
            dtype: match plan.hardware.dtype {
                DtypeKind::F32 => "f32",
                DtypeKind::Bf16 => "bf16",
                DtypeKind::F16 => "f16",
            }
            .to_owned(),
            flops_per_step: cost.flops.model,
            tokens_per_step: plan.tokens_per_step(),
        }
    }

    fn concerns(&self, witness: &Witness) -> bool {
        witness.gpu == self.gpu && witness.dtype == self.dtype
    }

    fn is_answered_by(&self, witness: &Witness) -> bool {
        witness.tokens_per_step == self.tokens_per_step
            && (witness.flops_per_step / self.flops_per_step - 1.0).abs() <= SAME
    }
}

/// Those that had the machine for themselves; where there are none, the others are better than nothing.
fn undisturbed(witnesses: Vec<&Witness>) -> Vec<&Witness> {
    let alone: Vec<&Witness> = witnesses.iter().copied().filter(|one| !one.shared).collect();
    if alone.is_empty() { witnesses } else { alone }
}

fn shared_the_machine(manifest: &Manifest) -> bool {
    manifest.attempts.iter().any(|attempt| attempt.runs_at_once.is_some_and(|runs| runs > 1))
}

/// Seconds of a step of so much arithmetic: between the nearest smaller and larger steps that were seen, and beyond them in
/// proportion.
fn between(witnesses: &[&Witness], flops: f64) -> Option<f64> {
    let mut below: Option<&Witness> = None;
    let mut above: Option<&Witness> = None;
    // Of equally near ones the latest.
    for witness in witnesses.iter().filter(|one| one.flops_per_step > 0.0) {
        let nearest = if witness.flops_per_step <= flops { &mut below } else { &mut above };
        let distance = |one: &Witness| (one.flops_per_step - flops).abs();
        if nearest.is_none_or(|other| distance(witness) <= distance(other)) {
            *nearest = Some(witness);
        }
    }
    match (below, above) {
        (Some(below), Some(above)) => {
            let share = (flops - below.flops_per_step) / (above.flops_per_step - below.flops_per_step);
            Some(below.secs_per_step + share * (above.secs_per_step - below.secs_per_step))
        }
        (Some(one), None) | (None, Some(one)) => Some(one.secs_per_step * flops / one.flops_per_step),
        (None, None) => None,
    }
}

/// How far estimates were off: least and most of the seconds that runs took, divided by those that were expected, and how many runs
/// there were. Of runs that took all of their steps in one attempt, and were not one of several at the same time: what is estimated is the
/// time with the machine for itself.
pub fn kept_promises<'a>(manifests: impl Iterator<Item = &'a Manifest>) -> Option<(f64, f64, usize)> {
    let ratios: Vec<f64> = manifests.filter_map(taken_over_expected).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    (!ratios.is_empty()).then_some((least, most, ratios.len()))
}

fn taken_over_expected(manifest: &Manifest) -> Option<f64> {
    let (results, estimate) = (manifest.results.as_ref()?, manifest.estimate.as_ref()?);
    let whole = results.steps == manifest.run.max_steps
        && manifest.attempts.len() == 1
        && !shared_the_machine(manifest);
    (whole && estimate.secs > 0.0).then(|| results.elapsed_secs / estimate.secs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, LoadOptions};
    use crate::engine::cost::cost;
    use crate::facts::{CostInfo, DeviceInfo};
    use crate::store::fixture;
    use crate::store::manifest::{Attempt, Results, TimeInfo};

    fn plan(n_embd: usize, steps: u64) -> (RunPlan, Cost) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let text = format!(
            "[model]\nn_layer = 1\nn_head = 2\nn_embd = {n_embd}\n[train]\nmax_steps = {steps}\n[hardware]\ndevice = \"cpu\"\n"
        );
        std::fs::write(&path, text).unwrap();
        let plan = config::load(&[path], &LoadOptions::default()).unwrap().remove(0);
        let cost = cost(&plan, 65, 1000).unwrap();
        (plan, cost)
    }

    /// A run of the plan that took so long.
    fn run(plan: &RunPlan, cost: &Cost, steps: u64, elapsed_secs: f64) -> Manifest {
        let mut manifest = fixture::manifest("exp", "seed=1");
        manifest.run.max_steps = steps;
        manifest.run.tokens_per_step = plan.tokens_per_step();
        manifest.cost = Some(CostInfo {
            model_flops_per_step: cost.flops.model,
            recomputed_flops_per_step: 0.0,
            optimizer_flops_per_step: 0.0,
            memory_bytes: None,
            gpu_memory_bytes: None,
        });
        manifest.device = Some(DeviceInfo {
            device: "cpu".to_owned(),
            name: "Example CPU".to_owned(),
            dtype: "f32".to_owned(),
            kernel: None,
            product_probes: Vec::new(),
            threads: 2,
        });
        manifest.time = Some(TimeInfo::default());
        manifest.results = Some(Results { steps, elapsed_secs, ..Results::default() });
        manifest
    }

    fn here() -> HostInfo {
        fixture::manifest("exp", "seed=1").host
    }

    #[test]
    fn runs_of_the_same_sizes_on_the_same_machine_tell_how_long_it_takes() {
        let (plan, cost) = plan(16, 100);
        let mut elsewhere = run(&plan, &cost, 10, 500.0);
        elsewhere.host.cpu = "Another CPU".to_owned();
        let runs =
            [run(&plan, &cost, 10, 5.0), run(&plan, &cost, 20, 14.0), run(&plan, &cost, 2, 90.0), elsewhere];
        let past = Past::of(runs.iter(), &here());
        let estimate = past.estimate(&plan, Some(&cost)).unwrap();
        assert!((estimate.secs - 60.0).abs() < 1e-9, "{}", estimate.secs);
        assert_eq!(estimate.from, "2 earlier runs of these sizes");
        assert!(past.knows(&plan, &cost));
        assert_eq!(past.estimate(&plan, None), None);
        assert_eq!(Past::default().estimate(&plan, Some(&cost)), None);
    }

    #[test]
    fn runs_that_shared_the_machine_are_asked_only_where_no_other_is_known() {
        let (plan, cost) = plan(16, 10);
        let at_once = |runs_at_once, secs| {
            let mut manifest = run(&plan, &cost, 10, secs);
            manifest.begin_attempt(0, 1, here());
            manifest.attempts[0].runs_at_once = Some(runs_at_once);
            (manifest.results, manifest.time) =
                (run(&plan, &cost, 10, secs).results, Some(TimeInfo::default()));
            manifest
        };
        let runs = [at_once(1, 5.0), at_once(4, 20.0), at_once(4, 22.0)];
        let secs =
            |runs: &[Manifest]| Past::of(runs.iter(), &here()).estimate(&plan, Some(&cost)).unwrap().secs;
        assert!((secs(&runs) - 5.0).abs() < 1e-9);
        assert!((secs(&runs[1..]) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn other_sizes_lie_between_those_that_were_seen() {
        let (small, middle, large) = (plan(16, 10), plan(32, 10), plan(64, 10));
        let runs = [run(&small.0, &small.1, 10, 10.0), run(&large.0, &large.1, 10, 40.0)];
        let past = Past::of(runs.iter(), &here());
        let estimate = past.estimate(&middle.0, Some(&middle.1)).unwrap();
        assert!(estimate.secs > 10.0 && estimate.secs < 40.0, "{}", estimate.secs);
        assert_eq!(estimate.from, "earlier runs of other sizes");
        let past = Past::of(runs[..1].iter(), &here());
        let estimate = past.estimate(&large.0, Some(&large.1)).unwrap();
        let expected = 10.0 * large.1.flops.model / small.1.flops.model;
        assert!((estimate.secs / expected - 1.0).abs() < 1e-9, "{}", estimate.secs);
        // Measured steps of its own sizes say more.
        let mut past = past;
        let row = |step, secs| MetricsRow { step, step_secs: Some(secs), ..MetricsRow::default() };
        assert!(!past.add_probe(&large.0, &large.1, &[row(1, 9.0)]));
        assert!(past.add_probe(&large.0, &large.1, &[row(1, 9.0), row(2, 0.5), row(3, 0.5)]));
        let estimate = past.estimate(&large.0, Some(&large.1)).unwrap();
        assert_eq!((estimate.secs, estimate.from.as_str()), (5.0, "a few measured steps"));
    }

    #[test]
    fn estimates_are_held_against_what_runs_took() {
        let (plan, cost) = plan(16, 10);
        let with = |elapsed: f64, estimate: Option<f64>| {
            let mut manifest = run(&plan, &cost, 10, elapsed);
            manifest.estimate = estimate.map(|secs| EstimateInfo { secs, from: "a probe".to_owned() });
            manifest.begin_attempt(0, 1, here());
            manifest.results = Some(Results { steps: 10, elapsed_secs: elapsed, ..Results::default() });
            manifest
        };
        let mut twice = with(1.0, Some(9.0));
        twice.attempts.push(Attempt { number: 2, ..twice.attempts[0].clone() });
        let mut shared = with(30.0, Some(10.0));
        shared.attempts[0].runs_at_once = Some(4);
        let all = [with(12.0, Some(10.0)), with(8.0, Some(10.0)), with(5.0, None), twice, shared];
        assert_eq!(kept_promises(all.iter()), Some((0.8, 1.2, 2)));
        assert_eq!(kept_promises(all[2..].iter()), None);
    }
}

//! Runs in this process, one after the other.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use jiff::Timestamp;

use super::host;
use super::memory::shortage;
use super::requirements::{Machine, unmet};
use crate::config::{self, experiment::RunPlan};
use crate::engine::cost::Cost;
use crate::engine::device;
use crate::engine::memory::Place;
use crate::sinks::Sink;
use crate::store::RunDir;
use crate::store::StoreError;
use crate::store::manifest::{FORMAT_VERSION, HostInfo, Manifest, RunInfo, Status, StopReason, TargetInfo};
use crate::train::{self, StopFlag};

/// What all runs of one call share.
pub struct Launcher {
    host: HostInfo,
    machine: Machine,
    template: Template,
}

struct Template {
    command: String,
    git: Option<crate::store::manifest::GitInfo>,
    packages: std::collections::BTreeMap<String, String>,
}

impl Default for Launcher {
    fn default() -> Self {
        Self::new()
    }
}

impl Launcher {
    /// Looks at the machine once.
    pub fn new() -> Self {
        let host = host::host_info();
        let template = Template {
            command: host::command_line(),
            git: host::git_info(),
            packages: host::package_versions(),
        };
        Self { machine: Machine::here(host.memory_bytes), host, template }
    }

    /// In words, what this machine lacks for the plan.
    pub fn unmet(&self, plan: &RunPlan) -> Option<String> {
        unmet(&plan.hardware.requires, &self.machine)
    }

    /// In words, that some of these runs may need more memory than is free now, and what to lower.
    pub fn short_of_memory(&self, runs: &[(&RunPlan, &Cost)]) -> Option<String> {
        let free = |place| match place {
            Place::Host => host::free_memory_bytes(),
            Place::Gpu { ordinal, .. } => device::cuda_memory(ordinal).ok().map(|(free, _)| free),
        };
        shortage(runs, free)
    }

    /// Makes the run's directory and trains it there. A requirement that is not met is recorded as `skipped`; an error or a
    /// panic of the run as `failed`.
    ///
    /// # Errors
    /// Only when the run directory itself cannot be written.
    pub fn run(
        &self,
        plan: &RunPlan,
        runs_dir: &Path,
        listeners: Vec<Box<dyn Sink>>,
        stop: &StopFlag,
    ) -> Result<(RunDir, Manifest), StoreError> {
        let mut manifest = self.manifest(plan);
        if let Some(reason) = self.unmet(plan) {
            manifest.status = Status::Skipped;
            manifest.stop_reason = Some(StopReason::RequirementNotMet);
            manifest.message = Some(reason);
            manifest.finished_at = Some(manifest.started_at);
        }
        let frozen = config::render_frozen(plan);
        let dir = RunDir::create(runs_dir, &plan.experiment.name, &plan.name, &mut manifest, &frozen)?;
        if manifest.status == Status::Skipped {
            return Ok((dir, manifest));
        }
        // Nothing that the run touched is used after a panic but its files.
        match catch_unwind(AssertUnwindSafe(|| train::train_run(&dir, listeners, stop))) {
            Ok(result) => result.map(|manifest| (dir, manifest)),
            Err(panic) => {
                let mut manifest = dir.read_manifest()?;
                manifest.status = Status::Failed;
                manifest.stop_reason = Some(StopReason::Error);
                manifest.message = Some(format!(
                    "internal error: {}; please report this with the run's config.toml and log.jsonl",
                    panic_message(panic.as_ref())
                ));
                manifest.finished_at = Some(Timestamp::now());
                dir.write_manifest(&manifest)?;
                Ok((dir, manifest))
            }
        }
    }

    fn manifest(&self, plan: &RunPlan) -> Manifest {
        let experiment = &plan.experiment;
        Manifest {
            format_version: FORMAT_VERSION,
            runner_version: env!("CARGO_PKG_VERSION").to_owned(),
            status: Status::Running,
            stop_reason: None,
            message: None,
            command: self.template.command.clone(),
            started_at: Timestamp::now(),
            finished_at: None,
            run: RunInfo {
                experiment: experiment.name.clone(),
                name: plan.name.clone(),
                description: experiment.description.clone(),
                hypothesis: experiment.hypothesis.clone(),
                tags: experiment.tags.clone(),
                seed: experiment.seed,
                repeat: experiment.repeat,
                repeats: experiment.repeats,
                point: plan.point.iter().cloned().collect(),
                max_steps: plan.train.max_steps,
                tokens_per_step: plan.train.tokens_per_step(),
                same_losses_within: experiment.same_losses_within,
            },
            host: self.host.clone(),
            git: self.template.git.clone(),
            device: None,
            data: None,
            model: None,
            cost: None,
            target: plan.target.as_ref().map(|target| TargetInfo {
                metric: target.metric.key().to_owned(),
                threshold: target.threshold,
                reached_at_step: None,
                reached_value: None,
            }),
            results: None,
            time: None,
            reference: plan.reference.clone(),
            packages: self.template.packages.clone(),
        }
    }
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}

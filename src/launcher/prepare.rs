//! Run directories for plans: frozen config and manifest, before anything is trained.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::estimate::Past;
use super::memory::shortage;
use super::provenance;
use super::requirements::{Machine, unmet, unmet_to_go_on};
use crate::config::{self, experiment::RunPlan};
use crate::data;
use crate::engine::cost::Cost;
use crate::engine::device;
use crate::engine::memory::Place as MemoryPlace;
use crate::facts::{EstimateInfo, HostInfo, Status, StopReason};
use crate::machine;
use crate::pretrained::Start;
use crate::store::manifest::{ChangedSince, FORMAT_VERSION, Manifest, RunInfo, TargetInfo};
use crate::store::{RunDir, StoreError};

/// Where a run will be trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this machine, which must have what the run requires.
    Here,
    /// On another, of which nothing is known.
    Elsewhere,
}

/// In words, each key of the plan that someone set and that has no effect, and more threads than the machine has cores.
pub fn idle(plan: &RunPlan, place: Place) -> Vec<String> {
    let threads = plan.resolved_key("hardware.threads").filter(|_| place == Place::Here);
    let cores = machine::cores();
    let many = threads.zip(plan.hardware.threads).filter(|(_, threads)| *threads > cores).map(|(key, threads)| {
        format!(
            "`hardware.threads = {threads}` ({}) is more than this machine has cores, {cores}: further threads only make it slower; \
             set {cores} or fewer, or 0 for all cores",
            key.source
        )
    });
    config::idle_sentences(&plan.idle).into_iter().chain(many).collect()
}

/// What all runs of one call share.
pub struct Launcher {
    host: HostInfo,
    machine: Machine,
    template: Template,
    /// Where names of runs are looked up.
    runs_dir: PathBuf,
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
        let host = machine::host_info();
        let template = Template {
            command: provenance::command_line(),
            git: provenance::git_info(),
            packages: provenance::package_versions(),
        };
        Self { machine: Machine::here(), host, template, runs_dir: PathBuf::from("runs") }
    }

    /// The same, where names of runs are those of another folder than `runs`.
    pub fn among(self, runs_dir: &Path) -> Self {
        Self { runs_dir: runs_dir.to_owned(), ..self }
    }

    /// Where names of runs are looked up.
    pub fn runs_dir(&self) -> &Path {
        &self.runs_dir
    }

    /// In words, what this machine lacks for the plan.
    pub fn unmet(&self, plan: &RunPlan) -> Option<String> {
        let init_from = plan.train.init_from.as_deref();
        unmet(plan.hardware.requirements(), init_from, &self.runs_dir, &self.machine)
    }

    /// As [`Launcher::unmet`], for a run whose directory is gone on with.
    pub fn unmet_to_go_on(&self, plan: &RunPlan, dir: &RunDir) -> Option<String> {
        unmet_to_go_on(plan, dir, &self.machine)
    }

    /// In words, that some of these runs may need more memory than is free now, and what to lower.
    pub fn short_of_memory(&self, runs: &[(&RunPlan, &Cost)]) -> Option<String> {
        let free = |place| match place {
            MemoryPlace::Host => machine::free_memory_bytes(),
            MemoryPlace::Gpu { ordinal, .. } => device::cuda_memory(ordinal).ok().map(|(free, _)| free),
        };
        shortage(runs, free)
    }

    /// What runs with these manifests tell about how long others will take here.
    pub fn past<'a>(&self, manifests: impl Iterator<Item = &'a Manifest>) -> Past {
        Past::of(manifests, &self.host)
    }

    /// Makes a directory for the run, with `changed_since` as what distinguishes it from an earlier one of its name, and what it is
    /// expected to take. `start` is what its `train.init_from` means now, where that was looked at: the run keeps to it. For a run
    /// that would be trained here, a requirement that is not met is recorded as `skipped`.
    ///
    /// # Errors
    /// When the run directory cannot be written.
    pub fn prepare(
        &self,
        plan: &RunPlan,
        start: Option<&Start>,
        runs_dir: &Path,
        changed_since: Option<ChangedSince>,
        estimate: Option<EstimateInfo>,
        place: Place,
    ) -> Result<(RunDir, Manifest), StoreError> {
        let mut manifest = self.manifest(plan);
        (manifest.changed_since, manifest.estimate) = (changed_since, estimate);
        manifest.idle = idle(plan, place);
        if place == Place::Here
            && let Some(reason) = self.unmet(plan)
        {
            manifest.status = Status::Skipped;
            manifest.stop_reason = Some(StopReason::RequirementNotMet);
            manifest.message = Some(reason);
            manifest.finished_at = Some(manifest.started_at);
        }
        manifest.init_from = start.map(|start| start.info.clone());
        let pinned = start.map(|start| start.pin(plan));
        let frozen = config::render_frozen(pinned.as_ref().unwrap_or(plan));
        let tokenizer = |folder: &Path| match start.and_then(|start| start.tokenizer.as_ref()) {
            Some(tokenizer) => data::write_tokenizer(folder, tokenizer)
                .map_err(|source| StoreError::Write { path: folder.join(data::TOKENIZER_FILE), source }),
            None => Ok(()),
        };
        let experiment = &plan.experiment.name;
        let dir = RunDir::create(runs_dir, experiment, &plan.name, &mut manifest, &frozen, tokenizer)?;
        Ok((dir, manifest))
    }

    fn manifest(&self, plan: &RunPlan) -> Manifest {
        let experiment = &plan.experiment;
        Manifest {
            format_version: FORMAT_VERSION,
            runner_version: env!("CARGO_PKG_VERSION").to_owned(),
            status: Status::Queued,
            stop_reason: None,
            message: None,
            command: self.template.command.clone(),
            config_sha256: None,
            started_at: Timestamp::now(),
            finished_at: None,
            retry_at: None,
            run: RunInfo {
                experiment: experiment.name.clone(),
                name: plan.name.clone(),
                description: experiment.description.clone(),
                hypothesis: experiment.hypothesis.clone(),
                tags: experiment.tags.clone(),
                seed: experiment.seed,
                repeat: plan.repeat,
                repeats: experiment.repeats,
                point: plan.point.iter().cloned().collect(),
                max_steps: plan.train.max_steps,
                tokens_per_step: plan.tokens_per_step(),
                same_losses_within: experiment.same_losses_within,
            },
            host: self.host.clone(),
            git: self.template.git.clone(),
            device: None,
            data: None,
            model: None,
            init_from: None,
            cost: None,
            estimate: None,
            target: plan.target.threshold.map(|threshold| TargetInfo {
                metric: plan.target.metric.key().to_owned(),
                threshold,
                reached_at_step: None,
                reached_value: None,
            }),
            results: None,
            time: None,
            reference: plan.reference.result(),
            packages: self.template.packages.clone(),
            adapted: Vec::new(),
            idle: Vec::new(),
            lost: Vec::new(),
            last_output: Vec::new(),
            changed_since: None,
            attempts: Vec::new(),
        }
    }
}

//! Manifests for tests.

use std::collections::BTreeMap;

use super::manifest::{FORMAT_VERSION, Manifest, RunInfo};
use crate::facts::{HostInfo, Status};

/// A run that has just begun.
pub(crate) fn manifest(experiment: &str, run: &str) -> Manifest {
    Manifest {
        format_version: FORMAT_VERSION,
        runner_version: "0.1.0".to_owned(),
        status: Status::Running,
        stop_reason: None,
        message: None,
        command: format!("runner experiments/{experiment}.toml"),
        config_sha256: None,
        started_at: "2026-11-23T14:00:00Z".parse().expect("a timestamp"),
        finished_at: None,
        retry_at: None,
        run: RunInfo {
            experiment: experiment.to_owned(),
            name: run.to_owned(),
            description: String::new(),
            hypothesis: String::new(),
            tags: Vec::new(),
            seed: 1337,
            repeat: 0,
            repeats: 1,
            same_losses_within: None,
            point: toml::Table::new(),
            max_steps: 100,
            tokens_per_step: 2048,
        },
        host: HostInfo {
            hostname: "bench".to_owned(),
            os: "Linux 6.8".to_owned(),
            arch: "x86_64".to_owned(),
            cpu: "Example CPU".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
        },
        git: None,
        device: None,
        data: None,
        model: None,
        init_from: None,
        cost: None,
        estimate: None,
        target: None,
        results: None,
        time: None,
        reference: None,
        packages: BTreeMap::new(),
        adapted: Vec::new(),
        idle: Vec::new(),
        lost: Vec::new(),
        last_output: Vec::new(),
        changed_since: None,
        attempts: Vec::new(),
    }
}

//! From a merged and validated configuration to a [`RunPlan`].

use std::path::PathBuf;

use toml::Value;

use crate::facts::{Reference, StopReason};

use super::experiment::*;
use super::idle::idle_keys;
use super::parse;
use super::read::{Resolved, Setting};
use super::schema::{OnFailureSection, OptimizerSection, Paths, RawPlan, ReferenceSection};

/// What a plan says of itself beyond its keys.
pub(in crate::config) struct Identity {
    /// Of the experiment: from its key, or from its file.
    pub experiment: String,
    pub point: Vec<Setting>,
    pub repeat: u64,
}

/// Tokens per sequence: 0 is as long as the model allows.
pub(in crate::config) fn sequence_length(raw: &RawPlan) -> usize {
    if raw.train.sequence_length == 0 { raw.model.block_size } else { raw.train.sequence_length }
}

/// Decay steps: 0 is all steps, or for warmup-stable-decay the last tenth.
pub(in crate::config) fn decay_steps(raw: &RawPlan) -> u64 {
    match (raw.schedule.decay_steps, raw.schedule.kind) {
        (0, ScheduleKind::WarmupStableDecay) => (raw.train.max_steps / 10).max(1),
        (0, _) => raw.train.max_steps,
        (steps, _) => steps,
    }
}

/// Steps between validations: without validation text there are none.
fn eval_interval(raw: &RawPlan) -> u64 {
    if raw.data.val_fraction > 0.0 { raw.train.eval_interval } else { 0 }
}

/// The plan of one run. Its name is given later, when the names of the others are known.
pub(in crate::config) fn build(resolved: &Resolved, identity: Identity) -> RunPlan {
    let raw = resolved.raw.clone();
    let (sequence_length, decay_steps, eval_interval) =
        (sequence_length(&raw), decay_steps(&raw), eval_interval(&raw));
    let seed = raw.experiment.seed + identity.repeat;
    RunPlan {
        name: String::new(),
        idle: idle_keys(resolved),
        point: identity.point.into_iter().map(|setting| (setting.key.name.into(), setting.value)).collect(),
        resolved: resolved_keys(resolved, &identity.experiment, identity.repeat, seed, eval_interval),
        experiment: ExperimentPlan {
            name: identity.experiment,
            description: raw.experiment.description,
            hypothesis: raw.experiment.hypothesis,
            tags: raw.experiment.tags,
            seed,
            repeats: raw.experiment.repeats,
            same_losses_within: (raw.experiment.same_losses_within > 0.0)
                .then_some(raw.experiment.same_losses_within),
            repeat: identity.repeat,
        },
        model: ModelPlan {
            preset: non_empty(raw.model.preset),
            n_layer: raw.model.n_layer,
            n_head: raw.model.n_head,
            n_embd: raw.model.n_embd,
            block_size: raw.model.block_size,
            vocab_size: non_zero(raw.model.vocab_size),
            dropout: raw.model.dropout,
            bias: raw.model.bias,
        },
        data: DataPlan {
            source: match raw.data.path {
                Paths::One(path) if path.is_empty() => DataSource::Corpus(raw.data.corpus),
                Paths::One(path) => DataSource::Path(path.into()),
                Paths::Several(paths) => DataSource::Paths(paths.into_iter().map(PathBuf::from).collect()),
            },
            weights: raw.data.weights,
            text_column: raw.data.text_column,
            separator: raw.data.separator,
            special_tokens: raw.data.special_tokens,
            cache: raw.data.cache,
            tokenizer: raw.data.tokenizer,
            val_fraction: raw.data.val_fraction,
            order: raw.data.order,
        },
        train: TrainPlan {
            batch_size: raw.train.batch_size,
            sequence_length,
            gradient_accumulation_steps: raw.train.gradient_accumulation_steps,
            activation_checkpointing: raw.train.activation_checkpointing,
            max_steps: raw.train.max_steps,
            max_time_secs: parse::duration(&raw.train.max_time).flatten(),
            init_from: non_empty(raw.train.init_from).map(PathBuf::from),
            eval_interval,
            eval_batches: raw.train.eval_batches,
            ema_decay: raw.train.ema_decay,
            final_eval: raw.train.final_eval,
        },
        optimizer: OptimizerPlan {
            kind: raw.optimizer.kind,
            learning_rate: raw.optimizer.learning_rate,
            beta1: raw.optimizer.beta1,
            beta2: raw.optimizer.beta2,
            eps: raw.optimizer.eps,
            momentum: raw.optimizer.momentum,
            weight_decay: raw.optimizer.weight_decay,
            decay_all: raw.optimizer.decay_all,
            grad_clip: raw.optimizer.grad_clip,
            muon: muon(&raw.optimizer),
        },
        schedule: SchedulePlan {
            kind: raw.schedule.kind,
            warmup_steps: raw.schedule.warmup_steps,
            decay_steps,
            min_lr: raw.schedule.min_lr,
        },
        target: (raw.target.threshold > 0.0)
            .then_some(TargetPlan { metric: raw.target.metric, threshold: raw.target.threshold }),
        checkpoint: CheckpointPlan { interval: raw.checkpoint.interval, keep_last: raw.checkpoint.keep_last },
        sample: SamplePlan {
            interval: raw.sample.interval,
            prompts: raw.sample.prompts,
            max_new_tokens: raw.sample.max_new_tokens,
            temperature: raw.sample.temperature,
            top_k: raw.sample.top_k,
            top_p: raw.sample.top_p,
            seed: raw.sample.seed,
        },
        hardware: HardwarePlan {
            // Both were checked when they were read.
            device: parse::device(&raw.hardware.device).unwrap_or(DeviceChoice::Auto),
            requires: raw.hardware.requires.iter().filter_map(|text| parse::requirement(text)).collect(),
            dtype: raw.hardware.dtype,
            threads: non_zero(raw.hardware.threads),
            monitor_interval_secs: raw.hardware.monitor_interval_secs,
        },
        on_failure: on_failure(&raw.on_failure),
        scripted: ScriptedPlan {
            initial_loss: raw.scripted.initial_loss,
            floor_loss: raw.scripted.floor_loss,
            decay_steps: raw.scripted.decay_steps,
            noise: raw.scripted.noise,
            step_secs: raw.scripted.step_secs,
            diverge_at: raw.scripted.diverge_at,
            fail_at: raw.scripted.fail_at,
            fail_as: raw.scripted.fail_as,
            fits_batch_size: raw.scripted.fits_batch_size,
            sleep_secs: raw.scripted.sleep_secs,
        },
        reference: reference(raw.reference),
    }
}

/// The merged keys as this run has them: with its own seed, its experiment's name, and no evaluation that cannot be.
fn resolved_keys(
    resolved: &Resolved,
    experiment: &str,
    repeat: u64,
    seed: u64,
    eval_interval: u64,
) -> Vec<ResolvedKey> {
    let unread: Vec<&str> = resolved.unread().map(|(setting, _)| setting.key.name).collect();
    let described = |(_, setting): &(usize, Setting)| {
        let (value, source) = (setting.value.clone(), setting.origin.source());
        let (value, source) = match setting.key.name {
            "experiment.name" if value.as_str() == Some("") => (experiment.into(), "name of the file".into()),
            "experiment.seed" if repeat > 0 => (whole(seed), format!("{source}, repeat {repeat}")),
            "train.eval_interval" if setting.origin.is_default() => (whole(eval_interval), source),
            _ => (value, source),
        };
        let unread = unread.contains(&setting.key.name);
        ResolvedKey { key: setting.key.name.into(), value, source, unread }
    };
    resolved.settings.iter().map(described).collect()
}

/// The coefficients of each of Muon's iterations.
pub(in crate::config) fn muon_coefficients(raw: &OptimizerSection) -> Vec<[f64; 3]> {
    let given = raw.ns_coefficients.each();
    let of_step = |step: usize| given.get(step).or(given.last()).copied();
    (0..raw.ns_steps).filter_map(of_step).collect()
}

fn muon(raw: &OptimizerSection) -> MuonPlan {
    MuonPlan {
        adamw_learning_rate: match raw.adamw_learning_rate {
            0.0 => raw.learning_rate,
            rate => rate,
        },
        momentum_start: raw.momentum_start,
        momentum_warmup_steps: raw.momentum_warmup_steps,
        nesterov: raw.nesterov,
        coefficients: muon_coefficients(raw),
        adjust_lr: raw.adjust_lr_fn,
        split_qkv: raw.split_qkv,
    }
}

fn on_failure(raw: &OnFailureSection) -> OnFailurePlan {
    OnFailurePlan {
        retries: vec![
            (StopReason::Killed, raw.retry_killed),
            (StopReason::Device, raw.retry_device),
            (StopReason::Timeout, raw.retry_timeout),
            (StopReason::OutOfMemory, raw.retry_out_of_memory),
            (StopReason::DiskFull, raw.retry_disk_full),
            (StopReason::Panic, raw.retry_panic),
            (StopReason::Error, raw.retry_error),
        ],
        backoff_secs: raw.backoff_secs,
        timeout_secs: parse::duration(&raw.timeout).flatten(),
        halve_batch: raw.halve_batch,
    }
}

fn whole(number: u64) -> Value {
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

fn reference(raw: ReferenceSection) -> Option<Reference> {
    let reference = Reference {
        name: raw.name,
        source: raw.source,
        hardware: raw.hardware,
        final_loss: (raw.final_loss > 0.0).then_some(raw.final_loss),
        steps: (raw.steps > 0).then_some(raw.steps),
        secs: (raw.secs > 0.0).then_some(raw.secs),
        curve: raw.curve,
    };
    (reference != Reference::default()).then_some(reference)
}

fn non_empty(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn non_zero(number: usize) -> Option<usize> {
    (number > 0).then_some(number)
}

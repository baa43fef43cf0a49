//! The experiments of this repository.

use std::path::Path;

use super::super::experiment::{DataSource, Requirement, RunPlan, TargetMetric};
use super::super::{LoadOptions, load};

const FILES: [&str; 4] =
    ["quickstart.toml", "shakespeare-124m.toml", "shakespeare-mini.toml", "learning-rate-sweep.toml"];

fn load_all() -> Vec<RunPlan> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
    let files: Vec<_> = FILES.iter().map(|name| folder.join(name)).collect();
    load(&files, &LoadOptions::default()).unwrap_or_else(|errors| panic!("{errors}"))
}

#[test]
fn all_experiments_load_and_explain_themselves() {
    let plans = load_all();
    assert_eq!(plans.len(), 1 + 1 + 1 + 8);
    for plan in plans {
        assert!(plan.experiment.description.len() > 40, "{}", plan.experiment.name);
        assert!(plan.experiment.hypothesis.len() > 200, "{}", plan.experiment.name);
    }
}

#[test]
fn the_reference_run_is_the_published_one() {
    let plan =
        load_all().into_iter().find(|plan| plan.experiment.name == "shakespeare-124m").expect("a plan");
    let model = &plan.model;
    assert_eq!((model.n_layer, model.n_head, model.n_embd, model.block_size), (12, 12, 768, 1024));
    assert_eq!(model.vocab_size, Some(50_257));
    assert_eq!((plan.train.batch_size, plan.sequence_length(), plan.train.max_steps), (16, 128, 10_000));
    assert_eq!((plan.optimizer.beta1, plan.optimizer.beta2), (0.9, 0.999));
    assert_eq!((plan.optimizer.learning_rate, plan.optimizer.weight_decay), (3e-4, 0.01));
    assert!(plan.optimizer.decay_all && plan.optimizer.grad_clip == 0.0);
    assert_eq!(plan.checkpoint.interval, 500);
    assert_eq!(plan.hardware.requirements().collect::<Vec<_>>(), [&Requirement::Cuda]);
    assert_eq!(plan.data.source(), DataSource::Corpus("tinyshakespeare".into()));
    assert_eq!((plan.target.metric, plan.target.threshold), (TargetMetric::TrainLoss, Some(0.0999999)));
    let reference = plan.reference.result().expect("a reference");
    assert_eq!(
        (reference.final_loss, reference.steps, reference.secs),
        (Some(0.0972), Some(7827), Some(1860.0))
    );
    assert_eq!(reference.curve.first(), Some(&(0, 10.955)));
    assert_eq!(reference.curve.last(), Some(&(7827, 0.0972)));
}

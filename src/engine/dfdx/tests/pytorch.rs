//! Numbers recorded from PyTorch by `tests/pytorch/record.py`.

use super::*;
use crate::model::tensor_file::{TensorFile, values};

/// Trains on the recorded batches and compares losses and gradient norms with the recording called `name`.
fn training_matches<E: Dtype>(name: &str, plan: &RunPlan, tolerance: f64)
where
    Cpu: Update<E>,
{
    let recorded = recorded();
    let expected = |key: &str, i: usize| recorded[name][key][i].as_f64().unwrap();
    let mut engine = engine::<E>(plan);
    let batches = batches();
    for (i, batch) in batches.iter().enumerate() {
        let output = engine.train_step(std::slice::from_ref(batch), plan.optimizer.learning_rate).unwrap();
        for (found, key) in [(output.loss, "losses"), (output.grad_norm, "grad_norms")] {
            let expected = expected(key, i);
            assert!((found - expected).abs() < tolerance, "{key} of step {i}: {found} instead of {expected}");
        }
    }
    let (last, expected) = (engine.loss(&batches[4]).unwrap(), expected("losses", 5));
    assert!((last - expected).abs() < tolerance, "last loss {last} instead of {expected}");
}

#[test]
fn the_loss_and_every_gradient_match_pytorch() {
    let mut engine = engine::<f64>(&tiny_plan());
    let loss = engine.try_gradients(&batches()[..1]).unwrap();
    assert!((loss - recorded()["adamw"]["losses"][0].as_f64().unwrap()).abs() < 1e-12, "{loss}");

    struct Compare<'a>(&'a Gradients<f64, Cpu>, TensorFile<'a>, usize);
    impl Visit<f64, Cpu> for Compare<'_> {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(&mut self, p: &Parameter, tensor: &Tensor<S, f64, Cpu>) -> Result<(), Self::Err> {
            let expected: Vec<f64> = values(&self.1.expect(&p.name, &p.shape).unwrap());
            for (i, (found, expected)) in self.0.get(tensor).as_vec().iter().zip(&expected).enumerate() {
                // The recording holds f32.
                let tolerance = 1e-7 * expected.abs() + 1e-12;
                assert!((found - expected).abs() < tolerance, "{} {i}: {found} {expected}", p.name);
            }
            self.2 += 1;
            Ok(())
        }
    }
    let bytes = std::fs::read(fixture("tiny-gradients.safetensors")).unwrap();
    let gradients = engine.gradients.as_ref().unwrap();
    let mut compare = Compare(gradients, TensorFile::parse(&bytes).unwrap(), 0);
    let Ok(()) = engine.gpt.visit(&mut compare);
    assert_eq!(compare.2, 28);
}

#[test]
fn adamw_matches_pytorch() {
    training_matches::<f64>("adamw", &tiny_plan(), 1e-9);
}

#[test]
fn adamw_matches_pytorch_in_single_precision() {
    training_matches::<f32>("adamw", &tiny_plan(), 2e-5);
}

#[test]
fn adamw_that_decays_everything_matches_pytorch() {
    let mut plan = tiny_plan();
    plan.optimizer.decay_all = true;
    training_matches::<f64>("adamw_decay_all", &plan, 1e-9);
}

#[test]
fn adamw_with_clipping_matches_pytorch() {
    let mut plan = tiny_plan();
    plan.optimizer.grad_clip = recorded()["optimizer"]["max_norm"].as_f64().unwrap();
    training_matches::<f64>("adamw_clipped", &plan, 1e-9);
}

#[test]
fn sgd_with_momentum_matches_pytorch() {
    let recorded = recorded();
    let setting = |key: &str| recorded["optimizer"][key].as_f64().unwrap();
    let mut plan = tiny_plan();
    plan.optimizer.kind = OptimizerKind::Sgd;
    plan.optimizer.learning_rate = setting("sgd_learning_rate");
    plan.optimizer.momentum = setting("sgd_momentum");
    plan.optimizer.weight_decay = setting("sgd_weight_decay");
    // PyTorch's SGD decays every parameter of its one group.
    plan.optimizer.decay_all = true;
    training_matches::<f64>("sgd", &plan, 1e-9);
}

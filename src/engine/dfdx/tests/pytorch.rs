//! Numbers recorded from PyTorch by `tests/pytorch/record.py`, in f64: the mathematics of the composed operations is checked
//! in f64, to the last digits, and the fused ones that train on the CPU in f32.

use super::*;
use crate::model::tensor_file::{TensorFile, values};

/// What f32 may be off by: some hundred roundings of 6e-8 on the way through the layers, of losses and gradient norms
/// between 1 and 4. Decaying every parameter instead of the matrices alone, say, moves these by up to 50 times as much.
const SINGLE: f64 = 2e-5;

/// Trains in both precisions.
fn training_matches(name: &str, plan: &RunPlan) {
    training_matches_in::<f64>(name, plan, 1e-9);
    training_matches_in::<f32>(name, plan, SINGLE);
}

/// Trains on the recorded batches and compares losses and gradient norms with the recording called `name`.
fn training_matches_in<E: Dtype>(name: &str, plan: &RunPlan, tolerance: f64)
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

/// How far a gradient may be from the recording.
struct Tolerance {
    /// As a share of the element itself.
    of_each: f64,
    /// As a share of the gradient's largest element, beside that: what cancels in a sum leaves the rounding of its terms.
    of_largest: f64,
}

/// Compares every gradient of the first batch's loss with the recording.
fn gradients_match<E: Dtype>(tolerance: Tolerance)
where
    Cpu: Update<E>,
{
    let mut engine = engine::<E>(&tiny_plan());
    engine.try_gradients(&batches()[..1]).unwrap();

    struct Compare<'a, E: Dtype> {
        gradients: &'a Gradients<E, Cpu>,
        recording: TensorFile<'a>,
        tolerance: Tolerance,
        parameters: usize,
    }
    impl<E: Dtype> Visit<E, Cpu> for Compare<'_, E>
    where
        Cpu: Update<E>,
    {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(&mut self, p: &Parameter, tensor: &Tensor<S, E, Cpu>) -> Result<(), Self::Err> {
            let expected: Vec<f64> = values(&self.recording.expect(&p.name, &p.shape).unwrap());
            let found: Vec<f64> =
                self.gradients.get(tensor).as_vec().iter().map(|x| x.to_f64().unwrap()).collect();
            assert_eq!(found.len(), expected.len(), "{}", p.name);
            let largest = expected.iter().fold(0.0, |largest: f64, x| largest.max(x.abs()));
            assert!(largest > 1e-3, "{}: a gradient that tells nothing", p.name);
            for (i, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let allowed = self.tolerance.of_each * expected.abs() + self.tolerance.of_largest * largest;
                assert!((found - expected).abs() <= allowed, "{} {i}: {found} instead of {expected}", p.name);
            }
            self.parameters += 1;
            Ok(())
        }
    }
    let bytes = std::fs::read(fixture("tiny-gradients.safetensors")).unwrap();
    let gradients = engine.gradients.as_ref().unwrap();
    let recording = TensorFile::parse(&bytes).unwrap();
    let mut compare = Compare { gradients, recording, tolerance, parameters: 0 };
    let Ok(()) = engine.gpt.visit(&mut compare);
    assert_eq!(compare.parameters, 28);
}

#[test]
fn every_gradient_matches_pytorch() {
    // The recording holds f32.
    gradients_match::<f64>(Tolerance { of_each: 1e-7, of_largest: 1e-12 });
}

#[test]
fn every_gradient_matches_pytorch_in_single_precision() {
    gradients_match::<f32>(Tolerance { of_each: 0.0, of_largest: SINGLE });
}

#[test]
fn adamw_matches_pytorch() {
    training_matches("adamw", &tiny_plan());
}

#[test]
fn adamw_that_decays_everything_matches_pytorch() {
    let mut plan = tiny_plan();
    plan.optimizer.decay_all = true;
    training_matches("adamw_decay_all", &plan);
}

#[test]
fn adamw_with_clipping_matches_pytorch() {
    let mut plan = tiny_plan();
    plan.optimizer.grad_clip = recorded()["optimizer"]["max_norm"].as_f64().unwrap();
    training_matches("adamw_clipped", &plan);
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
    training_matches("sgd", &plan);
}

/// The numbers of `torch.optim.Muon`, whose arithmetic was recorded in f64; `change` is what a recording does otherwise.
fn muon_matches(name: &str, change: impl Fn(&mut OptimizerPlan)) {
    let recorded = recorded();
    let setting = |key: &str| recorded["optimizer"][key].as_f64().unwrap();
    let mut plan = tiny_plan();
    plan.optimizer.kind = OptimizerKind::Muon;
    plan.optimizer.learning_rate = setting("muon_learning_rate");
    plan.optimizer.adamw_learning_rate = Some(setting("muon_adamw_learning_rate"));
    plan.optimizer.momentum = setting("muon_momentum");
    plan.optimizer.weight_decay = setting("muon_weight_decay");
    change(&mut plan.optimizer);
    training_matches_in::<f64>(name, &plan, 1e-9);
    training_matches_in::<f32>(name, &plan, MUON_SINGLE);
}

/// What f32 may be off by with Muon: where a gradient has small singular values, what rounds them is made large.
const MUON_SINGLE: f64 = 1e-4;

#[test]
fn muon_matches_pytorch() {
    muon_matches("muon", |_| ());
}

#[test]
fn muon_with_plain_momentum_matches_pytorch() {
    muon_matches("muon_plain_momentum", |plan| plan.nesterov = false);
}

#[test]
fn muon_with_momentum_that_warms_up_matches_pytorch() {
    muon_matches("muon_warm_momentum", |plan| {
        plan.momentum_start = 0.5;
        plan.momentum_warmup_steps = 3;
    });
}

#[test]
fn muon_scaled_as_adamw_matches_pytorch() {
    muon_matches("muon_match_rms_adamw", |plan| plan.adjust_lr_fn = AdjustLr::MatchRmsAdamw);
}

#[test]
fn muon_scaled_by_its_sides_alone_matches_pytorch() {
    muon_matches("muon_spectral_unclamped", |plan| plan.adjust_lr_fn = AdjustLr::SpectralUnclamped);
}

#[test]
fn muon_on_queries_keys_and_values_together_matches_pytorch() {
    muon_matches("muon_whole_qkv", |plan| plan.split_qkv = false);
}

#[test]
fn muon_with_clipping_matches_pytorch() {
    muon_matches("muon_clipped", |plan| {
        plan.grad_clip = recorded()["optimizer"]["max_norm"].as_f64().unwrap();
    });
}

#[test]
fn pytorch_in_bf16_is_near_its_recording_in_f64() {
    let recorded = recorded();
    let losses = |name: &str| -> Vec<f64> {
        recorded[name]["losses"].as_array().unwrap().iter().map(|loss| loss.as_f64().unwrap()).collect()
    };
    let differences =
        losses("muon").into_iter().zip(losses("muon_bf16")).map(|(exact, rounded)| (exact - rounded).abs());
    assert!(differences.fold(0.0, f64::max) < 1e-3);
}

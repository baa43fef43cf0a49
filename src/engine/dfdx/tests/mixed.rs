//! Mixed precision, on the processor: slow, and the same passes as on a GPU.

use super::super::mixed::MixedPasses;
use super::texts::*;
use super::*;
use crate::ops::F16;

type Mixed = DfdxEngine<f32, Cpu, MixedPasses<F16, Cpu>>;

fn mixed(plan: &RunPlan) -> Mixed {
    mixed_within(plan, Limits::default())
}

fn mixed_within(plan: &RunPlan, limits: Limits) -> Mixed {
    let passes = MixedPasses::default();
    let mut engine =
        DfdxEngine::open(plan, 0, &Cpu::default(), passes, budget(plan, limits), info()).unwrap();
    // The first few steps would find this out.
    engine.passes.set_loss_scale(scale(FITTING));
    engine
}

/// A scale with which no gradient of these tests' model overflows.
const FITTING: f64 = 4096.0;

/// A scale as it is in a checkpoint.
fn scale(scale: f64) -> LossScale {
    serde_json::from_value(serde_json::json!({ "scale": scale, "good_steps": 0 })).unwrap()
}

/// The gradient of a batch's loss, parameter after parameter.
fn gradient<P: Passes<f32, Cpu>>(engine: &mut DfdxEngine<f32, Cpu, P>, batch: &Batch) -> Vec<f32> {
    struct Collect<'a>(&'a mut Gradients<f32, Cpu>, Vec<f32>);
    impl Visit<f32, Cpu> for Collect<'_> {
        type Err = CpuError;
        fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, Cpu>) -> Result<(), CpuError> {
            self.1.extend(self.0.get_or_alloc_mut(tensor)?.iter());
            Ok(())
        }
    }
    engine.try_gradients(std::slice::from_ref(batch)).unwrap();
    let mut collect = Collect(engine.gradients.as_mut().unwrap(), Vec::new());
    engine.gpt.visit(&mut collect).unwrap();
    collect.1
}

#[test]
fn ten_steps_follow_those_in_single_precision() {
    for (name, plan, accumulate) in settings() {
        let expected = ten_steps(&mut engine::<f32>(&plan), accumulate);
        let found = ten_steps(&mut mixed(&plan), accumulate);
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let is_right = are_close(found.loss, expected.loss, 5e-3)
                && are_close(found.grad_norm, expected.grad_norm, 2e-2);
            assert!(is_right, "{name}, step {step}: {found:?} instead of {expected:?}");
            assert_eq!(found.scaling, Some(Scaling { loss_scale: FITTING, skipped: false }));
        }
    }
}

#[test]
fn logits_in_parts_are_logits_at_once() {
    let plan = plan(true, 0.0);
    let at_once = ten_steps(&mut mixed(&plan), false);
    // 140 positions of 61 logits, 48 at a time: two whole parts and a shorter one.
    let limits = Limits { logits: 48 * 61, ..Limits::default() };
    let mut engine = mixed_within(&plan, limits);
    let evaluated = engine.loss(&texts()[0]).unwrap();
    assert!(are_close(evaluated, mixed(&plan).loss(&texts()[0]).unwrap(), 1e-6));
    for (found, expected) in ten_steps(&mut engine, false).iter().zip(&at_once) {
        assert!(are_close(found.loss, expected.loss, 1e-3), "{found:?} {expected:?}");
        assert!(are_close(found.grad_norm, expected.grad_norm, 1e-2), "{found:?} {expected:?}");
    }
}

/// How far apart elements are, as a share of the expected ones, in the middle of those that are small.
fn median_error(found: &[f32], expected: &[f32], small: std::ops::Range<f32>) -> f64 {
    let pairs = found.iter().zip(expected).filter(|(_, expected)| small.contains(&expected.abs()));
    let mut errors: Vec<f64> =
        pairs.map(|(found, expected)| f64::from((found - expected).abs() / expected.abs())).collect();
    assert!(errors.len() > 100, "{} small elements are too few to tell", errors.len());
    errors.sort_by(f64::total_cmp);
    errors[errors.len() / 2]
}

#[test]
fn small_gradients_are_those_of_single_precision() {
    let (plan, batch) = (plan(true, 0.0), &texts()[0]);
    let expected = gradient(&mut engine::<f32>(&plan), batch);
    // Half precision has less than its eleven bits below 6e-5, and nothing below 3e-8.
    let small = 1e-7..2e-6;
    let found = gradient(&mut mixed(&plan), batch);
    let error = median_error(&found, &expected, small.clone());
    assert!(error < 0.02, "{error}");

    // Without scaling they are lost, so this is what the scale is for.
    let mut unscaled = mixed(&plan);
    unscaled.passes.set_loss_scale(scale(1.0));
    let error = median_error(&gradient(&mut unscaled, batch), &expected, small);
    assert!(error > 0.05, "{error}");
}

#[test]
fn weights_whose_gradients_are_small_move_as_in_single_precision() {
    // The target of Adam: fifty equal steps of the learning rate from 1 to 0.95, whatever the gradient's size.
    const GRADIENT: f64 = 1e-4;
    const STEPS: i32 = 50;
    let device = Cpu::default();
    let naive = {
        let config =
            dfdx::tensor_ops::AdamConfig { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: None };
        let mut weight: Tensor<(usize,), F16, Cpu> = device.ones_like(&(1,));
        let mut buffers = [(); 3].map(|()| Gradients::leaky());
        let [gradient, first, second] =
            buffers.each_mut().map(|buffer| buffer.get_or_alloc_mut(&weight).unwrap());
        gradient.fill(crate::ops::number(GRADIENT));
        for step in 1..=STEPS {
            config.try_update(step, &mut weight, first, second, gradient).unwrap();
        }
        weight.as_vec()[0].0.to_f64()
    };
    assert!((naive - 0.95).abs() > 0.02, "half precision alone would do: {naive}");

    // A whole model whose gradients are about as small: the loss of a model that has nearly learned its text.
    let mut plan = plan(true, 0.0);
    plan.optimizer.grad_clip = 0.0;
    plan.optimizer.weight_decay = 0.0;
    let batch = &texts()[..1];
    let trained = |engine: &mut dyn Engine| -> (f64, Vec<f64>) {
        let losses: Vec<f64> = (0..120).map(|_| engine.train_step(batch, 5e-3).unwrap().loss).collect();
        (losses[119], losses)
    };
    let (expected, _) = trained(&mut engine::<f32>(&plan));
    let (found, losses) = trained(&mut mixed(&plan));
    assert!(expected < 0.1, "too little is learned for small gradients: {expected}");
    assert!(are_close(found, expected, 0.05), "{found} instead of {expected}: {losses:?}");
}

#[test]
fn a_gradient_that_overflows_is_skipped_and_training_goes_on() {
    let plan = plan(true, 0.0);
    let mut engine = mixed(&plan);
    engine.passes.set_loss_scale(scale(2f64.powi(40)));
    let loss = |engine: &mut Mixed| engine.loss(&texts()[0]).unwrap();
    let before = loss(&mut engine);
    let mut skipped = 0;
    let done = loop {
        let output = engine.train_step(&texts()[..1], 1e-2).unwrap();
        let scaling = output.scaling.unwrap();
        assert_eq!(scaling.loss_scale, 2f64.powi(40 - skipped));
        if !scaling.skipped {
            break output;
        }
        skipped += 1;
        assert_eq!(loss(&mut engine), before, "a skipped step changed the weights");
    };
    assert!(skipped > 5 && skipped < 35, "{skipped}");
    let expected = mixed(&plan).train_step(&texts()[..1], 1e-2).unwrap();
    assert!(are_close(done.grad_norm, expected.grad_norm, 1e-2), "{done:?} {expected:?}");
    assert!(loss(&mut engine) < before);
}

#[test]
fn a_gradient_that_is_never_finite_is_not_skipped_for_ever() {
    let mut engine = mixed(&plan(true, 0.0));
    engine.passes.set_loss_scale(scale(1.0));
    // Weights that half precision cannot hold, where the loss still is a number: the head's input is normalised.
    struct Huge;
    impl crate::model::params::VisitMut<f32, Cpu> for Huge {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(
            &mut self,
            p: &Parameter,
            tensor: &mut Tensor<S, f32, Cpu>,
        ) -> Result<(), Self::Err> {
            if p.name == "h.0.attn.c_attn.weight" {
                tensor.copy_from(&vec![1e6; tensor.shape().num_elements()]);
            }
            Ok(())
        }
    }
    let Ok(()) = engine.gpt.visit_mut(&mut Huge);
    engine.passes.give_back_memory();
    let output = engine.train_step(&texts()[..1], 1e-2).unwrap();
    assert!(!output.loss.is_finite() || !output.grad_norm.is_finite(), "{output:?}");
    assert!(!output.scaling.unwrap().skipped);
}

#[test]
fn checkpoints_move_between_precisions() {
    let mut plan = plan(true, 0.1);
    let mut original = mixed(&plan);
    original.passes.set_loss_scale(scale(1024.0));
    ten_steps(&mut original, false);
    let dir = tempfile::tempdir().unwrap();
    original.save(dir.path()).unwrap();

    plan.experiment.seed = 77;
    let mut resumed = mixed(&plan);
    ten_steps(&mut resumed, false);
    resumed.load(dir.path()).unwrap();
    let mut single = engine::<f32>(&plan);
    single.load(dir.path()).unwrap();
    let again = tempfile::tempdir().unwrap();
    single.save(again.path()).unwrap();
    for file in [WEIGHTS_FILE, "optimizer.safetensors"] {
        let bytes = |dir: &Path| std::fs::read(dir.join(file)).unwrap();
        assert!(bytes(dir.path()) == bytes(again.path()), "{file}");
    }
    let expected = ten_steps(&mut original, false);
    assert_eq!(expected[0].scaling.unwrap().loss_scale, 1024.0);
    assert_eq!(expected, ten_steps(&mut resumed, false));
    for (found, expected) in ten_steps(&mut single, false).iter().zip(&expected) {
        assert!(are_close(found.loss, expected.loss, 1e-2), "{found:?} instead of {expected:?}");
    }
    // What was saved in single precision has no scale, and mixed precision keeps its own.
    let mut mixed = mixed(&plan);
    mixed.load(again.path()).unwrap();
    assert_eq!(mixed.passes.loss_scale(), Some(scale(FITTING)));
}

#[test]
fn the_next_tokens_logits_are_close_to_those_in_single_precision() {
    let plan = plan(true, 0.0);
    let context: Vec<u32> = texts()[0].inputs[..20].to_vec();
    let expected = engine::<f32>(&plan).next_token_logits(&context).unwrap();
    let found = mixed(&plan).next_token_logits(&context).unwrap();
    let largest = expected.iter().fold(0.0f32, |largest, x| largest.max(x.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() < 5e-3 * largest, "{found} {expected}");
    }
}

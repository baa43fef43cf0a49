//! What the engine promises besides the right numbers.

use super::*;
use crate::model::params::VisitMut;

/// A tiny model from its seed.
fn fresh_plan() -> RunPlan {
    let mut plan = tiny_plan();
    plan.train.init_from = None;
    plan
}

fn bits(losses: &[f64]) -> Vec<u64> {
    losses.iter().map(|loss| loss.to_bits()).collect()
}

/// Losses of one step on each recorded batch.
fn train(engine: &mut OnCpu<f32>) -> Vec<f64> {
    let step = |batch| engine.train_step(std::slice::from_ref(batch), 1e-2).unwrap().loss;
    batches().iter().map(step).collect()
}

/// The whole model's parameters, in order.
fn parameters<E: Dtype>(engine: &OnCpu<E>) -> Vec<Vec<E>>
where
    Cpu: Update<E>,
{
    struct Collect<E>(Vec<Vec<E>>);
    impl<E: Dtype> Visit<E, Cpu> for Collect<E> {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, E, Cpu>) -> Result<(), Self::Err> {
            self.0.push(tensor.as_vec());
            Ok(())
        }
    }
    let mut collect = Collect(Vec::new());
    let Ok(()) = engine.gpt.visit(&mut collect);
    collect.0
}

#[test]
fn the_same_seed_gives_the_same_bits_and_another_seed_others() {
    let mut plan = fresh_plan();
    plan.model.dropout = 0.1;
    let losses = train(&mut engine(&plan));
    assert_eq!(bits(&losses), bits(&train(&mut engine(&plan))));
    plan.experiment.seed = 2;
    assert_ne!(bits(&losses), bits(&train(&mut engine(&plan))));
}

#[test]
fn a_new_model_knows_nothing() {
    let loss = engine::<f32>(&fresh_plan()).loss(&batches()[0]).unwrap();
    assert!((loss - 37f64.ln()).abs() < 0.05, "{loss}");
}

#[test]
fn training_on_one_batch_memorises_it() {
    let mut engine = engine::<f32>(&fresh_plan());
    let batch = &batches()[..1];
    let first = engine.train_step(batch, 1e-2).unwrap().loss;
    let last = (0..60).map(|_| engine.train_step(batch, 1e-2).unwrap().loss).last().unwrap();
    assert!(last < first / 4.0, "{first} -> {last}");
}

#[test]
fn accumulated_batches_of_unequal_size_equal_the_big_batch() {
    let cut = |batch: &Batch, from: usize, to: usize| Batch {
        batch_size: to - from,
        sequence_length: 12,
        inputs: batch.inputs[from * 12..to * 12].to_vec(),
        targets: batch.targets[from * 12..to * 12].to_vec(),
    };
    let (mut whole, mut parts) = (engine::<f64>(&tiny_plan()), engine::<f64>(&tiny_plan()));
    for batch in batches() {
        let a = whole.train_step(std::slice::from_ref(&batch), 1e-2).unwrap();
        let b = parts.train_step(&[cut(&batch, 0, 1), cut(&batch, 1, 3)], 1e-2).unwrap();
        assert!((a.loss - b.loss).abs() < 1e-12);
        assert!((a.grad_norm - b.grad_norm).abs() < 1e-12);
    }
    for (a, b) in parameters(&whole).iter().flatten().zip(parameters(&parts).iter().flatten()) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

#[test]
fn a_later_token_does_not_change_earlier_logits() {
    let engine = engine::<f64>(&tiny_plan());
    let tokens: Vec<u32> = batches()[0].inputs[..12].to_vec();
    let logits = |tokens: &[u32]| engine.gpt.try_logits(tokens, 12).unwrap().as_vec();
    let before = logits(&tokens);
    for changed in 0..12 {
        let mut other = tokens.clone();
        other[changed] = (other[changed] + 1) % 37;
        let after = logits(&other);
        let (past, rest) = (changed * 37, changed * 37..(changed + 1) * 37);
        assert_eq!(before[..past], after[..past]);
        assert_ne!(before[rest.clone()], after[rest]);
    }
}

#[test]
fn the_next_tokens_logits_are_the_last_row_and_see_only_the_last_block() {
    let mut engine = engine::<f32>(&tiny_plan());
    let tokens: Vec<u32> = batches()[0].inputs[..20].to_vec();
    let found = engine.next_token_logits(&tokens).unwrap();
    let all = engine.gpt.try_logits(&tokens[8..], 12).unwrap().as_vec();
    assert_eq!(found.len(), 37);
    for (a, b) in found.iter().zip(&all[11 * 37..]) {
        assert!((a - b).abs() < 1e-5);
    }
}

#[test]
fn dropout_acts_in_training_and_not_in_evaluation() {
    let mut plan = tiny_plan();
    let expected = engine::<f32>(&plan).loss(&batches()[0]).unwrap();
    plan.model.dropout = 0.5;
    let mut engine = engine::<f32>(&plan);
    assert_eq!(engine.loss(&batches()[0]).unwrap(), expected);
    assert_ne!(engine.train_step(&batches()[..1], 1e-3).unwrap().loss, expected);
}

#[test]
fn a_loss_that_is_not_finite_is_returned_and_changes_nothing() {
    struct Poison;
    impl VisitMut<f32, Cpu> for Poison {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(
            &mut self,
            p: &Parameter,
            tensor: &mut Tensor<S, f32, Cpu>,
        ) -> Result<(), Self::Err> {
            if p.name == "ln_f.bias" {
                tensor.copy_from(&[f32::NAN; 16]);
            }
            Ok(())
        }
    }
    let mut engine = engine::<f32>(&tiny_plan());
    let Ok(()) = engine.gpt.visit_mut(&mut Poison);
    let before = parameters(&engine);
    assert!(engine.train_step(&batches(), 1e-2).unwrap().loss.is_nan());
    let bits = |list: &[Vec<f32>]| list.iter().flatten().map(|x| x.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&before), bits(&parameters(&engine)));
}

/// Every gradient that the engine keeps between steps.
fn kept_gradients(engine: &OnCpu<f32>) -> Vec<f32> {
    struct Collect<'a>(&'a Gradients<f32, Cpu>, Vec<f32>);
    impl Visit<f32, Cpu> for Collect<'_> {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, Cpu>) -> Result<(), Self::Err> {
            self.1.extend(self.0.get(tensor).as_vec());
            Ok(())
        }
    }
    let mut collect = Collect(engine.gradients.as_ref().unwrap(), Vec::new());
    let Ok(()) = engine.gpt.visit(&mut collect);
    collect.1
}

#[test]
fn a_step_leaves_zeros_in_every_gradient() {
    for &kind in OptimizerKind::ALL {
        let mut plan = tiny_plan();
        (plan.optimizer.kind, plan.optimizer.grad_clip) = (kind, 0.1);
        let mut engine = engine::<f32>(&plan);
        train(&mut engine);
        let gradients = kept_gradients(&engine);
        assert_eq!(gradients.len() as u64, engine.model().parameters);
        assert!(gradients.iter().all(|&x| x == 0.0));
    }
}

#[test]
fn gradients_of_a_step_that_was_given_up_do_not_reach_the_next() {
    /// Makes the last of twelve positions NaN.
    struct Poison;
    impl VisitMut<f32, Cpu> for Poison {
        type Err = std::convert::Infallible;
        fn visit<S: Shape>(
            &mut self,
            p: &Parameter,
            tensor: &mut Tensor<S, f32, Cpu>,
        ) -> Result<(), Self::Err> {
            if p.name == "wpe.weight" {
                let mut values = tensor.as_vec();
                values[11 * 16..12 * 16].fill(f32::NAN);
                tensor.copy_from(&values);
            }
            Ok(())
        }
    }
    let whole = &batches()[0];
    let short = Batch {
        batch_size: 1,
        sequence_length: 6,
        inputs: whole.inputs[..6].to_vec(),
        targets: whole.targets[..6].to_vec(),
    };
    let mut engine_given_up = engine::<f32>(&tiny_plan());
    let Ok(()) = engine_given_up.gpt.visit_mut(&mut Poison);
    assert!(engine_given_up.train_step(std::slice::from_ref(&short), 0.0).unwrap().loss.is_finite());
    assert!(engine_given_up.train_step(&[short, whole.clone()], 1e-2).unwrap().loss.is_nan());
    let mut fresh = engine::<f32>(&tiny_plan());
    let dir = tempfile::tempdir().unwrap();
    fresh.save(dir.path()).unwrap();
    engine_given_up.load(dir.path()).unwrap();
    assert_eq!(bits(&train(&mut fresh)), bits(&train(&mut engine_given_up)));
}

#[test]
fn a_saved_engine_goes_on_as_if_nothing_had_happened() {
    for &kind in OptimizerKind::ALL {
        let mut plan = fresh_plan();
        (plan.optimizer.kind, plan.optimizer.momentum, plan.model.dropout) = (kind, 0.9, 0.2);
        let mut original = engine::<f32>(&plan);
        train(&mut original);
        let dir = tempfile::tempdir().unwrap();
        original.save(dir.path()).unwrap();

        plan.experiment.seed = 77;
        let mut resumed = engine::<f32>(&plan);
        train(&mut resumed);
        resumed.load(dir.path()).unwrap();
        assert_eq!(bits(&train(&mut original)), bits(&train(&mut resumed)), "{kind:?}");
    }
}

#[test]
fn weights_that_are_not_finite_are_not_saved() {
    let dir = tempfile::tempdir().unwrap();
    let mut engine = engine::<f32>(&fresh_plan());
    engine.save(dir.path()).unwrap();
    engine.train_step(&batches()[..1], f64::from(f32::MAX)).unwrap();
    engine.train_step(&batches()[1..2], f64::INFINITY).unwrap();
    let spoilt = parameters(&engine).iter().flatten().any(|weight| !weight.is_finite());
    assert!(spoilt, "the test spoils nothing");
    let error = engine.save(dir.path()).unwrap_err();
    assert!(matches!(error, EngineError::NotFinite { .. }), "{error}");
}

#[test]
fn a_damaged_state_is_an_error_that_names_the_file() {
    let mut original = engine::<f32>(&fresh_plan());
    for name in ["model.safetensors", "optimizer.safetensors", "engine.json"] {
        let dir = tempfile::tempdir().unwrap();
        original.save(dir.path()).unwrap();
        let path = dir.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let error = original.load(dir.path()).unwrap_err().to_string();
        assert!(error.contains(name), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(original.load(dir.path()), Err(EngineError::Io { .. })));
    }
}

#[test]
fn tokens_outside_the_vocabulary_and_misfit_batches_are_errors() {
    let mut engine = engine::<f32>(&fresh_plan());
    let good = &batches()[0];
    let bad = [
        Batch { inputs: vec![37; 36], ..good.clone() },
        Batch { targets: vec![u32::MAX; 36], ..good.clone() },
        Batch { batch_size: 2, ..good.clone() },
        Batch { batch_size: 0, inputs: Vec::new(), targets: Vec::new(), ..good.clone() },
        Batch { batch_size: 2, sequence_length: 18, ..good.clone() },
    ];
    for batch in bad {
        assert!(matches!(engine.loss(&batch), Err(EngineError::Compute { .. })), "{batch:?}");
        assert!(engine.train_step(std::slice::from_ref(&batch), 1e-3).is_err());
    }
    assert!(engine.train_step(&[], 1e-3).is_err());
    assert!(engine.next_token_logits(&[]).is_err());
    assert!(engine.next_token_logits(&[37]).is_err());
}

#[test]
fn the_counted_parameters_are_those_of_the_model() {
    for bias in [true, false] {
        let mut plan = fresh_plan();
        plan.model.bias = bias;
        let mut engine = engine::<f32>(&plan);
        let real: usize = parameters(&engine).iter().map(Vec::len).sum();
        let counted = crate::engine::parameter_count(&plan.model, 0);
        assert_eq!(counted, engine.model());
        assert_eq!(counted.parameters, real as u64);
        assert_eq!(counted.breakdown.iter().map(|group| group.parameters).sum::<u64>(), real as u64);
        assert!(train(&mut engine).iter().all(|loss| loss.is_finite()));
    }
}

#[cfg(not(feature = "cuda"))]
#[test]
fn without_cuda_a_gpu_is_refused_with_advice_and_auto_takes_the_cpu() {
    let mut plan = fresh_plan();
    plan.hardware.device = DeviceChoice::Cuda(1).into();
    let Err(error) = crate::engine::open(&plan, 0) else { panic!("there is no GPU in this build") };
    let text = error.to_string();
    assert!(text.contains("cuda:1") && text.contains("cargo build --release --features cuda"), "{text}");
    plan.hardware.device = DeviceChoice::Auto.into();
    assert_eq!(
        crate::engine::open(&plan, 0).ok().map(|engine| engine.device().device),
        Some("cpu".to_owned())
    );
}

//! The engine on fused operations against the one on their composed twins: whole models in training.
//!
//! `Cpu` in f64 has no operations of its own, so it trains on those of `ops::composed` and `optim::composed`.

use super::*;

/// A model that attends over more positions than its operations take at a time, with gradients that get clipped.
fn plan(bias: bool, dropout: f64) -> RunPlan {
    let mut plan = tiny_plan();
    plan.train.init_from = None;
    plan.model = ModelPlan {
        preset: None,
        n_layer: 2,
        n_head: 3,
        n_embd: 24,
        block_size: 80,
        vocab_size: Some(61),
        dropout,
        bias,
    };
    plan.optimizer.grad_clip = 1.0;
    plan
}

/// Ten batches of two sequences of a quarter of the tokens, in which most follow from the one before.
fn texts() -> Vec<Batch> {
    let tokens = 70;
    let text = |start: u32| {
        let next = |id: &u32| Some((id * 5 + 7 + u32::from(id.is_multiple_of(4)) * start) % 16);
        std::iter::successors(Some(start % 16), next).take(tokens + 1).collect::<Vec<u32>>()
    };
    let batch = |i: u32| {
        let texts = [text(2 * i + 1), text(2 * i + 2)];
        Batch {
            batch_size: 2,
            sequence_length: tokens,
            inputs: texts.iter().flat_map(|text| &text[..tokens]).copied().collect(),
            targets: texts.iter().flat_map(|text| &text[1..]).copied().collect(),
        }
    };
    (0..10).map(batch).collect()
}

/// A batch as two of unequal size: its first sequence, and the first half of its second.
fn parts(batch: &Batch) -> Vec<Batch> {
    let tokens = batch.sequence_length;
    let part = |from: usize, to: usize| Batch {
        batch_size: 1,
        sequence_length: to - from,
        inputs: batch.inputs[from..to].to_vec(),
        targets: batch.targets[from..to].to_vec(),
    };
    vec![part(0, tokens), part(tokens, tokens + tokens / 2)]
}

/// Ten steps, each on one batch or on two that are accumulated.
fn train<E: Dtype>(plan: &RunPlan, accumulate: bool) -> Vec<StepOutput>
where
    Cpu: Update<E>,
{
    let mut engine = engine::<E>(plan);
    let step = |batch: &Batch| {
        let batches = if accumulate { parts(batch) } else { vec![batch.clone()] };
        engine.train_step(&batches, 1e-2).unwrap()
    };
    texts().iter().map(step).collect()
}

/// Whether two numbers differ by less than `tolerance` times the second.
fn are_close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() < tolerance * expected.abs()
}

/// Every combination of bias, dropout and accumulation, with its name.
fn settings() -> impl Iterator<Item = (String, RunPlan, bool)> {
    [true, false].into_iter().flat_map(|bias| {
        [0.0, 0.1].into_iter().flat_map(move |dropout| {
            [false, true].into_iter().map(move |accumulate| {
                let name = format!("bias {bias}, dropout {dropout}, accumulation {accumulate}");
                (name, plan(bias, dropout), accumulate)
            })
        })
    })
}

#[test]
fn ten_steps_have_the_losses_and_gradient_norms_of_the_composed_engine() {
    for (name, mut plan, accumulate) in settings() {
        let expected = train::<f64>(&plan, accumulate);
        let (first, last) = (expected[0].loss, expected[9].loss);
        assert!(last < 0.8 * first, "{name}: too little is learned to tell, {first} -> {last}");
        for checkpointing in [false, true] {
            plan.train.activation_checkpointing = checkpointing;
            let found = train::<f32>(&plan, accumulate);
            for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
                let is_right = are_close(found.loss, expected.loss, 1e-4)
                    && are_close(found.grad_norm, expected.grad_norm, 1e-3);
                assert!(
                    is_right,
                    "{name}, checkpointing {checkpointing}, step {step}: {found:?} instead of {expected:?}"
                );
            }
        }
    }
}

#[test]
fn activation_checkpointing_changes_no_bit() {
    for (name, mut plan, accumulate) in settings() {
        let bits = |plan: &RunPlan| -> Vec<[u64; 2]> {
            let outputs = train::<f32>(plan, accumulate);
            outputs.iter().map(|output| [output.loss.to_bits(), output.grad_norm.to_bits()]).collect()
        };
        let kept = bits(&plan);
        plan.train.activation_checkpointing = true;
        assert_eq!(kept, bits(&plan), "{name}");
    }
}

#[test]
fn fused_steps_know_where_their_time_went() {
    let plan = plan(true, 0.1);
    let mut engine = engine::<f32>(&plan);
    assert!(engine.step_parts().is_empty());
    let started = std::time::Instant::now();
    for batch in texts() {
        engine.train_step(&[batch], 1e-2).unwrap();
    }
    let elapsed = started.elapsed().as_secs_f64();
    let parts = engine.step_parts();
    for part in &parts {
        assert!(part.secs > 0.0, "{}", part.part);
    }
    let whole: f64 = parts.iter().map(|part| part.secs).sum();
    assert!(whole <= elapsed && whole > 0.5 * elapsed, "{whole} of {elapsed}");
    // Evaluations are no steps.
    engine.loss(&texts()[0]).unwrap();
    assert_eq!(engine.step_parts(), parts);
}

#[test]
fn composed_steps_do_not_pretend_to_know() {
    let mut engine = engine::<f64>(&plan(true, 0.0));
    engine.train_step(&texts()[..1], 1e-2).unwrap();
    assert!(engine.step_parts().is_empty());
}

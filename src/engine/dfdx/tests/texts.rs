//! A small model and texts from which it learns within ten steps.

use super::*;

/// A model that attends over more positions than its operations take at a time, with gradients that get clipped.
pub fn plan(bias: bool, dropout: f64) -> RunPlan {
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
pub fn texts() -> Vec<Batch> {
    texts_of(70)
}

/// As [`texts`], with so many tokens in a sequence.
pub fn texts_of(tokens: usize) -> Vec<Batch> {
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
pub fn parts(batch: &Batch) -> Vec<Batch> {
    let tokens = batch.sequence_length;
    let part = |from: usize, to: usize| Batch {
        batch_size: 1,
        sequence_length: to - from,
        inputs: batch.inputs[from..to].to_vec(),
        targets: batch.targets[from..to].to_vec(),
    };
    vec![part(0, tokens), part(tokens, tokens + tokens / 2)]
}

/// Whether two numbers differ by less than `tolerance` times the second.
pub fn are_close(found: f64, expected: f64, tolerance: f64) -> bool {
    (found - expected).abs() < tolerance * expected.abs()
}

/// Every combination of bias, dropout and accumulation, with its name.
pub fn settings() -> impl Iterator<Item = (String, RunPlan, bool)> {
    [true, false].into_iter().flat_map(|bias| {
        [0.0, 0.1].into_iter().flat_map(move |dropout| {
            [false, true].into_iter().map(move |accumulate| {
                let name = format!("bias {bias}, dropout {dropout}, accumulation {accumulate}");
                (name, plan(bias, dropout), accumulate)
            })
        })
    })
}

/// Ten steps of an engine, each on one batch or on two that are accumulated.
pub fn ten_steps(engine: &mut dyn Engine, accumulate: bool) -> Vec<StepOutput> {
    steps_on(&texts(), engine, accumulate)
}

/// A step of an engine on each batch, or on each as two that are accumulated.
pub fn steps_on(texts: &[Batch], engine: &mut dyn Engine, accumulate: bool) -> Vec<StepOutput> {
    let step = |batch: &Batch| {
        let batches = if accumulate { parts(batch) } else { vec![batch.clone()] };
        engine.train_step(&batches, 1e-2).unwrap()
    };
    texts.iter().map(step).collect()
}

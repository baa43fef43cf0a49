//! The engine on fused operations against the one on their composed twins: whole models in training.
//!
//! `Cpu` in f64 has no operations of its own, so it trains on those of `ops::composed` and `optim::composed`.

use super::texts::*;
use super::*;

/// Ten steps, each on one batch or on two that are accumulated.
fn train<E: Dtype>(plan: &RunPlan, accumulate: bool) -> Vec<StepOutput>
where
    Cpu: Update<E>,
{
    ten_steps(&mut engine::<E>(plan), accumulate)
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
fn only_muon_says_how_long_it_made_matrices_orthogonal() {
    for (kind, expected) in [(OptimizerKind::Adamw, false), (OptimizerKind::Muon, true)] {
        let mut plan = plan(true, 0.0);
        plan.optimizer.kind = kind;
        let mut engine = engine::<f32>(&plan);
        engine.train_step(&texts()[..1], 1e-2).unwrap();
        let said = engine.step_parts().iter().any(|part| part.part.contains("orthogonal"));
        assert_eq!(said, expected, "{kind:?}");
    }
}

#[test]
fn composed_steps_do_not_pretend_to_know() {
    let mut engine = engine::<f64>(&plan(true, 0.0));
    engine.train_step(&texts()[..1], 1e-2).unwrap();
    assert!(engine.step_parts().is_empty());
}

#[test]
fn a_composed_engine_with_limits_trains_as_one_without() {
    for dropout in [0.0, 0.1] {
        let mut plan = plan(true, dropout);
        let expected = train::<f64>(&plan, true);
        // One sequence of scores, and parts of 50 positions of logits.
        let limits = Limits { scores: 3 * 70 * 70, logits: 50 * 61 };
        for checkpointing in [false, true] {
            plan.train.activation_checkpointing = checkpointing;
            let mut engine = DfdxEngine::<f64, _, _>::open(
                &plan,
                0,
                &Cpu::default(),
                Plain,
                budget(&plan, limits),
                info(),
            )
            .unwrap();
            let evaluated = engine.loss(&texts()[0]).unwrap();
            assert!(are_close(evaluated, super::engine::<f64>(&plan).loss(&texts()[0]).unwrap(), 1e-12));
            for (found, expected) in ten_steps(&mut engine, true).iter().zip(&expected) {
                let is_right = are_close(found.loss, expected.loss, 1e-10)
                    && are_close(found.grad_norm, expected.grad_norm, 1e-10);
                assert!(is_right, "checkpointing {checkpointing}: {found:?} instead of {expected:?}");
            }
        }
    }
}

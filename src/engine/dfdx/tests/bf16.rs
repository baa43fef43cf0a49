//! Products of bf16 on the processor: close to single precision, and with all of its promises.

use super::texts::*;
use super::*;

/// An engine with products of bf16, by the kernel that this machine has.
fn bf16(plan: &RunPlan) -> OnCpu<f32> {
    let mut engine = engine::<f32>(plan);
    engine.round_products(Kernel::choose());
    engine
}

/// The weights whose products are rounded: their copies, and the values that these are of.
fn copies(engine: &OnCpu<f32>) -> Vec<(Vec<u16>, Vec<u16>)> {
    struct Collect(std::vec::IntoIter<Option<Rounded>>, Vec<(Vec<u16>, Vec<u16>)>);
    impl Visit<f32, Cpu> for Collect {
        type Err = CpuError;
        fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, Cpu>) -> Result<(), CpuError> {
            if let Some(rounded) = self.0.next().flatten() {
                let values = tensor.as_vec();
                // Whoever finds the copy stale makes it anew, and this test finds nothing.
                assert!(!rounded.is_stale(), "the update did not write the copy");
                let copy = rounded.try_write(values.len())?.iter().map(|x| x.0).collect();
                self.1.push((copy, values.iter().map(|&x| Bf16::round(x).0).collect()));
            }
            Ok(())
        }
    }
    let mut collect = Collect(engine.gpt.rounded().into_iter(), Vec::new());
    engine.gpt.visit(&mut collect).unwrap();
    collect.1
}

#[test]
fn ten_steps_follow_those_in_single_precision() {
    for (name, plan, accumulate) in settings() {
        let expected = ten_steps(&mut engine::<f32>(&plan), accumulate);
        let found = ten_steps(&mut bf16(&plan), accumulate);
        let mut differs = false;
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let is_right = are_close(found.loss, expected.loss, 1e-2)
                && are_close(found.grad_norm, expected.grad_norm, 5e-2);
            assert!(is_right, "{name}, step {step}: {found:?} instead of {expected:?}");
            differs |= found.loss != expected.loss;
        }
        assert!(differs, "{name}: nothing was rounded");
    }
}

#[test]
fn an_update_writes_the_weights_copies() {
    for &kind in OptimizerKind::ALL {
        let mut plan = plan(true, 0.0);
        plan.optimizer.kind = kind;
        let mut engine = bf16(&plan);
        let before = engine.gpt.rounded();
        steps_on(&texts()[..2], &mut engine, false);
        let copies = copies(&engine);
        // Four of each of two layers, and the embedding.
        assert_eq!(copies.len(), 9, "{kind:?}");
        assert_eq!(before.iter().flatten().count(), 9);
        for (i, (copy, values)) in copies.iter().enumerate() {
            assert_eq!(copy, values, "{kind:?}: the copy of weight {i}");
        }
    }
}

#[test]
fn a_saved_engine_goes_on_as_if_nothing_had_happened_and_in_the_other_format_nearly_so() {
    let plan = plan(true, 0.1);
    let (first, then) = (&texts()[..5], &texts()[5..]);
    let folder = tempfile::tempdir().unwrap();
    let mut engine = bf16(&plan);
    steps_on(first, &mut engine, true);
    engine.save(folder.path()).unwrap();
    let expected = steps_on(then, &mut engine, true);

    // Copies of other weights are there when the checkpoint is read.
    let mut again = bf16(&plan);
    steps_on(&texts()[..1], &mut again, false);
    again.load(folder.path()).unwrap();
    assert_eq!(steps_on(then, &mut again, true), expected);

    let mut single = self::engine::<f32>(&plan);
    single.load(folder.path()).unwrap();
    for (found, expected) in steps_on(then, &mut single, true).iter().zip(&expected) {
        assert!(are_close(found.loss, expected.loss, 1e-2), "{found:?} instead of {expected:?}");
    }
}

#[test]
fn steps_have_the_same_bits_on_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| ten_steps(&mut bf16(&plan(true, 0.1)), false))
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn the_engine_says_what_multiplies_and_keeps_to_it_where_it_is_there() {
    let mut plan = plan(true, 0.0);
    plan.hardware.dtype = DtypeKind::Bf16;
    let device = crate::engine::open(&plan, 61).unwrap().device();
    assert_eq!(device.dtype, "bf16");
    assert_eq!(device.kernel.as_deref(), Some(Kernel::choose().name()));
    let before = DeviceInfo { kernel: Some(Kernel::Widened.name().to_owned()), ..device };
    let again = crate::engine::open_like(&plan, 61, Some(&before)).unwrap().device();
    assert_eq!(again.kernel, before.kernel);
    // One that is not there cannot be kept to; the manifest and whoever watches hear of it from the train loop.
    let elsewhere = DeviceInfo { kernel: Some("MMX".to_owned()), ..before };
    let here = crate::engine::open_like(&plan, 61, Some(&elsewhere)).unwrap().device();
    assert_eq!(here.kernel.as_deref(), Some(Kernel::choose().name()));
    plan.hardware.dtype = DtypeKind::F32;
    assert_eq!(crate::engine::open(&plan, 61).unwrap().device().kernel, None);
}

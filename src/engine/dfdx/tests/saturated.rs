//! Steps of a model that is as sure of everything as f32 can say: but for the likeliest, all that comes out of a softmax is
//! at the end of the numbers.

use super::*;
use crate::model::params::VisitMut;
use crate::threads::Pool;

/// Makes scores and logits hundreds of times larger.
struct Saturate;

impl VisitMut<f32, Cpu> for Saturate {
    type Err = std::convert::Infallible;
    fn visit<S: Shape>(&mut self, p: &Parameter, tensor: &mut Tensor<S, f32, Cpu>) -> Result<(), Self::Err> {
        if p.name == "wte.weight" || p.name.ends_with("attn.c_attn.weight") {
            let values: Vec<f32> = tensor.as_vec().iter().map(|x| x * 300.0).collect();
            tensor.copy_from(&values);
        }
        Ok(())
    }
}

/// The first moments of every parameter.
struct Moments<'a>(&'a OnCpu<f32>, Vec<f32>);

impl Visit<f32, Cpu> for Moments<'_> {
    type Err = CpuError;
    fn visit<S: Shape>(&mut self, _: &Parameter, tensor: &Tensor<S, f32, Cpu>) -> Result<(), CpuError> {
        let (name, first) = self.0.optimizer.state().iter().next().unwrap();
        assert_eq!(name, "exp_avg");
        self.1.extend(first.try_values(tensor)?);
        Ok(())
    }
}

/// The loss of one step on a saturated model, and the moments after it.
fn step() -> (f64, Vec<f32>) {
    let mut engine = engine::<f32>(&tiny_plan());
    let Ok(()) = engine.gpt.visit_mut(&mut Saturate);
    let output = engine.train_step(&batches()[..1], 1e-3).unwrap();
    // A step leaves its thread as it was.
    assert!(std::hint::black_box(f32::MIN_POSITIVE) * std::hint::black_box(0.5) > 0.0);
    let mut moments = Moments(&engine, Vec::new());
    engine.gpt.visit(&mut moments).unwrap();
    (output.loss, moments.1)
}

fn step_on(threads: usize) -> (f64, Vec<f32>) {
    Pool::new(threads, "test").unwrap().install(step)
}

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[test]
fn a_step_of_a_saturated_model_makes_no_subnormal_numbers() {
    let subnormal = |numbers: &[f32]| numbers.iter().filter(|x| x.is_subnormal()).count();
    let (usual, flushed) = (step(), step_on(2));
    assert!(subnormal(&usual.1) > 0, "the model is not saturated");
    assert_eq!(subnormal(&flushed.1), 0);
    assert_eq!(usual.0, flushed.0);
    let far = usual.1.iter().zip(&flushed.1).find(|(a, b)| (*a - *b).abs() > 1e-6 * a.abs() + 1e-36);
    assert_eq!(far, None);
}

#[test]
fn a_step_of_a_saturated_model_has_the_same_bits_on_any_number_of_threads() {
    let bits = |(loss, moments): (f64, Vec<f32>)| {
        (loss.to_bits(), moments.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    let one = bits(step_on(1));
    assert_eq!(one, bits(step_on(3)));
}

use dfdx::prelude::*;

use super::clip::composed;
use super::*;

fn gradient_of(tensor: &Tensor<(usize,), f64, Cpu>, values: &[f64]) -> Gradients<f64, Cpu> {
    let values = Cpu::default().tensor_from_vec(values.to_vec(), (values.len(),));
    (tensor.leaky_trace() * values).sum::<Rank0, _>().backward()
}

fn tensor(values: &[f64]) -> Tensor<(usize,), f64, Cpu> {
    Cpu::default().tensor_from_vec(values.to_vec(), (values.len(),))
}

#[test]
fn norm_and_scale_on_any_device_agree_with_those_written_for_the_cpu() {
    let mut p = tensor(&[1.0, -2.0, 0.5]);
    let mut gradients = gradient_of(&p, &[3.0, 4.0, 12.0]);
    assert_eq!(Cpu::try_squared_norm(&mut gradients, &p).unwrap(), 169.0);
    assert_eq!(composed::try_squared_norm(&mut gradients, &p).unwrap(), 169.0);
    Cpu::try_scale(&mut gradients, &mut p, 0.5).unwrap();
    assert_eq!(gradients.get(&p).as_vec(), [1.5, 2.0, 6.0]);
    composed::try_scale(&mut gradients, &mut p, 0.5).unwrap();
    assert_eq!(gradients.get(&p).as_vec(), [0.75, 1.0, 3.0]);
    assert_eq!(p.as_vec(), [1.0, -2.0, 0.5]);
}

#[test]
fn the_norm_of_a_long_gradient_does_not_drown_in_rounding() {
    let device = Cpu::default();
    let len = 3_000_000;
    let p: Tensor<(usize,), f32, Cpu> = device.zeros_like(&(len,));
    let mut gradients = Gradients::leaky();
    gradients.get_or_alloc_mut(&p).unwrap().fill(1e-3);
    let norm = Cpu::try_squared_norm(&mut gradients, &p).unwrap();
    assert!((norm / 3.0 - 1.0).abs() < 1e-6, "{norm}");
}

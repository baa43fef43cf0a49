//! Updates on a GPU, real or emulated, against those of the processor.

use super::*;

/// Numbers without a pattern.
fn noise(len: usize, salt: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7919 + salt * 104_729) % 2003) as f32 / 1001.5 - 1.0).collect()
}

/// A parameter with its gradient and moments.
struct State<D: Storage<f32>> {
    p: Tensor<(usize,), f32, D>,
    buffers: [Gradients<f32, D>; 3],
}

fn states<D: Update<f32>>(device: &D, lens: &[usize]) -> Vec<State<D>> {
    let state = |(salt, &len): (usize, &usize)| {
        let p = device.try_tensor(noise(len, salt), (len,)).unwrap();
        let mut buffers = [(); 3].map(|()| Gradients::leaky());
        for (i, buffer) in buffers.iter_mut().enumerate() {
            let mut values = noise(len, 100 + 3 * salt + i);
            if i == 2 {
                values.iter_mut().for_each(|x| *x = x.abs() + 0.1);
            }
            D::try_upload(buffer.get_or_alloc_mut(&p).unwrap(), &values).unwrap();
        }
        State { p, buffers }
    };
    lens.iter().enumerate().map(state).collect()
}

/// Parameters, gradients and moments after an update of all by AdamW, or else by gradient descent.
fn updated<D: Update<f32>>(device: &D, lens: &[usize], by_adamw: bool) -> Vec<Vec<f32>> {
    let mut states = states(device, lens);
    D::begin_updates();
    for (i, State { p, buffers: [gradient, first, second] }) in states.iter_mut().enumerate() {
        let (learning_rate, clip, decay) = (0.01, 0.7, [0.0, 0.1][i % 2]);
        let gradient = gradient.get_or_alloc_mut(p).unwrap();
        let (first, second) = (first.get_or_alloc_mut(p).unwrap(), second.get_or_alloc_mut(p).unwrap());
        let aside = Aside { scratch: &mut Vec::new(), rounded: None };
        if by_adamw {
            // Two rates, as Muon has them of its parts.
            let learning_rate = if i < 90 { learning_rate } else { 0.02 };
            let rule = AdamWRule { step: 3, learning_rate, betas: [0.9, 0.999], eps: 1e-8, decay, clip };
            D::try_adamw(&rule, p, gradient, [first, second], aside).unwrap();
        } else {
            let rule = SgdRule { learning_rate, momentum: 0.9, decay, clip };
            D::try_sgd(&rule, p, gradient, first, aside).unwrap();
        }
    }
    D::try_finish_updates().unwrap();
    let mut values = Vec::new();
    for State { p, mut buffers } in states {
        values.push(D::try_values(&p).unwrap());
        for buffer in &mut buffers {
            values.push(D::try_download(buffer.get_or_alloc_mut(&p).unwrap()).unwrap());
        }
    }
    values
}

#[test]
fn all_parameters_at_once_move_as_one_by_one_on_the_processor() {
    let cuda = Cuda::try_build(0, 0).unwrap();
    crate::ops::cuda::load_kernels(&cuda).unwrap();
    // More than one launch takes, and one longer than a block of the kernel works on.
    let lens: Vec<usize> = (0..110).map(|i| if i == 5 { 40_001 } else { 1 + i * 3 }).collect();
    for by_adamw in [true, false] {
        let (found, expected) = (updated(&cuda, &lens, by_adamw), updated(&Cpu::default(), &lens, by_adamw));
        for (list, (found, expected)) in found.iter().zip(&expected).enumerate() {
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                let off = (found - expected).abs();
                assert!(off <= 1e-6 * (1.0 + expected.abs()), "{by_adamw} {list} {i}: {found} {expected}");
            }
        }
        assert!(found.iter().skip(1).step_by(4).flatten().all(|x| *x == 0.0), "gradients are cleared");
    }
}

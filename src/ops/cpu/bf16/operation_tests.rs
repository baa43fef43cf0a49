//! bf16 products, and the operations with them against their composed twins in double precision.

use proptest::prelude::*;

use super::*;
use crate::ops::cpu::head::{Gradients, transposed};
use crate::ops::cpu::matmul::Write;
use crate::ops::cpu::operand::{self, Operand};
use crate::ops::cpu::tests::{assert_near, noise, run_block, run_head_loss};
use crate::ops::cpu::view::ViewMut;
use crate::ops::{AttentionShape, BlockDropout, BlockPass, Dropout};

fn kernels() -> impl Iterator<Item = Kernel> {
    Kernel::ALL.into_iter().filter(|kernel| {
        if !kernel.is_available() {
            eprintln!("NOT TESTED HERE: this processor has no {}", kernel.name());
        }
        kernel.is_available()
    })
}

/// Of weights, with which scores stay small: rounding changes a score by its share, and the softmax by a power of that.
const SIZE: f64 = 0.25;

fn rounded(rows: usize, columns: usize, salt: u64) -> Vec<Bf16> {
    let numbers = noise::<f32>(rows * Bf16::stride(columns), salt);
    numbers.into_iter().map(Bf16::round).collect()
}

/// Rows and columns of a product, and which operands lie transposed.
fn products() -> impl Strategy<Value = ([usize; 3], [bool; 2])> {
    let size = || prop_oneof![1usize..8, 30usize..35, 60usize..140];
    ([size(), size(), size()], any::<[bool; 2]>())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn products_are_those_of_the_numbers(([m, k, n], [left, right]) in products(), all in any::<bool>()) {
        let (a, b) = (rounded(m.max(k), m.max(k), 1), rounded(k.max(n), k.max(n), 2));
        let side = |data, rows: usize, columns: usize, transposed| {
            let view = operand::view(data, rows.max(columns));
            if transposed { view.rows(0, columns).columns(0, rows).transposed() } else { view.rows(0, rows).columns(0, columns) }
        };
        let (lhs, rhs) = (side(&a, m, k, left), side(&b, k, n, right));
        let bias: Vec<f32> = noise(n, 3);
        let workers = if all { Workers::All } else { Workers::One };
        let exact = |i: usize, j: usize| -> f64 {
            (0..k).map(|x| f64::from(lhs.get(i, x).widen()) * f64::from(rhs.get(x, j).widen())).sum()
        };
        for kernel in kernels() {
            let mut sums = vec![2.0f32; m * n];
            for (write, before) in [(Write::Add, 2.0), (Write::Over, 0.0)] {
                multiply(kernel, Destination::Sums { to: ViewMut::new(&mut sums, n), write }, lhs, rhs, workers);
                for (at, sum) in sums.iter().enumerate() {
                    let exact = before + exact(at / n, at % n);
                    prop_assert!((f64::from(*sum) - exact).abs() < 1e-5 * k as f64, "{kernel:?} {at}: {sum}, not {exact}");
                }
            }
            let mut to = vec![Bf16::ZERO; m * Bf16::stride(n)];
            multiply(
                kernel,
                Destination::Operand { to: operand::view_mut(&mut to, n), bias: Some(&bias) },
                lhs,
                rhs,
                workers,
            );
            for (at, sum) in sums.iter().enumerate() {
                let found = operand::view(&to[..], n).get(at / n, at % n);
                prop_assert_eq!(found, Bf16::round(sum + bias[at % n]), "{:?} {}", kernel, at);
            }
            let prepared = Prepared::try_new(kernel, rhs).unwrap();
            let mut again = vec![f32::NAN; m * n];
            prepared.multiply(ViewMut::new(&mut again, n), Write::Over, lhs);
            for (again, sum) in again.iter().zip(&sums) {
                // In f32 the order of the sum may depend on how the operands lie.
                let slack = if kernel == Kernel::Widened { 1e-5 * k as f32 } else { 0.0 };
                prop_assert!((again - sum).abs() <= slack, "{kernel:?}, prepared: {again}, not {sum}");
            }
        }
    }

    #[test]
    fn a_block_is_its_composed_twin(
        (batch, tokens, heads, head_width) in (1usize..4, 1usize..90, 1usize..4, 5usize..20),
        bias in any::<bool>(),
        recompute in any::<bool>(),
        dropped in any::<bool>(),
    ) {
        let dropout = dropped.then_some(Dropout { rate: 0.3, seed: 7 });
        let dropout = BlockDropout { attention: dropout, attention_out: dropout, mlp_out: dropout };
        let shape = AttentionShape { batch, tokens, heads };
        let pass = BlockPass { recompute, ..BlockPass::new(shape, dropout) };
        let columns = heads * head_width;
        let expected = run_block::<f64>(BlockPass::new(shape, dropout), columns, bias, SIZE, None);
        for kernel in kernels() {
            let found = run_block::<f32>(pass.clone(), columns, bias, SIZE, Some(kernel));
            assert_near(&found, &expected, 3e-2);
        }
    }

    // Fewer and more words than a block has, and positions than are taken at a time.
    #[test]
    fn head_loss_is_its_composed_twin(
        positions in prop_oneof![1usize..40, 2040usize..2060],
        vocabulary in prop_oneof![1usize..70, 1000usize..1100],
        columns in 1usize..40,
    ) {
        let targets: Vec<u32> = (0..positions).map(|i| (i * i % vocabulary) as u32).collect();
        let expected = run_head_loss::<f64>(&targets, vocabulary, columns, 3.0, None);
        for kernel in kernels() {
            assert_near(&run_head_loss::<f32>(&targets, vocabulary, columns, 3.0, Some(kernel)), &expected, 2e-2);
        }
    }
}

/// The loss and gradients of the head in the order of bf16, whoever multiplies.
fn run_transposed(kernel: Kernel, targets: &[u32], vocabulary: usize, columns: usize) -> Vec<Vec<f64>> {
    let x: Vec<f32> = noise::<f32>(targets.len() * columns, 1).iter().map(|x| x * 3.0).collect();
    let w = noise::<f32>(vocabulary * columns, 2);
    let rounded: Vec<Bf16> = w.iter().map(|&w| Bf16::round(w)).collect();
    let (mut dx, mut dw) = (vec![f32::NAN; x.len()], vec![f32::NAN; w.len()]);
    let gradients = Some(Gradients { dx: &mut dx, dw: &mut dw });
    let loss = transposed::loss(kernel, &x, &rounded, targets, gradients).unwrap();
    let alone = transposed::loss(kernel, &x, &rounded, targets, None).unwrap();
    assert_eq!(loss, alone, "gradients change the loss");
    let dot = |x: &[f32], w: &[Bf16]| -> f64 {
        x.iter().zip(w).map(|(&x, w)| f64::from(Bf16::round(x).widen()) * f64::from(w.widen())).sum()
    };
    // How far each target's logit is above the highest of the others.
    let leads = x.chunks(columns).zip(targets).map(|(x, &target)| {
        let logits: Vec<f64> = rounded.chunks(columns).map(|w| dot(x, w)).collect();
        let others = (0..vocabulary).filter(|&word| word != target as usize).map(|word| logits[word]);
        logits[target as usize] - others.fold(f64::NEG_INFINITY, f64::max)
    });
    let leads: Vec<f64> = leads.collect();
    let above = |margin: f64| leads.iter().filter(|&&lead| lead >= margin).count();
    assert!((above(1e-4)..=above(-1e-4)).contains(&loss.right), "{} right", loss.right);
    // `run_head_loss` takes half of them.
    let halved = |x: Vec<f32>| x.into_iter().map(|x| 0.5 * f64::from(x)).collect();
    vec![vec![loss.loss], halved(dx), halved(dw)]
}

// Fewer and more words than a block has, and positions than are taken at a time.
#[test]
fn the_head_in_the_order_of_bf16_is_its_composed_twin() {
    for (positions, vocabulary, columns) in
        [(1, 1, 1), (3, 65, 7), (40, 512, 33), (100, 513, 8), (2049, 1100, 20), (4100, 70, 5)]
    {
        let targets: Vec<u32> = (0..positions).map(|i| (i * i % vocabulary) as u32).collect();
        let expected = run_head_loss::<f64>(&targets, vocabulary, columns, 3.0, None);
        assert_near(&run_transposed(Kernel::Widened, &targets, vocabulary, columns), &expected, 2e-2);
    }
}

/// Where a processor lacks the instructions they are emulated, which takes its time: sizes are small, and odd.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn blocks_and_heads_are_their_composed_twins_on_every_kernel() {
    for kernel in [Kernel::Amx, Kernel::Avx512] {
        let Some(_means) = crate::ops::cpu::emulated::Means::find(kernel) else { continue };
        for (batch, tokens, heads, head_width) in [(1, 1, 1, 8), (2, 70, 3, 11), (1, 33, 1, 32)] {
            let dropout =
                BlockDropout { mlp_out: Some(Dropout { rate: 0.3, seed: 7 }), ..Default::default() };
            let pass = || BlockPass::new(AttentionShape { batch, tokens, heads }, dropout);
            let exact = BlockPass::new(AttentionShape { batch, tokens, heads }, dropout);
            let columns = heads * head_width;
            let expected = run_block::<f64>(exact, columns, true, SIZE, None);
            assert_near(&run_block::<f32>(pass(), columns, true, SIZE, Some(kernel)), &expected, 3e-2);
        }
        for (positions, vocabulary, columns) in [(1, 65, 8), (37, 530, 33)] {
            let targets: Vec<u32> = (0..positions).map(|i| (i * i % vocabulary) as u32).collect();
            let expected = run_head_loss::<f64>(&targets, vocabulary, columns, 3.0, None);
            assert_near(&run_transposed(kernel, &targets, vocabulary, columns), &expected, 2e-2);
            let found = run_head_loss::<f32>(&targets, vocabulary, columns, 3.0, Some(kernel));
            assert_near(&found, &expected, 2e-2);
        }
    }
}

#[test]
fn results_have_the_same_bits_on_any_number_of_threads() {
    for kernel in kernels() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let shape = AttentionShape { batch: 3, tokens: 270, heads: 3 };
                let targets: Vec<u32> = (0..300).map(|i| i * 7 % 1030).collect();
                let pass = BlockPass::new(shape, BlockDropout::default());
                let block = run_block::<f32>(pass, 96, true, SIZE, Some(kernel));
                (block, run_head_loss::<f32>(&targets, 1030, 96, 1.0, Some(kernel)))
            })
        };
        let one = run(1);
        assert_eq!(one, run(3), "{kernel:?}");
        assert_eq!(one, run(7), "{kernel:?}");
    }
}

#[test]
fn numbers_are_rounded_to_the_nearest_and_ties_to_even() {
    for (x, expected) in [
        (1.0, 0x3f80),
        (f32::from_bits(0x3f80_8000), 0x3f80),
        (f32::from_bits(0x3f80_8001), 0x3f81),
        (f32::from_bits(0x3f81_8000), 0x3f82),
        (-0.0, 0x8000),
        (f32::from_bits(0x807f_ffff), 0x8000),
        (f32::MIN_POSITIVE, 0x0080),
        (f32::MAX, 0x7f80),
        (f32::NEG_INFINITY, 0xff80),
        (f32::from_bits(0x7f80_0001), 0x7fc0),
        (f32::from_bits(0xffa1_2345), 0xffe1),
    ] {
        assert_eq!(Bf16::round(x).0, expected, "{x:e}");
    }
}

#[test]
fn a_copy_is_made_again_when_its_weight_has_changed_elsewhere() {
    use dfdx::prelude::*;
    let cpu = Cpu::default();
    let first = cpu.tensor_from_vec(vec![1.0f32, 2.0, 3.0, 1e-40], (2, 2));
    let second = cpu.tensor_from_vec(vec![5.0f32; 4], (2, 2));
    let copy = Rounded::new(Kernel::Widened);
    let read = |weight| copy.try_read(weight).unwrap().iter().map(|x| x.widen()).collect::<Vec<_>>();
    assert_eq!(read(&first), [1.0, 2.0, 3.0, 0.0]);
    assert_eq!(read(&second), [1.0, 2.0, 3.0, 0.0], "nobody said that it changed");
    copy.clone().set_stale();
    assert_eq!(read(&second), [5.0; 4]);
    copy.set_stale();
    copy.try_write(4).unwrap().fill(Bf16::round(7.0));
    assert_eq!(read(&second), [7.0; 4], "whoever changes a weight may write its copy");
}

//! Each fused operation against its composed twin in double precision: values and all gradients, on random shapes.

use proptest::prelude::*;

use super::bf16::{Kernel, Rounded, RoundedBlock};
use super::*;
use crate::ops::{AttentionShape, BlockDropout, CausalMask, Linear, Row, composed, number};

/// Numbers in (-1, 1) without a pattern, the same on each call and for each dtype.
pub fn noise<E: Dtype>(len: usize, salt: u64) -> Vec<E> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Exact in f32, so that both precisions begin with the same numbers.
        f64::from((state >> 41) as f32 / (1u32 << 22) as f32 - 1.0)
    };
    (0..len).map(|_| number(next())).collect()
}

fn matrix<E: Dtype>(rows: usize, columns: usize, salt: u64) -> Matrix<E, Cpu>
where
    Cpu: Device<E>,
{
    Cpu::default().tensor_from_vec(noise(rows * columns, salt), (rows, columns))
}

fn row<E: Dtype>(columns: usize, salt: u64) -> Row<E, Cpu>
where
    Cpu: Device<E>,
{
    Cpu::default().tensor_from_vec(noise(columns, salt), (columns,))
}

fn taped<E: Dtype>(x: &Matrix<E, Cpu>) -> Matrix<E, Cpu, OwnedTape<E, Cpu>>
where
    Cpu: Device<E>,
{
    x.clone().put_tape(OwnedTape::default())
}

/// A tensor's values as f64.
fn values<S: Shape, E: Dtype, T>(x: &Tensor<S, E, Cpu, T>) -> Vec<f64>
where
    Cpu: Device<E>,
{
    x.as_vec().iter().map(|x| x.to_f64().unwrap()).collect()
}

/// The gradients of a scalar in which every element of `y` has a weight of its own.
fn backward<E: Dtype>(y: Matrix<E, Cpu, OwnedTape<E, Cpu>>) -> Gradients<E, Cpu>
where
    Cpu: Device<E>,
{
    let (rows, columns) = *y.shape();
    (y * matrix(rows, columns, 99)).sum::<Rank0, _>().backward()
}

/// Compares lists of tensors element by element; `tolerance` is relative to the largest element of each.
fn assert_close(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64) {
    assert_close_at(found, expected, tolerance, 1e-3);
}

/// As [`assert_close`], where the largest element is taken to be at least `size`.
fn assert_close_at(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64, size: f64) {
    assert_eq!(found.len(), expected.len());
    for (tensor, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "tensor {tensor}");
        let scale = expected.iter().fold(size, |scale: f64, x| scale.max(x.abs()));
        for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
            assert!(
                (found - expected).abs() <= tolerance * scale,
                "tensor {tensor}, element {i}: {found} instead of {expected}"
            );
        }
    }
}

/// Compares lists of tensors, each as a whole: `tolerance` is how far they may be apart, as a share of the expected one's length.
pub fn assert_near(found: &[Vec<f64>], expected: &[Vec<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (tensor, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "tensor {tensor}");
        let squares: f64 = expected.iter().map(|x| x * x).sum();
        let apart: f64 = found.iter().zip(expected).map(|(x, y)| (x - y) * (x - y)).sum();
        // Where all that is expected is nearly zero, rounding alone is left.
        let share = (apart / squares.max(1e-6 * found.len() as f64)).sqrt();
        assert!(share <= tolerance, "tensor {tensor} of {} is {share} of its length away", found.len());
    }
}

fn linear<E: Dtype>(inputs: usize, outputs: usize, bias: bool, salt: u64) -> Linear<E, Cpu>
where
    Cpu: Device<E>,
{
    Linear { weight_io: matrix(inputs, outputs, salt), bias_o: bias.then(|| row(outputs, salt + 1)) }
}

fn norm<E: Dtype>(columns: usize, bias: bool, salt: u64) -> LayerNorm<E, Cpu>
where
    Cpu: Device<E>,
{
    LayerNorm { weight_c: row(columns, salt), bias_c: bias.then(|| row(columns, salt + 1)) }
}

fn block<E: Dtype>(columns: usize, bias: bool) -> Block<E, Cpu>
where
    Cpu: Device<E>,
{
    Block {
        ln_1: norm(columns, bias, 10),
        attn_c_attn: linear(columns, 3 * columns, bias, 20),
        attn_c_proj: linear(columns, columns, bias, 30),
        ln_2: norm(columns, bias, 40),
        mlp_c_fc: linear(columns, 4 * columns, bias, 50),
        mlp_c_proj: linear(4 * columns, columns, bias, 60),
        rounded: None,
    }
}

/// Value and gradients of everything that goes into a block, whose weights are below `size`.
pub fn run_block<E: Dtype>(
    pass: BlockPass<E, Cpu>,
    columns: usize,
    bias: bool,
    size: f64,
    kernel: Option<Kernel>,
) -> Vec<Vec<f64>>
where
    Cpu: Ops<E>,
{
    let x = matrix(pass.shape.batch * pass.shape.tokens, columns, 1);
    let mut block = Block { rounded: kernel.map(RoundedBlock::new), ..block::<E>(columns, bias) };
    for linear in [&mut block.attn_c_attn, &mut block.attn_c_proj, &mut block.mlp_c_fc, &mut block.mlp_c_proj]
    {
        linear.weight_io = linear.weight_io.clone() * number::<E>(size);
    }
    let y = Cpu::try_block(taped(&x), &block, &pass).unwrap();
    let untaped = Cpu::try_block(x.clone(), &block, &pass).unwrap();
    assert_eq!(values(&y), values(&untaped), "the tape changes the value");
    let mut found = vec![values(&y)];
    let g = backward(y);
    found.push(values(&g.get(&x)));
    for norm in [&block.ln_1, &block.ln_2] {
        found.push(values(&g.get(&norm.weight_c)));
        found.extend(norm.bias_c.iter().map(|bias| values(&g.get(bias))));
    }
    for linear in [&block.attn_c_attn, &block.attn_c_proj, &block.mlp_c_fc, &block.mlp_c_proj] {
        found.push(values(&g.get(&linear.weight_io)));
        found.extend(linear.bias_o.iter().map(|bias| values(&g.get(bias))));
    }
    found
}

/// Value and gradients of everything that goes into the head's loss.
pub fn run_head_loss<E: Dtype>(
    targets: &[u32],
    vocabulary: usize,
    columns: usize,
    scale: f64,
    kernel: Option<Kernel>,
) -> Vec<Vec<f64>>
where
    Cpu: Ops<E>,
{
    let wte = matrix::<E>(vocabulary, columns, 2);
    let rounded = kernel.map(Rounded::new);
    let x = matrix::<E>(targets.len(), columns, 1) * number::<E>(scale);
    let [in_training, hits] = [Hits::default(), Hits::default()];
    let loss = Cpu::try_head_loss(taped(&x), &wte, rounded.as_ref(), targets, &in_training).unwrap();
    let untaped = Cpu::try_head_loss(x.clone(), &wte, rounded.as_ref(), targets, &hits).unwrap();
    let right = hits.of(targets.len());
    assert!(right.is_some() && [right, None].contains(&in_training.of(targets.len())));
    assert_close(&[values(&untaped)], &[values(&loss)], 1e-6);
    let value = values(&loss);
    let g = (loss * number::<E>(0.5)).backward();
    vec![value, values(&g.get(&x)), values(&g.get(&wte))]
}

fn shapes(max_tokens: usize) -> impl Strategy<Value = (AttentionShape, usize)> {
    (1usize..4, 1..=max_tokens, 1usize..4, 1usize..20)
        .prop_map(|(batch, tokens, heads, head)| (AttentionShape { batch, tokens, heads }, heads * head))
}

fn dropouts() -> impl Strategy<Value = Option<Dropout>> {
    prop_oneof![Just(None), (0.1..0.6, any::<u64>()).prop_map(|(rate, seed)| Some(Dropout { rate, seed }))]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_block_is_its_composed_twin(
        (shape, columns) in shapes(20),
        bias in any::<bool>(),
        attention in dropouts(),
        attention_out in dropouts(),
        mlp_out in dropouts(),
        recompute in any::<bool>(),
    ) {
        let dropout = BlockDropout { attention, attention_out, mlp_out };
        let pass = BlockPass { recompute, ..BlockPass::new(shape, dropout) };
        let exact = BlockPass::new(shape, dropout);
        let found = run_block::<f32>(pass, columns, bias, 1.0, None);
        assert_close(&found, &run_block::<f64>(exact, columns, bias, 1.0, None), 1e-4);
    }

    // Longer than a block of queries, and lengths that end inside one.
    #[test]
    fn attention_is_its_composed_twin((shape, columns) in shapes(150), dropout in dropouts()) {
        let rows = shape.batch * shape.tokens;
        let (qkv, dy): (Vec<f32>, Vec<f32>) = (noise(rows * 3 * columns, 1), noise(rows * columns, 99));
        let (mut y, mut dqkv) = (vec![f32::NAN; rows * columns], vec![f32::NAN; qkv.len()]);
        let mut log_sums = vec![f32::NAN; shape.batch * shape.heads * shape.tokens];
        attention::forward((), &qkv[..], columns, shape, dropout, &mut y, &mut log_sums);
        let past = attention::Past { qkv: &qkv[..], y: &y, log_sums: &log_sums, width: columns, shape, dropout };
        attention::backward((), past, &dy, &mut dqkv);

        let qkv = matrix::<f64>(rows, 3 * columns, 1);
        let composed =
            composed::Attention { shape, mask: CausalMask::default(), dropout, max_scores: usize::MAX };
        let expected = composed.try_forward(taped(&qkv)).unwrap();
        let expected = [values(&expected), values(&backward(expected).get(&qkv))];
        let found = [y, dqkv].map(|x| x.into_iter().map(f64::from).collect());
        assert_close(&found, &expected, 1e-5);
    }

    #[test]
    fn gelu_is_its_composed_twin(len in 1usize..100, scale in 0.1f32..20.0) {
        let scaled: Vec<f32> = noise::<f32>(len, 3).iter().map(|x| x * scale).collect();
        let x: Matrix<f64, Cpu> =
            Cpu::default().tensor_from_vec(scaled.iter().map(|&x| f64::from(x)).collect(), (1, len));
        let expected = composed::try_gelu(taped(&x)).unwrap();
        let value = values(&expected);
        let slopes = values(&expected.sum::<Rank0, _>().backward().get(&x));
        let (mut y, mut slope, mut again) = (vec![0.0; len], scaled.clone(), vec![0.0; len]);
        activation::gelu(&scaled[..], &mut y[..]);
        activation::differentiate_gelu(&mut slope[..], &mut again[..]);
        prop_assert_eq!(&y, &again);
        let found = [y, slope].map(|x| x.into_iter().map(f64::from).collect());
        assert_close(&found, &[value, slopes], 1e-5);
    }

    #[test]
    fn layer_norm_is_its_composed_twin(rows in 1usize..80, columns in 2usize..50, bias in any::<bool>()) {
        fn run<E: Dtype>(rows: usize, columns: usize, bias: bool) -> Vec<Vec<f64>>
        where
            Cpu: Ops<E>,
        {
            let (x, norm) = (matrix::<E>(rows, columns, 1), norm::<E>(columns, bias, 2));
            let y = Cpu::try_layer_norm(taped(&x), &norm).unwrap();
            let value = values(&y);
            let g = backward(y);
            let bias = norm.bias_c.iter().map(|bias| values(&g.get(bias)));
            [value, values(&g.get(&x)), values(&g.get(&norm.weight_c))].into_iter().chain(bias).collect()
        }
        assert_close(&run::<f32>(rows, columns, bias), &run::<f64>(rows, columns, bias), 1e-4);
    }

    #[test]
    fn embedding_and_dropout_are_their_composed_twins(
        batch in 1usize..5, tokens in 1usize..9, columns in 1usize..40, dropout in dropouts(), salt in any::<u32>(),
    ) {
        fn run<E: Dtype>(ids: &[u32], tokens: usize, columns: usize, dropout: Option<Dropout>) -> Vec<Vec<f64>>
        where
            Cpu: Ops<E>,
        {
            let (wte, wpe) = (matrix::<E>(11, columns, 1), matrix::<E>(9, columns, 2));
            let x = Cpu::try_embedding(OwnedTape::default(), &wte, &wpe, ids, tokens).unwrap();
            let x = Cpu::try_dropout(x, dropout).unwrap();
            let value = values(&x);
            let g = backward(x);
            vec![value, values(&g.get(&wte)), values(&g.get(&wpe))]
        }
        let ids: Vec<u32> = (0..batch * tokens).map(|i| (i as u32).wrapping_mul(salt | 1) % 11).collect();
        let found = run::<f32>(&ids, tokens, columns, dropout);
        assert_close(&found, &run::<f64>(&ids, tokens, columns, dropout), 1e-5);
    }

    // Fewer and more positions than the head takes at a time.
    #[test]
    fn head_loss_is_its_composed_twin(
        positions in prop_oneof![1usize..20, 500usize..530, 1020usize..1030],
        vocabulary in 1usize..60,
        columns in 1usize..10,
        scale in 0.1f64..50.0,
    ) {
        let targets: Vec<u32> = (0..positions).map(|i| (i * i % vocabulary) as u32).collect();
        let found = run_head_loss::<f32>(&targets, vocabulary, columns, scale, None);
        // A loss near zero is the difference of logits, which are rounded.
        let size = 0.05 + 0.01 * scale * columns as f64;
        let expected = run_head_loss::<f64>(&targets, vocabulary, columns, scale, None);
        assert_close_at(&found, &expected, 1e-4, size);
    }
}

#[test]
fn right_predictions_are_those_of_the_composed_head() {
    // More positions than are taken at a time, and more words than a block of bf16 has.
    let (positions, vocabulary, columns) = (2100, 600, 8);
    let (x, wte) = (matrix::<f32>(positions, columns, 1), matrix::<f32>(vocabulary, columns, 2));
    let logits = values(&composed::try_head(x.clone(), &wte).unwrap());
    let likeliest = |row: &[f64]| (0..vocabulary).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap();
    let other = |i: usize| usize::from(i.is_multiple_of(3));
    let targets: Vec<u32> = logits
        .chunks(vocabulary)
        .enumerate()
        .map(|(i, row)| ((likeliest(row) + other(i)) % vocabulary) as u32)
        .collect();
    let expected = (positions - positions.div_ceil(3)) as u64;
    let right = |rounded: Option<&Rounded>| {
        let hits = Hits::default();
        Cpu::try_head_loss(taped(&x), &wte, rounded, &targets, &hits).unwrap();
        hits.of(positions).unwrap()
    };
    assert_eq!(right(None), expected);
    // Rounding to eight bits moves some words past each other.
    let rounded = right(Some(&Rounded::new(Kernel::Widened)));
    assert!(rounded <= expected && rounded > expected * 4 / 5, "{rounded} of {expected}");
}

#[test]
fn gradients_are_added_to_those_that_are_there() {
    let (x, block) = (matrix::<f32>(6, 8, 1), block::<f32>(8, true));
    let pass = BlockPass::new(AttentionShape { batch: 2, tokens: 3, heads: 2 }, BlockDropout::default());
    let weight = &block.attn_c_attn.weight_io;
    let once = backward(Cpu::try_block(taped(&x), &block, &pass).unwrap());
    let first = values(&once.get(weight));
    let tape = crate::ops::try_tape(once, &Cpu::default()).unwrap();
    let twice = backward(Cpu::try_block(x.clone().put_tape(tape), &block, &pass).unwrap());
    let doubled: Vec<f64> = first.iter().map(|x| 2.0 * x).collect();
    assert_close(&[values(&twice.get(weight))], &[doubled], 1e-6);
}

#[test]
fn results_have_the_same_bits_on_any_number_of_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let shape = AttentionShape { batch: 3, tokens: 70, heads: 3 };
            let dropout =
                BlockDropout { mlp_out: Some(Dropout { rate: 0.2, seed: 3 }), ..Default::default() };
            run_block::<f32>(BlockPass::new(shape, dropout), 48, true, 1.0, None)
        })
    };
    let one = run(1);
    assert_eq!(one, run(1));
    assert_eq!(one, run(3));
}

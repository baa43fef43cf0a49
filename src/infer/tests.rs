use dfdx::prelude::{Cpu, Tensor};

use super::fixture::{noise, write_weights};
use super::matrix::{Matrix, Order};
use super::*;
use crate::model::weights::read_weights;
use crate::model::{Gpt, ModelConfig};

struct Pair {
    _folder: tempfile::TempDir,
    path: std::path::PathBuf,
    model: ModelConfig,
}

impl Pair {
    fn new(model: ModelConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        write_weights(&path, &model);
        Self { _folder: folder, path, model }
    }

    fn decoder(&self, kind: WeightKind) -> Decoder {
        Decoder::open(&self.path, &self.model, kind).unwrap()
    }

    /// What the training forward pass says.
    fn expected(&self, tokens: &[u32]) -> Vec<f32> {
        let mut gpt: Gpt<f32, Cpu> = Gpt::try_build(self.model, &Cpu::default(), 1).unwrap();
        read_weights(&mut gpt, &self.path).unwrap();
        let logits: Tensor<_, f32, Cpu> = gpt.try_logits(tokens, tokens.len()).unwrap();
        logits.as_vec()
    }

    fn tokens(&self, len: usize) -> Vec<u32> {
        let mut next = noise(11);
        (0..len).map(|_| ((next() + 1.0) / 2.0 * self.model.vocab_size as f32) as u32).collect()
    }

    fn cache(&self) -> Cache {
        Cache::try_new(&self.model, self.model.block_size).unwrap()
    }
}

fn model(n_head: usize, n_embd: usize, bias: bool) -> ModelConfig {
    ModelConfig { n_layer: 3, n_head, n_embd, block_size: 150, vocab_size: 211, bias }
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn the_logits_are_those_of_the_training_forward_pass() {
    for (n_head, n_embd, bias) in
        [(2, 32, true), (3, 48, false), (1, 40, true), (2, 192, true), (4, 12, false)]
    {
        let pair = Pair::new(model(n_head, n_embd, bias));
        let tokens = pair.tokens(150);
        let expected = pair.expected(&tokens);
        let decoder = pair.decoder(WeightKind::F32);
        let found = decoder.all_logits(Feed { cache: &mut pair.cache(), tokens: &tokens }).unwrap();
        let spread = expected.iter().copied().fold(0.0, f32::max);
        assert!(spread > 1.0, "the test should look at logits that differ: {spread}");
        let difference = largest_difference(&expected, &found);
        assert!(difference < 1e-4, "{n_head} heads, {n_embd} wide: {difference}");
    }
}

#[test]
fn however_a_text_is_cut_and_whatever_else_is_computed_no_bit_changes() {
    let pair = Pair::new(model(2, 64, true));
    for kind in WeightKind::ALL {
        let decoder = pair.decoder(kind);
        let tokens = pair.tokens(150);
        let whole = decoder.all_logits(Feed { cache: &mut pair.cache(), tokens: &tokens }).unwrap();
        let mut cache = pair.cache();
        let mut others: Vec<Cache> = (0..11).map(|_| pair.cache()).collect();
        let mut start = 0;
        for (turn, len) in [1, 1, 30, 1, 2, 64, 1, 1, 49].into_iter().enumerate() {
            let mut feeds: Vec<Feed<'_>> = others
                .iter_mut()
                .take(turn + 3)
                .map(|cache| Feed { cache, tokens: &tokens[turn..turn + 1 + turn % 3] })
                .collect();
            feeds.insert(turn % 3, Feed { cache: &mut cache, tokens: &tokens[start..start + len] });
            start += len;
            let logits = decoder.next_logits(&mut feeds).unwrap();
            let found = &logits[turn % 3 * 211..][..211];
            assert_eq!(found, &whole[(start - 1) * 211..][..211], "{} after {start} tokens", kind.name());
        }
        assert_eq!(start, 150);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let pair = Pair::new(model(4, 256, true));
    let decoder = pair.decoder(WeightKind::F32);
    let tokens = pair.tokens(100);
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| decoder.all_logits(Feed { cache: &mut pair.cache(), tokens: &tokens }).unwrap())
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn a_copied_cache_goes_on_as_the_first_one() {
    let pair = Pair::new(model(2, 40, true));
    let decoder = pair.decoder(WeightKind::F32);
    let tokens = pair.tokens(70);
    let mut short = Cache::try_new(&pair.model, 60).unwrap();
    decoder.next_logits(&mut [Feed { cache: &mut short, tokens: &tokens[..50] }]).unwrap();
    let mut long = pair.cache();
    // What it held before does not matter.
    decoder.next_logits(&mut [Feed { cache: &mut long, tokens: &tokens[..70] }]).unwrap();
    long.copy_from(&short).unwrap();
    let expected = decoder.next_logits(&mut [Feed { cache: &mut short, tokens: &tokens[50..60] }]).unwrap();
    assert_eq!(
        decoder.next_logits(&mut [Feed { cache: &mut long, tokens: &tokens[50..60] }]).unwrap(),
        expected
    );
    assert_eq!((long.len(), short.len()), (60, 60));
    let mut small = Cache::try_new(&pair.model, 40).unwrap();
    assert!(matches!(small.copy_from(&short), Err(InferError::NoRoom { tokens: 60, room: 40 })));
}

#[test]
fn what_does_not_fit_is_refused_and_nothing_is_changed() {
    let pair = Pair::new(model(2, 32, true));
    let decoder = pair.decoder(WeightKind::F32);
    let (mut cache, tokens) = (pair.cache(), pair.tokens(151));
    let [mut one, mut two] = [Cache::try_new(&pair.model, 5).unwrap(), pair.cache()];
    let mut refused = |tokens: &[u32]| {
        let mut feeds = [Feed { cache: &mut two, tokens: &[1] }, Feed { cache: &mut cache, tokens }];
        decoder.next_logits(&mut feeds).unwrap_err().to_string()
    };
    assert_eq!(refused(&tokens), "151 tokens do not fit where there is room for 150");
    assert_eq!(refused(&[3, 211]), "token 211 is not in the model's vocabulary of 211");
    refused(&[]);
    assert_eq!((cache.len(), two.len()), (0, 0));
    assert!(decoder.next_logits(&mut [Feed { cache: &mut one, tokens: &tokens[..6] }]).is_err());
    let wrong = ModelConfig { n_layer: 2, ..pair.model };
    let error = Decoder::open(&pair.path, &wrong, WeightKind::F32).unwrap_err().to_string();
    assert!(error.contains("model.n_layer"), "{error}");
}

#[test]
fn smaller_weights_are_near_the_large_ones() {
    let values: Vec<f32> = {
        let mut next = noise(3);
        (0..300 * 45).map(|_| next()).collect()
    };
    let x: Vec<f32> = {
        let mut next = noise(5);
        (0..2 * 300).map(|_| next()).collect()
    };
    let product = |kind| {
        let mut y = vec![0.0; 2 * 45];
        Matrix::pack(&values, 300, 45, Order::RowMajor, kind).multiply(&x, None, &mut y);
        y
    };
    let exact: Vec<f32> = (0..2 * 45)
        .map(|at| (0..300).map(|i| x[at / 45 * 300 + i] * values[i * 45 + at % 45]).sum())
        .collect();
    // Errors of rounding add up as the root of their number: 300 products of about 1/3.
    for (kind, step) in
        [(WeightKind::F32, 1e-6), (WeightKind::Bf16, 1.0 / 512.0), (WeightKind::Int8, 2.0 / 254.0)]
    {
        let difference = largest_difference(&exact, &product(kind));
        assert!(difference < step * 17.0 && difference > 0.0, "{}: {difference}", kind.name());
    }
}

#[test]
fn a_transposed_matrix_gives_its_columns_back() {
    let values: Vec<f32> = (0..70 * 200).map(|i| (i % 127) as f32).collect();
    for (kind, allowed) in [(WeightKind::F32, 0.0), (WeightKind::Bf16, 0.0), (WeightKind::Int8, 1.0)] {
        let matrix = Matrix::pack(&values, 200, 70, Order::ColumnMajor, kind);
        let mut column = vec![0.0; 200];
        for j in [0, 31, 32, 69] {
            matrix.copy_column(j, &mut column);
            assert!(largest_difference(&column, &values[j * 200..][..200]) <= allowed, "{}", kind.name());
        }
    }
}

#[test]
fn broken_weights_are_not_hidden_by_rounding() {
    let mut values = vec![0.5; 200 * 40];
    values[150 * 40 + 7] = f32::NAN;
    values[151 * 40 + 7] = 2.0;
    for kind in WeightKind::ALL {
        let mut y = vec![0.0; 40];
        Matrix::pack(&values, 200, 40, Order::RowMajor, kind).multiply(&[1.0; 200], None, &mut y);
        assert!(y[7].is_nan() && y[8].is_finite(), "{}: {}", kind.name(), y[7]);
    }
}

/// Where a processor lacks the instructions they are emulated.
#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn bf16_kernels_multiply_each_row_as_if_it_were_alone() {
    use crate::ops::cpu::bf16::Kernel;
    use crate::ops::cpu::emulated::Means;
    let (rows, columns, m) = (70, 65, 5);
    let numbers = |len: usize, step: f32| (0..len).map(|i| (i as f32 * step).sin()).collect::<Vec<_>>();
    let (values, x, bias) = (numbers(rows * columns, 0.7), numbers(m * rows, 1.3), numbers(columns, 0.3));
    let bias = super::matrix::in_panels(&bias);
    let pack =
        |kernel| Matrix::pack_for(&values, rows, columns, Order::ColumnMajor, WeightKind::Bf16, kernel);
    let multiply = |matrix: &Matrix, x: &[f32]| {
        let mut y = vec![f32::NAN; x.len() / rows * columns];
        matrix.multiply(x, Some(&bias), &mut y);
        y
    };
    let widened = pack(Kernel::Widened);
    let expected = multiply(&widened, &x);
    for kernel in [Kernel::Amx, Kernel::Avx512] {
        let Some(_means) = Means::find(kernel) else { continue };
        let matrix = pack(kernel);
        let together = multiply(&matrix, &x);
        for (found, expected) in together.iter().zip(&expected) {
            // Rows are rounded too: 70 products of numbers below 1.
            assert!((found - expected).abs() < 0.05, "{kernel:?}: {found} instead of {expected}");
        }
        for (x, together) in x.chunks(rows).zip(together.chunks(columns)) {
            assert_eq!(multiply(&matrix, x), together, "{kernel:?}");
        }
        let (mut column, mut other) = (vec![0.0; rows], vec![0.0; rows]);
        for j in [0, 31, 64] {
            matrix.copy_column(j, &mut column);
            widened.copy_column(j, &mut other);
            assert_eq!(column, other, "{kernel:?}: column {j}");
        }
    }
}

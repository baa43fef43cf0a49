//! Each operation on a GPU, real or emulated, against the processor in double precision; and the kernels against the host.
//! Without a GPU these fail: a build with the feature `cuda` is made to compute on one, or on the emulator (`.ci/cuda-emulated`).

mod kernels;

use super::*;
use crate::ops::{
    AttentionShape, Block, BlockDropout, BlockPass, CausalMask, Dropout, Hits, LayerNorm, Linear, Matrix,
    Row, composed, id_of, number, try_backward_from,
};

/// The first GPU, ready for the operations.
fn gpu() -> Cuda {
    use cudarc::driver::result;
    let devices = result::init().and_then(|()| result::device::get_count());
    assert!(
        devices.is_ok_and(|devices| devices > 0),
        "there is no CUDA device: these tests need one, or `.ci/cuda-emulated`"
    );
    let cuda = Cuda::try_build(0, 0).unwrap();
    load_kernels(&cuda).unwrap();
    cuda
}

/// Numbers without a pattern, that both dtypes hold exactly.
fn noise<E: Dtype>(len: usize, salt: u64) -> Vec<E> {
    let mut state = salt.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Eleven bits, of either sign.
        ((state >> 53) as f64 - 1024.0) / 1024.0
    };
    (0..len).map(|_| number(next())).collect()
}

fn matrix<E: Dtype, D: Ops<E>>(device: &D, rows: usize, columns: usize, salt: u64) -> Matrix<E, D> {
    device.try_tensor(noise(rows * columns, salt), (rows, columns)).unwrap()
}

fn row<E: Dtype, D: Ops<E>>(device: &D, len: usize, salt: u64) -> Row<E, D> {
    device.try_tensor(noise(len, salt), (len,)).unwrap()
}

fn in_f64<E: Dtype>(values: Vec<E>) -> Vec<f64> {
    values.iter().map(|x| x.to_f64().unwrap()).collect()
}

/// Sizes that are multiples of nothing.
const SHAPE: AttentionShape = AttentionShape { batch: 3, tokens: 5, heads: 2 };
const POSITIONS: usize = 15;
const WIDTH: usize = 6;
const VOCABULARY: usize = 7;

/// What an operation makes, and the gradients of its inputs.
type Outcome = Vec<(&'static str, Vec<f64>)>;

/// An operation on inputs of one dtype on one device, each with a name.
trait Operation {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err>;
}

/// The result of `y`, and the gradients that lead from it to these inputs.
macro_rules! outcome {
    ($y:expr, $device:expr, [$($name:literal: $input:expr),*]) => {{
        let (y, tape) = $y.split_tape();
        let values = D::try_values(&y)?;
        let dy = {
            let mut gradients = Gradients::leaky();
            let buffer = gradients.get_or_alloc_mut(&y)?;
            D::try_upload(buffer, &noise::<E>(values.len(), 99))?;
            std::mem::replace(buffer, Storage::<E>::try_alloc_len($device, 1)?)
        };
        let mut gradients = try_backward_from(y.put_tape(tape), dy)?;
        Ok(vec![
            ("result", in_f64(values)),
            $(($name, in_f64(D::try_download(gradients.get_or_alloc_mut($input)?)?)),)*
        ])
    }};
}

/// A tape that drops no gradient.
fn tape<E: Dtype, D: Ops<E>>() -> OwnedTape<E, D> {
    OwnedTape::default()
}

/// Compares an operation on both, each list as a share of its largest element.
fn check(name: &str, operation: impl Operation) {
    let cuda = gpu();
    let expected = operation.run::<f64, Cpu>(&Cpu::default()).unwrap();
    let single = operation.run::<f32, Cuda>(&cuda).unwrap();
    let half = operation.run::<F16, Cuda>(&cuda).unwrap();
    for (found, tolerance, dtype) in [(single, 2e-6, "f32"), (half, 1e-2, "f16")] {
        assert_eq!(found.len(), expected.len());
        for ((list, found), (_, expected)) in found.iter().zip(&expected) {
            assert_eq!(found.len(), expected.len(), "{name} {dtype} {list}");
            let largest = expected.iter().fold(0.0f64, |largest, x| largest.max(x.abs()));
            assert!(largest > 1e-3, "{name} {list}: nothing to compare");
            for (i, (found, expected)) in found.iter().zip(expected).enumerate() {
                let off = (found - expected).abs() / largest;
                assert!(off <= tolerance, "{name} {dtype} {list} {i}: {found} instead of {expected}");
            }
        }
    }
}

struct Embedding;

impl Operation for Embedding {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let (wte, wpe) = (matrix(device, VOCABULARY, WIDTH, 1), matrix(device, SHAPE.tokens, WIDTH, 2));
        // Tokens that occur often, once and never.
        let ids = [0, 1, 1, 2, 1, 0, 4, 4, 2, 1, 0, 0, 6, 1, 2];
        let x = D::try_embedding(tape(), &wte, &wpe, &ids, SHAPE.tokens)?;
        outcome!(x, device, ["wte": &wte, "wpe": &wpe])
    }
}

#[test]
fn embedding() {
    check("embedding", Embedding);
}

struct Norm {
    rows: usize,
    width: usize,
}

impl Operation for Norm {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let x = matrix(device, self.rows, self.width, 1);
        let norm =
            LayerNorm { weight_c: row(device, self.width, 2), bias_c: Some(row(device, self.width, 3)) };
        let y = D::try_layer_norm(x.clone().put_tape(tape()), &norm)?;
        outcome!(y, device, ["x": &x, "weight": &norm.weight_c, "bias": norm.bias_c.as_ref().unwrap()])
    }
}

#[test]
fn layer_norm() {
    // Less than a block of threads has, and more; a share of rows, and several.
    for (rows, width) in [(POSITIONS, WIDTH), (33, 300), (97, 65)] {
        check("layer norm", Norm { rows, width });
    }
}

struct Projection;

impl Operation for Projection {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let x = matrix(device, POSITIONS, WIDTH, 1);
        let linear = Linear { weight_io: matrix(device, WIDTH, 11, 2), bias_o: Some(row(device, 11, 3)) };
        let y = composed::try_linear(x.clone().put_tape(tape()), &linear)?;
        outcome!(y, device, ["x": &x, "weight": &linear.weight_io, "bias": linear.bias_o.as_ref().unwrap()])
    }
}

#[test]
fn linear() {
    check("linear", Projection);
}

struct Gelu;

impl Operation for Gelu {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let x = matrix(device, POSITIONS, WIDTH, 1);
        outcome!(composed::try_gelu(x.clone().put_tape(tape()))?, device, ["x": &x])
    }
}

#[test]
fn gelu() {
    check("GELU", Gelu);
}

struct Attention {
    dropout: Option<Dropout>,
    max_scores: usize,
}

impl Operation for Attention {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let qkv = matrix(device, POSITIONS, 3 * WIDTH, 1);
        let attention = composed::Attention {
            shape: SHAPE,
            mask: CausalMask::default(),
            dropout: self.dropout,
            max_scores: self.max_scores,
        };
        outcome!(attention.try_forward(qkv.clone().put_tape(tape()))?, device, ["qkv": &qkv])
    }
}

#[test]
fn attention_whole_and_in_parts() {
    let of_a_sequence = SHAPE.heads * SHAPE.tokens * SHAPE.tokens;
    for dropout in [None, Some(Dropout { rate: 0.3, seed: 5 })] {
        for max_scores in [usize::MAX, of_a_sequence] {
            check("attention", Attention { dropout, max_scores });
        }
    }
}

struct Drop;

impl Operation for Drop {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let x = matrix(device, POSITIONS, WIDTH, 1);
        let dropout = Some(Dropout { rate: 0.4, seed: 11 });
        outcome!(D::try_dropout(x.clone().put_tape(tape()), dropout)?, device, ["x": &x])
    }
}

#[test]
fn dropout() {
    check("dropout", Drop);
}

struct WholeBlock {
    shape: AttentionShape,
    width: usize,
    bias: bool,
    drops: bool,
    max_scores: usize,
    recompute: bool,
}

impl WholeBlock {
    /// A small one, with everything.
    const SMALL: Self = Self {
        shape: SHAPE,
        width: WIDTH,
        bias: true,
        drops: true,
        max_scores: usize::MAX,
        recompute: false,
    };
}

impl Operation for WholeBlock {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let (width, positions) = (self.width, self.shape.batch * self.shape.tokens);
        let bias = |len, salt| self.bias.then(|| row(device, len, salt));
        // Sums of many products stay near one.
        let weight = |inputs: usize, outputs, salt| {
            let scale = number::<E>((WIDTH as f64 / inputs as f64).sqrt());
            matrix(device, inputs, outputs, salt).try_mul(scale)
        };
        let linear = |inputs, outputs, salt| -> Result<_, D::Err> {
            Ok(Linear { weight_io: weight(inputs, outputs, salt)?, bias_o: bias(outputs, salt + 1) })
        };
        let norm = |salt| LayerNorm { weight_c: row(device, width, salt), bias_c: bias(width, salt + 1) };
        let block = Block {
            ln_1: norm(10),
            attn_c_attn: linear(width, 3 * width, 20)?,
            attn_c_proj: linear(width, width, 30)?,
            ln_2: norm(40),
            mlp_c_fc: linear(width, 4 * width, 50)?,
            mlp_c_proj: linear(4 * width, width, 60)?,
            rounded: None,
        };
        let drop = |seed| self.drops.then_some(Dropout { rate: 0.2, seed });
        let dropout = BlockDropout { attention: drop(1), attention_out: drop(2), mlp_out: drop(3) };
        let pass = BlockPass {
            recompute: self.recompute,
            max_scores: self.max_scores,
            ..BlockPass::new(self.shape, dropout)
        };
        let x = matrix(device, positions, width, 1);
        let y = D::try_block(x.clone().put_tape(tape()), &block, &pass)?;
        // In a block without biases the weights stand for them.
        let bias_or = |linear: &Linear<E, D>, norm: &LayerNorm<E, D>| {
            linear.bias_o.clone().unwrap_or_else(|| norm.weight_c.clone())
        };
        outcome!(y, device, [
            "x": &x,
            "norm's weight": &block.ln_1.weight_c,
            "norm's bias": block.ln_1.bias_c.as_ref().unwrap_or(&block.ln_1.weight_c),
            "qkv weight": &block.attn_c_attn.weight_io,
            "qkv bias": &bias_or(&block.attn_c_attn, &block.ln_1),
            "projection's weight": &block.attn_c_proj.weight_io,
            "projection's bias": &bias_or(&block.attn_c_proj, &block.ln_1),
            "second norm's weight": &block.ln_2.weight_c,
            "second norm's bias": block.ln_2.bias_c.as_ref().unwrap_or(&block.ln_2.weight_c),
            "hidden weight": &block.mlp_c_fc.weight_io,
            "hidden bias": &bias_or(&block.mlp_c_fc, &block.ln_2),
            "mlp's weight": &block.mlp_c_proj.weight_io,
            "mlp's bias": &bias_or(&block.mlp_c_proj, &block.ln_2)
        ])
    }
}

#[test]
fn a_block_kept_and_recomputed() {
    for recompute in [false, true] {
        for (drops, bias) in [(true, true), (false, false)] {
            check("block", WholeBlock { recompute, drops, bias, ..WholeBlock::SMALL });
        }
        let in_parts = SHAPE.heads * SHAPE.tokens * SHAPE.tokens;
        check("block in parts", WholeBlock { recompute, max_scores: in_parts, ..WholeBlock::SMALL });
    }
}

#[test]
fn a_block_of_more_than_a_block_of_threads() {
    let shape = AttentionShape { batch: 2, tokens: 35, heads: 3 };
    check("large block", WholeBlock { shape, width: 69, ..WholeBlock::SMALL });
}

const TARGETS: [u32; POSITIONS] = [0, 6, 6, 2, 3, 5, 4, 1, 0, 0, 2, 3, 3, 6, 1];

struct HeadLoss {
    vocabulary: usize,
}

impl Operation for HeadLoss {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let (x, wte) = (matrix(device, POSITIONS, WIDTH, 1), matrix(device, self.vocabulary, WIDTH, 2));
        let loss = D::try_head_loss(x.clone().put_tape(tape()), &wte, None, &TARGETS, &Hits::default())?;
        outcome!(loss, device, ["x": &x, "wte": &wte])
    }
}

#[test]
fn head_and_loss() {
    for vocabulary in [VOCABULARY, 301] {
        check("head", HeadLoss { vocabulary });
    }
}

#[test]
fn right_predictions_are_counted_as_on_the_processor() {
    fn right<E: Dtype, D: Ops<E>>(device: &D) -> Option<u64> {
        let (x, wte) = (matrix::<E, D>(device, POSITIONS, WIDTH, 1), matrix(device, VOCABULARY, WIDTH, 2));
        let hits = Hits::default();
        D::try_head_loss(x, &wte, None, &TARGETS, &hits).unwrap();
        hits.of(POSITIONS)
    }
    let expected = right::<f64, Cpu>(&Cpu::default());
    assert!(expected > Some(0));
    assert_eq!((right::<f32, _>(&gpu()), right::<F16, _>(&gpu())), (expected, expected));
}

struct HeadInParts;

impl Operation for HeadInParts {
    fn run<E: Dtype, D: Ops<E>>(&self, device: &D) -> Result<Outcome, D::Err> {
        let (x, wte) = (matrix(device, POSITIONS, WIDTH, 1), matrix(device, VOCABULARY, WIDTH, 2));
        let head =
            composed::HeadInParts { x_mc: &x, wte_vc: &wte, targets: &TARGETS, max_logits: 4 * VOCABULARY };
        let mut gradients = Gradients::leaky();
        gradients.retain_leafs(&id_of(&wte));
        let (losses, dx, mut gradients) = D::try_head_gradients(&head, gradients, 1.0)?;
        let mut total = 0.0;
        for (share, loss) in &losses {
            total += share * in_f64(D::try_values(loss)?)[0];
        }
        Ok(vec![
            ("loss", vec![total]),
            ("x", in_f64(D::try_download(&dx)?)),
            ("wte", in_f64(D::try_download(gradients.get_or_alloc_mut(&wte)?)?)),
        ])
    }
}

#[test]
fn head_in_parts() {
    check("head in parts", HeadInParts);
}

//! Each operation of `Ops` at the widths of GPT-2 124M, on 4 x 128 tokens: forward alone, and forward and backward.
//! `fused` is what trains on the CPU, `composed` the same made of dfdx's own operations.
//!
//!     cargo bench --bench ops                 # all of them: some minutes
//!     cargo bench --bench ops -- block/fused  # those with this in their name

use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, criterion_group};
use dfdx::prelude::*;
use runner::ops::cpu::orthogonal::try_orthogonalise;
use runner::ops::cpu::view::ViewMut;
use runner::ops::{
    AttentionShape, Block, BlockDropout, BlockPass, Dropout, Hits, LayerNorm, Linear, Matrix, Ops, Row,
    Scalar, composed, try_tape,
};
use runner::threads::{self, Pool};

const SHAPE: AttentionShape = AttentionShape { batch: 4, tokens: 128, heads: 12 };
const POSITIONS: usize = SHAPE.batch * SHAPE.tokens;
const WIDTH: usize = 768;
const VOCABULARY: usize = 50_257;
const BLOCK_SIZE: usize = 1024;
const DROPOUT: Dropout = Dropout { rate: 0.1, seed: 1 };

criterion_group!(
    benches,
    embedding,
    dropout,
    block,
    saturated,
    layer_norm,
    head,
    head_loss,
    orthogonalisation
);

fn main() {
    // As in a run, where the thread that calls the operations is one of those that share their work.
    let pool = Pool::new(0, "bench").expect("a pool of threads");
    pool.install(|| {
        // As an engine does for its steps.
        let _flushing = threads::flush();
        benches();
        Criterion::default().configure_from_args().final_summary();
    });
}

/// Muon's five iterations on a matrix of attention and on one of the perceptron.
fn orthogonalisation(criterion: &mut Criterion) {
    let mut group = group(criterion, "orthogonalisation");
    for columns in [WIDTH, 4 * WIDTH] {
        let values: Vec<f32> =
            (0..WIDTH * columns).map(|i| (i as f32 * 0.7).sin() + (i as f32 * 0.013).cos()).collect();
        group.bench_function(BenchmarkId::from_parameter(format!("{WIDTH}x{columns}")), |bencher| {
            let mut matrix = values.clone();
            bencher.iter(|| {
                let view = ViewMut::new(&mut matrix, columns);
                try_orthogonalise(view, None, &[[3.4445, -4.775, 2.0315]; 5]).expect("memory for it");
            });
        });
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Body {
    Fused,
    Composed,
}

/// An operation with its inputs.
trait Operation {
    type Output: Shape;

    fn device(&self) -> &Cpu;

    /// Names the inputs that have a gradient.
    fn name_inputs(&self, inputs: &mut UnusedTensors);

    fn run<T: Tape<f32, Cpu>>(
        &self,
        body: Body,
        tape: T,
    ) -> Result<Tensor<Self::Output, f32, Cpu, T>, CpuError>;
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3));
    group
}

/// Times both passes as `<group>/<name>/forward` and `<group>/<name>/forward+backward`.
fn time(group: &mut BenchmarkGroup<'_, WallTime>, name: &str, body: Body, operation: &impl Operation) {
    // As an engine does: dfdx's cache of allocations where the operations do not keep their memory themselves.
    if body == Body::Composed {
        operation.device().enable_cache();
    }
    group.bench_function(BenchmarkId::new(name, "forward"), |bencher| {
        bencher.iter(|| operation.run(body, NoneTape).unwrap());
    });
    let mut kept = None;
    group.bench_function(BenchmarkId::new(name, "forward+backward"), |bencher| {
        bencher.iter(|| {
            // Gradients stay from one pass to the next and are added to, as with accumulation.
            let gradients = kept.take().unwrap_or_else(|| {
                let (mut inputs, mut gradients) = (UnusedTensors::default(), Gradients::leaky());
                operation.name_inputs(&mut inputs);
                gradients.retain_leafs(&inputs.ids);
                gradients
            });
            let tape = try_tape(gradients, operation.device()).unwrap();
            kept = Some(backward(operation.run(body, tape).unwrap()));
        });
    });
    operation.device().disable_cache();
}

/// The backward pass from a gradient of ones.
fn backward<S: Shape>(y: Tensor<S, f32, Cpu, OwnedTape<f32, Cpu>>) -> Gradients<f32, Cpu> {
    let (y, mut tape) = y.split_tape();
    let ghost = y.ghost();
    tape.add_backward_op(move |gradients| {
        gradients.get_or_alloc_mut(&ghost)?.fill(1.0);
        Ok(())
    });
    let end: Scalar<f32, Cpu> = y.device().zeros();
    end.put_tape(tape).backward()
}

/// Numbers of this standard deviation.
fn matrix(device: &Cpu, rows: usize, columns: usize, std: f32) -> Matrix<f32, Cpu> {
    device.sample_normal_like(&(rows, columns)) * std
}

fn row(device: &Cpu, columns: usize) -> Row<f32, Cpu> {
    device.sample_normal_like(&(columns,))
}

/// Token ids without a pattern.
fn token_ids() -> Vec<u32> {
    (0..POSITIONS as u32).map(|i| i.wrapping_mul(2_654_435_761) % VOCABULARY as u32).collect()
}

struct Embedding {
    wte_vc: Matrix<f32, Cpu>,
    wpe_pc: Matrix<f32, Cpu>,
    token_ids: Vec<u32>,
}

impl Operation for Embedding {
    type Output = (usize, usize);

    fn device(&self) -> &Cpu {
        self.wte_vc.device()
    }

    fn name_inputs(&self, inputs: &mut UnusedTensors) {
        inputs.add(&self.wte_vc);
        inputs.add(&self.wpe_pc);
    }

    fn run<T: Tape<f32, Cpu>>(&self, body: Body, tape: T) -> Result<Matrix<f32, Cpu, T>, CpuError> {
        let Self { wte_vc, wpe_pc, token_ids } = self;
        match body {
            Body::Fused => Cpu::try_embedding(tape, wte_vc, wpe_pc, token_ids, SHAPE.tokens),
            Body::Composed => composed::try_embedding(tape, wte_vc, wpe_pc, token_ids, SHAPE.tokens),
        }
    }
}

fn embedding(criterion: &mut Criterion) {
    let device = Cpu::default();
    let operation = Embedding {
        wte_vc: matrix(&device, VOCABULARY, WIDTH, 0.02),
        wpe_pc: matrix(&device, BLOCK_SIZE, WIDTH, 0.02),
        token_ids: token_ids(),
    };
    let mut group = group(criterion, "embedding");
    time(&mut group, "fused", Body::Fused, &operation);
    time(&mut group, "composed", Body::Composed, &operation);
}

struct Drop {
    x_mc: Matrix<f32, Cpu>,
}

impl Operation for Drop {
    type Output = (usize, usize);

    fn device(&self) -> &Cpu {
        self.x_mc.device()
    }

    fn name_inputs(&self, inputs: &mut UnusedTensors) {
        inputs.add(&self.x_mc);
    }

    fn run<T: Tape<f32, Cpu>>(&self, body: Body, tape: T) -> Result<Matrix<f32, Cpu, T>, CpuError> {
        let x_mc = self.x_mc.clone().put_tape(tape);
        match body {
            Body::Fused => Cpu::try_dropout(x_mc, Some(DROPOUT)),
            Body::Composed => composed::try_dropout(x_mc, Some(DROPOUT), 0),
        }
    }
}

fn dropout(criterion: &mut Criterion) {
    let operation = Drop { x_mc: matrix(&Cpu::default(), POSITIONS, WIDTH, 1.0) };
    let mut group = group(criterion, "dropout");
    time(&mut group, "fused", Body::Fused, &operation);
    time(&mut group, "composed", Body::Composed, &operation);
}

struct WholeBlock {
    x_mc: Matrix<f32, Cpu>,
    block: Block<f32, Cpu>,
    pass: BlockPass<f32, Cpu>,
}

impl WholeBlock {
    /// With queries, keys and values from weights of this standard deviation.
    fn new(device: &Cpu, attention_std: f32) -> Self {
        let linear_of = |inputs, outputs, std| Linear {
            weight_io: matrix(device, inputs, outputs, std),
            bias_o: Some(row(device, outputs)),
        };
        let linear = |inputs, outputs| linear_of(inputs, outputs, 0.02);
        let block = Block {
            ln_1: norm(device),
            attn_c_attn: linear_of(WIDTH, 3 * WIDTH, attention_std),
            attn_c_proj: linear(WIDTH, WIDTH),
            ln_2: norm(device),
            mlp_c_fc: linear(WIDTH, 4 * WIDTH),
            mlp_c_proj: linear(4 * WIDTH, WIDTH),
            rounded: None,
        };
        let x_mc = matrix(device, POSITIONS, WIDTH, 1.0);
        Self { x_mc, block, pass: BlockPass::new(SHAPE, BlockDropout::default()) }
    }
}

impl Operation for WholeBlock {
    type Output = (usize, usize);

    fn device(&self) -> &Cpu {
        self.x_mc.device()
    }

    fn name_inputs(&self, inputs: &mut UnusedTensors) {
        inputs.add(&self.x_mc);
        let Block { ln_1, attn_c_attn, attn_c_proj, ln_2, mlp_c_fc, mlp_c_proj, rounded: _ } = &self.block;
        for LayerNorm { weight_c, bias_c } in [ln_1, ln_2] {
            inputs.add(weight_c);
            bias_c.iter().for_each(|bias| inputs.add(bias));
        }
        for Linear { weight_io, bias_o } in [attn_c_attn, attn_c_proj, mlp_c_fc, mlp_c_proj] {
            inputs.add(weight_io);
            bias_o.iter().for_each(|bias| inputs.add(bias));
        }
    }

    fn run<T: Tape<f32, Cpu>>(&self, body: Body, tape: T) -> Result<Matrix<f32, Cpu, T>, CpuError> {
        let x_mc = self.x_mc.clone().put_tape(tape);
        let Self { block, pass, .. } = self;
        match body {
            Body::Fused => Cpu::try_block(x_mc, block, pass),
            Body::Composed => composed::try_block(x_mc, block, pass),
        }
    }
}

fn block(criterion: &mut Criterion) {
    let mut operation = WholeBlock::new(&Cpu::default(), 0.02);
    let mut group = group(criterion, "block");
    time(&mut group, "fused", Body::Fused, &operation);
    time(&mut group, "composed", Body::Composed, &operation);
    operation.pass.recompute = true;
    time(&mut group, "fused-checkpointed", Body::Fused, &operation);
    operation.pass.recompute = false;
    operation.pass.dropout =
        BlockDropout { attention: Some(DROPOUT), attention_out: Some(DROPOUT), mlp_out: Some(DROPOUT) };
    time(&mut group, "fused-dropout", Body::Fused, &operation);
    time(&mut group, "composed-dropout", Body::Composed, &operation);
}

/// Scores that lie hundreds apart, and logits that lie tens apart. Each softmax takes one key or token, and its other weights
/// underflow: sizes are those of `block/fused` and `head_loss/fused`, and so should be times.
fn saturated(criterion: &mut Criterion) {
    let device = Cpu::default();
    let operation = WholeBlock::new(&device, 0.3);
    time(&mut group(criterion, "block"), "fused-saturated", Body::Fused, &operation);
    let operation = HeadLoss::new(&device, 0.5);
    time(&mut group(criterion, "head_loss"), "fused-saturated", Body::Fused, &operation);
}

struct Norm {
    x_mc: Matrix<f32, Cpu>,
    norm: LayerNorm<f32, Cpu>,
}

fn norm(device: &Cpu) -> LayerNorm<f32, Cpu> {
    LayerNorm { weight_c: row(device, WIDTH), bias_c: Some(row(device, WIDTH)) }
}

impl Operation for Norm {
    type Output = (usize, usize);

    fn device(&self) -> &Cpu {
        self.x_mc.device()
    }

    fn name_inputs(&self, inputs: &mut UnusedTensors) {
        inputs.add(&self.x_mc);
        inputs.add(&self.norm.weight_c);
        self.norm.bias_c.iter().for_each(|bias| inputs.add(bias));
    }

    fn run<T: Tape<f32, Cpu>>(&self, body: Body, tape: T) -> Result<Matrix<f32, Cpu, T>, CpuError> {
        let x_mc = self.x_mc.clone().put_tape(tape);
        match body {
            Body::Fused => Cpu::try_layer_norm(x_mc, &self.norm),
            Body::Composed => composed::try_layer_norm(x_mc, &self.norm),
        }
    }
}

fn layer_norm(criterion: &mut Criterion) {
    let device = Cpu::default();
    let operation = Norm { x_mc: matrix(&device, POSITIONS, WIDTH, 1.0), norm: norm(&device) };
    let mut group = group(criterion, "layer_norm");
    time(&mut group, "fused", Body::Fused, &operation);
    time(&mut group, "composed", Body::Composed, &operation);
}

struct HeadLoss {
    x_mc: Matrix<f32, Cpu>,
    wte_vc: Matrix<f32, Cpu>,
    targets: Vec<u32>,
}

impl HeadLoss {
    /// With token embeddings of this standard deviation.
    fn new(device: &Cpu, std: f32) -> Self {
        Self {
            x_mc: matrix(device, POSITIONS, WIDTH, 1.0),
            wte_vc: matrix(device, VOCABULARY, WIDTH, std),
            targets: token_ids(),
        }
    }
}

impl Operation for HeadLoss {
    type Output = Rank0;

    fn device(&self) -> &Cpu {
        self.x_mc.device()
    }

    fn name_inputs(&self, inputs: &mut UnusedTensors) {
        inputs.add(&self.x_mc);
        inputs.add(&self.wte_vc);
    }

    fn run<T: Tape<f32, Cpu>>(&self, body: Body, tape: T) -> Result<Scalar<f32, Cpu, T>, CpuError> {
        let x_mc = self.x_mc.clone().put_tape(tape);
        match body {
            Body::Fused => Cpu::try_head_loss(x_mc, &self.wte_vc, None, &self.targets, &Hits::default()),
            Body::Composed => composed::try_head_loss(x_mc, &self.wte_vc, &self.targets, &Hits::default()),
        }
    }
}

fn head_loss(criterion: &mut Criterion) {
    let operation = HeadLoss::new(&Cpu::default(), 0.02);
    let mut group = group(criterion, "head_loss");
    time(&mut group, "fused", Body::Fused, &operation);
    time(&mut group, "composed", Body::Composed, &operation);
}

/// The logits of one position, as sampling needs them: `head/one-position`.
fn head(criterion: &mut Criterion) {
    let device = Cpu::default();
    let (x_mc, wte_vc) = (matrix(&device, 1, WIDTH, 1.0), matrix(&device, VOCABULARY, WIDTH, 0.02));
    group(criterion, "head").bench_function("one-position", |bencher| {
        bencher.iter(|| Cpu::try_head(x_mc.clone(), &wte_vc).unwrap());
    });
}

//! Whole optimizer steps as `step.toml` describes them: forward, backward and AdamW on 16 x 128 tokens with GPT-2's
//! vocabulary, plain, with activation checkpointing and with products of bf16.
//!
//!     cargo bench --bench step            # the models 4x128 and 6x384: a minute or two
//!     cargo bench --bench step -- 124M    # GPT-2 124M, which takes part only when its name is asked for

use std::path::Path;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group};
use runner::config::LoadOptions;
use runner::config::experiment::RunPlan;
use runner::data::batches::Batch;
use runner::engine::{self, Engine};
use runner::threads::Pool;

const VOCABULARY: usize = 50_257;

/// Layers, heads and width, named as in `compare.py`.
const SIZES: [(&str, usize, usize, usize); 3] =
    [("4x128", 4, 4, 128), ("6x384", 6, 6, 384), ("124M", 12, 12, 768)];

criterion_group!(benches, steps);

fn main() {
    // As in a run, where the thread that trains is one of those that share its work.
    let pool = Pool::new(0, "bench").expect("a pool of threads");
    pool.install(|| {
        benches();
        Criterion::default().configure_from_args().final_summary();
    });
}

fn steps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("step");
    group.sample_size(10).sampling_mode(SamplingMode::Flat).warm_up_time(Duration::from_secs(1));
    for (name, layers, heads, width) in SIZES {
        let is_asked_for = std::env::args().any(|argument| argument.contains(name));
        if name == "124M" && !is_asked_for {
            continue;
        }
        for (way, checkpointing, dtype) in
            [("plain", false, "f32"), ("checkpointed", true, "f32"), ("bf16", false, "bf16")]
        {
            let plan = plan(&[
                format!("model.n_layer={layers}"),
                format!("model.n_head={heads}"),
                format!("model.n_embd={width}"),
                format!("train.activation_checkpointing={checkpointing}"),
                format!("hardware.dtype={dtype}"),
            ]);
            let batch = batch(plan.train.batch_size, plan.sequence_length());
            // Opened by the first call, so that a benchmark that is filtered out costs nothing.
            let mut opened: Option<Box<dyn Engine>> = None;
            group.throughput(Throughput::Elements(batch.inputs.len() as u64));
            group.bench_function(BenchmarkId::new(name, way), |bencher| {
                let engine = opened.get_or_insert_with(|| engine::open(&plan, VOCABULARY).unwrap());
                bencher.iter(|| {
                    engine.train_step(std::slice::from_ref(&batch), plan.optimizer.learning_rate).unwrap()
                });
            });
        }
    }
}

/// The plan of `step.toml` with other settings.
fn plan(set: &[String]) -> RunPlan {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/step.toml");
    let options = LoadOptions { set: set.to_vec(), only: Vec::new() };
    let plans = runner::config::load(&[file], &options).unwrap_or_else(|errors| panic!("{errors}"));
    plans.into_iter().next().expect("step.toml has one run")
}

/// Tokens without a pattern: which ones they are makes no difference to a step's time.
fn batch(batch_size: usize, sequence_length: usize) -> Batch {
    let id = |i: usize| (i as u32).wrapping_mul(2_654_435_761) % VOCABULARY as u32;
    let len = batch_size * sequence_length;
    Batch {
        batch_size,
        sequence_length,
        inputs: (0..len).map(id).collect(),
        targets: (1..=len).map(id).collect(),
    }
}

use std::ops::DerefMut;

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::cpu::Float;
use super::*;
use crate::ops::{Ops, number};

/// Longer than a task on the processor, so that a tensor of this size is cut into several.
const LONG: usize = 50_000;

#[derive(Clone, Copy)]
enum Body {
    Fused,
    Composed,
}

#[derive(Clone, Copy)]
enum Rule {
    AdamW(AdamWRule),
    Sgd(SgdRule),
}

/// Both rules with these numbers.
fn rules(step: u64, decay: f64, clip: f64) -> [Rule; 2] {
    let betas = [0.9, 0.999];
    [
        Rule::AdamW(AdamWRule { step, learning_rate: 0.01, betas, eps: 1e-8, decay, clip }),
        Rule::Sgd(SgdRule { learning_rate: 0.01, momentum: 0.9, decay, clip }),
    ]
}

/// A parameter with its gradient and moments, all of them random.
struct State<E: Dtype> {
    rng: ChaCha8Rng,
    p: Tensor<(usize,), E, Cpu>,
    /// Gradient, first and second moment.
    buffers: [Gradients<E, Cpu>; 3],
}

impl<E: Float> State<E>
where
    Cpu: Ops<E> + Storage<E, Vec: DerefMut<Target = Vec<E>>>,
{
    fn random(len: usize, seed: u64) -> Self {
        let p = Cpu::default().zeros_like(&(len,));
        let buffers = [(); 3].map(|()| Gradients::leaky());
        let mut state = Self { rng: ChaCha8Rng::seed_from_u64(seed), p, buffers };
        let values = state.numbers(-1.0, 1.0);
        state.p.copy_from(&values);
        state.fill(0, -2.0, 2.0);
        state.fill(1, -1.0, 1.0);
        state.fill(2, 0.1, 1.0);
        state
    }

    fn numbers(&mut self, low: f64, high: f64) -> Vec<E> {
        let len = self.p.shape().num_elements();
        // From f32, so that both dtypes see the same numbers.
        (0..len).map(|_| number(self.rng.random_range(low..high) as f32 as f64)).collect()
    }

    fn fill(&mut self, buffer: usize, low: f64, high: f64) {
        let values = self.numbers(low, high);
        self.buffers[buffer].get_or_alloc_mut(&self.p).unwrap().copy_from_slice(&values);
    }

    fn scale_gradient(&mut self, factor: f64) {
        let gradient = self.buffers[0].get_or_alloc_mut(&self.p).unwrap();
        gradient.iter_mut().for_each(|x| *x *= number(factor));
    }

    fn update(&mut self, rule: Rule, body: Body) {
        let Self { p, buffers: [gradient, first, second], .. } = self;
        let gradient = gradient.get_or_alloc_mut(p).unwrap();
        let first = first.get_or_alloc_mut(p).unwrap();
        let second = second.get_or_alloc_mut(p).unwrap();
        let scratch = &mut Vec::new();
        match (rule, body) {
            (Rule::AdamW(rule), Body::Fused) => {
                Cpu::try_adamw(&rule, p, gradient, [first, second], Aside { scratch, rounded: None })
            }
            (Rule::AdamW(rule), Body::Composed) => composed::try_adamw(&rule, p, gradient, [first, second]),
            (Rule::Sgd(rule), Body::Fused) => {
                Cpu::try_sgd(&rule, p, gradient, first, Aside { scratch, rounded: None })
            }
            (Rule::Sgd(rule), Body::Composed) => composed::try_sgd(&rule, p, gradient, first),
        }
        .unwrap();
    }

    /// Parameter, gradient, first and second moment.
    fn values(&self) -> [Vec<f64>; 4] {
        let [gradient, first, second] = self.buffers.each_ref().map(|buffer| buffer.get(&self.p).as_vec());
        [self.p.as_vec(), gradient, first, second].map(|list| list.into_iter().map(Into::into).collect())
    }
}

/// The values of a random state after three updates by AdamW or SGD, each from a new gradient.
fn trained<E: Float>(len: usize, seed: u64, kind: usize, body: Body) -> [Vec<f64>; 4]
where
    Cpu: Ops<E> + Storage<E, Vec: DerefMut<Target = Vec<E>>>,
{
    let mut state = State::<E>::random(len, seed);
    for step in 1..=3 {
        state.fill(0, -2.0, 2.0);
        // Decay and clipping in two of three steps each.
        let (decay, clip) = ([0.0, 0.1, 0.1][step % 3], [0.3, 0.7, 1.0][step % 3]);
        state.update(rules(step as u64, decay, clip)[kind], body);
    }
    state.values()
}

/// Largest difference between two lists of lists.
fn distance(a: &[Vec<f64>; 4], b: &[Vec<f64>; 4]) -> f64 {
    a.iter().flatten().zip(b.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

fn bits(values: &[Vec<f64>; 4]) -> Vec<u64> {
    values.iter().flatten().map(|x| x.to_bits()).collect()
}

fn squared_norm<E: Float>(state: &mut State<E>) -> f64
where
    Cpu: Update<E>,
{
    let mut squares = Update::<E>::try_no_squares(&Cpu::default()).unwrap();
    Cpu::try_add_squares(&mut squares, &mut state.buffers[0], &state.p).unwrap();
    <Cpu as Update<E>>::try_sum(squares).unwrap()
}

proptest! {
    #[test]
    fn updates_written_for_the_cpu_agree_with_those_on_any_device(
        len in 1..200usize, seed in 0..1000u64, kind in 0..2usize,
    ) {
        let fused = trained::<f64>(len, seed, kind, Body::Fused);
        prop_assert!(distance(&fused, &trained::<f64>(len, seed, kind, Body::Composed)) < 1e-12);
    }

    #[test]
    fn the_norm_is_the_sum_of_the_squares(len in 1..200usize, seed in 0..1000u64) {
        let mut state = State::<f64>::random(len, seed);
        let found = squared_norm(&mut state);
        let expected: f64 = state.values()[1].iter().map(|x| x * x).sum();
        prop_assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
    }

    #[test]
    fn scaling_within_the_update_is_scaling_before_it(
        len in 1..200usize, seed in 0..1000u64, clip in 0.01..1.0f64, kind in 0..2usize,
    ) {
        let mut within = State::<f32>::random(len, seed);
        within.update(rules(1, 0.1, clip)[kind], Body::Fused);
        let mut before = State::<f32>::random(len, seed);
        before.scale_gradient(clip);
        before.update(rules(1, 0.1, 1.0)[kind], Body::Fused);
        prop_assert_eq!(bits(&within.values()), bits(&before.values()));
    }
}

#[test]
fn a_tensor_of_many_tasks_is_updated_to_its_last_element() {
    for (kind, len) in [(0, LONG), (1, LONG), (0, 1 << 14), (1, (1 << 14) + 1)] {
        let fused = trained::<f64>(len, 7, kind, Body::Fused);
        assert!(distance(&fused, &trained::<f64>(len, 7, kind, Body::Composed)) < 1e-12, "{kind} {len}");
    }
    let mut state = State::<f64>::random(LONG, 7);
    let expected: f64 = state.values()[1].iter().map(|x| x * x).sum();
    assert!((squared_norm(&mut state) / expected - 1.0).abs() < 1e-12);
}

#[test]
fn single_precision_follows_double() {
    for kind in 0..2 {
        let [single, double] =
            [trained::<f32>(1000, 3, kind, Body::Fused), trained::<f64>(1000, 3, kind, Body::Fused)];
        assert!(distance(&single, &double) < 2e-6, "{}", distance(&single, &double));
    }
}

#[test]
fn an_update_leaves_zeros_in_the_gradient() {
    for kind in 0..2 {
        for body in [Body::Fused, Body::Composed] {
            let mut state = State::<f32>::random(LONG, 1);
            state.update(rules(1, 0.1, 0.5)[kind], body);
            assert!(state.values()[1].iter().all(|&x| x == 0.0));
        }
    }
}

#[test]
fn one_thread_and_three_give_the_same_bits() {
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let norm = squared_norm(&mut State::<f32>::random(LONG, 5));
            let [adamw, sgd] = [0, 1].map(|kind| bits(&trained::<f32>(LONG, 5, kind, Body::Fused)));
            (norm.to_bits(), adamw, sgd)
        })
    };
    assert!(run(1) == run(3));
}

#[test]
fn one_scratch_serves_tensors_of_any_size() {
    let scratch = &mut Vec::new();
    let Rule::Sgd(rule) = rules(1, 0.1, 1.0)[1] else { unreachable!("the second rule is SGD's") };
    for len in [5, 900, 40] {
        let mut expected = State::<f64>::random(len, 2);
        expected.update(Rule::Sgd(rule), Body::Composed);
        let mut state = State::<f64>::random(len, 2);
        let State { p, buffers: [gradient, first, _], .. } = &mut state;
        let gradient = gradient.get_or_alloc_mut(p).unwrap();
        let velocity = first.get_or_alloc_mut(p).unwrap();
        Cpu::try_sgd(&rule, p, gradient, velocity, Aside { scratch, rounded: None }).unwrap();
        assert!(distance(&state.values(), &expected.values()) < 1e-12, "{len}");
    }
}

#[test]
fn only_a_gradient_beyond_the_maximum_is_scaled() {
    assert_eq!(clip_factor(3.0, 0.0), 1.0);
    assert_eq!(clip_factor(0.0, 1.0), 1.0);
    assert_eq!(clip_factor(0.9, 1.0), 1.0);
    assert!((clip_factor(4.0, 1.0) - 0.25).abs() < 1e-6);
    assert_eq!(clip_factor(f64::NAN, 1.0), 1.0);
}

#[test]
fn the_norm_of_a_long_gradient_does_not_drown_in_rounding() {
    let device = Cpu::default();
    let len = 3_000_000;
    let p: Tensor<(usize,), f32, Cpu> = device.zeros_like(&(len,));
    let mut gradients = Gradients::leaky();
    gradients.get_or_alloc_mut(&p).unwrap().fill(1e-3);
    let mut norm = Update::<f32>::try_no_squares(&Cpu::default()).unwrap();
    Cpu::try_add_squares(&mut norm, &mut gradients, &p).unwrap();
    assert!((norm / 3.0 - 1.0).abs() < 1e-6, "{norm}");
}

/// Three matrices of 24 x 8 side by side, or one of 24 x 24.
fn muon_rule(pieces: usize, nesterov: bool) -> MuonRule<'static> {
    MuonRule {
        rows: 24,
        columns: 24 / pieces,
        pieces,
        learning_rate: 0.02,
        scale: 1.5,
        momentum: 0.9,
        nesterov,
        coefficients: &[[3.4445, -4.775, 2.0315]; 5],
        decay: 0.1,
        clip: 0.5,
    }
}

fn moved_by_muon(rule: &MuonRule<'_>, body: Body) -> [Vec<f64>; 4] {
    let mut state = State::<f32>::random(rule.rows * rule.columns * rule.pieces, 4);
    for _ in 0..3 {
        state.fill(0, -2.0, 2.0);
        let State { p, buffers: [gradient, velocity, _], .. } = &mut state;
        let (gradient, velocity) =
            (gradient.get_or_alloc_mut(p).unwrap(), velocity.get_or_alloc_mut(p).unwrap());
        match body {
            Body::Fused => {
                Cpu::try_muon(rule, p, gradient, velocity, Aside { scratch: &mut Vec::new(), rounded: None })
            }
            Body::Composed => composed::try_muon(rule, p, gradient, velocity),
        }
        .unwrap();
    }
    state.values()
}

#[test]
fn muon_written_for_the_cpu_agrees_with_that_on_any_device() {
    for (pieces, nesterov) in [(1, true), (1, false), (3, true), (3, false)] {
        let rule = muon_rule(pieces, nesterov);
        for rows in [4, 24, 60] {
            let rule = MuonRule { rows, ..rule };
            let [fused, composed] = [Body::Fused, Body::Composed].map(|body| moved_by_muon(&rule, body));
            let distance = distance(&fused, &composed);
            assert!(distance < 1e-4, "{rule:?}: {distance}");
            assert!(fused[1].iter().all(|&x| x == 0.0), "the gradient is left");
        }
    }
}

#[test]
fn muon_moves_each_piece_for_itself_and_by_its_own_scale() {
    let one = moved_by_muon(&muon_rule(1, true), Body::Fused);
    let three = moved_by_muon(&muon_rule(3, true), Body::Fused);
    assert!(distance(&one, &three) > 1e-3);
    let still = MuonRule { scale: 0.0, decay: 0.0, ..muon_rule(3, true) };
    let start = State::<f32>::random(24 * 24, 4).values();
    assert_eq!(moved_by_muon(&still, Body::Fused)[0], start[0]);
    // The decay is that of the learning rate alone.
    let decayed = MuonRule { decay: 0.1, ..still };
    let shrunk = moved_by_muon(&decayed, Body::Fused);
    let factor = (1.0 - 0.02 * 0.1_f64).powi(3);
    assert!(shrunk[0].iter().zip(&start[0]).all(|(found, start)| (found - factor * start).abs() < 1e-6));
}

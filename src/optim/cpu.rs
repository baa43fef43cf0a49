//! An optimizer's work on the processor: one pass over a gradient for its norm, and one over gradient, moments and parameter
//! for everything else, on all threads and with the widest vector instructions that the processor has.
//!
//! The numbers depend neither on the number of threads, because the pieces of a sum have a fixed size, nor on the
//! instructions, because multiplications and additions are not contracted.

use std::ops::DerefMut;

use dfdx::prelude::*;
use pulp::{Arch, NullaryFnOnce};
use rayon::prelude::*;

use super::composed;
use super::update::{AdamWRule, Aside, MuonRule, SgdRule, Update};
use crate::ops::cpu::bf16::{Bf16, Rounded};
use crate::ops::cpu::orthogonal::try_orthogonalise;
use crate::ops::cpu::view::ViewMut;
use crate::ops::profile::{Part, timed};
use crate::ops::{Buffer, Ops, number};

/// Elements per task. Four buffers of so many f32 fit into a core's second-level cache, and a task is far longer than it
/// takes to hand it out.
const CHUNK: usize = 1 << 14;

/// Sums that run side by side, so that additions need not wait for each other.
const LANES: usize = 32;

/// What the updates need of a floating-point type.
pub trait Float: Dtype + Into<f64> {
    fn sqrt(self) -> Self;

    /// As an f32.
    fn single(self) -> f32;

    /// Many of them as f32, if they are.
    fn all_single(numbers: &mut [Self]) -> Option<&mut [f32]>;
}

impl Float for f32 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self
    }

    fn all_single(numbers: &mut [Self]) -> Option<&mut [f32]> {
        Some(numbers)
    }
}

impl Float for f64 {
    #[inline(always)]
    fn sqrt(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn single(self) -> f32 {
        self as f32
    }

    fn all_single(_: &mut [Self]) -> Option<&mut [f32]> {
        None
    }
}

impl<E: Float> Update<E> for Cpu
where
    Self: Ops<E> + Storage<E, Vec: DerefMut<Target = Vec<E>>> + HasErr<Err = CpuError>,
{
    type Squares = f64;

    fn try_no_squares(&self) -> Result<f64, Self::Err> {
        Ok(0.0)
    }

    fn try_add_squares<S: Shape>(
        squares: &mut f64,
        gradients: &mut Gradients<E, Self>,
        tensor: &Tensor<S, E, Self>,
    ) -> Result<(), Self::Err> {
        let (arch, gradient) = (Arch::new(), gradients.get_or_alloc_mut(tensor)?);
        *squares += if gradient.len() <= CHUNK {
            arch.dispatch(Squares(gradient))
        } else {
            let chunks = gradient.par_chunks(CHUNK);
            let sums: Vec<f64> = chunks.map(|chunk| arch.dispatch(Squares(chunk))).collect();
            sums.iter().sum()
        };
        Ok(())
    }

    fn try_sum(squares: f64) -> Result<f64, Self::Err> {
        Ok(squares)
    }

    fn try_adamw<S: Shape>(
        rule: &AdamWRule,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        [first, second]: [&mut Buffer<E, Self>; 2],
        aside: Aside<'_, E>,
    ) -> Result<(), Self::Err> {
        let (arch, rule) = (Arch::new(), &AdamW::new(rule));
        let (gradient, first, second): (&mut [E], &mut [E], &mut [E]) = (gradient, first, second);
        change(tensor, aside, |p, rounded| {
            if p.len() <= CHUNK {
                return arch.dispatch(AdamWPass { rule, p, rounded, g: gradient, m: first, v: second });
            }
            let p_len = p.len();
            let m_and_v = first.par_chunks_mut(CHUNK).zip(second.par_chunks_mut(CHUNK));
            let chunks = p.par_chunks_mut(CHUNK).zip(in_chunks(rounded, p_len));
            let chunks = chunks.zip(gradient.par_chunks_mut(CHUNK)).zip(m_and_v);
            chunks.for_each(|(((p, rounded), g), (m, v))| {
                arch.dispatch(AdamWPass { rule, p, rounded, g, m, v });
            });
        })
    }

    fn try_sgd<S: Shape>(
        rule: &SgdRule,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        velocity: &mut Buffer<E, Self>,
        aside: Aside<'_, E>,
    ) -> Result<(), Self::Err> {
        let (arch, rule) = (Arch::new(), &Sgd::new(rule));
        let (gradient, velocity): (&mut [E], &mut [E]) = (gradient, velocity);
        change(tensor, aside, |p, rounded| {
            if p.len() <= CHUNK {
                return arch.dispatch(SgdPass { rule, p, rounded, g: gradient, v: velocity });
            }
            let p_len = p.len();
            let chunks = p.par_chunks_mut(CHUNK).zip(in_chunks(rounded, p_len));
            let chunks = chunks.zip(gradient.par_chunks_mut(CHUNK)).zip(velocity.par_chunks_mut(CHUNK));
            chunks.for_each(|(((p, rounded), g), v)| arch.dispatch(SgdPass { rule, p, rounded, g, v }));
        })
    }

    fn try_muon<S: Shape>(
        rule: &MuonRule<'_>,
        tensor: &mut Tensor<S, E, Self>,
        gradient: &mut Buffer<E, Self>,
        velocity: &mut Buffer<E, Self>,
        aside: Aside<'_, E>,
    ) -> Result<(), Self::Err> {
        if E::all_single(gradient).is_none() {
            return composed::try_muon(rule, tensor, gradient, velocity);
        }
        let arch = Arch::new();
        let (gradient, velocity): (&mut [E], &mut [E]) = (gradient, velocity);
        let momentum = &Momentum::new(rule);
        gradient
            .par_chunks_mut(CHUNK)
            .zip(velocity.par_chunks_mut(CHUNK))
            .for_each(|(g, v)| arch.dispatch(MomentumPass { rule: momentum, g, v }));
        if let Some(matrices) = E::all_single(gradient) {
            let _timed = timed(Part::Orthogonalisation);
            let kernel = aside.rounded.map(Rounded::kernel);
            let matrices = ViewMut::new(matrices, rule.pieces * rule.columns).cut(false, rule.columns);
            matrices
                .into_iter()
                .try_for_each(|matrix| try_orthogonalise(matrix, kernel, rule.coefficients))?;
        }
        let (keep, rate) = (1.0 - rule.learning_rate * rule.decay, rule.learning_rate * rule.scale);
        let (keep, rate) = (number(keep), number(rate));
        change(tensor, aside, |p, rounded| {
            let p_len = p.len();
            let chunks = p.par_chunks_mut(CHUNK).zip(in_chunks(rounded, p_len));
            chunks.zip(gradient.par_chunks_mut(CHUNK)).for_each(|((p, rounded), g)| {
                arch.dispatch(MovePass { keep, rate, p, rounded, g });
            });
        })
    }
}

/// Runs `update` on the tensor's values, and on their copy in bf16 if there is one. dfdx shows no slice of a tensor, so they are
/// copied out and back.
fn change<S: Shape, E: Float>(
    tensor: &mut Tensor<S, E, Cpu>,
    aside: Aside<'_, E>,
    update: impl FnOnce(&mut [E], Option<&mut [Bf16]>),
) -> Result<(), CpuError> {
    let Aside { scratch, rounded } = aside;
    let len = tensor.shape().num_elements();
    if scratch.len() < len {
        *scratch = vec![E::default(); len];
    }
    let values = &mut scratch[..len];
    tensor.copy_into(values);
    let mut rounded = rounded.map(|rounded| rounded.try_write(len)).transpose()?;
    update(values, rounded.as_deref_mut());
    tensor.copy_from(values);
    Ok(())
}

/// The chunks of a copy, or as many times none.
fn in_chunks(
    rounded: Option<&mut [Bf16]>,
    len: usize,
) -> impl IndexedParallelIterator<Item = Option<&mut [Bf16]>> {
    let mut chunks: Vec<Option<&mut [Bf16]>> = match rounded {
        Some(rounded) => rounded.chunks_mut(CHUNK).map(Some).collect(),
        None => Vec::new(),
    };
    chunks.resize_with(len.div_ceil(CHUNK), || None);
    chunks.into_par_iter()
}

// The passes are types and not closures, because only a method can be told to be inlined into the code that `dispatch`
// compiles for each instruction set; code that is called from there is compiled for the oldest one.

struct Squares<'a, E>(&'a [E]);

impl<E: Float> NullaryFnOnce for Squares<'_, E> {
    type Output = f64;

    #[inline(always)]
    fn call(self) -> f64 {
        let (groups, rest) = self.0.as_chunks::<LANES>();
        let mut sums = [0.0; LANES];
        for group in groups {
            for (sum, &x) in sums.iter_mut().zip(group) {
                let x: f64 = x.into();
                *sum += x * x;
            }
        }
        for (sum, &x) in sums.iter_mut().zip(rest) {
            let x: f64 = x.into();
            *sum += x * x;
        }
        sums.iter().sum()
    }
}

/// Writes the copy in bf16 of a chunk, if there is one.
#[inline(always)]
fn round_all<E: Float>(p: &[E], rounded: Option<&mut [Bf16]>) {
    if let Some(rounded) = rounded {
        rounded.iter_mut().zip(p).for_each(|(rounded, p)| *rounded = Bf16::round(p.single()));
    }
}

/// An [`AdamWRule`] made ready for many elements: p = keep * p - rate * m / (spread * sqrt(v) + eps).
struct AdamW<E> {
    clip: E,
    betas: [E; 2],
    /// 1 - beta1 and 1 - beta2.
    shares: [E; 2],
    keep: E,
    rate: E,
    spread: E,
    eps: E,
}

impl<E: Float> AdamW<E> {
    /// In f64 whatever the dtype, as PyTorch: in f32 already 1 - 0.999 is wrong in the fifth digit.
    fn new(rule: &AdamWRule) -> Self {
        let [first, second] = rule.betas.map(|beta| 1.0 - beta.powf(rule.step as f64));
        Self {
            clip: number(rule.clip),
            betas: rule.betas.map(number),
            shares: rule.betas.map(|beta| number(1.0 - beta)),
            keep: number(1.0 - rule.learning_rate * rule.decay),
            rate: number(rule.learning_rate / first),
            spread: number(1.0 / second.sqrt()),
            eps: number(rule.eps),
        }
    }
}

struct AdamWPass<'a, E> {
    rule: &'a AdamW<E>,
    p: &'a mut [E],
    rounded: Option<&'a mut [Bf16]>,
    g: &'a mut [E],
    m: &'a mut [E],
    v: &'a mut [E],
}

impl<E: Float> NullaryFnOnce for AdamWPass<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let &AdamW { clip, betas, shares, keep, rate, spread, eps } = self.rule;
        for (((p, g), m), v) in self.p.iter_mut().zip(self.g).zip(self.m).zip(self.v) {
            let x = *g * clip;
            *m = *m * betas[0] + x * shares[0];
            *v = *v * betas[1] + x * x * shares[1];
            *p = *p * keep - rate * *m / (v.sqrt() * spread + eps);
            *g = E::default();
        }
        round_all(self.p, self.rounded);
    }
}

/// An [`SgdRule`] in the dtype of the parameters.
struct Sgd<E> {
    clip: E,
    momentum: E,
    decay: E,
    rate: E,
}

impl<E: Float> Sgd<E> {
    fn new(rule: &SgdRule) -> Self {
        Self {
            clip: number(rule.clip),
            momentum: number(rule.momentum),
            decay: number(rule.decay),
            rate: number(rule.learning_rate),
        }
    }
}

struct SgdPass<'a, E> {
    rule: &'a Sgd<E>,
    p: &'a mut [E],
    rounded: Option<&'a mut [Bf16]>,
    g: &'a mut [E],
    v: &'a mut [E],
}

impl<E: Float> NullaryFnOnce for SgdPass<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let &Sgd { clip, momentum, decay, rate } = self.rule;
        for ((p, g), v) in self.p.iter_mut().zip(self.g).zip(self.v) {
            *v = *g * clip + *p * decay + *v * momentum;
            *p -= *v * rate;
            *g = E::default();
        }
        round_all(self.p, self.rounded);
    }
}

/// The numbers of a [`MuonRule`] that gradient and velocity meet.
struct Momentum<E> {
    /// Clipping, and 1 - momentum.
    share: E,
    momentum: E,
    nesterov: bool,
}

impl<E: Float> Momentum<E> {
    fn new(rule: &MuonRule<'_>) -> Self {
        Self {
            share: number(rule.clip * (1.0 - rule.momentum)),
            momentum: number(rule.momentum),
            nesterov: rule.nesterov,
        }
    }
}

/// Leaves in the gradient where to move.
struct MomentumPass<'a, E> {
    rule: &'a Momentum<E>,
    g: &'a mut [E],
    v: &'a mut [E],
}

impl<E: Float> NullaryFnOnce for MomentumPass<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let &Momentum { share, momentum, nesterov } = self.rule;
        let ahead = if nesterov { momentum } else { number(1.0) };
        let own = if nesterov { share } else { E::default() };
        for (g, v) in self.g.iter_mut().zip(self.v) {
            *v = *v * momentum + *g * share;
            *g = *v * ahead + *g * own;
        }
    }
}

/// p = keep * p - rate * g.
struct MovePass<'a, E> {
    keep: E,
    rate: E,
    p: &'a mut [E],
    rounded: Option<&'a mut [Bf16]>,
    g: &'a mut [E],
}

impl<E: Float> NullaryFnOnce for MovePass<'_, E> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Self { keep, rate, p, rounded, g } = self;
        for (p, g) in p.iter_mut().zip(g) {
            *p = *p * keep - *g * rate;
            *g = E::default();
        }
        round_all(p, rounded);
    }
}

//! Work on all parameters of a model in few launches.

use std::cell::RefCell;
use std::rc::Rc;

use cudarc::driver::{DevicePtr, DeviceSlice, result};
use dfdx::prelude::*;

use super::context::{Context, in_dfdx};
use super::kernels::{self, Grid};
use super::structures::{
    AdamW, BothPrecisions, CHUNK, Lengths, OF_ADAMW, OF_HALF, OF_SGD, OF_SQUARES, Sgd, Squares, Total,
};
use crate::ops::{Buffer, F16};

/// A buffer by its address.
type Entry = (u64, usize);

fn entry<E: Dtype>(buffer: &Buffer<E, Cuda>) -> Entry
where
    Cuda: Storage<E, Vec: DevicePtr<E> + DeviceSlice<E>>,
{
    (*buffer.device_ptr(), DeviceSlice::len(buffer))
}

/// Buffers whose squares are to be added up.
#[derive(Debug, Default)]
pub struct SumOfSquares {
    context: Option<Rc<Context>>,
    buffers: Vec<Entry>,
}

impl SumOfSquares {
    /// Adds those of all elements of `x`.
    ///
    /// # Safety
    /// `x` stays where it is until the sum was read, and nothing changes it.
    pub unsafe fn try_add(&mut self, x: &Buffer<f32, Cuda>) -> Result<(), CudaError> {
        if self.context.is_none() {
            self.context = Some(Context::try_on(x.device()).map_err(in_dfdx)?);
        }
        self.buffers.push(entry(x));
        Ok(())
    }

    /// Waits for the device and reads the sum from it.
    pub fn try_read(self) -> Result<f64, CudaError> {
        let Self { context, buffers } = self;
        let Some(context) = context else { return Ok(0.0) };
        let blocks: usize = buffers.iter().map(|(_, len)| len.div_ceil(CHUNK)).sum();
        // The last is their sum.
        let shares = context.try_take::<f64>(blocks + 1)?;
        let mut before = 0;
        for some in buffers.chunks(OF_SQUARES) {
            let (lengths, blocks) = Lengths::new(some.iter().map(|(_, len)| *len));
            let x = addresses(some.iter().map(|(address, _)| *address));
            let parameters = Squares { lengths, shares: shares.at::<f64>(before), x };
            // SAFETY: the buffers have these lengths, and there is a share for each block.
            unsafe { context.launch(kernels::SQUARES, Grid::blocks(blocks), parameters) }?;
            before += blocks;
        }
        let sum = shares.at::<f64>(blocks);
        let parameters = Total { shares: blocks, from: shares.address(), to: sum };
        // SAFETY: there are so many shares, and one number more.
        unsafe { context.launch(kernels::TOTAL, Grid::blocks(1), parameters) }?;
        let mut total = [0.0_f64];
        context.device.bind_to_thread()?;
        // SAFETY: a number lies there.
        unsafe { result::memcpy_dtoh_sync(&mut total, sum) }?;
        Ok(total[0])
    }
}

fn addresses<const N: usize>(some: impl Iterator<Item = u64>) -> [u64; N] {
    let mut all = [0; N];
    all.iter_mut().zip(some).for_each(|(to, address)| *to = address);
    all
}

/// What one step of AdamW has in common for all parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWNumbers {
    pub clip: f32,
    pub learning_rate: f32,
    pub betas: [f32; 2],
    pub epsilon: f32,
    /// 1 / (1 - beta^step)
    pub corrections: [f32; 2],
}

/// What one step of gradient descent has in common for all parameters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SgdNumbers {
    pub clip: f32,
    pub learning_rate: f32,
    pub momentum: f32,
}

/// A parameter's update, with its own decay.
#[derive(Clone, Copy, Debug)]
struct Update<N, const STATE: usize> {
    numbers: N,
    decay: f32,
    len: usize,
    x: u64,
    gradient: u64,
    state: [u64; STATE],
}

/// Updates that were asked for and not done yet.
#[derive(Debug, Default)]
struct Queue {
    context: Option<Rc<Context>>,
    adamw: Vec<Update<AdamWNumbers, 2>>,
    sgd: Vec<Update<SgdNumbers, 1>>,
}

thread_local! {
    static QUEUE: RefCell<Queue> = RefCell::new(Queue::default());
}

/// Forgets updates of a step that failed.
pub fn begin_updates() {
    QUEUE.take();
}

fn update<S: Shape, N, const STATE: usize>(
    tensor: &Tensor<S, f32, Cuda>,
    numbers: N,
    decay: f64,
    gradient: &Buffer<f32, Cuda>,
    state: [&Buffer<f32, Cuda>; STATE],
) -> Result<(Rc<Context>, Update<N, STATE>), CudaError> {
    let (context, x) = Context::try_of(tensor)?;
    let len = tensor.shape().num_elements();
    let of_len = |buffer: &Buffer<f32, Cuda>| {
        let (address, found) = entry(buffer);
        assert_eq!(found, len, "what belongs to a parameter has its size");
        address
    };
    let (gradient, state) = (of_len(gradient), state.map(of_len));
    Ok((context, Update { numbers, decay: decay as f32, len, x, gradient, state }))
}

/// Has a parameter updated by AdamW, and its gradient cleared, when [`try_finish_updates`] is called.
///
/// # Safety
/// Until then nothing reads the parameter, and its gradient and moments stay where they are.
pub unsafe fn try_adamw_later<S: Shape>(
    tensor: &mut Tensor<S, f32, Cuda>,
    numbers: AdamWNumbers,
    decay: f64,
    gradient: &mut Buffer<f32, Cuda>,
    [first, second]: [&mut Buffer<f32, Cuda>; 2],
) -> Result<(), CudaError> {
    let (context, update) = update(tensor, numbers, decay, gradient, [first, second])?;
    QUEUE.with_borrow_mut(|queue| {
        queue.context = Some(context);
        queue.adamw.push(update);
    });
    Ok(())
}

/// Has a parameter updated by gradient descent, and its gradient cleared, when [`try_finish_updates`] is called.
///
/// # Safety
/// As for [`try_adamw_later`].
pub unsafe fn try_sgd_later<S: Shape>(
    tensor: &mut Tensor<S, f32, Cuda>,
    numbers: SgdNumbers,
    decay: f64,
    gradient: &mut Buffer<f32, Cuda>,
    velocity: &mut Buffer<f32, Cuda>,
) -> Result<(), CudaError> {
    let (context, update) = update(tensor, numbers, decay, gradient, [velocity])?;
    QUEUE.with_borrow_mut(|queue| {
        queue.context = Some(context);
        queue.sgd.push(update);
    });
    Ok(())
}

/// Does what was asked for.
pub fn try_finish_updates() -> Result<(), CudaError> {
    let Queue { context, adamw, sgd } = QUEUE.take();
    let Some(context) = context else { return Ok(()) };
    for alike in adamw.chunk_by(|a, b| a.numbers == b.numbers) {
        alike.chunks(OF_ADAMW).try_for_each(|some| try_adamw(&context, some))?;
    }
    for alike in sgd.chunk_by(|a, b| a.numbers == b.numbers) {
        alike.chunks(OF_SGD).try_for_each(|some| try_sgd(&context, some))?;
    }
    Ok(())
}

fn try_adamw(context: &Context, some: &[Update<AdamWNumbers, 2>]) -> Result<(), CudaError> {
    let (lengths, blocks) = Lengths::new(some.iter().map(|update| update.len));
    let numbers = some[0].numbers;
    let mut decay = [0.0; OF_ADAMW];
    decay.iter_mut().zip(some).for_each(|(decay, update)| *decay = update.decay);
    let parameters = AdamW {
        lengths,
        clip: numbers.clip,
        learning_rate: numbers.learning_rate,
        beta1: numbers.betas[0],
        beta2: numbers.betas[1],
        epsilon: numbers.epsilon,
        correction1: numbers.corrections[0],
        correction2: numbers.corrections[1],
        decay,
        padding: 0,
        x: addresses(some.iter().map(|update| update.x)),
        gradient: addresses(some.iter().map(|update| update.gradient)),
        first: addresses(some.iter().map(|update| update.state[0])),
        second: addresses(some.iter().map(|update| update.state[1])),
    };
    // SAFETY: who asked for the updates promised that all is still there, and of these lengths.
    unsafe { context.launch(kernels::ADAMW, Grid::blocks(blocks), parameters) }
}

fn try_sgd(context: &Context, some: &[Update<SgdNumbers, 1>]) -> Result<(), CudaError> {
    let (lengths, blocks) = Lengths::new(some.iter().map(|update| update.len));
    let numbers = some[0].numbers;
    let mut decay = [0.0; OF_SGD];
    decay.iter_mut().zip(some).for_each(|(decay, update)| *decay = update.decay);
    let parameters = Sgd {
        lengths,
        clip: numbers.clip,
        learning_rate: numbers.learning_rate,
        momentum: numbers.momentum,
        decay,
        padding: 0,
        x: addresses(some.iter().map(|update| update.x)),
        gradient: addresses(some.iter().map(|update| update.gradient)),
        velocity: addresses(some.iter().map(|update| update.state[0])),
    };
    // SAFETY: as for AdamW.
    unsafe { context.launch(kernels::SGD, Grid::blocks(blocks), parameters) }
}

/// Memory in single and half precision, each with the one that belongs to it.
#[derive(Debug, Default)]
struct Pairs {
    context: Option<Rc<Context>>,
    factor: f32,
    single: Vec<Entry>,
    half: Vec<Entry>,
}

thread_local! {
    static ADDITIONS: RefCell<Pairs> = RefCell::new(Pairs::default());
    static NARROWINGS: RefCell<Pairs> = RefCell::new(Pairs::default());
}

/// Forgets all that was asked for and not done: what it was to be done to goes now, and so does the device that it keeps.
pub fn forget() {
    drop((QUEUE.take(), ADDITIONS.take(), NARROWINGS.take()));
}

impl Pairs {
    /// # Safety
    /// All memory is still where it was.
    unsafe fn try_launch(self, kernel: &'static str) -> Result<(), CudaError> {
        let Self { context, factor, single, half } = self;
        let Some(context) = context else { return Ok(()) };
        assert_eq!(single.len(), half.len(), "each has one that belongs to it");
        for (single, half) in single.chunks(OF_HALF).zip(half.chunks(OF_HALF)) {
            assert!(single.iter().zip(half).all(|(a, b)| a.1 == b.1), "both have one size");
            let (lengths, blocks) = Lengths::new(single.iter().map(|(_, len)| *len));
            let parameters = BothPrecisions {
                lengths,
                factor,
                padding: 0,
                single: addresses(single.iter().map(|(address, _)| *address)),
                half: addresses(half.iter().map(|(address, _)| *address)),
            };
            // SAFETY: the caller's promise.
            unsafe { context.launch(kernel, Grid::blocks(blocks), parameters) }?;
        }
        Ok(())
    }
}

/// See [`Mixed::try_add`](crate::ops::Mixed::try_add). All have the same factor.
pub fn try_add_later(
    to: &mut Buffer<f32, Cuda>,
    from: &mut Buffer<F16, Cuda>,
    factor: f32,
) -> Result<(), CudaError> {
    ADDITIONS.with_borrow_mut(|pairs| {
        if pairs.context.is_none() {
            pairs.context = Some(Context::try_on(to.device()).map_err(in_dfdx)?);
        }
        pairs.factor = factor;
        pairs.single.push(entry(to));
        pairs.half.push(entry(from));
        Ok(())
    })
}

/// See [`Mixed::try_finish_additions`](crate::ops::Mixed::try_finish_additions).
pub fn try_finish_additions() -> Result<(), CudaError> {
    // SAFETY: whoever asked for the additions keeps all of it until they are finished.
    unsafe { ADDITIONS.take().try_launch(kernels::ADD_HALVES) }
}

/// See [`Mixed::try_narrow_from`](crate::ops::Mixed::try_narrow_from).
pub fn try_narrow_from<S: Shape>(tensor: &Tensor<S, f32, Cuda>) -> Result<(), CudaError> {
    let (context, address) = Context::try_of(tensor)?;
    NARROWINGS.with_borrow_mut(|pairs| {
        pairs.context = Some(context);
        pairs.factor = 1.0;
        pairs.single.push((address, tensor.shape().num_elements()));
    });
    Ok(())
}

/// See [`Mixed::try_narrow_to`](crate::ops::Mixed::try_narrow_to).
pub fn try_narrow_to<S: Shape>(tensor: &mut Tensor<S, F16, Cuda>) -> Result<(), CudaError> {
    let (_, address) = Context::try_of(tensor)?;
    let entry = (address, tensor.shape().num_elements());
    NARROWINGS.with_borrow_mut(|pairs| pairs.half.push(entry));
    Ok(())
}

/// See [`Mixed::try_finish_narrowing`](crate::ops::Mixed::try_finish_narrowing).
pub fn try_finish_narrowing() -> Result<(), CudaError> {
    // SAFETY: whoever asked for it keeps both models until it is finished.
    unsafe { NARROWINGS.take().try_launch(kernels::NARROW_MANY) }
}

/// See [`Mixed::try_round`](crate::ops::Mixed::try_round).
pub fn try_round(to: &mut Buffer<F16, Cuda>, from: &Buffer<f32, Cuda>, factor: f32) -> Result<(), CudaError> {
    let context = Some(Context::try_on(from.device()).map_err(in_dfdx)?);
    let pairs = Pairs { context, factor, single: vec![entry(from)], half: vec![entry(to)] };
    // SAFETY: both are borrowed.
    unsafe { pairs.try_launch(kernels::NARROW_MANY) }
}

//! Matrix products of bfloat16 numbers that are summed in f32.
//!
//! | kernel | what it needs |
//! |---|---|
//! | [`Kernel::Amx`] | tiles of AMX (`tdpbf16ps`), and the permission of the operating system to use them |
//! | [`Kernel::Avx512`] | AVX512-BF16 (`vdpbf16ps`) |
//! | [`Kernel::Widened`] | nothing: numbers are widened and multiplied by the kernels for f32 |
//!
//! Each sums in an order of its own, which depends on neither the number of threads nor the size of blocks: a kernel gives the
//! same bits on any machine that has it.
//!
//! A run takes the fastest of the kernels that the machine has, by a probe of some milliseconds in which they take turns (the order is
//! AMX, AVX512-BF16, f32; a later one has to be 1.3 times as fast, so that noise does not decide). The manifest records the kernel (the report's
//! device row reads `bf16 by AMX`, or `bf16, multiplied in f32`), and a resumed run uses the same one. On a machine without it another takes its
//! place; the run warns, and its report names the attempts. Back on a machine that has the first one, the run returns to it.
//!
//! | | `runner`, bf16 | `torch.autocast("cpu", torch.bfloat16)` |
//! |---|---|---|
//! | weights, their gradients, optimizer state, checkpoints | f32 | f32 |
//! | weights as products read them | a bf16 copy that the optimizer writes in its own pass | cast to bf16 in every forward pass |
//! | operands of products; sums | bf16; f32 | bf16; f32, rounded to bf16 at the end |
//! | queries, keys, values, attention's result, MLP's hidden layer, and their gradients | bf16 | bf16 |
//! | residual stream and its gradient, layer norms, softmax | f32 | f32 |
//! | gradient of a weight | summed in f32, in place | computed in bf16, then cast |
//! | logits | f32 in the loss; for the gradient their exponentials in bf16, with a relative error of 2^-9 (AMX, AVX512-BF16), or the gradient itself rounded to bf16 (multiplied in f32) | bf16, with an absolute error that grows with them; loss and gradient in f32 from these |
//!
//! Samples taken while training come from the head in f32. A checkpoint is the same in any format and on any device. A run keeps its format;
//! `train.init_from` starts another run from its weights, in another format if you like. The same seed gives the same bits on any number of
//! threads as long as the kernel is the same; another kernel sums in another order. No loss scaling is needed, because bf16 has f32's range.
//! f16 on the CPU and bf16 on a GPU are refused (dfdx 0.13 has no bf16). The AMX and AVX512-BF16 kernels are held against plain Rust bit for
//! bit, on processors without the instructions by emulating them.

#[cfg(target_arch = "x86_64")]
pub(super) mod amx;
#[cfg(target_arch = "x86_64")]
pub(super) mod avx512;
mod choice;
#[cfg(target_arch = "x86_64")]
mod nest;
pub mod number;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pages;
mod prepared;
mod product;
mod rounded;
mod threads;
#[cfg(test)]
pub(super) mod twin;
mod widened;

#[cfg(test)]
mod operation_tests;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests;

pub use choice::product_flops_per_sec;
pub use number::Bf16;
pub use prepared::Prepared;
pub use product::{Kernel, LINE, Line, Packed, Presence, Rhs};
pub use rounded::{Rounded, RoundedBlock};
pub use widened::{widened, widened_again};

use super::matmul::Workers;
use super::operand::Destination;
use super::view::View;
use crate::ops::profile::{Part, timed};

/// `destination (+)= lhs * rhs`.
///
/// # Shapes
/// (m, k), (k, n) -> (m, n); anything else is a bug and panics.
pub fn multiply(
    kernel: Kernel,
    destination: Destination<'_>,
    lhs: View<'_, Bf16>,
    rhs: View<'_, Bf16>,
    workers: Workers,
) {
    let (rows, columns) = destination.shape();
    assert!(rhs.rows == lhs.columns && rows == lhs.rows && columns == rhs.columns, "the shapes do not agree");
    // A product by one thread is part of something larger.
    let _timed = (workers == Workers::All).then(|| timed(Part::Products));
    match (kernel, workers) {
        (Kernel::Widened, _) => widened::multiply(destination, lhs, rhs, workers),
        (_, Workers::One) => kernel.multiply(destination, lhs, Rhs::Plain(rhs)),
        (_, Workers::All) => threads::multiply(kernel, destination, lhs, rhs),
    }
}

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

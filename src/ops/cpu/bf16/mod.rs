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
pub mod amx;
#[cfg(target_arch = "x86_64")]
pub mod avx512;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod emulated;
#[cfg(target_arch = "x86_64")]
mod nest;
pub mod number;
pub mod pack;
#[cfg(target_arch = "x86_64")]
mod pages;
mod product;
#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
mod tests;
pub mod twin;

pub use number::Bf16;
pub use product::{Destination, Kernel, Line, Packed, Rhs};

//! Which kernel multiplies on this machine. That a processor has an instruction does not make it the fastest way: on some,
//! `vdpbf16ps` does half of what multiplications in f32 do. So what is there is timed.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Bf16, Kernel};
use crate::ops::cpu::matmul::{Workers, Write};
use crate::ops::cpu::operand::{Destination, Operand, view};
use crate::ops::cpu::view::ViewMut;

/// Sizes of the product that is timed: a strip of GPT-2's attention layer. It is a few milliseconds' work for the slowest.
const ROWS: usize = 256;
const WIDTH: usize = 768;
/// A kernel is taken in place of one before it only if it is faster by so much, so that noise does not decide.
const MARGIN: f64 = 1.15;
/// Times that each is timed; the shortest counts.
const ROUNDS: usize = 5;

impl Kernel {
    /// From the one that is likely the fastest.
    pub const ALL: [Self; 3] = [Self::Amx, Self::Avx512, Self::Widened];

    /// As the manifest has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amx => "AMX",
            Self::Avx512 => "AVX512-BF16",
            Self::Widened => "f32 kernels",
        }
    }

    /// The kernel of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == name)
    }

    /// The fastest of those that this machine has, by a probe of some milliseconds that a process makes once.
    pub fn choose() -> Self {
        static CHOICE: OnceLock<Kernel> = OnceLock::new();
        *CHOICE.get_or_init(|| {
            let mut there = Self::ALL.into_iter().filter(|kernel| kernel.is_available()).peekable();
            let mut best = there.next().unwrap_or(Self::Widened);
            if there.peek().is_none() {
                return best;
            }
            let mut of_best = best.flops_per_sec(Workers::One);
            for kernel in there {
                let flops = kernel.flops_per_sec(Workers::One);
                if flops > MARGIN * of_best {
                    (best, of_best) = (kernel, flops);
                }
            }
            best
        })
    }

    /// FLOP/s in a product of GPT-2's sizes, measured now.
    pub fn flops_per_sec(self, workers: Workers) -> f64 {
        product_flops_per_sec::<Bf16>(self, workers)
    }
}

/// FLOP/s in a product of GPT-2's sizes, measured now: in f32, or by a kernel for bf16.
pub fn product_flops_per_sec<T: Operand>(kernel: T::Kernel, workers: Workers) -> f64 {
    let rows = match workers {
        Workers::One => ROWS,
        Workers::All => ROWS * rayon::current_num_threads(),
    };
    // Speed depends on the data: zeros would flatter.
    let numbers = |rows: usize, step: f32| -> Vec<T> {
        (0..rows * T::stride(WIDTH)).map(|i| T::narrow((i as f32 * step).sin())).collect()
    };
    let (lhs, rhs) = (numbers(rows, 0.7), numbers(WIDTH, 1.3));
    let mut result = vec![0.0; rows * WIDTH];
    let mut time = || -> Duration {
        let started = Instant::now();
        let to = Destination::Sums { to: ViewMut::new(&mut result, WIDTH), write: Write::Over };
        T::multiply(kernel, to, view(&lhs, WIDTH), view(&rhs, WIDTH), workers);
        started.elapsed()
    };
    let shortest = (0..ROUNDS).map(|_| time()).min().unwrap_or_default();
    2.0 * (rows * WIDTH * WIDTH) as f64 / shortest.as_secs_f64().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_by_their_names() {
        for kernel in Kernel::ALL {
            assert_eq!(Kernel::of_name(kernel.name()), Some(kernel));
        }
        assert_eq!(Kernel::of_name("MMX"), None);
    }

    #[test]
    fn the_chosen_kernel_is_there_and_multiplies() {
        let kernel = Kernel::choose();
        assert!(kernel.is_available());
        assert!(kernel.flops_per_sec(Workers::All) > 1e6);
    }
}

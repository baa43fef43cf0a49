//! Which kernel multiplies on this machine. That a processor has an instruction does not make it the fastest way: on some,
//! `vdpbf16ps` does half of what multiplications in f32 do. So what is there is timed.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Bf16, Kernel, widened};
use crate::ops::cpu::matmul::{Workers, Write};
use crate::ops::cpu::operand::{Destination, Operand, view};
use crate::ops::cpu::view::ViewMut;

/// Sizes of the product that is timed: a strip of GPT-2's attention layer. It is a few milliseconds' work for the slowest.
const ROWS: usize = 256;
const WIDTH: usize = 768;
/// With more threads, each has so many rows, and all together no more than these: the probe is not to be what a small run takes
/// most of its memory for.
const ROWS_OF_THREAD: usize = 32;
const MOST_ROWS: usize = 2048;
/// A kernel is taken in place of one before it only if it is faster by so much: the next process on this machine is to choose the
/// same one, whatever else is running.
const CLEARLY: f64 = 1.3;
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

    /// The kernel of this name if this machine has it, else the one that it [chooses](Self::choose).
    pub fn named_or_chosen(name: Option<&str>) -> Self {
        let named = name.and_then(Self::of_name).filter(|kernel| kernel.is_available());
        named.unwrap_or_else(Self::choose)
    }

    /// The fastest of those that this machine has, by a probe of some milliseconds that a process makes once.
    pub fn choose() -> Self {
        static CHOICE: OnceLock<Kernel> = OnceLock::new();
        *CHOICE.get_or_init(|| {
            let there: Vec<Self> = Self::ALL.into_iter().filter(|kernel| kernel.is_available()).collect();
            match there.as_slice() {
                [] => Self::Widened,
                [only] => *only,
                several => clear_winner(several, &Probe::<Bf16>::new(ROWS).shortest(several, Workers::One)),
            }
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
        Workers::All => rows_for(rayon::current_num_threads()),
    };
    let shortest = Probe::<T>::new(rows).shortest(&[kernel], workers)[0];
    2.0 * (rows * WIDTH * WIDTH) as f64 / shortest.as_secs_f64().max(1e-9)
}

fn rows_for(threads: usize) -> usize {
    (ROWS_OF_THREAD * threads).clamp(ROWS, MOST_ROWS)
}

/// The first of the kernels that none after it beats clearly. `shortest` are their times.
fn clear_winner(kernels: &[Kernel], shortest: &[Duration]) -> Kernel {
    let mut times = kernels.iter().zip(shortest);
    let (mut best, mut of_best) = times.next().expect("there is a kernel");
    for (kernel, time) in times {
        if CLEARLY * time.as_secs_f64() < of_best.as_secs_f64() {
            (best, of_best) = (kernel, time);
        }
    }
    *best
}

/// Operands of a product, and where it goes.
struct Probe<T> {
    lhs: Vec<T>,
    rhs: Vec<T>,
    result: Vec<f32>,
}

impl<T: Operand> Probe<T> {
    fn new(rows: usize) -> Self {
        // Speed depends on the data: zeros would flatter.
        let numbers = |rows: usize, step: f32| -> Vec<T> {
            (0..rows * T::stride(WIDTH)).map(|i| T::narrow((i as f32 * step).sin())).collect()
        };
        Self { lhs: numbers(rows, 0.7), rhs: numbers(WIDTH, 1.3), result: vec![0.0; rows * WIDTH] }
    }

    /// The shortest time of each kernel. They take turns: what else the machine does for a while then slows all of them.
    fn shortest(mut self, kernels: &[T::Kernel], workers: Workers) -> Vec<Duration> {
        let mut shortest = vec![Duration::MAX; kernels.len()];
        for _ in 0..ROUNDS {
            for (shortest, kernel) in shortest.iter_mut().zip(kernels) {
                *shortest = self.time(*kernel, workers).min(*shortest);
            }
        }
        widened::forget();
        shortest
    }

    fn time(&mut self, kernel: T::Kernel, workers: Workers) -> Duration {
        let started = Instant::now();
        let to = Destination::Sums { to: ViewMut::new(&mut self.result, WIDTH), write: Write::Over };
        T::multiply(kernel, to, view(&self.lhs, WIDTH), view(&self.rhs, WIDTH), workers);
        started.elapsed()
    }
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

    #[test]
    fn a_kernel_later_in_the_order_is_taken_only_if_it_is_clearly_faster() {
        let winner = |times: &[u64]| {
            let times: Vec<_> = times.iter().map(|&micros| Duration::from_micros(micros)).collect();
            clear_winner(&Kernel::ALL[3 - times.len()..], &times)
        };
        assert_eq!(winner(&[1000, 900, 800]), Kernel::Amx, "by less than the noise of a busy machine");
        assert_eq!(winner(&[1000, 700, 600]), Kernel::Avx512);
        assert_eq!(winner(&[1000, 900, 700]), Kernel::Widened);
        assert_eq!(winner(&[1000, 800]), Kernel::Avx512);
        assert_eq!(winner(&[1000, 500]), Kernel::Widened);
    }

    #[test]
    fn kernels_take_turns_in_the_probe() {
        let mut probed = Probe::<Bf16>::new(4).shortest(&[Kernel::Widened; 3], Workers::One);
        probed.sort();
        assert!(probed.len() == 3 && probed[2] < Duration::MAX);
    }

    #[test]
    fn a_probe_takes_little_memory_on_any_number_of_threads_and_leaves_none_behind() {
        assert_eq!([1, 8, 16, 64, 1000].map(rows_for), [256, 256, 512, 2048, 2048]);
        Kernel::Widened.flops_per_sec(Workers::One);
        assert_eq!(widened::held_bytes(), 0);
    }
}
